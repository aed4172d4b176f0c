// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated device's own IOMMU: one table of translations for each address space.
 *
 * A table is empty at first, and what a vhost user maps is all that the device can reach.
 * Only for the kernel's own drivers, which map nothing, there is an identity map
 * of all memory, from the moment they start the device until it is reset.
 *
 * A reset keeps maps, unless it is asked to drop them; an identity map never survives it.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <trace/events/vdpa_sim.h>
#include <vhost_iotlb/map.h>
#include <vhost_iotlb/window.h>

#include "vdpa_sim.h"

static int max_iotlb_entries = 2048;
module_param(max_iotlb_entries, int, 0444);
MODULE_PARM_DESC(max_iotlb_entries,
		 "Maximum number of iotlb entries for each address space. (default: 2048)");

/*
 * Maps of user addresses pin nothing that would bound them, nor do maps added one by one
 * account for themselves: the limit does. A whole table of pinned memory
 * that we are handed is as large as its owner has accounted for.
 */
static unsigned int table_limit(const struct vdpasim *sim)
{
	if (sim->vdpa.config->set_map && !sim->vdpa.use_va)
		return UINT_MAX;
	return max_iotlb_entries;
}

/* All that is memory, or can be: more may be plugged in while a driver has the device. */
static struct vhost_iotlb_map *map_of_all(void)
{
	struct vhost_iotlb_map *map = kzalloc(sizeof(*map), GFP_KERNEL);

	if (map) {
		map->last = BIT_ULL(MAX_PHYSMEM_BITS) - 1;
		map->perm = VHOST_MAP_RW;
	}
	return map;
}

int vdpasim_iommu_init(struct vdpasim *sim)
{
	unsigned int asid;
	int err = 0;

	if (max_iotlb_entries < 1)
		return -EINVAL;
	spin_lock_init(&sim->iommu_lock);
	sim->as = kcalloc(sim->attr.nas, sizeof(*sim->as), GFP_KERNEL);
	if (!sim->as)
		return -ENOMEM;
	for (asid = 0; asid < sim->attr.nas; asid++) {
		vhost_iotlb_init(&sim->as[asid].table, table_limit(sim), 0);
		sim->as[asid].whole = map_of_all();
		if (!sim->as[asid].whole)
			err = -ENOMEM;
	}
	return err;
}

void vdpasim_iommu_free(struct vdpasim *sim)
{
	unsigned int asid;

	for (asid = 0; sim->as && asid < sim->attr.nas; asid++) {
		vhost_iotlb_reset(&sim->as[asid].table);
		kfree(sim->as[asid].whole);
	}
	kfree(sim->as);
}

static void say(struct vdpasim *sim, unsigned int asid, int err)
{
	const struct vhost_iotlb *table = &sim->as[asid].table;

	trace_vdpa_sim_map(sim->vdpa.index, asid, READ_ONCE(table->nmaps), err, &sim->vdpa, table);
}

/* @new takes the place of what is mapped, which is freed where sleeping is allowed. */
static void replace(struct vdpasim *sim, unsigned int asid, struct vhost_iotlb *new, bool identity)
{
	struct vdpasim_as *as = &sim->as[asid];
	bool was_identity = as->identity;

	spin_lock(&sim->iommu_lock);
	vhost_iotlb_swap(&as->table, new);
	WRITE_ONCE(as->identity, identity);
	spin_unlock(&sim->iommu_lock);
	if (was_identity) {
		/* for the next driver */
		as->whole = list_first_entry(&new->list, struct vhost_iotlb_map, link);
		list_del(&as->whole->link);
	}
	vhost_iotlb_discard(new);
}

static void clear(struct vdpasim *sim, unsigned int asid)
{
	struct vhost_iotlb empty;

	vhost_iotlb_init(&empty, 1, 0);
	replace(sim, asid, &empty, false);
	say(sim, asid, 0);
}

/* A driver that starts the device cannot be told of an error, and waits for it for ever. */
void vdpasim_iommu_identity(struct vdpasim *sim)
{
	struct vhost_iotlb whole;
	unsigned int asid;

	for (asid = 0; asid < sim->attr.nas; asid++) {
		if (sim->as[asid].identity)
			continue;
		vhost_iotlb_init(&whole, 1, 0);
		WARN_ON_ONCE(vhost_iotlb_insert(&whole, sim->as[asid].whole));
		sim->as[asid].whole = NULL;
		replace(sim, asid, &whole, true);
		say(sim, asid, 0);
	}
}

void vdpasim_iommu_reset(struct vdpasim *sim, bool all)
{
	unsigned int asid;

	for (asid = 0; asid < sim->attr.nas; asid++)
		if (all || sim->as[asid].identity)
			clear(sim, asid);
		else
			say(sim, asid, 0);
}

static bool table_has(struct vhost_iotlb *table, const struct vhost_iotlb_map *like)
{
	struct vhost_iotlb_map *map;

	for (map = vhost_iotlb_itree_first(table, like->start, like->start);
	     map && map->start <= like->start;
	     map = vhost_iotlb_itree_next(map, like->start, like->start))
		if (map->start == like->start && map->last == like->last &&
		    map->addr == like->addr && map->perm == like->perm)
			return true;
	return false;
}

/*
 * There is no memory for a copy of @want. What is not in it any more goes in any
 * case: with the base's vhost_vdpa its pages are about to be released.
 */
static void trim(struct vdpasim *sim, unsigned int asid, struct vhost_iotlb *want)
{
	struct vhost_iotlb *have = &sim->as[asid].table;
	struct vhost_iotlb_map *map, *next;

	spin_lock(&sim->iommu_lock);
	list_for_each_entry_safe(map, next, &have->list, link) {
		if (!table_has(want, map))
			vhost_iotlb_map_free(have, map);
		/* who changes tables is alone with the device: others only look things up */
		cond_resched_lock(&sim->iommu_lock);
	}
	spin_unlock(&sim->iommu_lock);
}

int vdpasim_set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vhost_iotlb copy;
	int err;

	if (asid >= sim->attr.nas)
		return -EINVAL;
	vhost_iotlb_init(&copy, table_limit(sim), 0);
	err = vhost_iotlb_copy(&copy, iotlb, GFP_KERNEL_ACCOUNT);
	if (err)
		trim(sim, asid, iotlb);
	else
		replace(sim, asid, &copy, false);
	say(sim, asid, err);
	return err;
}

int vdpasim_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size, u64 pa,
		    u32 perm, void *opaque)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vhost_iotlb *table;
	int err;

	/* a size of 0 is all addresses, as far as it can be said */
	if (asid >= sim->attr.nas || iova + (size - 1) < iova)
		return -EINVAL;
	table = &sim->as[asid].table;
	spin_lock(&sim->iommu_lock);
	err = vhost_iotlb_add_range_ctx(table, iova, iova + (size - 1), pa, perm, opaque);
	spin_unlock(&sim->iommu_lock);
	say(sim, asid, err);
	return err;
}

int vdpasim_dma_unmap(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vhost_iotlb *table;

	if (asid >= sim->attr.nas || iova + (size - 1) < iova)
		return -EINVAL;
	table = &sim->as[asid].table;
	spin_lock(&sim->iommu_lock);
	vhost_iotlb_del_range(table, iova, iova + (size - 1));
	spin_unlock(&sim->iommu_lock);
	say(sim, asid, 0);
	return 0;
}

/* Nothing is what is mapped by default. */
int vdpasim_reset_map(struct vdpa_device *vdpa, unsigned int asid)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (asid >= sim->attr.nas)
		return -EINVAL;
	clear(sim, asid);
	return 0;
}
