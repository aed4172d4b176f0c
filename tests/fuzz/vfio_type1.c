// SPDX-License-Identifier: GPL-2.0
/*
 * vfio_type1 [-t SECONDS] [-s SEED] [-j THREADS] [ADDRESS] - ioctls at random on a container
 *
 * Calls are mostly well-formed, their arguments come from a small set of addresses and sizes
 * that meet, and every so often from nowhere. Several threads share a container with devices
 * of vfio_probe and, with ADDRESS, a PCI device given to vfio-pci; every second it is
 * closed in mid-flight and another one opened. What the kernel has to say about it is in its log;
 * here it must only go on, and have nothing charged at the end. With one thread a seed
 * makes the same calls again. Prints TAP.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../clients/vfio/container.h"

#define THREADS_MAX	8
#define MEMORY_PAGES	2048ULL

struct worker {
	pthread_t	thread;
	u64		seed;
	u64		calls;
	u64		good;	/* calls that the kernel did not refuse */
	char		*bitmap;
};

static struct container container;
static const char *address;
static char *mem;
static u64 round_seed;
static volatile bool stop;

static u64 rnd(u64 *state, u64 below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return below ? *state % below : *state;
}

static u64 any_iova(u64 *s)
{
	switch (rnd(s, 16)) {
	case 0:		return rnd(s, 0);
	case 1:		return -PAGE * rnd(s, 8);
	case 2:		return 0xfee00000 + (rnd(s, 4) - 2) * PAGE;
	case 3:		return rnd(s, 4096);
	default:	return rnd(s, 64) * 64 * PAGE + (rnd(s, 4) ? 0 : rnd(s, 64) * PAGE);
	}
}

static u64 any_size(u64 *s)
{
	switch (rnd(s, 16)) {
	case 0:		return rnd(s, 0);
	case 1:		return 0;
	case 2:		return rnd(s, 3 * PAGE);
	case 3:		return 1ULL << rnd(s, 64);
	case 4 ... 8:	return 64 * PAGE * (1 + rnd(s, 8));
	default:	return (1 + rnd(s, 130)) * PAGE;
	}
}

static u64 any_vaddr(u64 *s)
{
	switch (rnd(s, 16)) {
	case 0:		return rnd(s, 0);
	case 1:		return -PAGE;
	default:	return (uintptr_t)mem + rnd(s, MEMORY_PAGES) * PAGE;
	}
}

static u32 any_flags(u64 *s, u32 common)
{
	return rnd(s, 8) ? common : rnd(s, 16);
}

static u32 any_argsz(u64 *s, u32 right)
{
	return rnd(s, 32) ? right : rnd(s, 3 * right);
}

static void *any_bitmap(struct worker *w, u64 *s)
{
	switch (rnd(s, 12)) {
	case 0:		return (void *)rnd(s, 0);
	case 1:		return mem + rnd(s, MEMORY_PAGES) * PAGE;
	/* its last page is not there */
	case 2:		return w->bitmap + 15 * PAGE - rnd(s, PAGE);
	default:	return w->bitmap + rnd(s, 2) * 8;
	}
}

static struct vfio_bitmap any_vfio_bitmap(struct worker *w, u64 *s, u64 size)
{
	return (struct vfio_bitmap) {
		.pgsize = rnd(s, 16) ? PAGE : 1ULL << rnd(s, 70),
		.size = rnd(s, 8) ? (size / PAGE + 63) / 64 * 8 : rnd(s, 0),
		.data = any_bitmap(w, s),
	};
}

