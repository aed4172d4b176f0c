// SPDX-License-Identifier: GPL-2.0
/*
 * vDPA devices for user space: /dev/vhost-vdpa-N
 *
 * One process at a time opens a device and drives it, with ioctls for the
 * virtio configuration and messages, written to the file, for its memory.
 *
 * A device can be removed at any time, while it is open, too: it is reset at
 * once, all memory is unmapped from it and let go, and from then on the
 * process finds ENODEV wherever it asks. Nobody waits for the process.
 */
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vhost_vdpa.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vhost_vdpa.h>

#define MINORS	BIT(MINORBITS)

static DEFINE_IDA(minors);
static dev_t first_devt;

/*
 * Calls: eventfds that are signalled by the device, in whatever context that calls
 * back, and replaced by the process. What was replaced may be in use meanwhile.
 */

static void call_free(struct rcu_head *rcu)
{
	struct vhost_vdpa_call *call = container_of(rcu, struct vhost_vdpa_call, rcu);

	eventfd_ctx_put(call->ctx);
	kfree(call);
}

void vhost_vdpa_put_call(struct vhost_vdpa_call *call)
{
	if (call)
		call_rcu(&call->rcu, call_free);
}

/* What was in @slot is handed to the caller, who puts it when nothing leads there. */
int vhost_vdpa_swap_call(struct vhost_vdpa_call __rcu **slot, int fd,
			 struct vhost_vdpa_call **old)
{
	struct vhost_vdpa_call *call = NULL;

	if (fd != VHOST_FILE_UNBIND) {
		call = kmalloc(sizeof(*call), GFP_KERNEL);
		if (!call)
			return -ENOMEM;
		call->ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(call->ctx)) {
			int err = PTR_ERR(call->ctx);

			kfree(call);
			return err;
		}
	}
	*old = rcu_replace_pointer(*slot, call, true);
	return 0;
}

bool vhost_vdpa_signal(struct vhost_vdpa_call __rcu **slot)
{
	struct vhost_vdpa_call *call;

	guard(rcu)();
	call = rcu_dereference(*slot);
	if (call)
		eventfd_signal(call->ctx);
	return call;
}

irqreturn_t vhost_vdpa_config_changed(void *private)
{
	struct vhost_vdpa *v = private;

	vhost_vdpa_signal(&v->config_call);
	return IRQ_HANDLED;
}

/*
 * A device that a process has
 */

/*
 * A reset keeps all maps: those of a device that used to drop them, too, as no
 * process could have used that, with the table here still holding them.
 */
int vhost_vdpa_reset(struct vhost_vdpa *v)
{
	int err;

	vhost_vdpa_queues_bypass(v, false);
	v->suspended = false;
	err = vdpa_restart(v->vdev);
	/* it writes no more: whose log it was may free it */
	v->logs = false;
	if (v->dirty)
		vdpa_dirty_forget(v->dirty);
	/* some devices answer with the size that a queue happens to have */
	v->vq_num_max = err ? 0 : vdpa_ask(v->vdev, get_vq_num_max);
	if (!err)
		vhost_vdpa_queues_ask_sizes(v);
	return err;
}

static int device_take(struct vhost_vdpa *v)
{
	int err;

	trace_vhost_vdpa_open(v->vdev);
	v->in_batch = false;
	v->backend_features = 0;
	v->features = 0;
	v->features_asked = 0;
	err = vhost_vdpa_reset(v);
	if (err)
		return err;
	err = vhost_vdpa_platform_open(v);
	if (err)
		return err;
	err = vhost_vdpa_memory_open(v);
	if (err) {
		vhost_vdpa_platform_close(v);
		return err;
	}
	/* kicks are passed on by whoever writes to the eventfd: no worker */
	vhost_dev_init(&v->vhost, v->vhost_vq_list, v->nvqs, 0, 0, 0, false, NULL);
	return 0;
}

/*
 * Nothing kicks it, then it stands still, then it forgets us, then it loses our
 * memory, and only then do we let go of that.
 */
static void device_give_back(struct vhost_vdpa *v)
{
	struct vdpa_device *vdev = v->vdev;

	vhost_dev_stop(&v->vhost);
	vhost_vdpa_reset(v);
	vhost_vdpa_queues_disconnect(v);
	vdpa_tell(vdev, set_config_cb, &(struct vdpa_callback) {});
	vhost_vdpa_put_call(rcu_replace_pointer(v->config_call, NULL, true));
	vhost_vdpa_memory_close(v);
	vhost_vdpa_platform_close(v);
	if (vdev->use_va && vdev->config->unbind_mm && v->vhost.mm)
		vdpa_tell(vdev, unbind_mm);
	vhost_dev_cleanup(&v->vhost);
}

