// SPDX-License-Identifier: GPL-2.0
/*
 * The vDPA bus: devices whose data path is virtio's, and drivers that offer
 * them to the kernel (virtio_vdpa) or to user space (vhost_vdpa).
 */
/*
 * The CRCs of exports are made of all types that are known here: these, and no others.
 * So all that is traced is called in another file.
 */
#include <linux/module.h>
#include <linux/idr.h>
#include <linux/slab.h>
#include <linux/vdpa.h>
#include <uapi/linux/vdpa.h>
#include <net/genetlink.h>
#include <linux/mod_devicetable.h>
#include <linux/virtio_ids.h>

#include "bus.h"

DECLARE_RWSEM(vdpa_lock);
unsigned int vdpa_changes = 1;
LIST_HEAD(vdpa_managers);
static DEFINE_IDA(indexes);

/*
 * The bus
 */

/* Any driver can drive any device: whoever wants a certain one names it. */
static int bus_match(struct device *dev, const struct device_driver *drv)
{
	const char *wanted;
	bool match;

	spin_lock(&dev->driver_override.lock);
	wanted = dev->driver_override.name;
	match = !wanted || !strcmp(wanted, drv->name);
	spin_unlock(&dev->driver_override.lock);
	return match;
}

static int bus_probe(struct device *dev)
{
	struct vdpa_driver *drv = drv_to_vdpa(dev->driver);
	struct vdpa_device *vdev = dev_to_vdpa(dev);
	int err;

	/* virtio's rings are anywhere in memory */
	dev->dma_mask = &dev->coherent_dma_mask;
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (!err && vdpa_least_queue_size(vdev) > vdpa_greatest_queue_size(vdev))
		err = -EINVAL;
	if (!err && drv->probe)
		err = drv->probe(vdev);
	vdpa_note_bound(vdev, err);
	return err;
}

static void bus_remove(struct device *dev)
{
	struct vdpa_driver *drv = drv_to_vdpa(dev->driver);
	struct vdpa_device *vdev = dev_to_vdpa(dev);

	if (drv->remove)
		drv->remove(vdev);
	vdpa_note_unbound(vdev);
}

const struct bus_type vdpa_bus_type = {
	.name			= "vdpa",
	.driver_override	= true,
	.match			= bus_match,
	.probe			= bus_probe,
	.remove			= bus_remove,
};

/**
 * __vdpa_register_driver - register a driver of the vDPA bus
 * @drv: the driver
 * @owner: the module it is in
 *
 * Return: 0 or -errno.
 */
int __vdpa_register_driver(struct vdpa_driver *drv, struct module *owner)
{
	drv->driver.owner = owner;
	drv->driver.bus = &vdpa_bus_type;
	return driver_register(&drv->driver);
}
EXPORT_SYMBOL_GPL(__vdpa_register_driver);

/**
 * vdpa_unregister_driver - take a driver, and all its devices from it
 * @drv: the driver
 */
