// SPDX-License-Identifier: GPL-2.0
/*
 * What a process asks about a device as a whole, and does with it.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "vhost_vdpa.h"

#define FEATURE_LOG	BIT_ULL(VHOST_F_LOG_ALL)

/*
 * What can be negotiated about ourselves
 */

static u64 backend_offer(struct vhost_vdpa *v)
{
	const struct vdpa_config_ops *ops = v->vdev->config;
	u64 offer = BIT_ULL(VHOST_BACKEND_F_IOTLB_MSG_V2) |
		    BIT_ULL(VHOST_BACKEND_F_IOTLB_BATCH) |
		    BIT_ULL(VHOST_BACKEND_F_IOTLB_ASID);

	if (ops->suspend)
		offer |= BIT_ULL(VHOST_BACKEND_F_SUSPEND);
	if (ops->resume)
		offer |= BIT_ULL(VHOST_BACKEND_F_RESUME);
	if (ops->get_vq_desc_group)
		offer |= BIT_ULL(VHOST_BACKEND_F_DESC_ASID);
	/* the platform's translation, or one that is apart from the device's life cycle */
	if (ops->reset_map || (!ops->set_map && !ops->dma_map))
		offer |= BIT_ULL(VHOST_BACKEND_F_IOTLB_PERSIST);
	if (ops->get_backend_features)
		offer |= vdpa_ask(v->vdev, get_backend_features);
	return offer;
}

static long backend_accept(struct vhost_vdpa *v, u64 features)
{
	if (features & ~backend_offer(v))
		return -EOPNOTSUPP;
	if (features & BIT_ULL(VHOST_BACKEND_F_DESC_ASID) &&
	    !(features & BIT_ULL(VHOST_BACKEND_F_IOTLB_ASID)))
		return -EINVAL;
	v->backend_features = features;
	return 0;
}

/*
 * The device's life
 */

static u64 features_offer(struct vhost_vdpa *v)
{
	u64 offer = vdpa_ask(v->vdev, get_device_features);

	return v->dirty ? offer | FEATURE_LOG : offer;
}

/* The one feature that may come and go while the device runs: it is not virtio's. */
static long log_switch(struct vhost_vdpa *v, bool on)
{
	if (on && vhost_vdpa_is_running(v) && !vdpa_dirty_has_base(v->dirty))
		return -EINVAL;
	vdpa_dirty_switch(v->dirty, on);
	v->logs = on;
	return 0;
}

static long features_accept(struct vhost_vdpa *v, u64 features)
{
	bool log = features & FEATURE_LOG;

	if (log && !v->dirty)
		return -EINVAL;
	features &= ~FEATURE_LOG;
	/* what was settled stays until a reset */
	if (vdpa_ask(v->vdev, get_status) & VIRTIO_CONFIG_S_FEATURES_OK) {
		if (!v->dirty || features != v->features_asked)
			return -EBUSY;
		return log_switch(v, log);
	}
	if (vdpa_negotiate(v->vdev, features))
		return -EINVAL;
	v->features = vdpa_ask(v->vdev, get_driver_features);
	v->features_asked = features;
	return v->dirty ? log_switch(v, log) : 0;
}

static long log_set_base(struct vhost_vdpa *v, u64 __user *argp)
{
	u64 base;
	long err;

	if (!v->dirty)
		return -ENOIOCTLCMD;
	err = vhost_dev_check_owner(&v->vhost);
	if (err)
		return err;
	if (get_user(base, argp))
		return -EFAULT;
	return vdpa_dirty_set_base(v->dirty, v->vhost.mm, base);
}

static long status_change(struct vhost_vdpa *v, u8 status)
{
	u8 before = vdpa_ask(v->vdev, get_status);
	u8 gone = before & ~status, come = status & ~before;

	if (!status) {
		if (before & VIRTIO_CONFIG_S_DRIVER_OK)
			vhost_vdpa_queues_keep_state(v);
		return vhost_vdpa_reset(v);
	}
	/* bits are only taken away all together */
	if (gone)
		return -EINVAL;
	/* what it writes must be marked somewhere */
	if (come & VIRTIO_CONFIG_S_DRIVER_OK && v->logs && !vdpa_dirty_has_base(v->dirty))
		return -EINVAL;
	vdpa_set_status(v->vdev, status);
	if (come & VIRTIO_CONFIG_S_DRIVER_OK) {
		vhost_vdpa_queues_forget_state(v);
		vhost_vdpa_queues_bypass(v, true);
	}
	return 0;
}

static long suspend(struct vhost_vdpa *v)
{
	int err;

	/* nothing that runs: it stands still already */
	if (!vhost_vdpa_is_running(v))
		return 0;
	if (!v->vdev->config->suspend)
		return -EOPNOTSUPP;
	err = vdpa_suspend(v->vdev);
	v->suspended |= !err;
	return err;
}

static long resume(struct vhost_vdpa *v)
{
	int err;

	if (!vhost_vdpa_is_running(v))
		return 0;
	if (!v->vdev->config->resume)
		return -EOPNOTSUPP;
	err = vdpa_resume(v->vdev);
	v->suspended &= !!err;
	return err;
}

/* The process whose memory the device works in: whoever asks first. */
static long own(struct vhost_vdpa *v)
{
	const struct vdpa_config_ops *ops = v->vdev->config;
	long err;

	err = vhost_dev_ioctl(&v->vhost, VHOST_SET_OWNER, NULL);
	if (err || !v->vdev->use_va || !ops->bind_mm)
		return err;
	err = vdpa_ask(v->vdev, bind_mm, v->vhost.mm);
	if (err)
		vhost_dev_reset_owner(&v->vhost, NULL);
	return err;
}

