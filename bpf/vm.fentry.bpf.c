// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a VM, for every source: its address may be another VM's next. What
 * was counted of it is kept for whoever reads it, but of so many VMs only: with
 * the maps pinned and nobody there to read them they must not fill up.
 *
 * Threads are found by a walk over all of them, so it is not made at each end.
 */
#include "dirty_log.h"
#include "dirty_ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_MAX_DEAD);
	__type(key, u32);
	__type(value, u64);
} ms_dead SEC(".maps");

#define MS_SWEEP	16	/* VMs that end from one walk to the next; a power of two */

static long ms_thread_sweep(struct bpf_map *map, u64 *key, struct ms_thread *t, bool *dead)
{
	struct ms_vm *vm = bpf_map_lookup_elem(&ms_vms, &t->vm);

	if (!vm || (*dead && vm->died_ns))
		bpf_map_delete_elem(&ms_threads, key);
	return 0;
}

/* Those of VMs that are forgotten; of all that ended before they take the living's room. */
static __always_inline void ms_threads_sweep(void)
{
	bool dead = false;

	if (bpf_for_each_map_elem(&ms_threads, ms_thread_sweep, &dead, 0) > MS_MAX_THREADS / 2) {
		dead = true;
		bpf_for_each_map_elem(&ms_threads, ms_thread_sweep, &dead, 0);
	}
}

SEC("fentry/kvm_destroy_vm")
int BPF_PROG(ms_vm_destroy, struct kvm *kvm)
{
	u64 key = (u64)kvm, *id = bpf_map_lookup_elem(&ms_vm_ids, &key), gone, ended, *place;
	u32 k;

	if (!id)
		return 0;
	gone = *id;
	ms_vm_end(key);
	ended = ms_self_add(MS_SELF_DEAD, 1);
	k = ended & (MS_MAX_DEAD - 1);
	place = bpf_map_lookup_elem(&ms_dead, &k);
	if (!place)
		return 0;
	gone = __sync_lock_test_and_set(place, gone);
	if (gone) {
		bpf_map_delete_elem(&ms_vms, &gone);
		bpf_map_delete_elem(&ms_ring_vms, &gone);
		bpf_map_delete_elem(&ms_log_vms, &gone);
	}
	if (!(ended & (MS_SWEEP - 1)))
		ms_threads_sweep();
	return 0;
}
