/* SPDX-License-Identifier: GPL-2.0 */
/* What the objects of the source dirty_log share: its maps. */
#ifndef MIGSCOPE_BPF_DIRTY_LOG_H
#define MIGSCOPE_BPF_DIRTY_LOG_H

#include "threads.h"
#include <migscope/dirty_log.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VMS);
	__type(key, u64);
	__type(value, struct ms_log_vm);
} ms_log_vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_log_vm);
} ms_log_vm_zero SEC(".maps");

static __always_inline struct ms_log_vm *ms_log_vm(u64 vm)
{
	return vm ? ms_state_of(&ms_log_vms, vm, &ms_log_vm_zero) : NULL;
}

/* This thread was so long in @op. */
static __always_inline void ms_log_waited(u64 vm, u32 op, u64 ns)
{
	u32 what = op == MS_LOG_GET ? MS_WAIT_GET :
		   op == MS_LOG_CLEAR ? MS_WAIT_CLEAR : MS_WAIT_SWITCH;

	ms_thread_waited(bpf_get_current_pid_tgid(), vm, what, ns);
}

#endif
