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
#include <migscope/dirty_pages.h>
#include <migscope/dirty_ring.h>
#include <migscope/threads.h>
#include <migscope/vdpa.h>
#include <migscope/vfio.h>
#include <migscope/vhost_iotlb.h>
#include <migscope/vm.h>
#include "probes.h"

#define MODEL_NAME_MAX	80
#define MODEL_UUID_LEN	37
#define MODEL_DEV_MAX	48

struct model_vcpu {
	struct ms_ring ring;		/* with the pushes since its last reset folded in */
	uint32_t used;			/* entries, at the time of the sample */
	__u64 pushes_exact;
};

#define MODEL_THREADS	8	/* kinds of threads of a VM; what there is beyond goes to the last */

/* Threads of a VMM whose names differ by their numbers only, e.g. `CPU N/KVM`. */
struct model_thread {
	char name[MS_COMM_LEN + 8];	/* without control characters */
	__u64 ns[MS_WAITS], calls[MS_WAITS];
	__u32 tid;			/* the lowest of theirs */
};

/* What QEMU says of its migration, times in s, sizes in bytes; as of query-migrate. */
struct model_qemu {
	char status[24];		/* empty: no migration yet */
	double total_seconds, setup_seconds, downtime_seconds, expected_downtime_seconds;
	__u64 rounds, transferred_bytes, remaining_bytes, total_bytes;
	__u64 normal_pages, zero_pages;
	double bytes_per_second, dirty_pages_per_second;
};

struct model_vm {
	__u64 id;
	struct ms_vm info;
	char name[MODEL_NAME_MAX];	/* valid UTF-8 without control characters */
	char uuid[MODEL_UUID_LEN];	/* empty when not known */
	bool alive;
	/* its process's time in a guest, in ticks of the clock: of all its VMs; 0: not known */
	__u64 guest_ticks;

	bool has_ring;
	struct ms_ring_vm ring;		/* with the living rings' tails folded in */
	__u64 pushes_exact;
	unsigned int stalled_now;
	struct ms_recent recent;	/* highest fill of the last minute */
	struct model_vcpu *vcpu;	/* living rings, by vcpu_id */
	size_t vcpus;

	bool has_log;
	struct ms_log_vm log;

	bool has_pages;			/* which pages are dirtied again */
	struct ms_page_vm pages;

	struct model_thread *thread;	/* of its VMM, those of a kind together, by name */
	size_t threads;

	bool has_outlook;		/* it is tracked, and what a migration may use is known */
	struct {
		double ratio;		/* of what it dirties to what may be sent */
		bool known;		/* the rest: how much memory it has is known */
		bool converges;
		double downtime;	/* s */
	} outlook;

	bool has_qemu;			/* its VMM was asked */
	struct model_qemu qemu;
};

/* A device that a process holds, which is most often a VM's. */
/* Is it known how many maps there can be, and bounded by something else than memory? */
static inline bool model_space_limited(const struct ms_vdpa_space *s)
{
	return s->limit && s->limit != ~0U;
}

struct model_dev {
	__u64 id;
	char vm[MODEL_NAME_MAX];	/* of the process, as for a VM */
	char dev[MODEL_DEV_MAX];	/* valid UTF-8 without control characters */
	__u32 pid;
	bool alive;

	bool has_iotlb;
	struct ms_iotlb_dev iotlb;
	unsigned int pending;		/* addresses that are waited for */
	double oldest;			/* s: the longest of these waits so far */

	bool has_vfio;			/* a container; @number is its own among its process's */
	struct ms_vfio vfio;
	unsigned int number;

	bool has_mig;			/* a device that can migrate */
	struct ms_vfio_mig mig;

	bool has_vdpa;
	bool has_spaces;		/* tables of it are known; also of what is no device of the bus */
	struct ms_vdpa vdpa;
};

