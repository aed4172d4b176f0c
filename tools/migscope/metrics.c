// SPDX-License-Identifier: GPL-2.0
#include "lost.h"
#include "metrics_points.h"
#include "migrations.h"
#include "working_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <version.h>

/* Every other bound is exported: four times the one before, 1.024 us to 17.18 s. */
static const double time_le[] = {
	1024e-9, 4096e-9, 16384e-9, 65536e-9, 262144e-9, 1048576e-9, 4194304e-9, 16777216e-9,
	67108864e-9, 268435456e-9, 1073741824e-9, 4294967296e-9, 17179869184e-9,
};

_Static_assert(BOUNDS(time_le) == MS_TIME_BUCKETS / 2 && BOUNDS(time_le) <= METRIC_BUCKETS,
	       "the last bound stays the last");

_Static_assert(MIGRATIONS_BUCKETS <= METRIC_BUCKETS, "each bound of a migration's duration has its place");

static const double fill_le[] = { 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1 };

_Static_assert(BOUNDS(fill_le) == MS_FILL_BUCKETS - 1 && BOUNDS(fill_le) <= METRIC_BUCKETS,
	       "one bound for each bucket but the last");

void put_times(const struct metric_at *at, const struct ms_time_hist *h, const char *label)
{
	struct metric_hist out = {
		.le = time_le, .buckets = BOUNDS(time_le),
		.has_sum = true, .sum = h->sum_ns / 1e9,
	};

	for (size_t i = 0; i < MS_TIME_BUCKETS; i++) {
		out.all += h->bucket[i];
		if (!(i % 2) && i / 2 < out.buckets)
			out.count[i / 2] = out.all;
	}
	PUT(at, ((struct metric_value){ .kind = METRIC_HIST, .hist = &out }), label);
}

/* --- VMs */

static void vm_info(const struct metric_at *at)
{
	char name[MODEL_NAME_MAX];

	/* the `#` is ours: names have none */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(at->vm->name, "#"), at->vm->name);
	PUT(at, count(1), at->vm->uuid, name, at->vm->info.ring_bytes ? "ring" : "bitmap");
}

static void vm_alive(const struct metric_at *at)
{
	PUT(at, count(at->vm->alive));
}

/* Bitmap mode: only where each page is counted. What a bitmap showed is in dirty_log_sync_pages. */
static void dirty_pages(const struct metric_at *at)
{
	const struct model *m = at->m;

	if (at->vm->has_ring && m->measured[MEASURE_RING])
		PUT(at, count(at->vm->ring.pushes), "vcpu");
	else if (at->vm->has_log && !at->vm->info.ring_bytes && m->measured[MEASURE_LOG_MARKS])
		PUT(at, count(at->vm->log.marks), "vcpu");
}

#define RING_METRIC(fn, measure, value)					\
static void fn(const struct metric_at *at)				\
{									\
	if (at->vm->has_ring && at->m->measured[measure])		\
		PUT(at, value);						\
}

RING_METRIC(ring_full_exits, MEASURE_RING_FULL, count(at->vm->ring.full_exits))
RING_METRIC(ring_full_unfinished, MEASURE_RING_FULL, count(at->vm->ring.stalls_unfinished))
RING_METRIC(ring_stalled_vcpus, MEASURE_RING_FULL, count(at->vm->stalled_now))
RING_METRIC(ring_resets, MEASURE_RING, count(at->vm->ring.resets))
RING_METRIC(ring_reset_entries, MEASURE_RING, count(at->vm->ring.reset_entries))
RING_METRIC(ring_reset_mmu_calls, MEASURE_RING_RESET_WORK, count(at->vm->ring.mmu_calls))
RING_METRIC(ring_reset_hold_max, MEASURE_RING_RESET_WORK, number(at->vm->ring.hold_max_ns / 1e9))
RING_METRIC(ring_flushes, MEASURE_RING_FLUSH, count(at->vm->ring.flushes))
RING_METRIC(ring_flush_time, MEASURE_RING_FLUSH, number(at->vm->ring.flush_ns / 1e9))
RING_METRIC(ring_used_max, MEASURE_RING, count(at->vm->recent.used))

