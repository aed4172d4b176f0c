// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty pages, to the page: what the container says, and what the device itself does.
 * What must be dirty is known from the commands.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "vfio.h"

#define IOVA	0x200000000ULL
#define PAGES	(3 * 64 + 37)		/* not a whole number of words */
#define WORDS	((PAGES + 63) / 64)
#define MAX	3

static struct container c;
static struct device d[MAX];
static uint8_t *mem;

/* What must be there, and what the user's memory held before. */
static uint64_t want[WORDS], got[WORDS];

static void begin(unsigned int n)
{
	open_all(&c, d, n);
	mem = memory(PAGES * PAGE);
	map(&c, mem, IOVA, PAGES * PAGE);
	memset(want, 0, sizeof(want));
}

static void end(unsigned int n)
{
	close_all(&c, d, n);
	must(munmap(mem, PAGES * PAGE));
}

static void expect(uint64_t target, const struct command *k)
{
	for (uint32_t b = 0; b < k->blocks; b++) {
		uint64_t first = (target + b * k->stride - IOVA) / PAGE;
		uint64_t last = (target + b * k->stride + k->length - 1 - IOVA) / PAGE;

		for (uint64_t page = first; page <= last; page++)
			want[page / 64] |= 1ULL << page % 64;
	}
}

static void run_ok(struct device *dev, const struct command *k)
{
	uint32_t error = run(dev, k);

	check(!error, "DMA: %s", strerror(error));
	expect(k->target, k);
}

static void compare(const char *when)
{
	for (unsigned int page = 0; page < PAGES; page++) {
		bool is = got[page / 64] >> page % 64 & 1, should = want[page / 64] >> page % 64 & 1;

		check(is == should, "%s: page %u is %s", when, page, is ? "dirty" : "clean");
	}
	memset(want, 0, sizeof(want));
}

static void container_says(const char *when)
{
	memset(got, 0, sizeof(got));
	dirty_get(&c, IOVA, PAGES * PAGE, got);
	compare(when);
}

static struct command some(uint32_t flags)
{
	struct command k = fill_command(IOVA + rng() % 20 * PAGE + rng() % PAGE, rng() % 6000 + 1,
					rng());

	k.command |= flags;
	k.blocks = rng() % 20 + 1;
	k.stride = rng() % (8 * PAGE);
	return k;
}

static void test_container(void)
{
	struct command k, kept;

	begin(1);
	dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	container_says("nothing was written");
	for (int i = 0; i < 20; i++) {
		k = some(i % 2 ? VFIO_SIM_BY_CPU : 0);
		run_ok(&d[0], &k);
		if (i % 3 == 0) {
			k = some(0);
			run_ok(&d[0], &k);
		}
		container_says("written and let go");
	}
	container_says("reported once");

	/* kept pages are dirty until they are let go, and once after that */
	kept = some(VFIO_SIM_KEEP);
	run_ok(&d[0], &kept);
	container_says("kept");
	expect(kept.target, &kept);
	container_says("still kept");
	k = some(VFIO_SIM_BY_CPU);
	run_ok(&d[0], &k);
	expect(kept.target, &kept);
	container_says("kept, and others");
	/* written through the pins that are there: they hold it, too */
	kept.command &= ~VFIO_SIM_KEEP;
	run_ok(&d[0], &kept);
	container_says("written again");
	set32(&d[0], VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_RELEASE);
	expect(kept.target, &kept);
	container_says("let go");
	container_says("gone");

	/* reading by the CPU leaves no trace */
	k = (struct command){ .command = VFIO_SIM_OP_LOAD | VFIO_SIM_BY_CPU, .source = IOVA,
			      .length = 5 * PAGE, .passes = 1, .blocks = 1 };
	check(run(&d[0], &k) == 0, "load");
	container_says("read");
	k = (struct command){ .command = VFIO_SIM_OP_COPY | VFIO_SIM_BY_CPU, .source = IOVA,
			      .target = IOVA + 100 * PAGE, .length = 5 * PAGE, .passes = 1, .blocks = 1 };
	run_ok(&d[0], &k);
	container_says("copied");
	dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
	refused(EINVAL, try_dirty_get(&c, IOVA, PAGES * PAGE, got));
	end(1);
}

