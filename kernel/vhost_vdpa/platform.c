// SPDX-License-Identifier: GPL-2.0
/*
 * The platform's IOMMU, for a device that does not translate by itself: while a process
 * has the device, it is in a domain of its own, in which there is what the process mapped.
 *
 * What cannot be used there: addresses beyond the domain's, and those the platform
 * keeps for itself. A write to x86's MSI window is an interrupt, whatever is mapped there.
 */
#include <linux/iommu.h>

#include "vhost_vdpa.h"

static bool translates(const struct vdpa_config_ops *ops)
{
	return ops->set_map || ops->dma_map;
}

static struct vdpa_iova_range usable_range(struct vhost_vdpa *v)
{
	const struct iommu_domain_geometry *platform = v->domain ? &v->domain->geometry : NULL;
	struct vdpa_iova_range range = { .last = U64_MAX };

	if (v->vdev->config->get_iova_range)
		range = vdpa_fetch(v->vdev, get_iova_range);
	if (platform && platform->force_aperture) {
		range.first = max_t(u64, range.first, platform->aperture_start);
		range.last = min_t(u64, range.last, platform->aperture_end);
	}
	return range;
}

static int domain_attach(struct vhost_vdpa *v, struct device *dma_dev)
{
	struct iommu_domain *domain = iommu_paging_domain_alloc(dma_dev);
	int err;

	if (IS_ERR(domain))
		return PTR_ERR(domain);
	/* refused where devices cannot be told apart: they are one group */
	err = iommu_attach_device(domain, dma_dev);
	if (err)
		iommu_domain_free(domain);
	else
		v->domain = domain;
	return err;
}

/* The device was reset: it does no DMA. */
int vhost_vdpa_platform_open(struct vhost_vdpa *v)
{
	struct device *dma_dev = vdpa_get_dma_dev(v->vdev);
	int err;

	INIT_LIST_HEAD(&v->reserved);
	if (!translates(v->vdev->config)) {
		if (!dma_dev || !device_iommu_capable(dma_dev, IOMMU_CAP_CACHE_COHERENCY))
			return -EOPNOTSUPP;
		err = domain_attach(v, dma_dev);
		if (err)
			return err;
		iommu_get_resv_regions(dma_dev, &v->reserved);
	}
	v->range = usable_range(v);
	return 0;
}

/* It was reset, and nothing is mapped any more. */
void vhost_vdpa_platform_close(struct vhost_vdpa *v)
{
	struct device *dma_dev = vdpa_get_dma_dev(v->vdev);

	if (!v->domain)
		return;
	iommu_put_resv_regions(dma_dev, &v->reserved);
	iommu_detach_device(v->domain, dma_dev);
	iommu_domain_free(v->domain);
	v->domain = NULL;
}

/* What is only so until a driver has the device, the firmware's, is not kept from it. */
static bool keeps(const struct iommu_resv_region *region, u64 first, u64 last)
{
	return region->type != IOMMU_RESV_DIRECT_RELAXABLE && last >= region->start &&
	       first <= region->start + (region->length - 1);
}

bool vhost_vdpa_platform_reserved(const struct vhost_vdpa *v, u64 first, u64 last)
{
	const struct iommu_resv_region *region;
	bool reserved = false;

	list_for_each_entry(region, &v->reserved, list)
		reserved |= keeps(region, first, last);
	return reserved;
}

int vhost_vdpa_platform_map(struct vhost_vdpa *v, const struct vhost_iotlb_map *map)
{
	int prot = IOMMU_CACHE;

	if (map->perm & VHOST_ACCESS_RO)
		prot |= IOMMU_READ;
	if (map->perm & VHOST_ACCESS_WO)
		prot |= IOMMU_WRITE;
	return iommu_map(v->domain, map->start, map->addr, map->size, prot, GFP_KERNEL_ACCOUNT);
}

/* When it returns, no translation of them is cached any more. */
void vhost_vdpa_platform_unmap(struct vhost_vdpa *v, u64 iova, u64 size)
{
	size_t gone;

	while (size) {
		gone = min(iommu_unmap(v->domain, iova, size), size);
		/* it stops where something fails; what is behind that is to go nevertheless */
		if (WARN_ON_ONCE(!gone))
			gone = PAGE_SIZE;
		iova += gone;
		size -= gone;
	}
}
