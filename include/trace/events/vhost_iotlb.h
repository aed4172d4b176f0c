/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What happens to a table of translations: maps added, deleted, retired to make
 * room, refused.
 *
 * @table tells one table from another while it lives; it is a key, nothing to
 * be shown. Ranges are inclusive. @nmaps is how many maps the table holds once
 * the event is over.
 *
 * There is no event for a lookup: whether one that finds nothing is a miss is
 * known only to the caller, for whom "nothing is mapped here" may be good news. Who
 * looks up to translate says so himself, by miss, denied and hit: once for each run of
 * addresses that he wants, of which @iova is the first that is in question and @len how
 * many there are from there; @perm is what he wants to do there. What has to be looked up
 * again, since its memory had to be fetched, a chain was longer than expected, or a descriptor
 * lies across maps, is said again.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost_iotlb

#if !defined(_TRACE_VHOST_IOTLB_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VHOST_IOTLB_H

#include <linux/tracepoint.h>
#include <linux/vhost_iotlb.h>

TRACE_EVENT(vhost_iotlb_add,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last,
		 unsigned int perm),

	TP_ARGS(table, start, last, perm),

	TP_STRUCT__entry(
		__field(const void *,	table)
		__field(u64,		start)
		__field(u64,		last)
		__field(u32,		perm)
		__field(u32,		nmaps)
		__field(u32,		limit)
	),

	TP_fast_assign(
		__entry->table	= table;
		__entry->start	= start;
		__entry->last	= last;
		__entry->perm	= perm;
		__entry->nmaps	= table->nmaps;
		__entry->limit	= table->limit;
	),

	TP_printk("table %p start 0x%llx last 0x%llx perm %s%s nmaps %u limit %u",
		  __entry->table, __entry->start, __entry->last,
		  __entry->perm & VHOST_MAP_RO ? "r" : "-",
		  __entry->perm & VHOST_MAP_WO ? "w" : "-",
		  __entry->nmaps, __entry->limit)
);

DECLARE_EVENT_CLASS(vhost_iotlb_gone,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last),

	TP_ARGS(table, start, last),

	TP_STRUCT__entry(
		__field(const void *,	table)
		__field(u64,		start)
		__field(u64,		last)
		__field(u32,		nmaps)
		__field(u32,		limit)
	),

	TP_fast_assign(
		__entry->table	= table;
		__entry->start	= start;
		__entry->last	= last;
		__entry->nmaps	= table->nmaps;
		__entry->limit	= table->limit;
	),

	TP_printk("table %p start 0x%llx last 0x%llx nmaps %u limit %u",
		  __entry->table, __entry->start, __entry->last,
		  __entry->nmaps, __entry->limit)
);

/* Somebody asked for it: a range was deleted, or the table was emptied. */
DEFINE_EVENT(vhost_iotlb_gone, vhost_iotlb_delete,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last),
	TP_ARGS(table, start, last)
);

/* Nobody asked for it: the oldest map made room for a new one. */
DEFINE_EVENT(vhost_iotlb_gone, vhost_iotlb_retire,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last),
	TP_ARGS(table, start, last)
);

/* All maps gave way to others at once: as many as @nmaps says are there now. */
DEFINE_EVENT(vhost_iotlb_gone, vhost_iotlb_replace,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last),
	TP_ARGS(table, start, last)
);

TRACE_EVENT(vhost_iotlb_reject,
	TP_PROTO(const struct vhost_iotlb *table, u64 start, u64 last, int err),

	TP_ARGS(table, start, last, err),

	TP_STRUCT__entry(
		__field(const void *,	table)
		__field(u64,		start)
		__field(u64,		last)
		__field(int,		err)
		__field(u32,		nmaps)
		__field(u32,		limit)
	),

	TP_fast_assign(
		__entry->table	= table;
		__entry->start	= start;
		__entry->last	= last;
		__entry->err	= err;
		__entry->nmaps	= table->nmaps;
		__entry->limit	= table->limit;
	),

	TP_printk("table %p start 0x%llx last 0x%llx error %d nmaps %u limit %u",
		  __entry->table, __entry->start, __entry->last,
		  __entry->err, __entry->nmaps, __entry->limit)
);

DECLARE_EVENT_CLASS(vhost_iotlb_translate,
	TP_PROTO(const struct vhost_iotlb *table, u64 iova, u64 len, unsigned int perm),

	TP_ARGS(table, iova, len, perm),

	TP_STRUCT__entry(
		__field(const void *,	table)
		__field(u64,		iova)
		__field(u64,		len)
		__field(u32,		perm)
		__field(u32,		nmaps)
	),

	TP_fast_assign(
		__entry->table	= table;
		__entry->iova	= iova;
		__entry->len	= len;
		__entry->perm	= perm;
		__entry->nmaps	= table->nmaps;
	),

	TP_printk("table %p iova 0x%llx len 0x%llx perm %s%s nmaps %u",
		  __entry->table, __entry->iova, __entry->len,
		  __entry->perm & VHOST_MAP_RO ? "r" : "-",
		  __entry->perm & VHOST_MAP_WO ? "w" : "-",
		  __entry->nmaps)
);

/* Nothing is mapped there. */
DEFINE_EVENT(vhost_iotlb_translate, vhost_iotlb_miss,
	TP_PROTO(const struct vhost_iotlb *table, u64 iova, u64 len, unsigned int perm),
	TP_ARGS(table, iova, len, perm)
);

/* There is a map, but not for this. */
DEFINE_EVENT(vhost_iotlb_translate, vhost_iotlb_denied,
	TP_PROTO(const struct vhost_iotlb *table, u64 iova, u64 len, unsigned int perm),
	TP_ARGS(table, iova, len, perm)
);

/* It could be translated. As often as the ring is looked at: not for every day. */
DEFINE_EVENT(vhost_iotlb_translate, vhost_iotlb_hit,
	TP_PROTO(const struct vhost_iotlb *table, u64 iova, u64 len, unsigned int perm),
	TP_ARGS(table, iova, len, perm)
);

#endif /* _TRACE_VHOST_IOTLB_H */

#include <trace/define_trace.h>
