// SPDX-License-Identifier: GPL-2.0
/*
 * The function as a device on the vDPA bus.
 *
 * It has one address space, translated by the platform: whoever uses it maps memory
 * for the PCI function itself.
 */
#include <linux/io.h>
#include <linux/nospec.h>
#include <linux/virtio_config.h>

#include "ifcvf.h"

#define QUEUE_ALIGN		PAGE_SIZE
/* what Intel's functions ask for */
#define INTEL_QUEUE_MIN		64

struct ifcvf_vdpa {
	struct vdpa_device vdpa;
	struct ifcvf *vf;
};

static struct ifcvf *to_vf(const struct vdpa_device *vdpa)
{
	return container_of_const(vdpa, struct ifcvf_vdpa, vdpa)->vf;
}

/* NULL where there is no such queue, also to a CPU that guesses */
static struct ifcvf_vq *vq_of(struct ifcvf *vf, u16 *index)
{
	if (*index >= vf->nvqs)
		return NULL;
	*index = array_index_nospec(*index, vf->nvqs);
	return &vf->vqs[*index];
}

/*
 * Queues
 */

static int ifcvf_set_vq_address(struct vdpa_device *vdpa, u16 index, u64 desc, u64 driver,
				u64 device)
{
	struct ifcvf_vq *vq = vq_of(to_vf(vdpa), &index);

	if (!vq)
		return -EINVAL;
	/* the function has read them */
	if (vq->started)
		return -EBUSY;
	vq->desc = desc;
	vq->driver = driver;
	vq->device = device;
	return 0;
}

static void ifcvf_set_vq_num(struct vdpa_device *vdpa, u16 index, u32 num)
{
	struct ifcvf_vq *vq = vq_of(to_vf(vdpa), &index);

	/* one of no size, which one too large is, too, does not become ready */
	if (vq && !vq->started)
		vq->size = num <= vq->size_max ? num : 0;
}

/* Called from anywhere. */
static void ifcvf_kick_vq(struct vdpa_device *vdpa, u16 index)
{
	struct ifcvf_vq *vq = vq_of(to_vf(vdpa), &index);

	if (vq && READ_ONCE(vq->ready))
		iowrite16(index, vq->doorbell);
}

static void ifcvf_set_vq_cb(struct vdpa_device *vdpa, u16 index, struct vdpa_callback *cb)
{
	struct ifcvf *vf = to_vf(vdpa);

	if (vq_of(vf, &index))
		ifcvf_irq_set_queue(vf, index, cb);
}

static void ifcvf_set_vq_ready(struct vdpa_device *vdpa, u16 index, bool ready)
{
	struct ifcvf *vf = to_vf(vdpa);
	struct ifcvf_vq *vq = vq_of(vf, &index);

	if (!vq)
		return;
	/* not ready it neither rings nor calls back; it stops with the next reset */
	if (!ready || vq->ready) {
		WRITE_ONCE(vq->ready, ready);
		return;
	}
	/* first: what the function takes at once, it tells of once */
	WRITE_ONCE(vq->ready, true);
	if (!vq->started) {
		if (ifcvf_hw_queue_start(vf, index))
			WRITE_ONCE(vq->ready, false);
		return;
	}
	/* what was kicked, or came back, since it was ready last */
	ifcvf_kick_vq(vdpa, index);
	ifcvf_irq_call_queue(vf, index);
}

static bool ifcvf_get_vq_ready(struct vdpa_device *vdpa, u16 index)
{
	struct ifcvf *vf = to_vf(vdpa);
	struct ifcvf_vq *vq = vq_of(vf, &index);

	return vq && vq->ready && ifcvf_hw_queue_enabled(vf, index);
}

static bool is_packed(struct ifcvf *vf)
{
	return ifcvf_hw_negotiated(vf) & BIT_ULL(VIRTIO_F_RING_PACKED);
}

static bool is_start_packed(const struct vdpa_vq_state_packed *state)
{
	/* DPDK 22.11 says only where the driver's half begins: all of the other is zero */
	return state->last_avail_counter && !state->last_avail_idx && !state->last_used_idx;
}

