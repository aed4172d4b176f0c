/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Source dirty_ring: KVM's per-vCPU dirty rings (virt/kvm/dirty_ring.c).
 *
 * A ring's indices are free running: dirty_index counts pushes, reset_index
 * counts entries reset, both wrap at 2^32. Between two resets the fill only
 * grows, so its peak is dirty_index at a reset minus reset_index at the reset
 * before; nothing has to run when a page is pushed. What vCPUs push while a
 * reset walks their ring makes that an upper bound, capped at the ring's size;
 * where the beginning of the walk is hooked it is taken there.
 */
#ifndef MIGSCOPE_DIRTY_RING_H
#define MIGSCOPE_DIRTY_RING_H

#include <linux/types.h>
#include <migscope/hist.h>

#define MS_MAX_RINGS	16384

/*
 * Map ms_rings: address of struct kvm_dirty_ring -> this. Deleted when the
 * ring is freed, or replaced when its identity (vm, vcpu_id, entries) changed.
 */
struct ms_ring {
	__u64 vm;		/* id in ms_vms */
	__u64 entries;		/* address of the ring's entries, an opaque id */
	__u32 vcpu_id;
	__u32 seen_dirty;	/* dirty_index when an iterator or a reset looked last */
	__u32 size;		/* entries */
	__u32 soft_limit;	/* entries; a vCPU exits when its ring holds as many */
	__u32 last_dirty;	/* dirty_index at the last event we counted */
	__u32 last_reset;	/* reset_index at the last event we counted */
	__u32 used_max;		/* entries; highest fill seen */
	__u32 seq;		/* odd while a reset is being counted */
	__u64 pushes;		/* up to last_dirty */
	__u64 reset_events;	/* one per vCPU and ioctl, empty ones included */
	__u64 reset_empty;	/* events that reset nothing */
	__u64 reset_entries;
	__u64 full_exits;	/* KVM_EXIT_DIRTY_RING_FULL */
	__u64 stalls;		/* stalls that ended */
	__u64 stall_since;	/* CLOCK_MONOTONIC ns; 0: not stalled */
	__u64 stall_ns;		/* sum over ended stalls */
	__u64 stall_retry;	/* exact mode: KVM_RUN was called again, the ring was still full */
	__u64 walk_used;	/* 1 + fill when the reset that is under way began; 0: not known */
	__u64 thread;		/* bpf_get_current_pid_tgid() of its vCPU, from a full exit on; 0: not known */
	__u32 pages_reset;	/* reset_index up to which the entries' pages were looked at */
	__u32 pages_ns;		/* what that took in the reset under way */
	__u64 fill[MS_FILL_BUCKETS];	/* peak fill at each reset event */
};

_Static_assert(sizeof(struct ms_ring) == 48 + 8 * (12 + MS_FILL_BUCKETS),
	       "ms_ring is shared with BPF");

/*
 * The highest fill of the last while: one record for each span of ten seconds, the
 * oldest is written over. @span is CLOCK_MONOTONIC / MS_RECENT_NS.
 */
#define MS_RECENT_NS	10000000000ULL
#define MS_RECENT	8	/* a power of two */

struct ms_recent {
	__u32 span;
	__u32 used;		/* entries, of the ring whose fill came nearest to its soft limit */
	__u32 soft_limit;	/* entries, that ring's */
	__u32 unused;
};

/*
 * Map ms_ring_vms: vm id -> sums over the VM's rings, living and freed; of the
 * pushes only those of rings that were freed or replaced.
 */
