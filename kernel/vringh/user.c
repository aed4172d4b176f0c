// SPDX-License-Identifier: GPL-2.0
/*
 * Rings in the memory of the process that we run for. Its addresses are the ring's;
 * those in descriptors are the other side's, and the caller knows by ranges what they
 * are here.
 */
#include <linux/build_bug.h>
#include <linux/export.h>
#include <linux/uaccess.h>

#include "ring.h"

/* A kiov's functions serve both. */
static_assert(sizeof(struct vringh_iov) == sizeof(struct vringh_kiov));
static_assert(offsetof(struct vringh_iov, iov) == offsetof(struct vringh_kiov, iov));
static_assert(offsetof(struct vringh_iov, consumed) == offsetof(struct vringh_kiov, consumed));
static_assert(offsetof(struct vringh_iov, i) == offsetof(struct vringh_kiov, i));
static_assert(offsetof(struct vringh_iov, used) == offsetof(struct vringh_kiov, used));
static_assert(offsetof(struct vringh_iov, max_num) == offsetof(struct vringh_kiov, max_num));
static_assert(sizeof(struct iovec) == sizeof(struct kvec));
static_assert(offsetof(struct iovec, iov_base) == offsetof(struct kvec, iov_base));
static_assert(offsetof(struct iovec, iov_len) == offsetof(struct kvec, iov_len));

typedef bool (*getrange_t)(struct vringh *vrh, u64 addr, struct vringh_range *r);

/* One chain: the range that was asked for last serves until an address is outside. */
struct user_chain {
	struct vringh *vrh;
	getrange_t getrange;
	struct vringh_range range;
};

static int user_get16(void *ctx, const __virtio16 *from, __virtio16 *val)
{
	return get_user(*val, (const __virtio16 __force __user *)from);
}

static int user_put16(void *ctx, __virtio16 *to, __virtio16 val)
{
	return put_user(val, (__virtio16 __force __user *)to);
}

static int user_put_used(void *ctx, struct vring_used_elem *to, const struct vring_used_elem *used,
			 unsigned int num)
{
	return copy_to_user((void __force __user *)to, used, num * sizeof(*to)) ? -EFAULT : 0;
}

/* @len is cut where the range ends that @addr is in. */
static int user_reach(void *ctx, u64 addr, size_t *len, void **base)
{
	struct user_chain *chain = ctx;
	struct vringh_range *range = &chain->range;

	/* nothing wraps around the end of all addresses */
	if (*len && addr + *len - 1 < addr)
		return -EINVAL;
	if (addr < range->start || addr > range->end_incl) {
		if (!chain->getrange(chain->vrh, addr, range))
			return -EINVAL;
		if (addr < range->start || addr > range->end_incl)
			return -EINVAL;
	}
	if (*len && *len - 1 > range->end_incl - addr)
		*len = range->end_incl - addr + 1;
	*base = (void *)(uintptr_t)(addr + range->offset);
	return 0;
}

static int user_get_desc(void *ctx, const struct vring_desc *from, struct vring_desc *desc,
			 bool indirect)
{
	u64 addr = (uintptr_t)from;
	size_t done = 0, part;
	void *base;
	int err;

	if (!indirect)
		return copy_from_user(desc, (const void __force __user *)from, sizeof(*desc)) ?
			-EFAULT : 0;
	for (; done < sizeof(*desc); done += part) {
		part = sizeof(*desc) - done;
		err = user_reach(ctx, addr + done, &part, &base);
		if (err)
			return err;
		if (copy_from_user((void *)desc + done, (const void __force __user *)base, part))
			return -EFAULT;
	}
	return 0;
}

static const struct ring_access user_access = {
	.get16		= user_get16,
	.put16		= user_put16,
	.get_desc	= user_get_desc,
	.put_used	= user_put_used,
	.reach		= user_reach,
};

/**
 * vringh_init_user - set up the host side of a ring in user memory
 * @vrh: what is set up
 * @features: those that were negotiated
 * @num: how many descriptors the ring has
 * @weak_barriers: barriers between CPUs will do, the other side is no device
 * @desc: the descriptors
 * @avail: what the other side offers
 * @used: what we give back
 *
 * Return: 0; -EINVAL if @num is no power of two or too large. Pointers are checked when
 * they are used.
 */
int vringh_init_user(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
		     vring_desc_t __user *desc, vring_avail_t __user *avail,
		     vring_used_t __user *used)
{
	return ring_init(vrh, features, num, weak_barriers, (struct vring_desc __force *)desc,
			 (struct vring_avail __force *)avail, (struct vring_used __force *)used);
}
EXPORT_SYMBOL(vringh_init_user);

/**
 * vringh_getdesc_user - take the next descriptor chain that is offered
 * @vrh: the ring
 * @riov: where its readable part is put, or NULL: it must have none
 * @wiov: where its writable part is put, or NULL: it must have none
 * @getrange: says in which range an address is and what is added to it, or that it is in
 *	none
 * @head: what to give back to vringh_complete_user()
 *
 * Both iovs are overwritten, and may come from an earlier call. In the end, also after an
 * error, vringh_iov_cleanup() frees what was allocated for them.
 *
 * Context: process context of the ring's owner; may sleep.
 * Return: as vringh_getdesc_kern(), but that *@head is the ring's size where there is no chain.
 */
