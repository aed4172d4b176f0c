// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics file of a vCPU that has a dirty ring.
 *
 * struct kvm_vcpu_stat is part of struct kvm_vcpu and cannot grow; but the
 * file describes itself, so the ring's values are put together with the
 * others when it is read: their descriptors follow the others', and their
 * values follow the others'.  A vCPU without a ring has none of them.
 */
#include <linux/kvm_host.h>
#include <linux/kvm.h>
#include <linux/uaccess.h>
#include "dirty_ring.h"

#define RING_STAT(stat)							\
{									\
	STATS_DESC_COMMON(KVM_STATS_TYPE_CUMULATIVE, KVM_STATS_UNIT_NONE, \
			  KVM_STATS_BASE_POW10, 0, 1, 0),		\
	.offset = sizeof(struct kvm_vcpu_stat) +			\
		  offsetof(struct kvm_dirty_ring_stats, stat),		\
	.name = "dirty_ring_" #stat,					\
}

static const struct kvm_stats_desc ring_stats_desc[] = {
	RING_STAT(pushes),
	RING_STAT(full_exits),
	RING_STAT(entries_reset),
	RING_STAT(entries_rejected),
	RING_STAT(lost),
};

/* Copies what of [@src, @src + @len), which lies at @at in the file, is asked for. */
static int copy_part(char __user *buf, size_t size, loff_t pos,
		     loff_t at, const void *src, size_t len)
{
	loff_t from = max(pos, at);
	loff_t to = min_t(loff_t, pos + size, at + len);

	if (from >= to)
		return 0;
	if (copy_to_user(buf + (from - pos), src + (from - at), to - from))
		return -EFAULT;
	return 0;
}

ssize_t kvm_dirty_ring_stats_read(struct kvm_vcpu *vcpu, char __user *buf,
				  size_t size, loff_t *offset)
{
	struct kvm_stats_header header = kvm_vcpu_stats_header;
	struct kvm_dirty_ring_stats stats;
	const struct {
		const void *src;
		size_t len;
	} parts[] = {
		{ &header, sizeof(header) },
		{ vcpu->stats_id, KVM_STATS_NAME_SIZE },
		{ kvm_vcpu_stats_desc, header.num_desc * sizeof(*kvm_vcpu_stats_desc) },
		{ ring_stats_desc, sizeof(ring_stats_desc) },
		{ &vcpu->stat, sizeof(vcpu->stat) },
		{ &stats, sizeof(stats) },
	};
	loff_t pos = *offset, at = 0;
	int i;

	BUILD_BUG_ON(sizeof(struct kvm_vcpu_stat) % sizeof(u64));
	BUILD_BUG_ON(sizeof(ring_stats_desc) / sizeof(*ring_stats_desc) !=
		     sizeof(stats) / sizeof(u64));

	kvm_dirty_ring_get_stats(&vcpu->dirty_ring, &stats);
	header.num_desc += ARRAY_SIZE(ring_stats_desc);
	header.data_offset += sizeof(ring_stats_desc);

	if (pos < 0)
		return -EINVAL;
	size = min_t(size_t, size, MAX_RW_COUNT);

	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		if (copy_part(buf, size, pos, at, parts[i].src, parts[i].len))
			return -EFAULT;
		at += parts[i].len;
	}

	if (pos >= at)
		return 0;
	size = min_t(loff_t, size, at - pos);
	*offset = pos + size;
	return size;
}
