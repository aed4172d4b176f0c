// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, default mode: KVM's own tracepoints at reset and at full
 * exit. Nothing runs when a page is pushed, nothing when a vCPU enters.
 *
 * Arguments may be NULL as far as the verifier knows when KVM is a module.
 */
#include "dirty_ring.h"

/* Fires once per vCPU and KVM_RESET_DIRTY_RINGS, after the ring's entries were reset. */
SEC("tp_btf/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_reset, struct kvm_dirty_ring *ring)
{
	struct ms_config *config = ms_config_get();
	u32 reset, dirty, entries, used, b;
	struct ms_ring_vm *v;
	struct ms_ring *r;
	bool old, first;

	if (!ring)
		return 0;
	r = ms_ring_get(ring, &old);
	/* what this reset took of a ring that ran before us is not known */
	if (!r || old)
		return 0;
	/* reset_index first: a push between the two reads must not look like a negative fill */
	reset = BPF_CORE_READ(ring, reset_index);
	dirty = BPF_CORE_READ(ring, dirty_index);
	first = !BPF_CORE_READ(ms_ring_vcpu(ring), vcpu_idx);
	v = ms_ring_vm(r->vm);

	entries = reset - r->last_reset;
	used = r->walk_used ? r->walk_used - 1 : dirty - r->last_reset;
	if (used > r->size)
		used = r->size;
	b = ms_fill_bucket(used, r->soft_limit);
	if (b >= MS_FILL_BUCKETS)
		return 0;

	ms_ring_write(r);
	r->reset_events++;
	r->reset_empty += !entries;
	r->reset_entries += entries;
	r->pushes += dirty - r->last_dirty;
	r->fill[b]++;
	ms_ring_peak(r, v, used);
	if (v) {
		/* rings of one VM are reset under its slots_lock, in order of creation */
		v->resets += first;
		v->reset_events++;
		v->reset_empty += !entries;
		v->reset_entries += entries;
		v->fill[b]++;
	}
	r->last_dirty = dirty;
	r->last_reset = reset;
	r->seen_dirty = dirty;
	r->walk_used = 0;
	ms_ring_write(r);

	if (dirty - reset >= r->soft_limit)
		return 0;
	/* where it is hooked that a vCPU runs again: one that tries just now may not be held */
	if (!(config && config->stall_by_run) || __sync_lock_test_and_set(&r->stall_retry, 0))
		ms_stall_end(r, v);
	return 0;
}

/* Fires on the vCPU's thread, each time it is turned away because its ring is full. */
SEC("tp_btf/kvm_dirty_ring_exit")
int BPF_PROG(ms_ring_exit, struct kvm_vcpu *vcpu)
{
	struct ms_config *config = ms_config_get();
	struct kvm_dirty_ring *ring;
	struct ms_ring_vm *v;
	struct ms_ring *r;
	bool old;

	if (!vcpu)
		return 0;
	ring = (void *)vcpu + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	r = ms_ring_get(ring, &old);
	if (!r)
		return 0;
	v = ms_ring_vm(r->vm);
	__sync_fetch_and_add(&r->full_exits, 1);
	if (v)
		__sync_fetch_and_add(&v->full_exits, 1);
	if (!r->thread) {
		/* by now it has a name, which who ends its stall does not know */
		r->thread = bpf_get_current_pid_tgid();
		ms_thread_get(r->thread, r->vm);
	}
	/* it tried and was held */
	r->stall_retry = 0;
	ms_stall_begin(r);
	/*
	 * The reset that frees the ring may have run since KVM looked: then it saw
	 * no stall to end, and it has moved reset_index before it could look.
	 */
	if (!(config && config->stall_by_run) &&
	    BPF_CORE_READ(ring, dirty_index) - BPF_CORE_READ(ring, reset_index) < r->soft_limit)
		ms_stall_end(r, v);
	return 0;
}
