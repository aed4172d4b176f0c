/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated vDPA device: what its worker did, what it could not do, what became of
 * its maps. @index is the device's on the vDPA bus, @table a key as in the vhost_iotlb events.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vdpa_sim

#if !defined(_TRACE_VDPA_SIM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VDPA_SIM_H

#include <linux/tracepoint.h>
#include <linux/vdpa.h>
#include <linux/vhost_iotlb.h>

/*
 * The worker ran once: @done are the requests or frames it took off the rings. Or it was not
 * needed: @here, who kicked did its work.
 */
TRACE_EVENT(vdpa_sim_work,
	TP_PROTO(u32 index, u32 done, bool more, bool here),

	TP_ARGS(index, done, more, here),

	TP_STRUCT__entry(
		__field(u32,	index)
		__field(u32,	done)
		__field(bool,	more)
		__field(bool,	here)
	),

	TP_fast_assign(
		__entry->index	= index;
		__entry->done	= done;
		__entry->more	= more;
		__entry->here	= here;
	),

	TP_printk("index %u done %u%s%s", __entry->index, __entry->done,
		  __entry->more ? " more" : "", __entry->here ? " here" : "")
);

/* A ring is not to be used any more: the device needs a reset. */
TRACE_EVENT(vdpa_sim_broken,
	TP_PROTO(u32 index, u16 vq, int err),

	TP_ARGS(index, vq, err),

	TP_STRUCT__entry(
		__field(u32,	index)
		__field(u16,	vq)
		__field(int,	err)
	),

	TP_fast_assign(
		__entry->index	= index;
		__entry->vq	= vq;
		__entry->err	= err;
	),

	TP_printk("index %u vq %u error %d", __entry->index, __entry->vq, __entry->err)
);

/*
 * An address space was changed, or its device reset; @nmaps is what it holds now. Whose
 * table it is that misses something is known from here.
 */
TRACE_EVENT(vdpa_sim_map,
	TP_PROTO(u32 index, u32 asid, u32 nmaps, int err, const struct vdpa_device *vdev,
		 const struct vhost_iotlb *table),

	TP_ARGS(index, asid, nmaps, err, vdev, table),

	TP_STRUCT__entry(
		__field(u32,	index)
		__field(u32,	asid)
		__field(u32,	nmaps)
		__field(int,	err)
		__field(const void *, table)
	),

	TP_fast_assign(
		__entry->index	= index;
		__entry->asid	= asid;
		__entry->nmaps	= nmaps;
		__entry->err	= err;
		__entry->table	= table;
	),

	TP_printk("index %u asid %u nmaps %u error %d table %p", __entry->index, __entry->asid,
		  __entry->nmaps, __entry->err, __entry->table)
);

/* A command on the control queue, and the answer. */
TRACE_EVENT(vdpa_sim_ctrl,
	TP_PROTO(u32 index, u8 class, u8 cmd, u8 ack),

	TP_ARGS(index, class, cmd, ack),

	TP_STRUCT__entry(
		__field(u32,	index)
		__field(u8,	class)
		__field(u8,	cmd)
		__field(u8,	ack)
	),

	TP_fast_assign(
		__entry->index	= index;
		__entry->class	= class;
		__entry->cmd	= cmd;
		__entry->ack	= ack;
	),

	TP_printk("index %u class %u cmd %u ack %u", __entry->index, __entry->class,
		  __entry->cmd, __entry->ack)
);

#endif /* _TRACE_VDPA_SIM_H */

#include <trace/define_trace.h>
