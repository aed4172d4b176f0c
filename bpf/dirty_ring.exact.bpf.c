// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, exact mode: every push, and the vCPU's next entry as the
 * end of a stall. It costs a BPF program per dirtied page and per VM entry.
 */
#include "dirty_ring_push.h"

/* Whose ring it is, asked once per ring. */
static __noinline u64 ms_push_vm(u64 ring)
{
	bool old;
	struct ms_ring *r = ms_ring_get((struct kvm_dirty_ring *)ring, &old);

	return r ? r->vm : 0;
}

/* The vCPU of @ring runs again. */
static __noinline int ms_push_resumed(struct ms_push *p, u64 ring)
{
	struct ms_ring *r = bpf_map_lookup_elem(&ms_rings, &ring);

	if (!p)
		return 0;
	p->stalled = 0;
	if (r)
		ms_stall_end(r, ms_ring_vm(r->vm));
	return 0;
}

/* What is not done at each push; the slot to count this one in. */
static __noinline struct ms_push *ms_push_care(u64 ring, u32 dirty, u32 reset)
{
	struct ms_push *p = ms_push_search(ring, true);

	if (!p) {
		ms_self_add(MS_SELF_PUSH_FULL, 1);
		return NULL;
	}
	/* the first push of a ring: its address was another one's, whose end nobody saw */
	if (dirty == 1 && !reset && p->pushes)
		ms_push_fold(p);
	if (!p->vm)
		p->vm = ms_push_vm(ring);
	/* one that KVM emulates never enters the guest, but it dirties a page */
	if (p->stalled)
		ms_push_resumed(p, ring);
	return p;
}

/*
 * The vCPU's own thread, so one writer a slot. This runs for each dirtied page:
 * nothing here calls a helper.
 */
SEC("tp_btf/kvm_dirty_ring_push")
int BPF_PROG(ms_ring_push, struct kvm_dirty_ring *ring)
{
	u32 dirty, reset;
	struct ms_push *p;

	if (!ring)
		return 0;
	dirty = ring->dirty_index;
	reset = ring->reset_index;
	p = ms_push_first(ring);
	if (!p || !p->vm || p->stalled || dirty == 1) {
		p = ms_push_care(ms_first_arg(ctx), dirty, reset);
		if (!p)
			return 0;
	}
	p->pushes++;
	if (dirty - reset > p->used_max)
		p->used_max = dirty - reset;
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_exit")
int BPF_PROG(ms_ring_stalled, struct kvm_vcpu *vcpu)
{
	struct ms_push *p;
	u64 ring;

	if (!vcpu)
		return 0;
	ring = ms_first_arg(ctx) + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	p = ms_push_search(ring, true);
	if (p)
		p->stalled = 1;
	else
		ms_self_add(MS_SELF_PUSH_FULL, 1);
	return 0;
}

/* This runs for each entry: as little as at a push. */
SEC("tp_btf/kvm_entry")
int BPF_PROG(ms_vcpu_entry, struct kvm_vcpu *vcpu)
{
	struct ms_push *p;
	u64 ring;

	if (!vcpu)
		return 0;
	p = ms_push_first(&vcpu->dirty_ring);
	if (p && !p->stalled)
		return 0;
	ring = ms_first_arg(ctx) + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	p = ms_push_search(ring, false);
	if (p && p->stalled)
		ms_push_resumed(p, ring);
	return 0;
}
