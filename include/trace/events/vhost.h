/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a vhost device that translates (VIRTIO_F_ACCESS_PLATFORM) waits for: an
 * address that its table does not hold is a miss, of which user space is told;
 * an update answers it and wakes the queue.
 *
 * @dev tells one device from another while it lives; it is a key, nothing to be
 * shown. @vq is the queue's index in it. Ranges are inclusive, times are in
 * nanoseconds.
 *
 * There is no event for a translation that succeeds.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost

#if !defined(_TRACE_VHOST_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VHOST_H

#include <linux/tracepoint.h>

struct vhost_dev;

/*
 * A queue wanted @iova, for @perm, and did not get it. @again: the same miss
 * waits already; user space is told once more if it was told, and nothing is
 * queued. @dropped: one that the queue does not wait for any more made room, that
 * of @dropped_iova. @waiting is how many misses of the device wait then. @err: user space is not
 * told (-ENOMEM).
 */
TRACE_EVENT(vhost_miss,
	TP_PROTO(const struct vhost_dev *dev, int vq, u64 iova, u8 perm,
		 bool again, bool dropped, u64 dropped_iova, u32 waiting, int err),

	TP_ARGS(dev, vq, iova, perm, again, dropped, dropped_iova, waiting, err),

	TP_STRUCT__entry(
		__field(const void *,	dev)
		__field(u64,		iova)
		__field(u64,		dropped_iova)
		__field(int,		vq)
		__field(int,		err)
		__field(u32,		waiting)
		__field(u8,		perm)
		__field(bool,		again)
		__field(bool,		dropped)
	),

	TP_fast_assign(
		__entry->dev		= dev;
		__entry->iova		= iova;
		__entry->vq		= vq;
		__entry->err		= err;
		__entry->waiting	= waiting;
		__entry->perm		= perm;
		__entry->again		= again;
		__entry->dropped	= dropped;
		__entry->dropped_iova	= dropped_iova;
	),

	TP_printk("dev %p vq %d iova 0x%llx perm %s%s%s dropped %d 0x%llx waiting %u error %d",
		  __entry->dev, __entry->vq, __entry->iova,
		  __entry->perm & VHOST_ACCESS_RO ? "r" : "-",
		  __entry->perm & VHOST_ACCESS_WO ? "w" : "-",
		  __entry->again ? " again" : "",
		  __entry->dropped, __entry->dropped_iova,
		  __entry->waiting, __entry->err)
);

/* An update answered a miss. @duration: since the first access that missed. */
TRACE_EVENT(vhost_wake,
	TP_PROTO(const struct vhost_dev *dev, int vq, u64 iova, u64 duration),

	TP_ARGS(dev, vq, iova, duration),

	TP_STRUCT__entry(
		__field(const void *,	dev)
		__field(u64,		iova)
		__field(u64,		duration)
		__field(int,		vq)
	),

	TP_fast_assign(
		__entry->dev		= dev;
		__entry->iova		= iova;
		__entry->duration	= duration;
		__entry->vq		= vq;
	),

	TP_printk("dev %p vq %d iova 0x%llx after %llu ns",
		  __entry->dev, __entry->vq, __entry->iova, __entry->duration)
);

/*
 * A message of user space was carried out, or was not (@err). @duration is with
 * the wait for all of the device's queues, which stand still meanwhile.
 * @nmaps, of @limit, is what the table holds then.
 */
DECLARE_EVENT_CLASS(vhost_message,
	TP_PROTO(const struct vhost_dev *dev, const struct vhost_iotlb *table,
		 u64 start, u64 last, u32 woken, u64 duration, int err),

	TP_ARGS(dev, table, start, last, woken, duration, err),

	TP_STRUCT__entry(
		__field(const void *,	dev)
		__field(u64,		start)
		__field(u64,		last)
		__field(u64,		duration)
		__field(int,		err)
		__field(u32,		woken)
		__field(u32,		nmaps)
		__field(u32,		limit)
	),

	TP_fast_assign(
		__entry->dev		= dev;
		__entry->start		= start;
		__entry->last		= last;
		__entry->duration	= duration;
		__entry->err		= err;
		__entry->woken		= woken;
		__entry->nmaps		= table ? table->nmaps : 0;
		__entry->limit		= table ? table->limit : 0;
	),

	TP_printk("dev %p start 0x%llx last 0x%llx woken %u nmaps %u limit %u in %llu ns error %d",
		  __entry->dev, __entry->start, __entry->last, __entry->woken,
		  __entry->nmaps, __entry->limit, __entry->duration,
		  __entry->err)
);

DEFINE_EVENT(vhost_message, vhost_update,
	TP_PROTO(const struct vhost_dev *dev, const struct vhost_iotlb *table,
		 u64 start, u64 last, u32 woken, u64 duration, int err),
	TP_ARGS(dev, table, start, last, woken, duration, err)
);

DEFINE_EVENT(vhost_message, vhost_invalidate,
	TP_PROTO(const struct vhost_dev *dev, const struct vhost_iotlb *table,
		 u64 start, u64 last, u32 woken, u64 duration, int err),
	TP_ARGS(dev, table, start, last, woken, duration, err)
);

/* What a queue remembered of where its ring is was dropped. */
TRACE_EVENT(vhost_meta_reset,
	TP_PROTO(const struct vhost_dev *dev, int vq),

	TP_ARGS(dev, vq),

	TP_STRUCT__entry(
		__field(const void *,	dev)
		__field(int,		vq)
	),

	TP_fast_assign(
		__entry->dev	= dev;
		__entry->vq	= vq;
	),

	TP_printk("dev %p vq %d", __entry->dev, __entry->vq)
);

#endif /* _TRACE_VHOST_H */

#include <trace/define_trace.h>
