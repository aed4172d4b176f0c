/* SPDX-License-Identifier: GPL-2.0 */
/* What the objects of the source dirty_ring share: its maps and a ring's state. */
#ifndef MIGSCOPE_BPF_DIRTY_RING_H
#define MIGSCOPE_BPF_DIRTY_RING_H

#include "threads.h"
#include <migscope/dirty_ring.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_RINGS);
	__type(key, u64);
	__type(value, struct ms_ring);
} ms_rings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VMS);
	__type(key, u64);
	__type(value, struct ms_ring_vm);
} ms_ring_vms SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_ring_vm);
} ms_ring_vm_zero SEC(".maps");

/* struct kvm_dirty_ring is embedded in the vCPU it belongs to. */
static __always_inline struct kvm_vcpu *ms_ring_vcpu(struct kvm_dirty_ring *ring)
{
	return (void *)ring - bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
}

static __always_inline struct ms_ring_vm *ms_ring_vm(u64 vm)
{
	return vm ? ms_state_of(&ms_ring_vms, vm, &ms_ring_vm_zero) : NULL;
}

/*
 * Resets of one ring exclude each other by slots_lock. A reader sees a number
 * that is odd, or that changed, when one was being counted.
 */
static __always_inline void ms_ring_write(struct ms_ring *r)
{
	__sync_fetch_and_add(&r->seq, 1);
}

/* What a ring that is gone has pushed goes to its VM. */
static __always_inline void ms_ring_close(struct ms_ring_vm *v, u64 pushes, bool stalled)
{
	if (!v)
		return;
	__sync_fetch_and_add(&v->pushes, pushes);
	__sync_fetch_and_add(&v->rings_freed, 1);
	if (stalled) {
		__sync_fetch_and_add(&v->stalls_unfinished, 1);
		ms_self_add(MS_SELF_STALLED, -1);
	}
}

/* Two that meet in a span's first moment may lose one's peak: the next reset shows it again. */
static __always_inline void ms_ring_recent(struct ms_ring_vm *v, u32 used, u32 soft_limit)
{
	u32 span = bpf_ktime_get_ns() / MS_RECENT_NS;
	struct ms_recent *r = &v->recent[span & (MS_RECENT - 1)];

	if (r->span != span) {
		r->used = 0;
		r->soft_limit = 0;
		r->span = span;
	}
	ms_ring_keep(&r->used, &r->soft_limit, used, soft_limit);
}

static __always_inline void ms_ring_peak(struct ms_ring *r, struct ms_ring_vm *v, u32 used)
{
	if (used > r->used_max)
		r->used_max = used;
	if (!v)
		return;
	v->size = r->size;
	v->soft_limit = r->soft_limit;
	ms_ring_vm_peak(v, used, r->soft_limit);
	ms_ring_recent(v, used, r->soft_limit);
}

/* An exit again without a reset between is the same stall. */
static __always_inline void ms_stall_begin(struct ms_ring *r)
{
	if (!__sync_val_compare_and_swap(&r->stall_since, 0, bpf_ktime_get_ns()))
		ms_self_add(MS_SELF_STALLED, 1);
}

/* The stall of @r, if it is in one, ends now. */
static __always_inline void ms_stall_end(struct ms_ring *r, struct ms_ring_vm *v)
{
	u64 since = __sync_lock_test_and_set(&r->stall_since, 0);
	u64 now = bpf_ktime_get_ns(), ns;

	if (!since)
		return;
	ms_self_add(MS_SELF_STALLED, -1);
	ns = now > since ? now - since : 0;
	__sync_fetch_and_add(&r->stalls, 1);
	__sync_fetch_and_add(&r->stall_ns, ns);
	ms_thread_waited(r->thread, r->vm, MS_WAIT_STALL, ns);
	if (v)
		ms_hist_add(&v->stall, ns);
}

/* A reset of @r, which belongs to @v, took @ns; not what it took us to look at its pages. */
static __always_inline void ms_ring_walked(struct ms_ring *r, struct ms_ring_vm *v, u64 ns)
{
	u64 ours = __sync_lock_test_and_set(&r->pages_ns, 0);

	ns = ns > ours ? ns - ours : 0;
	ms_hist_add(&v->reset, ns);
	ms_thread_waited(bpf_get_current_pid_tgid(), r->vm, MS_WAIT_RESET, ns);
}

/* The TLBs of VM @vm, which has @v, were flushed behind its walks; not under slots_lock in the base. */
static __always_inline void ms_ring_flushed(struct ms_ring_vm *v, u64 vm, u64 ns)
{
	__sync_fetch_and_add(&v->flushes, 1);
	__sync_fetch_and_add(&v->flush_ns, ns);
	ms_thread_took(bpf_get_current_pid_tgid(), vm, MS_WAIT_RESET, ns);
}

/*
 * Records a ring that is not in the map. @new: it came after us, so everything it
 * holds was pushed under our eyes; otherwise we begin with what the indices say now.
 */
