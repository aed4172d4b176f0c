// SPDX-License-Identifier: GPL-2.0
/* Source dirty_ring, exact mode: every push. It costs a BPF program per dirtied page. */
#include "dirty_ring_push.h"

/* Whose ring it is, asked once per ring; 0: not known. */
static __noinline u32 ms_push_vm(u64 ring)
{
	bool old;
	struct ms_ring *r = ms_ring_get((struct kvm_dirty_ring *)ring, &old);

	return r && r->vm == (u32)r->vm ? r->vm : 0;
}

/*
 * Gives @ring a slot; its VM is known before anybody can find it there. Inline: with one call
 * more the stack of all of them is larger than what kernels before 6.13 take.
 */
static __always_inline int ms_push_take(u64 ring, u32 used)
{
	struct ms_push *free, *p = ms_push_search(ring, &free);
	u32 vm = ms_push_vm(ring);
	u64 was = free ? free->ring : MS_PUSH_TAKEN;

	/* lost to another ring: this push is counted as lost, the next one tries again */
	if (p || !vm || was > MS_PUSH_LEFT ||
	    __sync_val_compare_and_swap(&free->ring, was, MS_PUSH_TAKEN) != was) {
		ms_self_add(MS_SELF_PUSH_FULL, 1);
		return 0;
	}
	free->vm = vm;
	free->pushes = 0;
	free->used_max = 0;
	ms_push_begin(free, used);
	__sync_lock_test_and_set(&free->ring, ring);
	return 0;
}

/* A push that does not go on with its ring's run: of a new ring, or the first after a reset. */
static __noinline int ms_push_other(void *ctx)
{
	u64 addr = ms_first_arg(ctx);
	struct kvm_dirty_ring *ring = (void *)addr;
	u32 dirty = BPF_CORE_READ(ring, dirty_index), reset = BPF_CORE_READ(ring, reset_index);
	struct ms_push *free, *p;

	if (!ring)
		return 0;
	p = ms_push_search(addr, &free);
	if (!p) {
		ms_push_take(addr, dirty - reset);
	} else if (dirty == 1 && !reset) {
		/* the first push of a ring: its address was another one's, whose end nobody saw */
		ms_push_fold(p, MS_PUSH_TAKEN);
		p->vm = ms_push_vm(addr);
		p->pushes = 0;
		p->used_max = 0;
		ms_push_begin(p, dirty - reset);
		__sync_lock_test_and_set(&p->ring, addr);
	} else {
		p->used_max = ms_push_used_max(p);
		p->pushes = ms_push_count(p);
		ms_push_begin(p, dirty - reset);
	}
	return dirty;
}

/*
 * The vCPU's own thread, so one writer a slot. This runs for each dirtied page, and is
 * written for what the compiler makes of it: no helper, no stack, no register that must be
 * saved. What it returns nobody reads; it is never 0 because that would have to be made.
 */
SEC("tp_btf/kvm_dirty_ring_push")
int BPF_PROG(ms_ring_push, struct kvm_dirty_ring *ring)
{
	struct ms_push *p;
	u32 used;

	if (__builtin_expect(!ring, 0))
		return ms_push_other(ctx);
	p = ms_push_first(ms_low_half(ring));
	used = ring->dirty_index - ring->reset_index;
	if (__builtin_expect(p->ring != (u64)ring || p->next != used, 0))
		return ms_push_other(ctx);
	return p->next = used + 1;
}
