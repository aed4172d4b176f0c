// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on the kernel's own vhost_vdpa: what a process does with a device through
 * /dev/vhost-vdpa-N, its queues' kicks and callbacks.
 */
#include "vdpa.h"

static __always_inline struct vdpa_device *ms_vdpa_vdev(struct vhost_dev *dev)
{
	struct vhost_vdpa *v = (void *)dev - bpf_core_field_offset(struct vhost_vdpa, vdev);

	return BPF_CORE_READ(v, vdpa);
}

static __always_inline struct ms_vdpa *ms_vdpa_of(struct vhost_dev *dev)
{
	return ms_vdpa_get(ms_vdpa_vdev(dev));
}

/* Only one process at a time can have it open. */
SEC("fexit/vhost_vdpa_open")
int BPF_PROG(ms_vdpa_open, struct inode *inode, struct file *file, int ret)
{
	struct vhost_dev *dev = ret ? NULL : BPF_CORE_READ(file, private_data);

	if (dev)
		ms_vdpa_owned(ms_vdpa_vdev(dev));
	return 0;
}

SEC("fentry/vhost_vdpa_process_iotlb_msg")
int BPF_PROG(ms_vdpa_message_begin)
{
	ms_vdpa_call_begin(MS_VDPA_CALL_MESSAGE);
	return 0;
}

SEC("fexit/vhost_vdpa_process_iotlb_msg")
int BPF_PROG(ms_vdpa_message_end, struct vhost_dev *dev, u32 asid, struct vhost_iotlb_msg *msg, int ret)
{
	struct ms_vdpa *v;
	u64 ns;

	if (!ms_vdpa_call_end(MS_VDPA_CALL_MESSAGE, &ns))
		return 0;
	v = ms_vdpa_owned(ms_vdpa_vdev(dev));
	if (!v)
		return 0;
	ms_vdpa_message(v, BPF_CORE_READ(msg, type), ret, ns);
	v->pinned_pages = BPF_CORE_READ(dev, mm, pinned_vm.counter);
	v->knows_pinned = 1;
	return 0;
}

SEC("fentry/vhost_vdpa_release")
int BPF_PROG(ms_vdpa_close, struct inode *inode, struct file *file)
{
	struct vhost_dev *dev = BPF_CORE_READ(file, private_data);
	struct ms_vdpa *v = dev ? ms_vdpa_of(dev) : NULL;

	if (v)
		ms_vdpa_unpinned(v);
	return 0;
}

SEC("fentry/handle_vq_kick")
int BPF_PROG(ms_vdpa_kick, struct vhost_work *work)
{
	struct vhost_poll *poll = (void *)work - bpf_core_field_offset(struct vhost_poll, work);
	struct vhost_dev *dev = BPF_CORE_READ(poll, dev);
	struct ms_vdpa *v = dev ? ms_vdpa_of(dev) : NULL;

	if (v)
		__sync_fetch_and_add(&v->kicks, 1);
	return 0;
}

SEC("fentry/vhost_vdpa_virtqueue_cb")
int BPF_PROG(ms_vdpa_callback, struct vhost_virtqueue *vq)
{
	struct vhost_dev *dev = BPF_CORE_READ(vq, dev);
	struct ms_vdpa *v = dev ? ms_vdpa_of(dev) : NULL;

	if (v)
		__sync_fetch_and_add(&v->callbacks, 1);
	return 0;
}