int vringh_getdesc_user(struct vringh *vrh, struct vringh_iov *riov, struct vringh_iov *wiov,
			bool (*getrange)(struct vringh *vrh, u64 addr, struct vringh_range *r),
			u16 *head)
{
	struct user_chain chain = {
		.vrh		= vrh,
		.getrange	= getrange,
		/* no address is in this one */
		.range		= { .start = U64_MAX },
	};

	/* the others leave it alone */
	*head = vrh->vring.num;
	return ring_getdesc(&chain, vrh, &user_access, (struct vringh_kiov *)riov,
			    (struct vringh_kiov *)wiov, head, GFP_KERNEL);
}
EXPORT_SYMBOL(vringh_getdesc_user);

/**
 * vringh_iov_pull_user - copy out of a chain
 * @riov: its readable part, moved on by what is copied
 * @dst: where to
 * @len: how much at most
 *
 * Return: how much was copied, or -EFAULT.
 */
ssize_t vringh_iov_pull_user(struct vringh_iov *riov, void *dst, size_t len)
{
	size_t done = 0;

	while (done < len && riov->i < riov->used) {
		struct iovec *from = &riov->iov[riov->i];
		size_t part = min(len - done, from->iov_len);

		if (copy_from_user(dst + done, from->iov_base, part))
			return -EFAULT;
		ring_iov_consume((struct vringh_kiov *)riov, part);
		done += part;
	}
	return done;
}
EXPORT_SYMBOL(vringh_iov_pull_user);

/**
 * vringh_iov_push_user - copy into a chain
 * @wiov: its writable part, moved on by what is copied
 * @src: where from
 * @len: how much at most
 *
 * Return: how much was copied, or -EFAULT.
 */
ssize_t vringh_iov_push_user(struct vringh_iov *wiov, const void *src, size_t len)
{
	size_t done = 0;

	while (done < len && wiov->i < wiov->used) {
		struct iovec *to = &wiov->iov[wiov->i];
		size_t part = min(len - done, to->iov_len);

		if (copy_to_user(to->iov_base, src + done, part))
			return -EFAULT;
		ring_iov_consume((struct vringh_kiov *)wiov, part);
		done += part;
	}
	return done;
}
EXPORT_SYMBOL(vringh_iov_push_user);

/**
 * vringh_abandon_user - put the last descriptors back, to be taken again
 * @vrh: the ring
 * @num: how many
 */
void vringh_abandon_user(struct vringh *vrh, unsigned int num)
{
	vrh->last_avail_idx -= num;
}
EXPORT_SYMBOL(vringh_abandon_user);

/**
 * vringh_complete_user - give a descriptor chain back
 * @vrh: the ring
 * @head: which, as vringh_getdesc_user() said
 * @len: how much was written to it
 *
 * Afterwards, or after several, ask vringh_need_notify_user().
 *
 * Return: 0 or -EFAULT.
 */
int vringh_complete_user(struct vringh *vrh, u16 head, u32 len)
{
	struct vring_used_elem used = {
		.id	= cpu_to_vringh32(vrh, head),
		.len	= cpu_to_vringh32(vrh, len),
	};
	int err = ring_put_used(vrh, vrh, &user_access, &used, 1);

	if (!err)
		ring_count_used(vrh, 1);
	return err;
}
EXPORT_SYMBOL(vringh_complete_user);

/**
 * vringh_complete_multi_user - give several descriptor chains back
 * @vrh: the ring
 * @used: which, and how much was written to each, as it is to stand in the ring
 * @num_used: how many
 *
 * The other side sees all of them or none.
 *
 * Return: 0; -EINVAL for more than the ring has; -EFAULT.
 */
int vringh_complete_multi_user(struct vringh *vrh, const struct vring_used_elem used[],
			       unsigned int num_used)
{
	int err = ring_put_used(vrh, vrh, &user_access, used, num_used);

	if (!err)
		ring_count_used(vrh, num_used);
	return err;
}
EXPORT_SYMBOL(vringh_complete_multi_user);

/**
 * vringh_notify_enable_user - ask to be told of new descriptors
 * @vrh: the ring
 *
 * Return: true if there are none, or the ring cannot be reached; false if some came
 * meanwhile, of which we may not be told.
 */
bool vringh_notify_enable_user(struct vringh *vrh)
{
	return ring_arm(vrh, vrh, &user_access) != 0;
}
EXPORT_SYMBOL(vringh_notify_enable_user);

/**
 * vringh_notify_disable_user - ask not to be told of new descriptors
 * @vrh: the ring
 */
void vringh_notify_disable_user(struct vringh *vrh)
{
	ring_disarm(vrh, vrh, &user_access);
}
EXPORT_SYMBOL(vringh_notify_disable_user);

/**
 * vringh_need_notify_user - does the other side want to be told of what was given back?
 * @vrh: the ring
 *
 * Return: 1, 0 or -EFAULT.
 */
int vringh_need_notify_user(struct vringh *vrh)
{
	int ret = ring_wants_event(vrh, vrh, &user_access);

	if (ret >= 0)
		ring_count_told(vrh);
	return ret;
}
EXPORT_SYMBOL(vringh_need_notify_user);
