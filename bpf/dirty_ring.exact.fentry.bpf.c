// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, exact mode, what KVM has no tracepoint for: a ring that is freed
 * gives its slot back, and a stalled vCPU may run again.
 */
#include "dirty_ring_push.h"

SEC("fentry/kvm_dirty_ring_free")
int BPF_PROG(ms_push_free, struct kvm_dirty_ring *ring)
{
	struct ms_push *free, *p = ms_push_search(ms_first_arg(ctx), &free);

	if (!p)
		return 0;
	/* not free: those behind it must still be found */
	ms_push_fold(p, MS_PUSH_LEFT);
	return 0;
}

/*
 * KVM_RUN. A vCPU that was turned away stands in user space and must come through
 * here to enter, so there is no need to look at each entry, which costs as much as
 * looking at each push. (kvm_dirty_ring_check_request() would be the exact place, but
 * some request is pending nearly always: it runs more often than this.)
 */
SEC("fentry/kvm_arch_vcpu_ioctl_run")
int BPF_PROG(ms_vcpu_run, struct kvm_vcpu *vcpu)
{
	u32 stalled = MS_SELF_STALLED;
	u64 *any = bpf_map_lookup_elem(&ms_self, &stalled), key;
	struct kvm_dirty_ring *ring;
	struct ms_ring *r;

	if (!any || !*any)
		return 0;
	ring = (void *)vcpu + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	key = (u64)ring;
	r = bpf_map_lookup_elem(&ms_rings, &key);
	if (!r || !r->stall_since)
		return 0;
	/*
	 * Still full, it is turned away again: the same stall. Unless the reset comes
	 * just now, between this look and KVM's: then it is the reset that ends it. Each
	 * of the two writes before it looks at what the other wrote.
	 */
	__sync_lock_test_and_set(&r->stall_retry, 1);
	if (BPF_CORE_READ(ring, dirty_index) - BPF_CORE_READ(ring, reset_index) >= r->soft_limit)
		return 0;
	__sync_lock_test_and_set(&r->stall_retry, 0);
	ms_stall_end(r, ms_ring_vm(r->vm));
	return 0;
}
