// SPDX-License-Identifier: GPL-2.0
/*
 * The chains of a simulated device's queues: taken, written to, given back, and the log of
 * what is written.
 *
 * A ring that cannot be used any more - nothing is mapped where it should be, or
 * what stands in it makes no sense - stops the device, and is shown as
 * VIRTIO_CONFIG_S_NEEDS_RESET. A single chain that is no good is given back empty.
 */
#include <linux/export.h>
#include <linux/gfp.h>

#include <trace/events/vdpa_sim.h>
#include <vdpa/dirty.h>

#include "vdpa_sim.h"

static void sim_break(struct vdpasim *sim, struct vdpasim_virtqueue *vq, int err)
{
	trace_vdpa_sim_broken(sim->vdpa.index, vq - sim->vqs, err);
	WRITE_ONCE(sim->status, sim->status | VIRTIO_CONFIG_S_NEEDS_RESET);
	vdpasim_config_changed(sim);
}

/**
 * vdpasim_getdesc - take the next chain of a queue
 * @sim: the device, with its lock held
 * @vq: the queue
 * @riov: where its readable part is put, or NULL: it must have none
 * @wiov: where its writable part is put, or NULL: it must have none
 *
 * Return: 1; 0 if there is none, now or until the device is reset; -EAGAIN if only the worker
 * can take it, and will; or another error: a chain that was no good was there, and has been
 * given back.
 */
int vdpasim_getdesc(struct vdpasim *sim, struct vdpasim_virtqueue *vq, struct vringh_kiov *riov,
		    struct vringh_kiov *wiov)
{
	int ret;

	if (unlikely(!vdpasim_is_started(sim)))
		return 0;
	vq->head = vq->vring.vring.num;
	ret = vringh_getdesc_iotlb(&vq->vring, riov, wiov, &vq->head,
				   sim->atomic ? GFP_ATOMIC : GFP_NOIO);
	if (likely(ret >= 0))
		return ret;
	if (ret == -ENOMEM && sim->atomic) {
		/* the worker may wait for memory */
		set_bit(vq - sim->vqs, sim->kicked);
		vdpasim_schedule_work(sim);
		return -EAGAIN;
	}
	if (vq->head < vq->vring.vring.num) {
		vdpasim_complete(sim, vq, 0);
		return ret;
	}
	sim_break(sim, vq, ret);
	return 0;
}
EXPORT_SYMBOL_GPL(vdpasim_getdesc);

/**
 * vdpasim_has_more - is there more in a queue than could be handled at once?
 * @sim: the device, with its lock held
 * @vq: the queue, of which no chain is taken
 * @riov: as for vdpasim_getdesc()
 * @wiov: as for vdpasim_getdesc()
 *
 * Only who kicks has to know, so that the worker is not woken for nothing.
 *
 * Return: false if there is not. Otherwise there may be, good or not: it is still there, for the
 * worker.
 */
bool vdpasim_has_more(struct vdpasim *sim, struct vdpasim_virtqueue *vq, struct vringh_kiov *riov,
		      struct vringh_kiov *wiov)
{
	u16 head = vq->vring.vring.num;
	int ret;

	if (!sim->atomic)
		return true;
	ret = vringh_getdesc_iotlb(&vq->vring, riov, wiov, &head, GFP_ATOMIC);
	if (head < vq->vring.vring.num)
		vringh_abandon_iotlb(&vq->vring, 1);
	return ret;
}
EXPORT_SYMBOL_GPL(vdpasim_has_more);

/* The bitmap is of address space 0: a queue that works in another is not in it. */
static bool sim_logs(const struct vdpasim *sim, const struct vdpasim_virtqueue *vq)
{
	return unlikely(sim->logs) && vq->vring.iotlb == &sim->as[0].table;
}

/* A page that changed and is not marked would be lost: rather no device than that. */
static void sim_marked(struct vdpasim *sim, struct vdpasim_virtqueue *vq, int err)
{
	if (unlikely(err))
		sim_break(sim, vq, err);
}

