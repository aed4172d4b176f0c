// SPDX-License-Identifier: GPL-2.0
/* Source vdpa on the kernel's own virtio_vdpa: kicks of a device that the host itself drives. */
#include "vdpa.h"

SEC("fentry/virtio_vdpa_notify")
int BPF_PROG(ms_vdpa_notify, struct virtqueue *vq)
{
	struct virtio_device *vdev = BPF_CORE_READ(vq, vdev);
	struct virtio_vdpa_device *d = (void *)vdev - bpf_core_field_offset(struct virtio_vdpa_device, vdev);
	struct ms_vdpa *v = vdev ? ms_vdpa_get(BPF_CORE_READ(d, vdpa)) : NULL;

	if (v)
		__sync_fetch_and_add(&v->kicks, 1);
	return 0;
}
