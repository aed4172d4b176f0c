// SPDX-License-Identifier: GPL-2.0
/*
 * Source vhost_iotlb: devices that had a table before we came, found through the files
 * that are open. Nothing is written; what is found stands in the map.
 */
#include "vhost_iotlb.h"

SEC("iter/task_file")
int ms_iotlb_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct vhost_iotlb *table;
	struct ms_iotlb_dev *v;
	struct vhost_dev *dev;

	if (!task || !file || !ms_file_is_vhost(file))
		return 0;
	/* each of them begins with its struct vhost_dev */
	dev = BPF_CORE_READ(file, private_data);
	if (!dev)
		return 0;
	table = BPF_CORE_READ(dev, iotlb);
	if (!table)
		return 0;
	v = ms_iotlb_by_id(ms_iotlb_id_for(dev, task));
	if (!v)
		return 0;
	ms_iotlb_look(v, table);
	if (!v->file[0])
		ms_file_name(file, v->file);
	return 0;
}
