// SPDX-License-Identifier: GPL-2.0
/*
 * A process's memory as a device sees it: in runs that are contiguous, each one map.
 *
 * For a device that takes physical addresses pages are pinned, and charged to the
 * process up to its RLIMIT_MEMLOCK, all of a message's before the first is pinned.
 * That bounds the number of runs as well, at a page each. One that takes virtual
 * addresses pins nothing, so that the number itself has to be bounded: see
 * max_iotlb_entries.
 *
 * All is collected before the device or its table hears of it, where sleeping is
 * allowed: what fails here has changed nothing.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "vhost_vdpa.h"
#include <trace/events/vhost_vdpa.h>

/* how many pages are pinned at a time: two pages of pointers */
#define PAGES_AT_ONCE	(2 * PAGE_SIZE / sizeof(struct page *))

static void pinned_changed(struct vhost_vdpa *v, s64 pages)
{
	v->pinned += pages;
	if (trace_vhost_vdpa_pinned_enabled())
		trace_vhost_vdpa_pinned(v->vdev, pages, v->pinned,
					atomic64_read(&v->vhost.mm->pinned_vm), v->pinned_limit);
}

/* In one step: two devices of one process must not both fit, nor keep each other out. */
static int charge(struct vhost_vdpa *v, u64 pages)
{
	atomic64_t *total = &v->vhost.mm->pinned_vm;
	u64 limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	s64 have = atomic64_read(total);

	do {
		if (pages > limit || have > limit - pages)
			return -ENOMEM;
	} while (!atomic64_try_cmpxchg(total, &have, have + pages));
	/* whoever lets go of them may be another process, with a limit of its own */
	v->pinned_limit = limit;
	return 0;
}

static struct vhost_iotlb_map *run_add(struct vhost_vdpa_runs *runs, u64 iova, u64 size,
				       u64 addr, u8 perm)
{
	struct vhost_iotlb_map *map = kmalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);

	if (!map)
		return NULL;
	map->start = iova;
	map->last = iova + size - 1;
	map->size = size;
	map->addr = addr;
	map->perm = perm;
	map->opaque = NULL;
	list_add_tail(&map->link, &runs->maps);
	runs->n++;
	return map;
}

static void run_extend(struct vhost_iotlb_map *map, u64 size)
{
	map->last += size;
	map->size += size;
}

/* How many of these pages follow one another? */
static unsigned long contiguous(struct page **pages, unsigned long n)
{
	unsigned long pfn = page_to_pfn(pages[0]), i;

	for (i = 1; i < n && page_to_pfn(pages[i]) == pfn + i; i++)
		;
	return i;
}

/* Pages that no run has taken over are let go here. */
static int runs_add_pages(struct vhost_vdpa_runs *runs, u64 iova, struct page **pages,
			  unsigned long n, u8 perm)
{
	struct vhost_iotlb_map *map = NULL;
	unsigned long done, some;
	u64 addr;

	if (!list_empty(&runs->maps))
		map = list_last_entry(&runs->maps, struct vhost_iotlb_map, link);
	for (done = 0; done < n; done += some) {
		some = contiguous(pages + done, n - done);
		addr = PFN_PHYS((u64)page_to_pfn(pages[done]));
		if (map && map->addr + map->size == addr)
			run_extend(map, (u64)some << PAGE_SHIFT);
		else
			map = run_add(runs, iova + ((u64)done << PAGE_SHIFT),
				      (u64)some << PAGE_SHIFT, addr, perm);
		if (!map) {
			unpin_user_pages(pages + done, n - done);
			return -ENOMEM;
		}
		runs->pages += some;
	}
	return 0;
}

