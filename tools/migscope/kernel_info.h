/* SPDX-License-Identifier: GPL-2.0 */
/* What the running kernel has, asked by feature: BTF, modules, permissions. */
#ifndef MIGSCOPE_KERNEL_INFO_H
#define MIGSCOPE_KERNEL_INFO_H

#include "probes.h"

struct kernel_info;

/*
 * @btf: a file given by the user, checked here so that a wrong path is an error
 * of its own; NULL for the kernel's. -errno, with the reason printed.
 */
int kernel_info_open(const char *btf, struct kernel_info **info);
void kernel_info_close(struct kernel_info *info);

/* Forgets what was known of modules. */
void kernel_info_refresh(struct kernel_info *info);

/* True when the module is loaded and ready; false, too, when its code is built in. */
bool kernel_info_module(const char *module);

/*
 * Is the target of @p there, with the arguments that the program reads?
 * PROBE_OFF: nothing speaks against it; else WAITING or MISSING, with @why.
 */
enum probe_state kernel_info_target(struct kernel_info *info, const struct probe *p,
				    char *why, size_t size);

/* Why loading or attaching @p failed with @err (an errno), in words; @log is libbpf's. */
void kernel_info_explain(const struct kernel_info *info, const struct probe *p, int err,
			 const char *log, char *why, size_t size);

/* NULL where the kernel says which process a VM belongs to, else what is lost. */
const char *kernel_info_owners(const struct kernel_info *info);

/* What stands in our way beyond single probes; NULL if nothing does. Static text. */
const char *kernel_info_pid_namespace(void);

#endif
