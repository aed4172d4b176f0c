// SPDX-License-Identifier: GPL-2.0
/*
 * Groups of devices, and the IOMMU domains that translate for them. Groups whose IOMMUs
 * work alike share a domain. Every domain translates every mapping.
 *
 * A group without an IOMMU has no domain: its devices pin what they use.
 */
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <trace/events/vfio.h>

#include "type1.h"

/* So much is unmapped, and flushed, at a time. */
#define UNMAP_BYTES	((u64)SZ_1G)
#define SG_RUNS		(PAGE_SIZE / sizeof(struct scatterlist))

static int map_prot(const struct type1_map *map)
{
	return map->prot | IOMMU_CACHE;
}

/*
 * A page of the IOMMU that begins in what is asked for goes whole, and may reach beyond it:
 * the next piece begins where that ends. If it fails, something may translate to the
 * mapping's memory for ever.
 */
static void domain_unmap(struct iommu_domain *domain, struct type1_map *map, u64 iova, u64 size)
{
	u64 some, gone;

	for (; size; iova += gone, size -= min(gone, size)) {
		some = min(size, UNMAP_BYTES - iova % UNMAP_BYTES);
		gone = iommu_unmap(domain, iova, some);
		if (WARN_ON_ONCE(gone < some)) {
			map->stuck = true;
			return;
		}
		cond_resched();
	}
}

static void domain_unmap_all(struct iommu_domain *domain, struct type1_map *map)
{
	domain_unmap(domain, map, map->iova, map->last - map->iova + 1);
}

/* One run; where huge pages are switched off, page by page. */
static int domain_map_run(struct iommu_domain *domain, struct type1_map *map, u64 iova,
			  const struct type1_run *run)
{
	u64 phys = PFN_PHYS(run->pfn), size = PFN_PHYS(run->n), done = 0, step;
	int err;

	step = READ_ONCE(type1_disable_hugepages) ? PAGE_SIZE : size;
	do {
		err = iommu_map(domain, iova + done, phys + done, step, map_prot(map),
				GFP_KERNEL_ACCOUNT);
		if (err) {
			domain_unmap(domain, map, iova, done);
			return err;
		}
		done += step;
		cond_resched();
	} while (done < size);
	return 0;
}

/*
 * As many runs from the mapping's @first on as there is room for, in one call: what the
 * IOMMU has to be told of new translations is told once. Return: how many runs, or an error.
 */
static long domain_map_runs(struct iommu_domain *domain, struct type1_map *map, u64 iova,
			    unsigned long first, struct scatterlist *sg, u64 *size)
{
	const struct type1_run *runs = map->runs + first;
	unsigned long nr = min(map->nr_runs - first, SG_RUNS);
	unsigned int n;
	ssize_t mapped;
	int err;

	*size = PFN_PHYS(runs->n);
	if (nr == 1 || !sg || !runs->ours || READ_ONCE(type1_disable_hugepages)) {
		err = domain_map_run(domain, map, iova, runs);
		return err ?: 1;
	}
	sg_init_table(sg, SG_RUNS);
	*size = 0;
	/* what is not ours may have no struct page */
	for (n = 0; n < nr && runs[n].ours; n++) {
		sg_set_page(&sg[n], pfn_to_page(runs[n].pfn), PFN_PHYS(runs[n].n), 0);
		*size += PFN_PHYS(runs[n].n);
	}
	mapped = iommu_map_sg(domain, iova, sg, n, map_prot(map), GFP_KERNEL_ACCOUNT);
	if (mapped < 0)
		return mapped;
	return mapped == *size ? n : -EIO;
}

static int domain_map(struct iommu_domain *domain, struct type1_map *map)
{
	struct scatterlist *sg = NULL;
	u64 iova = map->iova, size;
	unsigned long i = 0;
	long n = 0;

	/* without it is only slower */
	if (map->nr_runs > 1)
		sg = (struct scatterlist *)__get_free_page(GFP_KERNEL | __GFP_NOWARN);
	while (i < map->nr_runs) {
		n = domain_map_runs(domain, map, iova, i, sg, &size);
		if (n < 0)
			break;
		iova += size;
		i += n;
		cond_resched();
	}
	free_page((unsigned long)sg);
	if (n < 0) {
		domain_unmap(domain, map, map->iova, iova - map->iova);
		return n;
	}
	return 0;
}

