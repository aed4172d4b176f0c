// SPDX-License-Identifier: GPL-2.0
/* The end of a VM, for every source: its address may be another VM's next. */
#include "maps.h"

SEC("fentry/kvm_destroy_vm")
int BPF_PROG(ms_vm_destroy, struct kvm *kvm)
{
	ms_vm_end((u64)kvm);
	return 0;
}
