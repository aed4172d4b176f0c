// SPDX-License-Identifier: GPL-2.0
/*
 * Tables of translations: from ranges of I/O virtual addresses to addresses of
 * another kind, with permissions.
 *
 * A table is an interval tree, for lookups, and a list in order of insertion,
 * from which the oldest map is retired when the table is full and was set up to
 * do so. Maps may overlap: a lookup finds the leftmost, a deletion drops
 * every map that it touches, whole. The caller serialises changes against
 * changes and lookups, often with a spinlock: nothing here sleeps but the
 * allocation of a table.
 */
#include <linux/interval_tree_generic.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vhost_iotlb.h>
#include <vhost_iotlb/window.h>

#include "map.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vhost_iotlb.h>

/* for the callers that translate: whether a lookup was for that is known to them */
EXPORT_TRACEPOINT_SYMBOL_GPL(vhost_iotlb_miss);
EXPORT_TRACEPOINT_SYMBOL_GPL(vhost_iotlb_denied);
EXPORT_TRACEPOINT_SYMBOL_GPL(vhost_iotlb_hit);

#define MAP_START(m)	((m)->start)
#define MAP_LAST(m)	((m)->last)

/* So small a tree is searched from its root again faster than from a node on. */
#define FEW_MAPS	4

INTERVAL_TREE_DEFINE(struct vhost_iotlb_map, rb, u64, __subtree_last,
		     MAP_START, MAP_LAST, static inline, maps)

struct vhost_iotlb_changes vhost_iotlb_changes[VHOST_IOTLB_CHANGES];
EXPORT_SYMBOL_GPL(vhost_iotlb_changes);

/*
 * What any window knows of this table is void. The caller keeps lookups out until the
 * change is made, so that this may be called before it or after it.
 */
static __always_inline void table_changes(const struct vhost_iotlb *iotlb)
{
	atomic64_inc(vhost_iotlb_changes_of(iotlb));
}

static void table_unlink(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map)
{
	table_changes(iotlb);
	maps_remove(map, &iotlb->root);
	/* freed or linked anew at once: not worth poisoning */
	__list_del_entry(&map->link);
	iotlb->nmaps--;
}

static struct vhost_iotlb_map *table_retire_oldest(struct vhost_iotlb *iotlb)
{
	struct vhost_iotlb_map *map;

	map = list_first_entry(&iotlb->list, struct vhost_iotlb_map, link);
	table_unlink(iotlb, map);
	trace_vhost_iotlb_retire(iotlb, map->start, map->last);
	return map;
}

/*
 * Is there room for @want maps more, be it by retiring others? Nothing may be
 * retired before everything else that can fail has succeeded.
 */
static int table_check_room(const struct vhost_iotlb *iotlb, unsigned int want)
{
	if (!iotlb->limit)
		return -EINVAL;
	if (want > iotlb->limit)
		return -ENOSPC;
	if (want > iotlb->limit - iotlb->nmaps &&
	    !(iotlb->flags & VHOST_IOTLB_FLAG_RETIRE))
		return -ENOSPC;
	return 0;
}

static __always_inline void
table_insert(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map, u64 start,
	     u64 last, u64 addr, unsigned int perm, void *opaque)
{
	map->start = start;
	map->last = last;
	map->size = last - start + 1;
	map->addr = addr;
	map->perm = perm;
	map->opaque = opaque;
	/* also one that is added: it may lie to the left of one that a window shows */
	table_changes(iotlb);
	maps_insert(map, &iotlb->root);
	list_add_tail(&map->link, &iotlb->list);
	iotlb->nmaps++;
	trace_vhost_iotlb_add(iotlb, start, last, perm);
}

/*
 * The size of a map of all addresses does not fit in its field: it is kept
 * as two, which come to be together or not at all.
 */
static noinline int table_add_all(struct vhost_iotlb *iotlb, u64 addr,
				  unsigned int perm, void *opaque)
{
	const u64 half = 1ULL << 63;
	struct vhost_iotlb_map *lower, *upper;
	unsigned int room = iotlb->limit - iotlb->nmaps;
	int err = table_check_room(iotlb, 2);

	if (err)
		return err;
	lower = room > 0 ? kmalloc(sizeof(*lower), GFP_ATOMIC) : NULL;
	upper = room > 1 ? kmalloc(sizeof(*upper), GFP_ATOMIC) : NULL;
	if ((room > 0 && !lower) || (room > 1 && !upper)) {
		kfree(lower);
		kfree(upper);
		return -ENOMEM;
	}
	table_insert(iotlb, lower ?: table_retire_oldest(iotlb), 0, half - 1,
		     addr, perm, opaque);
	table_insert(iotlb, upper ?: table_retire_oldest(iotlb), half, U64_MAX,
		     addr + half, perm, opaque);
	return 0;
}

