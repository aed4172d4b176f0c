// SPDX-License-Identifier: GPL-2.0
/*
 * The simulated vDPA device, whatever kind it is: its life and its queues.
 */
#include <linux/cleanup.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <uapi/linux/vdpa.h>
#include <uapi/linux/vhost_types.h>

#define CREATE_TRACE_POINTS
#include <trace/events/vdpa_sim.h>
#include <vdpa/dirty.h>
#include <vringh/table.h>

#include "vdpa_sim.h"

/* the network card's */
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_sim_ctrl);

#define VDPASIM_VENDOR_ID	0
#define VDPASIM_QUEUE_ALIGN	PAGE_SIZE

static int batch_mapping = 1;
module_param(batch_mapping, int, 0444);
MODULE_PARM_DESC(batch_mapping, "Batched mapping 1 -Enable; 0 - Disable");

static bool use_va = true;
module_param(use_va, bool, 0444);
MODULE_PARM_DESC(use_va, "Enable/disable the device's ability to use VA");

/* off: QEMU 7.2 has no shadow virtqueue for a device that offers it */
static bool dirty_log;
module_param(dirty_log, bool, 0444);
MODULE_PARM_DESC(dirty_log, "Offer to log what the device writes");

/* NULL where there is no such queue; a CPU that guesses gets to one that there is */
static struct vdpasim_virtqueue *sim_vq(struct vdpasim *sim, u16 idx)
{
	if (idx >= sim->attr.nvqs)
		return NULL;
	return &sim->vqs[array_index_nospec(idx, sim->attr.nvqs)];
}

/**
 * vdpasim_config_changed - the configuration is another one now, or the status
 * @sim: the device
 */
void vdpasim_config_changed(struct vdpasim *sim)
{
	spin_lock_bh(&sim->config_lock);
	sim->generation++;
	if (vdpasim_is_started(sim) || (sim->status & VIRTIO_CONFIG_S_NEEDS_RESET))
		if (sim->config_cb.callback)
			sim->config_cb.callback(sim->config_cb.private);
	spin_unlock_bh(&sim->config_lock);
}
EXPORT_SYMBOL_GPL(vdpasim_config_changed);

/*
 * Queues
 */
static int sim_set_vq_address(struct vdpa_device *vdpa, u16 idx, u64 desc_area, u64 driver_area,
			      u64 device_area)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return -EINVAL;
	guard(vdpasim)(sim);
	vq->ring.desc = (struct vring_desc *)(uintptr_t)desc_area;
	vq->ring.avail = (struct vring_avail *)(uintptr_t)driver_area;
	vq->ring.used = (struct vring_used *)(uintptr_t)device_area;
	return 0;
}

static void sim_set_vq_num(struct vdpa_device *vdpa, u16 idx, u32 num)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return;
	guard(vdpasim)(sim);
	/* no queue with 0 descriptors becomes ready */
	vq->ring.num = num <= VDPASIM_QUEUE_MAX ? num : 0;
}

static u16 sim_get_vq_size(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return 0;
	guard(vdpasim)(sim);
	return sim->status & VIRTIO_CONFIG_S_DRIVER_OK ? vq->ring.num : VDPASIM_QUEUE_MAX;
}

/* May be called in atomic context. */
static void sim_kick_vq(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq || !READ_ONCE(vq->ready))
		return;
	/*
	 * The worker does nothing for a device that is suspended or not started yet, and
	 * takes no mark away: what was marked is looked at once it runs.
	 */
	set_bit(vq - sim->vqs, sim->kicked);
	if (!vdpasim_serve_kick(sim))
		vdpasim_schedule_work(sim);
}

static void sim_set_vq_cb(struct vdpa_device *vdpa, u16 idx, struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return;
	guard(vdpasim)(sim);
	vq->cb = *cb;
}

/*
 * Descriptors are handled to the end before anything else can happen: what was taken
 * was given back, and one index says how far we are.
 *
 * Which kind of addresses it is hangs on who uses the device, not on whether his
 * address space is known already: a user's must never be taken for physical ones.
 */
