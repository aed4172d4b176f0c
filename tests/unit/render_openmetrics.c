// SPDX-License-Identifier: GPL-2.0
/*
 * render_openmetrics classic|openmetrics [MOST [STEP]] - the exposition of a model that
 * is always the same, with everything measured; with STEP every counter is as many times
 * as high, and names have nothing to be escaped. `twins` is in OpenMetrics, of VMs and devices that have
 * names of others that ended; the tables of these devices have a limit of 0. So is `partial`, where
 * resets, switching and migration states are not hooked. `names` prints what series there may be.
 * Without a format: checks of Accept.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../tools/migscope/accept.h"
#include "../../tools/migscope/migrations.h"
#include "../../tools/migscope/render.h"

static void fill_times(struct ms_time_hist *h, unsigned int seed)
{
	for (int i = 0; i < MS_TIME_BUCKETS; i++)
		h->bucket[i] = (i * seed) % 5;
	h->sum_ns = 1234567890ULL * seed;
	h->max_ns = 1000000ULL * seed;
}

static void ring_vm(struct model_vm *vm)
{
	static struct model_vcpu vcpu[2];
	static struct model_thread thread[2];

	/* all that has to be escaped, and what has not */
	strcpy(vm->name, "a\"b\\c\nd {e,f} g\xc3\xbc#2");
	strcpy(vm->uuid, "01234567-89ab-cdef-0123-456789abcdef");
	vm->id = 1;
	vm->alive = vm->has_ring = vm->has_log = true;
	vm->info.ring_bytes = 65536;
	vm->ring.size = 4096;
	vm->ring.soft_limit = 4032;
	vm->ring.pushes = (1ULL << 53) + 1;	/* no double has it */
	vm->ring.resets = 17;
	vm->ring.reset_events = 34;
	vm->ring.reset_entries = 1000;
	vm->ring.flushes = 16;
	vm->ring.flush_ns = 500000000;
	vm->ring.full_exits = 3;
	vm->ring.stalls_unfinished = 1;
	vm->ring.mmu_calls = 99;
	vm->ring.rejected = 7;
	vm->ring.rejected_slot = 5;
	vm->ring.hold_max_ns = 1500;
	vm->stalled_now = 1;
	vm->recent.used = 2016;
	for (int i = 0; i < MS_FILL_BUCKETS; i++)
		vm->ring.fill[i] = i;
	fill_times(&vm->ring.stall, 3);
	fill_times(&vm->ring.reset, 7);
	vcpu[0].used = 10;
	vcpu[1].used = 20;
	vcpu[0].ring.soft_limit = vcpu[1].ring.soft_limit = 4032;
	vm->has_pages = true;
	vm->pages.since_ns = 1;
	vm->pages.last_ns = 20000000001ULL;
	vm->pages.seen = 2000;
	vm->pages.overflow = 6;
	vm->pages.first[40] = 1500;
	vm->pages.gap[44] = 500;
	strcpy(thread[0].name, "CPU N/KVM");
	thread[0].calls[MS_WAIT_STALL] = 3;
	thread[0].ns[MS_WAIT_STALL] = 1500000000;
	strcpy(thread[1].name, "live_migration");
	thread[1].calls[MS_WAIT_RESET] = 17;
	thread[1].ns[MS_WAIT_RESET] = 250000000;
	vm->thread = thread;
	vm->threads = 2;
	vm->has_outlook = vm->outlook.known = true;
	vm->outlook.ratio = 1.25;
	vm->outlook.downtime = 4.5;
	vm->has_qemu = true;
	strcpy(vm->qemu.status, "active");
	vm->qemu.rounds = 4;
	vm->qemu.remaining_bytes = 1 << 20;
	vm->qemu.total_bytes = 1 << 30;
	vm->qemu.bytes_per_second = 1e8;
	vm->vcpu = vcpu;
	vm->vcpus = 2;
}

static void bitmap_vm(struct model_vm *vm)
{
	strcpy(vm->name, "plain");
	vm->id = 2;
	vm->has_log = true;
	vm->log.marks = 4711;
	for (int op = 0; op < MS_LOG_OPS; op++) {
		vm->log.op[op].calls = 10 + op;
		vm->log.op[op].errors = op;
		vm->log.op[op].bytes = 4096 * op;
		vm->log.op[op].dirty = 100 + op;
		fill_times(&vm->log.op[op].time, 11 + op);
	}
}

