// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring on a KVM with the events of include/trace/events/kvm_dirty.h:
 * birth and death of a ring, what a reset did, its TLB flush, the end of a stall. They take the
 * place of the hooks in dirty_ring.fentry.
 */
#include "dirty_ring.h"

SEC("tp_btf/kvm_dirty_ring_alloc")
int BPF_PROG(ms_ring_alloc_event, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	if (ring)
		ms_ring_begin(ring);
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_free")
int BPF_PROG(ms_ring_free_event, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	if (ring)
		ms_ring_end(ring);
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_reset_done")
int BPF_PROG(ms_ring_reset_done, struct kvm *kvm, struct kvm_dirty_ring *ring, u32 entries,
	     u32 windows, u32 mmu_calls, u32 rejected, u32 rejected_slot, u64 duration, u64 hold_max)
{
	struct ms_ring_vm *v;
	struct ms_ring *r;
	bool old;

	if (!ring)
		return 0;
	r = ms_ring_get(ring, &old);
	v = r ? ms_ring_vm(r->vm) : NULL;
	if (!v)
		return 0;
	/* rings of one VM are reset under its slots_lock */
	v->windows += windows;
	v->mmu_calls += mmu_calls;
	v->rejected += rejected;
	v->rejected_slot += rejected_slot;
	if (hold_max > v->hold_max_ns)
		v->hold_max_ns = hold_max;
	ms_ring_walked(r, v, duration);
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_flush")
int BPF_PROG(ms_ring_flush_event, struct kvm *kvm, u64 duration)
{
	u64 vm = kvm ? ms_vm_id(kvm) : 0;
	struct ms_ring_vm *v = ms_ring_vm(vm);

	if (v)
		ms_ring_flushed(v, vm, duration);
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_stall_over")
int BPF_PROG(ms_ring_stall_over, struct kvm_vcpu *vcpu)
{
	struct kvm_dirty_ring *ring;
	struct ms_ring *r;
	bool old;

	if (!vcpu)
		return 0;
	ring = (void *)vcpu + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	r = ms_ring_get(ring, &old);
	if (r)
		ms_stall_end(r, ms_ring_vm(r->vm));
	return 0;
}
