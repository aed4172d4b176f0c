/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host side of a ring: descriptors taken and given back, and what was wrong with a
 * ring. @ring tells one ring from another while it lives; it is a key, nothing to be
 * shown.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vringh

#if !defined(_TRACE_VRINGH_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VRINGH_H

#include <linux/tracepoint.h>
#include <linux/vringh.h>

/* How many pieces of memory a chain is, to be read and to be written. */
TRACE_EVENT(vringh_getdesc,
	TP_PROTO(const struct vringh *ring, u16 first, const struct vringh_kiov *riov,
		 const struct vringh_kiov *wiov),

	TP_ARGS(ring, first, riov, wiov),

	TP_STRUCT__entry(
		__field(const void *,	ring)
		__field(u16,		head)
		__field(u16,		avail_idx)
		__field(u32,		readable)
		__field(u32,		writable)
	),

	TP_fast_assign(
		__entry->ring		= ring;
		__entry->head		= first;
		__entry->avail_idx	= ring->last_avail_idx;
		__entry->readable	= riov ? riov->used : 0;
		__entry->writable	= wiov ? wiov->used : 0;
	),

	TP_printk("ring %p head %u avail %u readable %u writable %u",
		  __entry->ring, __entry->head, __entry->avail_idx,
		  __entry->readable, __entry->writable)
);

TRACE_EVENT(vringh_complete,
	TP_PROTO(const struct vringh *ring, u32 num, u16 used_idx),

	TP_ARGS(ring, num, used_idx),

	TP_STRUCT__entry(
		__field(const void *,	ring)
		__field(u32,		count)
		__field(u16,		used_idx)
	),

	TP_fast_assign(
		__entry->ring		= ring;
		__entry->count		= num;
		__entry->used_idx	= used_idx;
	),

	TP_printk("ring %p count %u used %u",
		  __entry->ring, __entry->count, __entry->used_idx)
);

/* @what is wrong: a constant text, with the number that is out of place. */
TRACE_EVENT(vringh_bad,
	TP_PROTO(const struct vringh *ring, const char *what, u64 value, int err),

	TP_ARGS(ring, what, value, err),

	TP_STRUCT__entry(
		__field(const void *,	ring)
		__string(what,		what)
		__field(u64,		value)
		__field(int,		err)
	),

	TP_fast_assign(
		__entry->ring		= ring;
		__assign_str(what);
		__entry->value		= value;
		__entry->err		= err;
	),

	TP_printk("ring %p %s 0x%llx error %d",
		  __entry->ring, __get_str(what), __entry->value, __entry->err)
);

#endif /* _TRACE_VRINGH_H */

#include <trace/define_trace.h>
