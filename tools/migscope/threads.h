/* SPDX-License-Identifier: GPL-2.0 */
/* Who of a VMM's threads waited, by kind of thread. */
#ifndef MIGSCOPE_THREADS_USER_H
#define MIGSCOPE_THREADS_USER_H

#include "model.h"

struct bpf_host;

/* Fills the threads of the model's VMs in, and forgets those of VMs that are gone. 0 or -errno. */
int threads_sample(struct bpf_host *host, struct model *m);

/* The kind of a thread: its name with `N` for each number in it. @comm need not end with 0. */
void threads_kind(const char *comm, char *kind, size_t size);

#endif