static int vring_start(struct vdpasim *sim, struct vdpasim_virtqueue *vq)
{
	bool va = sim->vdpa.use_va && !vdpasim_serves_kernel(sim);
	int err = (va ? vringh_init_iotlb_va : vringh_init_iotlb)
		(&vq->vring, sim->features, vq->ring.num, true,
		 vq->ring.desc, vq->ring.avail, vq->ring.used);

	if (err)
		return err;
	vq->vring.last_avail_idx = vq->avail_idx;
	vq->vring.last_used_idx = vq->avail_idx;
	return 0;
}

static void sim_set_vq_ready(struct vdpa_device *vdpa, u16 idx, bool ready)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return;
	guard(vdpasim)(sim);
	if (ready && !vq->ready && !vring_start(sim, vq)) {
		WRITE_ONCE(vq->ready, true);
		sim->attr.queue_ready(sim, vq - sim->vqs);
		vdpasim_schedule_work(sim);
	}
	if (!ready && vq->ready) {
		WRITE_ONCE(vq->ready, false);
		vq->avail_idx = vq->vring.last_avail_idx;
	}
}

static bool sim_get_vq_ready(struct vdpa_device *vdpa, u16 idx)
{
	struct vdpasim_virtqueue *vq = sim_vq(vdpa_to_sim(vdpa), idx);

	return vq && READ_ONCE(vq->ready);
}

/* What a queue that is ready is at cannot be moved from outside, only looked at. */
static int sim_set_vq_state(struct vdpa_device *vdpa, u16 idx, const struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return -EINVAL;
	guard(vdpasim)(sim);
	if (vq->ready)
		return -EBUSY;
	vq->avail_idx = state->split.avail_index;
	return 0;
}

static int sim_get_vq_state(struct vdpa_device *vdpa, u16 idx, struct vdpa_vq_state *state)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	struct vdpasim_virtqueue *vq = sim_vq(sim, idx);

	if (!vq)
		return -EINVAL;
	guard(vdpasim)(sim);
	state->split.avail_index = vq->ready ? vq->vring.last_avail_idx : vq->avail_idx;
	return 0;
}

static int sim_get_vq_stats(struct vdpa_device *vdpa, u16 idx, struct sk_buff *msg,
			    struct netlink_ext_ack *extack)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (!sim->attr.get_stats)
		return -EOPNOTSUPP;
	return sim->attr.get_stats(sim, idx, msg, extack);
}

static u32 sim_get_vq_align(struct vdpa_device *vdpa)
{
	return VDPASIM_QUEUE_ALIGN;
}

static u16 sim_get_vq_num_max(struct vdpa_device *vdpa)
{
	return VDPASIM_QUEUE_MAX;
}

/* Where there are two groups, the last queue has one to itself: it is the control queue. */
static u32 sim_get_vq_group(struct vdpa_device *vdpa, u16 idx)
{
	const struct vdpasim_dev_attr *attr = &vdpa_to_sim(vdpa)->attr;

	return attr->ngroups > 1 && idx == attr->nvqs - 1;
}

static void sim_set_group_table(struct vdpasim *sim, unsigned int group, unsigned int asid)
{
	unsigned int idx;

	/* while the kernel's own drivers have the device, nobody else gets at its tables */
	spinlock_t *lock = sim->as[asid].identity ? NULL : &sim->iommu_lock;

	for (idx = 0; idx < sim->attr.nvqs; idx++)
		if (sim_get_vq_group(&sim->vdpa, idx) == group)
			vringh_set_table(&sim->vqs[idx].vring, &sim->as[asid].table, lock);
}

/* All groups are in address space 0. */
static void sim_set_tables(struct vdpasim *sim)
{
	unsigned int group;

	for (group = 0; group < sim->attr.ngroups; group++)
		sim_set_group_table(sim, group, 0);
}

static int sim_set_group_asid(struct vdpa_device *vdpa, unsigned int group, unsigned int asid)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (group >= sim->attr.ngroups || asid >= sim->attr.nas)
		return -EINVAL;
	asid = array_index_nospec(asid, sim->attr.nas);
	guard(vdpasim)(sim);
	sim_set_group_table(sim, group, asid);
	return 0;
}

/*
 * The device
 */