/* Several devices, one container: whoever wrote it, whoever keeps it. */
static void test_several(void)
{
	struct command k, kept[MAX];

	begin(MAX);
	dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < MAX; i++) {
			k = some(i == 1 ? VFIO_SIM_BY_CPU : 0);
			run_ok(&d[i], &k);
		}
		container_says("written by all");
	}
	for (int i = 0; i < MAX; i++) {
		kept[i] = some(VFIO_SIM_KEEP);
		run_ok(&d[i], &kept[i]);
	}
	container_says("kept by all");
	for (int i = 0; i < MAX; i++) {
		/* and once more those of the one that let go last */
		for (int j = i ? i - 1 : 0; j < MAX; j++)
			expect(kept[j].target, &kept[j]);
		container_says("kept by some");
		set32(&d[i], VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_RELEASE);
	}
	expect(kept[MAX - 1].target, &kept[MAX - 1]);
	container_says("let go by the last");
	container_says("kept by none");

	/* all at once, for a while, then what they wrote since */
	for (int i = 0; i < MAX; i++) {
		kept[i] = some(i == 1 ? VFIO_SIM_BY_CPU : 0);
		kept[i].passes = ~0ULL;
		start(&d[i], &kept[i]);
	}
	for (int round = 0; round < 20; round++) {
		uint64_t before[MAX];

		for (int i = 0; i < MAX; i++)
			before[i] = reg64(&d[i], VFIO_SIM_PASSES_DONE);
		for (int i = 0; i < MAX; i++)
			while (reg64(&d[i], VFIO_SIM_PASSES_DONE) < before[i] + 2)
				;
		for (int i = 0; i < MAX; i++)
			expect(kept[i].target, &kept[i]);
		container_says("written all the time");
	}
	end(MAX);
}

/* A mapping that goes says what was written to it, pinned pages among it. */
static void test_unmap_bitmap(void)
{
	struct command k;

	begin(1);
	dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	k = some(VFIO_SIM_KEEP);
	run_ok(&d[0], &k);
	container_says("kept");
	expect(k.target, &k);
	k = some(VFIO_SIM_BY_CPU);
	run_ok(&d[0], &k);
	memset(got, 0, sizeof(got));
	must(try_unmap(&c, IOVA, PAGES * PAGE, got));
	compare("unmapped");
	check(reg32(&d[0], VFIO_SIM_PINNED) == 0, "pages are pinned");
	end(1);
}

/*
 * Device dirty tracking
 */

struct log_start {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_logging_control control;
};

struct log_report {
	struct vfio_device_feature feature;
	struct vfio_device_feature_dma_logging_report report;
};

static int log_start(struct device *dev, struct vfio_device_feature_dma_logging_range *ranges,
		     uint32_t n, uint64_t page)
{
	struct log_start s = {
		.feature = {
			.argsz = sizeof(s),
			.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
		},
		.control = {
			.page_size = page,
			.num_ranges = n,
			.ranges = (uintptr_t)ranges,
		},
	};
	int error = ioctl(dev->fd, VFIO_DEVICE_FEATURE, &s);

	check(error || s.control.page_size == PAGE, "pages of %llu", s.control.page_size);
	return error;
}

static int log_stop(struct device *dev)
{
	struct vfio_device_feature f = {
		.argsz = sizeof(f),
		.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &f);
}

static int log_get(struct device *dev, uint32_t feature, uint64_t iova, uint64_t bytes,
		   uint64_t page, void *bitmap)
{
	struct log_report r = {
		.feature = {
			.argsz = sizeof(r),
			.flags = VFIO_DEVICE_FEATURE_GET | feature,
		},
		.report = {
			.iova = iova,
			.length = bytes,
			.page_size = page,
			.bitmap = (uintptr_t)bitmap,
		},
	};

	return ioctl(dev->fd, VFIO_DEVICE_FEATURE, &r);
}

#define OURS	VFIO_SIM_FEATURE_DMA_LOGGING_REPORT

static void device_says(struct device *dev, const char *when)
{
	memset(got, 0, sizeof(got));
	must(log_get(dev, OURS, IOVA, PAGES * PAGE, PAGE, got));
	compare(when);
}

