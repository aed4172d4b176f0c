// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_log, exact mode: every page that KVM marks dirty in a slot that
 * is logged. The same page counts again when it is marked again, so within a
 * round this is an upper bound of the pages that the bitmap shows.
 */
#include "dirty_log.h"

SEC("fentry/mark_page_dirty_in_slot")
int BPF_PROG(ms_log_mark, struct kvm *kvm, const struct kvm_memory_slot *slot)
{
	struct ms_log_vm *v;

	if (!slot || !(BPF_CORE_READ(slot, flags) & KVM_MEM_LOG_DIRTY_PAGES))
		return 0;
	/* vCPUs that are freed mark pages of a VM that was told to be gone: it is not to come back */
	if (!BPF_CORE_READ(kvm, users_count.refs.counter))
		return 0;
	v = ms_log_vm(ms_vm_id(kvm));
	if (v)
		__sync_fetch_and_add(&v->marks, 1);
	return 0;
}