/* Marks what was written of @wiov since it stood at its piece @i, of which @first was left. */
static void mark_pieces(struct vdpasim *sim, struct vdpasim_virtqueue *vq, unsigned int i,
			const struct kvec *first)
{
	const struct vringh_kiov *wiov = &vq->wiov;
	u64 at = (uintptr_t)first->iov_base, len = first->iov_len;
	const struct kvec *piece;
	int err = 0;

	for (; !err && i < wiov->i; i++) {
		err = vdpa_dirty_mark(sim->dirty, at, len);
		if (i + 1 == wiov->used)
			break;
		piece = &wiov->iov[i + 1];
		/* of the one that was begun, what is behind us is not in it any more */
		at = (uintptr_t)piece->iov_base - (i + 1 == wiov->i ? wiov->consumed : 0);
		len = piece->iov_len;
	}
	if (!err && i == wiov->i && i < wiov->used)
		err = vdpa_dirty_mark(sim->dirty, at, (uintptr_t)wiov->iov[i].iov_base - at);
	sim_marked(sim, vq, err);
}

/**
 * vdpasim_push - write to the chain that was taken last
 * @sim: the device, with its lock held
 * @vq: the queue, whose wiov moves on
 * @buf: what
 * @len: how much
 *
 * Return: how much was written, or an error.
 */
ssize_t vdpasim_push(struct vdpasim *sim, struct vdpasim_virtqueue *vq, const void *buf, size_t len)
{
	struct vringh_kiov *wiov = &vq->wiov;
	unsigned int i = wiov->i;
	struct kvec first;
	ssize_t ret;

	if (likely(!sim_logs(sim, vq)) || i == wiov->used)
		return vringh_iov_push_iotlb(&vq->vring, wiov, buf, len);
	first = wiov->iov[i];
	ret = vringh_iov_push_iotlb(&vq->vring, wiov, buf, len);
	mark_pieces(sim, vq, i, &first);
	return ret;
}
EXPORT_SYMBOL_GPL(vdpasim_push);

/* An element of the used ring was written, and the index. */
static int mark_used(struct vdpasim *sim, struct vdpasim_virtqueue *vq, u16 index)
{
	unsigned int queue = vq - sim->vqs, slot = index % vq->vring.vring.num;

	return vdpa_dirty_mark_used(sim->dirty, queue, offsetof(struct vring_used, ring[slot]),
				    sizeof(struct vring_used_elem)) ?:
	       vdpa_dirty_mark_used(sim->dirty, queue, offsetof(struct vring_used, idx),
				    sizeof(__virtio16));
}

/**
 * vdpasim_complete - give the chain back that was taken last
 * @sim: the device, with its lock held
 * @vq: the queue
 * @len: how much was written to it
 */
void vdpasim_complete(struct vdpasim *sim, struct vdpasim_virtqueue *vq, u32 len)
{
	u16 index = vq->vring.last_used_idx + vq->vring.completed;
	int err = vringh_complete_iotlb(&vq->vring, vq->head, len);

	if (unlikely(err))
		sim_break(sim, vq, err);
	else if (sim_logs(sim, vq))
		sim_marked(sim, vq, mark_used(sim, vq, index));
}
EXPORT_SYMBOL_GPL(vdpasim_complete);

/**
 * vdpasim_notify - tell the driver of what was given back, if it wants to know
 * @vq: the queue
 *
 * Whether it does is in memory that may have to be paged in. Where it cannot be read, it
 * is told: once too often hurts nobody.
 *
 * Context: may sleep, unless the kernel's own driver is served. It is told with softirqs off,
 * as interrupts come.
 */
void vdpasim_notify(struct vdpasim_virtqueue *vq)
{
	if (!vq->cb.callback || !vringh_need_notify_iotlb(&vq->vring))
		return;
	local_bh_disable();
	vq->cb.callback(vq->cb.private);
	local_bh_enable();
}
EXPORT_SYMBOL_GPL(vdpasim_notify);