/* Where a queue goes on is said to the live migration region. */
static int ifcvf_set_vq_state(struct vdpa_device *vdpa, u16 index,
			      const struct vdpa_vq_state *state)
{
	struct ifcvf *vf = to_vf(vdpa);
	struct ifcvf_vq *vq = vq_of(vf, &index);

	if (!vq)
		return -EINVAL;
	if (vq->started)
		return -EBUSY;
	if (is_packed(vf))
		return is_start_packed(&state->packed) ? 0 : -EOPNOTSUPP;
	if (state->split.avail_index && !vf->lm.at)
		return -EOPNOTSUPP;
	vq->start = state->split.avail_index;
	return 0;
}

static int ifcvf_get_vq_state(struct vdpa_device *vdpa, u16 index, struct vdpa_vq_state *state)
{
	struct ifcvf *vf = to_vf(vdpa);
	struct ifcvf_vq *vq = vq_of(vf, &index);

	if (!vq)
		return -EINVAL;
	if (!is_packed(vf))
		return ifcvf_hw_queue_progress(vf, index, &state->split.avail_index);
	if (vq->started)
		return -EOPNOTSUPP;
	state->packed = (struct vdpa_vq_state_packed) {
		.last_avail_counter = 1,
		.last_used_counter = 1,
	};
	return 0;
}

/*
 * A page that holds one queue's doorbell and nothing else, if the function says so.
 * Whoever maps it looks at address and size.
 */
static struct vdpa_notification_area ifcvf_get_vq_notification(struct vdpa_device *vdpa, u16 index)
{
	struct ifcvf *vf = to_vf(vdpa);
	struct ifcvf_vq *vq = vq_of(vf, &index);
	struct vdpa_notification_area area = {};
	u64 end;

	if (!vq)
		return area;
	area.addr = vq->doorbell_phys;
	/* what it takes is in it: the interrupts, the configuration */
	if (!vq->doorbell_alone)
		return area;
	area.size = vf->notify_step;
	end = (u64)(vq->doorbell - vf->notify.at) + area.size;
	/* the last may have less room than its step */
	if (end > vf->notify.length)
		area.size = sizeof(u16);
	return area;
}

static int ifcvf_get_vq_irq(struct vdpa_device *vdpa, u16 index)
{
	struct ifcvf *vf = to_vf(vdpa);

	return vq_of(vf, &index) ? ifcvf_irq_of_queue(vf, index) : -EINVAL;
}

static u16 ifcvf_get_vq_size(struct vdpa_device *vdpa, u16 index)
{
	struct ifcvf_vq *vq = vq_of(to_vf(vdpa), &index);

	if (!vq)
		return 0;
	return vq->started ? vq->size : vq->size_max;
}

static u32 ifcvf_get_vq_align(struct vdpa_device *vdpa)
{
	return QUEUE_ALIGN;
}

static u32 ifcvf_get_vq_group(struct vdpa_device *vdpa, u16 index)
{
	return 0;
}

/* That of the largest: what a smaller one is given too much of, it refuses. */
static u16 ifcvf_get_vq_num_max(struct vdpa_device *vdpa)
{
	struct ifcvf *vf = to_vf(vdpa);
	u16 most = 0;
	u32 i;

	for (i = 0; i < vf->nvqs; i++)
		most = max(most, vf->vqs[i].size_max);
	return most;
}

static u16 ifcvf_get_vq_num_min(struct vdpa_device *vdpa)
{
	return to_vf(vdpa)->intel ? INTEL_QUEUE_MIN : 1;
}

/*
 * The device
 */

static u64 ifcvf_get_device_features(struct vdpa_device *vdpa)
{
	return to_vf(vdpa)->features_allowed;
}

static int ifcvf_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	return ifcvf_hw_negotiate(to_vf(vdpa), features);
}

static u64 ifcvf_get_driver_features(struct vdpa_device *vdpa)
{
	return ifcvf_hw_negotiated(to_vf(vdpa));
}

static void ifcvf_set_config_cb(struct vdpa_device *vdpa, struct vdpa_callback *cb)
{
	ifcvf_irq_set_config(to_vf(vdpa), cb);
}

static u32 ifcvf_get_device_id(struct vdpa_device *vdpa)
{
	return to_vf(vdpa)->id;
}

static u32 ifcvf_get_vendor_id(struct vdpa_device *vdpa)
{
	return to_vf(vdpa)->pdev->subsystem_vendor;
}

static u8 ifcvf_get_status(struct vdpa_device *vdpa)
{
	return ifcvf_hw_status(to_vf(vdpa));
}