struct ms_ring_vm {
	__u64 rings;		/* rings seen so far */
	__u64 rings_freed;
	__u64 pushes;		/* of rings that are gone */
	__u64 resets;		/* KVM_RESET_DIRTY_RINGS calls: events of the first vCPU */
	__u64 reset_events;
	__u64 reset_empty;
	__u64 reset_entries;
	__u64 full_exits;
	__u64 pushes_seen;	/* exact mode: of rings that were freed; the living are in ms_push */
	__u64 stalls_unfinished;	/* the ring was freed while its vCPU was stalled */
	__u64 fill[MS_FILL_BUCKETS];
	struct ms_time_hist stall;	/* one value per ended stall */
	struct ms_time_hist reset;	/* one value per reset event: walk of one ring */
	__u64 flushes;		/* of the TLBs: at the end of a reset that changed something */
	__u64 flush_ns;
	/* from our own events only */
	__u64 windows;		/* groups of 64 gfns that the entries reset fell into */
	__u64 mmu_calls;	/* calls into the MMU that they took */
	__u64 rejected;		/* entries that named no page of the VM */
	__u64 rejected_slot;	/* those of them whose slot did not exist */
	__u64 hold_max_ns;	/* longest hold of mmu_lock at a reset */
	__u32 used_max;		/* entries, of the ring whose fill came nearest to its soft limit */
	__u32 used_max_soft_limit;	/* entries, that ring's */
	__u32 size;		/* entries, of the last ring seen */
	__u32 soft_limit;
	struct ms_recent recent[MS_RECENT];
};

_Static_assert(sizeof(struct ms_ring_vm) ==
	       8 * (17 + MS_FILL_BUCKETS) + 2 * sizeof(struct ms_time_hist) + 16 +
	       MS_RECENT * 16,
	       "ms_ring_vm is shared with BPF");

/*
 * Is @used of @limit entries as full as @other of @other_limit, or fuller? Rings of
 * one VM may differ in size. No limit at all is emptier than anything.
 */
static inline _Bool ms_ring_fuller(__u32 used, __u32 limit, __u32 other, __u32 other_limit)
{
	return limit && (__u64)used * other_limit >= (__u64)other * limit;
}

/* Keeps the fill of the ring that came nearest to its soft limit, in *@max of *@max_limit. */
static inline void ms_ring_keep(__u32 *max, __u32 *max_limit, __u32 used, __u32 soft_limit)
{
	if (!ms_ring_fuller(used, soft_limit, *max, *max_limit))
		return;
	*max = used;
	*max_limit = soft_limit;
}

static inline void ms_ring_vm_peak(struct ms_ring_vm *v, __u32 used, __u32 soft_limit)
{
	ms_ring_keep(&v->used_max, &v->used_max_soft_limit, used, soft_limit);
}

/* What all resets took: their walks and, where it is known, the flushes behind them. */
static inline __u64 ms_ring_reset_ns(const struct ms_ring_vm *v)
{
	return v->reset.sum_ns + v->flush_ns;
}

/*
 * What the iterators dirty_ring_files and dirty_ring_rings write, one record
 * for each ring: its state and the indices at this moment.
 */
struct ms_ring_now {
	__u64 ring;		/* key in ms_rings */
	__u32 dirty_index;
	__u32 reset_index;
	struct ms_ring state;
};

/*
 * Exact mode, ms_push: a direct-mapped table, found by the address of the ring with a
 * few probes. It is a global array, not a map to look things up in: the lookup would
 * cost more than what is done with what it finds.
 *
 * A push that finds the ring as the push before has left it goes on with a run: one
 * entry more, one push more. All others (the first after a reset, say) end the run,
 * which is added to @pushes then.
 */
#define MS_PUSH_BITS	14
#define MS_PUSH_SLOTS	(1 << MS_PUSH_BITS)
#define MS_PUSH_PROBES	8

/* Of ms_push.ring: what is no address. */
#define MS_PUSH_FREE	0
#define MS_PUSH_LEFT	1	/* may be taken, but others may stand behind it */
#define MS_PUSH_TAKEN	2	/* is being filled in */

struct ms_push {
	__u32 next;		/* entries in the ring after the next push of this run */
	__u32 run;		/* entries in the ring before the first push of this run */
	__u64 ring;		/* address of struct kvm_dirty_ring, or one of the above */
	__u64 pushes;		/* of the runs that ended */
	__u32 used_max;		/* highest fill seen in the runs that ended */
	__u32 vm;		/* id in ms_vms */
};

_Static_assert(sizeof(struct ms_push) == 32, "ms_push is shared with BPF");

/* Pushes seen since we attached, or since the ring was made. */
static inline __u64 ms_push_count(const struct ms_push *p)
{
	return p->pushes + (__u32)(p->next - 1 - p->run);
}

/* Highest fill seen at a push; the last push of a run sees the run's. */
static inline __u32 ms_push_used_max(const struct ms_push *p)
{
	return p->next && p->next - 1 > p->used_max ? p->next - 1 : p->used_max;
}

#endif
