// SPDX-License-Identifier: GPL-2.0
/*
 * The plan: which pages each vCPU writes, in which order, and what must be
 * found in them afterwards.
 *
 * Every vCPU has a region of the slot to itself, so that a page belongs to one
 * vCPU and its ring alone. A pass writes each page of the plan once.
 */
#include <stdlib.h>

#include "kvmload.h"

/* splitmix64: small, and the same everywhere for one seed */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static bool is_prime(u64 n)
{
	if (n < 4)
		return n > 1;
	if (n % 2 == 0)
		return false;
	for (u64 d = 3; d * d <= n; d += 2)
		if (n % d == 0)
			return false;
	return true;
}

/*
 * Primes by default, another one for each vCPU: a count that is no multiple of
 * anything shows at once when it is off, or was credited to the wrong vCPU.
 */
static u64 default_pages(u32 id)
{
	u64 n = 2003;

	for (;; n++)
		if (is_prime(n) && id-- == 0)
			return n;
}

static u64 pages_of(const struct kl_opts *o, u32 id)
{
	if (!o->n_pages)
		return default_pages(id);
	return o->pages[o->n_pages == 1 ? 0 : id];
}

static u64 span_of(const struct kl_opts *o, u64 n)
{
	switch (o->pattern) {
	case KL_STRIDE:
		return (n - 1) * o->stride + 1;
	case KL_RANDOM:
		return 2 * n;
	case KL_SEQ:
		break;
	}
	return n;
}

/* How large the slot is, and each vCPU's share of it. */
void kl_plan_shape(struct kl_vm *vm)
{
	const struct kl_opts *o = vm->o;
	u64 need = 0;

	for (u32 i = 0; i < o->vcpus; i++) {
		u64 span = span_of(o, pages_of(o, i));

		if (span > need)
			need = span;
	}
	vm->region = need;
	vm->mem_pages = need * o->vcpus;
	if (o->memory) {
		vm->mem_pages = o->memory / KL_PAGE_SIZE;
		vm->region = vm->mem_pages / o->vcpus;
		if (vm->region < need)
			kl_die(KL_EXIT_USAGE, "--memory: the plan needs %llu pages for each of %u vCPUs, %llu bytes",
			       (unsigned long long)need, o->vcpus,
			       (unsigned long long)(need * o->vcpus * KL_PAGE_SIZE));
	}
	vm->page = kl_alloc(vm->mem_pages, 1);
}

/* n different pages of the region in random order: the first n steps of a shuffle. */
static void pick_random(struct kl_vcpu *v, u64 region)
{
	u64 state = v->vm->o->seed + v->id * 0x2545f4914f6cdd1dULL;
	u32 *all = kl_alloc(region, sizeof(*all));

	for (u64 i = 0; i < region; i++)
		all[i] = i;
	for (u64 i = 0; i < v->n_pages; i++) {
		u64 j = i + next_random(&state) % (region - i);
		u32 t = all[i];

		all[i] = all[j];
		all[j] = t;
		v->pages[i] = all[i];
	}
	free(all);
}

void kl_plan_vcpu(struct kl_vcpu *v)
{
	const struct kl_opts *o = v->vm->o;
	u64 first = v->vm->region * v->id;

	v->n_pages = pages_of(o, v->id);
	v->goal = v->n_pages * o->passes;
	v->middle = v->goal / 2;
	v->pages = kl_alloc(v->n_pages, sizeof(*v->pages));

	switch (o->pattern) {
	case KL_SEQ:
		for (u64 i = 0; i < v->n_pages; i++)
			v->pages[i] = i;
		break;
	case KL_STRIDE:
		for (u64 i = 0; i < v->n_pages; i++)
			v->pages[i] = i * o->stride;
		break;
	case KL_RANDOM:
		pick_random(v, v->vm->region);
		break;
	}
	for (u64 i = 0; i < v->n_pages; i++) {
		v->pages[i] += first;
		v->vm->page[v->pages[i]] = KL_P_PLANNED;
	}
}

/* The guest stores the page's address xor this. */
u64 kl_plan_value(const struct kl_vcpu *v, u64 pass)
{
	return (pass + 1) << 48 | (u64)(v->id + 1) << 40;
}

/* What the plan says must stand in guest memory does stand there. */
void kl_plan_verify(struct kl_vm *vm)
{
	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];
		u64 full = v->written / v->n_pages, part = v->written % v->n_pages;

		for (u64 k = 0; k < v->n_pages; k++) {
			u64 passes = full + (k < part);
			u64 page = v->pages[k];
			u64 want = 0, have;

			/* a VM killed amid a batch: these may or may not be written */
			if (vm->killed && k >= part && k < part + vm->o->batch)
				continue;
			if (passes)
				want = kl_guest_gpa(page) ^ kl_plan_value(v, passes - 1);
			have = *(u64 *)(vm->mem + page * KL_PAGE_SIZE);
			if (have != want)
				kl_wrong(vm, "vCPU %u: page %llu holds %#llx, not %#llx", i,
					 (unsigned long long)page, (unsigned long long)have,
					 (unsigned long long)want);
		}
	}
}