static void test_logging(void)
{
	struct vfio_device_feature_dma_logging_range all = { IOVA, PAGES * PAGE };
	struct vfio_device_feature_dma_logging_range two[] = {
		{ IOVA + 10 * PAGE, 5 * PAGE }, { IOVA + 100 * PAGE, PAGE },
	};
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET |
			 VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
	};
	struct command k;
	uint8_t *edge;

	begin(2);
	must(ioctl(d[0].fd, VFIO_DEVICE_FEATURE, &probe));
	probe.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | OURS;
	must(ioctl(d[0].fd, VFIO_DEVICE_FEATURE, &probe));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, PAGE, PAGE, got));
	must(log_start(&d[0], &all, 1, PAGE));
	refused(EBUSY, log_start(&d[0], &all, 1, PAGE));
	device_says(&d[0], "nothing was written");
	for (int i = 0; i < 30; i++) {
		/* kept or not is nothing to it: it knows what it wrote */
		k = some(i % 3 == 1 ? VFIO_SIM_BY_CPU : i % 3 == 2 ? VFIO_SIM_KEEP : 0);
		run_ok(&d[0], &k);
		if (i % 4 == 0)
			continue;
		device_says(&d[0], "written");
		device_says(&d[0], "reported once");
	}
	device_says(&d[0], "the rest");
	/* another device's writes are not its own */
	k = some(0);
	check(run(&d[1], &k) == 0, "DMA");
	device_says(&d[0], "somebody else wrote");

	/* a part of it: what lies beside stays; bits that are set already stay, too */
	k = fill_command(IOVA + 60 * PAGE, 10 * PAGE, 1);
	run_ok(&d[0], &k);
	memset(got, 0, sizeof(got));
	got[0] = 1ULL << 63;
	must(log_get(&d[0], OURS, IOVA + 62 * PAGE, 3 * PAGE, PAGE, got));
	check(got[0] == (7 | 1ULL << 63), "%#lx", got[0]);
	for (int page = 62; page < 65; page++)
		want[page / 64] &= ~(1ULL << page % 64);
	device_says(&d[0], "what was not asked for");

	/* a bitmap that cannot be written loses nothing; nor one that cannot be read */
	run_ok(&d[0], &k);
	edge = memory(2 * PAGE);
	must(mprotect(edge, 2 * PAGE, PROT_READ));
	refused(EFAULT, log_get(&d[0], OURS, IOVA, PAGES * PAGE, PAGE, edge));
	must(munmap(edge, 2 * PAGE));
	refused(EFAULT, log_get(&d[0], OURS, IOVA, PAGES * PAGE, PAGE, edge));
	device_says(&d[0], "after a fault");

	refused(EINVAL, log_get(&d[0], OURS, IOVA + 1, PAGE, PAGE, got));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, PAGE + 1, PAGE, got));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, 0, PAGE, got));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, PAGE, 2 * PAGE, got));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, PAGE, 0, got));
	refused(EOVERFLOW, log_get(&d[0], OURS, -PAGE, 2 * PAGE, PAGE, got));
	/* the kernel's own way: there, or said to be missing, but never wrong */
	if (log_get(&d[0], VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, IOVA, PAGES * PAGE, PAGE, got))
		check(errno == EOPNOTSUPP, "%s", strerror(errno));

	/* only the ranges that were asked for */
	must(log_stop(&d[0]));
	must(log_stop(&d[0]));
	refused(EINVAL, log_get(&d[0], OURS, IOVA, PAGE, PAGE, got));
	must(log_start(&d[0], two, 2, PAGE));
	device_says(&d[0], "from before");
	k = fill_command(IOVA, 101 * PAGE, 1);
	check(run(&d[0], &k) == 0, "DMA");
	want[0] = 0x1fULL << 10;
	want[1] = 1ULL << 36;
	device_says(&d[0], "two ranges");
	must(log_stop(&d[0]));
	refused(EINVAL, log_start(&d[0], &all, 0, PAGE));
	end(2);
}

static volatile sig_atomic_t alarms;

static void count_alarm(int signal)
{
	(void)signal;
	alarms++;
}

static void alarms_every(long us)
{
	const struct itimerval every = { { 0, us }, { 0, us } };

	must(setitimer(ITIMER_REAL, &every, NULL));
}

/* A report that takes long says all, though signals come: what it has shown is forgotten. */
static void test_signals(void)
{
	const uint64_t bytes = 1ULL << 37, end_at = IOVA + bytes - PAGES * PAGE;
	struct vfio_device_feature_dma_logging_range all = { IOVA, bytes };
	const struct sigaction count = { .sa_handler = count_alarm };
	uint64_t *bitmap = memory(bytes / PAGE / 8), *at_end = bitmap + bytes / PAGE / 64;
	struct command k = fill_command(IOVA, 3 * PAGE, 1);

	begin(1);
	map(&c, mem, end_at, PAGES * PAGE);
	must(log_start(&d[0], &all, 1, PAGE));
	must(sigaction(SIGALRM, &count, NULL));
	for (int i = 0; i < 5; i++) {
		k.target = IOVA;
		run_ok(&d[0], &k);
		k.target = IOVA + bytes - 2 * PAGE;
		k.length = 2 * PAGE;
		check(run(&d[0], &k) == 0, "DMA: %s", strerror(reg32(&d[0], VFIO_SIM_ERROR)));
		memset(bitmap, 0, bytes / PAGE / 8);
		alarms = 0;
		alarms_every(500);
		must(log_get(&d[0], OURS, IOVA, bytes, PAGE, bitmap));
		alarms_every(0);
		check(alarms, "no signal came");
		check(at_end[-1] == 3ULL << 62, "the end: %#lx", at_end[-1]);
		memcpy(got, bitmap, sizeof(got));
		compare("the beginning");
	}
	must(munmap(bitmap, bytes / PAGE / 8));
	end(1);
}

/* Of a module that was not asked for it: no part of it is there. */
static void test_no_logging(void)
{
	struct vfio_device_feature_dma_logging_range all = { IOVA, PAGES * PAGE };
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | OURS,
	};

	begin(1);
	refused(ENOTTY, log_start(&d[0], &all, 1, PAGE));
	refused(ENOTTY, ioctl(d[0].fd, VFIO_DEVICE_FEATURE, &probe));
	refused(ENOTTY, log_get(&d[0], OURS, IOVA, PAGE, PAGE, got));
	end(1);
}

const struct test dirty_tests[] = {
	{ "dirty_container", test_container },
	{ "dirty_several", test_several },
	{ "dirty_unmap", test_unmap_bitmap },
	{ "dirty_logging", test_logging },
	{ "dirty_signals", test_signals },
	{ "no_logging", test_no_logging },
	{ 0 }
};