static u64 sim_get_device_features(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->attr.features;
}

static u64 sim_get_backend_features(const struct vdpa_device *vdpa)
{
	return BIT_ULL(VHOST_BACKEND_F_ENABLE_AFTER_DRIVER_OK);
}

static int sim_set_driver_features(struct vdpa_device *vdpa, u64 features)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	/* nothing is reached but through translations */
	if (!(features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM)))
		return -EINVAL;
	guard(vdpasim)(sim);
	sim->features = features & sim->attr.features;
	return 0;
}

static u64 sim_get_driver_features(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->features;
}

static void sim_set_config_cb(struct vdpa_device *vdpa, struct vdpa_callback *cb)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	spin_lock_bh(&sim->config_lock);
	sim->config_cb = *cb;
	spin_unlock_bh(&sim->config_lock);
}

static u32 sim_get_device_id(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->attr.id;
}

static u32 sim_get_vendor_id(struct vdpa_device *vdpa)
{
	return VDPASIM_VENDOR_ID;
}

static u8 sim_get_status(struct vdpa_device *vdpa)
{
	return READ_ONCE(vdpa_to_sim(vdpa)->status);
}

static void sim_set_status(struct vdpa_device *vdpa, u8 status)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	guard(vdpasim)(sim);
	if ((status & ~sim->status & VIRTIO_CONFIG_S_DRIVER_OK) && vdpasim_serves_kernel(sim)) {
		vdpasim_iommu_identity(sim);
		sim_set_tables(sim);
	}
	/* only a reset takes that away */
	WRITE_ONCE(sim->status, status | (sim->status & VIRTIO_CONFIG_S_NEEDS_RESET));
	/* for what was marked before */
	if (vdpasim_is_started(sim))
		vdpasim_schedule_work(sim);
}

static void vq_free(struct vdpasim_virtqueue *vq)
{
	vringh_kiov_cleanup(&vq->riov);
	vringh_kiov_cleanup(&vq->wiov);
}

static void vq_init(struct vdpasim_virtqueue *vq)
{
	memset(vq, 0, sizeof(*vq));
	vringh_kiov_init(&vq->riov, vq->rpieces, VDPASIM_PIECES);
	vringh_kiov_init(&vq->wiov, vq->wpieces, VDPASIM_PIECES);
}

static void vq_reset(struct vdpasim_virtqueue *vq)
{
	vq_free(vq);
	vq_init(vq);
}

static int sim_compat_reset(struct vdpa_device *vdpa, u32 flags)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);
	unsigned int i;

	guard(vdpasim)(sim);
	WRITE_ONCE(sim->status, 0);
	sim->features = 0;
	sim->suspended = false;
	for (i = 0; i < sim->attr.nvqs; i++)
		vq_reset(&sim->vqs[i]);
	bitmap_zero(sim->kicked, VDPASIM_VQS_MAX);
	vdpasim_iommu_reset(sim, flags & VDPA_RESET_F_CLEAN_MAP);
	sim_set_tables(sim);
	spin_lock_bh(&sim->config_lock);
	sim->config_cb = (struct vdpa_callback) {};
	sim->generation++;
	if (sim->attr.reset)
		sim->attr.reset(sim);
	spin_unlock_bh(&sim->config_lock);
	return 0;
}

static int sim_reset(struct vdpa_device *vdpa)
{
	return sim_compat_reset(vdpa, 0);
}

/* The worker is not in between: no descriptor is handled any more. */
static int sim_suspend(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	guard(vdpasim)(sim);
	WRITE_ONCE(sim->suspended, true);
	return 0;
}

static int sim_resume(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	guard(vdpasim)(sim);
	if (sim->suspended) {
		WRITE_ONCE(sim->suspended, false);
		if (sim->attr.resumed)
			sim->attr.resumed(sim);
		/* for what was kicked meanwhile */
		vdpasim_schedule_work(sim);
	}
	return 0;
}

static size_t sim_get_config_size(struct vdpa_device *vdpa)
{
	return vdpa_to_sim(vdpa)->attr.config_size;
}

static bool is_in_config(const struct vdpasim *sim, unsigned int offset, unsigned int len)
{
	return offset <= sim->attr.config_size && len <= sim->attr.config_size - offset;
}

