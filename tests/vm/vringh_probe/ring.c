// SPDX-License-Identifier: GPL-2.0
/* A ring in the memory, and vringh's functions by the kind of access. */
#include <linux/mm.h>
#include <linux/io.h>
#include <linux/vhost_iotlb.h>
#include <uapi/linux/virtio_config.h>

#include "probe.h"

/* Ranges of user memory begin where no page does. */
#define RANGE	(3 * PAGE_SIZE + 100)

static bool getrange(struct vringh *vrh, u64 addr, struct vringh_range *range)
{
	u64 off = addr - IOVA;

	if (off >= BYTES)
		return false;
	range->start = IOVA + off / RANGE * RANGE;
	range->end_incl = min(range->start + RANGE, IOVA + BYTES) - 1;
	range->offset = user_memory - IOVA;
	return true;
}

u64 address(const struct ring *r, size_t off)
{
	return r->kind == KERN ? (uintptr_t)memory + off : IOVA + off;
}

/* Where the ring itself is: there is no range for that. */
static void *ring_address(const struct ring *r, const void *at)
{
	size_t off = (const u8 *)at - memory;

	if (r->kind == USER)
		return (void *)(user_memory + off);
	return (void *)(uintptr_t)address(r, off);
}

int map_pages(enum kind of, unsigned int first, unsigned int last, u32 perm)
{
	unsigned int i;
	int err = 0;

	spin_lock(&table_lock);
	for (i = first; i <= last && !err; i++) {
		u64 start = IOVA + i * PAGE_SIZE;
		u64 addr = of == IOTLB_VA ? user_memory + i * PAGE_SIZE : page_to_phys(pages[i]);

		err = vhost_iotlb_add_range(table, start, start + PAGE_SIZE - 1, addr, perm);
	}
	spin_unlock(&table_lock);
	return err;
}

int map_all(enum kind kind)
{
	spin_lock(&table_lock);
	vhost_iotlb_reset(table);
	spin_unlock(&table_lock);
	return map_pages(kind, 0, PAGES - 1, VHOST_MAP_RW);
}

int ring_setup(struct ring *r, enum kind of, bool events)
{
	u64 features = BIT_ULL(VIRTIO_F_VERSION_1) |
		       (events ? BIT_ULL(VIRTIO_RING_F_EVENT_IDX) : 0);
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int err;

	memset(memory, 0, DATA_PAGE * PAGE_SIZE);
	*r = (struct ring) {
		.kind	= of,
		.events	= events,
		/* each across a border between pages: an index just before or behind it */
		.desc	= (void *)memory + PAGE_SIZE - 3 * sizeof(struct vring_desc),
		.avail	= (void *)memory + 2 * PAGE_SIZE - 4 - 2 * 5,
		.used	= (void *)memory + 3 * PAGE_SIZE - 4 - 8 * 3,
	};
	desc = ring_address(r, r->desc);
	avail = ring_address(r, r->avail);
	used = ring_address(r, r->used);
	err = map_all(of);
	if (err)
		return err;
	vringh_set_iotlb(&r->vrh, table, &table_lock);
	switch (of) {
	case USER:
		return vringh_init_user(&r->vrh, features, NUM, true,
					(vring_desc_t __force __user *)desc,
					(vring_avail_t __force __user *)avail,
					(vring_used_t __force __user *)used);
	case KERN:
		return vringh_init_kern(&r->vrh, features, NUM, true, desc, avail, used);
	case IOTLB:
		return vringh_init_iotlb(&r->vrh, features, NUM, true, desc, avail, used);
	default:
		return vringh_init_iotlb_va(&r->vrh, features, NUM, true, desc, avail, used);
	}
}

void ring_cleanup(struct ring *r)
{
	vringh_kiov_cleanup(&r->riov);
	vringh_kiov_cleanup(&r->wiov);
}

void put_desc(const struct ring *r, struct vring_desc *at, u64 addr, u32 len, u16 flags, u16 next)
{
	at->addr = __cpu_to_virtio64(true, addr);
	at->len = __cpu_to_virtio32(true, len);
	at->flags = __cpu_to_virtio16(true, flags);
	at->next = __cpu_to_virtio16(true, next);
}

void offer(struct ring *r, u16 head)
{
	r->avail->ring[r->offered % NUM] = __cpu_to_virtio16(true, head);
	r->avail->idx = __cpu_to_virtio16(true, ++r->offered);
}

int getdesc(struct ring *r, bool want_read, bool want_write, u16 *head)
{
	struct vringh_kiov *riov = want_read ? &r->riov : NULL;
	struct vringh_kiov *wiov = want_write ? &r->wiov : NULL;

	switch (r->kind) {
	case USER:
		return vringh_getdesc_user(&r->vrh, (struct vringh_iov *)riov,
					   (struct vringh_iov *)wiov, getrange, head);
	case KERN:
		return vringh_getdesc_kern(&r->vrh, riov, wiov, head, GFP_KERNEL);
	default:
		return vringh_getdesc_iotlb(&r->vrh, riov, wiov, head, GFP_KERNEL);
	}
}

ssize_t pull(struct ring *r, void *to, size_t len)
{
	switch (r->kind) {
	case USER:
		return vringh_iov_pull_user((struct vringh_iov *)&r->riov, to, len);
	case KERN:
		return vringh_iov_pull_kern(&r->riov, to, len);
	default:
		return vringh_iov_pull_iotlb(&r->vrh, &r->riov, to, len);
	}
}

ssize_t push(struct ring *r, const void *from, size_t len)
{
	switch (r->kind) {
	case USER:
		return vringh_iov_push_user((struct vringh_iov *)&r->wiov, from, len);
	case KERN:
		return vringh_iov_push_kern(&r->wiov, from, len);
	default:
		return vringh_iov_push_iotlb(&r->vrh, &r->wiov, from, len);
	}
}

int complete_one(struct ring *r, u16 head, u32 len)
{
	switch (r->kind) {
	case USER:
		return vringh_complete_user(&r->vrh, head, len);
	case KERN:
		return vringh_complete_kern(&r->vrh, head, len);
	default:
		return vringh_complete_iotlb(&r->vrh, head, len);
	}
}

int need_notify(struct ring *r)
{
	switch (r->kind) {
	case USER:
		return vringh_need_notify_user(&r->vrh);
	case KERN:
		return vringh_need_notify_kern(&r->vrh);
	default:
		return vringh_need_notify_iotlb(&r->vrh);
	}
}

bool notify_enable(struct ring *r)
{
	switch (r->kind) {
	case USER:
		return vringh_notify_enable_user(&r->vrh);
	case KERN:
		return vringh_notify_enable_kern(&r->vrh);
	default:
		return vringh_notify_enable_iotlb(&r->vrh);
	}
}

void notify_disable(struct ring *r)
{
	switch (r->kind) {
	case USER:
		vringh_notify_disable_user(&r->vrh);
		break;
	case KERN:
		vringh_notify_disable_kern(&r->vrh);
		break;
	default:
		vringh_notify_disable_iotlb(&r->vrh);
	}
}

void abandon(struct ring *r, unsigned int num)
{
	switch (r->kind) {
	case USER:
		vringh_abandon_user(&r->vrh, num);
		break;
	case KERN:
		vringh_abandon_kern(&r->vrh, num);
		break;
	default:
		vringh_abandon_iotlb(&r->vrh, num);
	}
}
