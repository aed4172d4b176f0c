// SPDX-License-Identifier: GPL-2.0
/*
 * Simulated migratable VFIO device: a mediated device that looks like a PCI function.
 *
 * It is to VFIO what a simulator is to vDPA: every interface of a device that pins
 * pages, dirties memory, raises interrupts and migrates, behind which there is nothing
 * but memory. Devices are made the way all mediated devices are:
 *
 *	echo UUID >/sys/class/mdev_bus/vfio_sim/mdev_supported_types/vfio_sim-pci/create
 */
#include <linux/mdev.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "vfio_sim.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vfio_sim.h>

static unsigned int instances = 64;
module_param(instances, uint, 0444);
MODULE_PARM_DESC(instances, "How many devices there may be (default 64)");

/*
 * VFIO's core answers for a device whether its dirty tracking is there, but can report
 * only if it was built with what IOMMUFD's drivers need. Offered without that, it is
 * a trap: user space would track by it and fail in the middle of a migration.
 */
static bool dma_logging = IS_ENABLED(CONFIG_IOMMUFD_DRIVER);
module_param(dma_logging, bool, 0444);
MODULE_PARM_DESC(dma_logging,
		 "Offer device dirty tracking (default: if the kernel can report it)");

static struct class *sim_class;
static struct device *sim_parent_device;
static struct mdev_parent sim_parent;

static struct mdev_type sim_type = {
	.sysfs_name  = "pci",
	.pretty_name = "Simulated migratable PCI device",
};

static struct mdev_type *sim_types[] = { &sim_type };

static int sim_init(struct vfio_device *vdev)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_init(&sim->lock);
	INIT_DELAYED_WORK(&sim->work, sim_dma_work);
	xa_init(&sim->log.chunks);
	sim->log.tree = RB_ROOT_CACHED;
	sim_irq_init(sim);
	sim_migration_init(sim);
	if (dma_logging)
		vdev->log_ops = &sim_log_ops;

	sim->image = kvzalloc(sizeof(*sim->image), GFP_KERNEL_ACCOUNT);
	sim->bounce = kvmalloc(SIM_CHUNK_BYTES, GFP_KERNEL_ACCOUNT);
	sim->window = vmalloc_user(VFIO_SIM_REGION_WINDOW);
	sim->pins = sim_pins_new();
	if (!sim->image || !sim->bounce || !sim->window || !sim->pins) {
		sim_pins_free(sim->pins);
		vfree(sim->window);
		kvfree(sim->bounce);
		kvfree(sim->image);
		return -ENOMEM;
	}
	sim_image_init(sim->image);
	return 0;
}

static void sim_release(struct vfio_device *vdev)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	sim_pins_free(sim->pins);
	vfree(sim->window);
	kvfree(sim->bounce);
	kvfree(sim->image);
	mutex_destroy(&sim->irq.setup);
	mutex_destroy(&sim->lock);
}

static int sim_open(struct vfio_device *vdev)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_lock(&sim->lock);
	/* it holds what the last user saved, or made up */
	memset(sim->window, 0, VFIO_SIM_REGION_WINDOW);
	sim->open = true;
	sim_migration_reset(sim);
	mutex_unlock(&sim->lock);
	return 0;
}

/* Whatever it was doing: nothing is left of it but its name. */
static void sim_close(struct vfio_device *vdev)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_lock(&sim->lock);
	sim->open = false;
	sim_migration_reset(sim);
	trace_vfio_sim_close(sim_name(sim));
	sim_log_close(sim);
	mutex_unlock(&sim->lock);
	/* it takes the lock, and finds nothing to do */
	cancel_delayed_work_sync(&sim->work);
	sim_irq_close(sim);
}

static u64 region_bytes(u32 index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return VFIO_SIM_BAR0_BYTES;
	case VFIO_PCI_BAR2_REGION_INDEX:
		return VFIO_SIM_MEMORY_BYTES;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return SIM_CONFIG_BYTES;
	case SIM_REGION_MIGRATION:
		return VFIO_SIM_REGION_DATA + VFIO_SIM_REGION_WINDOW;
	default:
		return 0;
	}
}

