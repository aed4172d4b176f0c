/* SPDX-License-Identifier: GPL-2.0 */
/* What the objects of the source vdpa share: its maps and a device's state. */
#ifndef MIGSCOPE_BPF_VDPA_H
#define MIGSCOPE_BPF_VDPA_H

#include "file.h"
#include <migscope/vdpa.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VDPAS);
	__type(key, u64);
	__type(value, struct ms_vdpa);
} ms_vdpas SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_vdpa);
} ms_vdpa_zero SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VDPAS);
	__type(key, u64);
	__type(value, u64);
} ms_vdpa_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_MAX_VDPA_DEAD);
	__type(key, u32);
	__type(value, u64);
} ms_vdpa_dead SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_VDPAS * MS_VDPA_SPACES);
	__type(key, u64);
	__type(value, struct ms_vdpa_table);
} ms_vdpa_tables SEC(".maps");

/* Calls that are under way: thread and kind of call -> its start. A message may set status. */
enum ms_vdpa_call {
	MS_VDPA_CALL_MESSAGE,
	MS_VDPA_CALL_STATUS,
	MS_VDPA_CALL_CONFIG,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u64);
} ms_vdpa_calls SEC(".maps");

/* A process id takes 22 of its 32 bits. */
static __always_inline u64 ms_vdpa_call_key(enum ms_vdpa_call what)
{
	return bpf_get_current_pid_tgid() | (u64)what << 60;
}

static __always_inline void ms_vdpa_call_begin(enum ms_vdpa_call what)
{
	u64 key = ms_vdpa_call_key(what), now = bpf_ktime_get_ns();

	if (bpf_map_update_elem(&ms_vdpa_calls, &key, &now, BPF_ANY))
		ms_self_add(MS_SELF_PENDING_FULL, 1);
}

static __always_inline bool ms_vdpa_call_end(enum ms_vdpa_call what, u64 *ns)
{
	u64 key = ms_vdpa_call_key(what), *since = bpf_map_lookup_elem(&ms_vdpa_calls, &key);

	if (!since) {
		ms_self_add(MS_SELF_UNMATCHED, 1);
		return false;
	}
	*ns = bpf_ktime_get_ns() - *since;
	bpf_map_delete_elem(&ms_vdpa_calls, &key);
	return true;
}

static __always_inline struct ms_vdpa *ms_vdpa_by_id(u64 id)
{
	return bpf_map_lookup_elem(&ms_vdpas, &id);
}

/*
 * A record of the device that nothing leads to yet; NULL: there is no room for it.
 * @vdev: NULL for what stands for the tables of nobody that we know
 */
static __always_inline struct ms_vdpa *ms_vdpa_make(const struct vdpa_device *vdev, u64 *made)
{
	u64 id = ms_self_add(MS_SELF_LAST_DEV_ID, 1);
	struct ms_vdpa *v;
	u32 k = 0;
	void *zero = bpf_map_lookup_elem(&ms_vdpa_zero, &k);

	*made = id;
	if (!id || !zero || bpf_map_update_elem(&ms_vdpas, &id, zero, BPF_NOEXIST))
		return NULL;
	v = ms_vdpa_by_id(id);
	if (!v)
		return NULL;
	v->vdev = (u64)vdev;
	v->owner.seen_ns = bpf_ktime_get_ns();
	if (vdev) {
		v->number = BPF_CORE_READ(vdev, index);
		bpf_probe_read_kernel_str(v->name, MS_FILE_LEN, BPF_CORE_READ(vdev, dev.kobj.name));
	} else {
		__builtin_memcpy(v->name, "vringh", sizeof("vringh"));
		v->space[0].table = ~0ULL;
		v->space[0].own = 1;
	}
	return v;
}

static __always_inline u64 ms_vdpa_new(const struct vdpa_device *vdev)
{
	u64 key = (u64)vdev, id, *winner;

	if (!ms_vdpa_make(vdev, &id))
		goto full;
	if (!bpf_map_update_elem(&ms_vdpa_ids, &key, &id, BPF_NOEXIST))
		return id;
	/* two met it at the same time: the first id stays */
	bpf_map_delete_elem(&ms_vdpas, &id);
	winner = bpf_map_lookup_elem(&ms_vdpa_ids, &key);
	if (winner)
		return *winner;
full:
	ms_self_add(MS_SELF_DEVS_FULL, 1);
	return 0;
}

