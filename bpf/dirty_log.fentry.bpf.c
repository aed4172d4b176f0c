// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_log on a kernel without tracepoints for it. The functions hooked
 * run once per ioctl and slot, with slots_lock held: the time is that of the work
 * (and of the TLB flush), not that of waiting for the lock.
 */
#include "dirty_log.h"

/* Slots are found by id in a table of 128 chains since 5.17 (a54d806688fe). */
#define MS_SLOT_HASH_BITS	7
#define MS_SLOT_CHAIN_MAX	64

static __always_inline bool ms_slot_pages(struct kvm *kvm, u32 slot, u64 *pages)
{
	u32 as_id = slot >> 16, id = slot & 0xffff, i;
	u64 idx;
	struct kvm_memslots *slots = NULL;
	struct kvm_memory_slot *s;
	struct hlist_node *node;
	void *chain;

	if (!bpf_core_field_exists(slots->id_hash) || as_id > 1)
		return false;
	/* the second address space is x86's, for SMM */
	if (as_id && bpf_core_field_exists(kvm->memslots[1]))
		slots = BPF_CORE_READ(kvm, memslots[1]);
	else if (!as_id)
		slots = BPF_CORE_READ(kvm, memslots[0]);
	if (!slots)
		return false;
	/* the two sets of slots, active and not, share their slots through two nodes each */
	idx = BPF_CORE_READ(slots, node_idx) ? bpf_core_field_offset(struct kvm_memory_slot, id_node[1]) :
					       bpf_core_field_offset(struct kvm_memory_slot, id_node[0]);
	/* hash_32() of include/linux/hash.h */
	i = (id * 0x61C88647U) >> (32 - MS_SLOT_HASH_BITS);
	chain = (void *)slots + bpf_core_field_offset(struct kvm_memslots, id_hash);
	if (bpf_probe_read_kernel(&node, sizeof(node), chain + i * sizeof(node)))
		return false;

	for (i = 0; i < MS_SLOT_CHAIN_MAX && node; i++) {
		s = (void *)node - idx;
		if ((u16)BPF_CORE_READ(s, id) == id) {
			*pages = BPF_CORE_READ(s, npages);
			return true;
		}
		node = BPF_CORE_READ(node, next);
	}
	return false;
}

static __always_inline void ms_log_done(struct ms_log_vm *v, u32 op, struct ms_call *call, int ret)
{
	u64 ns = bpf_ktime_get_ns() - call->start_ns;

	if (op >= MS_LOG_OPS)
		return;
	if (ret) {
		__sync_fetch_and_add(&v->op[op].errors, 1);
		return;
	}
	__sync_fetch_and_add(&v->op[op].calls, 1);
	ms_hist_add(&v->op[op].time, ns);
	ms_log_waited(call->vm, op, ns);
}

static __always_inline u64 ms_bitmap_bytes(u64 pages)
{
	return (pages + 63) / 64 * 8;
}

SEC("fentry/kvm_get_dirty_log_protect")
int BPF_PROG(ms_log_get_begin, struct kvm *kvm)
{
	ms_call_begin(ms_vm_id(kvm), MS_LOG_GET);
	return 0;
}

SEC("fexit/kvm_get_dirty_log_protect")
int BPF_PROG(ms_log_get_end, struct kvm *kvm, struct kvm_dirty_log *log, int ret)
{
	struct ms_log_vm *v;
	struct ms_call call;
	u64 pages;

	if (!ms_call_end(&call) || call.op != MS_LOG_GET)
		return 0;
	v = ms_log_vm(call.vm);
	if (!v)
		return 0;
	ms_log_done(v, MS_LOG_GET, &call, ret);
	if (ret)
		return 0;
	if (ms_slot_pages(kvm, BPF_CORE_READ(log, slot), &pages)) {
		__sync_fetch_and_add(&v->op[MS_LOG_GET].pages, pages);
		__sync_fetch_and_add(&v->op[MS_LOG_GET].bytes, ms_bitmap_bytes(pages));
	} else {
		__sync_fetch_and_add(&v->bytes_unknown, 1);
	}
	return 0;
}

SEC("fentry/kvm_clear_dirty_log_protect")
int BPF_PROG(ms_log_clear_begin, struct kvm *kvm)
{
	ms_call_begin(ms_vm_id(kvm), MS_LOG_CLEAR);
	return 0;
}

SEC("fexit/kvm_clear_dirty_log_protect")
int BPF_PROG(ms_log_clear_end, struct kvm *kvm, struct kvm_clear_dirty_log *log, int ret)
{
	struct ms_log_vm *v;
	struct ms_call call;
	u64 pages;

	if (!ms_call_end(&call) || call.op != MS_LOG_CLEAR)
		return 0;
	v = ms_log_vm(call.vm);
	if (!v)
		return 0;
	ms_log_done(v, MS_LOG_CLEAR, &call, ret);
	if (ret)
		return 0;
	pages = BPF_CORE_READ(log, num_pages);
	__sync_fetch_and_add(&v->op[MS_LOG_CLEAR].pages, pages);
	__sync_fetch_and_add(&v->op[MS_LOG_CLEAR].bytes, ms_bitmap_bytes(pages));
	return 0;
}

/* ON, OFF, or MS_LOG_OPS when the change leaves logging as it was. */
static __always_inline u32 ms_toggle(struct kvm_memory_slot *old, struct kvm_memory_slot *new,
				     u32 change)
{
	u32 was, is;

	/* a slot that comes or goes with logging on does not switch it */
	if (change != bpf_core_enum_value(enum kvm_mr_change, KVM_MR_FLAGS_ONLY))
		return MS_LOG_OPS;
	was = BPF_CORE_READ(old, flags) & KVM_MEM_LOG_DIRTY_PAGES;
	is = BPF_CORE_READ(new, flags) & KVM_MEM_LOG_DIRTY_PAGES;
	if (was == is)
		return MS_LOG_OPS;
	return is ? MS_LOG_ON : MS_LOG_OFF;
}

SEC("fentry/kvm_set_memslot")
int BPF_PROG(ms_log_toggle_begin, struct kvm *kvm, struct kvm_memory_slot *old,
	     struct kvm_memory_slot *new, u32 change)
{
	u32 op = ms_toggle(old, new, change);

	if (op < MS_LOG_OPS)
		ms_call_begin(ms_vm_id(kvm), op);
	return 0;
}

static __always_inline void ms_toggle_done(struct ms_log_vm *v, u32 op, struct ms_call *call,
					   struct kvm_memory_slot *new, int ret)
{
	ms_log_done(v, op, call, ret);
	if (!ret)
		__sync_fetch_and_add(&v->op[op].pages, BPF_CORE_READ(new, npages));
}

SEC("fexit/kvm_set_memslot")
int BPF_PROG(ms_log_toggle_end, struct kvm *kvm, struct kvm_memory_slot *old,
	     struct kvm_memory_slot *new, u32 change, int ret)
{
	struct ms_log_vm *v;
	struct ms_call call;

	/* the kernel freed @old with the change: what it was stands in the call */
	if (change != bpf_core_enum_value(enum kvm_mr_change, KVM_MR_FLAGS_ONLY))
		return 0;
	if (!ms_call_take(&call))
		return 0;
	v = ms_log_vm(call.vm);
	if (!v)
		return 0;
	/* as constants: the compiler moves a check of the range away from its use */
	if (call.op == MS_LOG_ON)
		ms_toggle_done(v, MS_LOG_ON, &call, new, ret);
	else if (call.op == MS_LOG_OFF)
		ms_toggle_done(v, MS_LOG_OFF, &call, new, ret);
	return 0;
}