static __always_inline struct ms_ring *ms_ring_add(struct kvm_dirty_ring *ring, bool new)
{
	struct kvm_vcpu *vcpu = ms_ring_vcpu(ring);
	u32 reset, dirty;
	struct ms_ring r = {};
	struct ms_ring_vm *v;
	u64 key = (u64)ring;

	r.vm = ms_vm_id(BPF_CORE_READ(vcpu, kvm));
	r.entries = (u64)BPF_CORE_READ(ring, dirty_gfns);
	r.vcpu_id = BPF_CORE_READ(vcpu, vcpu_id);
	r.size = BPF_CORE_READ(ring, size);
	r.soft_limit = BPF_CORE_READ(ring, soft_limit);
	reset = BPF_CORE_READ(ring, reset_index);
	dirty = BPF_CORE_READ(ring, dirty_index);
	/* a ring that has been round more than once had resets that we did not see */
	if (!new || dirty > 2 * r.size) {
		r.last_reset = reset;
		r.last_dirty = dirty;
		r.used_max = dirty - reset;
		r.pages_reset = reset;
	}
	r.seen_dirty = dirty;
	/* the vCPU, who resets and a reader may meet it at the same time: the first counts it */
	if (!bpf_map_update_elem(&ms_rings, &key, &r, BPF_NOEXIST)) {
		v = ms_ring_vm(r.vm);
		if (v) {
			ms_self_add(MS_SELF_RING_CHANGES, 1);
			__sync_fetch_and_add(&v->rings, 1);
			ms_self_add(MS_SELF_RING_CHANGED, 1);
			ms_ring_peak(&r, v, r.used_max);
		}
		return bpf_map_lookup_elem(&ms_rings, &key);
	}
	if (!bpf_map_lookup_elem(&ms_rings, &key))
		ms_self_add(MS_SELF_RINGS_FULL, 1);
	return bpf_map_lookup_elem(&ms_rings, &key);
}

/* Forgets a ring that is gone, whose last index known is @dirty. */
static __always_inline void ms_ring_drop(u64 key, struct ms_ring *r, u32 dirty)
{
	struct ms_ring_vm *v = ms_ring_vm(r->vm);
	/* not a copy of all of it: exact mode's stack has no room for two rings */
	u64 pushes = r->pushes + (dirty - r->last_dirty);
	bool stalled = r->stall_since;

	ms_self_add(MS_SELF_RING_CHANGES, 1);
	/* of two who find it gone, one counts it */
	if (!bpf_map_delete_elem(&ms_rings, &key))
		ms_ring_close(v, pushes, stalled);
	ms_self_add(MS_SELF_RING_CHANGED, 1);
}

/* A ring is born: what was at its address is gone. */
static __always_inline void ms_ring_begin(struct kvm_dirty_ring *ring)
{
	u64 key = (u64)ring;
	struct ms_ring *r = bpf_map_lookup_elem(&ms_rings, &key);

	if (r)
		ms_ring_drop(key, r, r->seen_dirty);
	ms_ring_add(ring, true);
}

/* The end of a ring; every vCPU passes here, those without a ring as well. */
static __always_inline void ms_ring_end(struct kvm_dirty_ring *ring)
{
	u64 key = (u64)ring;
	struct ms_ring *r = bpf_map_lookup_elem(&ms_rings, &key);
	u32 dirty;

	if (!r)
		return;
	dirty = BPF_CORE_READ(ring, dirty_index);
	ms_ring_peak(r, ms_ring_vm(r->vm), dirty - r->last_reset);
	ms_ring_drop(key, r, dirty);
}

/*
 * The state of a ring that is alive; NULL when there is no room for it. *@old is
 * set when it is recorded just now and ran before us.
 *
 * Where birth and death are watched the address alone would do. Where they are
 * not, a ring at a known address is the known one only if its VM, its vCPU and
 * its entries are the same and its index did not go back.
 */
static __always_inline struct ms_ring *ms_ring_get(struct kvm_dirty_ring *ring, bool *old)
{
	struct kvm_vcpu *vcpu = ms_ring_vcpu(ring);
	struct ms_config *config = ms_config_get();
	u64 key = (u64)ring, entries = (u64)BPF_CORE_READ(ring, dirty_gfns);
	struct ms_ring *r = bpf_map_lookup_elem(&ms_rings, &key);
	bool new = config && config->seeded;

	*old = false;
	if (r) {
		if (r->entries == entries && r->vcpu_id == BPF_CORE_READ(vcpu, vcpu_id) &&
		    r->vm == ms_vm_id(BPF_CORE_READ(vcpu, kvm)) &&
		    (s32)(BPF_CORE_READ(ring, dirty_index) - r->last_dirty) >= 0)
			return r;
		/* nobody saw it end: what it pushed after we looked last went with it */
		ms_ring_drop(key, r, r->seen_dirty);
		new = true;
	}
	/* every ring that ran before us was recorded when we started, if it could be seen */
	*old = !new;
	return ms_ring_add(ring, new);
}

#endif
