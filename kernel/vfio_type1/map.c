// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings: from ranges of I/O virtual addresses to the memory of a process. They do
 * not overlap, and a tree finds one in logarithmic time. Ranges are inclusive: one may
 * end with the last address there is.
 */
#include <linux/err.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <trace/events/vfio.h>

#include "type1.h"

/* How often a device is asked to let go of the same pages before it is given up. */
#define ASK_MAX	10

#define to_map(n)	rb_entry(n, struct type1_map, node)

static struct type1_map *map_or_null(struct rb_node *node)
{
	return node ? to_map(node) : NULL;
}

/* The lowest mapping that has an address in [@iova, @last]. */
struct type1_map *type1_map_first(struct type1_container *c, u64 iova, u64 last)
{
	struct rb_node *node = c->maps.rb_node;
	struct type1_map *map, *found = NULL;

	while (node) {
		map = to_map(node);
		if (map->last < iova) {
			node = node->rb_right;
			continue;
		}
		found = map;
		if (map->iova <= iova)
			break;
		node = node->rb_left;
	}
	return found && found->iova <= last ? found : NULL;
}

struct type1_map *type1_map_next(struct type1_map *map, u64 last)
{
	/* mostly it was the only one: no walk to find that out */
	if (map->last >= last)
		return NULL;
	map = map_or_null(rb_next(&map->node));
	return map && map->iova <= last ? map : NULL;
}

/*
 * Return: the lowest mapping of a range that cuts none in two; NULL where nothing is
 * mapped; -EINVAL where a mapping lies across one of its ends.
 */
struct type1_map *type1_map_whole(struct type1_container *c, u64 iova, u64 last)
{
	struct type1_map *first = type1_map_first(c, iova, last), *end = first;

	if (!first)
		return NULL;
	/* mostly it is the only one */
	if (first->last < last)
		end = type1_map_at(c, last);
	if (first->iova < iova || (end && end->last > last))
		return ERR_PTR(-EINVAL);
	return first;
}

/* Where a mapping of a range belongs: false where one of the range is there. */
static bool map_place(struct type1_container *c, u64 iova, u64 last, struct rb_node **parent,
		      struct rb_node ***link)
{
	struct type1_map *map;

	*parent = NULL;
	for (*link = &c->maps.rb_node; **link; ) {
		*parent = **link;
		map = to_map(*parent);
		if (last < map->iova)
			*link = &(*parent)->rb_left;
		else if (iova > map->last)
			*link = &(*parent)->rb_right;
		else
			return false;
	}
	return true;
}

static void map_link(struct type1_container *c, struct type1_map *map, struct rb_node *parent,
		     struct rb_node **link)
{
	rb_link_node(&map->node, parent, link);
	rb_insert_color(&map->node, &c->maps);
	c->nmaps++;
	c->avail--;
	c->nr_big += map_npages(map) > TYPE1_DIRTY_PAGES_MAX;
}

static void map_free(struct type1_map *map)
{
	if (!xa_empty(&map->chunks))
		xa_destroy(&map->chunks);
	put_task_struct(map->task);
	mmdrop(map->mm);
	kfree(map);
}

static struct type1_map *map_new(u64 iova, u64 size, unsigned long vaddr, int prot)
{
	struct type1_map *map = kzalloc(sizeof(*map), GFP_KERNEL_ACCOUNT);

	if (!map)
		return NULL;
	map->iova = iova;
	map->last = iova + size - 1;
	map->vaddr = vaddr;
	map->prot = prot;
	map->runs = &map->one_run;
	map->max_runs = 1;
	xa_init(&map->chunks);
	/* Pages are pinned and charged for long after this call, by whomever. */
	map->may_lock = capable(CAP_IPC_LOCK);
	map->task = get_task_struct(current->group_leader);
	map->mm = current->mm;
	mmgrab(map->mm);
	return map;
}

/* No device may translate through it any more before its pages are let go of. */
static void map_remove(struct type1_container *c, struct type1_map *map)
{
	if (map->npinned)
		type1_pins_drop(c, map);
	if (map->nr_runs) {
		type1_domains_unmap(c, map);
		type1_runs_unpin(map);
	}
	if (map->charged)
		type1_uncharge(map, map->charged);
	type1_dirty_forget(map);
	if (c->recent == map)
		c->recent = NULL;
	rb_erase(&map->node, &c->maps);
	c->nmaps--;
	c->avail++;
	c->nr_no_vaddr -= map->no_vaddr;
	c->nr_big -= map_npages(map) > TYPE1_DIRTY_PAGES_MAX;
	map_free(map);
}

void type1_unmap_all(struct type1_container *c)
{
	struct rb_node *node;
	struct type1_map *map;

	while ((node = rb_first(&c->maps))) {
		map = to_map(node);
		/* all devices are closed: one of their drivers is broken */
		WARN_ON_ONCE(map->npinned);
		map_remove(c, map);
		cond_resched();
	}
}