static int pin(struct vhost_vdpa_runs *runs, u64 iova, u64 uaddr, u64 npages, u8 perm)
{
	unsigned int flags = FOLL_LONGTERM | (perm & VHOST_ACCESS_WO ? FOLL_WRITE : 0);
	struct page **pages;
	u64 done;
	long got;
	int err = 0;

	pages = kmalloc_array(PAGES_AT_ONCE, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (done = 0; done < npages && !err; done += got) {
		u64 at = done << PAGE_SHIFT;

		got = pin_user_pages_fast(uaddr + at, min(npages - done, PAGES_AT_ONCE),
					  flags, pages);
		if (got > 0)
			err = runs_add_pages(runs, iova + at, pages, got, perm);
		else
			err = got ?: -EFAULT;
		if (!err && fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	}
	kfree(pages);
	return err;
}

static int collect_pinned(struct vhost_vdpa *v, struct vhost_vdpa_runs *runs, u64 iova,
			  u64 size, u64 uaddr, u8 perm)
{
	u64 npages = size >> PAGE_SHIFT;
	int err;

	err = charge(v, npages);
	if (err)
		return err;
	err = pin(runs, iova, uaddr, npages, perm);
	/* what was pinned takes its own part of the charge back when it is let go */
	if (err)
		atomic64_sub(npages - runs->pages, &v->vhost.mm->pinned_vm);
	if (runs->pages)
		pinned_changed(v, runs->pages);
	return err;
}

/* May a device reach this memory through its file? What it may not is left out. */
static bool is_shared_file(const struct vm_area_struct *vma)
{
	return vma->vm_file && vma->vm_flags & VM_SHARED &&
	       !(vma->vm_flags & (VM_IO | VM_PFNMAP));
}

static int run_add_file(struct vhost_vdpa_runs *runs, const struct vm_area_struct *vma,
			u64 iova, u64 size, u64 uaddr, u8 perm)
{
	struct vdpa_map_file *file;
	struct vhost_iotlb_map *map;

	file = kmalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	map = run_add(runs, iova, size, uaddr, perm);
	if (!map) {
		kfree(file);
		return -ENOMEM;
	}
	file->offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + (uaddr - vma->vm_start);
	file->file = get_file(vma->vm_file);
	map->opaque = file;
	runs->pages += size >> PAGE_SHIFT;
	return 0;
}

static int collect_files(struct vhost_vdpa *v, struct vhost_vdpa_runs *runs, u64 iova,
			 u64 size, u64 uaddr, u8 perm, unsigned int room)
{
	struct mm_struct *mm = v->vhost.mm;
	struct vm_area_struct *vma;
	u64 done, part;
	int err = 0;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (done = 0; done < size && !err; done += part) {
		vma = vma_lookup(mm, uaddr + done);
		if (!vma) {
			err = -EFAULT;
			break;
		}
		part = min(size - done, vma->vm_end - (uaddr + done));
		if (!is_shared_file(vma))
			continue;
		if (runs->n >= room)
			err = -ENOSPC;
		else
			err = run_add_file(runs, vma, iova + done, part, uaddr + done, perm);
	}
	mmap_read_unlock(mm);
	return err;
}

/*
 * Whole pages, which lie at the same offset in a page as seen by the device and by
 * the process. After an error nothing is left.
 */
int vhost_vdpa_collect(struct vhost_vdpa *v, struct vhost_vdpa_runs *runs, u64 iova,
		       u64 size, u64 uaddr, u8 perm, unsigned int room)
{
	int err;

	INIT_LIST_HEAD(&runs->maps);
	runs->pages = 0;
	runs->n = 0;
	if (v->vdev->use_va)
		err = collect_files(v, runs, iova, size, uaddr, perm, room);
	else
		err = collect_pinned(v, runs, iova, size, uaddr, perm);
	if (err)
		vhost_vdpa_release(v, &runs->maps);
	return err;
}

static u64 let_go(struct vhost_vdpa *v, struct vhost_iotlb_map *map)
{
	struct vdpa_map_file *file = map->opaque;
	u64 npages = map->size >> PAGE_SHIFT;

	if (v->vdev->use_va) {
		fput(file->file);
		kfree(file);
		return 0;
	}
	unpin_user_page_range_dirty_lock(pfn_to_page(PHYS_PFN(map->addr)), npages,
					 map->perm & VHOST_ACCESS_WO);
	return npages;
}

/* No device may use them any more. */
void vhost_vdpa_release(struct vhost_vdpa *v, struct list_head *maps)
{
	struct vhost_iotlb_map *map, *next;
	u64 pages = 0;

	list_for_each_entry_safe(map, next, maps, link) {
		pages += let_go(v, map);
		kfree(map);
		cond_resched();
	}
	INIT_LIST_HEAD(maps);
	if (pages) {
		atomic64_sub(pages, &v->vhost.mm->pinned_vm);
		pinned_changed(v, -(s64)pages);
	}
}
