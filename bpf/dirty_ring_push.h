/* SPDX-License-Identifier: GPL-2.0 */
/* The table of pushes that exact mode keeps: see struct ms_push. */
#ifndef MIGSCOPE_BPF_DIRTY_RING_PUSH_H
#define MIGSCOPE_BPF_DIRTY_RING_PUSH_H

#include "dirty_ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_PUSH_SLOTS);
	__type(key, u32);
	__type(value, struct ms_push);
} ms_push SEC(".maps");

/*
 * The verifier does no arithmetic on a typed pointer. To have one as a number takes
 * a helper, and that costs half as much as a program that does nothing: it is for
 * what is done once a ring. At each push there are two cheaper ways: the pointer may
 * be compared with a number, and its lower half is one.
 */
static __always_inline u64 ms_first_arg(void *ctx)
{
	u64 arg = 0;

	bpf_probe_read_kernel(&arg, sizeof(arg), ctx);
	return arg;
}

static __always_inline u32 ms_low_half(const void *p)
{
	u64 low;

	/* in C the compiler would leave out the move that makes it a number */
	asm volatile("r0 = %[p]\n\tw0 = w0\n\t%[low] = r0" : [low] "=r"(low) : [p] "r"(p) : "r0");
	return low;
}

/* Rings lie kilobytes apart: the low bits of their addresses tell nothing. */
static __always_inline u32 ms_push_hash(u32 low_half)
{
	return (low_half * 0x61C88647U) >> (32 - MS_PUSH_BITS);
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

/* The slot of @ring if it stands in its first place, as nearly all do. */
static __always_inline struct ms_push *ms_push_first(const struct kvm_dirty_ring *ring)
{
	u32 k = ms_push_hash(ms_low_half(ring));
	struct ms_push *p = bpf_map_lookup_elem(&ms_push, &k);

	return p && p->ring == (u64)ring ? p : NULL;
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

#endif