/* Known once a ring was seen. */
static void ring_size(const struct metric_at *at)
{
	if (at->vm->has_ring && at->vm->ring.size)
		PUT(at, count(at->vm->ring.size));
}

static void ring_soft_limit(const struct metric_at *at)
{
	if (at->vm->has_ring && at->vm->ring.size)
		PUT(at, count(at->vm->ring.soft_limit));
}

static void ring_used(const struct metric_at *at)
{
	__u32 used = 0, limit = 0;

	if (!at->vm->vcpus || !at->m->measured[MEASURE_RING_NOW])
		return;
	for (size_t i = 0; i < at->vm->vcpus; i++) {
		const struct model_vcpu *v = &at->vm->vcpu[i];

		if (ms_ring_fuller(v->used, v->ring.soft_limit, used, limit)) {
			used = v->used;
			limit = v->ring.soft_limit;
		}
	}
	PUT(at, count(used));
}

static void ring_fill(const struct metric_at *at)
{
	struct metric_hist out = { .le = fill_le, .buckets = BOUNDS(fill_le) };

	if (!at->vm->has_ring || !at->m->measured[MEASURE_RING])
		return;
	for (size_t i = 0; i < MS_FILL_BUCKETS; i++) {
		out.all += at->vm->ring.fill[i];
		if (i < out.buckets)
			out.count[i] = out.all;
	}
	PUT(at, ((struct metric_value){ .kind = METRIC_HIST, .hist = &out }));
}

static void ring_stall(const struct metric_at *at)
{
	if (at->vm->has_ring && at->m->measured[MEASURE_RING_FULL])
		put_times(at, &at->vm->ring.stall, NULL);
}

static void ring_reset_time(const struct metric_at *at)
{
	if (at->vm->has_ring && at->m->measured[MEASURE_RING_RESET_TIME])
		put_times(at, &at->vm->ring.reset, NULL);
}

static void ring_rejected(const struct metric_at *at)
{
	const struct ms_ring_vm *r = &at->vm->ring;

	if (!at->vm->has_ring || !at->m->measured[MEASURE_RING_RESET_WORK])
		return;
	PUT(at, count(r->rejected_slot), "no_slot");
	PUT(at, count(r->rejected - r->rejected_slot), "outside_slot");
}

static const char *const log_op[MS_LOG_OPS] = {
	[MS_LOG_GET] = "get", [MS_LOG_CLEAR] = "clear", [MS_LOG_ON] = "on", [MS_LOG_OFF] = "off",
};

static bool has_op(const struct metric_at *at, enum ms_log_op op)
{
	return at->vm->has_log && at->m->measured[model_log_measure(op)];
}

static void log_sync_time(const struct metric_at *at)
{
	for (enum ms_log_op op = MS_LOG_GET; op <= MS_LOG_CLEAR; op++)
		if (has_op(at, op))
			put_times(at, &at->vm->log.op[op].time, log_op[op]);
}

static void log_sync_bytes(const struct metric_at *at)
{
	for (enum ms_log_op op = MS_LOG_GET; op <= MS_LOG_CLEAR; op++)
		if (has_op(at, op))
			PUT(at, count(at->vm->log.op[op].bytes), log_op[op]);
}

static void log_sync_pages(const struct metric_at *at)
{
	for (enum ms_log_op op = MS_LOG_GET; op <= MS_LOG_CLEAR; op++)
		if (has_op(at, op) && at->m->measured[MEASURE_LOG_DIRTY])
			PUT(at, count(at->vm->log.op[op].dirty), log_op[op]);
}

static void log_errors(const struct metric_at *at)
{
	for (enum ms_log_op op = MS_LOG_GET; op < MS_LOG_OPS; op++)
		/* our events are for calls that succeed */
		if (has_op(at, op) && !at->m->measured[MEASURE_LOG_DIRTY])
			PUT(at, count(at->vm->log.op[op].errors), log_op[op]);
}

static void log_toggle_time(const struct metric_at *at)
{
	for (enum ms_log_op op = MS_LOG_ON; op <= MS_LOG_OFF; op++)
		if (has_op(at, op))
			put_times(at, &at->vm->log.op[op].time, log_op[op]);
}

