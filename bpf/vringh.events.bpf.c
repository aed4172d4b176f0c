// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on a vringh with the events of include/trace/events/vhost_iotlb.h: what could
 * not be translated. Nothing runs for what could.
 */
#include "vdpa.h"

SEC("tp_btf/vhost_iotlb_miss")
int BPF_PROG(ms_vdpa_miss_event, const struct vhost_iotlb *table)
{
	u32 space;
	struct ms_vdpa *v = ms_vdpa_of_table(table, &space);

	if (v && space < MS_VDPA_SPACES)
		__sync_fetch_and_add(&v->space[space].misses, 1);
	return 0;
}

SEC("tp_btf/vhost_iotlb_denied")
int BPF_PROG(ms_vdpa_denied_event, const struct vhost_iotlb *table)
{
	u32 space;
	struct ms_vdpa *v = ms_vdpa_of_table(table, &space);

	if (v && space < MS_VDPA_SPACES)
		__sync_fetch_and_add(&v->space[space].denied, 1);
	return 0;
}
