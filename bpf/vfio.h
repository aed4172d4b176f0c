/* SPDX-License-Identifier: GPL-2.0 */
/* What the objects of the source vfio share: its maps and a container's state. */
#ifndef MIGSCOPE_BPF_VFIO_H
#define MIGSCOPE_BPF_VFIO_H

#include "file.h"
#include <migscope/vfio.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VFIOS);
	__type(key, u64);
	__type(value, struct ms_vfio);
} ms_vfios SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_vfio);
} ms_vfio_zero SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VFIOS);
	__type(key, u64);
	__type(value, u64);
} ms_vfio_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_MAX_VFIO_DEAD);
	__type(key, u32);
	__type(value, u64);
} ms_vfio_dead SEC(".maps");

/*
 * Calls that are under way: thread and kind of call -> its start. An unmap may ask
 * devices to let go, who unpin on the same thread.
 */
enum ms_vfio_call {
	MS_VFIO_CALL_IOCTL,
	MS_VFIO_CALL_PIN,
	MS_VFIO_CALL_UNPIN,
	MS_VFIO_CALL_RW,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} ms_vfio_calls SEC(".maps");

/* A process id takes 22 of its 32 bits. */
static __always_inline u64 ms_vfio_call_key(enum ms_vfio_call what)
{
	return bpf_get_current_pid_tgid() | (u64)what << 60;
}

static __always_inline void ms_vfio_call_begin(enum ms_vfio_call what)
{
	u64 key = ms_vfio_call_key(what), now = bpf_ktime_get_ns();

	if (bpf_map_update_elem(&ms_vfio_calls, &key, &now, BPF_ANY))
		ms_self_add(MS_SELF_PENDING_FULL, 1);
}

/* How long it took; false if its beginning was not seen. */
static __always_inline bool ms_vfio_call_end(enum ms_vfio_call what, u64 *ns)
{
	u64 key = ms_vfio_call_key(what), *since = bpf_map_lookup_elem(&ms_vfio_calls, &key);

	if (!since) {
		ms_self_add(MS_SELF_UNMATCHED, 1);
		return false;
	}
	*ns = bpf_ktime_get_ns() - *since;
	bpf_map_delete_elem(&ms_vfio_calls, &key);
	return true;
}

static __always_inline struct ms_vfio *ms_vfio_by_id(u64 id)
{
	return bpf_map_lookup_elem(&ms_vfios, &id);
}

/* The end of the container at this address: what was counted of it is kept for a while. */
static __always_inline void ms_vfio_end(u64 iommu)
{
	u64 *found = bpf_map_lookup_elem(&ms_vfio_ids, &iommu), id, *place;
	struct ms_vfio *v;
	u32 k;

	if (!found)
		return;
	id = *found;
	bpf_map_delete_elem(&ms_vfio_ids, &iommu);
	v = ms_vfio_by_id(id);
	if (!v)
		return;
	v->pinned = 0;
	v->maps = 0;
	v->avail = v->limit;
	v->owner.died_ns = bpf_ktime_get_ns();
	k = ms_self_add(MS_SELF_VFIO_DEAD, 1) & (MS_MAX_VFIO_DEAD - 1);
	place = bpf_map_lookup_elem(&ms_vfio_dead, &k);
	if (!place)
		return;
	id = __sync_lock_test_and_set(place, id);
	if (id)
		bpf_map_delete_elem(&ms_vfios, &id);
}

static __always_inline u64 ms_vfio_new(u64 iommu, struct task_struct *task)
{
	u64 id = ms_self_add(MS_SELF_LAST_DEV_ID, 1), *winner;
	struct ms_vfio *v;
	u32 k = 0;
	void *zero = bpf_map_lookup_elem(&ms_vfio_zero, &k);

	if (!id || !zero || bpf_map_update_elem(&ms_vfios, &id, zero, BPF_NOEXIST))
		goto full;
	v = ms_vfio_by_id(id);
	if (!v)
		goto full;
	v->iommu = iommu;
	ms_owner_set(&v->owner, BPF_CORE_READ(task, mm), task);
	if (!bpf_map_update_elem(&ms_vfio_ids, &iommu, &id, BPF_NOEXIST))
		return id;
	/* two met it at the same time: the first id stays */
	bpf_map_delete_elem(&ms_vfios, &id);
	winner = bpf_map_lookup_elem(&ms_vfio_ids, &iommu);
	if (winner)
		return *winner;
full:
	ms_self_add(MS_SELF_DEVS_FULL, 1);
	return 0;
}

/* It is met again after a time in which its end was not hooked, and perhaps nothing was. */
static __always_inline void ms_vfio_again(struct ms_vfio *v)
{
	v->owner.checked_ns = bpf_ktime_get_ns();
	v->knows &= ~MS_VFIO_KNOWS_PINNED;
}

/*
 * The container whose data in type1 is at @iommu; NULL when there is no room for it, or
 * when it is seen for the first time in a thread of the kernel: whose it is shows when its
 * process does something with it.
 */
static __always_inline struct ms_vfio *ms_vfio_get(const void *iommu)
{
	struct task_struct *task = ms_current();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct ms_config *config = ms_config_get();
	u64 ends = config ? config->vfio_ends : 0;
	u64 key = (u64)iommu, *id = bpf_map_lookup_elem(&ms_vfio_ids, &key);
	struct ms_vfio *v;

	if (!iommu)
		return NULL;
	if (id) {
		v = ms_vfio_by_id(*id);
		/* its owner's end may have been told by user space */
		if (v && v->owner.died_ns)
			v = NULL;
		if (v && (!mm || ms_end_is_told(v->owner.checked_ns, ends)))
			return v;
		if (v && ms_owner_is(&v->owner, mm)) {
			if (ends)
				ms_vfio_again(v);
			return v;
		}
		/* nobody told us that the container of this address ended */
		ms_vfio_end(key);
	}
	if (!mm)
		return NULL;
	return ms_vfio_by_id(ms_vfio_new(key, task));
}

/* One call, with what it was about, of which the time is not known; did it succeed? */
static __always_inline bool ms_vfio_count_untimed(struct ms_vfio_stat *s, s64 err, u64 pages)
{
	if (err < 0) {
		__sync_fetch_and_add(&s->errors, 1);
		return false;
	}
	__sync_fetch_and_add(&s->calls, 1);
	__sync_fetch_and_add(&s->pages, pages);
	return true;
}

static __always_inline void ms_vfio_count(struct ms_vfio_stat *s, s64 err, u64 pages, u64 ns)
{
	if (ms_vfio_count_untimed(s, err, pages))
		ms_hist_add(&s->time, ns);
}

/* What the kernel's own type1 says of its state; another one has other fields. */
static __always_inline void ms_vfio_look(struct ms_vfio *v, const struct vfio_iommu *iommu)
{
	if (bpf_core_field_exists(iommu->dma_avail)) {
		v->avail = BPF_CORE_READ(iommu, dma_avail);
		v->knows |= MS_VFIO_KNOWS_AVAIL;
		if (v->limit) {
			v->maps = v->limit - v->avail;
			v->knows |= MS_VFIO_KNOWS_MAPS;
		}
	}
	if (bpf_core_field_exists(iommu->num_non_pinned_groups) &&
	    bpf_core_field_exists(iommu->dirty_page_tracking)) {
		v->opaque = BPF_CORE_READ(iommu, num_non_pinned_groups);
		v->tracking = BPF_CORE_READ(iommu, dirty_page_tracking);
		v->knows |= MS_VFIO_KNOWS_SCOPE;
	}
}

#endif
