// SPDX-License-Identifier: GPL-2.0
/*
 * Source vfio on a type1 with the events of include/trace/events/vfio.h, which also say
 * how many pages a bitmap showed and what a container holds. They take the place of the
 * hooks in vfio.fentry.
 */
#include "vfio.h"

static __always_inline void ms_vfio_scope(struct ms_vfio *v, u32 opaque, bool tracking)
{
	v->opaque = opaque;
	v->tracking = tracking;
	v->knows |= MS_VFIO_KNOWS_SCOPE;
}

SEC("tp_btf/vfio_container_release")
int BPF_PROG(ms_vfio_release_event, const void *container)
{
	ms_vfio_end((u64)container);
	return 0;
}

static __always_inline void ms_vfio_holds(struct ms_vfio *v, u32 maps, u32 avail)
{
	v->maps = maps;
	v->avail = avail;
	v->limit = maps + avail;
	v->knows |= MS_VFIO_KNOWS_AVAIL | MS_VFIO_KNOWS_MAPS;
}

SEC("tp_btf/vfio_container_open")
int BPF_PROG(ms_vfio_open_event, const void *container, u32 avail)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_holds(v, 0, avail);
	ms_vfio_scope(v, 0, false);
	v->knows |= MS_VFIO_KNOWS_PINNED;
	return 0;
}

SEC("tp_btf/vfio_map")
int BPF_PROG(ms_vfio_map_event, const void *container, u64 iova, u64 pages, u64 runs, u32 maps,
	     u32 avail, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_MAP], err, pages, ns);
	if (err >= 0)
		__sync_fetch_and_add(&v->runs, runs);
	ms_vfio_holds(v, maps, avail);
	return 0;
}

SEC("tp_btf/vfio_unmap")
int BPF_PROG(ms_vfio_unmap_event, const void *container, u64 iova, u64 pages, u32 gone, u32 maps,
	     u32 avail, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_UNMAP], err, pages, ns);
	ms_vfio_holds(v, maps, avail);
	return 0;
}

static __always_inline void ms_vfio_pinned(struct ms_vfio *v, u64 pinned)
{
	v->pinned = pinned;
	v->knows |= MS_VFIO_KNOWS_PINNED;
}

SEC("tp_btf/vfio_pin")
int BPF_PROG(ms_vfio_pin_event, const void *container, u64 iova, u32 pages, u32 changed, u64 pinned,
	     u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_PIN], err, pages, ns);
	ms_vfio_pinned(v, pinned);
	return 0;
}

SEC("tp_btf/vfio_unpin")
int BPF_PROG(ms_vfio_unpin_event, const void *container, u64 iova, u32 pages, u32 changed, u64 pinned,
	     u64 ns)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_UNPIN], 0, pages, ns);
	ms_vfio_pinned(v, pinned);
	return 0;
}

SEC("tp_btf/vfio_dirty_start")
int BPF_PROG(ms_vfio_start_event, const void *container, u32 maps, u32 changed, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_START], err, 0, ns);
	if (err >= 0)
		v->tracking = true;
	return 0;
}

SEC("tp_btf/vfio_dirty_stop")
int BPF_PROG(ms_vfio_stop_event, const void *container, u32 maps, u32 changed, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_STOP], err, 0, ns);
	if (err >= 0)
		v->tracking = false;
	return 0;
}

SEC("tp_btf/vfio_dirty_get")
int BPF_PROG(ms_vfio_get_event, const void *container, u64 iova, u64 pages, u64 bytes, u64 dirty,
	     bool unmap, bool full, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);
	struct ms_vfio_stat *s;

	if (!v)
		return 0;
	s = unmap ? &v->op[MS_VFIO_UNMAP_GET] : &v->op[MS_VFIO_GET];
	ms_vfio_count(s, err, pages, ns);
	if (err < 0)
		return 0;
	__sync_fetch_and_add(&s->bytes, bytes);
	__sync_fetch_and_add(&s->dirty, dirty);
	/* of a container that was there before us nobody else says it */
	if (!(v->knows & MS_VFIO_KNOWS_SCOPE))
		ms_vfio_scope(v, full, true);
	return 0;
}

SEC("tp_btf/vfio_rw")
int BPF_PROG(ms_vfio_rw_event, const void *container, u64 iova, u64 bytes, bool write, u64 ns, int err)
{
	struct ms_vfio *v = ms_vfio_get(container);
	struct ms_vfio_stat *s;

	if (!v)
		return 0;
	s = write ? &v->op[MS_VFIO_WRITE] : &v->op[MS_VFIO_READ];
	ms_vfio_count(s, err, 0, ns);
	if (err >= 0)
		__sync_fetch_and_add(&s->bytes, bytes);
	return 0;
}

SEC("tp_btf/vfio_dirty_scope")
int BPF_PROG(ms_vfio_scope_event, const void *container, u32 opaque, bool tracking)
{
	struct ms_vfio *v = ms_vfio_get(container);

	if (v)
		ms_vfio_scope(v, opaque, tracking);
	return 0;
}