/* What is measured at all: a renderer leaves out what is not. */
enum model_measure {
	MEASURE_RING,			/* pushes, resets, fill */
	MEASURE_RING_FULL,		/* full exits, stalls */
	MEASURE_RING_NOW,		/* fill at this moment */
	MEASURE_RING_RESET_TIME,
	MEASURE_RING_FLUSH,		/* of the TLBs, at the end of a reset */
	MEASURE_RING_RESET_WORK,	/* MMU calls, rejected entries, lock holds */
	MEASURE_RING_STALL_RUN,		/* a stall is measured until the vCPU runs again */
	MEASURE_RING_EXACT,
	MEASURE_RING_PAGES,		/* which pages are dirtied again */
	MEASURE_WAITS,			/* threads that wait for any of it */
	MEASURE_LOG_GET,
	MEASURE_LOG_CLEAR,
	MEASURE_LOG_TOGGLE,
	MEASURE_LOG_DIRTY,		/* pages that a bitmap showed */
	MEASURE_LOG_MARKS,
	MEASURE_IOTLB_MISS,
	MEASURE_IOTLB_WAIT,		/* from a miss to its answer, and those without one */
	MEASURE_IOTLB_UPDATE,
	MEASURE_IOTLB_INVALIDATE,
	MEASURE_IOTLB_ERROR,		/* messages that were refused */
	MEASURE_IOTLB_EVICT,
	MEASURE_IOTLB_TABLE,		/* how full it is */
	MEASURE_IOTLB_HIT,		/* hits, and accesses denied */
	MEASURE_VFIO_MAP,
	MEASURE_VFIO_UNMAP,
	MEASURE_VFIO_SWITCH,		/* dirty tracking */
	MEASURE_VFIO_GET,
	MEASURE_VFIO_DIRTY,		/* pages that a bitmap showed */
	MEASURE_VFIO_PIN,
	MEASURE_VFIO_UNPIN,
	MEASURE_VFIO_PINNED,		/* how much is pinned now */
	MEASURE_VFIO_RW,
	MEASURE_VFIO_STATE,		/* mappings, scope, as far as the container's state is known */
	MEASURE_VFIO_MIG,		/* migration states of devices */
	MEASURE_VDPA_OP,		/* at least status and configuration */
	MEASURE_VDPA_MESSAGE,
	MEASURE_VDPA_KICK,
	MEASURE_VDPA_CALLBACK,
	MEASURE_VDPA_MAP,		/* pages mapped, and in how many runs */
	MEASURE_VDPA_PINNED,
	MEASURE_VDPA_SPACE,		/* what address spaces hold */
	MEASURE_VDPA_MISS,		/* misses, and accesses denied */
	MEASURE_VDPA_HIT,
	MEASURES
};

/* The measure that an operation of the source dirty_log belongs to. */
static inline enum model_measure model_log_measure(enum ms_log_op op)
{
	switch (op) {
	case MS_LOG_GET:
		return MEASURE_LOG_GET;
	case MS_LOG_CLEAR:
		return MEASURE_LOG_CLEAR;
	default:
		return MEASURE_LOG_TOGGLE;
	}
}

/* The measure that an operation of the source vfio belongs to. */
static inline enum model_measure model_vfio_measure(enum ms_vfio_op op)
{
	static const enum model_measure measure[MS_VFIO_OPS] = {
		[MS_VFIO_PIN] = MEASURE_VFIO_PIN,
		[MS_VFIO_UNPIN] = MEASURE_VFIO_UNPIN,
		[MS_VFIO_MAP] = MEASURE_VFIO_MAP,
		[MS_VFIO_UNMAP] = MEASURE_VFIO_UNMAP,
		[MS_VFIO_START] = MEASURE_VFIO_SWITCH,
		[MS_VFIO_STOP] = MEASURE_VFIO_SWITCH,
		[MS_VFIO_GET] = MEASURE_VFIO_GET,
		[MS_VFIO_UNMAP_GET] = MEASURE_VFIO_GET,
		[MS_VFIO_READ] = MEASURE_VFIO_RW,
		[MS_VFIO_WRITE] = MEASURE_VFIO_RW,
	};

	return measure[op];
}

