// SPDX-License-Identifier: GPL-2.0
/*
 * type1_cost ADDRESS - what a container costs
 *
 * For a machine whose time is the count of instructions: prints NAME VALUE lines, of whole
 * calls, or of a page, or of a mapping. Every bitmap is looked at. ADDRESS is a
 * PCI device with an IOMMU, given to vfio-pci.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../median.h"
#include "container.h"

#define GIB	(1ULL << 30)
#define BATCH	512

static u64 *bitmap;	/* of 64 GiB, touched */

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "type1_cost: %s: %s\n", what, strerror(errno));
	exit(1);
}

static u64 bits(u64 bytes)
{
	u64 n = 0, i;

	for (i = 0; i < bytes / PAGE / 64; i++)
		n += __builtin_popcountll(bitmap[i]);
	return n;
}

/* The second of two: caches are warm, memory is there. */
static void say_get(const char *name, struct container *c, u64 iova, u64 size, u64 dirty)
{
	u64 begin, took = 0;
	int i;

	for (i = 0; i < 2; i++) {
		begin = now();
		if (get(c, iova, size, bitmap))
			die("GET");
		took = now() - begin;
	}
	if (bits(size) != dirty)
		die("wrong pages are dirty");
	printf("%s %llu\n", name, (unsigned long long)took);
}

static void add(struct container *c, u64 iova, void *mem, u64 size)
{
	int err = dma_map(c, iova, mem, size, RDWR);

	if (err) {
		errno = -err;
		die("map");
	}
}

static long some(struct container *c, int i, int (*f)(const struct container *, u64), u64 iova)
{
	if (f(c, iova) < 0)
		die("pin or unpin");
	return ioctl(c->device[i], PROBE_COST);
}

static int pin_batch(const struct container *c, u64 iova) { return pin(c, 0, iova, BATCH, RDWR); }
static int unpin_batch(const struct container *c, u64 iova) { return unpin(c, 0, iova, BATCH); }
static int pin_one(const struct container *c, u64 iova) { return pin(c, 0, iova, 1, RDWR); }
static int unpin_one(const struct container *c, u64 iova) { return unpin(c, 0, iova, 1); }

static void gets(void)
{
	static const int sizes[] = { 1, 16, 64 };
	char name[32], *mem = memory(GIB);
	struct container c;
	u64 i;

	for (i = 0; i < 3; i++) {
		probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
		add(&c, 0, reserve(sizes[i] * GIB), sizes[i] * GIB);
		dirty(&c, START);
		snprintf(name, sizeof(name), "get_%dG", sizes[i]);
		say_get(name, &c, 0, sizes[i] * GIB, 0);
		container_close(&c);
	}

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	add(&c, 0, mem, GIB);
	dirty(&c, START);
	pin(&c, 0, 12345 * PAGE, 1, RDWR);
	say_get("get_1G_one_pinned", &c, 0, GIB, 1);
	unpin(&c, 0, 12345 * PAGE, 1);
	for (i = 0; i < GIB / PAGE; i += 100)
		pin(&c, 0, i * PAGE, 1, RDWR);
	say_get("get_1G_1%_pinned", &c, 0, GIB, GIB / PAGE / 100 + 1);
	for (i = 0; i < GIB / PAGE; i += 100)
		unpin(&c, 0, i * PAGE, 1);
	for (i = 0; i < GIB / PAGE; i += BATCH)
		pin(&c, 0, i * PAGE, BATCH, RDWR);
	say_get("get_1G_all_pinned", &c, 0, GIB, GIB / PAGE);
	container_close(&c);
	munmap(mem, GIB);

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	for (i = 0; i < 16; i++)
		add(&c, i * GIB, reserve(GIB), GIB);
	dirty(&c, START);
	say_get("get_16x1G", &c, 0, 16 * GIB, 0);
	container_close(&c);

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	for (i = 0; i < 16; i++) {
		char *p = reserve(GIB + PAGE);

		/* of each one page is pinned below */
		if (mprotect(p, PAGE, PROT_READ | PROT_WRITE))
			die("memory");
		add(&c, i * (GIB + PAGE), p, GIB + PAGE);
	}
	dirty(&c, START);
	say_get("get_16x1G+4K", &c, 0, 16 * (GIB + PAGE), 0);
	for (i = 0; i < 16; i++)
		some(&c, 0, pin_one, i * (GIB + PAGE));
	say_get("get_16x1G+4K_some", &c, 0, 16 * (GIB + PAGE), 16);
	container_close(&c);
}

