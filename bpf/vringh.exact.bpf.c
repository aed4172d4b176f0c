// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa, exact mode, on a vringh with our events: each translation that succeeded. It
 * costs a BPF program for each of them.
 */
#include "vdpa.h"

SEC("tp_btf/vhost_iotlb_hit")
int BPF_PROG(ms_vdpa_hit_event, const struct vhost_iotlb *table)
{
	u32 space;
	struct ms_vdpa *v = ms_vdpa_of_table(table, &space);

	if (v && space < MS_VDPA_SPACES)
		__sync_fetch_and_add(&v->space[space].hits, 1);
	return 0;
}
