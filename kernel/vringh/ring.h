/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is done to a ring, whatever memory it lies in.
 *
 * Everything in the ring and in its descriptors is written by the other side while we
 * read it: each field is read once, checked, and used as it was read. A chain ends after
 * as many descriptors as the ring has, and after a bounded number more where it
 * leads through an indirect table; nothing it says makes us go on for longer.
 *
 * The functions here are inlined into one set for each kind of memory, with the
 * accesses as constants.
 */
#ifndef _VRINGH_RING_H
#define _VRINGH_RING_H

#include <linux/minmax.h>
#include <linux/uio.h>
#include <linux/virtio_ring.h>
#include <linux/vringh.h>
#include <trace/events/vringh.h>

/*
 * An indirect table may be longer than the ring, and Linux's drivers make use of that.
 * No more of it is followed than an I/O vector may have elements.
 */
#define RING_INDIRECT_MAX	UIO_MAXIOV

/* The chain's iov is full: to be made larger, then start again. Not for our callers. */
#define RING_FULL		(-ENOBUFS)

/* Memory is not there just now: to be fetched, then start again. Nor is this for them. */
#define RING_ABSENT		(-EAGAIN)

struct ring_access {
	int (*get16)(void *ctx, const __virtio16 *from, __virtio16 *val);
	int (*put16)(void *ctx, __virtio16 *to, __virtio16 val);
	/* @indirect: @from is an address as descriptors have them, not as the ring has */
	int (*get_desc)(void *ctx, const struct vring_desc *from, struct vring_desc *desc,
			bool indirect);
	int (*put_used)(void *ctx, struct vring_used_elem *to,
			const struct vring_used_elem *used, unsigned int num);
	/* what a descriptor describes, or one piece of it: @len may come back smaller */
	int (*reach)(void *ctx, u64 addr, size_t *len, void **base);
};

int ring_bad(const struct vringh *vrh, const char *what, u64 value, int err);
int ring_init(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
	      struct vring_desc *desc, struct vring_avail *avail, struct vring_used *used);
int ring_iov_grow(struct vringh_kiov *iov, gfp_t gfp);

static __always_inline bool ring_iov_full(const struct vringh_kiov *iov)
{
	return iov->used == (iov->max_num & ~VRINGH_IOV_ALLOCATED);
}

/* Takes @len bytes off the front of the piece that is next. */
static __always_inline void ring_iov_consume(struct vringh_kiov *iov, size_t len)
{
	struct kvec *piece = &iov->iov[iov->i];

	/* all of it at once, mostly */
	if (likely(len == piece->iov_len && !iov->consumed)) {
		iov->i++;
		return;
	}
	piece->iov_base += len;
	piece->iov_len -= len;
	iov->consumed += len;
	if (piece->iov_len)
		return;
	/* as it was, for whoever looks at it again */
	piece->iov_base -= iov->consumed;
	piece->iov_len = iov->consumed;
	iov->consumed = 0;
	iov->i++;
}

static __always_inline void ring_iov_empty(struct vringh_kiov *iov)
{
	iov->i = 0;
	iov->used = 0;
	iov->consumed = 0;
}

/*
 * What the other side offers next: 1 and *head, 0 if there is nothing. The index is not
 * counted on yet.
 */
static __always_inline int ring_next_head(void *ctx, const struct vringh *vrh,
					  const struct ring_access *access, u16 *head)
{
	const struct vring_avail *avail = vrh->vring.avail;
	u16 last = vrh->last_avail_idx, idx;
	__virtio16 val;
	int err;

	err = access->get16(ctx, &avail->idx, &val);
	if (unlikely(err))
		return ring_bad(vrh, "available index cannot be read, at", (uintptr_t)avail, err);
	idx = vringh16_to_cpu(vrh, val);
	if (idx == last)
		return 0;
	if (unlikely((u16)(idx - last) > vrh->vring.num))
		return ring_bad(vrh, "more is available than the ring holds, index", idx, -EINVAL);

	/* an entry is there once the index says so */
	virtio_rmb(vrh->weak_barriers);

	err = access->get16(ctx, &avail->ring[last & (vrh->vring.num - 1)], &val);
	if (unlikely(err))
		return ring_bad(vrh, "available entry cannot be read, index", last, err);
	*head = vringh16_to_cpu(vrh, val);
	if (unlikely(*head >= vrh->vring.num))
		return ring_bad(vrh, "available entry is no descriptor", *head, -EINVAL);
	return 1;
}