static void tables(void)
{
	char *mem = memory(PAGE);
	struct container c;
	u64 i, begin;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	begin = now();
	for (i = 0; i < 10000; i++)
		add(&c, i * 2 * PAGE, mem, PAGE);
	printf("map %llu\n", (unsigned long long)(now() - begin) / 10000);
	dirty(&c, START);
	say_get("get_first_of_10000", &c, 0, PAGE, 0);
	say_get("get_last_of_10000", &c, 9999 * 2 * PAGE, PAGE, 0);
	dirty(&c, STOP);
	begin = now();
	for (i = 0; i < 10000; i++)
		dma_unmap(&c, i * 2 * PAGE, PAGE, 0, NULL);
	printf("unmap %llu\n", (unsigned long long)(now() - begin) / 10000);
	begin = now();
	dirty(&c, START);
	printf("start %llu\n", (unsigned long long)(now() - begin));
	container_close(&c);
	munmap(mem, PAGE);
}

#define TIMES	64

static void pins(void)
{
	static double batch[3][TIMES], single[3][TIMES];
	char *mem = memory(TIMES * BATCH * PAGE);
	struct container c;
	u64 i, at;

	memset(mem, 1, TIMES * BATCH * PAGE);
	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	add(&c, 0, mem, TIMES * BATCH * PAGE);
	for (i = 0; i < TIMES; i++) {
		at = i * BATCH * PAGE;
		batch[0][i] = some(&c, 0, pin_batch, at);
		batch[1][i] = some(&c, 0, pin_batch, at);
		unpin(&c, 0, at, BATCH);
		batch[2][i] = some(&c, 0, unpin_batch, at);
		at += 77 * PAGE;
		single[0][i] = some(&c, 0, pin_one, at);
		single[1][i] = some(&c, 0, pin_one, at);
		unpin(&c, 0, at, 1);
		single[2][i] = some(&c, 0, unpin_one, at);
	}
	for (i = 0; i < 3; i++) {
		static const char *const name[] = { "pin", "repin", "unpin" };

		printf("%s_page %.1f\n", name[i], median(batch[i], TIMES) / BATCH);
		printf("%s_single %.0f\n", name[i], median(single[i], TIMES));
	}
	container_close(&c);
	munmap(mem, TIMES * BATCH * PAGE);
}

static void iommu(const char *address)
{
	const char *const devices[] = { address, NULL };
	const u64 size = 64 << 20, huge = 2 << 20;
	struct container c;
	u64 begin, i;
	char *mem;

	container_open(&c, VFIO_TYPE1v2_IOMMU, devices);
	/* backwards: no two pages lie one behind the other */
	mem = memory(size);
	for (i = size; i; i -= PAGE)
		mem[i - PAGE] = 1;
	begin = now();
	add(&c, 0, mem, size);
	printf("iommu_map_page %.1f\n", (double)(now() - begin) / (size / PAGE));
	dirty(&c, START);
	say_get("iommu_get_64M", &c, 0, size, size / PAGE);
	begin = now();
	dma_unmap(&c, 0, size, 0, NULL);
	printf("iommu_unmap_page %.1f\n", (double)(now() - begin) / (size / PAGE));
	munmap(mem, size);

	mem = memory(size + huge);
	mem += -(uintptr_t)mem % huge;
	madvise(mem, size, MADV_HUGEPAGE);
	memset(mem, 1, size);
	begin = now();
	add(&c, 0, mem, size);
	printf("iommu_map_huge %.1f\n", (double)(now() - begin) / (size / huge));
	begin = now();
	dma_unmap(&c, 0, size, 0, NULL);
	printf("iommu_unmap_huge %.1f\n", (double)(now() - begin) / (size / huge));
	container_close(&c);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	bitmap = memory(64 * GIB / PAGE / 8 + PAGE);
	memset(bitmap, 0, 64 * GIB / PAGE / 8 + PAGE);
	gets();
	tables();
	pins();
	iommu(argv[1]);
	puts("done");
	return 0;
}
