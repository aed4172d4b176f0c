// SPDX-License-Identifier: GPL-2.0
/*
 * One VM from birth to death, and its own thread: when to harvest, when the
 * vCPUs stop for it, the middle of the plan, the end.
 *
 * By default every vCPU is stopped at the end of a batch while rings and
 * bitmaps are read and reset: then every number is exact and, unless vCPUs
 * stall, the same in each run. With --concurrent they run on, as under QEMU.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "kvmload.h"

struct tally {
	u32 running, parked, middle, stalled, done;
};

static struct tally tally(const struct kl_vm *vm)
{
	struct tally t = { 0 };

	for (u32 i = 0; i < vm->o->vcpus; i++) {
		switch (vm->vcpu[i].state) {
		case KL_RUNNING:  t.running++; break;
		case KL_PARKED:	  t.parked++; break;
		case KL_MIDPOINT: t.middle++; break;
		case KL_STALLED:  t.stalled++; break;
		case KL_DONE:	  t.done++; break;
		}
	}
	return t;
}

static void resume(struct kl_vm *vm, bool from_middle)
{
	for (u32 i = 0; i < vm->o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];

		if (v->state == KL_PARKED || v->state == KL_STALLED ||
		    (v->state == KL_MIDPOINT && from_middle))
			v->state = KL_RUNNING;
	}
	pthread_cond_broadcast(&vm->to_vcpu);
}

/* How many entries were taken; the bitmap is always taken whole. */
static u32 harvest(struct kl_vm *vm)
{
	u32 taken = 0;

	if (vm->o->mode == KL_RING)
		taken = kl_ring_harvest(vm);
	else
		kl_bitmap_harvest(vm);
	vm->want_harvest = false;
	for (u32 i = 0; i < vm->o->vcpus; i++)
		__atomic_store_n(&vm->vcpu[i].since_harvest, 0, __ATOMIC_RELAXED);
	return taken;
}

static void harvest_all(struct kl_vm *vm)
{
	while (harvest(vm))
		;
}

/* Every vCPU waits at the middle of its plan, none of them stalled. */
static void middle(struct kl_vm *vm)
{
	if (vm->o->barrier) {
		if (vm->o->mode == KL_RING)
			kl_ring_at_barrier(vm);
		kl_truth_at_barrier(vm);
		kl_barrier_wait("middle", vm->index);
		vm->past_barrier = true;
	}
	if (vm->o->toggles)
		harvest_all(vm);
	for (u32 i = 0; i < vm->o->toggles; i++) {
		kl_kvm_logging(vm, false);
		kl_kvm_logging(vm, true);
	}
	for (u32 i = 0; i < vm->o->vcpus; i++)
		vm->vcpu[i].pace_base_ns = 0;
	vm->past_middle = true;
	resume(vm, true);
}

static void wait_for_vcpus(struct kl_vm *vm, u64 due)
{
	struct timespec ts = { .tv_sec = due / 1000000000, .tv_nsec = due % 1000000000 };

	if (due)
		pthread_cond_timedwait(&vm->to_vm, &vm->lock, &ts);
	else
		pthread_cond_wait(&vm->to_vm, &vm->lock);
}

/* Returns when every vCPU is done, or when the VM is to be killed. */
static void control(struct kl_vm *vm)
{
	const struct kl_opts *o = vm->o;
	u64 interval = o->interval_ms * 1000000ULL;
	u64 due = interval ? kl_now() + interval : 0;

	for (;;) {
		struct tally t = tally(vm);
		bool late = due && kl_now() >= due;
		bool settled = o->concurrent || !t.running;

		if (t.stalled || late)
			__atomic_store_n(&vm->stop, !o->concurrent, __ATOMIC_RELAXED);
		if (!settled) {
			/* parking vCPUs tell us; do not come back just for being late */
			wait_for_vcpus(vm, late ? 0 : due);
			continue;
		}
		__atomic_store_n(&vm->stop, false, __ATOMIC_RELAXED);
		if (t.done == o->vcpus)
			return;
		if (t.stalled && o->kill_stalled && (vm->past_barrier || !o->barrier)) {
			vm->killed = true;
			return;
		}
		if (t.middle == o->vcpus) {
			middle(vm);
		} else if (!o->concurrent || vm->want_harvest || t.stalled || late) {
			harvest(vm);
			resume(vm, false);
		} else {
			wait_for_vcpus(vm, due);
			continue;
		}
		due = interval ? kl_now() + interval : 0;
	}
}