static int call(struct worker *w)
{
	u64 *s = &w->seed;
	int d = rnd(s, container.nr), device = container.device[d];
	struct {
		union {
			struct vfio_iommu_type1_dma_map map;
			struct vfio_iommu_type1_dma_unmap unmap;
			struct vfio_iommu_type1_dirty_bitmap dirty;
			struct vfio_iommu_type1_info info;
			struct probe_pin pin;
			struct probe_rw rw;
			char room[256];
		};
	} a = { };
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} u = { };
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} g = { };
	u32 flag;

	switch (rnd(s, 24)) {
	case 0 ... 5:
		a.map.argsz = any_argsz(s, sizeof(a.map));
		a.map.flags = any_flags(s, rnd(s, 4) ? RDWR : READ);
		a.map.iova = any_iova(s);
		a.map.size = any_size(s);
		a.map.vaddr = any_vaddr(s);
		return ioctl(container.fd, VFIO_IOMMU_MAP_DMA, &a);
	case 6 ... 8:
		u.unmap.argsz = any_argsz(s, sizeof(u));
		u.unmap.flags = any_flags(s, rnd(s, 2));
		u.unmap.iova = any_iova(s);
		u.unmap.size = any_size(s);
		u.bitmap = any_vfio_bitmap(w, s, u.unmap.size);
		return ioctl(container.fd, VFIO_IOMMU_UNMAP_DMA, &u);
	case 9:
		if (!rnd(s, 20))
			return dma_unmap(&container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, NULL);
		return dma_unmap(&container, any_iova(s), any_size(s),
				 VFIO_DMA_UNMAP_FLAG_VADDR * rnd(s, 2), NULL);
	case 10:
		a.dirty.argsz = any_argsz(s, sizeof(a.dirty));
		flag = rnd(s, 3) ? START : STOP;
		a.dirty.flags = any_flags(s, flag);
		return ioctl(container.fd, VFIO_IOMMU_DIRTY_PAGES, &a);
	case 11 ... 13:
		g.dirty.argsz = any_argsz(s, sizeof(g));
		g.dirty.flags = any_flags(s, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP);
		g.get.iova = rnd(s, 3) ? 0 : any_iova(s);
		g.get.size = rnd(s, 3) ? 5000 * PAGE : any_size(s);
		g.get.bitmap = any_vfio_bitmap(w, s, g.get.size);
		return ioctl(container.fd, VFIO_IOMMU_DIRTY_PAGES, &g);
	case 14:
		a.info.argsz = rnd(s, sizeof(a));
		return ioctl(container.fd, VFIO_IOMMU_GET_INFO, &a);
	case 15 ... 18:
		a.pin.iova = any_iova(s) & -PAGE;
		a.pin.npage = rnd(s, 16) ? 1 + rnd(s, 200) : rnd(s, 0);
		a.pin.prot = 1 + rnd(s, 3);
		return ioctl(device, PROBE_PIN, &a);
	case 19 ... 20:
		a.pin.iova = any_iova(s) & -PAGE;
		a.pin.npage = 1 + rnd(s, 300);
		return ioctl(device, PROBE_UNPIN, &a);
	case 21:
		a.rw.iova = any_iova(s);
		a.rw.len = rnd(s, 16) ? rnd(s, 3 * PAGE) : any_size(s);
		a.rw.data = (uintptr_t)any_bitmap(w, s);
		a.rw.write = rnd(s, 2);
		a.rw.thread = rnd(s, 2);
		return ioctl(device, PROBE_RW, &a);
	case 22:
		if (rnd(s, 2))
			return ioctl(device, PROBE_STUBBORN, rnd(s, 30) ? 0 : rnd(s, 12));
		return ioctl(device, PROBE_PIN_ASKED,
			     rnd(s, 8) ? PROBE_NOWHERE : any_iova(s) & -PAGE);
	default:
		if (rnd(s, 50))
			return ioctl(container.fd, VFIO_CHECK_EXTENSION, rnd(s, 20));
		/* memory goes away under a mapping, and comes back */
		madvise(mem + rnd(s, MEMORY_PAGES - 64) * PAGE, 64 * PAGE, MADV_DONTNEED);
		return mprotect(mem + rnd(s, MEMORY_PAGES - 64) * PAGE, 64 * PAGE,
				rnd(s, 4) ? PROT_READ | PROT_WRITE : PROT_NONE);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (!stop) {
		w->calls++;
		w->good += call(w) >= 0;
	}
	return NULL;
}

static u64 open_one(u64 *s)
{
	const char *const pci[] = { address, NULL };
	int type = rnd(s, 8) ? VFIO_TYPE1v2_IOMMU : VFIO_TYPE1_IOMMU, i;

	if (address && rnd(s, 2)) {
		container_open(&container, type, pci);
		i = container_attach(&container, "vfio_probe.0");
		container_open_device(&container, i, "vfio_probe.0");
		return 1;
	}
	probe_container(&container, type, 1 + rnd(s, 3));
	return 0;
}

int main(int argc, char **argv)
{
	int seconds = 50, threads = 3, opt, i, left = 0;
	struct worker worker[THREADS_MAX] = { };
	u64 calls = 0, good = 0, iommus = 0;
	long rounds = 0;
	time_t end;

	round_seed = 1;
	while ((opt = getopt(argc, argv, "t:s:j:")) != -1) {
		switch (opt) {
		case 't':
			seconds = atoi(optarg);
			break;
		case 's':
			round_seed = strtoull(optarg, NULL, 0) ?: 1;
			break;
		case 'j':
			threads = atoi(optarg);
			break;
		default:
			return 2;
		}
	}
	if (threads < 1 || threads > THREADS_MAX)
		return 2;
	address = argv[optind];
	/* the longest bitmap that there can be ends where nothing else is */
	mem = reserve(MEMORY_PAGES * PAGE + (1ULL << 29));
	mprotect(mem, MEMORY_PAGES * PAGE, PROT_READ | PROT_WRITE);
	for (i = 0; i < threads; i++) {
		worker[i].bitmap = reserve(16 * PAGE + (1ULL << 29));
		mprotect(worker[i].bitmap, 15 * PAGE, PROT_READ | PROT_WRITE);
	}
	fprintf(stderr, "# seed %llu\n", (unsigned long long)round_seed);
	for (end = time(NULL) + seconds; time(NULL) < end; rounds++) {
		iommus += open_one(&round_seed);
		stop = false;
		for (i = 0; i < threads; i++) {
			worker[i].seed = rnd(&round_seed, 0) | 1;
			if (pthread_create(&worker[i].thread, NULL, work, &worker[i]))
				bail_out("a thread");
		}
		usleep(1000000);
		stop = true;
		for (i = 0; i < threads; i++)
			pthread_join(worker[i].thread, NULL);
		container_close(&container);
		left += locked_pages() != 0;
		mprotect(mem, MEMORY_PAGES * PAGE, PROT_READ | PROT_WRITE);
	}
	for (i = 0; i < threads; i++) {
		calls += worker[i].calls;
		good += worker[i].good;
	}
	fprintf(stderr, "# %llu calls, %llu of them not refused, %ld containers, %llu with an IOMMU\n",
		(unsigned long long)calls, (unsigned long long)good, rounds,
		(unsigned long long)iommus);
	IS(left, 0, "nothing stays charged after any container");
	OK(good > calls / 20 && good < calls, "some calls are refused, others are not");
	return done_testing();
}
