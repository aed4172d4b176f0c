/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MIGSCOPE_VHOST_VDPA_H
#define _MIGSCOPE_VHOST_VDPA_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/irqbypass.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <vdpa/dirty.h>
#include <vdpa/ops.h>

#include <drivers/vhost/vhost.h>

/* An eventfd that a callback may signal at any time. */
struct vhost_vdpa_call {
	struct rcu_head rcu;
	struct eventfd_ctx *ctx;
};

/* One address space. Maps are of contiguous runs of memory. */
struct vhost_vdpa_as {
	struct vhost_iotlb iotlb;
	/* no longer in the table, but maybe still in use by the device */
	struct list_head doomed;
	unsigned int ndoomed;
	bool stale;		/* the device refused the table as it is now */
	u32 id;
};

/* What we know of a queue; vhost.ko keeps the eventfd that kicks it. */
struct vhost_vdpa_queue {
	struct vhost_vdpa *v;
	const struct vdpa_device *vdev;	/* which calls back only while it lives */
	struct vhost_vdpa_call __rcu *call;
	struct irq_bypass_producer producer;
	u16 index;
	u16 size_max;		/* 0: the device does not say, of a single queue */
	bool bypassed;		/* the producer is registered */
	bool kept;		/* its state before the last reset, or why there is none: */
	int kept_err;
	struct vdpa_vq_state state;
	struct vhost_vring_addr addr;	/* as the device has it */
};

struct vhost_vdpa {
	struct device dev;
	struct cdev cdev;
	int minor;

	/*
	 * Serialises all that a process does with the device, and the device's
	 * removal. Taken inside of the bus's own lock. The mm's lock is taken inside
	 * of it, so that a page fault must not take it: see doorbell.c.
	 */
	struct mutex lock;
	struct vdpa_device *vdev;	/* NULL: it was removed */
	bool opened;
	bool suspended;
	u16 vq_num_max;
	u64 features;
	u64 features_asked;		/* by the process, of the device */
	struct vdpa_dirty *dirty;	/* NULL: it cannot log what it writes */
	bool logs;
	u64 backend_features;

	struct vhost_dev vhost;
	struct vhost_virtqueue *vhost_vqs;
	struct vhost_virtqueue **vhost_vq_list;
	struct vhost_vdpa_queue *queues;
	u32 nvqs;
	struct vhost_vdpa_call __rcu *config_call;

	struct iommu_domain *domain;	/* of the platform, if the device has none */
	struct list_head reserved;	/* what cannot be mapped there */
	struct vdpa_iova_range range;
	struct vhost_vdpa_as *spaces;
	u32 nas;
	bool in_batch;
	u32 batch_asid;
	u64 pinned;			/* pages */
	u64 pinned_limit;		/* of who pinned some last; 0: nobody did */

	/* held for read while a doorbell is being mapped into a process */
	struct rw_semaphore doorbells;
	bool doorbells_gone;
	struct address_space *mapping;
};

static inline bool vhost_vdpa_is_running(struct vhost_vdpa *v)
{
	return vdpa_ask(v->vdev, get_status) & VIRTIO_CONFIG_S_DRIVER_OK;
}

/* main.c */
int vhost_vdpa_reset(struct vhost_vdpa *v);
int vhost_vdpa_swap_call(struct vhost_vdpa_call __rcu **slot, int fd,
			 struct vhost_vdpa_call **old);
void vhost_vdpa_put_call(struct vhost_vdpa_call *call);
bool vhost_vdpa_signal(struct vhost_vdpa_call __rcu **slot);
irqreturn_t vhost_vdpa_config_changed(void *v);

/* ioctl.c */
long vhost_vdpa_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* queue.c */
int vhost_vdpa_queues_init(struct vhost_vdpa *v);
void vhost_vdpa_queues_free(struct vhost_vdpa *v);
void vhost_vdpa_queues_ask_sizes(struct vhost_vdpa *v);
void vhost_vdpa_queues_keep_state(struct vhost_vdpa *v);
void vhost_vdpa_queues_forget_state(struct vhost_vdpa *v);
void vhost_vdpa_queues_bypass(struct vhost_vdpa *v, bool on);
void vhost_vdpa_queues_disconnect(struct vhost_vdpa *v);
long vhost_vdpa_queue_ioctl(struct vhost_vdpa *v, unsigned int cmd, void __user *argp);

/* memory.c: runs of memory, and what they cost */
struct vhost_vdpa_runs {
	struct list_head maps;
	u64 pages;
	unsigned int n;
};

int vhost_vdpa_collect(struct vhost_vdpa *v, struct vhost_vdpa_runs *runs, u64 iova,
		       u64 size, u64 uaddr, u8 perm, unsigned int room);
void vhost_vdpa_release(struct vhost_vdpa *v, struct list_head *maps);

/* platform.c */
int vhost_vdpa_platform_open(struct vhost_vdpa *v);
void vhost_vdpa_platform_close(struct vhost_vdpa *v);
bool vhost_vdpa_platform_reserved(const struct vhost_vdpa *v, u64 first, u64 last);
int vhost_vdpa_platform_map(struct vhost_vdpa *v, const struct vhost_iotlb_map *map);
void vhost_vdpa_platform_unmap(struct vhost_vdpa *v, u64 iova, u64 size);

/* table.c */
int vhost_vdpa_memory_open(struct vhost_vdpa *v);
void vhost_vdpa_memory_close(struct vhost_vdpa *v);
ssize_t vhost_vdpa_write_iter(struct kiocb *iocb, struct iov_iter *from);

/* doorbell.c */
int vhost_vdpa_mmap(struct file *file, struct vm_area_struct *vma);
void vhost_vdpa_doorbells_remove(struct vhost_vdpa *v);

#endif /* _MIGSCOPE_VHOST_VDPA_H */
