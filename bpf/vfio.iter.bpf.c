// SPDX-License-Identifier: GPL-2.0
/*
 * Source vfio: containers that were there before we came, found through the files that
 * are open. Nothing is written; what is found stands in the map.
 */
#include "vfio.h"

SEC("iter/task_file")
int ms_vfio_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct ms_config *config = ms_config_get();
	struct vfio_container *container;
	char name[MS_FILE_LEN] = {};
	struct module *owner;
	struct ms_vfio *v;
	u64 key, *id;

	/* of VFIO's files the container's is the one that is called vfio */
	if (!task || !file)
		return 0;
	ms_file_module(file, name);
	if (name[0] != 'v' || name[1] != 'f' || name[2] != 'i' || name[3] != 'o' || name[4])
		return 0;
	ms_file_name(file, name);
	if (name[0] != 'v' || name[1] != 'f' || name[2] != 'i' || name[3] != 'o' || name[4])
		return 0;
	container = BPF_CORE_READ(file, private_data);
	if (!container)
		return 0;
	key = (u64)BPF_CORE_READ(container, iommu_data);
	owner = BPF_CORE_READ(container, iommu_driver, ops, owner);
	if (!key || !owner)
		return 0;
	/* vfio_iommu_type1, not another kind */
	bpf_probe_read_kernel_str(name, sizeof(name), (void *)owner +
				  bpf_core_field_offset(struct module, name));
	if (name[11] != 't' || name[12] != 'y' || name[13] != 'p' || name[14] != 'e')
		return 0;
	id = bpf_map_lookup_elem(&ms_vfio_ids, &key);
	v = ms_vfio_by_id(id ? *id : ms_vfio_new(key, task));
	if (!v)
		return 0;
	/* a process that holds it, too, is no reason to take it for another one */
	if (id && config && config->vfio_ends && !ms_end_is_told(v->owner.checked_ns, config->vfio_ends) &&
	    ms_owner_is(&v->owner, BPF_CORE_READ(task, mm)))
		ms_vfio_again(v);
	ms_vfio_look(v, (struct vfio_iommu *)key);
	return 0;
}
