/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What happens in a VFIO container of type1: memory mapped and unmapped, pages
 * pinned and let go by devices, dirty pages tracked and reported.
 *
 * @container tells one container from another while it lives, until
 * vfio_container_release; it is a key, nothing to be shown. Sizes are in pages of the
 * machine unless a name says bytes. @ns is how long it took. @err is 0 or negative.
 *
 * What is refused is told, too, if it is clear what it was to be. Nothing is told of requests
 * that are too short or have flags that are not known, of tracking that is asked for with more
 * than one flag or none, or of the first interface; nor of addresses that mappings lose or get
 * (VFIO_DMA_*_FLAG_VADDR).
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio

#if !defined(_TRACE_VFIO_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VFIO_H

#include <linux/tracepoint.h>

/* It is new: nothing is mapped, no device is there, and @avail mappings are allowed. */
TRACE_EVENT(vfio_container_open,
	TP_PROTO(void *container, u32 avail),

	TP_ARGS(container, avail),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u32,		avail)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->avail		= avail;
	),

	TP_printk("container %p avail %u", __entry->container, __entry->avail)
);

TRACE_EVENT(vfio_container_release,
	TP_PROTO(void *container),

	TP_ARGS(container),

	TP_STRUCT__entry(
		__field(const void *,	container)
	),

	TP_fast_assign(
		__entry->container	= container;
	),

	TP_printk("container %p", __entry->container)
);

/*
 * @runs is in how many stretches the memory lies, as far as IOMMUs had to know: 0
 * where there is none. @maps the container now holds, @avail more it may.
 */
TRACE_EVENT(vfio_map,
	TP_PROTO(void *container, u64 iova, u64 pages, u64 runs, u32 maps,
		 u32 avail, u64 ns, int err),

	TP_ARGS(container, iova, pages, runs, maps, avail, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		pages)
		__field(u64,		runs)
		__field(u64,		ns)
		__field(u32,		maps)
		__field(u32,		avail)
		__field(int,		err)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->pages		= pages;
		__entry->runs		= runs;
		__entry->ns		= ns;
		__entry->maps		= maps;
		__entry->avail		= avail;
		__entry->err		= err;
	),

	TP_printk("container %p iova 0x%llx pages %llu runs %llu maps %u avail %u ns %llu error %d",
		  __entry->container, __entry->iova, __entry->pages, __entry->runs,
		  __entry->maps, __entry->avail, __entry->ns, __entry->err)
);

/* One request may unmap many mappings: @gone of them, of @pages altogether. */
TRACE_EVENT(vfio_unmap,
	TP_PROTO(void *container, u64 iova, u64 pages, u32 gone, u32 maps,
		 u32 avail, u64 ns, int err),

	TP_ARGS(container, iova, pages, gone, maps, avail, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		pages)
		__field(u64,		ns)
		__field(u32,		gone)
		__field(u32,		maps)
		__field(u32,		avail)
		__field(int,		err)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->pages		= pages;
		__entry->ns		= ns;
		__entry->gone		= gone;
		__entry->maps		= maps;
		__entry->avail		= avail;
		__entry->err		= err;
	),

	TP_printk("container %p iova 0x%llx pages %llu gone %u maps %u avail %u ns %llu error %d",
		  __entry->container, __entry->iova, __entry->pages, __entry->gone,
		  __entry->maps, __entry->avail, __entry->ns, __entry->err)
);

/*
 * A device wants @pages; @changed of them nobody held before. The container's devices
 * then hold @pinned pages.
 */
TRACE_EVENT(vfio_pin,
	TP_PROTO(void *container, u64 iova, u32 pages, u32 changed, u64 pinned,
		 u64 ns, int err),

	TP_ARGS(container, iova, pages, changed, pinned, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		pinned)
		__field(u64,		ns)
		__field(u32,		pages)
		__field(u32,		changed)
		__field(int,		err)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->pinned		= pinned;
		__entry->ns		= ns;
		__entry->pages		= pages;
		__entry->changed	= changed;
		__entry->err		= err;
	),

	TP_printk("container %p iova 0x%llx pages %u changed %u pinned %llu ns %llu error %d",
		  __entry->container, __entry->iova, __entry->pages, __entry->changed,
		  __entry->pinned, __entry->ns, __entry->err)
);

