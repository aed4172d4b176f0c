// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, and the table of each address space that they change.
 *
 * A device is told in one of three ways: it takes a whole table (set_map), single
 * maps (dma_map), or the platform's IOMMU translates for it. What it has been told
 * to forget is let go only then: maps that left the table while a whole one is yet
 * to be given are kept aside, "doomed", for so long.
 */
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/uio.h>
#include <vhost_iotlb/map.h>

#include "vhost_vdpa.h"
#include <trace/events/vhost_vdpa.h>

static int max_iotlb_entries = 2048;
module_param(max_iotlb_entries, int, 0444);
MODULE_PARM_DESC(max_iotlb_entries,
		 "Maps of memory that is not pinned, in each address space (default: 2048)");

/*
 * What the device is told
 */

static int space_give(struct vhost_vdpa *v, struct vhost_vdpa_as *as)
{
	int err;

	err = vdpa_ask(v->vdev, set_map, as->id, &as->iotlb);
	as->stale = err;
	/* else there is no telling what it still uses */
	if (!err) {
		vhost_vdpa_release(v, &as->doomed);
		as->ndoomed = 0;
	}
	return err;
}

/* @n maps, until the device has a table without them */
static void space_doom(struct vhost_vdpa_as *as, struct list_head *maps, unsigned int n)
{
	list_splice_tail_init(maps, &as->doomed);
	as->ndoomed += n;
}

/* What is doomed counts: a process that never ends its batch would have no limit. */
static unsigned int space_room(const struct vhost_vdpa_as *as)
{
	unsigned int used = as->iotlb.nmaps + as->ndoomed;

	return used < as->iotlb.limit ? as->iotlb.limit - used : 0;
}

static int device_map(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
		      const struct vhost_iotlb_map *map)
{
	if (v->domain)
		return vhost_vdpa_platform_map(v, map);
	return vdpa_ask(v->vdev, dma_map, as->id, map->start, map->size, map->addr,
			map->perm, map->opaque);
}

static void device_unmap(struct vhost_vdpa *v, struct vhost_vdpa_as *as, u64 iova, u64 size)
{
	if (v->domain)
		vhost_vdpa_platform_unmap(v, iova, size);
	else
		vdpa_ask(v->vdev, dma_unmap, as->id, iova, size);
}

/*
 * What the platform is to forget is gathered as long as one run follows the other: each
 * call waits for its caches to be flushed. It does not sleep either, and may have a node for
 * each run: so much at a time.
 */
#define FORGET_MAX	SZ_4M

struct forget {
	u64 iova;
	u64 size;
};

static void forget_now(struct vhost_vdpa *v, struct vhost_vdpa_as *as, struct forget *forget)
{
	if (forget->size)
		device_unmap(v, as, forget->iova, forget->size);
	forget->size = 0;
}

static void forget_map(struct vhost_vdpa *v, struct vhost_vdpa_as *as, struct forget *forget,
		       const struct vhost_iotlb_map *map)
{
	if (!v->domain || forget->iova + forget->size != map->start ||
	    forget->size + map->size > FORGET_MAX)
		forget_now(v, as, forget);
	if (!forget->size)
		forget->iova = map->start;
	forget->size += map->size;
}

/* dma_map comes first where a device has both */
static bool takes_tables(const struct vhost_vdpa *v)
{
	return v->vdev->config->set_map && !v->vdev->config->dma_map;
}

/*
 * Changes of a table. New maps stand at the end of its list, in the order in which
 * they were added: that is how they are found again.
 */

/* Takes the maps from @first on back out; they are in @out then. */
static void table_take_back(struct vhost_vdpa_as *as, struct vhost_iotlb_map *first,
			    struct list_head *out)
{
	struct vhost_iotlb_map *map = first, *next;

	list_for_each_entry_safe_from(map, next, &as->iotlb.list, link) {
		vhost_iotlb_remove(&as->iotlb, map);
		list_add_tail(&map->link, out);
		cond_resched();
	}
}

