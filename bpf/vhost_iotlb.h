/* SPDX-License-Identifier: GPL-2.0 */
/* What the objects of the source vhost_iotlb share: its maps and a device's state. */
#ifndef MIGSCOPE_BPF_VHOST_IOTLB_H
#define MIGSCOPE_BPF_VHOST_IOTLB_H

#include "file.h"
#include <migscope/vhost_iotlb.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_IOTLB_DEVS);
	__type(key, u64);
	__type(value, struct ms_iotlb_dev);
} ms_iotlb_devs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ms_iotlb_dev);
} ms_iotlb_zero SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MS_MAX_IOTLB_DEVS);
	__type(key, u64);
	__type(value, u64);
} ms_iotlb_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MS_MAX_IOTLB_DEAD);
	__type(key, u32);
	__type(value, u64);
} ms_iotlb_dead SEC(".maps");

enum ms_iotlb_op {
	MS_IOTLB_NOTHING,
	MS_IOTLB_UPDATE,
	MS_IOTLB_INVALIDATE,
};

/* A message that a thread is writing. */
struct ms_iotlb_msg {
	u64 id;			/* of the device */
	u64 table;		/* address of its struct vhost_iotlb */
	u32 op;
	u32 before;		/* maps in the table when the update began */
	s64 err;		/* what the table said; 0: nothing */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);	/* bpf_get_current_pid_tgid() */
	__type(value, struct ms_iotlb_msg);
} ms_iotlb_msgs SEC(".maps");

static __always_inline struct ms_iotlb_msg *ms_iotlb_msg(void)
{
	u64 tid = bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&ms_iotlb_msgs, &tid);
}

/* The message under way on this thread, if it is about @table. */
static __always_inline struct ms_iotlb_msg *ms_iotlb_msg_for(const struct vhost_iotlb *table)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg();

	return msg && msg->table == (u64)table ? msg : NULL;
}

static __always_inline struct ms_iotlb_dev *ms_iotlb_by_id(u64 id)
{
	return bpf_map_lookup_elem(&ms_iotlb_devs, &id);
}

/* Waits that nobody will answer any more. */
static __always_inline void ms_iotlb_cut(struct ms_iotlb_dev *v)
{
	for (u32 i = 0; i < MS_IOTLB_WAITS; i++)
		if (v->wait[i].since_ns && __sync_lock_test_and_set(&v->wait[i].since_ns, 0) > 1)
			__sync_fetch_and_add(&v->waits_cut, 1);
}

/* The end of the device at this address: what was counted of it is kept for a while. */
static __always_inline void ms_iotlb_end(u64 dev)
{
	u64 *found = bpf_map_lookup_elem(&ms_iotlb_ids, &dev), id, *place;
	struct ms_iotlb_dev *v;
	u32 k;

	if (!found)
		return;
	id = *found;
	bpf_map_delete_elem(&ms_iotlb_ids, &dev);
	v = ms_iotlb_by_id(id);
	if (!v)
		return;
	ms_iotlb_cut(v);
	v->entries = 0;
	v->owner.died_ns = bpf_ktime_get_ns();
	k = ms_self_add(MS_SELF_IOTLB_DEAD, 1) & (MS_MAX_IOTLB_DEAD - 1);
	place = bpf_map_lookup_elem(&ms_iotlb_dead, &k);
	if (!place)
		return;
	id = __sync_lock_test_and_set(place, id);
	if (id)
		bpf_map_delete_elem(&ms_iotlb_devs, &id);
}

static __always_inline u64 ms_iotlb_new(struct vhost_dev *dev, struct task_struct *task)
{
	u64 key = (u64)dev, id = ms_self_add(MS_SELF_LAST_DEV_ID, 1), *winner;
	struct ms_iotlb_dev *v;
	u32 k = 0;
	void *zero = bpf_map_lookup_elem(&ms_iotlb_zero, &k);

	if (!id || !zero || bpf_map_update_elem(&ms_iotlb_devs, &id, zero, BPF_NOEXIST))
		goto full;
	v = ms_iotlb_by_id(id);
	if (!v)
		goto full;
	v->dev = key;
	ms_owner_set(&v->owner, BPF_CORE_READ(dev, mm), task);
	if (!bpf_map_update_elem(&ms_iotlb_ids, &key, &id, BPF_NOEXIST))
		return id;
	/* two queues met it at the same time: the first id stays */
	bpf_map_delete_elem(&ms_iotlb_devs, &id);
	winner = bpf_map_lookup_elem(&ms_iotlb_ids, &key);
	if (winner)
		return *winner;
full:
	ms_self_add(MS_SELF_DEVS_FULL, 1);
	return 0;
}

/*
 * The id of @dev, which is alive; 0 when there is no room for it. @task works for it: a
 * worker of vhost is a thread of the process that it works for.
 */
