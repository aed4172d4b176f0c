// SPDX-License-Identifier: GPL-2.0
/*
 * recording FILE [read] - a recording of a minute that never was, by the recorder itself: two
 * migrations at once, one of them of a VM that dies, a display, a device that is migrated, a
 * gap, a clock that is set, a VM that is started again. One sample a second, Unix time 1700000000 and on. With
 * `read` somebody reads it for longer than is waited for.
 */
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "../../tools/migscope/migscope.h"
#include "../../tools/migscope/recording.h"

#define BEGIN 1700000000.0

void ms_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void switched(struct model_vm *vm, enum ms_log_op op, unsigned int slots, __u64 pages)
{
	vm->log.op[op].calls += slots;
	vm->log.op[op].pages += pages;
	vm->log.op[op].time.bucket[10] += slots;
	vm->log.op[op].time.sum_ns += slots * 1000000ULL;
}

static void harvested(struct model_vm *vm)
{
	vm->log.op[MS_LOG_GET].calls += 2;
	vm->log.op[MS_LOG_GET].bytes += 65536;
	vm->log.op[MS_LOG_GET].time.bucket[18] += 2;
	vm->log.op[MS_LOG_GET].time.sum_ns += 2 * 150000000ULL;
	vm->log.op[MS_LOG_GET].dirty += 300;
	vm->log.marks += 300;
}

static void dirtied(struct model_vm *vm, unsigned int pages, unsigned int stalls)
{
	vm->ring.pushes += pages;
	vm->ring.resets++;
	vm->ring.reset_entries += pages;
	vm->ring.full_exits += stalls;
	vm->ring.stall.bucket[16] += stalls;
	vm->ring.stall.sum_ns += stalls * 50000000ULL;
	vm->recent.used = stalls ? 4032 : 1008;
	vm->recent.soft_limit = 4032;
}

/* What happens in the second that ends at @t. */
static void live(struct model_vm *vm, int t)
{
	struct model_vm *ring = &vm[0], *bitmap = &vm[1], *display = &vm[2], *again = &vm[3];

	if (t == 5)
		switched(ring, MS_LOG_ON, 4, 1 << 20);
	if (t >= 5 && t <= 25)
		dirtied(ring, 1000, t == 20 ? 3 : 0);
	if (t == 25)
		switched(ring, MS_LOG_OFF, 4, 1 << 20);
	if (t == 10)
		switched(bitmap, MS_LOG_ON, 3, 1 << 18);
	if (t > 10 && t < 30)
		harvested(bitmap);
	if (t == 30)
		bitmap->alive = false;
	if (t == 15 || t == 50)
		switched(display, MS_LOG_ON, 1, 4096);
	if (t == 18)
		switched(display, MS_LOG_OFF, 1, 4096);
	if (t == 48)
		switched(again, MS_LOG_ON, 4, 1 << 20);
	if (t >= 48)
		dirtied(again, 500, 0);
}

/* What a VFIO device of the first is in, in the second that ends at @t; that of the second runs. */
static void live_states(struct ms_vfio_mig *mig, struct ms_vfio_mig *runs, int t)
{
	enum ms_vfio_state state = t <= 5 ? MS_VFIO_RUNNING : t < 25 ? MS_VFIO_PRE_COPY :
				   t == 25 ? MS_VFIO_STOP_COPY : MS_VFIO_STOPPED;

	mig->since_ns = 1;
	mig->state = state;
	if (t && t < 35)
		mig->in_ns[state] += 1000000000;
	runs->since_ns = 1;
	runs->state = MS_VFIO_RUNNING;
	if (t && t < 30)
		runs->in_ns[MS_VFIO_RUNNING] += 1000000000;
}

/* Devices of the first and of the second: one with an IOTLB, one that pins, two that can migrate. */
static void live_devices(struct model_dev *dev, int t)
{
	if (t > 5 && t < 40) {
		dev[0].iotlb.misses += 10;
		dev[0].iotlb.service.bucket[12] += 10;
		dev[0].iotlb.service.sum_ns += 10 * 20000000ULL;
		dev[0].iotlb.entries = 1000 + 10 * t;
		dev[0].vdpa.space[0].misses += 3;
		dev[0].vdpa.space[0].denied += 50;
		dev[0].vdpa.space[1].misses += 4;
	}
	live_states(&dev[2].mig, &dev[3].mig, t);
	if (t > 10 && t < 30) {
		dev[1].vfio.op[MS_VFIO_PIN].calls += 4;
		dev[1].vfio.op[MS_VFIO_PIN].time.bucket[5] += 4;
		dev[1].vfio.op[MS_VFIO_PIN].time.sum_ns += 4 * 30000ULL;
		dev[1].vfio.pinned += 64;
		dev[1].vfio.op[MS_VFIO_GET].calls++;
		dev[1].vfio.op[MS_VFIO_GET].time.bucket[8]++;
		dev[1].vfio.op[MS_VFIO_GET].time.sum_ns += 200000;
		dev[1].vfio.op[MS_VFIO_GET].bytes += 4096;
	}
}

/* What could not be counted: twice something, of several kinds, and a call that ran when we attached. */
static void live_lost(__u64 *self, int t)
{
	if (t == 2)
		self[MS_SELF_UNMATCHED]++;
	if (t == 28) {
		self[MS_SELF_VMS_FULL] += 1;
		self[MS_SELF_PUSH_FULL] += 3;
		self[MS_SELF_DEVS_FULL] += 10;
		self[MS_SELF_THREADS_FULL] += 20;
		self[MS_SELF_ARGS_UNREAD] += 40;
	}
	if (t == 50)
		self[MS_SELF_RINGS_FULL] += 2;
}

