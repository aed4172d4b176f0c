// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_counts [-hold] [-name ANYTHING]
 *
 * A container with two devices of vfio_probe, driven so that all that is asked of type1 is
 * known: calls, those that fail, pages, bytes, dirty pages, and how long each took seen
 * from here.
 *
 *   -hold  wait for a line on stdin at each of the points "start" (before the container is
 *          opened), "middle" and "end" (before it is closed)
 *   -name  looked at by others, in our command line
 *
 * The last line is all this as JSON: in all, and since the point "middle".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "container.h"

#define A	0x100000ULL	/* where memory is mapped, and how many pages */
#define A_PAGES	300
#define B	0x9000000ULL
#define B_PAGES	130
#define C	0xa000000ULL
#define C_PAGES	3

enum op { PIN, UNPIN, MAP, UNMAP, DIRTY_START, DIRTY_STOP, DIRTY_GET, DIRTY_UNMAP, OP_READ, OP_WRITE, OPS };

static const char *const name[OPS] = {
	"pin", "unpin", "map", "unmap", "dirty_start", "dirty_stop", "dirty_get", "dirty_unmap",
	"read", "write",
};

struct tally {
	unsigned long calls, errors, pages, bytes, dirty;
	double seconds;
};

static struct {
	struct tally op[OPS];
	long pinned;
	unsigned int maps;
} truth;

static struct container c;
static bool hold;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void point(const char *at)
{
	char line[16];

	if (!hold)
		return;
	printf("{\"barrier\":true,\"at\":\"%s\"}\n", at);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		bail_out("nobody says go on");
}

/* What a call was expected to return is what it did. */
static void count(enum op op, double since, int got, int want, u64 pages, u64 bytes)
{
	struct tally *t = &truth.op[op];

	if (got != want) {
		errno = got < 0 ? -got : 0;
		bail_out("%s: %d, not %d", name[op], got, want);
	}
	if (got < 0) {
		t->errors++;
		return;
	}
	t->seconds += now() - since;
	t->calls++;
	t->pages += pages;
	t->bytes += bytes;
}

static void do_map(u64 iova, void *vaddr, u64 pages, int want)
{
	double since = now();

	count(MAP, since, dma_map(&c, iova, vaddr, pages * PAGE, RDWR), want, pages, 0);
	truth.maps += !want;
}

static void do_unmap(u64 iova, u64 pages)
{
	double since = now();

	count(UNMAP, since, dma_unmap(&c, iova, pages * PAGE, 0, NULL), 0, pages, 0);
	truth.maps--;
}

static void do_pin(int device, u64 iova, int pages, int want)
{
	double since = now();

	count(PIN, since, pin(&c, device, iova, pages, RDWR), want, pages, 0);
	if (want > 0)
		truth.pinned += pages;
}

static void do_unpin(int device, u64 iova, int pages)
{
	double since = now();

	count(UNPIN, since, unpin(&c, device, iova, pages), 0, pages, 0);
	truth.pinned -= pages;
}

static void do_rw(int device, u64 iova, u64 bytes, u32 how)
{
	static char data[8 * PAGE];
	double since = now();

	count(how & RW_WRITE ? OP_WRITE : OP_READ, since, dma_rw(&c, device, iova, data, bytes, how), 0, 0,
	      bytes);
}

static u64 words(u64 pages)
{
	return (pages + 63) / 64;
}

static void count_dirty(enum op op, const u64 *bitmap, u64 pages)
{
	for (u64 i = 0; i < words(pages); i++)
		truth.op[op].dirty += __builtin_popcountll(bitmap[i]);
}

static void do_get(u64 iova, u64 pages, int want)
{
	u64 bitmap[words(A_PAGES)];
	double since = now();

	memset(bitmap, 0, sizeof(bitmap));
	count(DIRTY_GET, since, get(&c, iova, pages * PAGE, bitmap), want, pages, words(pages) * 8);
	if (!want)
		count_dirty(DIRTY_GET, bitmap, pages);
}