/* Pages that are dirtied within so many seconds, as far as we have looked. */
static void working_set(const struct metric_at *at)
{
	static const char *const within[] = { WORKING_SET_TIMES };
	double pages;

	if (!at->vm->has_pages || !at->m->measured[MEASURE_RING_PAGES])
		return;
	for (size_t i = 0; i < BOUNDS(within); i++) {
		pages = working_set_pages(&at->vm->pages, at->m->page_part, strtod(within[i], NULL));
		if (pages >= 0)
			PUT(at, number(pages), within[i]);
	}
}

static void working_set_overflow(const struct metric_at *at)
{
	if (at->vm->has_pages && at->m->measured[MEASURE_RING_PAGES])
		PUT(at, count(at->vm->pages.overflow));
}

static const char *const wait_name[MS_WAITS] = {
	[MS_WAIT_RESET] = "reset", [MS_WAIT_GET] = "get", [MS_WAIT_CLEAR] = "clear",
	[MS_WAIT_SWITCH] = "switch", [MS_WAIT_STALL] = "stall",
};

/* What a thread of this VM may wait for, and is seen if it does. */
static bool has_wait(const struct metric_at *at, enum ms_wait what)
{
	switch (what) {
	case MS_WAIT_RESET:
		return at->vm->has_ring && at->m->measured[MEASURE_RING_RESET_TIME];
	case MS_WAIT_STALL:
		return at->vm->has_ring && at->m->measured[MEASURE_RING_FULL];
	case MS_WAIT_GET:
		return !at->vm->info.ring_bytes && has_op(at, MS_LOG_GET);
	case MS_WAIT_CLEAR:
		return !at->vm->info.ring_bytes && has_op(at, MS_LOG_CLEAR);
	default:
		return has_op(at, MS_LOG_ON);
	}
}

/*
 * A kind of threads is known once one of them has waited; all else that it may wait for is 0
 * then, so that the first of these waits is seen by a rate, too.
 */
static void thread_wait(const struct metric_at *at)
{
	for (size_t i = 0; i < at->vm->threads && at->m->measured[MEASURE_WAITS]; i++) {
		const struct model_thread *t = &at->vm->thread[i];

		for (enum ms_wait what = 0; what < MS_WAITS; what++)
			if (t->calls[what] || has_wait(at, what))
				PUT(at, number(t->ns[what] / 1e9), t->name, wait_name[what]);
	}
}

static void dirty_to_bandwidth(const struct metric_at *at)
{
	if (at->vm->has_outlook)
		PUT(at, number(at->vm->outlook.ratio));
}

static void forecast_converges(const struct metric_at *at)
{
	if (at->vm->has_outlook && at->vm->outlook.known)
		PUT(at, count(at->vm->outlook.converges));
}

static void forecast_downtime(const struct metric_at *at)
{
	if (at->vm->has_outlook && at->vm->outlook.known)
		PUT(at, number(at->vm->outlook.downtime));
}

#define QEMU_METRIC(fn, value)						\
static void fn(const struct metric_at *at)				\
{									\
	if (at->vm->has_qemu && *at->vm->qemu.status)			\
		PUT(at, value);						\
}

QEMU_METRIC(qemu_rounds, count(at->vm->qemu.rounds))
QEMU_METRIC(qemu_transferred, count(at->vm->qemu.transferred_bytes))
QEMU_METRIC(qemu_remaining, count(at->vm->qemu.remaining_bytes))
QEMU_METRIC(qemu_total, count(at->vm->qemu.total_bytes))
QEMU_METRIC(qemu_rate, number(at->vm->qemu.bytes_per_second))
QEMU_METRIC(qemu_dirty, number(at->vm->qemu.dirty_pages_per_second))
QEMU_METRIC(qemu_expected, number(at->vm->qemu.expected_downtime_seconds))
QEMU_METRIC(qemu_time, number(at->vm->qemu.total_seconds))
QEMU_METRIC(qemu_downtime, number(at->vm->qemu.downtime_seconds))

/* --- all VMs together */

static void migrations_running(const struct metric_at *at)
{
	if (migrations_told(at->m, SESSION_VM_ENDED))
		PUT(at, count(at->m->migrations->running));
}

