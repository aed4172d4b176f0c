// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_log on a KVM with the events of include/trace/events/kvm_dirty.h,
 * which also say how many pages were dirty. They take the place of the hooks in
 * dirty_log.fentry.
 */
#include "dirty_log.h"

/* enum kvm_dirty_log_op of kvm_dirty.h; a contract, so no relocation is needed */
#define MS_KVM_OP_GET	0
#define MS_KVM_OP_CLEAR	1

SEC("tp_btf/kvm_dirty_log_sync")
int BPF_PROG(ms_log_sync_event, struct kvm *kvm, int op, u32 slot, u64 bytes, u64 pages, u64 duration)
{
	u32 what = op == MS_KVM_OP_GET ? MS_LOG_GET : MS_LOG_CLEAR;
	struct ms_log_vm *v;
	u64 vm;

	if (!kvm || (op != MS_KVM_OP_GET && op != MS_KVM_OP_CLEAR))
		return 0;
	vm = ms_vm_id(kvm);
	v = ms_log_vm(vm);
	if (!v)
		return 0;
	__sync_fetch_and_add(&v->op[what].calls, 1);
	__sync_fetch_and_add(&v->op[what].bytes, bytes);
	__sync_fetch_and_add(&v->op[what].dirty, pages);
	ms_hist_add(&v->op[what].time, duration);
	ms_log_waited(vm, what, duration);
	return 0;
}

SEC("tp_btf/kvm_dirty_log_switch")
int BPF_PROG(ms_log_switch_event, struct kvm *kvm, u32 slot, bool on, u64 pages, u64 duration)
{
	u32 what = on ? MS_LOG_ON : MS_LOG_OFF;
	struct ms_log_vm *v;
	u64 vm;

	if (!kvm)
		return 0;
	vm = ms_vm_id(kvm);
	v = ms_log_vm(vm);
	if (!v)
		return 0;
	__sync_fetch_and_add(&v->op[what].calls, 1);
	__sync_fetch_and_add(&v->op[what].pages, pages);
	ms_hist_add(&v->op[what].time, duration);
	ms_log_waited(vm, what, duration);
	return 0;
}
