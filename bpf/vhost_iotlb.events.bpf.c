// SPDX-License-Identifier: GPL-2.0
/*
 * Source vhost_iotlb on a table with the events of include/trace/events/vhost_iotlb.h:
 * they take the place of the hooks in vhost_iotlb.fentry that look at the table before
 * and after.
 */
#include "vhost_iotlb.h"

SEC("tp_btf/vhost_iotlb_add")
int BPF_PROG(ms_iotlb_add_event, const struct vhost_iotlb *table, u64 start, u64 last)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);
	struct ms_iotlb_dev *v = msg ? ms_iotlb_by_id(msg->id) : NULL;

	if (!v)
		return 0;
	msg->op = MS_IOTLB_UPDATE;
	ms_iotlb_added(v, start, last);
	return 0;
}

SEC("tp_btf/vhost_iotlb_retire")
int BPF_PROG(ms_iotlb_retire_event, const struct vhost_iotlb *table)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);
	struct ms_iotlb_dev *v = msg ? ms_iotlb_by_id(msg->id) : NULL;

	if (v)
		__sync_fetch_and_add(&v->evictions, 1);
	return 0;
}

SEC("tp_btf/vhost_iotlb_reject")
int BPF_PROG(ms_iotlb_reject_event, const struct vhost_iotlb *table, u64 start, u64 last, int err)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);

	if (msg)
		msg->err = err;
	return 0;
}
