/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the objects of all sources share: the registry of VMs, our own counters,
 * the start of calls that are under way. Maps of one name are one map: the
 * loader opens an object with the descriptors of those that exist.
 */
#ifndef MIGSCOPE_MAPS_H
#define MIGSCOPE_MAPS_H

#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <migscope/hist.h>
#include <migscope/vm.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VMS);
	__type(key, u64);
	__type(value, struct ms_vm);
} ms_vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VMS);
	__type(key, u64);
	__type(value, u64);
} ms_vm_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_SELF_COUNT);
	__type(key, u32);
	__type(value, u64);
} ms_self SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_config);
} ms_config SEC(".maps");

/* A call that is under way on a thread. */
struct ms_call {
	u64 start_ns;
	u64 vm;			/* or device; of a ring's reset its reset_index before */
	u64 op;			/* enum ms_log_op, or one of these */
};

enum {
	MS_CALL_RING_RESET = 0x100,
	MS_CALL_RING_RESET_MORE,	/* and an earlier ring of the same call had entries */
	MS_CALL_RING_FLUSH,
	MS_CALL_IOTLB_ACCESS,
	MS_CALL_IOTLB_MISSED,	/* the same, and what it asked for was missed */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);	/* bpf_get_current_pid_tgid() */
	__type(value, struct ms_call);
} ms_calls SEC(".maps");

static __always_inline u64 ms_self_add(u32 what, u64 n)
{
	u64 *v = bpf_map_lookup_elem(&ms_self, &what);

	return v ? __sync_fetch_and_add(v, n) + n : 0;
}

static __always_inline struct ms_config *ms_config_get(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&ms_config, &zero);
}

static __always_inline void ms_hist_add(struct ms_time_hist *h, u64 ns)
{
	u32 i = ms_time_bucket(ns);

	if (i >= MS_TIME_BUCKETS)
		return;
	__sync_fetch_and_add(&h->bucket[i], 1);
	__sync_fetch_and_add(&h->sum_ns, ns);
	/* vCPUs may end their stalls at the same time; the larger value stays */
	for (i = 0; i < 4; i++) {
		u64 max = *(volatile u64 *)&h->max_ns;

		if (ns <= max || __sync_val_compare_and_swap(&h->max_ns, max, ns) == max)
			break;
	}
}

/*
 * The task that owns the VM's memory; @task, who uses it, where the kernel does not say
 * (CONFIG_MEMCG). KVM takes ioctls on a VM and its vCPUs from its own process only.
 */
static __always_inline struct task_struct *ms_owner(struct mm_struct *mm, struct task_struct *task)
{
	struct task_struct *owner = NULL;

	if (mm && bpf_core_field_exists(mm->owner))
		owner = BPF_CORE_READ(mm, owner);
	return owner ? owner : task;
}

static __always_inline struct task_struct *ms_current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* Writes down who @mm belongs to; @task as for ms_owner(). */
static __always_inline void ms_owner_set(struct ms_owner *o, struct mm_struct *mm,
					 struct task_struct *task)
{
	struct task_struct *owner = ms_owner(mm, task);

	o->mm = (u64)mm;
	o->seen_ns = bpf_ktime_get_ns();
	o->checked_ns = o->seen_ns;
	o->tgid = BPF_CORE_READ(owner, tgid);
	o->start_boottime = BPF_CORE_READ(owner, group_leader, start_boottime);
	BPF_CORE_READ_STR_INTO(&o->comm, owner, group_leader, comm);
}

/*
 * Would we have been told of its end? Not if that was not hooked all the time since it was
 * met, or checked, last: then its owner has to be compared.
 */
static __always_inline bool ms_end_is_told(u64 checked_ns, u64 ends)
{
	return ends && checked_ns >= ends;
}

/* Is it still the same? The address of an mm is given to the next process as readily. */
static __always_inline bool ms_owner_is(const struct ms_owner *o, struct mm_struct *mm)
{
	struct task_struct *owner;

	if (o->mm != (u64)mm)
		return false;
	owner = ms_owner(mm, NULL);
	if (!owner)
		return true;
	return o->tgid == (u32)BPF_CORE_READ(owner, tgid) &&
	       o->start_boottime == BPF_CORE_READ(owner, group_leader, start_boottime);
}

/* Registers a VM that was not known; returns its id, 0 when the map is full. */
static __always_inline u64 ms_vm_new(struct kvm *kvm, struct mm_struct *mm, struct task_struct *task)
{
	struct task_struct *owner = ms_owner(mm, task);
	u64 key = (u64)kvm, id;
	struct ms_vm vm = {
		.kvm = key,
		.mm = (u64)mm,
		.checked_ns = bpf_ktime_get_ns(),
	};

	/* its vCPUs are freed after it was told to be gone: what they do then must not bring it back */
	if (!BPF_CORE_READ(kvm, users_count.refs.counter))
		return 0;
	if (bpf_core_field_exists(kvm->dirty_ring_size))
		vm.ring_bytes = BPF_CORE_READ(kvm, dirty_ring_size);
	vm.tgid = BPF_CORE_READ(owner, tgid);
	vm.start_boottime = BPF_CORE_READ(owner, group_leader, start_boottime);
	BPF_CORE_READ_STR_INTO(&vm.comm, owner, group_leader, comm);

	id = ms_self_add(MS_SELF_LAST_VM_ID, 1);
	if (!id || bpf_map_update_elem(&ms_vms, &id, &vm, BPF_ANY)) {
		ms_self_add(MS_SELF_VMS_FULL, 1);
		return 0;
	}
	if (bpf_map_update_elem(&ms_vm_ids, &key, &id, BPF_NOEXIST)) {
		u64 *winner = bpf_map_lookup_elem(&ms_vm_ids, &key);

		/* two vCPUs met the VM at the same time: the first id stays */
		bpf_map_delete_elem(&ms_vms, &id);
		if (winner)
			return *winner;
		ms_self_add(MS_SELF_VMS_FULL, 1);
		return 0;
	}
	return id;
}

