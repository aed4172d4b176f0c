/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A simulated vDPA device: what its kinds share.
 *
 * Locks, outermost first: @lock keeps the device's state, and is held by the worker, or who
 * does its work, meanwhile, so that who has it (guard(vdpasim)) knows the device to be still;
 * @config_lock keeps the configuration, and is all that who only looks at the device must wait
 * for; @iommu_lock keeps the address spaces of a process, also from the worker while it
 * touches memory through them.
 *
 * @lock is a semaphore, since it may be taken, and let go of, by a driver's kick: with a lock
 * held that a softirq takes, too. What a mutex does there is not safe from softirqs. lockdep
 * does not look at it: nobody waits for it who has one of the others.
 */
#ifndef _VDPA_SIM_H
#define _VDPA_SIM_H

#include <linux/bitmap.h>
#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/kthread.h>
#include <linux/semaphore.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/vringh.h>
#include <uapi/linux/virtio_config.h>

#define VDPASIM_FEATURES	(BIT_ULL(VIRTIO_F_ANY_LAYOUT) | \
				 BIT_ULL(VIRTIO_F_VERSION_1) | \
				 BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))

#define VDPASIM_QUEUE_MAX	256
#define VDPASIM_VQS_MAX		BITS_PER_LONG

/* How many chains a queue may have handled before others get their turn. */
#define VDPASIM_BATCH		64

/* A chain of no more pieces needs no memory: all that our devices say drivers may make. */
#define VDPASIM_PIECES		40

struct vdpasim;
struct vdpa_dirty;

struct vdpasim_virtqueue {
	struct vringh vring;
	struct vringh_kiov riov;
	struct vringh_kiov wiov;
	struct vdpa_callback cb;
	/* as it was set; @vring is set up from it when the queue becomes ready */
	struct vring ring;
	u16 avail_idx;
	u16 head;
	bool ready;
	struct kvec rpieces[VDPASIM_PIECES];
	struct kvec wpieces[VDPASIM_PIECES];
};

/*
 * What a kind of device brings along.
 * @work: handles the queues whose bits are set in @kicked and counts what it did in
 *	@done; true if there is more to do. Called with the lock held.
 * @kick_batch: how many chains whoever kicks may be kept for in all, with what work() then
 *	does without sleeping; none if it always may have to
 */
struct vdpasim_dev_attr {
	struct vdpa_mgmt_dev *mgmt_dev;
	const char *name;
	/* all that can be asked for, and what is offered unless something is asked for */
	u64 supported;
	u64 features;
	size_t alloc_size;
	size_t config_size;
	u32 id;
	u32 nvqs;
	u32 ngroups;
	u32 nas;
	u32 kick_batch;

	bool (*work)(struct vdpasim *sim, unsigned long *kicked, unsigned int *done);
	/*
	 * A queue is ready. What was in it when the device was stopped nobody tells of again:
	 * marks in @kicked what has to be looked at. With the lock held.
	 */
	void (*queue_ready)(struct vdpasim *sim, unsigned int idx);
	/* a driver writes to the configuration, inside of it; with its lock */
	void (*set_config)(struct vdpasim *sim, unsigned int offset, const void *buf,
			   unsigned int len);
	/* the device was reset, with the configuration's lock, too; or resumed. Lock held. */
	void (*reset)(struct vdpasim *sim);
	void (*resumed)(struct vdpasim *sim);
	/* for anybody, without a lock */
	int (*get_stats)(struct vdpasim *sim, u16 idx, struct sk_buff *msg,
			 struct netlink_ext_ack *extack);
	void (*free)(struct vdpasim *sim);
};

/* @identity: all memory under its own addresses, for the kernel's own drivers */
struct vdpasim_as {
	struct vhost_iotlb table;
	bool identity;
	/* the map of all memory while it is not in the table: that a driver starts must not fail */
	struct vhost_iotlb_map *whole;
};

struct vdpasim {
	struct vdpa_device vdpa;
	struct vdpasim_dev_attr attr;

	/* the device's state */
	struct semaphore lock;
	struct vdpasim_virtqueue *vqs;
	u64 features;
	u8 status;
	bool suspended;
	bool retired;		/* it is being taken away: nothing begins any more */
	bool atomic;		/* who kicks is being served, and must not sleep */
	/* whose addresses they are, where they are user addresses */
	struct mm_struct *mm;