static void migrations_ended(const struct metric_at *at)
{
	for (enum session_outcome o = 0; o < SESSION_OUTCOMES; o++)
		if (migrations_told(at->m, o))
			PUT(at, count(migrations_count(at->m->migrations, o)), session_outcome_name(o));
}

/* Of each outcome from the start: one that came with its first migration would have no rate. */
static void migration_time(const struct metric_at *at)
{
	for (enum session_outcome o = 0; o < SESSION_OUTCOMES; o++) {
		struct metric_hist out = { .le = migrations_le, .buckets = MIGRATIONS_BUCKETS, .has_sum = true };

		if (!migrations_told(at->m, o))
			continue;
		for (size_t i = 0; i <= MIGRATIONS_BUCKETS; i++) {
			out.all += at->m->migrations->ended[o].bucket[i];
			if (i < MIGRATIONS_BUCKETS)
				out.count[i] = out.all;
		}
		out.sum = at->m->migrations->ended[o].seconds;
		PUT(at, ((struct metric_value){ .kind = METRIC_HIST, .hist = &out }), session_outcome_name(o));
	}
}

/* --- ourselves */

static void vms(const struct metric_at *at)
{
	__u64 alive = 0;

	for (size_t i = 0; i < at->m->vms; i++)
		alive += at->m->vm[i].alive;
	PUT(at, count(alive), "alive");
	PUT(at, count(at->m->vms - alive), "ended");
}

/* What is not needed here, or was not asked for, is no fault and no series. */
static void probe_attached(const struct metric_at *at)
{
	for (size_t i = 0; i < at->m->probes; i++) {
		const struct probe *p = &at->m->probe[i];

		if (probe_is_wanted(p))
			PUT(at, count(p->state == PROBE_ATTACHED), p->source, p->name,
			    probe_how_name(p->how));
	}
}

static void map_full(const struct metric_at *at)
{
	for (size_t i = 0; i < lost_count; i++)
		if (lost[i].full)
			PUT(at, count(at->m->self[lost[i].what]), lost[i].name);
}

static void events_lost(const struct metric_at *at)
{
	/* a call without its start has no duration; a push without a slot is not counted */
	PUT(at, count(at->m->self[MS_SELF_PENDING_FULL]), "duration");
	PUT(at, count(at->m->self[MS_SELF_PUSH_FULL]), "push");
	PUT(at, count(at->m->self[MS_SELF_VMS_FULL] + at->m->self[MS_SELF_RINGS_FULL] +
		      at->m->self[MS_SELF_STATE_FULL]), "object");
	PUT(at, count(at->m->self[MS_SELF_DEVS_FULL]), "device");
	PUT(at, count(at->m->self[MS_SELF_THREADS_FULL]), "thread");
	/* a call whose size is not counted; one that ran when we attached */
	PUT(at, count(at->m->self[MS_SELF_ARGS_UNREAD]), "argument");
	PUT(at, count(at->m->self[MS_SELF_UNMATCHED]), "unmatched");
	PUT(at, count(at->m->self[MS_SELF_MISSED]), "missed");
}

static void build_info(const struct metric_at *at)
{
	PUT(at, count(1), MIGSCOPE_VERSION);
}

#define SELF_METRIC(fn, value)						\
static void fn(const struct metric_at *at)				\
{									\
	if (at->self)							\
		PUT(at, value);						\
}

SELF_METRIC(scrape_duration, number(at->self->scrape_seconds))
SELF_METRIC(series_shown, count(at->self->series))
SELF_METRIC(series_dropped, count(at->self->dropped))
SELF_METRIC(process_cpu, number(at->self->cpu_seconds))
SELF_METRIC(process_resident, count(at->self->resident_bytes))
SELF_METRIC(process_start, number(at->self->start_time))

#define RING	"dirty_ring"
#define LOG	"dirty_log"
#define IOTLB	"vhost_iotlb"
#define VFIO	"vfio"
#define VDPA	"vdpa"
#define QEMU	"qemu"
#define SESSION	"sessions"
#define SELF	"self"