/* The pages of @map are pinned: have every domain translate to them, or none. */
int type1_domains_map(struct type1_container *c, struct type1_map *map)
{
	struct type1_domain *domain, *undo;
	int err = 0;

	list_for_each_entry(domain, &c->domains, next) {
		err = domain_map(domain->domain, map);
		if (err)
			break;
	}
	/* the one that failed undid its own */
	list_for_each_entry(undo, &c->domains, next) {
		if (!err || undo == domain)
			break;
		domain_unmap_all(undo->domain, map);
	}
	return err;
}

void type1_domains_unmap(struct type1_container *c, struct type1_map *map)
{
	struct type1_domain *domain;

	list_for_each_entry(domain, &c->domains, next)
		domain_unmap_all(domain->domain, map);
}

static void update_page_sizes(struct type1_container *c)
{
	struct type1_domain *domain;

	c->pgsizes = ULONG_MAX;
	list_for_each_entry(domain, &c->domains, next)
		c->pgsizes &= domain->domain->pgsize_bitmap;
	/*
	 * Pages are pinned as they are. Smaller ones of an IOMMU are its own business, and
	 * where there is no IOMMU any size will do.
	 */
	if (c->pgsizes & ~PAGE_MASK)
		c->pgsizes = (c->pgsizes & PAGE_MASK) | PAGE_SIZE;
}

/*
 * The container's first domain: nothing is pinned for good yet. Or one more, to
 * translate to what is.
 */
static int replay(struct type1_container *c, struct iommu_domain *domain)
{
	bool first = list_empty(&c->domains);
	struct type1_map *map, *undo;
	int err;

	for (map = type1_map_any(c); map; map = type1_map_after(map)) {
		err = first ? type1_runs_pin(map) : 0;
		if (err)
			goto undo;
		err = domain_map(domain, map);
		if (err) {
			if (first)
				goto unpin;
			goto undo;
		}
	}
	return 0;

unpin:
	type1_runs_unpin(map);
	type1_uncharge(map, map->charged - map->npinned_charged);
undo:
	for (undo = type1_map_any(c); undo; undo = type1_map_after(undo)) {
		if (undo == map)
			break;
		domain_unmap_all(domain, undo);
		if (!first)
			continue;
		type1_runs_unpin(undo);
		type1_uncharge(undo, undo->charged - undo->npinned_charged);
	}
	return err;
}

/* The last domain goes, devices that pin stay: what they hold is charged for, no more. */
static void unplay(struct type1_container *c)
{
	struct type1_map *map;

	for (map = type1_map_any(c); map; map = type1_map_after(map)) {
		type1_domains_unmap(c, map);
		type1_runs_unpin(map);
		/* what lies at the address may not be what was mapped: more is held then */
		if (map->charged < map->npinned_charged)
			type1_charge_held(map, map->npinned_charged - map->charged);
		else
			type1_uncharge(map, map->charged - map->npinned_charged);
	}
}

static struct type1_group *group_in(struct list_head *groups, struct iommu_group *wanted)
{
	struct type1_group *group;

	list_for_each_entry(group, groups, next)
		if (group->group == wanted)
			return group;
	return NULL;
}

struct type1_group *type1_group_find(struct type1_container *c, struct iommu_group *wanted,
				     struct type1_domain **in)
{
	struct type1_group *group;
	struct type1_domain *domain;

	list_for_each_entry(domain, &c->domains, next) {
		group = group_in(&domain->groups, wanted);
		if (group) {
			if (in)
				*in = domain;
			return group;
		}
	}
	return group_in(&c->emulated, wanted);
}

static void opaque_changed(struct type1_container *c, int by)
{
	c->nr_opaque += by;
	trace_vfio_dirty_scope(c, c->nr_opaque, c->tracking);
}

/*
 * A group dirties only what it pins from now on. What it wrote so far nobody knows, so
 * that all of it has to be reported once more.
 */
void type1_group_promise(struct type1_container *c, struct type1_group *group)
{
	group->pins = true;
	type1_dirty_all(c);
	opaque_changed(c, -1);
}

