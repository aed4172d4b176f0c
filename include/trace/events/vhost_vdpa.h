/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a process does with a vDPA device through /dev/vhost-vdpa-N: messages
 * about its memory, and what comes of them.
 *
 * @dev is the device's number on the vDPA bus, as in the vdpa events. Results are
 * 0 or -errno, times are in nanoseconds, memory is counted in pages of the host. @table is a
 * key as in the vhost_iotlb events, @entries how many maps it holds once the event is over.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost_vdpa

#if !defined(_TRACE_VHOST_VDPA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VHOST_VDPA_H

#include <linux/tracepoint.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>
#include <linux/vhost_types.h>

/*
 * A process opens it, which only one can: what is done to the device from here on is for that
 * process, also if it fails in the end.
 */
TRACE_EVENT(vhost_vdpa_open,
	TP_PROTO(const struct vdpa_device *vdev),

	TP_ARGS(vdev),

	TP_STRUCT__entry(
		__field(u32,	dev)
	),

	TP_fast_assign(
		__entry->dev	= vdev->index;
	),

	TP_printk("dev %u", __entry->dev)
);

/* One message, when it has been worked off. */
TRACE_EVENT(vhost_vdpa_message,
	TP_PROTO(const struct vdpa_device *vdev, u32 asid,
		 const struct vhost_iotlb_msg *msg, int err, u64 ns),

	TP_ARGS(vdev, asid, msg, err, ns),

	TP_STRUCT__entry(
		__field(u64,	iova)
		__field(u64,	size)
		__field(u64,	ns)
		__field(u32,	dev)
		__field(u32,	asid)
		__field(int,	err)
		__field(u8,	type)
		__field(u8,	perm)
	),

	TP_fast_assign(
		__entry->iova	= msg->iova;
		__entry->size	= msg->size;
		__entry->ns	= ns;
		__entry->dev	= vdev->index;
		__entry->asid	= asid;
		__entry->err	= err;
		__entry->type	= msg->type;
		__entry->perm	= msg->perm;
	),

	TP_printk("dev %u asid %u type %s iova 0x%llx size 0x%llx perm %s%s error %d ns %llu",
		  __entry->dev, __entry->asid,
		  __print_symbolic(__entry->type,
				   { VHOST_IOTLB_UPDATE, "update" },
				   { VHOST_IOTLB_INVALIDATE, "invalidate" },
				   { VHOST_IOTLB_BATCH_BEGIN, "batch_begin" },
				   { VHOST_IOTLB_BATCH_END, "batch_end" }),
		  __entry->iova, __entry->size,
		  __entry->perm & VHOST_ACCESS_RO ? "r" : "-",
		  __entry->perm & VHOST_ACCESS_WO ? "w" : "-",
		  __entry->err, __entry->ns)
);

DECLARE_EVENT_CLASS(vhost_vdpa_memory,
	TP_PROTO(const struct vdpa_device *vdev, u32 asid, u64 iova, u64 size,
		 u64 pages, u32 runs, int err, u64 ns, const struct vhost_iotlb *table),

	TP_ARGS(vdev, asid, iova, size, pages, runs, err, ns, table),

	TP_STRUCT__entry(
		__field(u64,	iova)
		__field(u64,	size)
		__field(u64,	pages)
		__field(u64,	ns)
		__field(u32,	dev)
		__field(u32,	asid)
		__field(u32,	runs)
		__field(int,	err)
		__field(u32,	entries)
		__field(const void *, table)
	),

	TP_fast_assign(
		__entry->iova	= iova;
		__entry->size	= size;
		__entry->pages	= pages;
		__entry->ns	= ns;
		__entry->dev	= vdev->index;
		__entry->asid	= asid;
		__entry->runs	= runs;
		__entry->err	= err;
		__entry->entries = table->nmaps;
		__entry->table	= table;
	),

	TP_printk("dev %u asid %u iova 0x%llx size 0x%llx pages %llu runs %u error %d ns %llu table %p entries %u",
		  __entry->dev, __entry->asid, __entry->iova, __entry->size,
		  __entry->pages, __entry->runs, __entry->err, __entry->ns,
		  __entry->table, __entry->entries)
);

/* @runs: of memory that is contiguous for the device, an entry of its table each */
DEFINE_EVENT(vhost_vdpa_memory, vhost_vdpa_map,
	TP_PROTO(const struct vdpa_device *vdev, u32 asid, u64 iova, u64 size,
		 u64 pages, u32 runs, int err, u64 ns, const struct vhost_iotlb *table),
	TP_ARGS(vdev, asid, iova, size, pages, runs, err, ns, table)
);

/* also when a process ends with maps left */
DEFINE_EVENT(vhost_vdpa_memory, vhost_vdpa_unmap,
	TP_PROTO(const struct vdpa_device *vdev, u32 asid, u64 iova, u64 size,
		 u64 pages, u32 runs, int err, u64 ns, const struct vhost_iotlb *table),
	TP_ARGS(vdev, asid, iova, size, pages, runs, err, ns, table)
);

/*
 * Pages were pinned or let go: @pages of them, @pinned through this device now,
 * @process by the process in all, who may pin @limit.
 */
TRACE_EVENT(vhost_vdpa_pinned,
	TP_PROTO(const struct vdpa_device *vdev, s64 pages, u64 pinned,
		 u64 process, u64 limit),

	TP_ARGS(vdev, pages, pinned, process, limit),

	TP_STRUCT__entry(
		__field(s64,	pages)
		__field(u64,	pinned)
		__field(u64,	process)
		__field(u64,	limit)
		__field(u32,	dev)
	),

	TP_fast_assign(
		__entry->pages	= pages;
		__entry->pinned	= pinned;
		__entry->process = process;
		__entry->limit	= limit;
		__entry->dev	= vdev->index;
	),

	TP_printk("dev %u pages %lld pinned %llu process %llu limit %llu",
		  __entry->dev, __entry->pages, __entry->pinned,
		  __entry->process, __entry->limit)
);

#endif /* _TRACE_VHOST_VDPA_H */

#include <trace/define_trace.h>