/* On error those that did not come to be in the table are still in @maps. */
static int table_add(struct vhost_vdpa_as *as, struct list_head *maps)
{
	struct vhost_iotlb_map *map, *next;
	int err;

	list_for_each_entry_safe(map, next, maps, link) {
		list_del(&map->link);
		err = vhost_iotlb_insert(&as->iotlb, map);
		if (err) {
			list_add(&map->link, maps);
			return err;
		}
		cond_resched();
	}
	return 0;
}

static int device_map_from(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			   struct vhost_iotlb_map *first)
{
	struct vhost_iotlb_map *map = first;
	int err = 0;

	list_for_each_entry_from(map, &as->iotlb.list, link) {
		err = device_map(v, as, map);
		if (err)
			break;
		cond_resched();
	}
	if (err) {
		struct vhost_iotlb_map *refused = map;
		struct forget forget = {};

		for (map = first; map != refused; map = list_next_entry(map, link)) {
			forget_map(v, as, &forget, map);
			cond_resched();
		}
		forget_now(v, as, &forget);
	}
	return err;
}

static int table_extend(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			struct vhost_vdpa_runs *runs)
{
	struct vhost_iotlb_map *first;
	LIST_HEAD(back);
	int err;

	/* a range in which there is no memory that the device could use */
	if (list_empty(&runs->maps))
		return 0;
	first = list_first_entry(&runs->maps, struct vhost_iotlb_map, link);
	err = table_add(as, &runs->maps);
	if (!err && !takes_tables(v))
		err = device_map_from(v, as, first);
	else if (!err && !v->in_batch)
		err = space_give(v, as);
	if (!err)
		return 0;

	if (list_first_entry_or_null(&runs->maps, struct vhost_iotlb_map, link) != first)
		table_take_back(as, first, &back);
	list_splice_tail(&runs->maps, &back);
	INIT_LIST_HEAD(&runs->maps);
	if (takes_tables(v) && !v->in_batch) {
		/* what it makes of a table that it refused is its own business: one more */
		space_doom(as, &back, runs->n);
		space_give(v, as);
	} else {
		vhost_vdpa_release(v, &back);
	}
	return err;
}

/* Maps that are touched go as a whole, those of a run of pages, too. */
static int table_cut(struct vhost_vdpa *v, struct vhost_vdpa_as *as, u64 first, u64 last,
		     u64 *pages, u32 *runs)
{
	struct vhost_iotlb_map *map, *next;
	struct forget forget = {};
	LIST_HEAD(gone);

	for (map = vhost_iotlb_itree_first(&as->iotlb, first, last); map; map = next) {
		/* nodes move when one is removed, but keep their order; and this one is near */
		next = vhost_iotlb_itree_next(map, first, last);
		vhost_iotlb_remove(&as->iotlb, map);
		*pages += map->size >> PAGE_SHIFT;
		++*runs;
		if (!takes_tables(v))
			forget_map(v, as, &forget, map);
		list_add_tail(&map->link, &gone);
		cond_resched();
	}
	if (!takes_tables(v)) {
		forget_now(v, as, &forget);
		vhost_vdpa_release(v, &gone);
		return 0;
	}
	space_doom(as, &gone, *runs);
	if (v->in_batch || (list_empty(&as->doomed) && !as->stale))
		return 0;
	return space_give(v, as);
}

static u64 watched_from(bool watched)
{
	return watched ? ktime_get_ns() : 0;
}

static int range_unmap(struct vhost_vdpa *v, struct vhost_vdpa_as *as, u64 first, u64 last)
{
	u64 since = watched_from(trace_vhost_vdpa_unmap_enabled());
	u64 pages = 0;
	u32 runs = 0;
	int err;

	err = table_cut(v, as, first, last, &pages, &runs);
	if (since)
		trace_vhost_vdpa_unmap(v->vdev, as->id, first, last - first + 1, pages, runs,
				       err, ktime_get_ns() - since, &as->iotlb);
	return err;
}

/*
 * Messages
 */