/* New addresses for what an unmap with VFIO_DMA_UNMAP_FLAG_VADDR took them from. */
static int map_set_vaddr(struct type1_container *c, u64 iova, u64 last, unsigned long vaddr)
{
	struct type1_map *map = type1_map_first(c, iova, last);
	int err;

	if (!map)
		return -ENOENT;
	if (!map->no_vaddr || map->iova != iova || map->last != last)
		return -EINVAL;
	err = type1_change_owner(map);
	if (err)
		return err;
	map->vaddr = vaddr;
	map->no_vaddr = false;
	c->nr_no_vaddr--;
	return 0;
}

static int map_add(struct type1_container *c, u64 iova, u64 size, unsigned long vaddr, int prot,
		   u64 *runs)
{
	struct rb_node *parent, **link;
	struct type1_map *map;
	int err;

	/* which holds until it is linked: nobody else may change the tree */
	if (!map_place(c, iova, iova + size - 1, &parent, &link))
		return -EEXIST;
	if (!c->avail)
		return -ENOSPC;
	if (!type1_ranges_hold(c->ranges, iova, iova + size - 1))
		return -EINVAL;
	if (c->tracking && size >> PAGE_SHIFT > TYPE1_DIRTY_PAGES_MAX)
		return -EINVAL;
	map = map_new(iova, size, vaddr, prot);
	if (!map)
		return -ENOMEM;

	/* Where no IOMMU translates, pages are pinned when a device wants them. */
	if (!list_empty(&c->domains)) {
		err = type1_runs_pin(map);
		if (err)
			goto free;
		*runs = map->nr_runs;
		err = type1_domains_map(c, map);
		if (err)
			goto unpin;
	}
	map_link(c, map, parent, link);
	return 0;

unpin:
	type1_runs_unpin(map);
	type1_uncharge(map, map->charged);
free:
	map_free(map);
	return err;
}

static int map_check(struct type1_container *c, const struct vfio_iommu_type1_dma_map *req,
		     int prot)
{
	u64 grain = type1_page_size(c) - 1;

	/* either a mapping is made, or one that is there gets its address */
	if (!prot == !(req->flags & VFIO_DMA_MAP_FLAG_VADDR))
		return -EINVAL;
	if (!req->size || req->iova + req->size - 1 < req->iova ||
	    req->vaddr + req->size - 1 < req->vaddr)
		return -EINVAL;
	if (!current->mm)
		return -ENODEV;
	return (req->size | req->iova | req->vaddr) & grain ? -EINVAL : 0;
}