/* Of the record @id nothing more will be heard: it is kept for a while. */
static __always_inline void ms_vdpa_bury(u64 id, struct ms_vdpa *v)
{
	u64 *place;
	u32 k;

	v->owner.died_ns = bpf_ktime_get_ns();
	k = ms_self_add(MS_SELF_VDPA_DEAD, 1) & (MS_MAX_VDPA_DEAD - 1);
	place = bpf_map_lookup_elem(&ms_vdpa_dead, &k);
	if (!place)
		return;
	id = __sync_lock_test_and_set(place, id);
	if (id)
		bpf_map_delete_elem(&ms_vdpas, &id);
}

static __always_inline void ms_vdpa_end(u64 vdev)
{
	u64 *found = bpf_map_lookup_elem(&ms_vdpa_ids, &vdev), id;
	struct ms_vdpa *v;

	if (!found)
		return;
	id = *found;
	bpf_map_delete_elem(&ms_vdpa_ids, &vdev);
	v = ms_vdpa_by_id(id);
	if (!v)
		return;
	for (u32 i = 0; i < MS_VDPA_SPACES; i++) {
		u64 table = v->space[i].table;

		if (table)
			bpf_map_delete_elem(&ms_vdpa_tables, &table);
		v->space[i].entries = 0;
	}
	v->pinned_pages = 0;
	ms_vdpa_bury(id, v);
}

/*
 * The device, which is alive. Its number on the bus tells it from an earlier one at the
 * same address, whose end nobody saw; a number is given again, too, but seldom both.
 */
static __always_inline struct ms_vdpa *ms_vdpa_get(const struct vdpa_device *vdev)
{
	u64 key = (u64)vdev, *id;
	struct ms_vdpa *v;

	if (!vdev)
		return NULL;
	id = bpf_map_lookup_elem(&ms_vdpa_ids, &key);
	if (id) {
		v = ms_vdpa_by_id(*id);
		if (v && !v->owner.died_ns && v->number == BPF_CORE_READ(vdev, index))
			return v;
		ms_vdpa_end(key);
	}
	return ms_vdpa_by_id(ms_vdpa_new(vdev));
}

/* How full the table of address space @asid is. */
static __always_inline void ms_vdpa_space_holds(struct ms_vdpa *v, u32 asid,
						const struct vhost_iotlb *table)
{
	if (asid >= MS_VDPA_SPACES)
		return;
	v->space[asid].table = (u64)table;
	v->space[asid].entries = BPF_CORE_READ(table, nmaps);
	v->space[asid].limit = BPF_CORE_READ(table, limit);
}

/* The same as vhost_vdpa keeps it: of use where the device does not say what it has. */
static __always_inline void ms_vdpa_space_told(struct ms_vdpa *v, u32 asid,
					       const struct vhost_iotlb *table)
{
	/* the verifier is to see this very value compared */
	barrier_var(asid);
	if (table && asid < MS_VDPA_SPACES && !v->space[asid].own)
		ms_vdpa_space_holds(v, asid, table);
}

/* The device translates address space @asid by @table. */
static __always_inline void ms_vdpa_space_own(const struct vdpa_device *vdev, u32 asid,
					      const struct vhost_iotlb *table)
{
	struct ms_vdpa *v = ms_vdpa_get(vdev);
	u64 key = (u64)vdev, at = (u64)table, *id = bpf_map_lookup_elem(&ms_vdpa_ids, &key);
	struct ms_vdpa_table whose = { .space = asid };

	if (!v || !id || !table || asid >= MS_VDPA_SPACES)
		return;
	whose.id = *id;
	if (v->space[asid].table != at || !v->space[asid].own) {
		if (bpf_map_update_elem(&ms_vdpa_tables, &at, &whose, BPF_ANY)) {
			ms_self_add(MS_SELF_DEVS_FULL, 1);
			return;
		}
		v->space[asid].own = 1;
	}
	ms_vdpa_space_holds(v, asid, table);
}

/* Whose @table is, and which of its; if no device has said so, all such tables are one's. */
static __always_inline struct ms_vdpa *ms_vdpa_of_table(const struct vhost_iotlb *table, u32 *space)
{
	u64 key = (u64)table, nobody = 0, *id;
	struct ms_vdpa_table *whose = bpf_map_lookup_elem(&ms_vdpa_tables, &key);
	struct ms_vdpa *v = whose ? ms_vdpa_by_id(whose->id) : NULL;

	*space = v ? whose->space : 0;
	if (v)
		return v;
	id = bpf_map_lookup_elem(&ms_vdpa_ids, &nobody);
	return ms_vdpa_by_id(id ? *id : ms_vdpa_new(NULL));
}