static int access_region(struct vfio_sim *sim, loff_t pos, void *buf, u32 len, bool write)
{
	u64 index = pos >> SIM_OFFSET_SHIFT, offset = pos & (SIM_OFFSET(1) - 1);
	int err;

	if (index >= SIM_NUM_REGIONS || offset >= region_bytes(index))
		return -EINVAL;
	mutex_lock(&sim->lock);
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		err = sim_registers_access(sim, offset, buf, len, write);
		break;
	case VFIO_PCI_BAR2_REGION_INDEX:
		err = sim_memory_access(sim, offset, buf, len, write);
		break;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		err = sim_config_access(sim, offset, buf, len, write);
		break;
	default:
		err = sim_region_access(sim, offset, buf, len, write);
	}
	mutex_unlock(&sim->lock);
	return err;
}

/* In pieces that a register access is not cut by: they are short. */
static ssize_t access_all(struct vfio_device *vdev, char __user *in, const char __user *out,
			  size_t count, loff_t *ppos)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);
	u8 stack[64], *buf = stack;
	size_t done = 0, part;
	int err = 0;

	if (*ppos < 0)
		return -EINVAL;
	if (count > sizeof(stack)) {
		buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
	}
	while (done < count) {
		part = min_t(size_t, count - done, buf == stack ? sizeof(stack) : PAGE_SIZE);
		if (out && copy_from_user(buf, out + done, part)) {
			err = -EFAULT;
			break;
		}
		err = access_region(sim, *ppos + done, buf, part, out);
		if (err)
			break;
		if (in && copy_to_user(in + done, buf, part)) {
			err = -EFAULT;
			break;
		}
		done += part;
		if (fatal_signal_pending(current))
			break;
	}
	if (buf != stack)
		kfree(buf);
	*ppos += done;
	return done ?: err;
}

static ssize_t sim_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *ppos)
{
	return access_all(vdev, buf, NULL, count, ppos);
}

static ssize_t sim_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			 loff_t *ppos)
{
	return access_all(vdev, NULL, buf, count, ppos);
}

static int sim_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	u64 index = vma->vm_pgoff >> (SIM_OFFSET_SHIFT - PAGE_SHIFT);
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT & (SIM_OFFSET(1) - 1);

	if (index != SIM_REGION_MIGRATION)
		return -EINVAL;
	return sim_region_mmap(to_vfio_sim(vdev), vma, offset);
}

static int get_info(void __user *arg)
{
	const size_t bytes = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;
	int err = sim_ask(&info, arg, bytes);

	if (err)
		return err;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = SIM_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return sim_answer(arg, &info, bytes);
}

/* That it is the migration region, and the part of it that may be mapped. */
static int migration_region_caps(struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_type type = {
		.header.id	= VFIO_REGION_INFO_CAP_TYPE,
		.header.version	= 1,
		.type		= VFIO_REGION_TYPE_MIGRATION_DEPRECATED,
		.subtype	= VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED,
	};
	struct {
		struct vfio_region_info_cap_sparse_mmap head;
		struct vfio_region_sparse_mmap_area area;
	} sparse = {
		.head.header.id	     = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
		.head.header.version = 1,
		.head.nr_areas	     = 1,
		.area.offset	     = VFIO_SIM_REGION_DATA,
		.area.size	     = VFIO_SIM_REGION_WINDOW,
	};
	int err;

	err = vfio_info_add_capability(caps, &type.header, sizeof(type));
	if (err)
		return err;
	return vfio_info_add_capability(caps, &sparse.head.header, sizeof(sparse));
}

