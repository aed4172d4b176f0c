/* SPDX-License-Identifier: GPL-2.0 */
/* Files in /dev that a process holds, by the name that they have there. */
#ifndef MIGSCOPE_BPF_FILE_H
#define MIGSCOPE_BPF_FILE_H

#include "maps.h"
#include <linux/ptrace.h>

static __always_inline void ms_file_name(struct file *file, char *name)
{
	bpf_probe_read_kernel_str(name, MS_FILE_LEN, BPF_CORE_READ(file, f_path.dentry, d_name.name));
}

/* Whose operations a file has: a name in /dev anybody may give. @name: MS_FILE_LEN bytes. */
static __always_inline void ms_file_module(struct file *file, char *name)
{
	struct module *owner = BPF_CORE_READ(file, f_op, owner);

	bpf_probe_read_kernel_str(name, MS_FILE_LEN, (void *)owner +
				  bpf_core_field_offset(struct module, name));
}

/*
 * Is it a file of one of vhost's devices whose table is filled through vhost? That of
 * vhost_vdpa has a table of its own, and is watched as a vDPA device.
 */
static __always_inline bool ms_file_is_vhost(struct file *file)
{
	char n[MS_FILE_LEN] = {};

	ms_file_module(file, n);
	return n[0] == 'v' && n[1] == 'h' && n[2] == 'o' && n[3] == 's' && n[4] == 't' && n[5] == '_' &&
	       !(n[6] == 'v' && n[7] == 'd' && n[8] == 'p' && n[9] == 'a');
}

/*
 * The file that the system call under way is about, if it is one by whose private
 * data @private goes; NULL otherwise. What ioctl() and write() work on is their
 * first argument; somebody who came another way has something else there, of which
 * only a file with just this private data would be taken for it.
 */
static __always_inline struct file *ms_file_of_call(void *private)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (void *)bpf_task_pt_regs(task);
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files, *file = NULL;
	unsigned long fd = ~0UL;

	bpf_probe_read_kernel(&fd, sizeof(fd), &PT_REGS_PARM1_SYSCALL(regs));
	fd = (u32)fd;
	if (!table || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), files + fd);
	return file && BPF_CORE_READ(file, private_data) == private ? file : NULL;
}

#endif