/* For any device of the group, while it cannot go away: all have the same IOMMU. */
static int alloc_for_device(struct device *dev, void *domain)
{
	*(struct iommu_domain **)domain = iommu_paging_domain_alloc(dev);
	return 1;
}

static struct type1_domain *domain_new(struct type1_container *c, struct iommu_group *group)
{
	struct type1_domain *domain;
	int err;

	domain = kzalloc(sizeof(*domain), GFP_KERNEL_ACCOUNT);
	if (!domain)
		return ERR_PTR(-ENOMEM);
	INIT_LIST_HEAD(&domain->groups);
	domain->domain = ERR_PTR(-ENODEV);
	iommu_group_for_each_dev(group, &domain->domain, alloc_for_device);
	if (IS_ERR(domain->domain)) {
		err = PTR_ERR(domain->domain);
		goto free;
	}
	if (c->nesting) {
		err = iommu_enable_nesting(domain->domain);
		if (err)
			goto free_domain;
	}
	return domain;

free_domain:
	iommu_domain_free(domain->domain);
free:
	kfree(domain);
	return ERR_PTR(err);
}

static void domain_free(struct type1_domain *domain)
{
	iommu_domain_free(domain->domain);
	kfree(domain);
}

/*
 * Move a group from its own domain to one that works alike and takes it.
 *
 * Return: 0, with @domain what it is in now; an error, and the group is in none.
 */
static int share_domain(struct type1_container *c, struct iommu_group *group,
			struct type1_domain **domain)
{
	struct type1_domain *own = *domain, *other;
	int err;

	list_for_each_entry(other, &c->domains, next) {
		if (other->domain->ops != own->domain->ops || other->coherent != own->coherent)
			continue;
		iommu_detach_group(own->domain, group);
		if (!iommu_attach_group(other->domain, group)) {
			*domain = other;
			return 0;
		}
		err = iommu_attach_group(own->domain, group);
		if (err)
			return err;
	}
	return 0;
}

static bool maps_fit(struct type1_container *c, const struct type1_ranges *ranges)
{
	struct type1_map *map;

	for (map = type1_map_any(c); map; map = type1_map_after(map))
		if (!type1_ranges_hold(ranges, map->iova, map->last))
			return false;
	return true;
}

/* @group has an IOMMU. It is in a domain that translates all mappings, or nothing changes. */
static int attach_to_iommu(struct type1_container *c, struct type1_group *group)
{
	struct type1_domain *own, *domain;
	struct type1_ranges *ranges;
	bool has_msi = false;
	phys_addr_t msi = 0;
	int err;

	own = domain_new(c, group->group);
	if (IS_ERR(own))
		return PTR_ERR(own);
	err = iommu_attach_group(own->domain, group->group);
	if (err)
		goto free_domain;

	err = type1_ranges_make(c, own->domain, group->group, &ranges, &msi, &has_msi);
	if (err)
		goto detach;
	err = -EINVAL;
	if (!maps_fit(c, ranges))
		goto free_ranges;
	err = -EPERM;
	if (!READ_ONCE(type1_allow_unsafe_interrupts) &&
	    !iommu_group_has_isolated_msi(group->group)) {
		pr_warn("vfio_iommu_type1: interrupts of the group are not isolated; allow_unsafe_interrupts=1 allows it\n");
		goto free_ranges;
	}

	/* Where snooping can be enforced it is: KVM then need not care for WBINVD. */
	if (own->domain->ops->enforce_cache_coherency)
		own->coherent = own->domain->ops->enforce_cache_coherency(own->domain);

	domain = own;
	err = share_domain(c, group->group, &domain);
	if (err) {
		kfree(ranges);
		goto free_domain;
	}
	if (domain == own) {
		err = replay(c, own->domain);
		if (err)
			goto free_ranges;
		if (has_msi)
			err = iommu_get_msi_cookie(own->domain, msi);
		if (err && err != -ENODEV)
			goto unreplay;
		list_add(&own->next, &c->domains);
		update_page_sizes(c);
	} else {
		domain_free(own);
	}
	list_add(&group->next, &domain->groups);
	kfree(c->ranges);
	c->ranges = ranges;
	opaque_changed(c, 1);
	return 0;

unreplay:
	if (list_empty(&c->domains)) {
		list_add(&own->next, &c->domains);
		unplay(c);
		list_del(&own->next);
	}
free_ranges:
	kfree(ranges);
detach:
	iommu_detach_group(own->domain, group->group);
free_domain:
	domain_free(own);
	return err;
}

