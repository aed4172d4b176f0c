/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A window: what a lookup in a table of translations found, kept so that the next
 * address in the same map needs no lookup.
 *
 * A table is known by its address and by a count of its changes. The counts are not
 * in the tables, which other modules lay out, but in an array of ours; tables that share
 * one merely invalidate each other's windows. A count is never set back: a table
 * that takes the place of another in memory does not take over its windows.
 *
 * Windows are used under whatever serialises lookups against changes of the table, and
 * nobody else may write to the window meanwhile.
 */
#ifndef _VHOST_IOTLB_WINDOW_H
#define _VHOST_IOTLB_WINDOW_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/vhost_iotlb.h>

#define VHOST_IOTLB_CHANGES	64

struct vhost_iotlb_changes {
	atomic64_t count;
} ____cacheline_aligned_in_smp;

extern struct vhost_iotlb_changes vhost_iotlb_changes[VHOST_IOTLB_CHANGES];

/* Cheap, since every change counts. Tables that share one undo each other's windows, no more. */
static inline atomic64_t *vhost_iotlb_changes_of(const struct vhost_iotlb *table)
{
	return &vhost_iotlb_changes[(uintptr_t)table / 64 % VHOST_IOTLB_CHANGES].count;
}

/* @span is the last address less the first; @addr is what the first translates to. */
struct vhost_iotlb_window {
	const struct vhost_iotlb *table;
	const atomic64_t *changes;
	s64 seen;
	u64 start;
	u64 span;
	u64 addr;
	u32 perm;
};

/* Is @iova in the window, and the @more bytes after it? */
static __always_inline bool vhost_iotlb_window_spans(const struct vhost_iotlb_window *w, u64 iova,
						     u64 more)
{
	u64 off = iova - w->start;

	return likely(off <= w->span && more <= w->span - off);
}

/* Does the window know how to translate @iova, and the @more bytes after it? */
static __always_inline bool vhost_iotlb_window_has(const struct vhost_iotlb_window *w,
						   const struct vhost_iotlb *table, u64 iova,
						   u64 more, u32 perm)
{
	return likely(w->table == table && vhost_iotlb_window_spans(w, iova, more) &&
		      (w->perm & perm) && atomic64_read(w->changes) == w->seen);
}

int vhost_iotlb_window_load(struct vhost_iotlb_window *w, struct vhost_iotlb *table, u64 iova,
			    u32 perm);

/* A table built aside, to take the place of one that is in use: see iotlb.c. */
int vhost_iotlb_copy(struct vhost_iotlb *to, struct vhost_iotlb *from, gfp_t gfp);
void vhost_iotlb_swap(struct vhost_iotlb *table, struct vhost_iotlb *other);
void vhost_iotlb_discard(struct vhost_iotlb *table);

#endif
