/* SPDX-License-Identifier: GPL-2.0 */
/* The table of pushes that exact mode keeps: see struct ms_push. */
#ifndef MIGSCOPE_BPF_DIRTY_RING_PUSH_H
#define MIGSCOPE_BPF_DIRTY_RING_PUSH_H

#include "dirty_ring.h"

/* The only global variable of our programs: the loader shares it by that. */
struct ms_push ms_push[MS_PUSH_SLOTS];

/*
 * The verifier does no arithmetic on a typed pointer. To have one as a number takes
 * a helper, and that costs half as much as a program that does nothing: it is for
 * what is done once a run. At each push there are two cheaper ways: the pointer may
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
	u32 low;

	/* in C the compiler would leave out the move that makes it a number */
	asm volatile("%[low] = %[p]" : [low] "=w"(low) : [p] "w"((u32)(unsigned long)p));
	return low;
}

/* Rings lie kilobytes apart: the low bits of their addresses tell nothing. */
#define MS_PUSH_SHIFT	12

/* The first place of a ring; from the bits of its address to bytes of the table at once. */
static __always_inline struct ms_push *ms_push_first(u32 low_half)
{
	u64 bytes = low_half / ((1 << MS_PUSH_SHIFT) / sizeof(struct ms_push));

	return (void *)ms_push + (bytes & (sizeof(ms_push) - sizeof(struct ms_push)));
}

/* The slot of @ring; NULL: it has none. *@free is a place that it may take, or NULL. */
static __always_inline struct ms_push *ms_push_search(u64 ring, struct ms_push **free)
{
	struct ms_push *p;
	u32 i;

	*free = NULL;
	for (i = 0; i < MS_PUSH_PROBES; i++) {
		p = &ms_push[((ring >> MS_PUSH_SHIFT) + i) & (MS_PUSH_SLOTS - 1)];
		if (p->ring == ring)
			return p;
		if (p->ring <= MS_PUSH_LEFT && !*free)
			*free = p;
		if (p->ring == MS_PUSH_FREE)
			break;
	}
	return NULL;
}

/* Begins a run with a push that left @used entries in the ring. */
static __always_inline void ms_push_begin(struct ms_push *p, u32 used)
{
	p->run = used - 1;
	p->next = used + 1;
}

/*
 * What was counted goes to its VM, and the place is @left to others or not.
 */
static __always_inline void ms_push_fold(struct ms_push *p, u64 left)
{
	struct ms_ring_vm *v = ms_ring_vm(p->vm);

	ms_self_add(MS_SELF_RING_CHANGES, 1);
	if (v)
		__sync_fetch_and_add(&v->pushes_seen, ms_push_count(p));
	p->ring = left;
	ms_self_add(MS_SELF_RING_CHANGED, 1);
}

#endif