static __always_inline u64 ms_iotlb_id_for(struct vhost_dev *dev, struct task_struct *task)
{
	struct ms_config *config = ms_config_get();
	u64 ends = config ? config->iotlb_ends : 0;
	u64 key = (u64)dev, *id = bpf_map_lookup_elem(&ms_iotlb_ids, &key);
	struct ms_iotlb_dev *v;

	if (id) {
		/* while nobody told us of ends it may have been forgotten, and the id with it */
		v = ms_iotlb_by_id(*id);
		/* so it was, by user space, if its owner is gone */
		if (v && v->owner.died_ns)
			v = NULL;
		if (v && ms_end_is_told(v->owner.checked_ns, ends))
			return *id;
		if (v && ms_owner_is(&v->owner, BPF_CORE_READ(dev, mm))) {
			if (ends) {
				v->owner.checked_ns = bpf_ktime_get_ns();
				/* answered or not, nobody saw it */
				ms_iotlb_cut(v);
			}
			return *id;
		}
		/* nobody told us that the device of this address ended */
		ms_iotlb_end(key);
	}
	return ms_iotlb_new(dev, task);
}

static __always_inline u64 ms_iotlb_id(struct vhost_dev *dev)
{
	return ms_iotlb_id_for(dev, ms_current());
}

/* How full its table is, at a moment when nobody else changes it. */
static __always_inline void ms_iotlb_look(struct ms_iotlb_dev *v, const struct vhost_iotlb *table)
{
	v->entries = BPF_CORE_READ(table, nmaps);
	v->limit = BPF_CORE_READ(table, limit);
}

/* Exact mode asks whether this is why an access is not allowed. */
static __always_inline void ms_iotlb_miss_of_call(void)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_call *call = bpf_map_lookup_elem(&ms_calls, &tid);

	if (call && call->op == MS_CALL_IOTLB_ACCESS)
		call->op = MS_CALL_IOTLB_MISSED;
}

/* An address was missed; the queues of a device may do so at the same time. */
static __always_inline void ms_iotlb_missed(struct ms_iotlb_dev *v, u64 iova)
{
	u64 now = bpf_ktime_get_ns();
	u32 i;

	__sync_fetch_and_add(&v->misses, 1);
	for (i = 0; i < MS_IOTLB_WAITS; i++)
		if (v->wait[i].since_ns > 1 && v->wait[i].iova == iova) {
			__sync_fetch_and_add(&v->misses_again, 1);
			return;
		}
	for (i = 0; i < MS_IOTLB_WAITS; i++) {
		struct ms_iotlb_wait *w = &v->wait[i];

		if (w->since_ns || __sync_val_compare_and_swap(&w->since_ns, 0, 1))
			continue;
		w->iova = iova;
		__sync_lock_test_and_set(&w->since_ns, now);
		return;
	}
	__sync_fetch_and_add(&v->waits_full, 1);
}

/* A map was added: whoever waits for an address inside it waits no longer. */
static __always_inline void ms_iotlb_added(struct ms_iotlb_dev *v, u64 start, u64 last)
{
	struct ms_config *config = ms_config_get();
	u64 now = bpf_ktime_get_ns(), since;
	u32 i;

	if (config && config->iotlb_wakes)
		return;
	for (i = 0; i < MS_IOTLB_WAITS; i++) {
		struct ms_iotlb_wait *w = &v->wait[i];

		if (w->since_ns <= 1 || w->iova < start || w->iova > last)
			continue;
		since = __sync_lock_test_and_set(&w->since_ns, 0);
		if (since > 1)
			ms_hist_add(&v->service, now > since ? now - since : 0);
	}
}

/* The same by vhost itself, which says how long it was; queues wait each by itself. */
static __always_inline void ms_iotlb_woken(struct ms_iotlb_dev *v, u64 iova, u64 waited)
{
	for (u32 i = 0; i < MS_IOTLB_WAITS; i++) {
		struct ms_iotlb_wait *w = &v->wait[i];

		if (w->since_ns <= 1 || w->iova != iova)
			continue;
		if (__sync_lock_test_and_set(&w->since_ns, 0) > 1)
			ms_hist_add(&v->service, waited);
	}
}

/* Nobody waits for this address any more: vhost made room for another miss of the queue. */
static __always_inline void ms_iotlb_dropped(struct ms_iotlb_dev *v, u64 iova)
{
	for (u32 i = 0; i < MS_IOTLB_WAITS; i++) {
		struct ms_iotlb_wait *w = &v->wait[i];

		if (w->since_ns > 1 && w->iova == iova && __sync_lock_test_and_set(&w->since_ns, 0) > 1)
			__sync_fetch_and_add(&v->waits_cut, 1);
	}
}

#endif