int type1_map(struct type1_container *c, const struct vfio_iommu_type1_dma_map *req)
{
	u64 began = trace_vfio_map_enabled() ? ktime_get_ns() : 0, runs = 0;
	int prot = 0, err;

	if (req->flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= IOMMU_READ;
	if (req->flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= IOMMU_WRITE;

	mutex_lock(&c->lock);
	err = map_check(c, req, prot);
	if (!err && prot)
		err = map_add(c, req->iova, req->size, req->vaddr, prot, &runs);
	else if (!err)
		err = map_set_vaddr(c, req->iova, req->iova + req->size - 1, req->vaddr);
	if (began && !(req->flags & VFIO_DMA_MAP_FLAG_VADDR))
		trace_vfio_map(c, req->iova, req->size >> PAGE_SHIFT, runs, c->nmaps, c->avail,
			       ktime_get_ns() - began, err);
	mutex_unlock(&c->lock);
	return err;
}

/*
 * Have the devices let go of what they pinned in a range, of whose mappings @map is the
 * first. Their drivers do so by unpinning, for which the lock must be free: mappings come
 * and go meanwhile. What does not come any more are pins in the range, else a device that
 * is at work would be asked for one mapping while it pins in another.
 *
 * Return: 0 when nothing is pinned there; -EAGAIN when somebody was asked, and
 * everything has to be looked at anew; -EBUSY when asking does not help.
 */
static int unpin_by_devices(struct type1_container *c, struct type1_map *map, u64 iova, u64 last)
{
	u64 from = iova, asked = 0, size;
	struct vfio_device *device;
	unsigned int times = 0;

	while (map) {
		if (!map->npinned) {
			map = type1_map_next(map, last);
			continue;
		}
		if (asked != map->iova)
			times = 0;
		asked = map->iova;
		from = max(from, asked);
		size = map->last - asked + 1;
		if (times++ == ASK_MAX) {
			pr_warn_ratelimited("%s (%d): %lu pages stay pinned by a device\n",
					    current->comm, task_pid_nr(current), map->npinned);
			return -EBUSY;
		}
		c->going_first = iova;
		c->going_last = last;
		mutex_unlock(&c->lock);
		list_for_each_entry(device, &c->devices, iommu_entry)
			device->ops->dma_unmap(device, asked, size);
		mutex_lock(&c->lock);
		map = type1_map_first(c, from, last);
	}
	return times ? -EAGAIN : 0;
}

static int unmap_vaddr(struct type1_container *c, u64 iova, u64 last, u64 *size)
{
	struct type1_map *map;

	/* devices that pin need the address at any time */
	if (!list_empty(&c->emulated))
		return -EBUSY;
	for (map = type1_map_first(c, iova, last); map; map = type1_map_next(map, last))
		if (map->no_vaddr)
			return -EINVAL;
	for (map = type1_map_first(c, iova, last); map; map = type1_map_next(map, last)) {
		map->no_vaddr = true;
		c->nr_no_vaddr++;
		*size += map->last - map->iova + 1;
	}
	return 0;
}

/*
 * The first interface takes the mappings that begin in the range, whole, and none where
 * one lies across its begin.
 *
 * Return: 0, the @first mapping and the @last address; -ENOENT where there is nothing to
 * do; -EINVAL
 */
static int unmap_check(struct type1_container *c, const struct vfio_iommu_type1_dma_unmap *req,
		       struct type1_map **first, u64 *last)
{
	u64 grain = type1_page_size(c) - 1;

	if (req->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		*first = type1_map_any(c);
		*last = U64_MAX;
		return req->iova || req->size ? -EINVAL : 0;
	}
	*last = req->iova + req->size - 1;
	if (!req->size || *last < req->iova || (req->iova | req->size) & grain)
		return -EINVAL;
	if (c->v2) {
		*first = type1_map_whole(c, req->iova, *last);
		return PTR_ERR_OR_ZERO(*first);
	}
	*first = type1_map_first(c, req->iova, *last);
	return *first && (*first)->iova < req->iova ? -ENOENT : 0;
}

/* Only what is to go by its addresses can be reported. */
static int unmap_bitmap_check(const struct vfio_iommu_type1_dma_unmap *req,
			      const struct vfio_bitmap *bitmap)
{
	if (req->flags & (VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR))
		return -EINVAL;
	return type1_bitmap_check(bitmap, req->size);
}

static int unmap_report(struct type1_container *c, struct type1_map *first, u64 iova, u64 last,
			const struct vfio_bitmap *bitmap)
{
	u64 began = trace_vfio_dirty_get_enabled() ? ktime_get_ns() : 0, dirty = 0;
	u64 npages = (last - iova + 1) >> PAGE_SHIFT;
	int err;

	err = type1_dirty_report(c, first, iova, last, bitmap->data);
	if (!began)
		return err;
	if (!err)
		dirty = type1_dirty_count(c, iova, last);
	trace_vfio_dirty_get(c, iova, npages, TYPE1_BITMAP_BYTES(npages), dirty, true,
			     type1_dirty_full(c), ktime_get_ns() - began, err);
	return err;
}

static int unmap_locked(struct type1_container *c, struct vfio_iommu_type1_dma_unmap *req,
			const struct vfio_bitmap *bitmap, u64 *size, unsigned int *gone)
{
	struct type1_map *map, *first, *next;
	unsigned int rounds = 0;
	u64 last;
	int err;

	err = bitmap ? unmap_bitmap_check(req, bitmap) : 0;
	if (err)
		return err;
	do {
		err = unmap_check(c, req, &first, &last);
		if (err)
			return err == -ENOENT ? 0 : err;
		if (bitmap && (!c->tracking || bitmap->pgsize != type1_page_size(c)))
			return -EINVAL;
		if (req->flags & VFIO_DMA_UNMAP_FLAG_VADDR)
			return unmap_vaddr(c, req->iova, last, size);
		err = unpin_by_devices(c, first, req->iova, last);
	} while (err == -EAGAIN && rounds++ < ASK_MAX);
	if (err)
		return err == -EAGAIN ? -EBUSY : err;

	/* All is reported before anything is gone: then nothing can fail any more. */
	if (bitmap) {
		err = unmap_report(c, first, req->iova, last, bitmap);
		if (err)
			return err;
	}
	for (map = first; map; map = next) {
		next = type1_map_next(map, last);
		*size += map->last - map->iova + 1;
		++*gone;
		map_remove(c, map);
	}
	return 0;
}

/* Afterwards @req->size says how much it was. */
int type1_unmap(struct type1_container *c, struct vfio_iommu_type1_dma_unmap *req,
		const struct vfio_bitmap *bitmap)
{
	u64 began = trace_vfio_unmap_enabled() ? ktime_get_ns() : 0, size = 0;
	unsigned int gone = 0;
	int err;

	mutex_lock(&c->devices_lock);
	mutex_lock(&c->lock);
	err = unmap_locked(c, req, bitmap, &size, &gone);
	c->going_first = U64_MAX;
	c->going_last = 0;
	if (began && !(req->flags & VFIO_DMA_UNMAP_FLAG_VADDR))
		trace_vfio_unmap(c, req->iova, size >> PAGE_SHIFT, gone, c->nmaps, c->avail,
				 ktime_get_ns() - began, err);
	mutex_unlock(&c->lock);
	mutex_unlock(&c->devices_lock);
	req->size = size;
	return err;
}
