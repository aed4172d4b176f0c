// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_vdpa_cost DEVICE RUNS LENGTH - what it costs to give memory to a vDPA device
 *
 * RUNS runs of LENGTH pages each, none of which follows the one before, are mapped by one
 * message in a batch and unmapped by another, a few times. Prints "map N" and "unmap N", in
 * ns a run; nothing if they are more than can be mapped.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "median.h"
#include "thread_time.h"

#define PAGE	4096UL
#define IOVA	0x100000000ULL
/* pages of the file that is mapped again and again, so that little memory is enough */
#define BLOCK	512UL
#define ROUNDS	5

static int device;

static int message(uint8_t type, uint64_t size, const void *uaddr)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = { .iova = IOVA, .size = size, .uaddr = (uintptr_t)uaddr,
			   .perm = VHOST_ACCESS_RW, .type = type },
	};

	return write(device, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

static void must(int result, const char *what)
{
	if (result < 0)
		errx(EXIT_FAILURE, "%s: %s", what, strerror(-result));
}

/* Page frame numbers are for root only. */
static uint64_t frame(const uint8_t *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE * sizeof(entry)) !=
	    sizeof(entry))
		err(EXIT_FAILURE, "pagemap");
	close(fd);
	return entry & ((1ULL << 55) - 1);
}

/*
 * The pages of a file of one huge page lie one after the other in memory: runs are taken from
 * it in disorder.
 */
static uint8_t *scattered(unsigned long runs, unsigned long length)
{
	int fd = memfd_create("scattered", 0);
	unsigned long in_block = BLOCK / length;
	uint8_t *whole, *p;

	if (fd < 0 || ftruncate(fd, BLOCK * PAGE))
		err(EXIT_FAILURE, "memfd");
	whole = mmap(NULL, BLOCK * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (whole == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	memset(whole, 1, BLOCK * PAGE);
	for (unsigned long i = 1; i < BLOCK; i++)
		if (frame(whole + i * PAGE) != frame(whole) + i)
			errx(EXIT_FAILURE, "no huge page in the file: shmem_enabled?");
	p = mmap(NULL, runs * length * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	for (unsigned long i = 0; i < runs; i++) {
		unsigned long from = i * 11 % in_block * length;

		if (mmap(p + i * length * PAGE, length * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, from * PAGE) == MAP_FAILED)
			err(EXIT_FAILURE, "mmap");
	}
	return p;
}

/* Return: false if there are more runs than can be mapped. */
static bool round_trip(uint64_t size, const uint8_t *p, double *mapped, double *unmapped)
{
	uint64_t begin;
	int ret;

	must(message(VHOST_IOTLB_BATCH_BEGIN, 0, NULL), "batch");
	begin = now_ns();
	ret = message(VHOST_IOTLB_UPDATE, size, p);
	*mapped = now_ns() - begin;
	if (ret)
		return false;
	must(message(VHOST_IOTLB_BATCH_END, 0, NULL), "batch");
	must(message(VHOST_IOTLB_BATCH_BEGIN, 0, NULL), "batch");
	begin = now_ns();
	must(message(VHOST_IOTLB_INVALIDATE, size, NULL), "unmap");
	must(message(VHOST_IOTLB_BATCH_END, 0, NULL), "batch");
	*unmapped = now_ns() - begin;
	return true;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	unsigned long runs, length;
	uint64_t features, size;
	double mapped[ROUNDS], unmapped[ROUNDS];
	uint8_t *p;

	if (argc != 4)
		errx(2, "usage: vhost_vdpa_cost DEVICE RUNS LENGTH");
	runs = strtoul(argv[2], NULL, 0);
	length = strtoul(argv[3], NULL, 0);
	if (!runs || !length || BLOCK % length)
		errx(2, "a run has a power of two of pages, up to %lu", BLOCK);
	size = runs * length * PAGE;
	setrlimit(RLIMIT_MEMLOCK, &limit);
	device = open(argv[1], O_RDWR);
	if (device < 0 || ioctl(device, VHOST_SET_OWNER) ||
	    ioctl(device, VHOST_GET_BACKEND_FEATURES, &features) ||
	    ioctl(device, VHOST_SET_BACKEND_FEATURES, &features))
		err(EXIT_FAILURE, "%s", argv[1]);
	p = scattered(runs, length);

	for (int i = 0; i < ROUNDS; i++)
		if (!round_trip(size, p, &mapped[i], &unmapped[i]))
			return 0;
	printf("map %.1f\n", median(mapped, ROUNDS) / runs);
	printf("unmap %.1f\n", median(unmapped, ROUNDS) / runs);
	return 0;
}
