// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, what KVM has no tracepoint for: birth and death of a ring,
 * and how long the walk of one ring takes at KVM_RESET_DIRTY_RINGS (without the
 * TLB flush, which the kernel does once for all rings after the walks).
 */
#include "dirty_ring.h"

SEC("fexit/kvm_dirty_ring_alloc")
int BPF_PROG(ms_ring_alloc)
{
	u64 ring = 0, ret = 0, nr = bpf_get_func_arg_cnt(ctx);

	bpf_get_func_ret(ctx, &ret);
	if ((s32)ret)
		return 0;
	/* (ring, index, size) has got kvm in front of it in 6.13 (e5ff4ddbf9ad) */
	bpf_get_func_arg(ctx, nr > 3 ? 1 : 0, &ring);
	ms_ring_begin((struct kvm_dirty_ring *)ring);
	return 0;
}

SEC("fentry/kvm_dirty_ring_free")
int BPF_PROG(ms_ring_free, struct kvm_dirty_ring *ring)
{
	ms_ring_end(ring);
	return 0;
}

/* The peak: from here on entries are taken out while others may come in. */
SEC("fentry/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_reset_fill, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	u64 key = (u64)ring;
	struct ms_ring *r = bpf_map_lookup_elem(&ms_rings, &key);

	if (r)
		r->walk_used = 1 + (u64)(BPF_CORE_READ(ring, dirty_index) - r->last_reset);
	return 0;
}

SEC("fentry/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_reset_begin)
{
	ms_call_begin(0, MS_CALL_RING_RESET);
	return 0;
}

SEC("fexit/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_reset_end, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	u64 key = (u64)ring;
	struct ms_ring_vm *v;
	struct ms_call call;
	struct ms_ring *r;

	if (!ms_call_end(&call) || call.op != MS_CALL_RING_RESET)
		return 0;
	r = bpf_map_lookup_elem(&ms_rings, &key);
	v = r ? ms_ring_vm(r->vm) : NULL;
	if (v)
		ms_ring_walked(r, v, bpf_ktime_get_ns() - call.start_ns);
	return 0;
}
