// SPDX-License-Identifier: GPL-2.0
/* State that is saved on one device and resumed on another: is it the same one then? */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "vfio.h"

#define IOVA	0x300000000ULL
#define PAGES	256

static struct container c[2];
static struct device d[2];
static uint8_t *mem[2];

/* Two machines: a container and memory each, the same addresses. */
static void begin(void)
{
	for (int i = 0; i < 2; i++) {
		container_open(&c[i]);
		device_open(&c[i], &d[i], names[i]);
		mem[i] = memory(PAGES * PAGE);
		map(&c[i], mem[i], IOVA, PAGES * PAGE);
	}
}

static void end(void)
{
	for (int i = 0; i < 2; i++) {
		device_close(&d[i]);
		container_close(&c[i]);
		must(munmap(mem[i], PAGES * PAGE));
	}
}

static void scribble(struct device *dev)
{
	uint8_t bytes[3000];

	for (unsigned int i = 0; i < 16; i++)
		set32(dev, VFIO_SIM_SCRATCH + 4 * i, rng());
	for (int n = 0; n < 20; n++) {
		uint32_t len = rng() % sizeof(bytes) + 1;

		for (uint32_t i = 0; i < len; i++)
			bytes[i] = rng();
		own_write(dev, rng() % (VFIO_SIM_MEMORY_BYTES - len), bytes, len);
	}
}

/* A device in the middle of something: interrupts, configuration, pins, a command. */
static struct command make_busy(struct device *dev)
{
	struct command k = fill_command(IOVA + 17, 100, rng());

	scribble(dev);
	config_write(dev, 0x10, 0xfeb00000, 4);
	config_write(dev, 0x18, 0xfe800000, 4);
	config_write(dev, 0x44, 0xfee01000, 4);
	config_write(dev, 0x4c, 0x4021, 2);
	/* scattered pages that stay pinned: many runs, and one long one */
	k.command |= VFIO_SIM_KEEP;
	k.blocks = 40;
	k.stride = 3 * PAGE;
	check(run(dev, &k) == 0, "pins");
	k.target = IOVA + 150 * PAGE;
	k.length = 50 * PAGE;
	k.blocks = 1;
	check(run(dev, &k) == 0, "pins");
	set32(dev, VFIO_SIM_IRQ_ENABLE, VFIO_SIM_IRQ_DONE);

	/* never done, resting most of the time */
	k = fill_command(IOVA + 7, 9000, rng());
	k.blocks = 50;
	k.stride = 20000;
	k.passes = 1ULL << 40;
	k.interval = 1000;
	start(dev, &k);
	while (reg64(dev, VFIO_SIM_PASSES_DONE) < 3)
		;
	return k;
}

/* What arrived goes on, pass by pass, from where it was. */
static void goes_on(const struct command *k, int to)
{
	uint64_t was = reg64(&d[to], VFIO_SIM_PASSES_DONE), word, pass;

	must(set_state(&d[to], S_RUNNING, NULL));
	do {
		pass = reg64(&d[to], VFIO_SIM_PASSES_DONE);
		check(pass >= was, "it begins anew: pass %lu after %lu", pass, was);
	} while (pass < was + 3);
	must(set_state(&d[to], S_STOP, NULL));
	pass = reg64(&d[to], VFIO_SIM_PASSES_DONE);
	for (uint32_t b = 0; b < k->blocks; b++) {
		uint64_t of = b < reg32(&d[to], VFIO_SIM_BLOCKS_DONE) ? pass : pass - 1;

		memcpy(&word, mem[to] + 7 + b * k->stride, sizeof(word));
		check(word == vfio_sim_pattern(k->seed, of, b, 0), "block %u of pass %lu", b, of);
	}
	must(set_state(&d[to], S_RUNNING, NULL));
	set32(&d[to], VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_ABORT);
}

static void arrived(const struct picture *before, int to)
{
	static struct picture after;

	check(get_state(&d[to]) == S_STOP, "state %u", get_state(&d[to]));
	take_picture(&d[to], &after);
	same_picture(before, &after);
	check(reg32(&d[to], VFIO_SIM_PINNED) == 90, "%u pages are pinned",
	      reg32(&d[to], VFIO_SIM_PINNED));
}

