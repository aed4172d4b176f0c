// SPDX-License-Identifier: GPL-2.0
/*
 * The user's pages: pinned, noted as runs, charged to the process that mapped them.
 *
 * Where a run begins and ends is kept, eight bytes for each: what is unpinned is what
 * was pinned, without asking an IOMMU for it page by page.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "type1.h"

/*
 * Charge @npages to the owner of @map. The caller keeps its mm alive.
 *
 * Return: 0, -ENOMEM where the limit is reached, -EINTR.
 */
int type1_charge(struct type1_map *map, unsigned long npages)
{
	int err;

	if (!npages)
		return 0;
	err = mmap_write_lock_killable(map->mm);
	if (err)
		return err;
	err = __account_locked_vm(map->mm, npages, true, map->task, map->may_lock);
	mmap_write_unlock(map->mm);
	if (err) {
		pr_warn_ratelimited("%s (%d): RLIMIT_MEMLOCK exceeded\n", map->task->comm,
				    task_pid_nr(map->task));
		return err;
	}
	map->charged += npages;
	return 0;
}

/* Pages that are held already: there is no limit that could refuse them. */
void type1_charge_held(struct type1_map *map, unsigned long npages)
{
	map->charged += npages;
	if (!npages || !mmget_not_zero(map->mm))
		return;
	mmap_write_lock(map->mm);
	__account_locked_vm(map->mm, npages, true, map->task, true);
	mmap_write_unlock(map->mm);
	mmput(map->mm);
}

/*
 * Give back what was charged. A fatal signal is no reason not to: the mm may
 * well live on in another process.
 */
void type1_uncharge(struct type1_map *map, unsigned long npages)
{
	if (!npages)
		return;
	map->charged -= npages;
	if (!mmget_not_zero(map->mm))
		return;
	mmap_write_lock(map->mm);
	__account_locked_vm(map->mm, npages, false, map->task, map->may_lock);
	mmap_write_unlock(map->mm);
	mmput(map->mm);
}

/* Whoever calls is the owner from now on, and pays. */
int type1_change_owner(struct type1_map *map)
{
	struct task_struct *task = current->group_leader;
	struct type1_map before = *map;
	int err;

	if (current->mm == map->mm)
		return 0;

	map->mm = current->mm;
	map->task = task;
	map->may_lock = capable(CAP_IPC_LOCK);
	map->charged = 0;
	err = type1_charge(map, before.charged);
	if (err) {
		map->mm = before.mm;
		map->task = before.task;
		map->may_lock = before.may_lock;
		map->charged = before.charged;
		return err;
	}
	mmgrab(map->mm);
	get_task_struct(map->task);

	type1_uncharge(&before, before.charged);
	mmdrop(before.mm);
	put_task_struct(before.task);
	return 0;
}

/* The frame behind @vaddr of a mapping without pages, as far as it is mapped by now. */
static int io_pfn(struct vm_area_struct *vma, unsigned long vaddr, bool write,
		  unsigned long *pfn)
{
	struct follow_pfnmap_args at = { .vma = vma, .address = vaddr };
	int err = follow_pfnmap_start(&at);

	if (err)
		return err;
	*pfn = at.pfn;
	err = write && !at.writable ? -EFAULT : 0;
	follow_pfnmap_end(&at);
	return err;
}

/*
 * A stretch of frames that have no struct page, or one that nobody manages: the MMIO
 * of a device, say. They are not pinned, so nothing that could be freed may be
 * among them.
 */
static long grab_io(struct mm_struct *mm, unsigned long vaddr, unsigned long n, bool write,
		    unsigned long *first)
{
	unsigned int flags = FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0);
	unsigned long i = 0, pfn, at, faulted = 0;
	struct vm_area_struct *vma;
	bool unlocked;
	int err = 0;

	while (i < n && !err) {
		at = vaddr + i * PAGE_SIZE;
		vma = vma_lookup(mm, at);
		err = vma && vma->vm_flags & VM_PFNMAP ? io_pfn(vma, at, write, &pfn) : -EFAULT;
		if (err && faulted != at && vma && vma->vm_flags & VM_PFNMAP) {
			faulted = at;
			unlocked = false;
			err = fixup_user_fault(mm, at, flags, &unlocked);
			/* the lock was let go of: what was found may be stale */
			i = unlocked ? 0 : i;
			continue;
		}
		if (err || (i && pfn != *first + i))
			break;
		if (pfn_valid(pfn) && !PageReserved(pfn_to_page(pfn)))
			err = -EFAULT;
		else if (!i++)
			*first = pfn;
	}
	return i ?: err;
}

/**
 * type1_grab - pin some of the user's pages
 * @mm: whose; the caller keeps it alive
 * @vaddr: where
 * @n: how many, at least one
 * @prot: what a device may do with them
 * @pages: filled with them. The first is NULL where they have no struct page or none to
 *	   pin: then they lie one behind the other, from @pfn on
 * @pfn: see there
 *
 * Return: how many, which may be fewer; or an error.
 */
long type1_grab(struct mm_struct *mm, unsigned long vaddr, unsigned long n, int prot,
		struct page **pages, unsigned long *pfn)
{
	bool write = prot & IOMMU_WRITE;
	long got, io;

