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
	struct {
		s64 counter;
	} pinned_vm;
};

struct files_struct {
	struct fdtable *fdt;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct task_struct {
	struct task_struct *group_leader;
	struct mm_struct *mm;
	struct files_struct *files;
	u64 start_boottime;
	int tgid;
	char comm[16];
};

struct kvm {
	struct mm_struct *mm;
	struct kvm_memslots *memslots[2];
	u32 dirty_ring_size;		/* bytes */
	struct {
		struct {
			int counter;
		} refs;
	} users_count;
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

struct module {
	char name[56];
};

struct file_operations {
	struct module *owner;
};

struct file {
	const struct file_operations *f_op;
	struct path f_path;
	struct inode *f_inode;
	void *private_data;
};

struct list_head {
	struct list_head *next;
};

/* drivers/vhost/vhost.h, include/linux/vhost_iotlb.h, include/uapi/linux/vhost_types.h */
struct vhost_iotlb {
	unsigned int limit;
	unsigned int nmaps;
};

struct vhost_dev {
	struct mm_struct *mm;
	struct vhost_iotlb *iotlb;
	struct list_head read_list;
};

struct vhost_poll {
	struct vhost_dev *dev;
	struct vhost_work {
		unsigned long flags;
	} work;
};

struct vhost_virtqueue {
	struct vhost_dev *dev;
};

struct vhost_iotlb_msg {
	u64 iova;
	u64 size;
	u8 type;
};

struct vhost_msg {
	struct vhost_iotlb_msg iotlb;
};

struct vhost_msg_node {
	struct vhost_msg msg;	/* v2's has its iotlb at the same place */
};

/* include/linux/vdpa.h, drivers/vhost/vdpa.c, drivers/virtio/virtio_vdpa.c */
struct kobject {
	const char *name;
};

struct device {
	struct kobject kobj;
};

struct vdpa_device {
	struct device dev;
	unsigned int index;
};

struct vhost_vdpa {
	struct vhost_dev vdev;
	struct vdpa_device *vdpa;
};

struct virtio_device {
	struct device dev;
};

struct virtqueue {
	struct virtio_device *vdev;
};

struct virtio_vdpa_device {
	struct virtio_device vdev;
	struct vdpa_device *vdpa;
};

/* drivers/vfio/container.c, vfio.h, vfio_iommu_type1.c */
struct vfio_iommu_driver {
	const struct vfio_iommu_driver_ops *ops;
};

struct vfio_iommu_driver_ops {
	struct module *owner;
};

struct vfio_container {
	struct vfio_iommu_driver *iommu_driver;
	void *iommu_data;
};

struct vfio_iommu {
	unsigned int dma_avail;
	u64 num_non_pinned_groups;
	bool dirty_page_tracking;
};

struct iov_iter;
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

/* include/uapi/linux/vhost_types.h */
#define VHOST_IOTLB_MISS	1
#define VHOST_IOTLB_UPDATE	2
#define VHOST_IOTLB_INVALIDATE	3
#define VHOST_IOTLB_BATCH_BEGIN	5
#define VHOST_IOTLB_BATCH_END	6

/* include/uapi/linux/magic.h */
#define ANON_INODE_FS_MAGIC	0x09041934

#endif