/* Was anything done with it for which whoever comes next is not to be held? */
static __always_inline bool ms_vdpa_is_used(const struct ms_vdpa *v)
{
	return v->owner.tgid || v->kicks || v->callbacks;
}

/*
 * The device goes to another process: a record of its own. The tables that the device
 * translates by stay what they are. NULL: there is no room for it.
 */
static __always_inline struct ms_vdpa *ms_vdpa_next(const struct vdpa_device *vdev, struct ms_vdpa *old)
{
	u64 key = (u64)vdev, *found = bpf_map_lookup_elem(&ms_vdpa_ids, &key), was, id;
	struct ms_vdpa *v;

	if (!found)
		return NULL;
	was = *found;
	v = ms_vdpa_make(vdev, &id);
	if (!v) {
		ms_self_add(MS_SELF_DEVS_FULL, 1);
		return NULL;
	}
	/* it went just now */
	if (bpf_map_update_elem(&ms_vdpa_ids, &key, &id, BPF_EXIST)) {
		bpf_map_delete_elem(&ms_vdpas, &id);
		return NULL;
	}
	for (u32 i = 0; i < MS_VDPA_SPACES; i++) {
		struct ms_vdpa_space *s = &v->space[i];
		struct ms_vdpa_table whose = { .id = id, .space = i };
		u64 table = old->space[i].table;

		s->table = table;
		s->entries = old->space[i].entries;
		s->limit = old->space[i].limit;
		s->own = old->space[i].own;
		if (s->own)
			bpf_map_update_elem(&ms_vdpa_tables, &table, &whose, BPF_ANY);
		old->space[i].entries = 0;
	}
	v->pinned_pages = old->pinned_pages;
	v->pinned_limit = old->pinned_limit;
	v->knows_pinned = old->knows_pinned;
	old->pinned_pages = 0;
	ms_vdpa_bury(was, old);
	return v;
}

/*
 * The device of which the process that has it open does something: the first thing makes it
 * the owner. NULL: there is no room for it.
 */
static __always_inline struct ms_vdpa *ms_vdpa_owned(const struct vdpa_device *vdev)
{
	struct task_struct *task = ms_current();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct ms_vdpa *v = ms_vdpa_get(vdev);
	u64 seen;

	if (!v || !mm || ms_owner_is(&v->owner, mm))
		return v;
	if (ms_vdpa_is_used(v)) {
		v = ms_vdpa_next(vdev, v);
		if (!v)
			return NULL;
	}
	seen = v->owner.seen_ns;
	ms_owner_set(&v->owner, mm, task);
	v->owner.seen_ns = seen;
	return v;
}

/* Somebody opened it, or the last one closed it: none of it is pinned for him. */
static __always_inline void ms_vdpa_unpinned(struct ms_vdpa *v)
{
	v->pinned_pages = 0;
	v->knows_pinned = 1;
}

static __always_inline void ms_vdpa_count(struct ms_vdpa_stat *s, s64 err, u64 ns)
{
	if (err < 0) {
		__sync_fetch_and_add(&s->errors, 1);
		return;
	}
	__sync_fetch_and_add(&s->calls, 1);
	ms_hist_add(&s->time, ns);
}

/* A message of the process, by its type in the user API. */
static __always_inline void ms_vdpa_message(struct ms_vdpa *v, u8 type, s64 err, u64 ns)
{
	u32 e;

	if (type == VHOST_IOTLB_UPDATE)
		ms_vdpa_count(&v->op[MS_VDPA_update], err, ns);
	else if (type == VHOST_IOTLB_INVALIDATE)
		ms_vdpa_count(&v->op[MS_VDPA_invalidate], err, ns);
	else if (type == VHOST_IOTLB_BATCH_BEGIN)
		ms_vdpa_count(&v->op[MS_VDPA_batch_begin], err, ns);
	else if (type == VHOST_IOTLB_BATCH_END)
		ms_vdpa_count(&v->op[MS_VDPA_batch_end], err, ns);
	if (err >= 0)
		return;
	e = ms_errno(err);
	if (e < MS_ERRNO_COUNT)
		__sync_fetch_and_add(&v->errors[e], 1);
}

#endif
