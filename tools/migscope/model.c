// SPDX-License-Identifier: GPL-2.0
#include "model.h"
#include "bpf_host.h"
#include "clock.h"
#include "threads.h"
#include "vm_names.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A VM that ended stays visible as long: a scrape may come late. */
#define VM_KEEP_S	(15 * 60)

static const struct source *const sources[] = MODEL_SOURCES;

#define SOURCES (sizeof(sources) / sizeof(sources[0]))

struct collect {
	struct bpf_host *host;
	struct vm_names *names;
	const struct model_filter *filter;
	struct model *m;
	__u64 ends;			/* since when the end of a VM is hooked; 0: it is not */
};

/* Is it one that was asked for: a VM, or a device of its process? */
static bool wanted(const struct model_filter *filter, __u32 pid, const char *name, const char *uuid)
{
	if (filter->pid && (uint32_t)filter->pid != pid)
		return false;
	return !filter->name || !strcmp(filter->name, name) || !strcmp(filter->name, uuid);
}

static void forget(struct collect *c, __u64 id)
{
	int fd = bpf_host_map(c->host, "ms_vms");

	for (size_t i = 0; i < SOURCES; i++)
		if (sources[i]->forget)
			sources[i]->forget(c->host, id);
	vm_names_forget(c->names, id);
	bpf_map_delete_elem(fd, &id);
}

static __u64 keep_ns(const struct model_filter *filter)
{
	return (filter->keep > 0 ? filter->keep : VM_KEEP_S) * 1e9;
}

