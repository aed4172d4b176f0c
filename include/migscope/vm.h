/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every source shares: the VMs that were seen, and our own losses.
 */
#ifndef MIGSCOPE_VM_H
#define MIGSCOPE_VM_H

#include <linux/types.h>

#define MS_COMM_LEN	16
#define MS_MAX_VMS	2048
#define MS_MAX_DEAD	512	/* VMs that ended and are still kept; a power of two */

/*
 * Map ms_vms: vm id -> this. An id is never given twice while the maps live,
 * whatever the kernel does with the address of a struct kvm.
 * Map ms_vm_ids: address of a live struct kvm -> vm id.
 */
struct ms_vm {
	__u64 kvm;		/* address of struct kvm, an opaque id */
	__u64 mm;		/* address of the owner's mm, tells reuse of @kvm */
	__u64 start_boottime;	/* ns; start of the owner's thread group leader, tells reuse of @tgid */
	__u64 seen_ns;		/* CLOCK_MONOTONIC when we first saw it */
	__u64 died_ns;		/* CLOCK_MONOTONIC when it was destroyed; 0: alive, or not watched */
	__u32 tgid;		/* owner, in the initial pid namespace */
	__u32 ring_bytes;	/* size of each dirty ring; 0: bitmap mode */
	char comm[MS_COMM_LEN];	/* owner's; untrusted */
};

_Static_assert(sizeof(struct ms_vm) == 64, "ms_vm is shared with BPF");

/* Map ms_self: counters of our own, one u64 each. */
enum ms_self {
	MS_SELF_LAST_VM_ID,	/* ids given so far */
	MS_SELF_VMS_FULL,	/* times a VM did not fit into ms_vms */
	MS_SELF_RINGS_FULL,	/* times a ring did not fit into ms_rings */
	MS_SELF_STATE_FULL,	/* times a VM's counters did not fit */
	MS_SELF_PENDING_FULL,	/* calls whose start could not be kept: no duration */
	MS_SELF_PUSH_FULL,	/* exact mode: pushes of rings without a slot */
	MS_SELF_UNMATCHED,	/* a call's end without its start: it ran when we attached */
	MS_SELF_DEAD,		/* VMs whose end was seen */
	MS_SELF_COUNT
};

/* Map ms_config: one entry, written by user space before it attaches. */
struct ms_config {
	__u32 seeded;		/* rings that ran before us were all recorded: an unknown ring is new */
	__u32 stall_by_run;	/* a stall ends when the vCPU runs again, which is hooked; else at the reset */
	__u32 ends;		/* the end of a VM is hooked: an address that is known is the VM we know */
};

#endif
