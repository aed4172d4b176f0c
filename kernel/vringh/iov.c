// SPDX-License-Identifier: GPL-2.0
/*
 * What all kinds of rings share and what is not worth inlining: setting up, the memory
 * that describes a chain, complaints.
 */
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/slab.h>
#include <uapi/linux/virtio_config.h>

#define CREATE_TRACE_POINTS
#include "ring.h"

/* Nobody needs to hear it more often than rarely: the other side decides how often it is so. */
noinline __cold int ring_bad(const struct vringh *vrh, const char *what, u64 value, int err)
{
	if (err == RING_ABSENT)
		return err;
	trace_vringh_bad(vrh, what, value, err);
	pr_notice_ratelimited("vringh: %s 0x%llx: error %d\n", what, value, err);
	return err;
}

int ring_init(struct vringh *vrh, u64 features, unsigned int num, bool weak_barriers,
	      struct vring_desc *desc, struct vring_avail *avail, struct vring_used *used)
{
	if (!is_power_of_2(num) || num > U16_MAX)
		return ring_bad(vrh, "no size for a ring", num, -EINVAL);

	vrh->little_endian = features & BIT_ULL(VIRTIO_F_VERSION_1);
	vrh->event_indices = features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	vrh->weak_barriers = weak_barriers;
	vrh->last_avail_idx = 0;
	vrh->last_used_idx = 0;
	vrh->completed = 0;
	vrh->vring = (struct vring) {
		.num	= num,
		.desc	= desc,
		.avail	= avail,
		.used	= used,
	};
	return 0;
}

/* Twice as long; what was in it is lost. It stays as it was if there is no memory. */
int ring_iov_grow(struct vringh_kiov *iov, gfp_t gfp)
{
	unsigned int num = iov->max_num & ~VRINGH_IOV_ALLOCATED;
	struct kvec *larger;

	num = max(2 * num, 8U);
	larger = kmalloc_array(num, sizeof(*larger), gfp | __GFP_NOWARN);
	if (!larger)
		return -ENOMEM;
	ring_iov_empty(iov);
	if (iov->max_num & VRINGH_IOV_ALLOCATED)
		kfree(iov->iov);
	iov->iov = larger;
	iov->max_num = num | VRINGH_IOV_ALLOCATED;
	return 0;
}

/**
 * vringh_kiov_advance - skip bytes of what is left of an iov
 * @iov: as vringh_getdesc_*() filled it in, or as it was left
 * @len: how many; where there are fewer left, all are skipped
 */
void vringh_kiov_advance(struct vringh_kiov *iov, size_t len)
{
	while (len && iov->i < iov->used) {
		size_t part = min(len, iov->iov[iov->i].iov_len);

		ring_iov_consume(iov, part);
		len -= part;
	}
}
EXPORT_SYMBOL(vringh_kiov_advance);

MODULE_DESCRIPTION("host side of a virtio ring");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
