// SPDX-License-Identifier: GPL-2.0
/*
 * The type1 backend of VFIO containers: memory of a process, mapped for devices to use
 * by DMA, through IOMMUs that translate for them or by drivers that pin what they
 * use; with tracking of what devices write.
 *
 * Here is what user space and the container ask for. Whether a request is one is seen here;
 * what it is about is checked where the event is that tells of it, before anything is
 * computed from it.
 */
#include <linux/cleanup.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define CREATE_TRACE_POINTS
#include <trace/events/vfio.h>

#include "type1.h"

bool type1_allow_unsafe_interrupts;
module_param_named(allow_unsafe_interrupts, type1_allow_unsafe_interrupts, bool, 0644);
MODULE_PARM_DESC(allow_unsafe_interrupts,
		 "Accept devices whose interrupts the platform cannot isolate");

bool type1_disable_hugepages;
module_param_named(disable_hugepages, type1_disable_hugepages, bool, 0644);
MODULE_PARM_DESC(disable_hugepages, "Have IOMMUs translate page by page, huge or not");

static unsigned int dma_entry_limit __read_mostly = U16_MAX;
module_param(dma_entry_limit, uint, 0644);
MODULE_PARM_DESC(dma_entry_limit, "How many mappings a new container may hold (65535)");

static long check_extension(struct type1_container *c, unsigned long what)
{
	bool emulated;

	switch (what) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_TYPE1_NESTING_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_UPDATE_VADDR:
		if (!c)
			return 0;
		/* a device that pins may do so any time */
		mutex_lock(&c->lock);
		emulated = !list_empty(&c->emulated);
		mutex_unlock(&c->lock);
		return !emulated;
	case VFIO_DMA_CC_IOMMU:
		return c && type1_all_coherent(c);
	default:
		return 0;
	}
}

/* What tracking can do; a container whose pages are none of the machine's cannot. */
static int add_migration(struct type1_container *c, struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_cap_migration cap = {
		.header.id		= VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION,
		.header.version		= 1,
		.pgsize_bitmap		= PAGE_SIZE,
		.max_dirty_bitmap_size	= TYPE1_DIRTY_BYTES_MAX,
	};

	if (type1_page_size(c) != PAGE_SIZE)
		return 0;
	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int add_avail(struct type1_container *c, struct vfio_info_cap *caps)
{
	struct vfio_iommu_type1_info_dma_avail cap = {
		.header.id	= VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
		.header.version	= 1,
		.avail		= c->avail,
	};

	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static int add_ranges(struct type1_container *c, struct vfio_info_cap *caps)
{
	if (!c->ranges)
		return 0;
	c->ranges->header.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE;
	c->ranges->header.version = 1;
	return vfio_info_add_capability(caps, &c->ranges->header,
					struct_size(c->ranges, iova_ranges, c->ranges->nr_iovas));
}

static long get_info(struct type1_container *c, void __user *arg)
{
	const size_t min_size = offsetofend(struct vfio_iommu_type1_info, iova_pgsizes);
	struct vfio_info_cap caps = { };
	struct vfio_iommu_type1_info info = { };
	u32 room;
	int err;

	if (copy_from_user(&info, arg, min_size))
		return -EFAULT;
	room = info.argsz;
	if (room < min_size)
		return -EINVAL;

	mutex_lock(&c->lock);
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = c->pgsizes;
	err = add_migration(c, &caps);
	err = err ?: add_avail(c, &caps);
	err = err ?: add_ranges(c, &caps);
	mutex_unlock(&c->lock);
	if (err)
		return err;

	info.argsz = sizeof(info) + caps.size;
	if (room >= info.argsz) {
		info.argsz = room;
		info.cap_offset = sizeof(info);
		vfio_info_cap_shift(&caps, sizeof(info));
		if (copy_to_user(arg + sizeof(info), caps.buf, caps.size))
			err = -EFAULT;
	}
	kfree(caps.buf);
	if (!err && copy_to_user(arg, &info, min_t(size_t, room, sizeof(info))))
		err = -EFAULT;
	return err;
}

/*
 * Take in a request. All begin with their size as the caller knows it, which may be
 * more than we do, and flags.
 */
static inline int fetch(void *req, const void __user *arg, size_t size, u32 known)
{
	const u32 *argsz = req, *flags = argsz + 1;

	if (copy_from_user(req, arg, size))
		return -EFAULT;
	return *argsz < size || *flags & ~known ? -EINVAL : 0;
}

static long map_dma(struct type1_container *c, void __user *arg)
{
	const u32 known = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE |
			  VFIO_DMA_MAP_FLAG_VADDR;
	struct vfio_iommu_type1_dma_map map;

	return fetch(&map, arg, sizeof(map), known) ?: type1_map(c, &map);
}

static long unmap_dma(struct type1_container *c, void __user *arg)
{
	const size_t min_size = offsetofend(struct vfio_iommu_type1_dma_unmap, size);
	const u32 known = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_ALL |
			  VFIO_DMA_UNMAP_FLAG_VADDR;
	struct vfio_iommu_type1_dma_unmap unmap;
	struct vfio_bitmap bitmap;
	bool report;
	long err;

	err = fetch(&unmap, arg, min_size, known);
	if (err)
		return err;
	report = unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	if (report && unmap.argsz < min_size + sizeof(bitmap))
		return -EINVAL;
	if (report && copy_from_user(&bitmap, arg + min_size, sizeof(bitmap)))
		return -EFAULT;

	err = type1_unmap(c, &unmap, report ? &bitmap : NULL);
	if (!err && copy_to_user(arg, &unmap, min_size))
		err = -EFAULT;
	return err;
}

static long start_tracking(struct type1_container *c)
{
	u64 began = trace_vfio_dirty_start_enabled() ? ktime_get_ns() : 0;
	bool on;
	int err = 0;

	mutex_lock(&c->lock);
	on = c->tracking;
	if (!on)
		err = type1_dirty_start(c);
	if (began)
		trace_vfio_dirty_start(c, c->nmaps, !on && !err, ktime_get_ns() - began, err);
	mutex_unlock(&c->lock);
	return err;
}

static long stop_tracking(struct type1_container *c)
{
	u64 began = trace_vfio_dirty_stop_enabled() ? ktime_get_ns() : 0;
	bool on;

	mutex_lock(&c->lock);
	on = c->tracking;
	if (on)
		type1_dirty_stop(c);
	if (began)
		trace_vfio_dirty_stop(c, c->nmaps, on, ktime_get_ns() - began, 0);
	mutex_unlock(&c->lock);
	return 0;
}

static long get_bitmap(struct type1_container *c, u32 room, void __user *arg)
{
	struct vfio_iommu_type1_dirty_bitmap_get get;
	int err;

	if (room < sizeof(get))
		return -EINVAL;
	if (copy_from_user(&get, arg, sizeof(get)))
		return -EFAULT;

	mutex_lock(&c->lock);
	err = type1_dirty_get(c, &get);
	mutex_unlock(&c->lock);
	return err;
}

static long dirty_pages(struct type1_container *c, void __user *arg)
{
	const size_t min_size = offsetofend(struct vfio_iommu_type1_dirty_bitmap, flags);
	struct vfio_iommu_type1_dirty_bitmap dirty;
	int err;

	if (!c->v2)
		return -EACCES;
	err = fetch(&dirty, arg, min_size, U32_MAX);
	if (err)
		return err;

	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return start_tracking(c);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		return stop_tracking(c);
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		return get_bitmap(c, dirty.argsz - min_size, arg + min_size);
	default:
		return -EINVAL;
	}
}

static long type1_ioctl(void *data, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case VFIO_CHECK_EXTENSION:
		return check_extension(data, arg);
	case VFIO_IOMMU_GET_INFO:
		return get_info(data, user);
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(data, user);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(data, user);
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(data, user);
	default:
		return -ENOTTY;
	}
}