static __always_inline int ring_add_pieces(void *ctx, const struct ring_access *access,
					   struct vringh_kiov *iov, u64 addr, u32 len)
{
	do {
		size_t part = len;
		struct kvec *piece;
		void *base;
		int err = access->reach(ctx, addr, &part, &base);

		if (unlikely(err))
			return err;
		if (unlikely(ring_iov_full(iov)))
			return RING_FULL;
		piece = &iov->iov[iov->used++];
		piece->iov_base = base;
		piece->iov_len = part;
		addr += part;
		len -= part;
	} while (unlikely(len));
	return 0;
}

/* Follows the chain from @head, through at most one level of indirection. */
static __always_inline int ring_walk(void *ctx, const struct vringh *vrh,
				     const struct ring_access *access, u16 head,
				     struct vringh_kiov *riov, struct vringh_kiov *wiov,
				     struct vringh_kiov **full)
{
	const struct vring_desc *table = vrh->vring.desc;
	unsigned int entries = vrh->vring.num, budget = entries, at = head;
	/* where the ring's part of the chain goes on after an indirect table, if it does */
	int resume = -1;
	bool indirect = false, was_indirect = false;
	struct vringh_kiov *iov;
	struct vring_desc desc;
	u16 flags;
	u32 len;
	int err;

	if (riov)
		ring_iov_empty(riov);
	if (wiov)
		ring_iov_empty(wiov);

	for (;;) {
		if (unlikely(at >= entries))
			return ring_bad(vrh, "chain leads to a descriptor that is not there", at,
					-EINVAL);
		if (unlikely(!budget--))
			return ring_bad(vrh, "chain has no end, head", head, -ELOOP);
		err = access->get_desc(ctx, table + at, &desc, indirect);
		if (unlikely(err))
			return ring_bad(vrh, "descriptor cannot be read", at, err);
		flags = vringh16_to_cpu(vrh, desc.flags);
		len = vringh32_to_cpu(vrh, desc.len);

		if (unlikely(flags & VRING_DESC_F_INDIRECT)) {
			u64 addr = vringh64_to_cpu(vrh, desc.addr);

			if (indirect)
				return ring_bad(vrh, "indirect descriptor in an indirect table", at,
						-EINVAL);
			if (!len || len % sizeof(desc) || addr + len - 1 < addr)
				return ring_bad(vrh, "indirect table of a strange length", len,
						-EINVAL);
			if (flags & VRING_DESC_F_NEXT)
				resume = vringh16_to_cpu(vrh, desc.next);
			else
				resume = -1;
			if (!was_indirect)
				budget += RING_INDIRECT_MAX;
			was_indirect = true;
			indirect = true;
			table = (const struct vring_desc *)(uintptr_t)addr;
			entries = len / sizeof(desc);
			at = 0;
			continue;
		}

		iov = flags & VRING_DESC_F_WRITE ? wiov : riov;
		if (unlikely(!iov))
			return ring_bad(vrh, "descriptor in a direction that nobody wants", at,
					-EPROTO);
		if (unlikely(iov == riov && wiov && wiov->used))
			return ring_bad(vrh, "readable descriptor after a writable one", at,
					-EINVAL);
		err = ring_add_pieces(ctx, access, iov, vringh64_to_cpu(vrh, desc.addr), len);
		if (unlikely(err)) {
			*full = iov;
			if (err == RING_FULL)
				return err;
			return ring_bad(vrh, "descriptor of memory that is not to be had", at, err);
		}

		if (flags & VRING_DESC_F_NEXT) {
			at = vringh16_to_cpu(vrh, desc.next);
			continue;
		}
		if (likely(!indirect) || resume < 0)
			return 0;
		at = resume;
		table = vrh->vring.desc;
		entries = vrh->vring.num;
		indirect = false;
	}
}

static __always_inline int ring_put_used(void *ctx, const struct vringh *vrh,
					 const struct ring_access *access,
					 const struct vring_used_elem *used, unsigned int num)
{
	struct vring_used *ring = vrh->vring.used;
	u16 idx = vrh->last_used_idx + vrh->completed;
	unsigned int at = idx & (vrh->vring.num - 1), first = 1;
	int err;

	/* one, the common case, never wraps */
	if (!__builtin_constant_p(num) || num != 1) {
		if (num > vrh->vring.num)
			return ring_bad(vrh, "more is given back than the ring holds", num,
					-EINVAL);
		first = min(num, vrh->vring.num - at);
	}
	err = access->put_used(ctx, &ring->ring[at], used, first);
	if (!err && num != first)
		err = access->put_used(ctx, &ring->ring[0], used + first, num - first);
	if (unlikely(err))
		return ring_bad(vrh, "used entry cannot be written, index", idx, err);

	/* what was done for the other side, and the entry, come before the index */
	virtio_wmb(vrh->weak_barriers);

	err = access->put16(ctx, &ring->idx, cpu_to_vringh16(vrh, idx + num));
	if (unlikely(err))
		return ring_bad(vrh, "used index cannot be written, at", (uintptr_t)ring, err);
	return 0;
}

