// SPDX-License-Identifier: GPL-2.0
/*
 * Source vhost_iotlb on a vhost with the events of include/trace/events/vhost.h: they say
 * which address a queue misses, also where it is a miss that waits already, and how
 * long it waited when it is answered.
 */
#include "vhost_iotlb.h"

SEC("tp_btf/vhost_miss")
int BPF_PROG(ms_iotlb_miss_event, struct vhost_dev *dev, int vq, u64 iova, u8 perm, bool again,
	     bool dropped, u64 dropped_iova, u32 waiting, int err)
{
	struct ms_iotlb_dev *v = dev ? ms_iotlb_by_id(ms_iotlb_id(dev)) : NULL;

	if (!v)
		return 0;
	if (dropped)
		ms_iotlb_dropped(v, dropped_iova);
	/* of what it could not even say nobody will hear */
	if (err)
		return 0;
	ms_iotlb_missed(v, iova);
	ms_iotlb_miss_of_call();
	return 0;
}

SEC("tp_btf/vhost_wake")
int BPF_PROG(ms_iotlb_wake_event, struct vhost_dev *dev, int vq, u64 iova, u64 duration)
{
	u64 key = (u64)dev, *id = bpf_map_lookup_elem(&ms_iotlb_ids, &key);
	struct ms_iotlb_dev *v = id ? ms_iotlb_by_id(*id) : NULL;

	if (v)
		ms_iotlb_woken(v, iova, duration);
	return 0;
}
