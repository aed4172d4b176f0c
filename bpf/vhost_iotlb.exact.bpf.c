// SPDX-License-Identifier: GPL-2.0
/*
 * Source vhost_iotlb, exact mode: each translation of a descriptor or a buffer, and each
 * look at the rings before a round of work. It costs a BPF program for each of them.
 */
#include "vhost_iotlb.h"

#define EPERM	1

/* The device of @vq if it translates by a table that its VMM fills. */
static __always_inline struct ms_iotlb_dev *ms_iotlb_of(struct vhost_virtqueue *vq, u64 *id)
{
	struct vhost_dev *dev = BPF_CORE_READ(vq, dev);

	if (!dev || !BPF_CORE_READ(dev, iotlb))
		return NULL;
	*id = ms_iotlb_id(dev);
	return ms_iotlb_by_id(*id);
}

/* The number of runs that it took, or -EAGAIN when that was a miss, or another error. */
SEC("fexit/translate_desc")
int BPF_PROG(ms_iotlb_translate, struct vhost_virtqueue *vq, u64 addr, u32 len, void *iov,
	     int iov_size, int access, int ret)
{
	struct ms_iotlb_dev *v;
	u64 id;

	v = ms_iotlb_of(vq, &id);
	if (!v)
		return 0;
	if (ret >= 0)
		__sync_fetch_and_add(&v->hits, 1);
	else if (ret == -EPERM)
		__sync_fetch_and_add(&v->denied, 1);
	return 0;
}

SEC("fentry/iotlb_access_ok")
int BPF_PROG(ms_iotlb_access_begin, struct vhost_virtqueue *vq)
{
	u64 id;

	if (ms_iotlb_of(vq, &id))
		ms_call_begin(id, MS_CALL_IOTLB_ACCESS);
	return 0;
}

SEC("fexit/iotlb_access_ok")
int BPF_PROG(ms_iotlb_access_end, struct vhost_virtqueue *vq, int access, u64 addr, u64 len,
	     int type, bool ok)
{
	struct ms_iotlb_dev *v;
	struct ms_call call;

	if (!ms_call_take(&call) ||
	    (call.op != MS_CALL_IOTLB_ACCESS && call.op != MS_CALL_IOTLB_MISSED))
		return 0;
	v = ms_iotlb_by_id(call.vm);
	if (!v)
		return 0;
	if (ok)
		__sync_fetch_and_add(&v->hits, 1);
	else if (call.op == MS_CALL_IOTLB_ACCESS)
		__sync_fetch_and_add(&v->denied, 1);
	return 0;
}