static __always_inline void ring_count_used(struct vringh *vrh, unsigned int num)
{
	vrh->completed += num;
	trace_vringh_complete(vrh, num, vrh->last_used_idx + vrh->completed);
}

/* Does the other side want to hear of what was given back? */
static __always_inline int ring_wants_event(void *ctx, const struct vringh *vrh,
					    const struct ring_access *access)
{
	const __virtio16 *from = vrh->event_indices ? &vring_used_event(&vrh->vring) :
						      &vrh->vring.avail->flags;
	__virtio16 val;
	u16 says;
	int err;

	/* It arms itself and looks at the index; we write the index and look whether it did. */
	virtio_mb(vrh->weak_barriers);

	err = access->get16(ctx, from, &val);
	if (unlikely(err))
		return ring_bad(vrh, "cannot see whether to notify, at", (uintptr_t)from, err);
	says = vringh16_to_cpu(vrh, val);
	if (!vrh->event_indices)
		return !(says & VRING_AVAIL_F_NO_INTERRUPT);
	/* once around, the indices tell nothing */
	if (unlikely(vrh->completed > U16_MAX))
		return 1;
	return vring_need_event(says, vrh->last_used_idx + vrh->completed, vrh->last_used_idx);
}

/* After an answer, not after an error: what was given back has been told. */
static __always_inline void ring_count_told(struct vringh *vrh)
{
	if (!vrh->event_indices)
		return;
	vrh->last_used_idx += vrh->completed;
	vrh->completed = 0;
}

/* 1: nothing came in meanwhile; 0: something did; or an error. */
static __always_inline int ring_arm(void *ctx, const struct vringh *vrh,
				    const struct ring_access *access)
{
	__virtio16 val;
	int err;

	if (vrh->event_indices)
		err = access->put16(ctx, (__virtio16 *)&vring_avail_event(&vrh->vring),
				    cpu_to_vringh16(vrh, vrh->last_avail_idx));
	else
		err = access->put16(ctx, &vrh->vring.used->flags, 0);
	if (unlikely(err))
		return ring_bad(vrh, "cannot ask for a notification, at",
				(uintptr_t)vrh->vring.used, err);

	/* the other side writes the index and then looks whether we asked */
	virtio_mb(vrh->weak_barriers);

	err = access->get16(ctx, &vrh->vring.avail->idx, &val);
	if (unlikely(err))
		return ring_bad(vrh, "available index cannot be read, at",
				(uintptr_t)vrh->vring.avail, err);
	return vringh16_to_cpu(vrh, val) == vrh->last_avail_idx;
}

/* With event indices there is nothing to do: we are asked once for each arming. */
static __always_inline int ring_disarm(void *ctx, const struct vringh *vrh,
				       const struct ring_access *access)
{
	int err;

	if (vrh->event_indices)
		return 0;
	err = access->put16(ctx, &vrh->vring.used->flags,
			    cpu_to_vringh16(vrh, VRING_USED_F_NO_NOTIFY));
	if (unlikely(err))
		return ring_bad(vrh, "cannot ask for silence, at", (uintptr_t)vrh->vring.used, err);
	return 0;
}

/*
 * A descriptor for the caller, in memory that needs no lock. An error of the ring
 * leaves it where it was, and *head as it is; so does a lack of memory. One of a
 * chain takes the chain away, and *head says which.
 */
static __always_inline int ring_getdesc(void *ctx, struct vringh *vrh,
					const struct ring_access *access,
					struct vringh_kiov *riov, struct vringh_kiov *wiov,
					u16 *head, gfp_t gfp)
{
	struct vringh_kiov *full;
	u16 taken;
	int ret;

	if (WARN_ON_ONCE(!riov && !wiov))
		return -EINVAL;
	ret = ring_next_head(ctx, vrh, access, &taken);
	if (ret <= 0)
		return ret;
	while ((ret = ring_walk(ctx, vrh, access, taken, riov, wiov, &full)) == RING_FULL)
		if (ring_iov_grow(full, gfp))
			return -ENOMEM;
	*head = taken;
	vrh->last_avail_idx++;
	if (unlikely(ret))
		return ret;
	trace_vringh_getdesc(vrh, taken, riov, wiov);
	return 1;
}

#endif