static int vhost_vdpa_open(struct inode *inode, struct file *file)
{
	struct vhost_vdpa *v = container_of(inode->i_cdev, struct vhost_vdpa, cdev);
	int err = -EBUSY;

	/* who has it may be at a message for as long as its memory takes */
	if (READ_ONCE(v->opened))
		return err;
	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	if (!v->vdev)
		err = -ENODEV;
	else if (!v->opened)
		err = device_take(v);
	if (!err) {
		WRITE_ONCE(v->opened, true);
		v->mapping = file->f_mapping;
		file->private_data = v;
	}
	mutex_unlock(&v->lock);
	return err;
}

static int vhost_vdpa_release_file(struct inode *inode, struct file *file)
{
	struct vhost_vdpa *v = file->private_data;

	mutex_lock(&v->lock);
	if (v->vdev)
		device_give_back(v);
	WRITE_ONCE(v->opened, false);
	mutex_unlock(&v->lock);
	return 0;
}

static const struct file_operations vhost_vdpa_fops = {
	.owner		= THIS_MODULE,
	.open		= vhost_vdpa_open,
	.release	= vhost_vdpa_release_file,
	.write_iter	= vhost_vdpa_write_iter,
	.unlocked_ioctl	= vhost_vdpa_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= vhost_vdpa_mmap,
};

/*
 * The driver
 */

static void vhost_vdpa_free(struct device *dev)
{
	struct vhost_vdpa *v = container_of(dev, struct vhost_vdpa, dev);

	if (v->minor >= 0)
		ida_free(&minors, v->minor);
	vhost_vdpa_queues_free(v);
	kvfree(v->spaces);
	kfree(v);
}

/* What it has is freed with its last reference. */
static struct vhost_vdpa *vhost_vdpa_alloc(struct vdpa_device *vdev)
{
	struct vhost_vdpa *v = kzalloc(sizeof(*v), GFP_KERNEL);

	if (!v)
		return NULL;
	mutex_init(&v->lock);
	init_rwsem(&v->doorbells);
	v->vdev = vdev;
	v->dirty = vdpa_dirty_find(vdev);
	v->nvqs = vdev->nvqs;
	v->nas = vdev->nas;
	v->minor = ida_alloc_max(&minors, MINORS - 1, GFP_KERNEL);
	device_initialize(&v->dev);
	v->dev.release = vhost_vdpa_free;
	v->dev.parent = &vdev->dev;
	v->dev.devt = MKDEV(MAJOR(first_devt), max(v->minor, 0));
	v->spaces = kvcalloc(v->nas, sizeof(*v->spaces), GFP_KERNEL);
	if (v->minor >= 0 && v->spaces && !vhost_vdpa_queues_init(v) &&
	    !dev_set_name(&v->dev, "vhost-vdpa-%d", v->minor))
		return v;
	put_device(&v->dev);
	return NULL;
}

static void device_revoke(struct vhost_vdpa *v)
{
	mutex_lock(&v->lock);
	vhost_vdpa_doorbells_remove(v);
	if (v->opened)
		device_give_back(v);
	v->vdev = NULL;
	mutex_unlock(&v->lock);
}

static int vhost_vdpa_probe(struct vdpa_device *vdev)
{
	bool translates = vdev->config->set_map || vdev->config->dma_map;
	struct vhost_vdpa *v;
	int err;

	/* the platform's translation is one address space, of the whole device */
	if (!translates && max(vdev->ngroups, vdev->nas) > 1)
		return -EOPNOTSUPP;
	v = vhost_vdpa_alloc(vdev);
	if (!v)
		return -ENOMEM;
	vdpa_set_drvdata(vdev, v);
	cdev_init(&v->cdev, &vhost_vdpa_fops);
	v->cdev.owner = THIS_MODULE;
	err = cdev_device_add(&v->cdev, &v->dev);
	if (err) {
		/* by a node that there was already somebody may have opened it */
		device_revoke(v);
		put_device(&v->dev);
	}
	return err;
}

static void vhost_vdpa_remove(struct vdpa_device *vdev)
{
	struct vhost_vdpa *v = vdpa_get_drvdata(vdev);

	/* whoever is just opening it finds out under the lock */
	cdev_device_del(&v->cdev, &v->dev);
	device_revoke(v);
	put_device(&v->dev);
}

static struct vdpa_driver vhost_vdpa_driver = {
	.driver.name	= "vhost_vdpa",
	.probe		= vhost_vdpa_probe,
	.remove		= vhost_vdpa_remove,
};

static int __init vhost_vdpa_init(void)
{
	int err = alloc_chrdev_region(&first_devt, 0, MINORS, "vhost-vdpa");

	if (!err) {
		err = vdpa_register_driver(&vhost_vdpa_driver);
		if (err)
			unregister_chrdev_region(first_devt, MINORS);
	}
	return err;
}
module_init(vhost_vdpa_init);

static void __exit vhost_vdpa_exit(void)
{
	vdpa_unregister_driver(&vhost_vdpa_driver);
	unregister_chrdev_region(first_devt, MINORS);
	ida_destroy(&minors);
	/* calls that are still to be freed, by code of ours */
	rcu_barrier();
}
module_exit(vhost_vdpa_exit);

MODULE_DESCRIPTION("vDPA devices for user space");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
