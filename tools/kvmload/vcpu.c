// SPDX-License-Identifier: GPL-2.0
/*
 * A vCPU's thread: hand the guest a batch, run it until it says done, keep the
 * pace, wait where the VM's thread wants us to.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvmload.h"

#define PACE_SLICE_NS	10000000ULL

/* Wait under the lock until the VM's thread lets us go on. False: the VM ends. */
static bool wait_as(struct kl_vcpu *v, enum kl_state state)
{
	struct kl_vm *vm = v->vm;

	v->state = state;
	pthread_cond_signal(&vm->to_vm);
	while (v->state != KL_RUNNING && !vm->quit)
		pthread_cond_wait(&vm->to_vcpu, &vm->lock);
	return !vm->quit;
}

static bool park(struct kl_vcpu *v, enum kl_state state)
{
	bool go_on;

	pthread_mutex_lock(&v->vm->lock);
	go_on = wait_as(v, state);
	pthread_mutex_unlock(&v->vm->lock);
	return go_on;
}

/* The ring is full: this is a stall, or the next exit of one. */
static bool ring_full(struct kl_vcpu *v, u64 before_run, u32 *tries, u64 *first)
{
	struct kl_vm *vm = v->vm;
	const struct kl_opts *o = vm->o;
	bool go_on = true;
	u32 used;

	if (!*first)
		*first = kl_now();
	pthread_mutex_lock(&vm->lock);
	KL_ADD(v, full_exits, 1);
	used = kl_ring_pending(v);
	if (!v->stalled) {
		v->stalled = true;
		v->stall_since_ns = before_run;
		/* a harvest may have come between KVM's exit and us */
		if (used < vm->soft_limit) {
			if (!o->concurrent)
				kl_wrong(vm, "vCPU %u: full exit at %u entries, below the soft limit of %u",
					 v->id, used, vm->soft_limit);
			kl_truth_stall_ends(v, kl_now());
			goto out;
		}
	}
	for (int s = 0; s < KL_SPANS; s++) {
		struct kl_vcpu_count *c = &v->count[s];

		if (!c->full_min || used < c->full_min)
			c->full_min = used;
		if (used > c->full_max)
			c->full_max = used;
	}
	if ((*tries)++ < o->full_retries)
		goto out;
	if (kl_now() - *first < o->full_delay_ms * 1000000ULL) {
		pthread_mutex_unlock(&vm->lock);
		kl_sleep_ns(1000000);
		return !__atomic_load_n(&vm->quit, __ATOMIC_RELAXED);
	}
	go_on = wait_as(v, KL_STALLED);
	*tries = 0;
	*first = 0;
out:
	pthread_mutex_unlock(&vm->lock);
	return go_on;
}

/* Run until the guest has written its list. False: the VM ends. */
static bool run_batch(struct kl_vcpu *v)
{
	u64 first_full = 0;
	u32 tries = 0;

	for (;;) {
		u64 before = kl_now();

		if (ioctl(v->fd, KVM_RUN, 0) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			kl_die(KL_EXIT_FAIL, "KVM_RUN of vCPU %u: %s", v->id, strerror(errno));
		}
		switch (v->run->exit_reason) {
		case KVM_EXIT_IO:
			if (v->run->io.port != KL_DONE_PORT)
				kl_die(KL_EXIT_FAIL, "vCPU %u: unexpected access to port %#x",
				       v->id, v->run->io.port);
			return true;
		case KVM_EXIT_DIRTY_RING_FULL:
			if (!ring_full(v, before, &tries, &first_full))
				return false;
			break;
		default:
			kl_die(KL_EXIT_FAIL, "vCPU %u: unexpected exit %u (error %u, hardware %#llx)",
			       v->id, v->run->exit_reason, v->run->internal.suberror,
			       v->run->fail_entry.hardware_entry_failure_reason);
		}
	}
}

static u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* How much to write next: never past a point where we must be able to stop. */
static u32 batch_size(const struct kl_vcpu *v)
{
	const struct kl_vm *vm = v->vm;
	u64 n = vm->o->batch;

	n = min_u64(n, v->n_pages - v->written % v->n_pages);
	if (!vm->past_middle)
		n = min_u64(n, v->middle - v->written);
	if (vm->reset_every && !vm->o->concurrent)
		n = min_u64(n, vm->reset_every - v->since_harvest);
	if (vm->o->rate)
		n = min_u64(n, vm->o->rate / 100 ? vm->o->rate / 100 : 1);
	return n;
}

static bool must_stop(const struct kl_vm *vm)
{
	return __atomic_load_n(&vm->stop, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&vm->quit, __ATOMIC_RELAXED);
}

static void keep_pace(struct kl_vcpu *v)
{
	u64 rate = v->vm->o->rate;
	u64 due;

	if (!rate)
		return;
	if (!v->pace_base_ns) {
		v->pace_base_ns = kl_now();
		v->pace_base_written = v->written;
	}
	due = v->pace_base_ns +
	      (u64)((double)(v->written - v->pace_base_written) * 1e9 / (double)rate);
	for (u64 now = kl_now(); now < due && !must_stop(v->vm) && !kl_told_to_end();
	     now = kl_now())
		kl_sleep_ns(min_u64(due - now, PACE_SLICE_NS));
}

static void count_written(struct kl_vcpu *v, u32 n)
{
	struct kl_vm *vm = v->vm;
	u64 since = __atomic_add_fetch(&v->since_harvest, n, __ATOMIC_RELAXED);

	v->written += n;
	KL_ADD(v, writes, n);
	if (vm->o->concurrent && vm->reset_every && since >= vm->reset_every) {
		pthread_mutex_lock(&vm->lock);
		vm->want_harvest = true;
		pthread_cond_signal(&vm->to_vm);
		pthread_mutex_unlock(&vm->lock);
	}
}

static bool park_where_due(struct kl_vcpu *v)
{
	struct kl_vm *vm = v->vm;

	if (!vm->past_middle && v->written == v->middle && !park(v, KL_MIDPOINT))
		return false;
	while (!vm->o->concurrent &&
	       ((vm->reset_every && v->since_harvest >= vm->reset_every) || must_stop(vm)))
		if (!park(v, KL_PARKED))
			return false;
	return !__atomic_load_n(&vm->quit, __ATOMIC_RELAXED);
}

/* Seen enough: what is written is the plan. Not before the middle, where all meet. */
static bool plan_ended(struct kl_vcpu *v)
{
	if (v->vm->past_middle && kl_told_to_end())
		v->goal = v->written;
	return v->written >= v->goal;
}

void *kl_vcpu_main(void *arg)
{
	struct kl_vcpu *v = arg;
	struct kl_vm *vm = v->vm;

	while (park_where_due(v) && !plan_ended(v)) {
		u64 at = v->written % v->n_pages;
		u32 n = batch_size(v);

		for (u32 i = 0; i < n; i++)
			__atomic_fetch_or(&vm->page[v->pages[at + i]], KL_P_DIRTY,
					  __ATOMIC_RELAXED);
		kl_guest_load(v, v->pages + at, n, kl_plan_value(v, v->written / v->n_pages));
		if (!run_batch(v))
			break;
		count_written(v, n);
		keep_pace(v);
	}
	pthread_mutex_lock(&vm->lock);
	v->state = KL_DONE;
	pthread_cond_signal(&vm->to_vm);
	pthread_mutex_unlock(&vm->lock);
	return NULL;
}