static int get_region_info(void __user *arg)
{
	const size_t bytes = offsetofend(struct vfio_region_info, offset);
	struct vfio_info_cap caps = {};
	struct vfio_region_info info;
	int err = sim_ask(&info, arg, bytes);

	if (err)
		return err;
	if (info.index >= SIM_NUM_REGIONS)
		return -EINVAL;
	info.size = region_bytes(info.index);
	info.offset = SIM_OFFSET(info.index);
	info.flags = info.size ? VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE : 0;
	info.cap_offset = 0;
	if (info.index == SIM_REGION_MIGRATION) {
		err = migration_region_caps(&caps);
		if (err)
			return err;
		info.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
		/* too small a buffer is told what it takes */
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = sizeof(info) + caps.size;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			info.cap_offset = sizeof(info);
		}
	}
	err = sim_answer(arg, &info, bytes);
	if (!err && info.cap_offset)
		err = sim_answer(arg + sizeof(info), caps.buf, caps.size);
	kfree(caps.buf);
	return err;
}

static long sim_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return get_info((void __user *)arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region_info((void __user *)arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return sim_irq_info((void __user *)arg);
	case VFIO_DEVICE_SET_IRQS:
		return sim_irq_set(sim, (void __user *)arg);
	case VFIO_DEVICE_RESET:
		mutex_lock(&sim->lock);
		sim_migration_reset(sim);
		mutex_unlock(&sim->lock);
		return 0;
	default:
		return -ENOTTY;
	}
}

static void sim_request(struct vfio_device *vdev, unsigned int count)
{
	sim_irq_request(to_vfio_sim(vdev));
}

static const struct vfio_device_ops sim_ops = {
	.name		= "vfio_sim",
	.init		= sim_init,
	.release	= sim_release,
	.open_device	= sim_open,
	.close_device	= sim_close,
	.read		= sim_read,
	.write		= sim_write,
	.mmap		= sim_mmap,
	.ioctl		= sim_ioctl,
	.request	= sim_request,
	.dma_unmap	= sim_dma_unmap,
	.device_feature	= sim_device_feature,
	.bind_iommufd	= vfio_iommufd_emulated_bind,
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
};

static int sim_probe(struct mdev_device *mdev)
{
	struct vfio_sim *sim = vfio_alloc_device(vfio_sim, vdev, &mdev->dev, &sim_ops);
	int err;

	if (IS_ERR(sim))
		return PTR_ERR(sim);
	dev_set_drvdata(&mdev->dev, sim);
	err = vfio_register_emulated_iommu_dev(&sim->vdev);
	if (err)
		vfio_put_device(&sim->vdev);
	return err;
}

static void sim_remove(struct mdev_device *mdev)
{
	struct vfio_sim *sim = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&sim->vdev);
	vfio_put_device(&sim->vdev);
}

static struct mdev_driver sim_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe	    = sim_probe,
	.remove	    = sim_remove,
	.driver	    = {
		.name	  = "vfio_sim",
		.owner	  = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
};

static int __init vfio_sim_init(void)
{
	int err;

	sim_driver.max_instances = instances;
	err = mdev_register_driver(&sim_driver);
	if (err)
		return err;
	/* the class's name begins that of the type */
	sim_class = class_create("vfio_sim");
	if (IS_ERR(sim_class)) {
		err = PTR_ERR(sim_class);
		goto unregister_driver;
	}
	sim_parent_device = device_create(sim_class, NULL, 0, NULL, "vfio_sim");
	if (IS_ERR(sim_parent_device)) {
		err = PTR_ERR(sim_parent_device);
		goto destroy_class;
	}
	err = mdev_register_parent(&sim_parent, sim_parent_device, &sim_driver, sim_types,
				   ARRAY_SIZE(sim_types));
	if (err)
		goto unregister_device;
	return 0;

unregister_device:
	device_unregister(sim_parent_device);
destroy_class:
	class_destroy(sim_class);
unregister_driver:
	mdev_unregister_driver(&sim_driver);
	return err;
}

static void __exit vfio_sim_exit(void)
{
	mdev_unregister_parent(&sim_parent);
	device_unregister(sim_parent_device);
	class_destroy(sim_class);
	mdev_unregister_driver(&sim_driver);
}

module_init(vfio_sim_init);
module_exit(vfio_sim_exit);

MODULE_DESCRIPTION("Simulated migratable VFIO device");
MODULE_LICENSE("GPL");