static void choose_interval(struct kl_vm *vm)
{
	const struct kl_opts *o = vm->o;

	if (o->force_full || o->kill_stalled)
		vm->reset_every = 0;
	else if (o->reset_every_set)
		vm->reset_every = o->reset_every;
	else if (o->interval_ms)
		vm->reset_every = 0;
	else if (o->mode == KL_RING)
		vm->reset_every = vm->soft_limit * 3 / 4;
	else
		vm->reset_every = 1021;
}

static void setup(struct kl_vm *vm)
{
	const struct kl_opts *o = vm->o;
	pthread_condattr_t attr;

	pthread_mutex_init(&vm->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vm->to_vm, &attr);
	pthread_cond_init(&vm->to_vcpu, &attr);
	pthread_condattr_destroy(&attr);

	kl_plan_shape(vm);
	kl_kvm_create(vm);
	choose_interval(vm);
	vm->past_middle = !o->barrier && !o->toggles;
	vm->vcpu = kl_alloc(o->vcpus, sizeof(*vm->vcpu));
	for (u32 i = 0; i < o->vcpus; i++) {
		struct kl_vcpu *v = &vm->vcpu[i];

		v->vm = vm;
		v->id = i;
		kl_plan_vcpu(v);
		kl_kvm_vcpu(v);
	}
	kl_kvm_logging(vm, true);
}

static void run(struct kl_vm *vm)
{
	for (u32 i = 0; i < vm->o->vcpus; i++)
		if (pthread_create(&vm->vcpu[i].thread, NULL, kl_vcpu_main, &vm->vcpu[i]))
			kl_die(KL_EXIT_FAIL, "cannot start the thread of vCPU %u", i);
	pthread_mutex_lock(&vm->lock);
	control(vm);
	__atomic_store_n(&vm->quit, true, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&vm->to_vcpu);
	pthread_mutex_unlock(&vm->lock);
	for (u32 i = 0; i < vm->o->vcpus; i++)
		pthread_join(vm->vcpu[i].thread, NULL);
}

static void finish(struct kl_vm *vm)
{
	if (!vm->killed && !vm->o->leave_tail)
		harvest_all(vm);
	if (vm->o->mode == KL_RING)
		kl_ring_count_left(vm);
	else
		kl_bitmap_count_left(vm);
	for (u32 i = 0; i < vm->o->vcpus; i++)
		KL_ADD(&vm->vcpu[i], stalls_unfinished, vm->vcpu[i].stalled);
	kl_plan_verify(vm);
	kl_truth_check(vm);
}

static void teardown(struct kl_vm *vm)
{
	kl_kvm_destroy(vm);
	for (u32 i = 0; i < vm->o->vcpus; i++)
		free(vm->vcpu[i].pages);
	free(vm->vcpu);
	free(vm->page);
	free(vm->bitmap);
	pthread_cond_destroy(&vm->to_vm);
	pthread_cond_destroy(&vm->to_vcpu);
	pthread_mutex_destroy(&vm->lock);
}

struct json_object *kl_vm_run(const struct kl_opts *o, u32 index, u32 *wrong)
{
	struct kl_vm vm = { .o = o, .index = index };
	struct json_object *truth;

	setup(&vm);
	run(&vm);
	finish(&vm);
	truth = kl_json_vm(&vm);
	if (o->hold)
		kl_barrier_wait("end", index);
	kl_kvm_close_vcpus(&vm);
	if (o->hold_vm)
		kl_barrier_wait("vm", index);
	*wrong = vm.wrong;
	teardown(&vm);
	return truth;
}
