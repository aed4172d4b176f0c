// SPDX-License-Identifier: GPL-2.0
/*
 * Which addresses can be mapped: what every IOMMU domain of the container can
 * translate, less what is reserved for any of its groups. Made anew from all of
 * them whenever one comes or goes, in an array that GET_INFO hands out as it is.
 */
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "type1.h"

static int by_start(const void *a, const void *b)
{
	const struct vfio_iova_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void narrow(struct vfio_iova_range *window, const struct iommu_domain *domain)
{
	window->start = max_t(u64, window->start, domain->geometry.aperture_start);
	window->end = min_t(u64, window->end, domain->geometry.aperture_end);
}

/* What lies between @nr reserved ranges, sorted, which may overlap. */
static int gaps(struct vfio_iova_range window, const struct vfio_iova_range *reserved,
		unsigned int nr, struct type1_ranges **made)
{
	struct type1_ranges *ranges;
	unsigned int i;

	ranges = kzalloc(struct_size(ranges, iova_ranges, nr + 1), GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;

	for (i = 0; i < nr && window.start <= window.end; i++) {
		if (reserved[i].end < window.start)
			continue;
		if (reserved[i].start > window.end)
			break;
		if (reserved[i].start > window.start) {
			ranges->iova_ranges[ranges->nr_iovas].start = window.start;
			ranges->iova_ranges[ranges->nr_iovas++].end = reserved[i].start - 1;
		}
		if (reserved[i].end >= window.end) {
			window = (struct vfio_iova_range) { .start = 1 };
			break;
		}
		window.start = reserved[i].end + 1;
	}
	if (window.start <= window.end)
		ranges->iova_ranges[ranges->nr_iovas++] = window;

	if (!ranges->nr_iovas) {
		kfree(ranges);
		return -EINVAL;
	}
	*made = ranges;
	return 0;
}

/*
 * The group's own MSI window counts for more than one that software may place: with
 * both there is nothing to place.
 */
static bool find_sw_msi(struct list_head *regions, phys_addr_t *base)
{
	struct iommu_resv_region *region, *placed = NULL;
	unsigned int own = 0;

	list_for_each_entry(region, regions, list) {
		own += region->type == IOMMU_RESV_MSI;
		placed = region->type == IOMMU_RESV_SW_MSI ? region : placed;
	}
	if (own || !placed)
		return false;
	*base = placed->start;
	return true;
}

/**
 * type1_ranges_make - find out what can be mapped
 * @c: the container
 * @more_domain: a domain that is about to be one of its own, or NULL
 * @more_group: a group that is, or NULL
 * @made: what was found; NULL, for everything, where there is no domain
 * @sw_msi: where @more_group wants its MSI window
 * @has_sw_msi: whether it wants one
 *
 * Return: 0; -EINVAL where nothing is left; -ENOMEM
 */
int type1_ranges_make(struct type1_container *c, struct iommu_domain *more_domain,
		      struct iommu_group *more_group, struct type1_ranges **made,
		      phys_addr_t *sw_msi, bool *has_sw_msi)
{
	struct vfio_iova_range window = { .end = U64_MAX }, *reserved = NULL;
	struct iommu_resv_region *region, *next;
	struct type1_domain *domain;
	struct type1_group *group;
	LIST_HEAD(regions);
	unsigned int n = 0;
	int err = 0;

	*made = NULL;
	if (list_empty(&c->domains) && !more_domain)
		return 0;

	if (more_domain)
		narrow(&window, more_domain);
	if (more_group) {
		err = iommu_get_group_resv_regions(more_group, &regions);
		*has_sw_msi = find_sw_msi(&regions, sw_msi);
	}
	list_for_each_entry(domain, &c->domains, next) {
		narrow(&window, domain->domain);
		list_for_each_entry(group, &domain->groups, next)
			err = err ?: iommu_get_group_resv_regions(group->group, &regions);
	}
	if (err)
		goto free;

	reserved = kcalloc(list_count_nodes(&regions) + 1, sizeof(*reserved), GFP_KERNEL);
	if (!reserved) {
		err = -ENOMEM;
		goto free;
	}
	list_for_each_entry(region, &regions, list) {
		if (region->type == IOMMU_RESV_DIRECT_RELAXABLE || !region->length)
			continue;
		reserved[n].start = region->start;
		reserved[n++].end = region->start + region->length - 1;
	}
	sort(reserved, n, sizeof(*reserved), by_start, NULL);
	err = gaps(window, reserved, n, made);
free:
	kfree(reserved);
	list_for_each_entry_safe(region, next, &regions, list)
		kfree(region);
	return err;
}

bool type1_in_ranges(const struct type1_ranges *ranges, u64 iova, u64 last)
{
	unsigned int i;

	for (i = 0; i < ranges->nr_iovas; i++)
		if (iova >= ranges->iova_ranges[i].start && last <= ranges->iova_ranges[i].end)
			return true;
	return false;
}