struct migrations;

struct model {
	double time;			/* Unix time, s */
	__u64 now_ns;			/* CLOCK_MONOTONIC at the same moment */
	double elapsed;			/* s since attached */
	double interval;		/* s since the sample before; 0 for the first */
	bool at_first_event;		/* VMs that ran before us are seen no earlier */
	bool measured[MEASURES];
	__u64 self[MS_SELF_COUNT];
	unsigned int page_part;		/* of dirty pages one in 2^page_part is followed */
	struct model_vm *vm;		/* by id */
	size_t vms;
	struct model_dev *dev;		/* by id */
	size_t devs;
	const struct migrations *migrations;	/* owned by who counts them; NULL: nobody does */
	const struct probe *probe;	/* owned by the BPF host */
	size_t probes;
};

/* Is it known how long it took? The kernel's own type1 does not say what of an unmap its bitmap was. */
static inline bool model_vfio_timed(const struct model *m, enum ms_vfio_op op)
{
	return op != MS_VFIO_UNMAP_GET || m->measured[MEASURE_VFIO_DIRTY];
}

struct bpf_host;
struct vm_names;

/* Which VMs a sample is about. */
struct model_filter {
	int pid;			/* 0: any */
	const char *name;		/* NULL: any */
	double keep;			/* s that one which ended stays; 0: a quarter of an hour */
};

/*
 * Takes a sample; model_free() gives it back. @names lives as long as the run.
 * 0 or -errno.
 */
int model_sample(struct bpf_host *host, struct vm_names *names,
		 const struct model_filter *filter, struct model *m);
void model_free(struct model *m);

struct model_vm *model_vm(struct model *m, __u64 id);

/*
 * The device of this id, added empty if it is new; NULL: no memory. Pointers to those
 * before it are void.
 */
struct model_dev *model_dev_add(struct model *m, __u64 id);
void model_dev_drop(struct model *m, struct model_dev *d);
void model_dev_sort(struct model *m);	/* by id: in order of appearance */

/*
 * Names @d, whose owner is @owner; @kind is what it is called without a number, or all of
 * its name when @whole. False if the filter does not want it.
 */
struct model_who {
	struct vm_names *names;
	const struct model_filter *filter;
	__u64 now_ns;			/* CLOCK_MONOTONIC */
};

bool model_dev_name(const struct model_who *who, struct model_dev *d, const struct ms_owner *owner,
		    const char *kind, bool whole);

/* Did what belonged to @owner end so long ago that it is to be forgotten? */
bool model_owner_gone(const struct model_who *who, const struct ms_owner *owner);

/* The same of the process itself, which model_dev_name() asked about: what it had may go on. */
bool model_owner_left(const struct model_who *who, const struct ms_owner *owner);

/* One thing that is watched. */
struct source {
	const char *name;
	/* says what is measured with what is attached */
	void (*measures)(const struct bpf_host *host, bool *measured);
	/* fills in the VMs that stand in the model; 0 or -errno */
	int (*sample)(struct bpf_host *host, struct model *m);
	/* drops what the maps hold of a VM that is long gone */
	void (*forget)(struct bpf_host *host, __u64 vm);
	/* adds devices to the model, and forgets those long gone; NULL: it has none. 0 or -errno */
	int (*devices)(struct bpf_host *host, const struct model_who *who, struct model *m);
};

extern const struct source source_dirty_ring, source_dirty_log, source_vhost_iotlb,
			   source_vfio, source_vdpa;

/* The place to add a source. */
#define MODEL_SOURCES \
	{ &source_dirty_ring, &source_dirty_log, &source_vhost_iotlb, &source_vfio, \
	  &source_vdpa }

#endif
