// SPDX-License-Identifier: GPL-2.0
/*
 * Source vdpa on simulated devices with the events of include/trace/events/vdpa_sim.h: what
 * their address spaces hold, and whose the tables are of which vringh.events tells.
 */
#include "vdpa.h"

SEC("tp_btf/vdpa_sim_map")
int BPF_PROG(ms_vdpa_space_event, u32 index, u32 asid, u32 nmaps, int err,
	     const struct vdpa_device *vdev, const struct vhost_iotlb *table)
{
	ms_vdpa_space_own(vdev, asid, table);
	return 0;
}
