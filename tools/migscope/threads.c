// SPDX-License-Identifier: GPL-2.0
#include "threads.h"
#include "bpf_host.h"
#include "vm_names.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void threads_kind(const char *comm, char *kind, size_t size)
{
	char raw[MS_COMM_LEN + 1], text[MS_COMM_LEN + 1];
	size_t n = 0;

	memcpy(raw, comm, MS_COMM_LEN);
	raw[MS_COMM_LEN] = '\0';
	for (const char *p = raw; *p; p++) {
		if (!isdigit((unsigned char)*p))
			text[n++] = *p;
		else if (!n || text[n - 1] != 'N' || p == raw || !isdigit((unsigned char)p[-1]))
			text[n++] = 'N';
	}
	text[n] = '\0';
	vm_names_clean(kind, size, n ? text : "unknown");
}

/* The VM's threads of that kind; NULL: no memory. */
static struct model_thread *kind_of(struct model_vm *vm, const char *name)
{
	struct model_thread *more;
	size_t i;

	for (i = 0; i < vm->threads && strcmp(vm->thread[i].name, name); i++)
		;
	if (i < vm->threads)
		return &vm->thread[i];
	/* names are the VMM's to give: what is beyond is one more kind */
	if (vm->threads >= MODEL_THREADS - 1 && strcmp(name, "others"))
		return kind_of(vm, "others");
	more = realloc(vm->thread, (vm->threads + 1) * sizeof(*more));
	if (!more)
		return NULL;
	vm->thread = more;
	more += vm->threads++;
	memset(more, 0, sizeof(*more));
	snprintf(more->name, sizeof(more->name), "%s", name);
	return more;
}

struct visit {
	struct model *m;
	int fd, vms;
};

static int add_thread(unsigned long long key, const void *value, void *arg)
{
	const struct ms_thread *t = value;
	struct visit *visit = arg;
	struct model_vm *vm = model_vm(visit->m, t->vm);
	char kind[sizeof(((struct model_thread *)0)->name)];
	struct model_thread *to;
	struct ms_vm gone;

	if (!vm) {
		/* one that nobody asked about, or one that is forgotten */
		if (bpf_map_lookup_elem(visit->vms, &t->vm, &gone))
			bpf_map_delete_elem(visit->fd, &key);
		return 0;
	}
	threads_kind(t->comm, kind, sizeof(kind));
	to = kind_of(vm, kind);
	if (!to)
		return -ENOMEM;
	for (int i = 0; i < MS_WAITS; i++) {
		to->ns[i] += t->ns[i];
		to->calls[i] += t->calls[i];
	}
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct model_thread *)a)->name, ((const struct model_thread *)b)->name);
}

int threads_sample(struct bpf_host *host, struct model *m)
{
	struct visit visit = { m, bpf_host_map(host, "ms_threads"), bpf_host_map(host, "ms_vms") };
	int err = bpf_host_walk(host, "ms_threads", sizeof(struct ms_thread), add_thread, &visit);

	for (size_t i = 0; i < m->vms; i++)
		if (m->vm[i].threads)
			qsort(m->vm[i].thread, m->vm[i].threads, sizeof(struct model_thread), by_name);
	return err == -ENOENT ? 0 : err;
}
