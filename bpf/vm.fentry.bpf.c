// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a VM, for every source: its address may be another VM's next. What
 * was counted of it is kept for whoever reads it, but of so many VMs only: with
 * the maps pinned and nobody there to read them they must not fill up.
 */
#include "dirty_log.h"
#include "dirty_ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_MAX_DEAD);
	__type(key, u32);
	__type(value, u64);
} ms_dead SEC(".maps");

SEC("fentry/kvm_destroy_vm")
int BPF_PROG(ms_vm_destroy, struct kvm *kvm)
{
	u64 key = (u64)kvm, *id = bpf_map_lookup_elem(&ms_vm_ids, &key), gone, *place;
	u32 k;

	if (!id)
		return 0;
	gone = *id;
	ms_vm_end(key);
	k = ms_self_add(MS_SELF_DEAD, 1) & (MS_MAX_DEAD - 1);
	place = bpf_map_lookup_elem(&ms_dead, &k);
	if (!place)
		return 0;
	gone = __sync_lock_test_and_set(place, gone);
	if (!gone)
		return 0;
	bpf_map_delete_elem(&ms_vms, &gone);
	bpf_map_delete_elem(&ms_ring_vms, &gone);
	bpf_map_delete_elem(&ms_log_vms, &gone);
	return 0;
}