int type1_attach_group(void *data, struct iommu_group *iommu_group, enum vfio_group_type type)
{
	struct type1_container *c = data;
	struct type1_group *group;
	int err;

	group = kzalloc(sizeof(*group), GFP_KERNEL_ACCOUNT);
	if (!group)
		return -ENOMEM;
	group->group = iommu_group;

	mutex_lock(&c->lock);
	if (c->nr_no_vaddr) {
		/* pages may have to be pinned, and nobody knows where */
		err = -EBUSY;
	} else if (type1_group_find(c, iommu_group, NULL)) {
		err = -EINVAL;
	} else if (type == VFIO_EMULATED_IOMMU) {
		/* cannot write but by what we offer, so it needs no promise */
		group->pins = true;
		list_add(&group->next, &c->emulated);
		err = 0;
	} else {
		err = attach_to_iommu(c, group);
	}
	mutex_unlock(&c->lock);
	if (err)
		kfree(group);
	return err;
}

/* The last group of a domain left. */
static void domain_remove(struct type1_container *c, struct type1_domain *domain)
{
	/* Mappings live as long as somebody can use them. */
	if (list_is_singular(&c->domains)) {
		if (list_empty(&c->emulated))
			type1_unmap_all(c);
		else
			unplay(c);
	}
	list_del(&domain->next);
	domain_free(domain);
	update_page_sizes(c);
}

void type1_detach_group(void *data, struct iommu_group *iommu_group)
{
	struct type1_container *c = data;
	struct type1_domain *domain = NULL;
	struct type1_ranges *ranges;
	struct type1_group *group;

	mutex_lock(&c->lock);
	group = type1_group_find(c, iommu_group, &domain);
	if (WARN_ON_ONCE(!group))
		goto unlock;
	list_del(&group->next);
	if (domain) {
		iommu_detach_group(domain->domain, iommu_group);
		if (list_empty(&domain->groups))
			domain_remove(c, domain);
		/* what was reserved for it is free; if that cannot be had, it stays reserved */
		if (!type1_ranges_make(c, NULL, NULL, &ranges, NULL, NULL)) {
			kfree(c->ranges);
			c->ranges = ranges;
		}
	} else if (list_empty(&c->emulated) && list_empty(&c->domains)) {
		type1_unmap_all(c);
	}
	if (!group->pins) {
		type1_dirty_all(c);
		opaque_changed(c, -1);
	}
	kfree(group);
unlock:
	mutex_unlock(&c->lock);
}

struct iommu_domain *type1_group_domain(void *data, struct iommu_group *group)
{
	struct type1_container *c = data;
	struct type1_domain *domain = NULL;

	if (!c || !group)
		return ERR_PTR(-EINVAL);
	mutex_lock(&c->lock);
	type1_group_find(c, group, &domain);
	mutex_unlock(&c->lock);
	return domain ? domain->domain : ERR_PTR(-ENODEV);
}

bool type1_all_coherent(struct type1_container *c)
{
	struct type1_domain *domain;
	bool all = true;

	mutex_lock(&c->lock);
	list_for_each_entry(domain, &c->domains, next)
		all &= domain->coherent;
	mutex_unlock(&c->lock);
	return all;
}

/* What is left when the container goes: nobody uses it any more. */
void type1_domains_release(struct type1_container *c)
{
	struct type1_domain *domain, *next_domain;
	struct type1_group *group, *next;

	list_for_each_entry_safe(domain, next_domain, &c->domains, next) {
		list_for_each_entry_safe(group, next, &domain->groups, next) {
			iommu_detach_group(domain->domain, group->group);
			kfree(group);
		}
		domain_free(domain);
	}
	list_for_each_entry_safe(group, next, &c->emulated, next)
		kfree(group);
	kfree(c->ranges);
}
