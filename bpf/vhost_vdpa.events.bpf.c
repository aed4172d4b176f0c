// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on a vhost_vdpa with the events of include/trace/events/vhost_vdpa.h, which
 * also say what was mapped and how much of its process's limit that took.
 */
#include "vdpa.h"

SEC("tp_btf/vhost_vdpa_open")
int BPF_PROG(ms_vdpa_open_event, const struct vdpa_device *vdev)
{
	struct ms_vdpa *v = ms_vdpa_owned(vdev);

	if (v)
		ms_vdpa_unpinned(v);
	return 0;
}

SEC("tp_btf/vhost_vdpa_message")
int BPF_PROG(ms_vdpa_message_event, const struct vdpa_device *vdev, u32 asid,
	     const struct vhost_iotlb_msg *msg, int err, u64 ns)
{
	struct ms_vdpa *v = ms_vdpa_owned(vdev);

	if (!v || !msg)
		return 0;
	ms_vdpa_message(v, BPF_CORE_READ(msg, type), err, ns);
	return 0;
}

SEC("tp_btf/vhost_vdpa_map")
int BPF_PROG(ms_vdpa_map_event, const struct vdpa_device *vdev, u32 asid, u64 iova, u64 size,
	     u64 pages, u32 runs, int err, u64 ns, const struct vhost_iotlb *table)
{
	struct ms_vdpa *v = ms_vdpa_owned(vdev);

	if (!v)
		return 0;
	ms_vdpa_space_told(v, asid, table);
	if (err)
		return 0;
	__sync_fetch_and_add(&v->mapped_pages, pages);
	__sync_fetch_and_add(&v->runs, runs);
	return 0;
}

SEC("tp_btf/vhost_vdpa_unmap")
int BPF_PROG(ms_vdpa_unmap_event, const struct vdpa_device *vdev, u32 asid, u64 iova, u64 size,
	     u64 pages, u32 runs, int err, u64 ns, const struct vhost_iotlb *table)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	if (v)
		ms_vdpa_space_told(v, asid, table);
	return 0;
}

SEC("tp_btf/vhost_vdpa_pinned")
int BPF_PROG(ms_vdpa_pinned_event, const struct vdpa_device *vdev, s64 pages, u64 pinned, u64 process,
	     u64 limit)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	if (!v)
		return 0;
	v->pinned_pages = pinned;
	v->pinned_limit = limit;
	v->knows_pinned = 1;
	return 0;
}