static void ifcvf_set_status(struct vdpa_device *vdpa, u8 status)
{
	ifcvf_hw_set_status(to_vf(vdpa), status);
}

static int ifcvf_reset(struct vdpa_device *vdpa)
{
	struct ifcvf *vf = to_vf(vdpa);
	const struct vdpa_callback nobody = {};
	int err = ifcvf_hw_reset(vf);
	u32 i;

	for (i = 0; i < vf->nvqs; i++)
		ifcvf_irq_set_queue(vf, i, &nobody);
	ifcvf_irq_set_config(vf, &nobody);
	return err;
}

static size_t ifcvf_get_config_size(struct vdpa_device *vdpa)
{
	return ifcvf_hw_config_size(to_vf(vdpa));
}

static bool is_in_config(const struct ifcvf *vf, unsigned int offset, unsigned int len)
{
	size_t size = ifcvf_hw_config_size(vf);

	return offset <= size && len <= size - offset;
}

static void ifcvf_get_config(struct vdpa_device *vdpa, unsigned int offset, void *buf,
			     unsigned int len)
{
	struct ifcvf *vf = to_vf(vdpa);

	if (is_in_config(vf, offset, len))
		ifcvf_hw_config_read(vf, offset, buf, len);
	else
		memset(buf, 0, len);
}

static void ifcvf_set_config(struct vdpa_device *vdpa, unsigned int offset, const void *buf,
			     unsigned int len)
{
	struct ifcvf *vf = to_vf(vdpa);

	if (is_in_config(vf, offset, len))
		ifcvf_hw_config_write(vf, offset, buf, len);
}

static u32 ifcvf_get_generation(struct vdpa_device *vdpa)
{
	return ifcvf_hw_generation(to_vf(vdpa));
}

static const struct vdpa_config_ops ifcvf_ops = {
	.set_vq_address		= ifcvf_set_vq_address,
	.set_vq_num		= ifcvf_set_vq_num,
	.kick_vq		= ifcvf_kick_vq,
	.set_vq_cb		= ifcvf_set_vq_cb,
	.set_vq_ready		= ifcvf_set_vq_ready,
	.get_vq_ready		= ifcvf_get_vq_ready,
	.set_vq_state		= ifcvf_set_vq_state,
	.get_vq_state		= ifcvf_get_vq_state,
	.get_vq_notification	= ifcvf_get_vq_notification,
	.get_vq_irq		= ifcvf_get_vq_irq,
	.get_vq_size		= ifcvf_get_vq_size,
	.get_vq_align		= ifcvf_get_vq_align,
	.get_vq_group		= ifcvf_get_vq_group,
	.get_vq_num_max		= ifcvf_get_vq_num_max,
	.get_vq_num_min		= ifcvf_get_vq_num_min,
	.get_device_features	= ifcvf_get_device_features,
	.set_driver_features	= ifcvf_set_driver_features,
	.get_driver_features	= ifcvf_get_driver_features,
	.set_config_cb		= ifcvf_set_config_cb,
	.get_device_id		= ifcvf_get_device_id,
	.get_vendor_id		= ifcvf_get_vendor_id,
	.get_status		= ifcvf_get_status,
	.set_status		= ifcvf_set_status,
	.reset			= ifcvf_reset,
	.get_config_size	= ifcvf_get_config_size,
	.get_config		= ifcvf_get_config,
	.set_config		= ifcvf_set_config,
	.get_generation		= ifcvf_get_generation,
};

/**
 * ifcvf_vdpa_alloc - make a device of a function
 * @vf: the function, whose life is the longer one
 * @name: the device's name
 *
 * Return: the device, which put_device() takes away again, or an error pointer.
 */
struct vdpa_device *ifcvf_vdpa_alloc(struct ifcvf *vf, const char *name)
{
	struct ifcvf_vdpa *device;

	device = vdpa_alloc_device(struct ifcvf_vdpa, vdpa, &vf->pdev->dev, &ifcvf_ops, 1, 1,
				   name, false);
	if (IS_ERR(device))
		return ERR_CAST(device);
	device->vf = vf;
	device->vdpa.mdev = &vf->mgmt;
	device->vdpa.dma_dev = &vf->pdev->dev;
	return &device->vdpa;
}
