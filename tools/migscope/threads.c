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

/* The VM's threads of that kind, of which @tid is one; NULL: no memory. */
static struct model_thread *kind_of(struct model_vm *vm, const char *name, __u32 tid)
{
	struct model_thread *more;
	size_t i;

	for (i = 0; i < vm->threads && strcmp(vm->thread[i].name, name); i++)
		;
	if (i < vm->threads) {
		if (tid < vm->thread[i].tid)
			vm->thread[i].tid = tid;
		return &vm->thread[i];
	}
	more = realloc(vm->thread, (vm->threads + 1) * sizeof(*more));
	if (!more)
		return NULL;
	vm->thread = more;
	more += vm->threads++;
	memset(more, 0, sizeof(*more));
	more->tid = tid;
	snprintf(more->name, sizeof(more->name), "%s", name);
	return more;
}

static void add(struct model_thread *to, const __u64 *ns, const __u64 *calls)
{
	for (int i = 0; i < MS_WAITS; i++) {
		to->ns[i] += ns[i];
		to->calls[i] += calls[i];
	}
}

static bool is_others(const struct model_thread *t)
{
	return !strcmp(t->name, "others");
}

/* Those whom the VMM calls that itself are the last ones. */
static int by_tid(const void *a, const void *b)
{
	const struct model_thread *t = a, *u = b;

	if (is_others(t) || is_others(u))
		return is_others(t) - is_others(u);
	return (t->tid > u->tid) - (t->tid < u->tid);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct model_thread *)a)->name, ((const struct model_thread *)b)->name);
}

/*
 * Names are the VMM's to give: those beyond a number are one kind, "others". Who was there
 * first keeps his name, in whatever order they were found, so that no kind's counts go over
 * to others and back.
 */
static void fold(struct model_vm *vm)
{
	struct model_thread *others;

	if (vm->threads >= MODEL_THREADS) {
		qsort(vm->thread, vm->threads, sizeof(*vm->thread), by_tid);
		others = &vm->thread[MODEL_THREADS - 1];
		for (size_t i = MODEL_THREADS; i < vm->threads; i++)
			add(others, vm->thread[i].ns, vm->thread[i].calls);
		snprintf(others->name, sizeof(others->name), "others");
		vm->threads = MODEL_THREADS;
	}
	if (vm->threads)
		qsort(vm->thread, vm->threads, sizeof(*vm->thread), by_name);
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
	to = kind_of(vm, kind, key);
	if (!to)
		return -ENOMEM;
	add(to, t->ns, t->calls);
	return 0;
}

int threads_sample(struct bpf_host *host, struct model *m)
{
	struct visit visit = { m, bpf_host_map(host, "ms_threads"), bpf_host_map(host, "ms_vms") };
	int err = bpf_host_walk(host, "ms_threads", sizeof(struct ms_thread), add_thread, &visit);

	for (size_t i = 0; i < m->vms; i++)
		fold(&m->vm[i]);
	return err == -ENOENT ? 0 : err;
}