static void sim_get_config(struct vdpa_device *vdpa, unsigned int offset, void *buf,
			   unsigned int len)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (!is_in_config(sim, offset, len)) {
		/* nothing of what was in that memory before */
		memset(buf, 0, len);
		return;
	}
	spin_lock_bh(&sim->config_lock);
	memcpy(buf, sim->config + offset, len);
	spin_unlock_bh(&sim->config_lock);
}

static void sim_set_config(struct vdpa_device *vdpa, unsigned int offset, const void *buf,
			   unsigned int len)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	if (!is_in_config(sim, offset, len) || !sim->attr.set_config)
		return;
	spin_lock_bh(&sim->config_lock);
	sim->attr.set_config(sim, offset, buf, len);
	spin_unlock_bh(&sim->config_lock);
}

static u32 sim_get_generation(struct vdpa_device *vdpa)
{
	return READ_ONCE(vdpa_to_sim(vdpa)->generation);
}

static struct vdpa_iova_range sim_get_iova_range(struct vdpa_device *vdpa)
{
	return (struct vdpa_iova_range) { .first = 0, .last = U64_MAX };
}

/* The address space is held on to, not kept alive: the worker asks for that each time. */
static void set_mm(struct vdpasim *sim, struct mm_struct *mm)
{
	struct mm_struct *old;

	if (mm)
		mmgrab(mm);
	scoped_guard(vdpasim, sim) {
		old = sim->mm;
		sim->mm = mm;
	}
	if (old)
		mmdrop(old);
}

static int sim_bind_mm(struct vdpa_device *vdpa, struct mm_struct *mm)
{
	set_mm(vdpa_to_sim(vdpa), mm);
	return 0;
}

static void sim_unbind_mm(struct vdpa_device *vdpa)
{
	set_mm(vdpa_to_sim(vdpa), NULL);
}

static void free_vqs(struct vdpasim *sim)
{
	unsigned int i;

	for (i = 0; sim->vqs && i < sim->attr.nvqs; i++)
		vq_free(&sim->vqs[i]);
	kfree(sim->vqs);
}

/* Also for a device that was never finished: what was made last goes first. */
static void sim_free(struct vdpa_device *vdpa)
{
	struct vdpasim *sim = vdpa_to_sim(vdpa);

	vdpasim_worker_free(sim);
	sim->attr.free(sim);
	vdpa_dirty_withdraw(sim->dirty);
	if (sim->mm)
		mmdrop(sim->mm);
	vdpasim_iommu_free(sim);
	free_vqs(sim);
	kfree(sim->config);
}

/* What is common to a device that takes whole tables and one that takes map by map. */
#define SIM_CONFIG_OPS						\
	.set_vq_address		= sim_set_vq_address,		\
	.set_vq_num		= sim_set_vq_num,		\
	.get_vq_size		= sim_get_vq_size,		\
	.kick_vq		= sim_kick_vq,			\
	.set_vq_cb		= sim_set_vq_cb,		\
	.set_vq_ready		= sim_set_vq_ready,		\
	.get_vq_ready		= sim_get_vq_ready,		\
	.set_vq_state		= sim_set_vq_state,		\
	.get_vq_state		= sim_get_vq_state,		\
	.get_vendor_vq_stats	= sim_get_vq_stats,		\
	.get_vq_align		= sim_get_vq_align,		\
	.get_vq_num_max		= sim_get_vq_num_max,		\
	.get_vq_group		= sim_get_vq_group,		\
	.set_group_asid		= sim_set_group_asid,		\
	.get_device_features	= sim_get_device_features,	\
	.get_backend_features	= sim_get_backend_features,	\
	.set_driver_features	= sim_set_driver_features,	\
	.get_driver_features	= sim_get_driver_features,	\
	.set_config_cb		= sim_set_config_cb,		\
	.get_device_id		= sim_get_device_id,		\
	.get_vendor_id		= sim_get_vendor_id,		\
	.get_status		= sim_get_status,		\
	.set_status		= sim_set_status,		\
	.reset			= sim_reset,			\
	.compat_reset		= sim_compat_reset,		\
	.suspend		= sim_suspend,			\
	.resume			= sim_resume,			\
	.get_config_size	= sim_get_config_size,		\
	.get_config		= sim_get_config,		\
	.set_config		= sim_set_config,		\
	.get_generation		= sim_get_generation,		\
	.get_iova_range		= sim_get_iova_range,		\
	.reset_map		= vdpasim_reset_map,		\
	.bind_mm		= sim_bind_mm,			\
	.unbind_mm		= sim_unbind_mm,		\
	.free			= sim_free