	/* what it is configured to */
	spinlock_t config_lock;
	struct vdpa_callback config_cb;
	void *config;
	u32 generation;

	struct kthread_worker *worker;
	struct kthread_work work;
	/* how many want the worker to wait for nothing */
	spinlock_t hurry_lock;
	unsigned int hurried;
	/* what it writes is marked; @logs: in this round of the worker's, who does it all then */
	struct vdpa_dirty *dirty;
	bool logs;
	/* queues that the worker has to look at */
	DECLARE_BITMAP(kicked, VDPASIM_VQS_MAX);

	/* the address spaces */
	spinlock_t iommu_lock;
	struct vdpasim_as *as;
};

static inline struct vdpasim *vdpa_to_sim(struct vdpa_device *vdpa)
{
	return container_of(vdpa, struct vdpasim, vdpa);
}

static inline bool vdpasim_has(const struct vdpasim *sim, unsigned int feature)
{
	return sim->features & BIT_ULL(feature);
}

/*
 * Is it the kernel's own driver that has the device? It maps nothing, and hands over
 * physical addresses. While it is being bound, it already is.
 */
static inline bool vdpasim_serves_kernel(const struct vdpasim *sim)
{
	const struct device_driver *driver = sim->vdpa.dev.driver;

	return driver && !strcmp(driver->name, "virtio_vdpa");
}

/* Is it the kernel's own driver that works with it? Sure only with the lock held. */
static inline bool vdpasim_iommu_is_identity(const struct vdpasim *sim)
{
	return READ_ONCE(sim->as[0].identity);
}

static inline bool vdpasim_is_started(const struct vdpasim *sim)
{
	return (sim->status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(sim->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* How many chains work() may handle of a queue, when it has handled @done already. */
static inline unsigned int vdpasim_batch(const struct vdpasim *sim, unsigned int done)
{
	if (sim->atomic)
		return done < sim->attr.kick_batch ? sim->attr.kick_batch - done : 0;
	return VDPASIM_BATCH;
}

/* core.c */
struct vdpasim *vdpasim_create(struct vdpasim_dev_attr *attr,
			       const struct vdpa_dev_set_config *config);
void vdpasim_config_changed(struct vdpasim *sim);

/* worker.c */
int vdpasim_worker_init(struct vdpasim *sim);
void vdpasim_worker_free(struct vdpasim *sim);
void vdpasim_lock(struct vdpasim *sim);
void vdpasim_retire(struct vdpasim *sim);
DEFINE_GUARD(vdpasim, struct vdpasim *, vdpasim_lock(_T), up(&_T->lock))
void vdpasim_schedule_work(struct vdpasim *sim);
bool vdpasim_serve_kick(struct vdpasim *sim);

/* chain.c */
int vdpasim_getdesc(struct vdpasim *sim, struct vdpasim_virtqueue *vq, struct vringh_kiov *riov,
		    struct vringh_kiov *wiov);
bool vdpasim_has_more(struct vdpasim *sim, struct vdpasim_virtqueue *vq, struct vringh_kiov *riov,
		      struct vringh_kiov *wiov);
ssize_t vdpasim_push(struct vdpasim *sim, struct vdpasim_virtqueue *vq, const void *buf,
		     size_t len);
void vdpasim_complete(struct vdpasim *sim, struct vdpasim_virtqueue *vq, u32 len);
void vdpasim_notify(struct vdpasim_virtqueue *vq);

/* iommu.c */
int vdpasim_iommu_init(struct vdpasim *sim);
void vdpasim_iommu_free(struct vdpasim *sim);
void vdpasim_iommu_identity(struct vdpasim *sim);
void vdpasim_iommu_reset(struct vdpasim *sim, bool all);
int vdpasim_set_map(struct vdpa_device *vdpa, unsigned int asid, struct vhost_iotlb *iotlb);
int vdpasim_dma_map(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size, u64 pa,
		    u32 perm, void *opaque);
int vdpasim_dma_unmap(struct vdpa_device *vdpa, unsigned int asid, u64 iova, u64 size);
int vdpasim_reset_map(struct vdpa_device *vdpa, unsigned int asid);

#endif
