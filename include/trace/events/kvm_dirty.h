/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What dirty tracking in KVM costs: the events that the base's kvm.h does not
 * have.  push, reset and exit of a ring stay where they are, in kvm.h.
 *
 * A contract: a field is added at the end, never changed.
 *
 * Every event says which VM it belongs to in the same two ways.  @pid is for
 * people: the creator of the VM, the same number as in the names of debugfs
 * and of the statistics files.  It is not unique (a process may own several
 * VMs, and it may end before its VM does), so @vm is what events are joined
 * by.  It is the address of struct kvm, to be taken as an opaque cookie: KVM
 * has no other identity of a VM that is there without a ring, without debugfs
 * and without growing struct kvm; and the events in kvm.h, which carry a vCPU
 * or a ring, lead a BPF program to the same address.  It is reused by later
 * VMs.  As the formatted text is meant for people, it is not shown there.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(_TRACE_KVM_DIRTY_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_DIRTY_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

#ifndef _KVM_DIRTY_LOG_OP
#define _KVM_DIRTY_LOG_OP
enum kvm_dirty_log_op {
	KVM_DIRTY_LOG_OP_GET,
	KVM_DIRTY_LOG_OP_CLEAR,
};
#endif

TRACE_DEFINE_ENUM(KVM_DIRTY_LOG_OP_GET);
TRACE_DEFINE_ENUM(KVM_DIRTY_LOG_OP_CLEAR);

/*
 * One ring was reset.  Fired once for every vCPU of a KVM_RESET_DIRTY_RINGS,
 * also if there was nothing to do.
 *
 * @entries:		taken from the ring, rejected ones among them
 * @windows:		aligned groups of 64 gfns that the others fell into
 * @mmu_calls:		calls into the MMU that they took
 * @rejected:		entries that name no page of the VM
 * @rejected_slot:	those of them whose slot does not exist (or no more)
 * @duration:		of the whole reset, without the TLB flush at its end
 * @hold_max:		longest single hold of mmu_lock
 */
TRACE_EVENT(kvm_dirty_ring_reset_done,
	TP_PROTO(struct kvm *kvm, struct kvm_dirty_ring *ring, u32 entries,
		 u32 windows, u32 mmu_calls, u32 rejected, u32 rejected_slot,
		 u64 duration, u64 hold_max),
	TP_ARGS(kvm, ring, entries, windows, mmu_calls, rejected,
		rejected_slot, duration, hold_max),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u32, vcpu_id)
		__field(u32, entries)
		__field(u32, windows)
		__field(u32, mmu_calls)
		__field(u32, rejected)
		__field(u32, rejected_slot)
		__field(u64, duration)
		__field(u64, hold_max)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)kvm;
		__entry->pid = kvm->userspace_pid;
		__entry->vcpu_id = ring->index;
		__entry->entries = entries;
		__entry->windows = windows;
		__entry->mmu_calls = mmu_calls;
		__entry->rejected = rejected;
		__entry->rejected_slot = rejected_slot;
		__entry->duration = duration;
		__entry->hold_max = hold_max;
	),

	TP_printk("pid %u vcpu %u: entries %u windows %u mmu calls %u rejected %u (no slot %u) duration %llu ns hold max %llu ns",
		  __entry->pid, __entry->vcpu_id, __entry->entries,
		  __entry->windows, __entry->mmu_calls, __entry->rejected,
		  __entry->rejected_slot, __entry->duration,
		  __entry->hold_max)
);

/*
 * The TLBs were flushed at the end of a KVM_RESET_DIRTY_RINGS: once for all
 * rings, and not if the MMU was not called for any of them.
 *
 * @duration:	of the flush, in which vCPUs that run are made to leave the guest
 */
TRACE_EVENT(kvm_dirty_ring_flush,
	TP_PROTO(struct kvm *kvm, u64 duration),
	TP_ARGS(kvm, duration),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u64, duration)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)kvm;
		__entry->pid = kvm->userspace_pid;
		__entry->duration = duration;
	),

	TP_printk("pid %u: duration %llu ns", __entry->pid, __entry->duration)
);

DECLARE_EVENT_CLASS(kvm_dirty_ring_lifecycle,
	TP_PROTO(struct kvm *kvm, struct kvm_dirty_ring *ring),
	TP_ARGS(kvm, ring),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u32, vcpu_id)
		__field(u32, size)
		__field(u32, soft_limit)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)kvm;
		__entry->pid = kvm->userspace_pid;
		__entry->vcpu_id = ring->index;
		__entry->size = ring->size;
		__entry->soft_limit = ring->soft_limit;
	),

	TP_printk("pid %u vcpu %u: size %u soft limit %u", __entry->pid,
		  __entry->vcpu_id, __entry->size, __entry->soft_limit)
);