static __always_inline int table_add(struct vhost_iotlb *iotlb, u64 start,
				     u64 last, u64 addr, unsigned int perm,
				     void *opaque)
{
	struct vhost_iotlb_map *map;
	int err;

	if (likely(iotlb->nmaps < iotlb->limit)) {
		map = kmalloc(sizeof(*map), GFP_ATOMIC);
		if (!map)
			return -ENOMEM;
	} else {
		err = table_check_room(iotlb, 1);
		if (err)
			return err;
		map = table_retire_oldest(iotlb);
	}
	table_insert(iotlb, map, start, last, addr, perm, opaque);
	return 0;
}

/**
 * vhost_iotlb_add_range_ctx - add a map to a table
 * @iotlb: the table
 * @start: first I/O virtual address
 * @last: last I/O virtual address, itself included
 * @addr: what @start translates to
 * @perm: VHOST_MAP_RO, VHOST_MAP_WO or both
 * @opaque: kept with the map, for whoever finds it
 *
 * All addresses make two maps, or none.
 *
 * Return: 0; -EINVAL for a range that ends before it starts, or a table that
 * may hold nothing; -ENOSPC when the table is full and does not retire, or can
 * never hold so many; -ENOMEM. The table is unchanged after an error.
 */
int vhost_iotlb_add_range_ctx(struct vhost_iotlb *iotlb, u64 start, u64 last,
			      u64 addr, unsigned int perm, void *opaque)
{
	int err;

	if (unlikely(last < start))
		err = -EINVAL;
	else if (unlikely(last - start == U64_MAX))
		err = table_add_all(iotlb, addr, perm, opaque);
	else
		err = table_add(iotlb, start, last, addr, perm, opaque);
	if (unlikely(err))
		trace_vhost_iotlb_reject(iotlb, start, last, err);
	return err;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_add_range_ctx);

/**
 * vhost_iotlb_add_range - add a map with nothing attached to a table
 * @iotlb: the table
 * @start: first I/O virtual address
 * @last: last I/O virtual address, itself included
 * @addr: what @start translates to
 * @perm: VHOST_MAP_RO, VHOST_MAP_WO or both
 *
 * Return: as vhost_iotlb_add_range_ctx().
 */
int vhost_iotlb_add_range(struct vhost_iotlb *iotlb, u64 start, u64 last,
			  u64 addr, unsigned int perm)
{
	return vhost_iotlb_add_range_ctx(iotlb, start, last, addr, perm, NULL);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_add_range);

/**
 * vhost_iotlb_insert - add a map that the caller allocated to a table
 * @iotlb: the table
 * @map: from kmalloc(), with its start, last, addr, perm and opaque; not all addresses
 *
 * Nothing is retired to make room.
 *
 * Return: 0, and the map is the table's; -EINVAL; -ENOSPC when the table is full.
 */
int vhost_iotlb_insert(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map)
{
	int err = 0;

	if (map->last < map->start || map->last - map->start == U64_MAX)
		err = -EINVAL;
	else if (iotlb->nmaps >= iotlb->limit)
		err = -ENOSPC;
	if (err)
		trace_vhost_iotlb_reject(iotlb, map->start, map->last, err);
	else
		table_insert(iotlb, map, map->start, map->last, map->addr, map->perm,
			     map->opaque);
	return err;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_insert);

/**
 * vhost_iotlb_remove - take one map out of its table, and leave it to the caller
 * @iotlb: the table
 * @map: the map, for kfree()
 */
void vhost_iotlb_remove(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map)
{
	table_unlink(iotlb, map);
	trace_vhost_iotlb_delete(iotlb, map->start, map->last);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_remove);

/**
 * vhost_iotlb_map_free - take one map out of its table and free it
 * @iotlb: the table
 * @map: the map
 */