const struct metric metrics[] = {
	{ "vm_info", METRIC_GAUGE, NULL, "A VM: who it is, and how its dirty pages are tracked.",
	  "vm", METRIC_VM, { "uuid", "name", "dirty_mode" }, vm_info },
	{ "vm_alive", METRIC_GAUGE, NULL,
	  "1 while the VM exists; its series stay for a while when it has ended.",
	  "vm", METRIC_VM, { NULL }, vm_alive },
	{ "vms", METRIC_GAUGE, NULL, "VMs that are seen.", "vm", METRIC_HOST, { "state" }, vms },
	{ "dirty_pages", METRIC_COUNTER, "pages", "Pages dirtied.",
	  RING, METRIC_VM, { "writer" }, dirty_pages },

	{ "ring_size_entries", METRIC_GAUGE, "entries", "Entries of a vCPU's dirty ring.",
	  RING, METRIC_VM, { NULL }, ring_size },
	{ "ring_soft_limit_entries", METRIC_GAUGE, "entries",
	  "Entries at which a vCPU is turned away to user space.",
	  RING, METRIC_VM, { NULL }, ring_soft_limit },
	{ "ring_used_entries", METRIC_GAUGE, "entries", "Entries in the VM's fullest ring now.",
	  RING, METRIC_VM, { NULL }, ring_used },
	{ "ring_used_entries_max", METRIC_GAUGE, NULL,
	  "Most entries in one ring of the VM within the last 60 to 70 seconds.",
	  RING, METRIC_VM, { NULL }, ring_used_max },
	{ "ring_fill_at_reset_ratio", METRIC_HISTOGRAM, "ratio",
	  "Peak fill of a ring before each of its resets, against its soft limit.",
	  RING, METRIC_VM, { NULL }, ring_fill },
	{ "ring_full_exits", METRIC_COUNTER, NULL, "KVM_EXIT_DIRTY_RING_FULL.",
	  RING, METRIC_VM, { NULL }, ring_full_exits },
	{ "ring_full_stall_seconds", METRIC_HISTOGRAM, "seconds",
	  "From the first full exit of a vCPU until it may run again.",
	  RING, METRIC_VM, { NULL }, ring_stall },
	{ "ring_full_unfinished", METRIC_COUNTER, NULL,
	  "Stalls whose ring was freed before they ended.",
	  RING, METRIC_VM, { NULL }, ring_full_unfinished },
	{ "ring_stalled_vcpus", METRIC_GAUGE, "vcpus", "vCPUs that wait for a reset now.",
	  RING, METRIC_VM, { NULL }, ring_stalled_vcpus },
	{ "ring_resets", METRIC_COUNTER, NULL, "KVM_RESET_DIRTY_RINGS.",
	  RING, METRIC_VM, { NULL }, ring_resets },
	{ "ring_reset_seconds", METRIC_HISTOGRAM, "seconds", "The walk of one ring at a reset.",
	  RING, METRIC_VM, { NULL }, ring_reset_time },
	{ "ring_flushes", METRIC_COUNTER, NULL,
	  "TLB flushes at the end of KVM_RESET_DIRTY_RINGS: none where nothing was reset.",
	  RING, METRIC_VM, { NULL }, ring_flushes },
	{ "ring_flush_seconds", METRIC_COUNTER, "seconds", "Time in TLB flushes at the end of KVM_RESET_DIRTY_RINGS: part of no walk.",
	  RING, METRIC_VM, { NULL }, ring_flush_time },
	{ "ring_reset_entries", METRIC_COUNTER, "entries", "Entries given back at resets.",
	  RING, METRIC_VM, { NULL }, ring_reset_entries },
	{ "ring_reset_mmu_calls", METRIC_COUNTER, NULL, "Calls into the MMU that resets took.",
	  RING, METRIC_VM, { NULL }, ring_reset_mmu_calls },
	{ "ring_reset_lock_hold_max_seconds", METRIC_GAUGE, "seconds",
	  "Longest hold of mmu_lock at a reset so far.", RING, METRIC_VM, { NULL }, ring_reset_hold_max },
	{ "ring_entries_rejected", METRIC_COUNTER, NULL,
	  "Harvested entries that named no page of the VM.",
	  RING, METRIC_VM, { "reason" }, ring_rejected },

	{ "working_set_pages", METRIC_GAUGE, "pages",
	  "Different pages that are dirtied within so many seconds, on average since we look.",
	  RING, METRIC_VM, { "within" }, working_set },
	{ "working_set_overflow", METRIC_COUNTER, NULL,
	  "Times that a page found no room among those whose dirtying is followed.",
	  RING, METRIC_VM, { NULL }, working_set_overflow },
	{ "dirty_to_bandwidth_ratio", METRIC_GAUGE, "ratio",
	  "What a VM that is tracked dirties, against what a migration may send (--bandwidth).",
	  RING, METRIC_VM, { NULL }, dirty_to_bandwidth },
	{ "forecast_converges", METRIC_GAUGE, NULL,
	  "1: a migration of this VM with that bandwidth ends within its downtime limit (--downtime).",
	  RING, METRIC_VM, { NULL }, forecast_converges },
	{ "forecast_downtime_seconds", METRIC_GAUGE, "seconds",
	  "The downtime that it would end with; if it does not converge, that of the best moment to stop.",
	  RING, METRIC_VM, { NULL }, forecast_downtime },
	{ "thread_wait_seconds", METRIC_COUNTER, "seconds",
	  "Time that the VMM's threads of this kind spent in tracking, or stalled by it.",
	  RING, METRIC_VM, { "thread", "op" }, thread_wait },

	{ "dirty_log_sync_seconds", METRIC_HISTOGRAM, "seconds",
	  "KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG: the work under slots_lock.",
	  LOG, METRIC_VM, { "op" }, log_sync_time },
	{ "dirty_log_sync_bytes", METRIC_COUNTER, "bytes", "Bitmap copied by these calls.",
	  LOG, METRIC_VM, { "op" }, log_sync_bytes },
	{ "dirty_log_sync_pages", METRIC_COUNTER, "pages",
	  "Dirty pages that were reported (get), or are tracked again (clear).",
	  LOG, METRIC_VM, { "op" }, log_sync_pages },
	{ "dirty_log_errors", METRIC_COUNTER, NULL, "Calls that failed.",
	  LOG, METRIC_VM, { "op" }, log_errors },
	{ "dirty_logging_toggle_seconds", METRIC_HISTOGRAM, "seconds",
	  "Dirty logging switched for a slot.", LOG, METRIC_VM, { "op" }, log_toggle_time },

	{ "iotlb_lookups", METRIC_COUNTER, NULL, "Translations that were looked up, by result.",
	  IOTLB, METRIC_DEV, { "result" }, iotlb_lookups },
	{ "iotlb_miss_service_seconds", METRIC_HISTOGRAM, "seconds",
	  "From a miss to the update that answers it.", IOTLB, METRIC_DEV, { NULL }, iotlb_service },
	{ "iotlb_pending_misses", METRIC_GAUGE, NULL, "Addresses that are waited for now.",
	  IOTLB, METRIC_DEV, { NULL }, iotlb_pending },
	{ "iotlb_oldest_miss_seconds", METRIC_GAUGE, "seconds", "The longest of these waits so far.",
	  IOTLB, METRIC_DEV, { NULL }, iotlb_oldest },
	{ "iotlb_entries", METRIC_GAUGE, "entries", "Maps in the table.",
	  IOTLB, METRIC_DEV, { NULL }, iotlb_entries },
	{ "iotlb_entries_limit", METRIC_GAUGE, NULL, "Maps that the table may have.",
	  IOTLB, METRIC_DEV, { NULL }, iotlb_limit },
	{ "iotlb_evictions", METRIC_COUNTER, NULL, "Maps that made room for others.",
	  IOTLB, METRIC_DEV, { NULL }, iotlb_evictions },
	{ "iotlb_updates", METRIC_COUNTER, NULL, "Messages that were accepted.",
	  IOTLB, METRIC_DEV, { "op" }, iotlb_updates },
	{ "iotlb_map_errors", METRIC_COUNTER, NULL, "Messages that were refused, by errno.",
	  IOTLB, METRIC_DEV, { "errno" }, iotlb_map_errors },

	{ "vdpa_op_seconds", METRIC_HISTOGRAM, "seconds",
	  "What was asked of a vDPA device, and its process's messages about memory.",
	  VDPA, METRIC_DEV, { "op" }, vdpa_times },
	{ "vdpa_vq_kicks", METRIC_COUNTER, NULL, "Kicks of its queues that were seen.",
	  VDPA, METRIC_DEV, { NULL }, vdpa_kicks },
	{ "vdpa_vq_events", METRIC_COUNTER, NULL, "Events of its queues.",
	  VDPA, METRIC_DEV, { "op" }, vdpa_callbacks },
	{ "vdpa_pinned_bytes", METRIC_GAUGE, "bytes", "Memory pinned by the process that has it open.",
	  VDPA, METRIC_DEV, { NULL }, vdpa_pinned },

	{ "vdpa_table_lookups", METRIC_COUNTER, NULL,
	  "Addresses that a vDPA device itself looked up in the table of an address space, by result; "
	  "not those of vhost, which are iotlb_lookups.",
	  VDPA, METRIC_DEV, { "result", "asid" }, vdpa_lookups },
	{ "vdpa_table_entries", METRIC_GAUGE, "entries", "Maps in the table of an address space.",
	  VDPA, METRIC_DEV, { "asid" }, vdpa_entries },
	{ "vdpa_table_entries_limit", METRIC_GAUGE, NULL, "Maps that it may have, where that is limited.",
	  VDPA, METRIC_DEV, { "asid" }, vdpa_limit },

	{ "vfio_pinned_pages", METRIC_GAUGE, "pages", "Pages that devices hold.",
	  VFIO, METRIC_DEV, { NULL }, vfio_pinned },

	{ "vfio_pin_seconds", METRIC_HISTOGRAM, "seconds",
	  "Pins and unpins by devices, maps and unmaps by their process.",
	  VFIO, METRIC_DEV, { "op" }, vfio_times },
	{ "vfio_dirty_get_seconds", METRIC_HISTOGRAM, "seconds",
	  "Dirty bitmaps that were asked for, alone or with an unmap.",
	  VFIO, METRIC_DEV, { "op" }, vfio_get_times },
	{ "vfio_dirty_get_bytes", METRIC_COUNTER, "bytes", "Bitmap written to user space.",
	  VFIO, METRIC_DEV, { NULL }, vfio_get_bytes },
	{ "vfio_dirty_pages_reported", METRIC_COUNTER, NULL, "Pages that these bitmaps showed as dirty.",
	  VFIO, METRIC_DEV, { NULL }, vfio_dirty_pages },
	{ "vfio_dirty_scope_full", METRIC_GAUGE, NULL,
	  "1: a device may write anywhere, all that is mapped counts as dirty.",
	  VFIO, METRIC_DEV, { NULL }, vfio_scope },
	{ "vfio_dirty_tracking", METRIC_GAUGE, NULL, "1: dirty tracking is on.",
	  VFIO, METRIC_DEV, { NULL }, vfio_tracking },
	{ "vfio_dma_mappings", METRIC_GAUGE, NULL, "Mappings that the container has.",
	  VFIO, METRIC_DEV, { NULL }, vfio_mappings },
	{ "vfio_dma_mappings_available", METRIC_GAUGE, NULL, "Mappings that it may have beyond those.",
	  VFIO, METRIC_DEV, { NULL }, vfio_available },
	{ "vfio_migration_state_seconds", METRIC_COUNTER, "seconds",
	  "Time that a device spent in a migration state.", VFIO, METRIC_DEV, { "state" }, vfio_states },

	{ "qemu_rounds", METRIC_GAUGE, NULL, "QEMU's dirty-sync-count of its migration (--qmp).",
	  QEMU, METRIC_VM, { NULL }, qemu_rounds },
	{ "qemu_transferred_bytes", METRIC_GAUGE, "bytes", "What QEMU says that it has sent.",
	  QEMU, METRIC_VM, { NULL }, qemu_transferred },
	{ "qemu_remaining_bytes", METRIC_GAUGE, "bytes", "What QEMU says is left to be sent.",
	  QEMU, METRIC_VM, { NULL }, qemu_remaining },
	{ "qemu_total_bytes", METRIC_GAUGE, "bytes", "Memory of the VM, as QEMU says.",
	  QEMU, METRIC_VM, { NULL }, qemu_total },
	{ "qemu_sent_rate", METRIC_GAUGE, NULL, "Bytes that QEMU sends in a second, as it says.",
	  QEMU, METRIC_VM, { NULL }, qemu_rate },
	{ "qemu_dirty_pages_rate", METRIC_GAUGE, NULL, "QEMU's dirty-pages-rate, pages in a second.",
	  QEMU, METRIC_VM, { NULL }, qemu_dirty },
	{ "qemu_expected_downtime_seconds", METRIC_GAUGE, "seconds", "QEMU's expected-downtime.",
	  QEMU, METRIC_VM, { NULL }, qemu_expected },
	{ "qemu_migration_seconds", METRIC_GAUGE, "seconds", "QEMU's total-time of its migration.",
	  QEMU, METRIC_VM, { NULL }, qemu_time },
	{ "qemu_downtime_seconds", METRIC_GAUGE, "seconds", "QEMU's downtime, once it is over.",
	  QEMU, METRIC_VM, { NULL }, qemu_downtime },

	{ "migrations_running", METRIC_GAUGE, NULL, "Migrations that go on.",
	  SESSION, METRIC_HOST, { NULL }, migrations_running },
	{ "migrations", METRIC_COUNTER, NULL,
	  "Migrations that are over, by what they came to; those of VMs that are gone, too.",
	  SESSION, METRIC_HOST, { "outcome" }, migrations_ended },
	{ "migration_duration_seconds", METRIC_HISTOGRAM, "seconds",
	  "How long each of these migrations took, as far as samples tell.", SESSION, METRIC_HOST, { "outcome" }, migration_time },

	{ "probe_attached", METRIC_GAUGE, NULL,
	  "1: attached; 0: wanted, and missing or refused (migscope doctor says why).",
	  SELF, METRIC_HOST, { "source", "probe", "how" }, probe_attached },
	{ "events_lost", METRIC_COUNTER, NULL, "What was seen and could not be counted.",
	  SELF, METRIC_HOST, { "what" }, events_lost },
	{ "map_full", METRIC_COUNTER, NULL, "Times that something did not fit into a map.",
	  SELF, METRIC_HOST, { "map" }, map_full },
	{ "scrape_duration_seconds", METRIC_GAUGE, "seconds",
	  "What the last sample and its exposition took.",
	  SELF, METRIC_HOST, { NULL }, scrape_duration },
	{ "series", METRIC_GAUGE, NULL, "Series in the exposition before this one.",
	  SELF, METRIC_HOST, { NULL }, series_shown },
	{ "series_dropped", METRIC_COUNTER, NULL,
	  "Series that the cap left out, over all expositions.",
	  SELF, METRIC_HOST, { NULL }, series_dropped },
	{ "build_info", METRIC_GAUGE, NULL, "What runs.",
	  SELF, METRIC_HOST, { "version" }, build_info },
	{ "process_cpu_seconds", METRIC_COUNTER, "seconds", "CPU time of the exporting process.",
	  SELF, METRIC_HOST, { NULL }, process_cpu, true },
	{ "process_resident_memory_bytes", METRIC_GAUGE, "bytes",
	  "Resident size of the exporting process.",
	  SELF, METRIC_HOST, { NULL }, process_resident, true },
	{ "process_start_time_seconds", METRIC_GAUGE, "seconds",
	  "When the exporting process began, Unix time.",
	  SELF, METRIC_HOST, { NULL }, process_start, true },
};

const size_t metrics_count = sizeof(metrics) / sizeof(metrics[0]);

size_t metrics_objects(const struct model *m, enum metric_scope scope)
{
	return scope == METRIC_VM ? m->vms : scope == METRIC_DEV ? m->devs : 1;
}

void metrics_object(struct metric_at *at, enum metric_scope scope, size_t i)
{
	at->vm = scope == METRIC_VM ? &at->m->vm[i] : NULL;
	at->dev = scope == METRIC_DEV ? &at->m->dev[i] : NULL;
}

void metrics_points(struct metric_at *at, const struct metric *metric)
{
	at->metric = metric;
	metric->points(at);
}
