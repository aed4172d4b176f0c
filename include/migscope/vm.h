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
	__u64 checked_ns;	/* CLOCK_MONOTONIC when we first saw it, or compared its owner last: struct ms_config */
	__u64 died_ns;		/* CLOCK_MONOTONIC when it was destroyed; 0: alive, or not watched */
	__u32 tgid;		/* owner, in the initial pid namespace */
	__u32 ring_bytes;	/* size of each dirty ring; 0: bitmap mode */
	char comm[MS_COMM_LEN];	/* owner's; untrusted */
};

_Static_assert(sizeof(struct ms_vm) == 64, "ms_vm is shared with BPF");

/* Who holds a device or a container that is not a VM's own: the process that opened it. */
#define MS_FILE_LEN	32

struct ms_owner {
	__u64 mm;		/* address, tells reuse of what it owns */
	__u64 start_boottime;	/* as in struct ms_vm */
	__u64 seen_ns;
	__u64 died_ns;		/* CLOCK_MONOTONIC when it was given back; 0: it is held */
	__u64 checked_ns;	/* as in struct ms_vm */
	__u32 tgid;
	__u32 unused;
	char comm[MS_COMM_LEN];	/* untrusted */
};

_Static_assert(sizeof(struct ms_owner) == 64, "ms_owner is shared with BPF");

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
	MS_SELF_STALLED,	/* rings in a stall; those that ended unseen while stalled stay in it */
	MS_SELF_LAST_DEV_ID,	/* ids given to devices and containers so far */
	MS_SELF_DEVS_FULL,	/* times a device or a container did not fit */
	MS_SELF_IOTLB_DEAD,	/* devices of vhost whose end was seen */
	MS_SELF_VFIO_DEAD,	/* containers of VFIO whose end was seen */
	MS_SELF_VDPA_DEAD,	/* vDPA devices whose end was seen */
	MS_SELF_RING_CHANGES,	/* rings that began to come or go: see MS_SELF_RING_CHANGED */
	MS_SELF_ARGS_UNREAD,	/* arguments of a call that could not be read: its size is not counted */
	MS_SELF_THREADS_FULL,	/* times a thread's waits did not fit */
	MS_SELF_MISSED,		/* events at which a program of ours was at work already; from user space */
	/* Those that have come or gone. What a ring counted moves to its VM in between: what is read
	 * is of one moment if both were equal before, and none began until after it. */
	MS_SELF_RING_CHANGED,
	MS_SELF_COUNT
};

/*
 * Map ms_config: one entry, written by user space before it attaches.
 *
 * Where ends are hooked an address that is known is the object that we know, if we met it, or
 * compared its owner, after CLOCK_MONOTONIC @ends: before that it may have ended unseen.
 */
struct ms_config {
	__u32 seeded;		/* rings that ran before us were all recorded: an unknown ring is new */
	__u32 stall_by_run;	/* a stall ends when the vCPU may run again, which is hooked; else at the reset */
	__u32 iotlb_wakes;	/* vhost says itself how long a miss waited */
	__u32 page_shift;
	__u32 page_part;	/* of dirty pages one in 2^page_part is followed, if any are */
	__u32 ring_flush;	/* the TLB flush behind a reset is waited for at its hook */
	__u64 ends;		/* since when the end of a VM is hooked; 0: it is not */
	__u64 build;		/* of whose programs they are: those of another are not taken over */
	__u64 since_ns;		/* CLOCK_MONOTONIC when the first of them was attached */
	__u64 iotlb_ends;	/* as @ends, of a device of vhost */
	__u64 vfio_ends;	/* the same of a container of VFIO */
};

_Static_assert(__builtin_offsetof(struct ms_config, build) == 32, "where those of another build look for it");

#endif
