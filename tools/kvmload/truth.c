// SPDX-License-Identifier: GPL-2.0
/*
 * The truth: counters, and whether they agree among themselves. Nothing here
 * comes from the tool that is tested against it; the fill buckets, too, are
 * worked out in a way of their own. What the fields mean: README.md.
 */
#include <string.h>

#include "kvmload.h"

/* Bucket i, 1 to 10, is the least with used/soft_limit <= i/10. */
u32 kl_fill_bucket(u32 used, u32 soft_limit)
{
	if (!used)
		return 0;
	if (used > soft_limit)
		return KL_BUCKETS - 1;
	return ((u64)used * 10 + soft_limit - 1) / soft_limit;
}

void kl_truth_call(struct kl_calls *count, u64 bytes, u64 pages, u64 ns)
{
	count->calls++;
	count->bytes += bytes;
	count->pages += pages;
	count->empty += pages == 0;
	count->ns += ns;
	if (ns > count->max_ns)
		count->max_ns = ns;
	if (pages > count->max_pages)
		count->max_pages = pages;
}

void kl_truth_stall_ends(struct kl_vcpu *v, u64 now)
{
	u64 ns = now - v->stall_since_ns;

	v->stalled = false;
	KL_ADD(v, stalls, 1);
	KL_ADD(v, stall_ns, ns);
	KL_MAX(v, stall_max_ns, ns);
}

void kl_truth_at_barrier(struct kl_vm *vm)
{
	memset(&vm->count[KL_SINCE], 0, sizeof(vm->count[KL_SINCE]));
	for (u32 i = 0; i < vm->o->vcpus; i++)
		memset(&vm->vcpu[i].count[KL_SINCE], 0, sizeof(vm->vcpu[i].count[KL_SINCE]));
	for (u64 p = 0; p < vm->mem_pages; p++)
		vm->page[p] &= ~KL_P_SEEN_SINCE;
}

static u64 unreported(const struct kl_vcpu *v)
{
	u64 n = 0;

	for (u64 i = 0; i < v->n_pages; i++)
		n += !!(v->vm->page[v->pages[i]] & KL_P_DIRTY);
	return n;
}

static void expect(struct kl_vcpu *v, bool ok, const char *what, u64 have, u64 want)
{
	if (!ok)
		kl_wrong(v->vm, "vCPU %u: %s: %llu, expected %llu", v->id, what,
			 (unsigned long long)have, (unsigned long long)want);
}

#define EXPECT(v, have, op, want, what) expect(v, (have) op (want), what, have, want)

static void check_ring(struct kl_vcpu *v)
{
	const struct kl_vm *vm = v->vm;
	const struct kl_vcpu_count *c = &v->count[KL_TOTAL];
	u64 histogram = 0;

	for (int i = 0; i < KL_BUCKETS; i++)
		histogram += c->occupancy[i];
	EXPECT(v, c->pushes, ==, c->reset_entries + c->left, "pushes, against entries reset and left");
	EXPECT(v, histogram, ==, c->reset_events, "sum of the occupancy histogram");
	EXPECT(v, c->reset_events, ==, vm->count[KL_TOTAL].reset.calls, "reset events");
	if (vm->killed)
		return;

	EXPECT(v, c->unique, ==, v->n_pages, "unique pages");
	EXPECT(v, c->pushes, >=, c->unique, "pushes");
	/*
	 * A page written again while its entry is being harvested needs no new
	 * entry: the VMM reads the page after the reset. With the vCPUs stopped,
	 * or when no page is written twice, nothing excuses a missing one.
	 */
	if (!vm->o->concurrent || vm->o->passes == 1)
		EXPECT(v, unreported(v), ==, 0ULL, "pages written without an entry");

	/*
	 * A fault pushes before the guest's store is done. If the ring is reset
	 * in between - always so when that push made the ring full - the store
	 * faults and pushes again. An emulated store is done when it pushes,
	 * and pushes even if the page is dirty already.
	 */
	if (vm->emulated)
		EXPECT(v, c->pushes, ==, c->writes, "pushes, one per emulated write");
	else if (!vm->o->concurrent)
		EXPECT(v, c->repeats, <=, c->stalls, "pages pushed twice");
	else if (vm->o->passes == 1)
		EXPECT(v, c->repeats, <=, c->reset_events, "pages pushed twice");

	/* Was the soft limit right? Between checks one batch comes at most. */
	if (!vm->pml_size)
		EXPECT(v, c->high_water, <=, vm->soft_limit + vm->o->batch - 1,
		       "high water, with the soft limit we believe in");
}

/* After everything was harvested and counted. */
void kl_truth_check(struct kl_vm *vm)
{
	u64 planned = 0;

	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];

		planned += v->n_pages;
		if (!vm->killed)
			EXPECT(v, v->count[KL_TOTAL].writes, ==, v->goal, "writes");
		if (vm->o->mode == KL_RING)
			check_ring(v);
	}
	if (vm->o->kill_stalled && !vm->killed)
		kl_wrong(vm, "no vCPU ever stalled: the plan fits into the ring");
	if (vm->o->mode != KL_RING && !vm->o->leave_tail && vm->count[KL_TOTAL].unique != planned)
		kl_wrong(vm, "the bitmaps name %llu pages, planned were %llu",
			 (unsigned long long)vm->count[KL_TOTAL].unique, (unsigned long long)planned);
}
