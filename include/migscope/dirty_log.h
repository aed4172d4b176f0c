/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Source dirty_log: KVM's dirty bitmaps (KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG)
 * and the switching of dirty logging, in either mode.
 */
#ifndef MIGSCOPE_DIRTY_LOG_H
#define MIGSCOPE_DIRTY_LOG_H

#include <linux/types.h>
#include <migscope/hist.h>

enum ms_log_op {
	MS_LOG_GET,		/* KVM_GET_DIRTY_LOG */
	MS_LOG_CLEAR,		/* KVM_CLEAR_DIRTY_LOG */
	MS_LOG_ON,		/* a slot gets KVM_MEM_LOG_DIRTY_PAGES */
	MS_LOG_OFF,		/* a slot loses it */
	MS_LOG_OPS
};

/* Map ms_log_vms: vm id -> this. */
struct ms_log_vm {
	struct {
		__u64 calls;	/* calls that returned 0 */
		__u64 errors;	/* calls that did not */
		__u64 bytes;	/* bitmap copied to or from user space; 0 for the toggles */
		__u64 pages;	/* pages of the slots concerned, or of the range cleared */
		__u64 dirty;	/* GET, CLEAR, from our own events only: pages reported, or tracked again */
		struct ms_time_hist time;
	} op[MS_LOG_OPS];
	__u64 bytes_unknown;	/* GET calls whose slot's size could not be found */
	__u64 marks;		/* exact mode: mark_page_dirty_in_slot() on a logged slot */
};

_Static_assert(sizeof(struct ms_log_vm) ==
	       MS_LOG_OPS * (40 + sizeof(struct ms_time_hist)) + 16,
	       "ms_log_vm is shared with BPF");

#endif
