/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What dirty_ring.c offers to its neighbours in virt/kvm beyond the interface
 * of linux/kvm_dirty_ring.h.  Nothing outside of kvm.ko sees this.
 */
#ifndef __KVM_DIRTY_RING_PRIVATE_H
#define __KVM_DIRTY_RING_PRIVATE_H

#include <linux/kvm_host.h>

/* A consistent enough snapshot for statistics: each value alone is exact. */
struct kvm_dirty_ring_stats {
	u64 pushes;
	u64 full_exits;
	u64 entries_reset;
	u64 entries_rejected;
	u64 lost;
};

int kvm_dirty_ring_reset_all(struct kvm *kvm);
/* For the vCPU's own thread; false for a VM without rings. */
bool kvm_dirty_ring_is_soft_full(struct kvm_dirty_ring *ring);
void kvm_dirty_ring_get_stats(struct kvm_dirty_ring *ring,
			      struct kvm_dirty_ring_stats *stats);
ssize_t kvm_dirty_ring_stats_read(struct kvm_vcpu *vcpu, char __user *buf,
				  size_t size, loff_t *offset);

#endif /* __KVM_DIRTY_RING_PRIVATE_H */