static int collect_vm(unsigned long long id, const void *value, void *arg)
{
	struct collect *c = arg;
	struct model *m = c->m;
	struct model_vm *vm;

	if (!(m->vms & (m->vms - 1))) {
		vm = realloc(m->vm, (m->vms ? 2 * m->vms : 1) * sizeof(*vm));
		if (!vm)
			return -ENOMEM;
		m->vm = vm;
	}
	vm = &m->vm[m->vms];
	memset(vm, 0, sizeof(*vm));
	vm->id = id;
	memcpy(&vm->info, value, sizeof(vm->info));
	if (vm->info.died_ns && m->now_ns > vm->info.died_ns + keep_ns(c->filter)) {
		forget(c, id);
		return 0;
	}
	m->vms++;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct model_vm *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

/*
 * Where the end of a VM is not hooked, or was not all the time, that its owner is gone is written down as
 * its end, so that it is forgotten in time like others.
 */
static void mark_dead(struct collect *c, struct model_vm *vm)
{
	int fd = bpf_host_map(c->host, "ms_vms"), ids = bpf_host_map(c->host, "ms_vm_ids");
	__u64 id;

	if (vm->alive || vm->info.died_ns || (c->ends && vm->info.checked_ns >= c->ends))
		return;
	vm->info.died_ns = c->m->now_ns;
	bpf_map_update_elem(fd, &vm->id, &vm->info, BPF_EXIST);
	if (!bpf_map_lookup_elem(ids, &vm->info.kvm, &id) && id == vm->id)
		bpf_map_delete_elem(ids, &vm->info.kvm);
}

struct model_vm *model_vm(struct model *m, __u64 id)
{
	struct model_vm key = { .id = id };

	return m->vms ? bsearch(&key, m->vm, m->vms, sizeof(key), by_id) : NULL;
}

static int dev_by_id(const void *a, const void *b)
{
	const struct model_dev *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void model_dev_sort(struct model *m)
{
	if (m->devs)
		qsort(m->dev, m->devs, sizeof(*m->dev), dev_by_id);
}

struct model_dev *model_dev_add(struct model *m, __u64 id)
{
	struct model_dev *d;

	/* an element may be met twice while others are deleted */
	for (size_t i = 0; i < m->devs; i++)
		if (m->dev[i].id == id)
			return &m->dev[i];

	if (!(m->devs & (m->devs - 1))) {
		d = realloc(m->dev, (m->devs ? 2 * m->devs : 1) * sizeof(*d));
		if (!d)
			return NULL;
		m->dev = d;
	}
	d = &m->dev[m->devs++];
	memset(d, 0, sizeof(*d));
	d->id = id;
	return d;
}

void model_dev_drop(struct model *m, struct model_dev *d)
{
	m->devs--;
	memmove(d, d + 1, (m->dev + m->devs - d) * sizeof(*d));
}

bool model_dev_name(const struct model_who *who, struct model_dev *d, const struct ms_owner *owner,
		    const char *kind, bool whole)
{
	char clean[MODEL_DEV_MAX - 12];		/* the number has its room */
	char uuid[MODEL_UUID_LEN];

	d->pid = owner->tgid;
	d->alive = vm_names_owner(who->names, owner, d->vm, uuid) && !owner->died_ns;
	if (whole) {
		vm_names_clean(d->dev, sizeof(d->dev), kind);
	} else {
		vm_names_clean(clean, sizeof(clean), kind);
		snprintf(d->dev, sizeof(d->dev), "%s-%u", clean,
			 vm_names_number(who->names, d->id, owner, clean));
	}
	return wanted(who->filter, d->pid, d->vm, uuid);
}

bool model_owner_gone(const struct model_who *who, const struct ms_owner *owner)
{
	return owner->died_ns && who->now_ns > owner->died_ns + keep_ns(who->filter);
}

bool model_owner_left(const struct model_who *who, const struct ms_owner *owner)
{
	return vm_names_gone(who->names, owner) * 1e9 > keep_ns(who->filter);
}

static void read_self(const struct bpf_host *host, struct model *m)
{
	int fd = bpf_host_map(host, "ms_self");

	for (uint32_t i = 0; fd >= 0 && i < MS_SELF_COUNT; i++)
		bpf_map_lookup_elem(fd, &i, &m->self[i]);
}

int model_sample(struct bpf_host *host, struct vm_names *names,
		 const struct model_filter *filter, struct model *m)
{
	struct collect c = { host, names, filter, m, bpf_host_ends(host) };
	struct model_who who = { names, filter, 0 };
	struct model_vm *vm;
	size_t kept = 0;
	__u64 last = 0;
	double now;
	int err;

	memset(m, 0, sizeof(*m));
	m->time = clock_seconds(CLOCK_REALTIME);
	now = clock_seconds(CLOCK_MONOTONIC);
	m->now_ns = now * 1e9;
	m->elapsed = now - bpf_host_since(host);
	who.now_ns = m->now_ns;
	m->probe = bpf_host_probes(host, &m->probes);
	for (size_t i = 0; i < SOURCES; i++)
		if (bpf_host_asked(host, sources[i]->name))
			sources[i]->measures(host, m->measured);
	m->measured[MEASURE_WAITS] = m->measured[MEASURE_RING_RESET_TIME] || m->measured[MEASURE_RING_FULL] ||
				     m->measured[MEASURE_LOG_GET];
	m->page_part = bpf_host_page_part(host);

	vm_names_begin(names);
	bpf_host_count_missed(host);
	bpf_host_discover(host);
	err = bpf_host_walk(host, "ms_vms", sizeof(struct ms_vm), collect_vm, &c);
	if (err && err != -ENOENT)
		goto fail;
	err = 0;
	/* oldest first, so that it is the later one of two that gets the #2 */
	if (m->vms)
		qsort(m->vm, m->vms, sizeof(*m->vm), by_id);
	for (size_t i = 0; i < m->vms; i++) {
		/* an element may be met twice while others are deleted */
		if (m->vm[i].id == last)
			continue;
		last = m->vm[i].id;
		vm = &m->vm[i];
		vm_names_set(names, vm);
		mark_dead(&c, vm);
		if (wanted(filter, vm->info.tgid, vm->name, vm->uuid))
			m->vm[kept++] = *vm;
	}
	m->vms = kept;
	for (size_t i = 0; i < SOURCES; i++) {
		if (!bpf_host_asked(host, sources[i]->name))
			continue;
		if (sources[i]->sample)
			err = sources[i]->sample(host, m);
		if (!err && sources[i]->devices)
			err = sources[i]->devices(host, &who, m);
		if (err)
			goto fail;
	}
	model_dev_sort(m);
	err = threads_sample(host, m);
	if (err)
		goto fail;
	read_self(host, m);
	return 0;
fail:
	model_free(m);
	return err;
}

void model_free(struct model *m)
{
	for (size_t i = 0; i < m->vms; i++) {
		free(m->vm[i].vcpu);
		free(m->vm[i].thread);
	}
	free(m->vm);
	free(m->dev);
	memset(m, 0, sizeof(*m));
}
