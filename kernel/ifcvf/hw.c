// SPDX-License-Identifier: GPL-2.0
/*
 * The function's registers: virtio's common configuration, the device's own, doorbells,
 * and the live migration region where there is one.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <uapi/linux/virtio_blk.h>
#include <uapi/linux/virtio_net.h>

#include "ifcvf.h"

/* a reset reads as done when it is; a device that never says so is broken */
#define RESET_MS_MAX		2000
/* a device that changes its configuration as fast as it is read */
#define CONFIG_TRIES_MAX	100
/* QEMU's functions have no more, Intel's far fewer */
#define QUEUES_MAX		1024

#define LM_QUEUE(index)		(0x20 + 4 * (index))

/*
 * What passes through us unchanged: all that belongs to a kind of device, and of what
 * belongs to rings and the transport that for which nobody between driver and device
 * has to do anything.
 */
#define FEATURES_OF_KIND	(GENMASK_ULL(23, 0) | GENMASK_ULL(63, 50))
#define FEATURES_OF_RINGS	(BIT_ULL(VIRTIO_F_NOTIFY_ON_EMPTY) | \
				 BIT_ULL(VIRTIO_F_ANY_LAYOUT) | \
				 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | \
				 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
				 BIT_ULL(VIRTIO_F_VERSION_1) | \
				 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) | \
				 BIT_ULL(VIRTIO_F_RING_PACKED) | \
				 BIT_ULL(VIRTIO_F_IN_ORDER) | \
				 BIT_ULL(VIRTIO_F_ORDER_PLATFORM))

static struct virtio_pci_common_cfg __iomem *common(struct ifcvf *vf)
{
	return vf->common.at;
}

static void write_halves(u64 value, __le32 __iomem *low, __le32 __iomem *high)
{
	iowrite32(lower_32_bits(value), low);
	iowrite32(upper_32_bits(value), high);
}

/*
 * Status and features
 */

u8 ifcvf_hw_status(struct ifcvf *vf)
{
	return ioread8(&common(vf)->device_status);
}

void ifcvf_hw_set_status(struct ifcvf *vf, u8 status)
{
	u8 features_in_use = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK;

	/* nobody has it run by features that were never settled */
	if (status & features_in_use && !vf->negotiated)
		status = (status & ~features_in_use) | VIRTIO_CONFIG_S_FAILED;
	iowrite8(status, &common(vf)->device_status);
}

static u64 features_read(struct ifcvf *vf)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);
	u64 features;

	iowrite32(1, &cfg->device_feature_select);
	features = (u64)ioread32(&cfg->device_feature) << 32;
	iowrite32(0, &cfg->device_feature_select);
	return features | ioread32(&cfg->device_feature);
}

int ifcvf_hw_negotiate(struct ifcvf *vf, u64 features)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);

	if (features & ~vf->features_allowed || ~features & IFCVF_FEATURES_NEEDED)
		return -EINVAL;
	guard(mutex)(&vf->select);
	iowrite32(0, &cfg->guest_feature_select);
	iowrite32(lower_32_bits(features), &cfg->guest_feature);
	iowrite32(1, &cfg->guest_feature_select);
	iowrite32(upper_32_bits(features), &cfg->guest_feature);
	vf->negotiated = true;
	return 0;
}

u64 ifcvf_hw_negotiated(struct ifcvf *vf)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);
	u64 features;

	guard(mutex)(&vf->select);
	iowrite32(1, &cfg->guest_feature_select);
	features = (u64)ioread32(&cfg->guest_feature) << 32;
	iowrite32(0, &cfg->guest_feature_select);
	return features | ioread32(&cfg->guest_feature);
}

/*
 * Queues
 */