void vhost_iotlb_map_free(struct vhost_iotlb *iotlb,
			  struct vhost_iotlb_map *map)
{
	table_unlink(iotlb, map);
	trace_vhost_iotlb_delete(iotlb, map->start, map->last);
	kfree(map);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_map_free);

/**
 * vhost_iotlb_del_range - delete every map that overlaps a range
 * @iotlb: the table
 * @start: first I/O virtual address
 * @last: last I/O virtual address, itself included
 *
 * A map is deleted whole, also where it is only touched. A range that ends
 * before it starts is empty, and touches nothing: left to the tree,
 * it would match a map around its two ends.
 */
void vhost_iotlb_del_range(struct vhost_iotlb *iotlb, u64 start, u64 last)
{
	const bool few = iotlb->nmaps <= FEW_MAPS;
	struct vhost_iotlb_map *map, *next;

	if (last < start)
		return;

	/* Erasing a node moves others about in the tree, but not in its order. */
	for (map = maps_iter_first(&iotlb->root, start, last); map; map = next) {
		next = few ? NULL : maps_iter_next(map, start, last);
		vhost_iotlb_map_free(iotlb, map);
		if (few)
			next = maps_iter_first(&iotlb->root, start, last);
	}
}
EXPORT_SYMBOL_GPL(vhost_iotlb_del_range);

/**
 * vhost_iotlb_init - set up a table in memory of the caller's
 * @iotlb: the table
 * @limit: how many maps it may hold
 * @flags: VHOST_IOTLB_FLAG_RETIRE, to make room from the oldest when it is full
 */
void vhost_iotlb_init(struct vhost_iotlb *iotlb, unsigned int limit,
		      unsigned int flags)
{
	table_changes(iotlb);
	*iotlb = (struct vhost_iotlb) {
		.root	= RB_ROOT_CACHED,
		.list	= LIST_HEAD_INIT(iotlb->list),
		.limit	= limit,
		.flags	= flags,
	};
}
EXPORT_SYMBOL_GPL(vhost_iotlb_init);

/**
 * vhost_iotlb_alloc - allocate and set up a table
 * @limit: how many maps it may hold
 * @flags: VHOST_IOTLB_FLAG_RETIRE, to make room from the oldest when it is full
 *
 * Context: may sleep.
 * Return: the table, or NULL.
 */
struct vhost_iotlb *vhost_iotlb_alloc(unsigned int limit, unsigned int flags)
{
	struct vhost_iotlb *iotlb = kmalloc(sizeof(*iotlb), GFP_KERNEL);

	if (iotlb)
		vhost_iotlb_init(iotlb, limit, flags);
	return iotlb;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_alloc);

/**
 * vhost_iotlb_reset - delete all maps of a table
 * @iotlb: the table
 *
 * The tree is dropped as a whole, not taken apart node by node.
 */
void vhost_iotlb_reset(struct vhost_iotlb *iotlb)
{
	struct vhost_iotlb_map *map, *next;

	table_changes(iotlb);
	iotlb->root = RB_ROOT_CACHED;
	list_for_each_entry_safe(map, next, &iotlb->list, link) {
		iotlb->nmaps--;
		trace_vhost_iotlb_delete(iotlb, map->start, map->last);
		kfree(map);
	}
	INIT_LIST_HEAD(&iotlb->list);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_reset);

/**
 * vhost_iotlb_free - delete all maps of an allocated table, and the table
 * @iotlb: the table; NULL is none
 */
void vhost_iotlb_free(struct vhost_iotlb *iotlb)
{
	if (!iotlb)
		return;
	vhost_iotlb_reset(iotlb);
	kfree(iotlb);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_free);

/**
 * vhost_iotlb_itree_first - find the leftmost map that overlaps a range
 * @iotlb: the table
 * @start: first I/O virtual address
 * @last: last I/O virtual address, itself included
 *
 * Return: the map, or NULL where nothing is mapped, which is for the caller to
 * call a miss or not.
 */
struct vhost_iotlb_map *vhost_iotlb_itree_first(struct vhost_iotlb *iotlb,
						u64 start, u64 last)
{
	return maps_iter_first(&iotlb->root, start, last);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_itree_first);

/**
 * vhost_iotlb_itree_next - find the next map that overlaps a range
 * @map: where the last search ended
 * @start: first I/O virtual address
 * @last: last I/O virtual address, itself included
 *
 * Return: the map, or NULL when there is no other.
 */
