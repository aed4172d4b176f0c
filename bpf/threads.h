/* SPDX-License-Identifier: GPL-2.0 */
/* Who of a VMM's threads waited, and for what: filled by the sources of dirty pages. */
#ifndef MIGSCOPE_BPF_THREADS_H
#define MIGSCOPE_BPF_THREADS_H

#include "maps.h"
#include <migscope/threads.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MS_MAX_THREADS);
	__type(key, u64);
	__type(value, struct ms_thread);
} ms_threads SEC(".maps");

/*
 * The thread's record of what it waited for because of this VM: one thread may serve several.
 * Its number in the host tells it; ids of VMs are given one after another.
 */
static __always_inline struct ms_thread *ms_thread_get(u64 thread, u64 vm)
{
	u64 key = (u32)thread | vm << 32;
	struct ms_thread *t = bpf_map_lookup_elem(&ms_threads, &key), new = { .vm = vm };

	if (t && t->vm == vm)
		return t;
	/* a stall may be ended by another: its name comes with its own next call */
	if (thread == bpf_get_current_pid_tgid())
		bpf_get_current_comm(new.comm, sizeof(new.comm));
	if (bpf_map_update_elem(&ms_threads, &key, &new, BPF_ANY)) {
		ms_self_add(MS_SELF_THREADS_FULL, 1);
		return NULL;
	}
	return bpf_map_lookup_elem(&ms_threads, &key);
}

/* Part of a call that is counted by itself. */
static __always_inline struct ms_thread *ms_thread_took(u64 thread, u64 vm, u32 what, u64 ns)
{
	struct ms_thread *t;

	if (!vm || !thread || what >= MS_WAITS)
		return NULL;
	t = ms_thread_get(thread, vm);
	if (t)
		__sync_fetch_and_add(&t->ns[what], ns);
	return t;
}

static __always_inline void ms_thread_waited(u64 thread, u64 vm, u32 what, u64 ns)
{
	struct ms_thread *t = ms_thread_took(thread, vm, what, ns);

	if (t)
		__sync_fetch_and_add(&t->calls[what], 1);
}

#endif