/*
 * Within a batch what is to be let go still counts: as pinned, or as a map. If that is
 * what the limit lacks, the device is given the table now.
 */
static int collect(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
		   struct vhost_vdpa_runs *runs, const struct vhost_iotlb_msg *page)
{
	int err;

	err = vhost_vdpa_collect(v, runs, page->iova, page->size, page->uaddr, page->perm,
				 space_room(as));
	if ((err != -ENOMEM && err != -ENOSPC) || list_empty(&as->doomed) || space_give(v, as))
		return err;
	return vhost_vdpa_collect(v, runs, page->iova, page->size, page->uaddr, page->perm,
				  space_room(as));
}

/* Pages are what can be mapped: @msg, grown to whole ones. */
static int message_pages(const struct vhost_iotlb_msg *msg, struct vhost_iotlb_msg *page)
{
	u64 offset = offset_in_page(msg->iova), size;

	if (offset != offset_in_page(msg->uaddr) ||
	    check_add_overflow(msg->size, offset + PAGE_SIZE - 1, &size))
		return -EINVAL;
	*page = *msg;
	page->iova -= offset;
	page->uaddr -= offset;
	page->size = size & PAGE_MASK;
	if (page->size - 1 > U64_MAX - page->iova)
		return -EINVAL;
	return page->size - 1 > U64_MAX - page->uaddr ? -EFAULT : 0;
}

static int message_update(struct vhost_vdpa *v, struct vhost_vdpa_as *as,
			  const struct vhost_iotlb_msg *msg)
{
	u64 since = watched_from(trace_vhost_vdpa_map_enabled());
	u64 last = msg->iova + msg->size - 1;
	struct vhost_vdpa_runs runs = {};
	struct vhost_iotlb_msg page;
	unsigned int n;
	int err;

	if (!msg->perm || msg->perm & ~VHOST_ACCESS_RW ||
	    msg->iova < v->range.first || last > v->range.last)
		return -EINVAL;
	err = message_pages(msg, &page);
	if (err)
		return err;
	if (vhost_vdpa_platform_reserved(v, page.iova, page.iova + page.size - 1))
		return -EINVAL;
	if (vhost_iotlb_itree_first(&as->iotlb, page.iova, page.iova + page.size - 1))
		return -EEXIST;
	err = collect(v, as, &runs, &page);
	n = runs.n;
	if (!err)
		err = table_extend(v, as, &runs);
	if (since)
		trace_vhost_vdpa_map(v->vdev, as->id, page.iova, page.size, runs.pages, n, err,
				     ktime_get_ns() - since, &as->iotlb);
	return err;
}

/* One that failed may be repeated: the device has no table yet that it took. */
static int message_batch_end(struct vhost_vdpa *v, struct vhost_vdpa_as *as)
{
	bool give = v->in_batch || as->stale;

	v->in_batch = false;
	return give && takes_tables(v) ? space_give(v, as) : 0;
}

static int message_handle(struct vhost_vdpa *v, u32 asid, const struct vhost_iotlb_msg *msg)
{
	struct vhost_vdpa_as *as;

	/* a kernel thread that writes has no memory either, and is no owner for that */
	if (!v->vhost.mm || vhost_dev_check_owner(&v->vhost))
		return -EPERM;
	if (asid >= v->nas || (v->in_batch && asid != v->batch_asid))
		return -EINVAL;
	as = &v->spaces[array_index_nospec(asid, v->nas)];

	switch (msg->type) {
	case VHOST_IOTLB_UPDATE:
	case VHOST_IOTLB_INVALIDATE:
		if (!msg->size || msg->size - 1 > U64_MAX - msg->iova)
			return -EINVAL;
		if (msg->type == VHOST_IOTLB_UPDATE)
			return message_update(v, as, msg);
		return range_unmap(v, as, msg->iova, msg->iova + msg->size - 1);
	case VHOST_IOTLB_BATCH_BEGIN:
		v->in_batch = true;
		v->batch_asid = asid;
		return 0;
	case VHOST_IOTLB_BATCH_END:
		return message_batch_end(v, as);
	default:
		return -EINVAL;
	}
}