	mmap_read_lock(mm);
	got = pin_user_pages_remote(mm, vaddr, n, FOLL_LONGTERM | (write ? FOLL_WRITE : 0),
				    pages, NULL);
	if (got <= 0) {
		io = grab_io(mm, untagged_addr_remote(mm, vaddr), n, write, pfn);
		/* of all that can be wrong, the reason why there is no page is the better one */
		got = io > 0 ? io : got ?: -EFAULT;
		pages[0] = NULL;
	}
	mmap_read_unlock(mm);
	return got;
}

void type1_release_run(const struct type1_run *run, int prot)
{
	if (run->ours)
		unpin_user_page_range_dirty_lock(pfn_to_page(run->pfn), run->n,
						 prot & IOMMU_WRITE);
}

static int runs_grow(struct type1_map *map)
{
	unsigned long max = max(map->max_runs * 2, 8);
	size_t size = array_size(max, sizeof(struct type1_run));
	struct type1_run *runs;

	/* kvmalloc() warns of more than that */
	if (size > INT_MAX)
		runs = __vmalloc(size, GFP_KERNEL_ACCOUNT);
	else
		runs = kvmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!runs)
		return -ENOMEM;
	memcpy(runs, map->runs, map->nr_runs * sizeof(*runs));
	if (map->runs != &map->one_run)
		kvfree(map->runs);
	map->runs = runs;
	map->max_runs = max;
	return 0;
}

/*
 * All of @n pages, of which there are no more than in a batch, or none: at most one more
 * run is needed, and made room for before anything is noted.
 */
static int runs_add(struct type1_map *map, unsigned long pfn, unsigned long n, bool ours)
{
	struct type1_run *run = map->nr_runs ? &map->runs[map->nr_runs - 1] : NULL;
	unsigned long fits = 0;
	int err;

	static_assert(TYPE1_BATCH <= TYPE1_RUN_MAX);
	if (run && run->ours == ours && run->pfn + run->n == pfn)
		fits = min_t(unsigned long, n, TYPE1_RUN_MAX - run->n);
	if (fits < n && map->nr_runs == map->max_runs) {
		err = runs_grow(map);
		if (err)
			return err;
	}
	if (fits)
		map->runs[map->nr_runs - 1].n += fits;
	if (fits < n)
		map->runs[map->nr_runs++] = (struct type1_run) {
			.pfn	= pfn + fits,
			.n	= n - fits,
			.ours	= ours,
		};
	return 0;
}

/*
 * Note what was grabbed. What could not be noted is let go of.
 *
 * Return: how many pages are charged for: not those that were already, when a device
 * pinned them.
 */
static long runs_note(struct type1_map *map, unsigned long index, struct page **pages,
		      unsigned long pfn, unsigned long n)
{
	unsigned long i, end, charge = 0;
	int err;

	if (!pages[0])
		return runs_add(map, pfn, n, false);

	for (i = 0; i < n; ) {
		/* those that lie one behind the other */
		pfn = page_to_pfn(pages[i]) - i;
		for (end = i + 1; end < n && page_to_pfn(pages[end]) - end == pfn; end++)
			;
		err = runs_add(map, pfn + i, end - i, true);
		if (err)
			goto release;
		for (; i < end; i++)
			charge += type1_page_charged(pages[i]) &&
				  !(map->npinned && type1_is_pinned(map, index + i));
	}
	return charge;

release:
	unpin_user_pages(pages + i, n - i);
	return err;
}

/*
 * Pages are let go of, but for those that a device may reach for ever. What was charged for
 * them the caller gives back: nobody is left who could do it later.
 */
void type1_runs_unpin(struct type1_map *map)
{
	unsigned long i;

	for (i = 0; !map->stuck && i < map->nr_runs; i++) {
		type1_release_run(&map->runs[i], map->prot);
		cond_resched();
	}
	if (map->runs != &map->one_run)
		kvfree(map->runs);
	map->runs = &map->one_run;
	map->max_runs = 1;
	map->nr_runs = 0;
	map->stuck = false;
}

/*
 * Pin all of a mapping, and charge for it. Its memory is that of whoever mapped it,
 * who need not be who calls.
 */
int type1_runs_pin(struct type1_map *map)
{
	unsigned long charged = map->charged, npages = map_npages(map), done = 0, pfn = 0;
	struct page **pages;
	long n, charge;
	int err = 0;

	if (!mmget_not_zero(map->mm))
		return -ESRCH;
	pages = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pages) {
		mmput(map->mm);
		return -ENOMEM;
	}

	while (done < npages) {
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		n = type1_grab(map->mm, map->vaddr + done * PAGE_SIZE,
			       min(npages - done, TYPE1_BATCH), map->prot, pages, &pfn);
		if (n < 0) {
			err = n;
			break;
		}
		charge = runs_note(map, done, pages, pfn, n);
		err = charge < 0 ? charge : type1_charge(map, charge);
		if (err)
			break;
		done += n;
		cond_resched();
	}
	if (err) {
		type1_runs_unpin(map);
		type1_uncharge(map, map->charged - charged);
	}
	free_page((unsigned long)pages);
	mmput(map->mm);
	return err;
}