/* A function that has a vector answers with it, one that cannot use it does not. */
static int vectors_tell(struct ifcvf *vf)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);
	u32 i;

	lockdep_assert_held(&vf->select);
	iowrite16(0, &cfg->msix_config);
	if (ioread16(&cfg->msix_config) != 0)
		return -EBUSY;
	for (i = 0; i < vf->nvqs; i++) {
		iowrite16(i, &cfg->queue_select);
		iowrite16(vf->vqs[i].vector, &cfg->queue_msix_vector);
		if (ioread16(&cfg->queue_msix_vector) != vf->vqs[i].vector)
			return -EBUSY;
		cond_resched();
	}
	return 0;
}

/*
 * One that does not reset may still do what it was told before, in memory that is about
 * to be somebody else's: it is on the bus only after it has reset.
 */
static int reset_wait(struct ifcvf *vf)
{
	unsigned int ms;

	iowrite8(0, &common(vf)->device_status);
	for (ms = 0; ifcvf_hw_status(vf); ms++) {
		if (ms == RESET_MS_MAX) {
			pci_clear_master(vf->pdev);
			return -ETIMEDOUT;
		}
		fsleep(1000);
	}
	if (!vf->pdev->is_busmaster)
		pci_set_master(vf->pdev);
	return 0;
}

/* Nothing that was set before counts any more; maps, which are not ours, stay. */
int ifcvf_hw_reset(struct ifcvf *vf)
{
	struct ifcvf_vq *vq;
	u32 i;
	int err;

	guard(mutex)(&vf->select);
	err = reset_wait(vf);
	for (i = 0; i < vf->nvqs; i++) {
		vq = &vf->vqs[i];
		WRITE_ONCE(vq->ready, false);
		/* a function that does not reset has it still */
		if (!err)
			vq->started = false;
		vq->desc = 0;
		vq->driver = 0;
		vq->device = 0;
		vq->size = vq->size_max;
		vq->start = 0;
	}
	vf->negotiated = false;
	if (err || !vf->nvectors)
		return err;
	ifcvf_irq_synchronize(vf);
	return vectors_tell(vf);
}

/*
 * A queue that was made ready is the function's until a reset: virtio over PCI does
 * not let a driver take it back.
 */
int ifcvf_hw_queue_start(struct ifcvf *vf, u16 index)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);
	struct ifcvf_vq *vq = &vf->vqs[index];

	if (!vq->size || vq->size > vq->size_max)
		return -EINVAL;
	guard(mutex)(&vf->select);
	iowrite16(index, &cfg->queue_select);
	iowrite16(vq->size, &cfg->queue_size);
	write_halves(vq->desc, &cfg->queue_desc_lo, &cfg->queue_desc_hi);
	write_halves(vq->driver, &cfg->queue_avail_lo, &cfg->queue_avail_hi);
	write_halves(vq->device, &cfg->queue_used_lo, &cfg->queue_used_hi);
	if (vf->lm.at)
		iowrite16(vq->start, vf->lm.at + LM_QUEUE(index));
	iowrite16(1, &cfg->queue_enable);
	vq->started = true;
	return 0;
}

bool ifcvf_hw_queue_enabled(struct ifcvf *vf, u16 index)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);

	guard(mutex)(&vf->select);
	iowrite16(index, &cfg->queue_select);
	return ioread16(&cfg->queue_enable) == 1;
}

int ifcvf_hw_queue_progress(struct ifcvf *vf, u16 index, u16 *avail)
{
	if (!vf->vqs[index].started)
		*avail = vf->vqs[index].start;
	else if (vf->lm.at)
		*avail = ioread16(vf->lm.at + LM_QUEUE(index));
	else
		return -EOPNOTSUPP;
	return 0;
}

/*
 * The device's configuration
 */

/* The structure may be followed by nothing up to the end of its page, or its BAR. */
size_t ifcvf_hw_config_size(const struct ifcvf *vf)
{
	size_t kind = vf->id == VIRTIO_ID_NET ? sizeof(struct virtio_net_config) :
						sizeof(struct virtio_blk_config);

	return min_t(size_t, kind, vf->config.length);
}

u8 ifcvf_hw_generation(struct ifcvf *vf)
{
	return ioread8(&common(vf)->config_generation);
}