/* A device needs @pages no more; @changed of them nobody holds any more. */
TRACE_EVENT(vfio_unpin,
	TP_PROTO(void *container, u64 iova, u32 pages, u32 changed, u64 pinned,
		 u64 ns),

	TP_ARGS(container, iova, pages, changed, pinned, ns),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		pinned)
		__field(u64,		ns)
		__field(u32,		pages)
		__field(u32,		changed)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->pinned		= pinned;
		__entry->ns		= ns;
		__entry->pages		= pages;
		__entry->changed	= changed;
	),

	TP_printk("container %p iova 0x%llx pages %u changed %u pinned %llu ns %llu",
		  __entry->container, __entry->iova, __entry->pages, __entry->changed,
		  __entry->pinned, __entry->ns)
);

/* Tracking switched; @changed is 0 where it was so already. */
DECLARE_EVENT_CLASS(vfio_dirty_switch,
	TP_PROTO(void *container, u32 maps, u32 changed, u64 ns, int err),

	TP_ARGS(container, maps, changed, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		ns)
		__field(u32,		maps)
		__field(u32,		changed)
		__field(int,		err)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->ns		= ns;
		__entry->maps		= maps;
		__entry->changed	= changed;
		__entry->err		= err;
	),

	TP_printk("container %p maps %u changed %u ns %llu error %d",
		  __entry->container, __entry->maps, __entry->changed, __entry->ns,
		  __entry->err)
);

DEFINE_EVENT(vfio_dirty_switch, vfio_dirty_start,
	TP_PROTO(void *container, u32 maps, u32 changed, u64 ns, int err),
	TP_ARGS(container, maps, changed, ns, err)
);

DEFINE_EVENT(vfio_dirty_switch, vfio_dirty_stop,
	TP_PROTO(void *container, u32 maps, u32 changed, u64 ns, int err),
	TP_ARGS(container, maps, changed, ns, err)
);

/* The CPU read or wrote memory for a device. After an error some of @bytes may have been moved. */
TRACE_EVENT(vfio_rw,
	TP_PROTO(void *container, u64 iova, u64 bytes, bool write, u64 ns, int err),

	TP_ARGS(container, iova, bytes, write, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		bytes)
		__field(u64,		ns)
		__field(int,		err)
		__field(u8,		write)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->bytes		= bytes;
		__entry->ns		= ns;
		__entry->err		= err;
		__entry->write		= write;
	),

	TP_printk("container %p iova 0x%llx bytes %llu write %u ns %llu error %d",
		  __entry->container, __entry->iova, __entry->bytes, __entry->write,
		  __entry->ns, __entry->err)
);

/*
 * A bitmap was asked for, by GET or (@unmap) by an unmap that reports. @dirty pages
 * are set in it. @full: a device may write anywhere, so that everything mapped
 * counts as dirty. After an error part of it may have been written, and nothing is forgotten.
 * An unmap that was refused before its bitmap was begun is in vfio_unmap alone.
 */
TRACE_EVENT(vfio_dirty_get,
	TP_PROTO(void *container, u64 iova, u64 pages, u64 bytes, u64 dirty,
		 bool unmap, bool full, u64 ns, int err),

	TP_ARGS(container, iova, pages, bytes, dirty, unmap, full, ns, err),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u64,		iova)
		__field(u64,		pages)
		__field(u64,		bytes)
		__field(u64,		dirty)
		__field(u64,		ns)
		__field(int,		err)
		__field(u8,		unmap)
		__field(u8,		full)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->iova		= iova;
		__entry->pages		= pages;
		__entry->bytes		= bytes;
		__entry->dirty		= dirty;
		__entry->ns		= ns;
		__entry->err		= err;
		__entry->unmap		= unmap;
		__entry->full		= full;
	),

	TP_printk("container %p iova 0x%llx pages %llu bytes %llu dirty %llu unmap %u full %u ns %llu error %d",
		  __entry->container, __entry->iova, __entry->pages, __entry->bytes,
		  __entry->dirty, __entry->unmap, __entry->full, __entry->ns,
		  __entry->err)
);

/*
 * What counts as dirty changed: @opaque groups have not promised to write only what
 * they pin; with one of them or more it is everything.
 */
TRACE_EVENT(vfio_dirty_scope,
	TP_PROTO(void *container, u32 opaque, bool tracking),

	TP_ARGS(container, opaque, tracking),

	TP_STRUCT__entry(
		__field(const void *,	container)
		__field(u32,		opaque)
		__field(u8,		tracking)
	),

	TP_fast_assign(
		__entry->container	= container;
		__entry->opaque		= opaque;
		__entry->tracking	= tracking;
	),

	TP_printk("container %p opaque %u tracking %u", __entry->container,
		  __entry->opaque, __entry->tracking)
);

#endif /* _TRACE_VFIO_H */

#include <trace/define_trace.h>
