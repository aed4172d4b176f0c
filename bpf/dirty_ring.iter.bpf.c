// SPDX-License-Identifier: GPL-2.0
/*
 * Source dirty_ring, looking instead of waiting: ms_ring_files walks all open
 * files and finds the VMs that ran before us; ms_ring_now walks the rings we
 * know. Both write a struct ms_ring_now for each ring, with the indices of this
 * moment: the tail that no reset has shown yet.
 *
 * The walk over files sees the pid namespace of its reader.
 */
#include "dirty_ring.h"

static __always_inline void ms_ring_write_now(struct seq_file *seq, struct kvm_dirty_ring *ring,
					      struct ms_ring *r)
{
	struct ms_ring_now now = { .ring = (u64)ring };
	u32 before = *(volatile u32 *)&r->seq;

	barrier();
	now.state = *r;
	now.reset_index = BPF_CORE_READ(ring, reset_index);
	now.dirty_index = BPF_CORE_READ(ring, dirty_index);
	barrier();
	/* a reset was being counted: the reader asks again */
	now.state.seq = before | (before != *(volatile u32 *)&r->seq);
	/* should it end unseen, this is what is known of it; one that went back is of the next ring here */
	if ((s32)(now.dirty_index - r->last_dirty) >= 0)
		r->seen_dirty = now.dirty_index;
	if (now.dirty_index - now.reset_index > r->used_max &&
	    now.dirty_index - now.reset_index <= r->size)
		r->used_max = now.dirty_index - now.reset_index;
	bpf_seq_write(seq, &now, sizeof(now));
}

/* vCPU files are anonymous inodes, and only KVM gives one this name. */
static __always_inline bool ms_is_vcpu(struct file *file)
{
	char n[9] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return false;
	bpf_probe_read_kernel(n, sizeof(n), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	return n[0] == 'k' && n[1] == 'v' && n[2] == 'm' && n[3] == '-' && n[4] == 'v' &&
	       n[5] == 'c' && n[6] == 'p' && n[7] == 'u' && n[8] == ':';
}

SEC("iter/task_file")
int ms_ring_files(struct bpf_iter__task_file *ctx)
{
	struct ms_config *config = ms_config_get();
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct kvm_dirty_ring *ring;
	struct kvm_vcpu *vcpu;
	struct mm_struct *mm;
	struct ms_ring *r;
	struct kvm *kvm;
	u64 key;

	if (!task || !file || !ms_is_vcpu(file))
		return 0;
	vcpu = BPF_CORE_READ(file, private_data);
	if (!vcpu)
		return 0;
	kvm = BPF_CORE_READ(vcpu, kvm);
	mm = BPF_CORE_READ(kvm, mm);
	/* where nobody says whose the VM is, it is his who has its memory, not any file of it */
	if (!bpf_core_field_exists(mm->owner) && BPF_CORE_READ(task, mm) != mm)
		return 0;
	/* a VM in bitmap mode is known from here on, too */
	if (!ms_vm_id_of(kvm, task))
		return 0;
	ring = (void *)vcpu + bpf_core_field_offset(struct kvm_vcpu, dirty_ring);
	if (!BPF_CORE_READ(ring, dirty_gfns))
		return 0;
	/* a descriptor may be open in several processes; the ring is recorded once */
	key = (u64)ring;
	r = bpf_map_lookup_elem(&ms_rings, &key);
	if (!r)
		r = ms_ring_add(ring, config && config->seeded);
	if (r)
		ms_ring_write_now(ctx->meta->seq, ring, r);
	return 0;
}

SEC("iter/bpf_map_elem")
int ms_ring_now(struct bpf_iter__bpf_map_elem *ctx)
{
	u64 *key = ctx->key;
	struct ms_ring *r = ctx->value;

	if (!key || !r)
		return 0;
	ms_ring_write_now(ctx->meta->seq, (struct kvm_dirty_ring *)*key, r);
	return 0;
}
