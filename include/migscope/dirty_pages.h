/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which pages a VM dirties again, and after how long: what its working set curve is made
 * of. Read from the entries of its rings as they are reset, on request only.
 *
 * A page's time is that of the reset which showed it, so gaps below the time between two
 * resets are not seen. Only pages whose hash falls into one of 2^shift parts are
 * followed; every count below is of these.
 */
#ifndef MIGSCOPE_DIRTY_PAGES_H
#define MIGSCOPE_DIRTY_PAGES_H

#include <linux/types.h>

#define MS_MAX_PAGES	(1 << 20)	/* of all VMs */
#define MS_VM_PAGES	(1 << 17)	/* of one VM */

/*
 * Gaps: four buckets to each power of two, from 2^20 ns (1.05 ms) up. Bucket i counts
 * gaps from MS_GAP_NS(i) to below MS_GAP_NS(i + 1); the last one what is longer.
 */
#define MS_GAP_SHIFT	20
#define MS_GAP_BUCKETS	76

/* Bounded without a loop's exit condition, for the verifier. */
static inline __u32 ms_gap_bucket(__u64 ns)
{
	__u64 units = ns >> MS_GAP_SHIFT;
	__u32 e = 2, i;

	if (units < 4)
		return units;
	for (i = 3; i < 20; i++)
		if (units >> i)
			e = i;
	if (units >> 20)
		return MS_GAP_BUCKETS - 1;
	i = (e - 1) * 4 + ((units >> (e - 2)) & 3);
	return i < MS_GAP_BUCKETS ? i : MS_GAP_BUCKETS - 1;
}

/* Lower bound of bucket @i, in ns. */
static inline __u64 ms_gap_ns(__u32 i)
{
	if (i < 4)
		return (__u64)i << MS_GAP_SHIFT;
	return (__u64)(4 + i % 4) << (i / 4 - 1 + MS_GAP_SHIFT);
}

/* Map ms_pages: hash of VM, slot and page -> this. */
struct ms_page {
	__u64 vm;		/* id in ms_vms */
	__u64 last_ns;		/* CLOCK_MONOTONIC of the reset that showed it last */
	__u64 before;		/* key of the VM's page that came before it; 0: it was the first */
};

/* Map ms_page_vms: vm id -> this. */
struct ms_page_vm {
	__u64 since_ns;		/* CLOCK_MONOTONIC of the first reset: what it shows is from before */
	__u64 last_ns;		/* of the last one */
	__u64 resets;		/* KVM_RESET_DIRTY_RINGS */
	__u64 seen;		/* dirty pages, each as often as a reset but the first showed it */
	__u64 kept;		/* pages in ms_pages */
	__u64 overflow;		/* times that a page found no room: it is not in what follows */
	__u64 unread;		/* entries that could not be read */
	__u64 last;		/* key of the page that came last; 0: none is in ms_pages (any more) */
	__u64 gap[MS_GAP_BUCKETS];	/* seen again: time since it was seen before */
	__u64 first[MS_GAP_BUCKETS];	/* seen for the first time: time since since_ns */
};

_Static_assert(sizeof(struct ms_page_vm) == 8 * (8 + 2 * MS_GAP_BUCKETS),
	       "ms_page_vm is shared with BPF");

#endif