static void pinned_pages_are_dirty(int to)
{
	uint64_t bitmap[PAGES / 64] = { 0 };
	unsigned int n = 0;

	dirty(&c[to], VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	dirty_get(&c[to], IOVA, PAGES * PAGE, bitmap);
	for (int i = 0; i < PAGES / 64; i++)
		n += __builtin_popcountl(bitmap[i]);
	check(n == 90, "%u pages are pinned indeed", n);
	dirty(&c[to], VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP);
}

static void stopped_at(struct picture *p)
{
	must(set_state(&d[0], S_STOP, NULL));
	take_picture(&d[0], p);
}

/* By any protocol to any other, in pieces of any size, with the window mapped and not. */
static void test_resume(void)
{
	static const struct { int save, load; size_t piece; } ways[] = {
		{ 2, 2, 1 << 20 }, { 2, 2, 13 }, { 2, 2, 4099 }, { 1, 1, 0 }, { 3, 3, 0 }, { 1, 2, 17 },
		{ 2, 3, 0 },
	};
	static struct picture before;

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		struct command k;
		struct blob b;
		int error;

		begin();
		k = make_busy(&d[0]);
		scribble(&d[1]);
		stopped_at(&before);
		b = ways[i].save == 2 ? save_v2(&d[0]) : save_v1(&d[0], ways[i].save == 3);
		error = ways[i].load == 2 ? load_v2(&d[1], &b, ways[i].piece) :
					    load_v1(&d[1], &b, ways[i].load == 3);
		check(!error, "way %u: %s", i, strerror(error));
		arrived(&before, 1);
		pinned_pages_are_dirty(1);
		goes_on(&k, 1);
		free(b.bytes);
		end();
	}
}

