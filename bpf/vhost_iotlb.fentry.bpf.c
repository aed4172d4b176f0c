// SPDX-License-Identifier: GPL-2.0
/*
 * Source vhost_iotlb, default mode, on the kernel's own vhost, which has no event: misses,
 * messages and what they did to the table. Nothing runs when an address is translated.
 *
 * A lookup that finds nothing is no miss: unmap and overlap checks end in nothing as a
 * matter of course. What is counted is the message that the device sends because of it.
 */
#include "vhost_iotlb.h"

/* Also called when the VMM has read a miss: it goes to another list then. */
SEC("fentry/vhost_enqueue_msg")
int BPF_PROG(ms_iotlb_miss, struct vhost_dev *dev, struct list_head *head,
	     struct vhost_msg_node *node)
{
	struct ms_iotlb_dev *v;

	if (!dev || (void *)head != (void *)dev + bpf_core_field_offset(struct vhost_dev, read_list) ||
	    BPF_CORE_READ(node, msg.iotlb.type) != VHOST_IOTLB_MISS)
		return 0;
	v = ms_iotlb_by_id(ms_iotlb_id(dev));
	if (!v)
		return 0;
	ms_iotlb_missed(v, BPF_CORE_READ(node, msg.iotlb.iova));
	ms_iotlb_miss_of_call();
	return 0;
}

SEC("fentry/vhost_chr_write_iter")
int BPF_PROG(ms_iotlb_msg_begin, struct vhost_dev *dev)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_iotlb_msg msg = {};

	if (!dev)
		return 0;
	/* without a table it is refused, or it is vhost_vdpa's, which has tables of its own */
	msg.table = (u64)BPF_CORE_READ(dev, iotlb);
	if (!msg.table)
		return 0;
	msg.id = ms_iotlb_id(dev);
	if (!msg.id)
		return 0;
	if (bpf_map_update_elem(&ms_iotlb_msgs, &tid, &msg, BPF_ANY))
		ms_self_add(MS_SELF_PENDING_FULL, 1);
	return 0;
}

SEC("fexit/vhost_chr_write_iter")
int BPF_PROG(ms_iotlb_msg_end, struct vhost_dev *dev, struct iov_iter *from, long ret)
{
	u64 tid = bpf_get_current_pid_tgid();
	struct ms_iotlb_msg *msg = ms_iotlb_msg();
	struct ms_iotlb_dev *v;
	struct file *file;
	u32 e;

	if (!msg)
		return 0;
	v = ms_iotlb_by_id(msg->id);
	if (!v)
		goto out;
	if (ret < 0) {
		/* vhost makes EFAULT of whatever the table said */
		e = ms_errno(msg->err < 0 ? msg->err : ret);
		if (e < MS_ERRNO_COUNT)
			__sync_fetch_and_add(&v->errors[e], 1);
	} else if (msg->op == MS_IOTLB_UPDATE) {
		__sync_fetch_and_add(&v->updates, 1);
	} else if (msg->op == MS_IOTLB_INVALIDATE) {
		__sync_fetch_and_add(&v->invalidates, 1);
	}
	/* one that ran before us shows here which file it is */
	if (!v->file[0]) {
		file = ms_file_of_call(dev);
		if (file)
			ms_file_name(file, v->file);
	}
	if ((u64)BPF_CORE_READ(dev, iotlb) == msg->table)
		ms_iotlb_look(v, (struct vhost_iotlb *)msg->table);
out:
	bpf_map_delete_elem(&ms_iotlb_msgs, &tid);
	return 0;
}

SEC("fentry/vhost_iotlb_add_range")
int BPF_PROG(ms_iotlb_add_begin, struct vhost_iotlb *table)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);

	if (msg)
		msg->before = BPF_CORE_READ(table, nmaps);
	return 0;
}

SEC("fexit/vhost_iotlb_add_range")
int BPF_PROG(ms_iotlb_add_end, struct vhost_iotlb *table, u64 start, u64 last, u64 addr,
	     unsigned int perm, int ret)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);
	u32 maps, after;
	struct ms_iotlb_dev *v;

	v = msg ? ms_iotlb_by_id(msg->id) : NULL;
	if (!v)
		return 0;
	msg->op = MS_IOTLB_UPDATE;
	msg->err = ret;
	if (ret)
		return 0;
	ms_iotlb_added(v, start, last);
	/* all there is is kept as two maps, for its size is no 64 bit number */
	maps = !start && last == ~0ULL ? 2 : 1;
	after = BPF_CORE_READ(table, nmaps);
	if (msg->before + maps > after)
		__sync_fetch_and_add(&v->evictions, msg->before + maps - after);
	return 0;
}

/* Maps are also deleted when a table goes; then nobody is writing a message. */
SEC("fentry/vhost_iotlb_del_range")
int BPF_PROG(ms_iotlb_del, struct vhost_iotlb *table)
{
	struct ms_iotlb_msg *msg = ms_iotlb_msg_for(table);

	if (msg)
		msg->op = MS_IOTLB_INVALIDATE;
	return 0;
}

/* The device gets a table: it is one that translates from here on. */
SEC("fexit/vhost_init_device_iotlb")
int BPF_PROG(ms_iotlb_table)
{
	struct vhost_dev *dev;
	struct vhost_iotlb *table;
	struct ms_iotlb_dev *v;
	u64 arg = 0, ret = 0;
	struct file *file;

	/* 6.1 has an argument more */
	bpf_get_func_ret(ctx, &ret);
	bpf_get_func_arg(ctx, 0, &arg);
	dev = (struct vhost_dev *)arg;
	if ((s32)ret || !dev)
		return 0;
	v = ms_iotlb_by_id(ms_iotlb_id(dev));
	table = BPF_CORE_READ(dev, iotlb);
	if (!v || !table)
		return 0;
	ms_iotlb_look(v, table);
	file = ms_file_of_call(dev);
	if (file)
		ms_file_name(file, v->file);
	return 0;
}

/*
 * What has not been answered is thrown away: the table goes, or the device, or one of its
 * queues has no more to do with vhost_net, and then the table stays.
 */
SEC("fentry/vhost_clear_msg")
int BPF_PROG(ms_iotlb_clear, struct vhost_dev *dev)
{
	u64 key = (u64)dev, *id = bpf_map_lookup_elem(&ms_iotlb_ids, &key);
	struct ms_iotlb_dev *v = id ? ms_iotlb_by_id(*id) : NULL;
	struct vhost_iotlb *table = BPF_CORE_READ(dev, iotlb);

	if (!v)
		return 0;
	ms_iotlb_cut(v);
	if (table)
		ms_iotlb_look(v, table);
	else
		v->entries = 0;
	return 0;
}

SEC("fentry/vhost_dev_cleanup")
int BPF_PROG(ms_iotlb_dev_end, struct vhost_dev *dev)
{
	ms_iotlb_end((u64)dev);
	return 0;
}
