/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One sample of everything. Sources fill it, renderers read it, and neither
 * knows of the other.
 */
#ifndef MIGSCOPE_MODEL_H
#define MIGSCOPE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <migscope/dirty_log.h>
#include <migscope/dirty_ring.h>
#include <migscope/vm.h>
#include "probes.h"

#define MODEL_NAME_MAX	80
#define MODEL_UUID_LEN	37

struct model_vcpu {
	struct ms_ring ring;		/* with the pushes since its last reset folded in */
	uint32_t used;			/* entries, at the time of the sample */
	__u64 pushes_exact;
};

struct model_vm {
	__u64 id;
	struct ms_vm info;
	char name[MODEL_NAME_MAX];	/* valid UTF-8 without control characters */
	char uuid[MODEL_UUID_LEN];	/* empty when not known */
	bool alive;

	bool has_ring;
	struct ms_ring_vm ring;		/* with the living rings' tails folded in */
	__u64 pushes_exact;
	unsigned int stalled_now;
	struct model_vcpu *vcpu;	/* living rings, by vcpu_id */
	size_t vcpus;

	bool has_log;
	struct ms_log_vm log;
};

/* What is measured at all: a renderer leaves out what is not. */
enum model_measure {
	MEASURE_RING,			/* pushes, resets, fill */
	MEASURE_RING_FULL,		/* full exits, stalls */
	MEASURE_RING_NOW,		/* fill at this moment */
	MEASURE_RING_RESET_TIME,
	MEASURE_RING_RESET_WORK,	/* MMU calls, rejected entries, lock holds */
	MEASURE_RING_STALL_RUN,		/* a stall is measured until the vCPU runs again */
	MEASURE_RING_EXACT,
	MEASURE_LOG_GET,
	MEASURE_LOG_CLEAR,
	MEASURE_LOG_TOGGLE,
	MEASURE_LOG_DIRTY,		/* pages that a bitmap showed */
	MEASURE_LOG_MARKS,
	MEASURES
};

struct model {
	double time;			/* Unix time, s */
	double elapsed;			/* s since attached */
	double interval;		/* s since the sample before; 0 for the first */
	bool measured[MEASURES];
	__u64 self[MS_SELF_COUNT];
	struct model_vm *vm;		/* by id */
	size_t vms;
	const struct probe *probe;	/* owned by the BPF host */
	size_t probes;
};

struct bpf_host;
struct vm_names;

/* Which VMs a sample is about. */
struct model_filter {
	int pid;			/* 0: any */
	const char *name;		/* NULL: any */
};

/*
 * Takes a sample; model_free() gives it back. @names lives as long as the run.
 * 0 or -errno.
 */
int model_sample(struct bpf_host *host, struct vm_names *names,
		 const struct model_filter *filter, struct model *m);
void model_free(struct model *m);

struct model_vm *model_vm(struct model *m, __u64 id);

/* One thing that is watched. */
struct source {
	const char *name;
	/* says what is measured with what is attached */
	void (*measures)(const struct bpf_host *host, bool *measured);
	/* fills in the VMs that stand in the model; 0 or -errno */
	int (*sample)(struct bpf_host *host, struct model *m);
	/* drops what the maps hold of a VM that is long gone */
	void (*forget)(struct bpf_host *host, __u64 vm);
};

extern const struct source source_dirty_ring, source_dirty_log;

/* The place to add a source. */
#define MODEL_SOURCES { &source_dirty_ring, &source_dirty_log }

#endif