/* What QEMU says of the first one's migration. */
static void live_qemu(struct model_qemu *q, int t)
{
	if (t < 5)
		return;
	strcpy(q->status, t > 25 ? "completed" : "active");
	q->rounds = t > 25 ? 5 : 1 + (t - 5) / 5;
	q->total_bytes = 1ULL << 32;
	q->transferred_bytes = (t > 25 ? 20 : t - 5) * 200000000ULL;
	q->remaining_bytes = t > 25 ? 0 : 100000000;
	q->total_seconds = t > 25 ? 20.5 : t - 5;
	q->downtime_seconds = t > 25 ? 0.25 : 0;
}

/* Holds the file as a reader does, from the twelfth to the fifteenth second. */
static int read_meanwhile(const char *path, int t)
{
	static sqlite3 *db;

	if (t == 12)
		return sqlite3_open(path, &db) != SQLITE_OK ||
		       sqlite3_exec(db, "BEGIN; SELECT count(*) FROM value", NULL, NULL, NULL) != SQLITE_OK;
	return t == 15 && sqlite3_close(db) != SQLITE_OK;
}

int main(int argc, char **argv)
{
	static const char *const dev_name[] = { "vhost-net-0", "container-0", "00000000-0000-4000-8000-00000000000a",
						"00000000-0000-4000-8000-00000000000b" };
	static struct model_dev dev[4];
	struct model_thread thread[2] = { { .name = "CPU N/KVM" }, { .name = "live_migration" } };
	static const char *const name[] = { "one", "two </script><b>&", "screen", "one" };
	struct model_vm vm[4] = { 0 };
	static struct probe probe[] = {
		{ "dirty_ring", "seen", .module = "kvm", .gives = "one thing", .state = PROBE_ATTACHED },
		{ "dirty_ring", "lost", .module = "kvm", .gives = "another", .state = PROBE_MISSING, .why = "gone" },
		{ "vfio", "idle", .module = "vfio", .gives = "a third", .state = PROBE_WAITING,
		  .why = "vfio is not loaded" },
		{ "dirty_log", "waits", .module = "kvm", .gives = "a fourth", .state = PROBE_WAITING,
		  .why = "kvm is not loaded" },
	};
	struct model m = { .vm = vm, .dev = dev, .devs = 4, .probe = probe, .probes = 4 };
	struct recording *r;

	if (argc < 2 || recording_new(argv[1], "migscope record, as a test", 1, &r))
		return 1;
	for (int i = 0; i < MEASURES; i++)
		m.measured[i] = true;
	for (int i = 0; i < 4; i++) {
		vm[i].id = i + 1;
		strcpy(vm[i].name, name[i]);
		vm[i].info.tgid = 100 + i;
		vm[i].alive = vm[i].has_log = true;
		vm[i].has_ring = i != 1 && i != 2;
		vm[i].info.ring_bytes = vm[i].has_ring ? 65536 : 0;
		vm[i].ring.size = 4096;
		vm[i].ring.soft_limit = 4032;
	}
	/* with no room for a NUL behind it */
	memcpy(vm[1].info.comm, "caf\xc3\xa9\n\xff 89012345", MS_COMM_LEN);
	for (int i = 0; i < 4; i++) {
		dev[i].id = 10 + i;
		dev[i].pid = 100 + i % 2;
		dev[i].alive = true;
		strcpy(dev[i].vm, name[i % 2]);
		strcpy(dev[i].dev, dev_name[i]);
	}
	dev[0].has_iotlb = dev[1].has_vfio = dev[2].has_mig = dev[3].has_mig = true;
	dev[1].vfio.knows = MS_VFIO_KNOWS_PINNED;
	/* nothing has both; here it shows that they are told apart */
	dev[0].has_vdpa = dev[0].has_spaces = true;
	dev[0].vdpa.space[0] = dev[0].vdpa.space[1] = (struct ms_vdpa_space){ .table = 1, .own = 1 };
	dev[0].iotlb.limit = 2048;
	vm[0].thread = thread;
	vm[0].threads = 2;
	vm[0].has_qemu = true;
	for (int t = 0; t <= 60; t++) {
		live(vm, t);
		live_devices(dev, t);
		live_qemu(&vm[0].qemu, t);
		live_lost(m.self, t);
		if (t == 20) {
			thread[0].calls[MS_WAIT_STALL] = 3;
			thread[0].ns[MS_WAIT_STALL] = 150000000;
		}
		if (t >= 5 && t <= 25) {
			thread[1].calls[MS_WAIT_RESET]++;
			thread[1].ns[MS_WAIT_RESET] += 2000000;
		}
		if (t == 35)
			vm[0].alive = false;
		/* nobody looked */
		if (t > 33 && t < 40)
			continue;
		m.vms = t < 42 ? 3 : 4;
		m.time = BEGIN + t + (t >= 45 ? 100 : 0);
		m.now_ns = (1000 + t) * 1000000000ULL;
		m.elapsed = t + 0.5;
		if (argc > 2 && read_meanwhile(argv[1], t))
			return 1;
		if (recording_add(r, &m))
			return 1;
	}
	if (recording_finish(r, "the test is over"))
		return 1;
	recording_free(r);
	return 0;
}
