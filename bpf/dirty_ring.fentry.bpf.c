// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, what KVM has no tracepoint for: birth and death of a ring,
 * how long the walk of one ring takes at KVM_RESET_DIRTY_RINGS, and the TLB flush,
 * which the kernel does once for all rings after the walks.
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
int BPF_PROG(ms_ring_reset_begin, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_call *before = bpf_map_lookup_elem(&ms_calls, &tid);
	/* the ring before this one had entries: all are flushed at once */
	bool more = before && before->op == MS_CALL_RING_FLUSH &&
		    BPF_CORE_READ(ms_ring_vcpu(ring), vcpu_idx);

	ms_call_begin(BPF_CORE_READ(ring, reset_index),
		      more ? MS_CALL_RING_RESET_MORE : MS_CALL_RING_RESET);
	return 0;
}

SEC("fexit/kvm_dirty_ring_reset")
int BPF_PROG(ms_ring_reset_end, struct kvm *kvm, struct kvm_dirty_ring *ring)
{
	struct ms_config *config = ms_config_get();
	u64 key = (u64)ring;
	struct ms_ring_vm *v;
	struct ms_call call;
	struct ms_ring *r;

	if (!ms_call_end(&call) ||
	    (call.op != MS_CALL_RING_RESET && call.op != MS_CALL_RING_RESET_MORE))
		return 0;
	r = bpf_map_lookup_elem(&ms_rings, &key);
	v = r ? ms_ring_vm(r->vm) : NULL;
	if (!v)
		return 0;
	ms_ring_walked(r, v, bpf_ktime_get_ns() - call.start_ns);
	if (config && config->ring_flush &&
	    (call.op == MS_CALL_RING_RESET_MORE ||
	     BPF_CORE_READ(ring, reset_index) != (u32)call.vm))
		ms_call_begin(r->vm, MS_CALL_RING_FLUSH);
	return 0;
}

/*
 * Who reset entries flushes the TLBs behind the last walk, before anything else; who reset none
 * does not. All others' flushes pass here, too. (Where the ioctl itself returns cannot be hooked:
 * fexit of kvm_vm_ioctl can be attached on 6.12, and never runs.)
 */
SEC("fexit/kvm_flush_remote_tlbs")
int BPF_PROG(ms_ring_flush_end)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_call *found = bpf_map_lookup_elem(&ms_calls, &tid), call;
	struct ms_ring_vm *v;

	if (!found || found->op != MS_CALL_RING_FLUSH || !ms_call_take(&call))
		return 0;
	v = ms_ring_vm(call.vm);
	if (v)
		ms_ring_flushed(v, call.vm, bpf_ktime_get_ns() - call.start_ns);
	return 0;
}
