// SPDX-License-Identifier: GPL-2.0
/*
 * Rings in the kernel's own memory, of descriptors with the kernel's own addresses: the
 * other side is trusted with those, not with how it links them.
 */
#include <linux/export.h>
#include <linux/string.h>

#include "ring.h"

static int kern_get16(void *ctx, const __virtio16 *from, __virtio16 *val)
{
	*val = READ_ONCE(*from);
	return 0;
}

static int kern_put16(void *ctx, __virtio16 *to, __virtio16 val)
{
	WRITE_ONCE(*to, val);
	return 0;
}

static int kern_get_desc(void *ctx, const struct vring_desc *from, struct vring_desc *desc,
			 bool indirect)
{
	memcpy(desc, from, sizeof(*desc));
	/* no second look at what can change meanwhile */
	barrier();
	return 0;
}

static int kern_put_used(void *ctx, struct vring_used_elem *to, const struct vring_used_elem *used,
			 unsigned int num)
{
	memcpy(to, used, num * sizeof(*to));
	return 0;
}

static int kern_reach(void *ctx, u64 addr, size_t *len, void **base)
{
	*base = (void *)(uintptr_t)addr;
	return 0;
}

static const struct ring_access kern_access = {
	.get16		= kern_get16,
	.put16		= kern_put16,
	.get_desc	= kern_get_desc,
	.put_used	= kern_put_used,
	.reach		= kern_reach,
};

/**
 * vringh_init_kern - set up the host side of a ring in kernel memory
 * @vrh: what is set up
 * @features: those that were negotiated
 * @num: how many descriptors the ring has
 * @weak_barriers: barriers between CPUs will do, the other side is no device
 * @desc: the descriptors
 * @avail: what the other side offers
 * @used: what we give back
 *
 * Return: 0; -EINVAL if @num is no power of two or too large.
 */
int vringh_init_kern(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
		     struct vring_desc *desc, struct vring_avail *avail, struct vring_used *used)
{
	return ring_init(vrh, features, num, weak_barriers, desc, avail, used);
}
EXPORT_SYMBOL(vringh_init_kern);

/**
 * vringh_getdesc_kern - take the next descriptor chain that is offered
 * @vrh: the ring
 * @riov: where its readable part is put, or NULL: it must have none
 * @wiov: where its writable part is put, or NULL: it must have none
 * @head: what to give back to vringh_complete_kern()
 * @gfp: for longer iovs
 *
 * Both iovs are overwritten, and may come from an earlier call. In the end, also after an
 * error, vringh_kiov_cleanup() frees what was allocated for them.
 *
 * Return: 1; 0 if nothing is offered; or an error. Where *@head is what it was before the
 * call, the error was none of a chain, which is still there: it was of the ring, or -ENOMEM.
 * Otherwise *@head is a chain that is good for nothing.
 */
int vringh_getdesc_kern(struct vringh *vrh, struct vringh_kiov *riov, struct vringh_kiov *wiov,
			u16 *head, gfp_t gfp)
{
	return ring_getdesc(vrh, vrh, &kern_access, riov, wiov, head, gfp);
}
EXPORT_SYMBOL(vringh_getdesc_kern);

/**
 * vringh_iov_pull_kern - copy out of a chain
 * @riov: its readable part, moved on by what is copied
 * @dst: where to
 * @len: how much at most
 *
 * Return: how much was copied.
 */
ssize_t vringh_iov_pull_kern(struct vringh_kiov *riov, void *dst, size_t len)
{
	size_t done = 0;

	while (done < len && riov->i < riov->used) {
		size_t part = min(len - done, riov->iov[riov->i].iov_len);

		memcpy(dst + done, riov->iov[riov->i].iov_base, part);
		ring_iov_consume(riov, part);
		done += part;
	}
	return done;
}
EXPORT_SYMBOL(vringh_iov_pull_kern);

/**
 * vringh_iov_push_kern - copy into a chain
 * @wiov: its writable part, moved on by what is copied
 * @src: where from
 * @len: how much at most
 *
 * Return: how much was copied.
 */
ssize_t vringh_iov_push_kern(struct vringh_kiov *wiov, const void *src, size_t len)
{
	size_t done = 0;

	while (done < len && wiov->i < wiov->used) {
		size_t part = min(len - done, wiov->iov[wiov->i].iov_len);

		memcpy(wiov->iov[wiov->i].iov_base, src + done, part);
		ring_iov_consume(wiov, part);
		done += part;
	}
	return done;
}
EXPORT_SYMBOL(vringh_iov_push_kern);

/**
 * vringh_abandon_kern - put the last descriptors back, to be taken again
 * @vrh: the ring
 * @num: how many
 */
void vringh_abandon_kern(struct vringh *vrh, unsigned int num)
{
	vrh->last_avail_idx -= num;
}
EXPORT_SYMBOL(vringh_abandon_kern);

/**
 * vringh_complete_kern - give a descriptor chain back
 * @vrh: the ring
 * @head: which, as vringh_getdesc_kern() said
 * @len: how much was written to it
 *
 * Afterwards, or after several, ask vringh_need_notify_kern().
 *
 * Return: 0.
 */
int vringh_complete_kern(struct vringh *vrh, u16 head, u32 len)
{
	struct vring_used_elem used = {
		.id	= cpu_to_vringh32(vrh, head),
		.len	= cpu_to_vringh32(vrh, len),
	};
	int err = ring_put_used(vrh, vrh, &kern_access, &used, 1);

	if (!err)
		ring_count_used(vrh, 1);
	return err;
}
EXPORT_SYMBOL(vringh_complete_kern);

/**
 * vringh_notify_enable_kern - ask to be told of new descriptors
 * @vrh: the ring
 *
 * Return: true if there are none; false if some came meanwhile, of which we may not be
 * told.
 */
bool vringh_notify_enable_kern(struct vringh *vrh)
{
	return ring_arm(vrh, vrh, &kern_access) != 0;
}
EXPORT_SYMBOL(vringh_notify_enable_kern);

/**
 * vringh_notify_disable_kern - ask not to be told of new descriptors
 * @vrh: the ring
 */
void vringh_notify_disable_kern(struct vringh *vrh)
{
	ring_disarm(vrh, vrh, &kern_access);
}
EXPORT_SYMBOL(vringh_notify_disable_kern);

/**
 * vringh_need_notify_kern - does the other side want to be told of what was given back?
 * @vrh: the ring
 *
 * Return: 1 or 0.
 */
int vringh_need_notify_kern(struct vringh *vrh)
{
	int ret = ring_wants_event(vrh, vrh, &kern_access);

	if (ret >= 0)
		ring_count_told(vrh);
	return ret;
}
EXPORT_SYMBOL(vringh_need_notify_kern);