/* Saved while it runs: what changes meanwhile is sent again, and no more than that. */
static void test_pre_copy(void)
{
	const size_t page = sizeof(struct vfio_sim_record) + sizeof(struct vfio_sim_memory);
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	static struct picture before;
	struct blob b = { 0 };
	struct pollfd p = { .events = POLLIN };
	uint8_t part[5000];
	size_t first;
	void *nowhere;
	struct command k;
	ssize_t n;

	begin();
	k = make_busy(&d[0]);
	must(set_state(&d[0], S_PRE_COPY, &p.fd));
	must(ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	check(info.initial_bytes > VFIO_SIM_MEMORY_BYTES && !info.dirty_bytes, "%llu, %llu bytes",
	      info.initial_bytes, info.dirty_bytes);
	first = info.initial_bytes;
	while ((n = read(p.fd, part, sizeof(part))) > 0)
		blob_add(&b, part, n);
	check(n < 0 && errno == ENOMSG, "%zd %s", n, strerror(errno));
	check(b.len == first, "%zu bytes, %zu were promised", b.len, first);
	must(ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	check(!info.initial_bytes && !info.dirty_bytes, "there is more");
	check(must(poll(&p, 1, 20)) == 0, "poll says there is more");

	/* three pages of own memory, one of them twice */
	own_write(&d[0], 4096 * 3 - 2, "abcd", 4);
	own_write(&d[0], 4096 * 20, "x", 1);
	own_write(&d[0], 4096 * 20 + 9, "y", 1);
	check(must(poll(&p, 1, 5000)) == 1, "poll does not see it");
	must(ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	check(!info.initial_bytes && info.dirty_bytes == 3 * page, "%llu, %llu bytes",
	      info.initial_bytes, info.dirty_bytes);
	/* one of them before it stops, the others after */
	n = must(read(p.fd, part, 100));
	blob_add(&b, part, n);
	must(ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	check(!info.initial_bytes && info.dirty_bytes == 3 * page - 100, "in it: %llu, %llu bytes",
	      info.initial_bytes, info.dirty_bytes);
	n = must(read(p.fd, part, page - 100));
	blob_add(&b, part, n);
	info.argsz = 8;
	refused(EINVAL, ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	refused(ENOTTY, ioctl(p.fd, VFIO_DEVICE_RESET));
	must(set_state(&d[0], S_STOP_COPY, NULL));
	info.argsz = sizeof(info);
	refused(EINVAL, ioctl(p.fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	take_picture(&d[0], &before);
	/* a fault on the way loses nothing */
	nowhere = memory(PAGE);
	must(munmap(nowhere, PAGE));
	refused(EFAULT, read(p.fd, nowhere, 100));
	while ((n = must(read(p.fd, part, 777))) > 0)
		blob_add(&b, part, n);
	check(must(poll(&p, 1, 5000)) == 1, "poll at the end");
	check(read(p.fd, part, 100) == 0, "more than the end");
	refused(EBADF, write(p.fd, part, 100));
	must(set_state(&d[0], S_STOP, NULL));
	refused(ENODEV, read(p.fd, part, 100));
	must(close(p.fd));

	check(load_v2(&d[1], &b, 100000) == 0, "it does not arrive");
	arrived(&before, 1);
	goes_on(&k, 1);
	free(b.bytes);
	end();
}

/* The same through the region, as QEMU does it, its first rounds while the device runs. */
static void test_region_pre_copy(void)
{
	static struct picture before;
	static uint8_t window[VFIO_SIM_REGION_WINDOW];
	struct blob b = { 0 };
	uint64_t pending, size;
	struct command k;
	bool stopped = false;

	begin();
	k = make_busy(&d[0]);
	must(v1_set(&d[0], V1_PRE_COPY));
	for (int rounds = 0;; rounds++) {
		pending = v1_read64(&d[0], 8);
		check(pending == v1_read64(&d[0], 8), "asking changes it");
		if (!pending && stopped)
			break;
		if (!pending) {
			check(rounds > 3, "there was nothing to send");
			own_write(&d[0], 4096 * 7 + 5, "again", 5);
			check(v1_read64(&d[0], 8), "a page is dirty");
			must(v1_set(&d[0], V1_STOP_COPY));
			must(v1_set(&d[0], V1_STOP_COPY));
			take_picture(&d[0], &before);
			stopped = true;
			continue;
		}
		check(v1_read64(&d[0], 16) == VFIO_SIM_REGION_DATA, "data lies elsewhere");
		size = v1_read64(&d[0], 24);
		check(size && size <= sizeof(window), "%lu bytes", size);
		for (uint64_t i = 0; i < size; i += 8)
			must(pread(d[0].fd, window + i, size - i < 8 ? size - i : 8,
				   OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA + i));
		blob_add(&b, window, size);
	}
	must(v1_set(&d[0], V1_STOP));
	check(load_v1(&d[1], &b, false) == 0, "it does not arrive");
	arrived(&before, 1);
	goes_on(&k, 1);
	free(b.bytes);
	end();
}

/* A migration that is given up leaves the origin as it was; the next one succeeds. */
static void test_cancel(void)
{
	static struct picture before;
	uint8_t part[5000];
	struct command k;
	struct blob b;
	int fd;

	begin();
	k = make_busy(&d[0]);
	for (int i = 0; i < 4; i++) {
		must(set_state(&d[0], i & 1 ? S_PRE_COPY : S_STOP_COPY, &fd));
		must(read(fd, part, sizeof(part)));
		must(set_state(&d[0], S_RUNNING, NULL));
		refused(ENODEV, read(fd, part, sizeof(part)));
		must(close(fd));
		must(v1_set(&d[0], i & 1 ? V1_PRE_COPY : V1_STOP_COPY));
		v1_read64(&d[0], 16);
		must(v1_set(&d[0], V1_RUNNING));
	}
	/* one that does not fit where it was to go, either */
	stopped_at(&before);
	b = save_v2(&d[0]);
	unmap(&c[1], IOVA, PAGES * PAGE);
	scribble(&d[1]);
	check(load_v2(&d[1], &b, 100000) == EINVAL, "pinned where nothing is mapped");
	check(get_state(&d[1]) == S_RESUMING, "state %u", get_state(&d[1]));
	/* nor one of which a part fits: that is let go again, and meant as before */
	map(&c[1], mem[1], IOVA, 140 * PAGE);
	refused(EINVAL, set_state(&d[1], S_STOP, NULL));
	check(get_state(&d[1]) == S_RESUMING, "state %u", get_state(&d[1]));
	unmap(&c[1], IOVA, 140 * PAGE);
	map(&c[1], mem[1], IOVA, PAGES * PAGE);
	must(set_state(&d[1], S_STOP, NULL));
	arrived(&before, 1);
	pinned_pages_are_dirty(1);
	goes_on(&k, 1);
	must(set_state(&d[0], S_RUNNING, NULL));
	goes_on(&k, 0);
	free(b.bytes);
	end();
}

/* A known number of everything, told on stdout: what the events must add up to. */
static void test_traced(void)
{
	struct command k = fill_command(IOVA + 100, 20 * PAGE, 1);
	unsigned int records = 0, pages;
	struct vfio_sim_record head;
	struct blob b;

	begin();
	k.blocks = 3;
	k.stride = 32 * PAGE;
	k.passes = 5;
	check(run(&d[0], &k) == 0, "DMA");
	/* not aligned: a chunk of 16 pages touches 17, the rest of a block 5 */
	pages = 5 * 3 * (17 + 5);
	k.target = 0;
	k.passes = 1;
	check(run(&d[0], &k) == EINVAL, "DMA where nothing is");
	b = save_v1(&d[0], true);
	for (size_t at = 0; at < b.len; at += sizeof(head) + head.length, records++)
		memcpy(&head, b.bytes + at, sizeof(head));
	check(load_v2(&d[1], &b, 1000) == 0, "it does not arrive");
	printf("dma %u pages %u bytes %lu failed 1 saved %u resumed %u stream %zu\n", 5 * 3 * 2, pages,
	       5 * 3 * 20 * PAGE, records, records, b.len);
	/* from running to stop to stop_copy, and back to stop; to stop, to resuming, to stop */
	printf("states %s %u %s %u\n", names[0], 3, names[1], 3);
	free(b.bytes);
	end();
}

const struct test transfer_tests[] = {
	{ "resume", test_resume },
	{ "pre_copy", test_pre_copy },
	{ "region_pre_copy", test_region_pre_copy },
	{ "cancel", test_cancel },
	{ "traced", test_traced },
	{ 0 }
};