static int check_accept(void)
{
	static const struct {
		const char *accept;
		bool openmetrics;
	} row[] = {
		{ NULL, false },
		{ "", false },
		{ "*/*", false },
		{ "text/plain", false },
		{ "application/openmetrics-text", true },
		/* Prometheus 2.42, and one of 3 */
		{ "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
		  "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true },
		{ "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,"
		  "*/*;q=0.2", true },
		{ "application/openmetrics-text; version=\"1.0.0\" , text/plain;q=0.9", true },
		{ "application/openmetrics-text;version=0.0.1", false },
		{ "application/openmetrics-text;version=10", false },
		{ "application/openmetrics-text;q=0", false },
		{ "application/openmetrics-text;q=0.5,text/plain", false },
		{ "application/openmetrics-text;q=0.5,*/*", false },
		{ "application/openmetrics-text;q=x", false },
		{ "application/openmetrics-textual", false },
		{ "APPLICATION/OpenMetrics-Text", true },
		{ ";;;,,,;q=,", false },
		{ "text/html,application/openmetrics-text", true },
	};
	int bad = 0;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		bool ok = accept_openmetrics(row[i].accept) == row[i].openmetrics;

		printf("%sok %zu - Accept: %s\n", ok ? "" : "not ", i + 1,
		       row[i].accept ? row[i].accept : "(none)");
		bad += !ok;
	}
	printf("1..%zu\n", sizeof(row) / sizeof(row[0]));
	return bad ? 1 : 0;
}

static int print_names(void)
{
	static const char *const suffix[][4] = {
		[METRIC_GAUGE] = { "" },
		[METRIC_COUNTER] = { "_total" },
		[METRIC_HISTOGRAM] = { "_bucket", "_count", "_sum" },
	};

	for (size_t i = 0; i < metrics_count; i++)
		for (int k = 0; k < 4 && suffix[metrics[i].type][k]; k++)
			printf("%s%s%s\n", metrics[i].bare ? "" : METRIC_PREFIX, metrics[i].name,
			       suffix[metrics[i].type][k]);
	return 0;
}

static void scale(void *counters, size_t size, __u64 step)
{
	for (size_t i = 0; i < size / sizeof(__u64); i++)
		((__u64 *)counters)[i] *= step;
}

/* One that goes on; of those that are over five finished, one of them after hours, two were cancelled. */
static struct migrations migrations = {
	.running = 1,
	.ended[SESSION_LOGGING_OFF] = { .bucket = { [3] = 4, [MIGRATIONS_BUCKETS] = 1 }, .seconds = 8000.25 },
	.ended[SESSION_RAN_ON] = { .bucket = { 2 }, .seconds = 1.5 },
};

/* What STEP rounds of the same have counted. */
static void run(struct model *m, struct metric_self *self, __u64 step)
{
	struct model_vm *ring = &m->vm[0], *bitmap = &m->vm[1];
	struct model_dev *dev = &m->dev[0];

	strcpy(ring->name, "ring");
	/* what a pattern would take for more than a name */
	strcpy(bitmap->name, "plain (2)");
	strcpy(dev->vm, bitmap->name);
	bitmap->alive = true;
	ring->ring.pushes = 1000;
	scale(&ring->ring, offsetof(struct ms_ring_vm, used_max), step);
	scale(&bitmap->log, sizeof(bitmap->log), step);
	for (size_t i = 0; i < ring->threads; i++)
		scale(ring->thread[i].ns, sizeof(ring->thread[i].ns), step);
	scale(&dev->iotlb.misses, sizeof(dev->iotlb.misses), step);
	scale(&dev->iotlb.evictions, sizeof(dev->iotlb.evictions), step);
	scale(&dev->iotlb.service, sizeof(dev->iotlb.service), step);
	scale(dev->vfio.op, sizeof(dev->vfio.op), step);
	scale(dev->mig.in_ns, sizeof(dev->mig.in_ns), step);
	scale(dev->vdpa.op, sizeof(dev->vdpa.op), step);
	scale(&dev->vdpa.kicks, sizeof(dev->vdpa.kicks), step);
	for (int i = 0; i < MS_VDPA_SPACES; i++)
		scale(&dev->vdpa.space[i].misses, 3 * sizeof(__u64), step);
	scale(m->self, sizeof(m->self), step);
	for (int i = 0; i < SESSION_OUTCOMES; i++) {
		scale(migrations.ended[i].bucket, sizeof(migrations.ended[i].bucket), step);
		migrations.ended[i].seconds *= step;
	}
	self->dropped *= step;
	self->cpu_seconds *= step;
}

/* Each pair has one name: one that ended beside a living one, older or newer, or another. */
static void add_twins(struct model *m)
{
	static const struct {
		const char *name;
		bool alive;
		unsigned int marks;
	} twin[] = {
		{ "again", false, 1 }, { "again", true, 2 },
		{ "first", true, 3 }, { "first", false, 4 },
		{ "over", false, 5 }, { "over", false, 6 },
	};
	static struct model_vm vm[8];
	static struct model_dev dev[7];

	vm[0] = m->vm[0];
	vm[1] = m->vm[1];
	dev[0] = m->dev[0];
	for (int i = 0; i < 6; i++) {
		vm[2 + i] = m->vm[1];
		vm[2 + i].id = 10 + i;
		vm[2 + i].alive = twin[i].alive;
		vm[2 + i].log.marks = twin[i].marks;
		strcpy(vm[2 + i].name, twin[i].name);
		dev[1 + i] = m->dev[0];
		dev[1 + i].id = 20 + i;
		dev[1 + i].alive = twin[i].alive;
		dev[1 + i].iotlb.misses = twin[i].marks;
		dev[1 + i].iotlb.limit = dev[1 + i].vdpa.space[0].limit = 0;
		strcpy(dev[1 + i].vm, twin[i].name);
	}
	m->vm = vm;
	m->vms = 8;
	m->dev = dev;
	m->devs = 7;
}