/*
 * Configuration space
 */

static long config_ioctl(struct vhost_vdpa *v, unsigned int cmd,
			 struct vhost_vdpa_config __user *argp)
{
	size_t size = vdpa_ask(v->vdev, get_config_size);
	struct vhost_vdpa_config where;
	long err = 0;
	void *buf;

	if (copy_from_user(&where, argp, sizeof(where)))
		return -EFAULT;
	if (!where.len || where.off > size || where.len > size - where.off)
		return -EINVAL;

	if (cmd == VHOST_VDPA_SET_CONFIG) {
		buf = vmemdup_user(argp->buf, where.len);
		if (IS_ERR(buf))
			return PTR_ERR(buf);
		vdpa_set_config(v->vdev, where.off, buf, where.len);
	} else {
		buf = kvzalloc(where.len, GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
		vdpa_get_config(v->vdev, where.off, buf, where.len);
		if (copy_to_user(argp->buf, buf, where.len))
			err = -EFAULT;
	}
	kvfree(buf);
	return err;
}

static long config_call(struct vhost_vdpa *v, int fd)
{
	struct vdpa_callback callback = {
		.callback	= vhost_vdpa_config_changed,
		.private	= v,
	};
	struct vhost_vdpa_call *old;
	int err;

	err = vhost_vdpa_swap_call(&v->config_call, fd, &old);
	if (err)
		return err;
	vhost_vdpa_put_call(old);
	vdpa_tell(v->vdev, set_config_cb, &callback);
	return 0;
}

/*
 * The doors
 */

/* Questions: each is answered with a single number. */
static long ask_ioctl(struct vhost_vdpa *v, unsigned int cmd, void __user *argp)
{
	struct vdpa_device *vdev = v->vdev;
	union {
		u8 status;
		u16 size;
		u32 number;
		u64 features;
		struct vhost_vdpa_iova_range range;
	} answer = {};

	switch (cmd) {
	case VHOST_VDPA_GET_STATUS:
		answer.status = vdpa_ask(vdev, get_status);
		break;
	case VHOST_VDPA_GET_VRING_NUM:
		answer.size = vdpa_ask(vdev, get_vq_num_max);
		break;
	case VHOST_VDPA_GET_DEVICE_ID:
		answer.number = vdpa_ask(vdev, get_device_id);
		break;
	case VHOST_VDPA_GET_CONFIG_SIZE:
		answer.number = vdpa_ask(vdev, get_config_size);
		break;
	case VHOST_VDPA_GET_VQS_COUNT:
		answer.number = v->nvqs;
		break;
	case VHOST_VDPA_GET_GROUP_NUM:
		answer.number = vdev->ngroups;
		break;
	case VHOST_VDPA_GET_AS_NUM:
		answer.number = v->nas;
		break;
	case VHOST_GET_FEATURES:
		answer.features = features_offer(v);
		break;
	case VHOST_GET_BACKEND_FEATURES:
		answer.features = backend_offer(v);
		break;
	case VHOST_VDPA_GET_IOVA_RANGE:
		answer.range.first = v->range.first;
		answer.range.last = v->range.last;
		break;
	default:
		return -ENOIOCTLCMD;
	}
	/* the command says how much of it is the answer */
	return copy_to_user(argp, &answer, _IOC_SIZE(cmd)) ? -EFAULT : 0;
}

/* Orders: with a single number each, or none. */
static long order_ioctl(struct vhost_vdpa *v, unsigned int cmd, void __user *argp)
{
	u64 features;
	u8 status;
	int fd;

	switch (cmd) {
	case VHOST_SET_FEATURES:
		if (get_user(features, (u64 __user *)argp))
			return -EFAULT;
		return features_accept(v, features);
	case VHOST_SET_BACKEND_FEATURES:
		if (get_user(features, (u64 __user *)argp))
			return -EFAULT;
		return backend_accept(v, features);
	case VHOST_VDPA_SET_STATUS:
		if (get_user(status, (u8 __user *)argp))
			return -EFAULT;
		return status_change(v, status);
	case VHOST_VDPA_SET_CONFIG_CALL:
		if (get_user(fd, (int __user *)argp))
			return -EFAULT;
		return config_call(v, fd);
	case VHOST_VDPA_SUSPEND:
		return suspend(v);
	case VHOST_VDPA_RESUME:
		return resume(v);
	case VHOST_SET_OWNER:
		return own(v);
	case VHOST_VDPA_GET_CONFIG:
	case VHOST_VDPA_SET_CONFIG:
		return config_ioctl(v, cmd, argp);
	default:
		return -ENOIOCTLCMD;
	}
}

static long any_ioctl(struct vhost_vdpa *v, unsigned int cmd, void __user *argp)
{
	long err;

	err = ask_ioctl(v, cmd, argp);
	if (err != -ENOIOCTLCMD)
		return err;
	err = order_ioctl(v, cmd, argp);
	if (err != -ENOIOCTLCMD)
		return err;
	/* vhost's own log is of what it writes itself: here it is the device that does */
	if (cmd == VHOST_SET_LOG_BASE)
		return log_set_base(v, argp);
	if (cmd == VHOST_SET_LOG_FD)
		return -ENOIOCTLCMD;
	/* the rest is for its owner */
	err = vhost_dev_ioctl(&v->vhost, cmd, argp);
	if (err != -ENOIOCTLCMD)
		return err;
	return vhost_vdpa_queue_ioctl(v, cmd, argp);
}

long vhost_vdpa_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct vhost_vdpa *v = file->private_data;
	long err = -ENODEV;

	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	if (v->vdev)
		err = any_ioctl(v, cmd, (void __user *)arg);
	mutex_unlock(&v->lock);
	return err;
}
