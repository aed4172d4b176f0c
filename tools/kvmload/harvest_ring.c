// SPDX-License-Identifier: GPL-2.0
/*
 * Harvesting rings as a VMM does: each vCPU's entries in order, flags read with
 * acquire and written with release, then one KVM_RESET_DIRTY_RINGS for all.
 *
 * Called with vm->lock held. Between two harvests everything taken has been
 * reset, so v->fetch is the kernel's reset_index too.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvmload.h"

static struct kvm_dirty_gfn *entry_at(const struct kl_vcpu *v, u32 index)
{
	return &v->ring[index & (v->vm->o->ring_size - 1)];
}

static bool is_dirty(const struct kl_vcpu *v, u32 index)
{
	u32 flags = __atomic_load_n(&entry_at(v, index)->flags, __ATOMIC_ACQUIRE);

	return flags & KVM_DIRTY_GFN_F_DIRTY;
}

/* Entries that the kernel has pushed and we have not taken. */
u32 kl_ring_pending(const struct kl_vcpu *v)
{
	u32 n = 0;

	while (n < v->vm->o->ring_size && is_dirty(v, v->fetch + n))
		n++;
	return n;
}

/* An entry is one push: is it one that the plan knows? */
static void count_push(struct kl_vcpu *v, const struct kvm_dirty_gfn *e)
{
	struct kl_vm *vm = v->vm;
	bool since = true;
	u8 was;

	v->count[KL_TOTAL].pushes++;
	if (v->before_barrier) {
		v->before_barrier--;
		since = false;
	} else {
		v->count[KL_SINCE].pushes++;
	}

	if (e->slot != KL_SLOT_DATA || !kl_planned(vm, e->offset) ||
	    e->offset / vm->region != v->id) {
		kl_wrong(vm, "vCPU %u: entry for slot %u page %llu, which it was never told to write",
			 v->id, e->slot, (unsigned long long)e->offset);
		return;
	}
	was = __atomic_fetch_and(&vm->page[e->offset], (u8)~KL_P_DIRTY, __ATOMIC_RELAXED);
	if (!(was & KL_P_DIRTY)) {
		v->count[KL_TOTAL].repeats++;
		v->count[KL_SINCE].repeats += since;
	}
	if (!(was & KL_P_SEEN))
		v->count[KL_TOTAL].unique++;
	if (since && !(was & KL_P_SEEN_SINCE))
		v->count[KL_SINCE].unique++;
	__atomic_fetch_or(&vm->page[e->offset], KL_P_SEEN | (since ? KL_P_SEEN_SINCE : 0),
			  __ATOMIC_RELAXED);
}

static u32 collect(struct kl_vcpu *v)
{
	u32 max = v->vm->o->harvest_max;
	u32 n = 0;

	while (is_dirty(v, v->fetch)) {
		struct kvm_dirty_gfn *e = entry_at(v, v->fetch);

		if (max && n == max)
			break;
		count_push(v, e);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		v->fetch++;
		n++;
	}
	return n;
}

static void count_reset_event(struct kl_vcpu *v, u64 now)
{
	struct kl_vm *vm = v->vm;
	u32 bucket = kl_fill_bucket(v->used, vm->soft_limit);
	u32 left = kl_ring_pending(v);

	KL_ADD(v, reset_events, 1);
	KL_ADD(v, reset_empty, v->taken == 0);
	KL_ADD(v, reset_entries, v->taken);
	KL_ADD(v, occupancy[bucket], 1);
	KL_ADD(v, raced, left - (v->used - v->taken));
	KL_MAX(v, high_water, v->used);
	if (v->stalled && left < vm->soft_limit)
		kl_truth_stall_ends(v, now);
}

u32 kl_ring_harvest(struct kl_vm *vm)
{
	u32 taken = 0;
	u64 start, end;
	int ret;

	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];

		v->taken = collect(v);
		taken += v->taken;
	}
	if (!taken && !vm->o->always_reset)
		return 0;

	/* as late as can be: running vCPUs push on */
	for (u32 i = 0; i < vm->o->vcpus; i++)
		vm->vcpu[i].used = vm->vcpu[i].taken + kl_ring_pending(&vm->vcpu[i]);

	start = kl_now();
	ret = ioctl(vm->fd, KVM_RESET_DIRTY_RINGS, 0);
	end = kl_now();
	if (ret < 0)
		kl_die(KL_EXIT_FAIL, "KVM_RESET_DIRTY_RINGS: %s", strerror(errno));
	if ((u32)ret != taken)
		kl_wrong(vm, "KVM_RESET_DIRTY_RINGS reset %d entries, %u were harvested", ret, taken);

	KL_CALL(vm, reset, 0, taken, end - start);
	for (u32 i = 0; i < vm->o->vcpus; i++)
		count_reset_event(&vm->vcpu[i], end);
	return taken;
}

/* The tail: pushed, never reset. The entries stay for whoever watches. */
void kl_ring_count_left(struct kl_vm *vm)
{
	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];
		u32 n = kl_ring_pending(v);

		for (u32 k = 0; k < n; k++)
			count_push(v, entry_at(v, v->fetch + k));
		KL_ADD(v, left, n);
	}
}

void kl_ring_at_barrier(struct kl_vm *vm)
{
	for (u32 i = 0; i < vm->o->vcpus; i++)
		vm->vcpu[i].before_barrier = kl_ring_pending(&vm->vcpu[i]);
}