static void *type1_open(unsigned long kind)
{
	struct type1_container *c;

	if (kind != VFIO_TYPE1_IOMMU && kind != VFIO_TYPE1v2_IOMMU &&
	    kind != VFIO_TYPE1_NESTING_IOMMU)
		return ERR_PTR(-EINVAL);
	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return ERR_PTR(-ENOMEM);
	mutex_init(&c->devices_lock);
	mutex_init(&c->lock);
	INIT_LIST_HEAD(&c->domains);
	INIT_LIST_HEAD(&c->emulated);
	INIT_LIST_HEAD(&c->devices);
	c->maps = RB_ROOT;
	c->avail = READ_ONCE(dma_entry_limit);
	c->pgsizes = PAGE_MASK;
	c->v2 = kind != VFIO_TYPE1_IOMMU;
	c->going_first = U64_MAX;
	c->nesting = kind == VFIO_TYPE1_NESTING_IOMMU;
	trace_vfio_container_open(c, c->avail);
	return c;
}

static void type1_release(void *data)
{
	struct type1_container *c = data;

	type1_unmap_all(c);
	type1_domains_release(c);
	trace_vfio_container_release(c);
	kfree(c->spare_leaf);
	kfree(c->spare_pinned);
	kfree(c);
}

/* Only a device that can be told to let go of its pages may pin any. */
static void change_devices(struct type1_container *c, struct vfio_device *device, bool add)
{
	if (!device->ops->dma_unmap)
		return;
	guard(mutex)(&c->devices_lock);
	guard(mutex)(&c->lock);
	if (add)
		list_add_tail(&device->iommu_entry, &c->devices);
	else
		list_del(&device->iommu_entry);
}

static void type1_register_device(void *data, struct vfio_device *device)
{
	change_devices(data, device, true);
}

static void type1_unregister_device(void *data, struct vfio_device *device)
{
	change_devices(data, device, false);
}

static const struct vfio_iommu_driver_ops type1_ops = {
	.name			= "vfio-iommu-type1",
	.owner			= THIS_MODULE,
	.open			= type1_open,
	.release		= type1_release,
	.ioctl			= type1_ioctl,
	.attach_group		= type1_attach_group,
	.detach_group		= type1_detach_group,
	.pin_pages		= type1_pin_pages,
	.unpin_pages		= type1_unpin_pages,
	.register_device	= type1_register_device,
	.unregister_device	= type1_unregister_device,
	.dma_rw			= type1_dma_rw,
	.group_iommu_domain	= type1_group_domain,
};

static int __init type1_init(void)
{
	int err = type1_dirty_init();

	if (err)
		return err;
	err = vfio_register_iommu_driver(&type1_ops);
	if (err)
		type1_dirty_exit();
	return err;
}

static void __exit type1_exit(void)
{
	vfio_unregister_iommu_driver(&type1_ops);
	type1_dirty_exit();
}

module_init(type1_init);
module_exit(type1_exit);
MODULE_VERSION("0.2");
MODULE_DESCRIPTION("Type1 IOMMU driver for VFIO");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