void ifcvf_hw_config_read(struct ifcvf *vf, unsigned int offset, u8 *buf, unsigned int len)
{
	unsigned int tries, i;
	u8 before;

	for (tries = 0; tries < CONFIG_TRIES_MAX; tries++) {
		before = ifcvf_hw_generation(vf);
		for (i = 0; i < len; i++)
			buf[i] = ioread8(vf->config.at + offset + i);
		if (ifcvf_hw_generation(vf) == before)
			return;
	}
	/* what there is of it: some of its fields are not of the same moment */
}

void ifcvf_hw_config_write(struct ifcvf *vf, unsigned int offset, const u8 *buf,
			   unsigned int len)
{
	unsigned int i;

	for (i = 0; i < len; i++)
		iowrite8(buf[i], vf->config.at + offset + i);
}

/*
 * What the function has
 */

/* Where a queue is rung depends on two numbers of the function's. */
static int doorbell_find(struct ifcvf *vf, struct ifcvf_vq *vq, u16 slot)
{
	u64 offset = (u64)slot * vf->notify_step;

	if (offset + sizeof(u16) > vf->notify.length)
		return -EINVAL;
	vq->doorbell = vf->notify.at + offset;
	vq->doorbell_phys = pci_resource_start(vf->pdev, vf->notify.bar) +
			    vf->notify.offset + offset;
	vq->doorbell_alone = ifcvf_is_alone(vf, vf->notify.bar, vf->notify.offset + offset,
					    vf->notify_step);
	return 0;
}

static int queues_find(struct ifcvf *vf)
{
	struct virtio_pci_common_cfg __iomem *cfg = common(vf);
	u16 n = ioread16(&cfg->num_queues), i;
	struct ifcvf_vq *vq;

	/* whoever drives it has much for each, be it there or not */
	if (n > QUEUES_MAX) {
		pci_err(vf->pdev, "%u queues: more than %u\n", n, QUEUES_MAX);
		return -EINVAL;
	}
	vf->vqs = kvcalloc(n, sizeof(*vf->vqs), GFP_KERNEL);
	if (!vf->vqs)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		vq = &vf->vqs[i];
		iowrite16(i, &cfg->queue_select);
		vq->size_max = ioread16(&cfg->queue_size);
		vq->size = vq->size_max;
		/* one of no size is not there, and those behind it cannot be reached */
		if (!vq->size_max)
			break;
		if (doorbell_find(vf, vq, ioread16(&cfg->queue_notify_off))) {
			pci_err(vf->pdev, "queue %u is rung outside of the doorbells\n", i);
			return -EINVAL;
		}
		cond_resched();
	}
	vf->nvqs = i;
	return i ? 0 : -ENODEV;
}

static int lm_check(struct ifcvf *vf)
{
	if (!vf->lm.at) {
		pci_info(vf->pdev,
			 "no live migration region: queues start at 0, and do not say where they are\n");
		return 0;
	}
	return vf->lm.length < LM_QUEUE(vf->nvqs) ? -EINVAL : 0;
}

/* After an error nothing is left. */
int ifcvf_hw_init(struct ifcvf *vf)
{
	int err;

	mutex_init(&vf->select);
	spin_lock_init(&vf->callbacks);
	err = reset_wait(vf);
	if (err)
		return err;
	vf->features_offered = features_read(vf) & (FEATURES_OF_KIND | FEATURES_OF_RINGS);
	if (~vf->features_offered & IFCVF_FEATURES_NEEDED) {
		pci_err(vf->pdev, "its memory accesses are not subject to the platform's IOMMU\n");
		return -EOPNOTSUPP;
	}
	vf->features_allowed = vf->features_offered;
	err = queues_find(vf) ?: lm_check(vf);
	if (err)
		ifcvf_hw_free(vf);
	return err;
}

void ifcvf_hw_free(struct ifcvf *vf)
{
	kvfree(vf->vqs);
	vf->vqs = NULL;
}
