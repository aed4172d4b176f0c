/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel structs that our programs touch, and of those only the fields:
 * what migscope depends on, readable on one page. Offsets come from the running
 * kernel's BTF when a program is loaded (CO-RE); a field that a kernel does not
 * have is asked for by bpf_core_field_exists() before it is read.
 */
#ifndef MIGSCOPE_KERNEL_TYPES_H
#define MIGSCOPE_KERNEL_TYPES_H

#include <linux/types.h>
#include <stdbool.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* virt/kvm/dirty_ring.c */
struct kvm_dirty_ring {
	u32 dirty_index;
	u32 reset_index;
	u32 size;
	u32 soft_limit;
	void *dirty_gfns;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct kvm_memory_slot {
	struct hlist_node id_node[2];
	unsigned long npages;
	u32 flags;
	short id;
};

struct kvm_memslots {
	struct hlist_head id_hash[128];
	int node_idx;
};

struct mm_struct {
	struct task_struct *owner;	/* CONFIG_MEMCG */
};

struct task_struct {
	struct task_struct *group_leader;
	struct mm_struct *mm;
	u64 start_boottime;
	int tgid;
	char comm[16];
};

struct kvm {
	struct mm_struct *mm;
	struct kvm_memslots *memslots[2];
	u32 dirty_ring_size;		/* bytes */
};

struct kvm_vcpu {
	struct kvm *kvm;
	u32 vcpu_id;
	u32 vcpu_idx;
	struct kvm_dirty_ring dirty_ring;
};

/* arch-independent part of the user API, include/uapi/linux/kvm.h */
struct kvm_dirty_log {
	u32 slot;
};

struct kvm_clear_dirty_log {
	u32 slot;
	u32 num_pages;
	u64 first_page;
};

enum kvm_mr_change {
	KVM_MR_CREATE,
	KVM_MR_DELETE,
	KVM_MR_MOVE,
	KVM_MR_FLAGS_ONLY,
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct super_block {
	unsigned long s_magic;
};

struct inode {
	struct super_block *i_sb;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd;
	struct file *file;
};

struct bpf_map;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop

/* include/uapi/linux/kvm.h */
#define KVM_MEM_LOG_DIRTY_PAGES	(1UL << 0)

/* include/uapi/linux/magic.h */
#define ANON_INODE_FS_MAGIC	0x09041934

#endif
