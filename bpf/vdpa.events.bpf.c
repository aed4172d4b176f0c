// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on a bus with the events of include/trace/events/vdpa.h: each operation by
 * name. They take the place of the hooks in vdpa.fentry, and of kicks and callbacks in
 * vhost_vdpa.fentry.
 */
#include "vdpa.h"

SEC("tp_btf/vdpa_device_add")
int BPF_PROG(ms_vdpa_add_event, const struct vdpa_device *vdev)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	if (v)
		ms_vdpa_unpinned(v);
	return 0;
}

SEC("tp_btf/vdpa_device_remove")
int BPF_PROG(ms_vdpa_remove_event, const struct vdpa_device *vdev)
{
	ms_vdpa_end((u64)vdev);
	return 0;
}

SEC("tp_btf/vdpa_op")
int BPF_PROG(ms_vdpa_op_event, const struct vdpa_device *vdev, u32 op, s64 result, u64 ns)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	/* one that this program does not know is newer than it */
	if (v && op < MS_VDPA_BUS_OPS)
		ms_vdpa_count(&v->op[op], result, ns);
	return 0;
}

SEC("tp_btf/vdpa_vq_kick")
int BPF_PROG(ms_vdpa_kick_event, const struct vdpa_device *vdev)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	if (v)
		__sync_fetch_and_add(&v->kicks, 1);
	return 0;
}

SEC("tp_btf/vdpa_vq_callback")
int BPF_PROG(ms_vdpa_callback_event, const struct vdpa_device *vdev)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);

	if (v)
		__sync_fetch_and_add(&v->callbacks, 1);
	return 0;
}
