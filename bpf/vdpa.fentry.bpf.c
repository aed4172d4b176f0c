// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on the kernel's own bus: devices that come and go, status and configuration.
 * Most operations are inlined into their callers there.
 */
#include "vdpa.h"

SEC("fexit/_vdpa_register_device")
int BPF_PROG(ms_vdpa_add, struct vdpa_device *vdev, u32 nvqs, int ret)
{
	struct ms_vdpa *v = ret ? NULL : ms_vdpa_get(vdev);

	if (v)
		ms_vdpa_unpinned(v);
	return 0;
}

SEC("fentry/_vdpa_unregister_device")
int BPF_PROG(ms_vdpa_remove, struct vdpa_device *vdev)
{
	ms_vdpa_end((u64)vdev);
	return 0;
}

SEC("fentry/vdpa_set_status")
int BPF_PROG(ms_vdpa_status_begin)
{
	ms_vdpa_call_begin(MS_VDPA_CALL_STATUS);
	return 0;
}

SEC("fexit/vdpa_set_status")
int BPF_PROG(ms_vdpa_status_end, struct vdpa_device *vdev)
{
	struct ms_vdpa *v;
	u64 ns;

	if (!ms_vdpa_call_end(MS_VDPA_CALL_STATUS, &ns))
		return 0;
	v = ms_vdpa_get(vdev);
	if (v)
		ms_vdpa_count(&v->op[MS_VDPA_set_status], 0, ns);
	return 0;
}

SEC("fentry/vdpa_get_config")
int BPF_PROG(ms_vdpa_get_config_begin)
{
	ms_vdpa_call_begin(MS_VDPA_CALL_CONFIG);
	return 0;
}

SEC("fexit/vdpa_get_config")
int BPF_PROG(ms_vdpa_get_config_end, struct vdpa_device *vdev)
{
	struct ms_vdpa *v;
	u64 ns;

	if (!ms_vdpa_call_end(MS_VDPA_CALL_CONFIG, &ns))
		return 0;
	v = ms_vdpa_get(vdev);
	if (v)
		ms_vdpa_count(&v->op[MS_VDPA_get_config], 0, ns);
	return 0;
}