static __always_inline void ms_vm_end(u64 kvm)
{
	u64 *id = bpf_map_lookup_elem(&ms_vm_ids, &kvm);
	struct ms_vm *vm;

	if (!id)
		return;
	vm = bpf_map_lookup_elem(&ms_vms, id);
	if (vm)
		vm->died_ns = bpf_ktime_get_ns();
	bpf_map_delete_elem(&ms_vm_ids, &kvm);
}

/*
 * Where nobody tells us that a VM ended, the one at a known address is the known
 * one only if its owner is the same. The address of the owner's mm alone would
 * not do: it is given to the next process as readily as that of the VM.
 */
static __always_inline bool ms_vm_is(struct ms_vm *vm, struct mm_struct *mm,
				     struct task_struct *task)
{
	struct ms_config *config = ms_config_get();
	struct task_struct *owner;

	if (config && ms_end_is_told(vm->checked_ns, config->ends))
		return true;
	if (vm->mm != (u64)mm)
		return false;
	/* without it @task is asked, which may be anybody who looks, or the kernel's own */
	if (!bpf_core_field_exists(mm->owner) && BPF_CORE_READ(task, mm) != mm)
		return true;
	owner = ms_owner(mm, task);
	if (vm->tgid != (u32)BPF_CORE_READ(owner, tgid) ||
	    vm->start_boottime != BPF_CORE_READ(owner, group_leader, start_boottime))
		return false;
	/* whether or not it is of use: what is kept till here is stack that exact mode lacks */
	vm->checked_ns = bpf_ktime_get_ns();
	return true;
}

/*
 * The id of @kvm, which is alive and which @task uses or looks at; 0 when there is no
 * room for another VM.
 */
static __always_inline u64 ms_vm_id_of(struct kvm *kvm, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(kvm, mm);
	u64 key = (u64)kvm;
	u64 *id = bpf_map_lookup_elem(&ms_vm_ids, &key);
	struct ms_vm *vm;

	if (id) {
		vm = bpf_map_lookup_elem(&ms_vms, id);
		if (vm && !vm->died_ns && ms_vm_is(vm, mm, task)) {
			/* rings may be enabled after the VM was first seen */
			if (!vm->ring_bytes && bpf_core_field_exists(kvm->dirty_ring_size))
				vm->ring_bytes = BPF_CORE_READ(kvm, dirty_ring_size);
			return *id;
		}
		/* nobody told us that the VM of this address ended */
		ms_vm_end(key);
	}
	return ms_vm_new(kvm, mm, task);
}

static __always_inline u64 ms_vm_id(struct kvm *kvm)
{
	return ms_vm_id_of(kvm, (struct task_struct *)bpf_get_current_task());
}

static __always_inline void ms_call_begin(u64 vm, u64 op)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_call call = { .start_ns = bpf_ktime_get_ns(), .vm = vm, .op = op };

	if (bpf_map_update_elem(&ms_calls, &tid, &call, BPF_ANY))
		ms_self_add(MS_SELF_PENDING_FULL, 1);
}

/*
 * Takes the call that began on this thread into @call; false if none did. No two
 * of the calls that are hooked nest, so there is one a thread at most; @call->op
 * tells whether it is the one that ends here.
 */
static __always_inline bool ms_call_take(struct ms_call *call)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_call *found = bpf_map_lookup_elem(&ms_calls, &tid);

	if (!found)
		return false;
	*call = *found;
	bpf_map_delete_elem(&ms_calls, &tid);
	return true;
}

/* The same at an end that must have had a beginning: one that had none is counted. */
static __always_inline bool ms_call_end(struct ms_call *call)
{
	if (ms_call_take(call))
		return true;
	ms_self_add(MS_SELF_UNMATCHED, 1);
	return false;
}

/*
 * The value of a per-VM map, made on first use from @zero, which is too large for
 * the stack and stands in a map of one entry.
 */
#define ms_state_of(map, id, zero) ({						\
	u64 __id = (id);							\
	u32 __k = 0;								\
	void *__v = bpf_map_lookup_elem(map, &__id), *__z;			\
	if (!__v && (__z = bpf_map_lookup_elem(zero, &__k)) != NULL) {		\
		bpf_map_update_elem(map, &__id, __z, BPF_NOEXIST);		\
		__v = bpf_map_lookup_elem(map, &__id);				\
		if (!__v)							\
			ms_self_add(MS_SELF_STATE_FULL, 1);			\
	}									\
	__v;									\
})

char LICENSE[] SEC("license") = "GPL";

#endif
