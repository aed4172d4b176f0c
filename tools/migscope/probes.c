// SPDX-License-Identifier: GPL-2.0
#include "probes.h"

#include <stdlib.h>
#include <string.h>

#define VM	"vm"
#define RING	"dirty_ring"
#define LOG	"dirty_log"

static const struct probe table[] = {
	{ RING, "ring_now", "dirty_ring.iter", "ms_ring_now", PROBE_ITER, "bpf_map_elem", NULL, 0,
	  false, "pushes since the last reset, fill at this moment" },
	{ RING, "ring_reset", "dirty_ring", "ms_ring_reset", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_reset", "kvm", 1, false, "pushes, resets, fill, high-water mark" },
	{ RING, "ring_exit", "dirty_ring", "ms_ring_exit", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_exit", "kvm", 1, false, "full exits, stalls" },
	{ RING, "ring_alloc_event", "dirty_ring.events", "ms_ring_alloc_event", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_alloc", "kvm", 2, false, NULL, "ring_alloc" },
	{ RING, "ring_free_event", "dirty_ring.events", "ms_ring_free_event", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_free", "kvm", 2, false, NULL, "ring_free" },
	{ RING, "ring_reset_done", "dirty_ring.events", "ms_ring_reset_done", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_reset_done", "kvm", 9, false,
	  "MMU calls of a reset, longest hold of mmu_lock, entries rejected",
	  "ring_reset_begin,ring_reset_end" },
	{ RING, "ring_stall_over", "dirty_ring.events", "ms_ring_stall_over", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_stall_over", "kvm", 1, false, "stalls until the vCPU runs again", "" },
	{ RING, "ring_alloc", "dirty_ring.fentry", "ms_ring_alloc", PROBE_FENTRY,
	  "kvm_dirty_ring_alloc", "kvm", 3, false, "rings that were never reset" },
	{ RING, "ring_free", "dirty_ring.fentry", "ms_ring_free", PROBE_FENTRY,
	  "kvm_dirty_ring_free", "kvm", 1, false,
	  "pushes between a ring's last reset and its end, stalls that never ended" },
	{ RING, "ring_reset_begin", "dirty_ring.fentry", "ms_ring_reset_begin", PROBE_FENTRY,
	  "kvm_dirty_ring_reset", "kvm", 2, false, "reset duration" },
	{ RING, "ring_reset_end", "dirty_ring.fentry", "ms_ring_reset_end", PROBE_FENTRY,
	  "kvm_dirty_ring_reset", "kvm", 2, false, "reset duration" },
	{ RING, "ring_push", "dirty_ring.exact", "ms_ring_push", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_push", "kvm", 3, true, "pushes one by one, exact high-water mark" },
	{ RING, "ring_stalled", "dirty_ring.exact", "ms_ring_stalled", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_exit", "kvm", 1, true, "stalls until the next entry" },
	{ RING, "vcpu_entry", "dirty_ring.exact", "ms_vcpu_entry", PROBE_TRACEPOINT,
	  "kvm_entry", "kvm", 1, true, "stalls until the next entry" },
	{ RING, "push_free", "dirty_ring.exact.fentry", "ms_push_free", PROBE_FENTRY,
	  "kvm_dirty_ring_free", "kvm", 1, true, "exact pushes of rings that ended" },
	{ LOG, "log_sync", "dirty_log.events", "ms_log_sync_event", PROBE_TRACEPOINT,
	  "kvm_dirty_log_sync", "kvm", 6, false, "pages that a bitmap showed as dirty",
	  "log_get_begin,log_get_end,log_clear_begin,log_clear_end" },
	{ LOG, "log_switch", "dirty_log.events", "ms_log_switch_event", PROBE_TRACEPOINT,
	  "kvm_dirty_log_switch", "kvm", 5, false, NULL,
	  "log_toggle_begin,log_toggle_end" },
	{ LOG, "log_get_begin", "dirty_log.fentry", "ms_log_get_begin", PROBE_FENTRY,
	  "kvm_get_dirty_log_protect", "kvm", 2, false, "KVM_GET_DIRTY_LOG" },
	{ LOG, "log_get_end", "dirty_log.fentry", "ms_log_get_end", PROBE_FENTRY,
	  "kvm_get_dirty_log_protect", "kvm", 2, false, "KVM_GET_DIRTY_LOG" },
	{ LOG, "log_clear_begin", "dirty_log.fentry", "ms_log_clear_begin", PROBE_FENTRY,
	  "kvm_clear_dirty_log_protect", "kvm", 2, false, "KVM_CLEAR_DIRTY_LOG" },
	{ LOG, "log_clear_end", "dirty_log.fentry", "ms_log_clear_end", PROBE_FENTRY,
	  "kvm_clear_dirty_log_protect", "kvm", 2, false, "KVM_CLEAR_DIRTY_LOG" },
	{ LOG, "log_toggle_begin", "dirty_log.fentry", "ms_log_toggle_begin", PROBE_FENTRY,
	  "kvm_set_memslot", "kvm", 4, false, "dirty logging switched on and off" },
	{ LOG, "log_toggle_end", "dirty_log.fentry", "ms_log_toggle_end", PROBE_FENTRY,
	  "kvm_set_memslot", "kvm", 4, false, "dirty logging switched on and off" },
	{ LOG, "log_mark", "dirty_log.exact", "ms_log_mark", PROBE_FENTRY,
	  "mark_page_dirty_in_slot", "kvm", 3, true, "pages marked dirty" },
	{ VM, "vm_files", "dirty_ring.iter", "ms_ring_files", PROBE_ITER, "task_file", NULL, 0,
	  false, "VMs and rings that ran before us (they appear at their first event)" },
	{ VM, "vm_destroy", "vm.fentry", "ms_vm_destroy", PROBE_FENTRY,
	  "kvm_destroy_vm", "kvm", 1, false,
	  "exact end of a VM (its owner's end is looked for instead)" },
};

struct probe *probes_new(size_t *n)
{
	struct probe *p = malloc(sizeof(table));

	*n = sizeof(table) / sizeof(table[0]);
	if (p)
		memcpy(p, table, sizeof(table));
	return p;
}

const char *probe_how_name(enum probe_how how)
{
	static const char *const name[] = { "tracepoint", "fentry", "iterator" };

	return name[how];
}

const char *probe_state_name(enum probe_state state)
{
	static const char *const name[] = { "off", "attached", "waiting", "missing", "refused" };

	return name[state];
}