/* What is clear in what it was to be counts as refused; addresses that change hands do not count. */
static void do_refused(void *vaddr)
{
	do_map(C, vaddr, 0, -EINVAL);
	do_map(C + 1, vaddr, 1, -EINVAL);
	count(MAP, now(), dma_map(&c, C, vaddr, PAGE, 0), -EINVAL, 0, 0);
	count(UNMAP, now(), dma_unmap(&c, C, PAGE + 1, 0, NULL), -EINVAL, 0, 0);
	do_get(A, 0, -EINVAL);
	do_get(A + 1, A_PAGES, -EINVAL);
	if (dma_map(&c, A, vaddr, A_PAGES * PAGE, VFIO_DMA_MAP_FLAG_VADDR) != -EINVAL ||
	    dma_unmap(&c, A, A_PAGES * PAGE, VFIO_DMA_UNMAP_FLAG_VADDR, NULL) != -EBUSY)
		bail_out("addresses change hands");
	if (dirty(&c, START | STOP) != -EINVAL)
		bail_out("tracking is on and off");
}

static void do_unmap_bitmap(u64 iova, u64 pages)
{
	u64 bitmap[words(A_PAGES)];
	double since = now();
	int err;

	memset(bitmap, 0, sizeof(bitmap));
	err = dma_unmap_bitmap(&c, iova, pages * PAGE, bitmap, NULL);
	count(UNMAP, since, err, 0, pages, 0);
	count(DIRTY_UNMAP, since, err, 0, pages, words(pages) * 8);
	count_dirty(DIRTY_UNMAP, bitmap, pages);
	truth.maps--;
}

static void do_switch(u32 flag)
{
	double since = now();

	count(flag == START ? DIRTY_START : DIRTY_STOP, since, dirty(&c, flag), 0, 0, 0);
}

static void say(const char *what, const struct tally *since)
{
	printf("\"%s\":{", what);
	for (int i = 0; i < OPS; i++) {
		const struct tally *t = &truth.op[i];

		printf("%s\"%s\":{\"calls\":%lu,\"errors\":%lu,\"pages\":%lu,\"bytes\":%lu,\"dirty\":%lu,"
		       "\"seconds\":%.9f}", i ? "," : "", name[i], t->calls - since[i].calls,
		       t->errors - since[i].errors, t->pages - since[i].pages, t->bytes - since[i].bytes,
		       t->dirty - since[i].dirty, t->seconds - since[i].seconds);
	}
	putchar('}');
}

int main(int argc, char **argv)
{
	static const struct tally none[OPS];
	struct tally middle[OPS];
	void *a, *b;
	double since;
	int avail;

	for (int i = 1; i < argc; i++)
		hold |= !strcmp(argv[i], "-hold");
	a = memory(A_PAGES * PAGE);
	b = memory(B_PAGES * PAGE);
	point("start");

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 2);
	do_map(A, a, A_PAGES, 0);
	do_map(B, b, B_PAGES, 0);
	do_map(A + PAGE, b, 2, -EEXIST);
	do_pin(0, A + 3 * PAGE, 17, 17);
	do_pin(0, A + 100 * PAGE, 1, 1);
	do_unpin(0, A + 3 * PAGE, 17);
	do_pin(0, A + 110 * PAGE, 60, 60);
	memcpy(middle, truth.op, sizeof(middle));
	point("middle");

	do_refused(a);
	do_map(C, a, C_PAGES, 0);
	do_switch(START);
	/* the second device may write anywhere until it pins for the first time: all is dirty */
	do_get(A, A_PAGES, 0);
	do_pin(1, B + 64 * PAGE, 5, 5);
	do_pin(1, B + (B_PAGES + 5) * PAGE, 1, -EINVAL);
	do_pin(0, A + 200 * PAGE, 20, 20);
	do_unpin(0, A + 200 * PAGE, 20);
	do_rw(0, A + 40 * PAGE + 100, 2 * PAGE, RW_WRITE);
	do_rw(0, A, 5000, 0);
	do_rw(1, C, 100, RW_WRITE | RW_THREAD);
	for (int i = 0; i < 3; i++)
		do_get(A, A_PAGES, 0);
	do_get(B, B_PAGES, 0);
	do_unmap_bitmap(C, C_PAGES);
	do_unpin(1, B + 64 * PAGE, 5);
	do_unmap(B, B_PAGES);
	do_switch(STOP);
	do_switch(STOP);
	do_get(A, A_PAGES, -EINVAL);
	avail = dma_avail(&c);
	point("end");

	printf("{\"pid\":%d,\"pinned\":%ld,\"maps\":%u,\"avail\":%d,", getpid(), truth.pinned, truth.maps, avail);
	since = now();
	container_close(&c);
	/* a device that is closed lets go of what it has, page by page */
	for (long i = 0; i < truth.pinned; i++)
		count(UNPIN, since, 0, 0, 1, 0);
	say("total", none);
	putchar(',');
	say("since_middle", middle);
	puts("}");
	return 0;
}
