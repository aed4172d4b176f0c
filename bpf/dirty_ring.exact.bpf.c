// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, exact mode: every push, and the vCPU's next entry as the
 * end of a stall. It costs a BPF program per dirtied page and per VM entry.
 */
#include "dirty_ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MS_PUSH_SLOTS);
	__type(key, u32);
	__type(value, struct ms_push);
} ms_push SEC(".maps");

/* The verifier does no arithmetic on a typed pointer: the first argument, as a number. */
static __always_inline u64 ms_first_arg(void *ctx)
{
	u64 arg = 0;

	bpf_probe_read_kernel(&arg, sizeof(arg), ctx);
	return arg;
}

/* Rings lie kilobytes apart: the low bits of their addresses tell nothing. */
static __always_inline u32 ms_push_hash(u64 ring)
{
	return (ring * 0x61C8864680B583EBULL) >> (64 - MS_PUSH_BITS);
}

/* The slot of @ring, taken when it has none and @take; NULL when its places are all taken. */
static __noinline struct ms_push *ms_push_search(u64 ring, bool take)
{
	struct ms_push *p, *free = NULL;
	u32 i, k;
	u64 was;

	for (i = 0; i < MS_PUSH_PROBES; i++) {
		k = (ms_push_hash(ring) + i) & (MS_PUSH_SLOTS - 1);
		p = bpf_map_lookup_elem(&ms_push, &k);
		if (!p)
			return NULL;
		if (p->ring == ring)
			return p;
		if (p->ring <= 1 && !free)
			free = p;
		if (!p->ring)
			break;
	}
	if (!take || !free)
		return NULL;
	was = free->ring;
	/* lost to another ring: this push is counted as lost, the next one tries again */
	if (was > 1 || __sync_val_compare_and_swap(&free->ring, was, ring) != was)
		return NULL;
	return free;
}

static __always_inline struct ms_push *ms_push_slot(u64 ring, bool take)
{
	u32 k = ms_push_hash(ring);
	struct ms_push *p = bpf_map_lookup_elem(&ms_push, &k);

	if (p && p->ring == ring)
		return p;
	return ms_push_search(ring, take);
}

/* Whose ring it is, asked once per ring. */
static __noinline u64 ms_push_vm(u64 ring)
{
	struct ms_ring *r = ms_ring_get((struct kvm_dirty_ring *)ring);

	return r ? r->vm : 0;
}

/* What the slot has counted goes to its VM; the slot starts from nothing. */
static __always_inline void ms_push_fold(struct ms_push *p)
{
	struct ms_ring_vm *v = ms_ring_vm(p->vm);

	if (v)
		__sync_fetch_and_add(&v->pushes_seen, p->pushes);
	p->pushes = 0;
	p->used_max = 0;
	p->stalled = 0;
	p->vm = 0;
}

/* The vCPU's own thread, so one writer a slot. */
SEC("tp_btf/kvm_dirty_ring_push")
int BPF_PROG(ms_ring_push, struct kvm_dirty_ring *ring)
{
	struct ms_push *p;
	u32 dirty, reset;
	u64 addr;

	if (!ring)
		return 0;
	addr = ms_first_arg(ctx);
	p = ms_push_slot(addr, true);
	if (!p) {
		ms_self_add(MS_SELF_PUSH_FULL, 1);
		return 0;
	}
	dirty = ring->dirty_index;
	reset = ring->reset_index;
	/* the first push of a ring: its address was another one's, whose end nobody saw */
	if (dirty == 1 && !reset && p->pushes)
		ms_push_fold(p);
	if (!p->vm)
		p->vm = ms_push_vm(addr);
	p->pushes++;
	if (dirty - reset > p->used_max)
		p->used_max = dirty - reset;
	return 0;
}

SEC("tp_btf/kvm_dirty_ring_exit")
int BPF_PROG(ms_ring_stalled, struct kvm_vcpu *vcpu)
{
	struct ms_push *p;

	if (!vcpu)
		return 0;
	p = ms_push_slot(ms_first_arg(ctx) + bpf_core_field_offset(struct kvm_vcpu, dirty_ring), true);
	if (p)
		p->stalled = 1;
	else
		ms_self_add(MS_SELF_PUSH_FULL, 1);
	return 0;
}

SEC("tp_btf/kvm_entry")
int BPF_PROG(ms_vcpu_entry, struct kvm_vcpu *vcpu)
{
	struct ms_push *p;
	struct ms_ring *r;
	u64 ring;

	if (!vcpu)
		return 0;
	ring = ms_first_arg(ctx) + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	p = ms_push_slot(ring, false);
	if (!p || !p->stalled)
		return 0;
	p->stalled = 0;
	r = bpf_map_lookup_elem(&ms_rings, &ring);
	if (r)
		ms_stall_end(r, ms_ring_vm(r->vm));
	return 0;
}

SEC("fentry/kvm_dirty_ring_free")
int BPF_PROG(ms_push_free, struct kvm_dirty_ring *ring)
{
	struct ms_push *p = ms_push_slot((u64)ring, false);

	if (!p)
		return 0;
	ms_push_fold(p);
	/* not 0: those behind it must still be found */
	p->ring = 1;
	return 0;
}