/* Sizes are in entries. */
DEFINE_EVENT(kvm_dirty_ring_lifecycle, kvm_dirty_ring_alloc,
	TP_PROTO(struct kvm *kvm, struct kvm_dirty_ring *ring),
	TP_ARGS(kvm, ring)
);

/* The last event of a ring: its address may be another's after this one. */
DEFINE_EVENT(kvm_dirty_ring_lifecycle, kvm_dirty_ring_free,
	TP_PROTO(struct kvm *kvm, struct kvm_dirty_ring *ring),
	TP_ARGS(kvm, ring)
);

/*
 * A vCPU that left with KVM_EXIT_DIRTY_RING_FULL runs again.
 *
 * @duration:	since the first such exit of this stall
 */
TRACE_EVENT(kvm_dirty_ring_stall_over,
	TP_PROTO(struct kvm_vcpu *vcpu, u64 duration),
	TP_ARGS(vcpu, duration),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u32, vcpu_id)
		__field(u64, duration)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)vcpu->kvm;
		__entry->pid = vcpu->kvm->userspace_pid;
		__entry->vcpu_id = vcpu->vcpu_id;
		__entry->duration = duration;
	),

	TP_printk("pid %u vcpu %u: duration %llu ns", __entry->pid,
		  __entry->vcpu_id, __entry->duration)
);

/*
 * A bitmap was read, or a part of one was cleared, by user space.
 *
 * @op:		enum kvm_dirty_log_op
 * @slot:	address space in the upper half, id in the lower
 * @bytes:	of bitmap that were copied
 * @pages:	GET: pages that are reported dirty; CLEAR: pages that were
 *		dirty and are tracked again
 * @duration:	slots_lock held, TLB flush included
 */
TRACE_EVENT(kvm_dirty_log_sync,
	TP_PROTO(struct kvm *kvm, int op, u32 slot, u64 bytes, u64 pages,
		 u64 duration),
	TP_ARGS(kvm, op, slot, bytes, pages, duration),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u32, slot)
		__field(int, op)
		__field(u64, bytes)
		__field(u64, pages)
		__field(u64, duration)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)kvm;
		__entry->pid = kvm->userspace_pid;
		__entry->slot = slot;
		__entry->op = op;
		__entry->bytes = bytes;
		__entry->pages = pages;
		__entry->duration = duration;
	),

	TP_printk("pid %u slot %u:%u %s: bytes %llu pages %llu duration %llu ns",
		  __entry->pid, __entry->slot >> 16, __entry->slot & 0xffff,
		  __print_symbolic(__entry->op,
				   { KVM_DIRTY_LOG_OP_GET, "get" },
				   { KVM_DIRTY_LOG_OP_CLEAR, "clear" }),
		  __entry->bytes, __entry->pages, __entry->duration)
);

/*
 * Dirty logging of a slot was switched on or off. One that is made or deleted
 * with logging on does not switch it.
 *
 * @slot:	address space in the upper half, id in the lower
 * @pages:	size of the slot
 * @duration:	of the whole change of the slot
 */
TRACE_EVENT(kvm_dirty_log_switch,
	TP_PROTO(struct kvm *kvm, u32 slot, bool on, u64 pages, u64 duration),
	TP_ARGS(kvm, slot, on, pages, duration),

	TP_STRUCT__entry(
		__field(u64, vm)
		__field(u32, pid)
		__field(u32, slot)
		__field(u64, pages)
		__field(u64, duration)
		__field(u8, on)
	),

	TP_fast_assign(
		__entry->vm = (u64)(unsigned long)kvm;
		__entry->pid = kvm->userspace_pid;
		__entry->slot = slot;
		__entry->pages = pages;
		__entry->duration = duration;
		__entry->on = on;
	),

	TP_printk("pid %u slot %u:%u %s: pages %llu duration %llu ns",
		  __entry->pid, __entry->slot >> 16, __entry->slot & 0xffff,
		  __entry->on ? "on" : "off", __entry->pages,
		  __entry->duration)
);

#endif /* _TRACE_KVM_DIRTY_H */

/* The file is not named for its system, which is kvm, as that of kvm.h is. */
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kvm_dirty

/* This part must be outside protection */
#include <trace/define_trace.h>
