// SPDX-License-Identifier: GPL-2.0
#include "probes.h"

#include <stdlib.h>
#include <string.h>

#define VM	"vm"
#define RING	"dirty_ring"
#define LOG	"dirty_log"
#define IOTLB	"vhost_iotlb"
#define VFIO	"vfio"
#define TYPE1	"vfio_iommu_type1"
#define VDPA	"vdpa"
#define VHOST_VDPA "vhost_vdpa"

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
	{ RING, "ring_flush_event", "dirty_ring.events", "ms_ring_flush_event", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_flush", "kvm", 2, false, NULL, "ring_flush_end" },
	{ RING, "ring_stall_over", "dirty_ring.events", "ms_ring_stall_over", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_stall_over", "kvm", 1, false, "stalls until the vCPU runs again",
	  "vcpu_run" },
	{ RING, "ring_alloc", "dirty_ring.fentry", "ms_ring_alloc", PROBE_FENTRY,
	  "kvm_dirty_ring_alloc", "kvm", 3, false, "rings that were never reset" },
	{ RING, "ring_free", "dirty_ring.fentry", "ms_ring_free", PROBE_FENTRY,
	  "kvm_dirty_ring_free", "kvm", 1, false,
	  "pushes after a ring's last reset, stalls that never ended" },
	{ RING, "ring_reset_fill", "dirty_ring.fentry", "ms_ring_reset_fill", PROBE_FENTRY,
	  "kvm_dirty_ring_reset", "kvm", 2, false, "high-water mark of a ring that fills while it is reset" },
	{ RING, "ring_reset_begin", "dirty_ring.fentry", "ms_ring_reset_begin", PROBE_FENTRY,
	  "kvm_dirty_ring_reset", "kvm", 2, false, "reset duration" },
	{ RING, "ring_reset_end", "dirty_ring.fentry", "ms_ring_reset_end", PROBE_FENTRY,
	  "kvm_dirty_ring_reset", "kvm", 2, false, "reset duration" },
	{ RING, "ring_flush_end", "dirty_ring.fentry", "ms_ring_flush_end", PROBE_FENTRY,
	  "kvm_flush_remote_tlbs", "kvm", 1, false, "time in the TLB flush at the end of a reset" },
	{ RING, "ring_push", "dirty_ring.exact", "ms_ring_push", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_push", "kvm", 3, true, "pushes one by one, exact high-water mark" },
	{ RING, "ring_pages", "dirty_ring.pages", "ms_ring_pages", PROBE_TRACEPOINT,
	  "kvm_dirty_ring_reset", "kvm", 1, false, "working set: which pages are dirtied again", NULL, true },
	{ RING, "push_free", "dirty_ring.exact.fentry", "ms_push_free", PROBE_FENTRY,
	  "kvm_dirty_ring_free", "kvm", 1, true, "exact pushes of rings that ended" },
	{ RING, "vcpu_run", "dirty_ring.exact.fentry", "ms_vcpu_run", PROBE_FENTRY,
	  "kvm_arch_vcpu_ioctl_run", "kvm", 1, true, "stalls until the vCPU runs again" },
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
	{ IOTLB, "iotlb_files", "vhost_iotlb.iter", "ms_iotlb_files", PROBE_ITER, "task_file", "vhost", 0,
	  false, "devices that had a table before us (they appear at their first miss or message)" },
	{ IOTLB, "iotlb_miss_event", "vhost_iotlb.vhost", "ms_iotlb_miss_event", PROBE_TRACEPOINT,
	  "vhost_miss", "vhost", 9, false, NULL, "iotlb_miss" },
	{ IOTLB, "iotlb_wake_event", "vhost_iotlb.vhost", "ms_iotlb_wake_event", PROBE_TRACEPOINT,
	  "vhost_wake", "vhost", 4, false, NULL, "" },
	{ IOTLB, "iotlb_miss", "vhost_iotlb.fentry", "ms_iotlb_miss", PROBE_FENTRY,
	  "vhost_enqueue_msg", "vhost", 3, false, "misses, and how long they wait" },
	{ IOTLB, "iotlb_msg_begin", "vhost_iotlb.fentry", "ms_iotlb_msg_begin", PROBE_FENTRY,
	  "vhost_chr_write_iter", "vhost", 2, false, "updates, invalidates, errors, answers to misses" },
	{ IOTLB, "iotlb_msg_end", "vhost_iotlb.fentry", "ms_iotlb_msg_end", PROBE_FENTRY,
	  "vhost_chr_write_iter", "vhost", 2, false, "updates, invalidates, errors, answers to misses" },
	{ IOTLB, "iotlb_add_event", "vhost_iotlb.events", "ms_iotlb_add_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_add", "vhost_iotlb", 4, false, NULL, "iotlb_add_begin,iotlb_add_end" },
	{ IOTLB, "iotlb_retire_event", "vhost_iotlb.events", "ms_iotlb_retire_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_retire", "vhost_iotlb", 3, false, NULL, "iotlb_add_begin" },
	{ IOTLB, "iotlb_reject_event", "vhost_iotlb.events", "ms_iotlb_reject_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_reject", "vhost_iotlb", 4, false, NULL, "" },
	{ IOTLB, "iotlb_add_begin", "vhost_iotlb.fentry", "ms_iotlb_add_begin", PROBE_FENTRY,
	  "vhost_iotlb_add_range", "vhost_iotlb", 5, false, "evictions" },
	{ IOTLB, "iotlb_add_end", "vhost_iotlb.fentry", "ms_iotlb_add_end", PROBE_FENTRY,
	  "vhost_iotlb_add_range", "vhost_iotlb", 5, false, "updates, evictions, answers to misses" },
	{ IOTLB, "iotlb_del", "vhost_iotlb.fentry", "ms_iotlb_del", PROBE_FENTRY,
	  "vhost_iotlb_del_range", "vhost_iotlb", 3, false, "invalidates" },
	{ IOTLB, "iotlb_table", "vhost_iotlb.fentry", "ms_iotlb_table", PROBE_FENTRY,
	  "vhost_init_device_iotlb", "vhost", 1, false,
	  "devices before their first miss or message" },
	{ IOTLB, "iotlb_clear", "vhost_iotlb.fentry", "ms_iotlb_clear", PROBE_FENTRY,
	  "vhost_clear_msg", "vhost", 1, false, "misses that are pending, and for how long" },
	{ IOTLB, "iotlb_dev_end", "vhost_iotlb.fentry", "ms_iotlb_dev_end", PROBE_FENTRY,
	  "vhost_dev_cleanup", "vhost", 1, false,
	  "exact end of a device (its owner's end is looked for instead)" },
	{ IOTLB, "iotlb_translate", "vhost_iotlb.exact", "ms_iotlb_translate", PROBE_FENTRY,
	  "translate_desc", "vhost", 6, true, "hits, accesses denied" },
	{ IOTLB, "iotlb_access_begin", "vhost_iotlb.exact", "ms_iotlb_access_begin", PROBE_FENTRY,
	  "iotlb_access_ok", "vhost", 5, true, "hits, accesses denied" },
	{ IOTLB, "iotlb_access_end", "vhost_iotlb.exact", "ms_iotlb_access_end", PROBE_FENTRY,
	  "iotlb_access_ok", "vhost", 5, true, "hits, accesses denied" },
	{ VFIO, "vfio_files", "vfio.iter", "ms_vfio_files", PROBE_ITER, "task_file", TYPE1, 0, false,
	  "containers that ran before us (they appear at their first call)" },
	{ VFIO, "vfio_release_event", "vfio.events", "ms_vfio_release_event", PROBE_TRACEPOINT,
	  "vfio_container_release", TYPE1, 1, false, NULL, "vfio_release" },
	{ VFIO, "vfio_open_event", "vfio.events", "ms_vfio_open_event", PROBE_TRACEPOINT,
	  "vfio_container_open", TYPE1, 2, false, NULL, "vfio_open" },
	{ VFIO, "vfio_map", "vfio.events", "ms_vfio_map_event", PROBE_TRACEPOINT,
	  "vfio_map", TYPE1, 8, false, NULL, "vfio_ioctl_begin,vfio_ioctl_end" },
	{ VFIO, "vfio_unmap", "vfio.events", "ms_vfio_unmap_event", PROBE_TRACEPOINT,
	  "vfio_unmap", TYPE1, 8, false, "unmaps", "" },
	{ VFIO, "vfio_pin", "vfio.events", "ms_vfio_pin_event", PROBE_TRACEPOINT,
	  "vfio_pin", TYPE1, 7, false, NULL, "vfio_pin_begin,vfio_pin_end" },
	{ VFIO, "vfio_unpin", "vfio.events", "ms_vfio_unpin_event", PROBE_TRACEPOINT,
	  "vfio_unpin", TYPE1, 6, false, NULL, "vfio_unpin_begin,vfio_unpin_end" },
	{ VFIO, "vfio_dirty_start", "vfio.events", "ms_vfio_start_event", PROBE_TRACEPOINT,
	  "vfio_dirty_start", TYPE1, 5, false, "dirty tracking switched on", "" },
	{ VFIO, "vfio_dirty_stop", "vfio.events", "ms_vfio_stop_event", PROBE_TRACEPOINT,
	  "vfio_dirty_stop", TYPE1, 5, false, "dirty tracking switched off", "" },
	{ VFIO, "vfio_dirty_get", "vfio.events", "ms_vfio_get_event", PROBE_TRACEPOINT,
	  "vfio_dirty_get", TYPE1, 9, false, "pages that a bitmap showed as dirty", "" },
	{ VFIO, "vfio_dirty_scope", "vfio.events", "ms_vfio_scope_event", PROBE_TRACEPOINT,
	  "vfio_dirty_scope", TYPE1, 3, false, "what counts as dirty", "" },
	{ VFIO, "vfio_rw", "vfio.events", "ms_vfio_rw_event", PROBE_TRACEPOINT,
	  "vfio_rw", TYPE1, 6, false, NULL, "vfio_rw_begin,vfio_rw_end" },
	{ VFIO, "vfio_state", "vfio_sim.events", "ms_vfio_mig_event", PROBE_TRACEPOINT,
	  "vfio_sim_state", "vfio_sim", 7, false, "migration states of devices", "" },
	{ VFIO, "vfio_mig_close", "vfio_sim.events", "ms_vfio_mig_close_event", PROBE_TRACEPOINT,
	  "vfio_sim_close", "vfio_sim", 1, false, "the end of a device that can migrate", "" },
	{ VFIO, "vfio_open", "vfio.fentry", "ms_vfio_open", PROBE_FENTRY,
	  "vfio_iommu_type1_open", TYPE1, 1, false, "containers before their first call" },
	{ VFIO, "vfio_release", "vfio.fentry", "ms_vfio_release", PROBE_FENTRY,
	  "vfio_iommu_type1_release", TYPE1, 1, false,
	  "exact end of a container (its owner's end is looked for instead)" },
	{ VFIO, "vfio_ioctl_begin", "vfio.fentry", "ms_vfio_ioctl_begin", PROBE_FENTRY,
	  "vfio_iommu_type1_ioctl", TYPE1, 3, false, "map, unmap, dirty bitmap" },
	{ VFIO, "vfio_ioctl_end", "vfio.fentry", "ms_vfio_ioctl_end", PROBE_FENTRY,
	  "vfio_iommu_type1_ioctl", TYPE1, 3, false, "map, unmap, dirty bitmap" },
	{ VFIO, "vfio_pin_begin", "vfio.fentry", "ms_vfio_pin_begin", PROBE_FENTRY,
	  "vfio_iommu_type1_pin_pages", TYPE1, 6, false, "pages pinned by devices" },
	{ VFIO, "vfio_pin_end", "vfio.fentry", "ms_vfio_pin_end", PROBE_FENTRY,
	  "vfio_iommu_type1_pin_pages", TYPE1, 6, false, "pages pinned by devices" },
	{ VFIO, "vfio_unpin_begin", "vfio.fentry", "ms_vfio_unpin_begin", PROBE_FENTRY,
	  "vfio_iommu_type1_unpin_pages", TYPE1, 3, false, "pages that devices let go" },
	{ VFIO, "vfio_unpin_end", "vfio.fentry", "ms_vfio_unpin_end", PROBE_FENTRY,
	  "vfio_iommu_type1_unpin_pages", TYPE1, 3, false, "pages that devices let go" },
	{ VFIO, "vfio_rw_begin", "vfio.fentry", "ms_vfio_rw_begin", PROBE_FENTRY,
	  "vfio_iommu_type1_dma_rw", TYPE1, 5, false, "guest memory read and written for devices" },
	{ VFIO, "vfio_rw_end", "vfio.fentry", "ms_vfio_rw_end", PROBE_FENTRY,
	  "vfio_iommu_type1_dma_rw", TYPE1, 5, false, "guest memory read and written for devices" },
	{ VDPA, "vdpa_add_event", "vdpa.events", "ms_vdpa_add_event", PROBE_TRACEPOINT,
	  "vdpa_device_add", VDPA, 1, false, NULL, "vdpa_add" },
	{ VDPA, "vdpa_remove_event", "vdpa.events", "ms_vdpa_remove_event", PROBE_TRACEPOINT,
	  "vdpa_device_remove", VDPA, 1, false, NULL, "vdpa_remove" },
	{ VDPA, "vdpa_op", "vdpa.events", "ms_vdpa_op_event", PROBE_TRACEPOINT,
	  "vdpa_op", VDPA, 4, false, "operations of a device, each by name",
	  "vdpa_status_begin,vdpa_status_end,vdpa_get_config_begin,vdpa_get_config_end" },
	{ VDPA, "vdpa_kick_event", "vdpa.events", "ms_vdpa_kick_event", PROBE_TRACEPOINT,
	  "vdpa_vq_kick", VDPA, 2, false, NULL, "vdpa_kick,vdpa_notify" },
	{ VDPA, "vdpa_callback_event", "vdpa.events", "ms_vdpa_callback_event", PROBE_TRACEPOINT,
	  "vdpa_vq_callback", VDPA, 2, false, NULL, "vdpa_callback" },
	{ VDPA, "vdpa_add", "vdpa.fentry", "ms_vdpa_add", PROBE_FENTRY,
	  "_vdpa_register_device", VDPA, 2, false, "devices with which nothing happened" },
	{ VDPA, "vdpa_remove", "vdpa.fentry", "ms_vdpa_remove", PROBE_FENTRY,
	  "_vdpa_unregister_device", VDPA, 1, false, "the end of a device" },
	{ VDPA, "vdpa_status_begin", "vdpa.fentry", "ms_vdpa_status_begin", PROBE_FENTRY,
	  "vdpa_set_status", VDPA, 2, false, "status set" },
	{ VDPA, "vdpa_status_end", "vdpa.fentry", "ms_vdpa_status_end", PROBE_FENTRY,
	  "vdpa_set_status", VDPA, 2, false, "status set" },
	{ VDPA, "vdpa_get_config_begin", "vdpa.fentry", "ms_vdpa_get_config_begin", PROBE_FENTRY,
	  "vdpa_get_config", VDPA, 4, false, "configuration read" },
	{ VDPA, "vdpa_get_config_end", "vdpa.fentry", "ms_vdpa_get_config_end", PROBE_FENTRY,
	  "vdpa_get_config", VDPA, 4, false, "configuration read" },
	{ VDPA, "vhost_vdpa_open", "vhost_vdpa.events", "ms_vdpa_open_event", PROBE_TRACEPOINT,
	  "vhost_vdpa_open", VHOST_VDPA, 1, false, NULL, "vdpa_open" },
	{ VDPA, "vhost_vdpa_message", "vhost_vdpa.events", "ms_vdpa_message_event", PROBE_TRACEPOINT,
	  "vhost_vdpa_message", VHOST_VDPA, 5, false, NULL, "vdpa_message_begin,vdpa_message_end" },
	{ VDPA, "vhost_vdpa_map", "vhost_vdpa.events", "ms_vdpa_map_event", PROBE_TRACEPOINT,
	  "vhost_vdpa_map", VHOST_VDPA, 9, false, "pages mapped, and in how many runs", "" },
	{ VDPA, "vhost_vdpa_unmap", "vhost_vdpa.events", "ms_vdpa_unmap_event", PROBE_TRACEPOINT,
	  "vhost_vdpa_unmap", VHOST_VDPA, 9, false, "what address spaces hold", "" },
	{ VDPA, "vhost_vdpa_pinned", "vhost_vdpa.events", "ms_vdpa_pinned_event", PROBE_TRACEPOINT,
	  "vhost_vdpa_pinned", VHOST_VDPA, 5, false, "memory pinned", "vdpa_close" },
	{ VDPA, "vdpa_space", "vdpa_sim.events", "ms_vdpa_space_event", PROBE_TRACEPOINT,
	  "vdpa_sim_map", "vdpa_sim", 6, false, "tables of simulated devices, by address space", "" },
	{ VDPA, "vdpa_miss", "vringh.events", "ms_vdpa_miss_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_miss", "vhost_iotlb", 4, false, "addresses that vringh could not translate", "" },
	{ VDPA, "vdpa_denied", "vringh.events", "ms_vdpa_denied_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_denied", "vhost_iotlb", 4, false, "accesses that vringh was denied", "" },
	{ VDPA, "vdpa_hit", "vringh.exact", "ms_vdpa_hit_event", PROBE_TRACEPOINT,
	  "vhost_iotlb_hit", "vhost_iotlb", 4, true, "addresses that vringh translated", "" },
	{ VDPA, "vdpa_message_begin", "vhost_vdpa.fentry", "ms_vdpa_message_begin", PROBE_FENTRY,
	  "vhost_vdpa_process_iotlb_msg", VHOST_VDPA, 3, false, "messages about memory, memory pinned" },
	{ VDPA, "vdpa_message_end", "vhost_vdpa.fentry", "ms_vdpa_message_end", PROBE_FENTRY,
	  "vhost_vdpa_process_iotlb_msg", VHOST_VDPA, 3, false, "messages about memory, memory pinned" },
	{ VDPA, "vdpa_open", "vhost_vdpa.fentry", "ms_vdpa_open", PROBE_FENTRY,
	  "vhost_vdpa_open", VHOST_VDPA, 2, false, "whose a device is before its first message" },
	{ VDPA, "vdpa_close", "vhost_vdpa.fentry", "ms_vdpa_close", PROBE_FENTRY,
	  "vhost_vdpa_release", VHOST_VDPA, 2, false, "memory pinned" },
	{ VDPA, "vdpa_kick", "vhost_vdpa.fentry", "ms_vdpa_kick", PROBE_FENTRY,
	  "handle_vq_kick", VHOST_VDPA, 1, false, "kicks of queues" },
	{ VDPA, "vdpa_callback", "vhost_vdpa.fentry", "ms_vdpa_callback", PROBE_FENTRY,
	  "vhost_vdpa_virtqueue_cb", VHOST_VDPA, 1, false, "callbacks of queues" },
	{ VDPA, "vdpa_notify", "virtio_vdpa.fentry", "ms_vdpa_notify", PROBE_FENTRY,
	  "virtio_vdpa_notify", "virtio_vdpa", 1, false, "kicks of queues that the host drives" },
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

bool probe_is_idle(const struct probe *p)
{
	return p->state == PROBE_WAITING && !p->let_go && strcmp(p->module, "kvm");
}

bool probe_is_wanted(const struct probe *p)
{
	return p->state != PROBE_OFF && !probe_is_idle(p);
}

size_t probes_wanted(const struct probe *p, size_t n, size_t *attached)
{
	size_t wanted = 0;

	*attached = 0;
	for (size_t i = 0; i < n; i++) {
		wanted += probe_is_wanted(&p[i]);
		*attached += p[i].state == PROBE_ATTACHED;
	}
	return wanted;
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