/* Both versions begin alike; the second has an address space where the first has a hole. */
struct message {
	u32 version;
	u32 asid;
	struct vhost_iotlb_msg iotlb;
};

static_assert(offsetof(struct message, iotlb) == offsetof(struct vhost_msg, iotlb));
static_assert(offsetof(struct message, iotlb) == offsetof(struct vhost_msg_v2, iotlb));
static_assert(offsetof(struct message, asid) == offsetof(struct vhost_msg_v2, asid));

static int message_read(struct iov_iter *from, struct message *message)
{
	if (iov_iter_count(from) < sizeof(*message))
		return -EINVAL;
	if (!copy_from_iter_full(message, sizeof(*message), from))
		return -EFAULT;
	return message->version == VHOST_IOTLB_MSG ||
	       message->version == VHOST_IOTLB_MSG_V2 ? 0 : -EINVAL;
}

/* One message; the error is its own: ENOSPC, ENOMEM and EFAULT mean what they say. */
ssize_t vhost_vdpa_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct vhost_vdpa *v = iocb->ki_filp->private_data;
	size_t count = min(iov_iter_count(from), sizeof(struct vhost_msg_v2));
	struct message message;
	u64 since;
	int err;

	err = message_read(from, &message);
	if (err)
		return err;
	if (mutex_lock_killable(&v->lock))
		return -EINTR;
	if (message.version == VHOST_IOTLB_MSG ||
	    !(v->backend_features & BIT_ULL(VHOST_BACKEND_F_IOTLB_ASID)))
		message.asid = 0;
	if (v->vdev) {
		since = watched_from(trace_vhost_vdpa_message_enabled());
		err = message_handle(v, message.asid, &message.iotlb);
		if (since)
			trace_vhost_vdpa_message(v->vdev, message.asid, &message.iotlb, err,
						 ktime_get_ns() - since);
	} else {
		err = -ENODEV;
	}
	mutex_unlock(&v->lock);
	return err ?: count;
}

/*
 * A process begins and ends with nothing mapped. That the device is told so also
 * at the beginning closes what others may have left: a simulator that maps all
 * memory for drivers in the kernel, say.
 */
static int space_empty_device(struct vhost_vdpa *v, struct vhost_vdpa_as *as)
{
	const u64 half = 1ULL << 63;

	if (takes_tables(v))
		return space_give(v, as);
	if (v->domain)
		return 0;
	/* all addresses do not fit into a size */
	return vdpa_ask(v->vdev, dma_unmap, as->id, 0, half) ?:
	       vdpa_ask(v->vdev, dma_unmap, as->id, half, half);
}

int vhost_vdpa_memory_open(struct vhost_vdpa *v)
{
	unsigned int limit = v->vdev->use_va ? max(max_iotlb_entries, 0) : UINT_MAX;
	struct vhost_vdpa_as *as;
	int err = 0;
	u32 asid;

	v->pinned = 0;
	v->pinned_limit = 0;
	for (asid = 0; asid < v->nas && !err; asid++) {
		as = &v->spaces[asid];
		vhost_iotlb_init(&as->iotlb, limit, 0);
		INIT_LIST_HEAD(&as->doomed);
		as->ndoomed = 0;
		as->stale = false;
		as->id = asid;
		err = space_empty_device(v, as);
	}
	return err;
}

/* The device is reset and nothing kicks it: it uses none of this, whatever it answers. */
void vhost_vdpa_memory_close(struct vhost_vdpa *v)
{
	u32 asid;

	v->in_batch = false;
	for (asid = 0; asid < v->nas; asid++) {
		struct vhost_vdpa_as *as = &v->spaces[asid];

		range_unmap(v, as, 0, U64_MAX);
		vhost_vdpa_release(v, &as->doomed);
		as->ndoomed = 0;
		if (v->vdev->config->reset_map)
			vdpa_ask(v->vdev, reset_map, asid);
	}
}