void vdpa_unregister_driver(struct vdpa_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL_GPL(vdpa_unregister_driver);

/*
 * Devices
 */

static void device_release(struct device *dev)
{
	struct vdpa_device *vdev = dev_to_vdpa(dev);

	if (vdev->config->free)
		vdev->config->free(vdev);
	ida_free(&indexes, vdev->index);
	/* the first member of what was allocated */
	kfree(vdev);
}

/* A device translates by itself with both of dma_map and dma_unmap, or set_map. */
static bool ops_make_sense(const struct vdpa_config_ops *ops, bool use_va)
{
	if (!ops || !ops->dma_map != !ops->dma_unmap)
		return false;
	return ops->dma_map || ops->set_map || !use_va;
}

/**
 * __vdpa_alloc_device - allocate a device that is not yet on the bus
 * @parent: the device it is part of, or NULL
 * @config: how it is called
 * @ngroups: how many groups of queues it has
 * @nas: how many address spaces it has
 * @size: of the structure that begins with a struct vdpa_device
 * @name: its name, or NULL for one by its number
 * @use_va: it is given virtual addresses, not physical ones
 *
 * Drivers use vdpa_alloc_device(). What is returned is given back with
 * put_device(), which calls @config's free().
 *
 * Return: the device, or ERR_PTR(-errno).
 */
struct vdpa_device *__vdpa_alloc_device(struct device *parent,
					const struct vdpa_config_ops *config,
					unsigned int ngroups, unsigned int nas,
					size_t size, const char *name,
					bool use_va)
{
	struct vdpa_device *vdev;
	int err = -EINVAL;
	int index;

	if (!ops_make_sense(config, use_va) || size < sizeof(*vdev))
		return ERR_PTR(err);

	index = ida_alloc(&indexes, GFP_KERNEL);
	if (index < 0)
		return ERR_PTR(index);
	err = -ENOMEM;
	vdev = kzalloc(size, GFP_KERNEL);
	if (!vdev)
		goto free_index;
	err = name ? dev_set_name(&vdev->dev, "%s", name) :
		     dev_set_name(&vdev->dev, "vdpa%d", index);
	if (err)
		goto free_vdev;

	init_rwsem(&vdev->cf_lock);
	vdev->config = config;
	vdev->index = index;
	vdev->ngroups = ngroups;
	vdev->nas = nas;
	vdev->use_va = use_va;
	/* from here on put_device() is what gives all of it back */
	device_initialize(&vdev->dev);
	vdev->dev.parent = parent;
	vdev->dev.bus = &vdpa_bus_type;
	vdev->dev.release = device_release;
	return vdev;

free_vdev:
	kfree(vdev);
free_index:
	ida_free(&indexes, index);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_GPL(__vdpa_alloc_device);

static bool name_is_taken(const char *name)
{
	struct device *other = bus_find_device_by_name(&vdpa_bus_type, NULL, name);

	put_device(other);
	return other;
}

static int device_register_locked(struct vdpa_device *vdev, u32 nvqs)
{
	int err;

	lockdep_assert_held_write(&vdpa_lock);
	/* sysfs would find out, too, and complain about us in the log */
	if (name_is_taken(dev_name(&vdev->dev)))
		return -EEXIST;
	vdev->nvqs = nvqs;
	/* before a driver is bound, which device_add() may do */
	vdpa_note_added(vdev);
	err = device_add(&vdev->dev);
	if (err)
		vdpa_note_removed(vdev);
	vdpa_changes++;
	return err;
}

static void device_unregister_locked(struct vdpa_device *vdev)
{
	lockdep_assert_held_write(&vdpa_lock);
	vdpa_note_removed(vdev);
	vdpa_changes++;
	device_unregister(&vdev->dev);
}

/**
 * vdpa_register_device - put a device on the bus
 * @vdev: from vdpa_alloc_device()
 * @nvqs: how many queues it has
 *
 * Return: 0; -EEXIST when there is one of this name; -errno. After an error the
 * device is to be given back with put_device().
 */
int vdpa_register_device(struct vdpa_device *vdev, u32 nvqs)
{
	int err;

	down_write(&vdpa_lock);
	err = device_register_locked(vdev, nvqs);
	up_write(&vdpa_lock);
	return err;
}
EXPORT_SYMBOL_GPL(vdpa_register_device);

/**
 * vdpa_unregister_device - take a device from the bus and give it back
 * @vdev: the device
 */
void vdpa_unregister_device(struct vdpa_device *vdev)
{
	down_write(&vdpa_lock);
	device_unregister_locked(vdev);
	up_write(&vdpa_lock);
}
EXPORT_SYMBOL_GPL(vdpa_unregister_device);

/**
 * _vdpa_register_device - put a device on the bus, in dev_add() of its management device
 * @vdev: from vdpa_alloc_device(), with its management device set
 * @nvqs: how many queues it has
 *
 * Return: as vdpa_register_device(); -EINVAL without a management device.
 */
int _vdpa_register_device(struct vdpa_device *vdev, u32 nvqs)
{
	return vdev->mdev ? device_register_locked(vdev, nvqs) : -EINVAL;
}
EXPORT_SYMBOL_GPL(_vdpa_register_device);

/**
 * _vdpa_unregister_device - the reverse, in dev_del() of its management device
 * @vdev: the device
 */
void _vdpa_unregister_device(struct vdpa_device *vdev)
{
	WARN_ON_ONCE(!vdev->mdev);
	device_unregister_locked(vdev);
}
EXPORT_SYMBOL_GPL(_vdpa_unregister_device);

/*
 * Management devices: what user space does with them is in netlink.c
 */

static bool manager_makes_sense(const struct vdpa_mgmt_dev *mdev)
{
	return mdev->device && mdev->ops && mdev->ops->dev_add && mdev->ops->dev_del;
}

/**
 * vdpa_mgmtdev_register - offer a management device to user space
 * @mdev: the management device
 *
 * Return: 0; -EINVAL when it cannot add or delete.
 */
int vdpa_mgmtdev_register(struct vdpa_mgmt_dev *mdev)
{
	if (!manager_makes_sense(mdev))
		return -EINVAL;
	down_write(&vdpa_lock);
	list_add_tail(&mdev->list, &vdpa_managers);
	vdpa_changes++;
	up_write(&vdpa_lock);
	return 0;
}
EXPORT_SYMBOL_GPL(vdpa_mgmtdev_register);

static int delete_if_managed_by(struct device *dev, void *mdev)
{
	struct vdpa_device *vdev = dev_to_vdpa(dev);

	if (vdev->mdev == mdev)
		vdev->mdev->ops->dev_del(vdev->mdev, vdev);
	return 0;
}

/**
 * vdpa_mgmtdev_unregister - withdraw a management device, and delete its devices
 * @mdev: the management device
 */
void vdpa_mgmtdev_unregister(struct vdpa_mgmt_dev *mdev)
{
	down_write(&vdpa_lock);
	list_del(&mdev->list);
	vdpa_changes++;
	bus_for_each_dev(&vdpa_bus_type, NULL, mdev, delete_if_managed_by);
	up_write(&vdpa_lock);
}
EXPORT_SYMBOL_GPL(vdpa_mgmtdev_unregister);

/*
 * Configuration: cf_lock orders who reads it and who changes it
 */

/**
 * vdpa_set_status - set a device's virtio status
 * @vdev: the device
 * @status: not 0: a reset is vdpa_reset()
 */
void vdpa_set_status(struct vdpa_device *vdev, u8 status)
{
	down_write(&vdev->cf_lock);
	vdpa_status_write(vdev, status);
	up_write(&vdev->cf_lock);
}
EXPORT_SYMBOL(vdpa_set_status);

/**
 * vdpa_get_config - read from a device's configuration space
 * @vdev: the device
 * @offset: where to begin
 * @buf: where to put it
 * @len: how much; what the device does not have reads as zeroes
 *
 * A driver that reads before it negotiated features is an old one, that knows none.
 */
void vdpa_get_config(struct vdpa_device *vdev, unsigned int offset,
		     void *buf, unsigned int len)
{
	down_read(&vdev->cf_lock);
	if (unlikely(!vdev->features_valid)) {
		up_read(&vdev->cf_lock);
		down_write(&vdev->cf_lock);
		if (!vdev->features_valid)
			vdpa_negotiate_none(vdev);
		downgrade_write(&vdev->cf_lock);
	}
	vdpa_config_read(vdev, offset, buf, len);
	up_read(&vdev->cf_lock);
}
EXPORT_SYMBOL_GPL(vdpa_get_config);

/**
 * vdpa_set_config - write to a device's configuration space
 * @vdev: the device
 * @offset: where to begin
 * @buf: what to write
 * @length: how much; nothing is written when not all of it is the device's
 */
void vdpa_set_config(struct vdpa_device *vdev, unsigned int offset,
		     const void *buf, unsigned int length)
{
	down_write(&vdev->cf_lock);
	vdpa_config_write(vdev, offset, buf, length);
	up_write(&vdev->cf_lock);
}
EXPORT_SYMBOL_GPL(vdpa_set_config);

static int __init vdpa_init(void)
{
	int err = bus_register(&vdpa_bus_type);

	if (err)
		return err;
	err = vdpa_netlink_init();
	if (err)
		bus_unregister(&vdpa_bus_type);
	return err;
}

static void __exit vdpa_exit(void)
{
	vdpa_netlink_exit();
	bus_unregister(&vdpa_bus_type);
	ida_destroy(&indexes);
}

/* built in, it is there before the drivers that register with it */
core_initcall(vdpa_init);
module_exit(vdpa_exit);

MODULE_DESCRIPTION("vDPA bus");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