static const struct vdpa_config_ops sim_config_ops = {
	SIM_CONFIG_OPS,
	.dma_map	= vdpasim_dma_map,
	.dma_unmap	= vdpasim_dma_unmap,
};

static const struct vdpa_config_ops sim_batch_config_ops = {
	SIM_CONFIG_OPS,
	.set_map	= vdpasim_set_map,
};

static void sim_hold(struct vdpa_device *vdpa)
{
	vdpasim_lock(vdpa_to_sim(vdpa));
}

static void sim_let_go(struct vdpa_device *vdpa)
{
	up(&vdpa_to_sim(vdpa)->lock);
}

static const struct vdpa_dirty_ops sim_dirty_ops = {
	.hold	= sim_hold,
	.let_go	= sim_let_go,
};

static int sim_init(struct vdpasim *sim)
{
	struct device *dev = &sim->vdpa.dev;
	unsigned int i;
	int err;

	sim->vdpa.dma_dev = dev;
	sim->vdpa.mdev = sim->attr.mgmt_dev;
	sema_init(&sim->lock, 1);
	spin_lock_init(&sim->config_lock);

	dev->dma_mask = &dev->coherent_dma_mask;
	err = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(64));
	if (err)
		return err;
	sim->config = kzalloc(sim->attr.config_size, GFP_KERNEL);
	sim->vqs = kcalloc(sim->attr.nvqs, sizeof(*sim->vqs), GFP_KERNEL);
	if (!sim->config || !sim->vqs)
		return -ENOMEM;
	for (i = 0; i < sim->attr.nvqs; i++)
		vq_init(&sim->vqs[i]);
	if (dirty_log) {
		sim->dirty = vdpa_dirty_offer(&sim->vdpa, sim->attr.nvqs, &sim_dirty_ops);
		if (!sim->dirty)
			return -ENOMEM;
	}
	err = vdpasim_iommu_init(sim);
	if (err)
		return err;
	sim_set_tables(sim);

	return vdpasim_worker_init(sim);
}

/**
 * vdpasim_create - make a simulated device, which nobody sees yet
 * @attr: what kind of device it is
 * @config: what was asked for when it was added
 *
 * Until it is registered, put_device() takes it away again, and what attr->free() does.
 *
 * Return: the device, or an error pointer.
 */
struct vdpasim *vdpasim_create(struct vdpasim_dev_attr *attr,
			       const struct vdpa_dev_set_config *config)
{
	const struct vdpa_config_ops *ops = batch_mapping ? &sim_batch_config_ops :
							    &sim_config_ops;
	struct vdpa_device *vdpa;
	struct vdpasim *sim;
	int err;

	if (attr->alloc_size < sizeof(*sim) || !attr->nvqs || attr->nvqs > VDPASIM_VQS_MAX)
		return ERR_PTR(-EINVAL);
	if (config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES)) {
		if (config->device_features & ~attr->supported)
			return ERR_PTR(-EINVAL);
		attr->features = config->device_features;
	}

	vdpa = __vdpa_alloc_device(NULL, ops, attr->ngroups, attr->nas, attr->alloc_size,
				   attr->name, use_va);
	if (IS_ERR(vdpa))
		return ERR_CAST(vdpa);
	sim = vdpa_to_sim(vdpa);
	sim->attr = *attr;
	err = sim_init(sim);
	if (err) {
		put_device(&vdpa->dev);
		return ERR_PTR(err);
	}
	return sim;
}
EXPORT_SYMBOL_GPL(vdpasim_create);

MODULE_VERSION("0.1");
MODULE_DESCRIPTION("vDPA Device Simulator core");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
