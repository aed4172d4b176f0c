/* SPDX-License-Identifier: GPL-2.0 */
/* Who a VM is: the one place that decides on names. */
#ifndef MIGSCOPE_VM_NAMES_H
#define MIGSCOPE_VM_NAMES_H

#include "model.h"

/* @pids: the process ids that BPF sees mean the same here. NULL: no memory. */
struct vm_names *vm_names_new(bool pids);
void vm_names_free(struct vm_names *names);

/* From here on each process is looked for anew: once for all devices of it. */
void vm_names_begin(struct vm_names *names);

/*
 * Fills in name, uuid, alive and guest_ticks of @vm. A VM keeps the name it got first; when
 * another living one has it already, `#2` and so on is added.
 */
void vm_names_set(struct vm_names *names, struct model_vm *vm);
void vm_names_forget(struct vm_names *names, __u64 id);

/*
 * The name of the process that holds a device, MODEL_NAME_MAX bytes: that of its VM if
 * it has one; and its UUID, MODEL_UUID_LEN bytes, empty when not known. Returns whether the
 * process is alive, as far as can be told.
 */
bool vm_names_owner(struct vm_names *names, const struct ms_owner *owner, char *name, char *uuid);

/* Seconds since vm_names_owner() found it gone for the first time; 0: it is alive. */
double vm_names_gone(struct vm_names *names, const struct ms_owner *owner);

/* The number of device @dev among those of @kind in its process, in order of appearance. */
unsigned int vm_names_number(struct vm_names *names, __u64 dev, const struct ms_owner *owner,
			     const char *kind);
void vm_names_forget_dev(struct vm_names *names, __u64 dev);

/*
 * Name and UUID from a VMM's command line, @len bytes with NULs between the
 * arguments. Knows QEMU (also as libvirt starts it), cloud-hypervisor and
 * Firecracker; empty strings where the command line says nothing.
 */
void vm_names_parse(const char *cmdline, size_t len, char *name, size_t name_size, char *uuid);

/*
 * Copies untrusted text: invalid UTF-8 and control characters become '?', a
 * character that does not fit is left out whole.
 */
void vm_names_clean(char *dst, size_t size, const char *src);

/* The same of a process's name as the kernel has it, which may fill its room. */
void vm_names_comm(char *dst, size_t size, const char *untrusted_comm);

#endif
