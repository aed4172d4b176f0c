/* SPDX-License-Identifier: GPL-2.0 */
/* Which threads of a VMM spend their time with dirty pages, or wait because of them. */
#ifndef MIGSCOPE_THREADS_H
#define MIGSCOPE_THREADS_H

#include <linux/types.h>
#include <migscope/vm.h>

#define MS_MAX_THREADS	16384

enum ms_wait {
	MS_WAIT_RESET,		/* in KVM_RESET_DIRTY_RINGS: walks of rings; ns: the TLB flush, too */
	MS_WAIT_GET,		/* in KVM_GET_DIRTY_LOG */
	MS_WAIT_CLEAR,		/* in KVM_CLEAR_DIRTY_LOG */
	MS_WAIT_SWITCH,		/* in the switching of dirty logging */
	MS_WAIT_STALL,		/* a vCPU: turned away because its ring was full */
	MS_WAITS
};

/* Map ms_threads: number of the thread, above it the lower half of the VM's id -> this. */
struct ms_thread {
	__u64 vm;		/* id in ms_vms */
	__u64 ns[MS_WAITS];
	__u64 calls[MS_WAITS];
	char comm[MS_COMM_LEN];	/* untrusted */
};

_Static_assert(sizeof(struct ms_thread) == 8 * (1 + 2 * MS_WAITS) + MS_COMM_LEN,
	       "ms_thread is shared with BPF");

#endif