int main(int argc, char **argv)
{
	static const struct probe probe[] = {
		{ .source = "dirty_ring", .name = "ring_reset", .how = PROBE_TRACEPOINT, .state = PROBE_ATTACHED },
		{ .source = "dirty_log", .name = "log_get_end", .how = PROBE_FENTRY, .state = PROBE_REFUSED },
		{ .source = "dirty_ring", .name = "ring_push", .how = PROBE_TRACEPOINT, .state = PROBE_OFF },
	};
	static struct model_vm vm[2];
	struct metric_self self = { 0.0125, 321, 12, 1.5, 3 << 20, 1700000000.25 };
	static struct model_dev dev = { .id = 3, .vm = "plain", .dev = "vhost\"1", .alive = true, .has_iotlb = true,
					.has_vfio = true, .pending = 2, .oldest = 0.5 };
	struct model m = { .vm = vm, .vms = 2, .dev = &dev, .devs = 1, .probe = probe, .probes = 3,
			   .migrations = &migrations };
	struct openmetrics_options o = { .most = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000 };
	struct openmetrics_stats stats;
	char *text;
	size_t len;

	if (argc < 2)
		return check_accept();
	if (!strcmp(argv[1], "names"))
		return print_names();
	o.openmetrics = strcmp(argv[1], "classic");
	for (int i = 0; i < MEASURES; i++)
		m.measured[i] = true;
	for (int i = 0; i < MS_SELF_COUNT; i++)
		m.self[i] = 1 << i;
	ring_vm(&vm[0]);
	bitmap_vm(&vm[1]);
	dev.iotlb.misses = 41;
	dev.iotlb.updates = 40;
	dev.iotlb.invalidates = 7;
	dev.iotlb.evictions = 3;
	dev.iotlb.entries = 2000;
	dev.iotlb.limit = 2048;
	dev.vfio.pinned = 512;
	dev.iotlb.hits = 900;
	dev.iotlb.denied = 1;
	dev.iotlb.errors[MS_ENOSPC] = 5;
	dev.has_mig = true;
	dev.mig.in_ns[2] = 12345678901;
	dev.mig.in_ns[6] = 500000000;
	dev.has_vdpa = true;
	dev.vdpa.kicks = 30;
	dev.vdpa.callbacks = 31;
	dev.vdpa.pinned_pages = 1000;
	dev.vdpa.knows_pinned = 1;
	dev.has_spaces = true;
	dev.vdpa.space[0] = (struct ms_vdpa_space){ 1, 2, 3, 4, 70, 2048, 1 };
	dev.vdpa.space[1] = (struct ms_vdpa_space){ 2, 5, 6, 7, 8, ~0U, 1 };
	dev.vdpa.space[2] = (struct ms_vdpa_space){ 3, 0, 0, 0, 9, 2048, 0 };
	dev.vdpa.op[MS_VDPA_set_map].calls = 4;
	fill_times(&dev.vdpa.op[MS_VDPA_set_map].time, 19);
	dev.vdpa.op[MS_VDPA_update].calls = 9;
	fill_times(&dev.vdpa.op[MS_VDPA_update].time, 21);
	fill_times(&dev.vfio.op[MS_VFIO_PIN].time, 23);
	fill_times(&dev.vfio.op[MS_VFIO_GET].time, 27);
	dev.vfio.op[MS_VFIO_GET].bytes = 8192;
	dev.vfio.op[MS_VFIO_GET].dirty = 300;
	dev.vfio.opaque = 1;
	dev.vfio.tracking = 1;
	dev.vfio.maps = 60;
	dev.vfio.avail = 65475;
	dev.vfio.knows = MS_VFIO_KNOWS_AVAIL | MS_VFIO_KNOWS_MAPS | MS_VFIO_KNOWS_SCOPE |
			 MS_VFIO_KNOWS_PINNED;
	fill_times(&dev.iotlb.service, 17);
	if (!strcmp(argv[1], "twins"))
		add_twins(&m);
	if (!strcmp(argv[1], "partial"))
		m.measured[MEASURE_RING_RESET_TIME] = m.measured[MEASURE_LOG_TOGGLE] =
			m.measured[MEASURE_VFIO_MIG] = false;
	if (argc > 3)
		run(&m, &self, strtoull(argv[3], NULL, 10));
	if (render_openmetrics(&m, &self, &o, &text, &len, &stats))
		return 1;
	fwrite(text, 1, len, stdout);
	fprintf(stderr, "%zu %zu\n", stats.series, stats.dropped);
	free(text);
	return 0;
}