struct vhost_iotlb_map *vhost_iotlb_itree_next(struct vhost_iotlb_map *map,
					       u64 start, u64 last)
{
	return maps_iter_next(map, start, last);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_itree_next);

/**
 * vhost_iotlb_window_load - look up what an address translates to, and keep it
 * @w: where it is kept
 * @table: the table
 * @iova: the address
 * @perm: what the caller wants to do there, VHOST_MAP_RO or VHOST_MAP_WO
 *
 * The leftmost map around @iova decides, be there others. A window begins with
 * that map only where no other of the addresses up to @iova belongs to
 * one further left; where some do, it begins at @iova. To the right of @iova no
 * map can begin that would come first.
 *
 * Return: 0; -EINVAL where nothing is mapped; -EPERM where it is not for @perm. The
 * window is good for nothing after an error.
 */
int vhost_iotlb_window_load(struct vhost_iotlb_window *w, struct vhost_iotlb *table, u64 iova,
			    u32 perm)
{
	struct vhost_iotlb_map *map = maps_iter_first(&table->root, iova, iova);
	u64 start;

	w->table = NULL;
	if (!map)
		return -EINVAL;
	if (!(map->perm & perm))
		return -EPERM;
	start = map->start;
	if (start != iova && maps_iter_first(&table->root, start, iova) != map)
		start = iova;

	*w = (struct vhost_iotlb_window) {
		.table	 = table,
		.changes = vhost_iotlb_changes_of(table),
		.seen	 = atomic64_read(vhost_iotlb_changes_of(table)),
		.start	 = start,
		.span	 = map->last - start,
		.addr	 = map->addr + (start - map->start),
		.perm	 = map->perm,
	};
	return 0;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_window_load);

/**
 * vhost_iotlb_copy - fill a new table with the maps of another
 * @to: an empty table that nobody else sees yet
 * @from: the other one, which does not change meanwhile
 * @gfp: for the maps
 *
 * Nothing is told of @to by events: it is to be swapped with a table that is in use.
 *
 * Context: may sleep.
 * Return: 0; -ENOSPC if @to may not hold so many; -ENOMEM. @to is empty after an error.
 */
int vhost_iotlb_copy(struct vhost_iotlb *to, struct vhost_iotlb *from, gfp_t gfp)
{
	struct vhost_iotlb_map *map, *new;

	if (from->nmaps > to->limit)
		return -ENOSPC;
	for (map = maps_iter_first(&from->root, 0, U64_MAX); map;
	     map = maps_iter_next(map, 0, U64_MAX)) {
		new = kmalloc(sizeof(*new), gfp);
		if (!new) {
			vhost_iotlb_discard(to);
			return -ENOMEM;
		}
		*new = *map;
		maps_insert(new, &to->root);
		list_add_tail(&new->link, &to->list);
		to->nmaps++;
		cond_resched();
	}
	return 0;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_copy);

/**
 * vhost_iotlb_swap - let a table take the place of one that is in use
 * @table: the one in use, kept from lookups meanwhile by the caller
 * @other: nobody else's; holds what @table held, afterwards
 *
 * It takes the same time however many maps there are.
 */
void vhost_iotlb_swap(struct vhost_iotlb *table, struct vhost_iotlb *other)
{
	LIST_HEAD(maps);

	table_changes(table);
	list_splice_init(&table->list, &maps);
	list_splice_init(&other->list, &table->list);
	list_splice(&maps, &other->list);
	swap(table->root, other->root);
	swap(table->nmaps, other->nmaps);
	trace_vhost_iotlb_replace(table, 0, U64_MAX);
}
EXPORT_SYMBOL_GPL(vhost_iotlb_swap);

/**
 * vhost_iotlb_discard - free the maps of a table that is not in use
 * @table: the table, empty afterwards
 *
 * Context: may sleep.
 */
void vhost_iotlb_discard(struct vhost_iotlb *table)
{
	struct vhost_iotlb_map *map, *next;

	table->root = RB_ROOT_CACHED;
	list_for_each_entry_safe(map, next, &table->list, link) {
		kfree(map);
		cond_resched();
	}
	INIT_LIST_HEAD(&table->list);
	table->nmaps = 0;
}
EXPORT_SYMBOL_GPL(vhost_iotlb_discard);

MODULE_DESCRIPTION("vhost: tables of I/O address translations");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
