// SPDX-License-Identifier: GPL-2.0
/*
 * type1_dma ADDRESS - a device with an IOMMU does DMA through a container
 *
 * ADDRESS is that of QEMU's edu, given to vfio-pci. It copies between its buffer and
 * memory. Devices of vfio_probe, which have no IOMMU, come and go beside it. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"

#define EDU_SRC		0x80
#define EDU_DST		0x88
#define EDU_COUNT	0x90
#define EDU_CMD		0x98
#define EDU_START	1
#define EDU_TO_MEMORY	2
#define EDU_BUFFER	0x40000
#define EDU_BYTES	2048	/* half of it: QEMU 7.2 aborts at its end */

#define HUGE		(2ULL << 20)

static const char *edu;

struct edu {
	struct container	c;
	int			fd;
	volatile u64		*bar;
	u64			bar_size;
};

static void edu_ready(struct edu *e, int i)
{
	struct vfio_region_info config = { .argsz = sizeof(config),
					   .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	unsigned short command;

	e->fd = e->c.device[i];
	if (ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &config) ||
	    ioctl(e->fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
		bail_out("regions of %s", edu);
	if (pread(e->fd, &command, 2, config.offset + 4) != 2)
		bail_out("config space");
	command |= 6;	/* memory, bus master */
	if (pwrite(e->fd, &command, 2, config.offset + 4) != 2)
		bail_out("config space");
	e->bar_size = bar.size;
	e->bar = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, bar.offset);
	if (e->bar == MAP_FAILED)
		bail_out("BAR 0");
}

static void edu_open(struct edu *e)
{
	const char *const devices[] = { edu, NULL };

	container_open(&e->c, VFIO_TYPE1v2_IOMMU, devices);
	edu_ready(e, 0);
}

static void edu_close(struct edu *e)
{
	munmap((void *)e->bar, e->bar_size);
	container_close(&e->c);
}

static void edu_dma(struct edu *e, u64 from, u64 to, u64 bytes, u64 direction)
{
	int i;

	e->bar[EDU_SRC / 8] = from;
	e->bar[EDU_DST / 8] = to;
	e->bar[EDU_COUNT / 8] = bytes;
	e->bar[EDU_CMD / 8] = EDU_START | direction;
	for (i = 0; e->bar[EDU_CMD / 8] & EDU_START; i++) {
		if (i == 5000)
			bail_out("edu does not end");
		usleep(1000);
	}
}

/* Copy from one address to another, as the device sees them. */
static void copy(struct edu *e, u64 from, u64 to, u64 bytes)
{
	edu_dma(e, from, EDU_BUFFER, bytes, 0);
	edu_dma(e, EDU_BUFFER, to, bytes, EDU_TO_MEMORY);
}

/* Whether the device gets from one page what stands there, and brings it to another. */
static bool copies(struct edu *e, char *mem, u64 iova, u64 from, u64 to)
{
	static u64 tag = 0x1122334455667788;
	u64 *a = (u64 *)(mem + from * PAGE), *b = (u64 *)(mem + to * PAGE);
	int i;

	tag = tag * 6364136223846793005 + 1;
	for (i = 0; i < (int)EDU_BYTES / 8; i++) {
		a[i] = tag + i;
		b[i] = 0;
	}
	copy(e, iova + from * PAGE, iova + to * PAGE, EDU_BYTES);
	return !memcmp(a, b, EDU_BYTES);
}

static void test_dma(void)
{
	const struct vfio_iommu_type1_info_cap_iova_range *ranges;
	char *mem = memory(300 * PAGE), *huge, *hole = memory(16 * PAGE);
	u64 *word = (u64 *)(mem + 4 * PAGE), size;
	struct vfio_iommu_type1_info info;
	struct edu e;
	u32 i;

	edu_open(&e);
	info_cap(&e.c, 0, &info);
	OK(info.iova_pgsizes & PAGE && !(info.iova_pgsizes & (PAGE - 1)), "info: page sizes");
	ranges = (const void *)info_cap(&e.c, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, NULL);
	if (OK(ranges && ranges->nr_iovas >= 2, "info: usable addresses")) {
		for (i = 0; i < ranges->nr_iovas; i++)
			OK(ranges->iova_ranges[i].start > 0xfeefffff ||
			   ranges->iova_ranges[i].end < 0xfee00000,
			   "info: none is for interrupts, range %u", i);
	}
	IS(dma_map(&e.c, 0xfee00000, mem, PAGE, RDWR), -EINVAL, "where interrupts go: EINVAL");
	IS(dma_map(&e.c, 0xfedff000, mem, 2 * PAGE, RDWR), -EINVAL, "or half of it");
	IS(dma_map(&e.c, 1ULL << 60, mem, PAGE, RDWR), -EINVAL, "where the IOMMU does not go: EINVAL");
	IS(locked_pages(), 0, "nothing is charged for these");

	IS(dma_map(&e.c, 0x100000, mem, 300 * PAGE, RDWR), 0, "300 pages, here and there");
	IS(locked_pages(), 300, "are charged");
	OK(copies(&e, mem, 0x100000, 0, 299), "the device copies the first to the last");
	OK(copies(&e, mem, 0x100000, 150, 1), "and others");

	huge = memory(2 * HUGE);
	huge += -(uintptr_t)huge % HUGE;
	madvise(huge, HUGE, MADV_HUGEPAGE);
	memset(huge, 1, HUGE);
	IS(dma_map(&e.c, 0x400000, huge, HUGE, RDWR), 0, "a huge page");
	OK(copies(&e, huge, 0x400000, 0, 511), "the device copies in it");
	IS(locked_pages(), 300 + 512, "it is charged");

	IS(dma_map(&e.c, 0x800000, (void *)e.bar, e.bar_size, RDWR), 0, "the device's own memory");
	IS(locked_pages(), 300 + 512, "is not charged");
	IS(dma_unmap(&e.c, 0x800000, e.bar_size, 0, &size), 0, "and can be unmapped");

	mprotect(hole + 9 * PAGE, PAGE, PROT_NONE);
	IS(dma_map(&e.c, 0xa00000, hole, 16 * PAGE, RDWR), -EFAULT, "memory with a hole: EFAULT");
	IS(locked_pages(), 300 + 512, "nothing is charged for it");
	IS(dma_avail(&e.c), 65535 - 2, "nor is it mapped");

	IS(dma_map(&e.c, 0xc00000, mem, PAGE, READ), 0, "a page to be read");
	*word = 1;
	mem[0] = 77;
	edu_dma(&e, 0xc00000, EDU_BUFFER, 8, 0);
	edu_dma(&e, EDU_BUFFER, 0x100000 + 4 * PAGE, 8, EDU_TO_MEMORY);
	IS(*(char *)word, 77, "the device reads it");
	mem[0] = 78;
	edu_dma(&e, EDU_BUFFER, 0xc00000, 8, EDU_TO_MEMORY);
	IS(mem[0], 78, "and cannot write it");

	IS(dma_unmap(&e.c, 0x100000, 300 * PAGE, 0, &size), 0, "the 300 pages are unmapped");
	IS(locked_pages(), 513, "and charged no more");
	*word = 5;
	edu_dma(&e, EDU_BUFFER, 0x100000 + 4 * PAGE, 8, EDU_TO_MEMORY);
	IS(*word, 5, "the device does not reach them any more");
	edu_close(&e);
	IS(locked_pages(), 0, "closed: nothing is charged");
	munmap(mem, 300 * PAGE);
	munmap(hole, 16 * PAGE);
}

static int count(const u64 *bitmap, int pages)
{
	int i, n = 0;

	for (i = 0; i < pages; i++)
		n += bitmap[i / 64] >> i % 64 & 1;
	return n;
}

static int dirty_pages(struct edu *e, u64 iova, int pages)
{
	u64 bitmap[16] = { };
	int err = get(&e->c, iova, pages * PAGE, bitmap);

	return err ?: count(bitmap, pages);
}

/* Which devices there are decides what counts as dirty, and what is charged. */
static void test_scope(void)
{
	char *mem = memory(300 * PAGE);
	struct edu e;
	int probe, i;

	edu_open(&e);
	dma_map(&e.c, 0x100000, mem, 200 * PAGE, RDWR);
	dirty(&e.c, START);
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: a device that may write anywhere");
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: again and again");
	probe = container_attach(&e.c, "vfio_probe.0");
	container_open_device(&e.c, probe, "vfio_probe.0");
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: one that pins changes nothing");
	IS(pin(&e.c, probe, 0x100000, 7, RDWR), 7, "it pins seven pages");
	IS(locked_pages(), 200, "which were charged already");
	dma_map(&e.c, 0x200000, mem + 200 * PAGE, 100 * PAGE, RDWR);
	IS(pin(&e.c, probe, 0x200000, 3, RDWR), 3, "and three more");
	IS(locked_pages(), 300, "charged, too");

	/* the device that may write anywhere leaves */
	munmap((void *)e.bar, e.bar_size);
	container_detach(&e.c, 0);
	IS(locked_pages(), 10, "it leaves: only what is pinned stays charged");
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: what it may have written is reported");
	IS(dirty_pages(&e, 0x100000, 200), 7, "scope: once, then only what is pinned");
	IS(dirty_pages(&e, 0x200000, 100), 100, "scope: of every mapping");
	IS(dirty_pages(&e, 0x200000, 100), 3, "scope: once");
	unpin(&e.c, probe, 0x100000, 2);
	IS(dirty_pages(&e, 0x100000, 200), 7, "scope: what was unpinned");
	IS(dirty_pages(&e, 0x100000, 200), 5, "scope: once");
	IS(locked_pages(), 8, "and it is charged no more");

	/* and comes back: all mappings are there for it */
	i = container_attach(&e.c, edu);
	if (!OK(i >= 0, "it comes back"))
		return;
	container_open_device(&e.c, i, edu);
	edu_ready(&e, i);
	IS(locked_pages(), 300, "everything is charged again, once");
	OK(copies(&e, mem, 0x100000, 3, 100), "it reaches its memory");
	OK(copies(&e, mem + 200 * PAGE, 0x200000, 1, 99), "all of it");
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: it may write anywhere again");
	unpin(&e.c, probe, 0x100000, 200);
	IS(locked_pages(), 300, "unpinning changes nothing while an IOMMU has it all");
	container_detach(&e.c, probe);
	IS(locked_pages(), 300, "the one that pins leaves: all stays charged");
	IS(dirty_pages(&e, 0x100000, 200), 200, "scope: and dirty");
	OK(copies(&e, mem, 0x100000, 5, 6), "the other works on");
	munmap((void *)e.bar, e.bar_size);
	container_close(&e.c);
	IS(locked_pages(), 0, "closed: nothing is charged");
	munmap(mem, 300 * PAGE);
}

/* The one that pins is first; a mapping that an IOMMU cannot have keeps it out. */
static void test_late(void)
{
	char *mem = memory(64 * PAGE), *page;
	struct edu e;
	long pins;
	int i;

	probe_container(&e.c, VFIO_TYPE1v2_IOMMU, 1);
	dma_map(&e.c, 0x100000, mem, 64 * PAGE, RDWR);
	dma_map(&e.c, 0xfee00000, mem, PAGE, RDWR);
	pin(&e.c, 0, 0x100000, 4, RDWR);
	IS(container_attach(&e.c, edu), -EINVAL, "a mapping where interrupts go keeps it out");
	IS(locked_pages(), 4, "which changes nothing");
	dma_unmap(&e.c, 0xfee00000, PAGE, 0, NULL);
	dma_map(&e.c, 0x200000, reserve(PAGE), PAGE, RDWR);
	IS(container_attach(&e.c, edu), -EFAULT, "so does one without memory");
	IS(locked_pages(), 4, "which changes nothing either");
	OK(!info_cap(&e.c, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, NULL), "all addresses are usable");
	dma_unmap(&e.c, 0x200000, PAGE, 0, NULL);
	i = container_attach(&e.c, edu);
	if (!OK(i >= 0, "without them it is let in"))
		return;
	container_open_device(&e.c, i, edu);
	edu_ready(&e, i);
	IS(locked_pages(), 64, "all is charged, what was pinned once");
	OK(copies(&e, mem, 0x100000, 0, 63), "it reaches its memory");

	page = probe_page(&e.c, 0, PROBE_PAGE);
	pins = pins_left();
	IS(dma_map(&e.c, 0x300000, page, PAGE, READ), 0, "a page that is reserved");
	IS(locked_pages(), 64, "nobody pays for it");
	IS(dma_unmap(&e.c, 0x300000, PAGE, 0, NULL), 0, "it is unmapped");
	IS(pins_left(), pins, "and let go of");
	munmap(page, PAGE);
	munmap((void *)e.bar, e.bar_size);
	container_close(&e.c);
	IS(locked_pages(), 0, "closed: nothing is charged");
	munmap(mem, 64 * PAGE);
}

/* Memory that moves to other addresses, and to another process. */
static void test_vaddr(void)
{
	int memfd = memfd_create("moves", MFD_CLOEXEC), status = -1;
	char *mem, *moved;
	struct edu e;
	u64 size;
	pid_t child;

	if (memfd < 0 || ftruncate(memfd, 32 * PAGE))
		bail_out("memfd");
	mem = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	moved = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	edu_open(&e);
	IS(ioctl(e.c.fd, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1, "vaddr: can be updated");
	dma_map(&e.c, 0x100000, mem, 32 * PAGE, RDWR);
	IS(dma_map(&e.c, 0x100000, moved, 32 * PAGE, VFIO_DMA_MAP_FLAG_VADDR), -EINVAL,
	   "vaddr: not while there is one");
	IS(dma_unmap(&e.c, 0x100000, 32 * PAGE, VFIO_DMA_UNMAP_FLAG_VADDR, &size), 0, "vaddr: taken");
	IS(size, 32 * PAGE, "vaddr: from all of it");
	IS(dma_unmap(&e.c, 0x100000, 32 * PAGE, VFIO_DMA_UNMAP_FLAG_VADDR, &size), -EINVAL,
	   "vaddr: not twice");
	IS(container_attach(&e.c, "vfio_probe.0"), -EBUSY, "vaddr: nobody is let in meanwhile");
	OK(copies(&e, mem, 0x100000, 0, 31), "vaddr: DMA goes on");
	IS(dma_map(&e.c, 0x100000, moved, 16 * PAGE, VFIO_DMA_MAP_FLAG_VADDR), -EINVAL,
	   "vaddr: for half of it");
	IS(dma_map(&e.c, 0x100000, moved, 32 * PAGE, VFIO_DMA_MAP_FLAG_VADDR), 0, "vaddr: given");
	IS(locked_pages(), 32, "vaddr: charged as before");

	fflush(stdout);
	child = fork();
	if (!child) {
		bool right;

		right = !dma_unmap(&e.c, 0, 0, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL,
				   NULL) &&
			!dma_map(&e.c, 0x100000, moved, 32 * PAGE, VFIO_DMA_MAP_FLAG_VADDR);
		_exit(right && locked_pages() == 32 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	IS(status, 0, "vaddr: another process takes it over, and is charged");
	IS(locked_pages(), 0, "vaddr: this one no more");
	OK(copies(&e, mem, 0x100000, 1, 30), "vaddr: DMA goes on when that process is gone");
	IS(dma_unmap(&e.c, 0x100000, 32 * PAGE, 0, &size), 0, "vaddr: unmapped");
	edu_close(&e);
	close(memfd);
}

static void test_small_pages(void)
{
	const char *param = "/sys/module/vfio_iommu_type1/parameters/disable_hugepages";
	char *mem = memory(2 * HUGE);
	struct edu e;
	int fd = open(param, O_WRONLY);

	mem += -(uintptr_t)mem % HUGE;
	madvise(mem, HUGE, MADV_HUGEPAGE);
	if (write(fd, "1", 1) != 1)
		bail_out("%s", param);
	edu_open(&e);
	IS(dma_map(&e.c, 0x400000, mem, HUGE, RDWR), 0, "without huge pages");
	OK(copies(&e, mem, 0x400000, 0, 511), "the device copies");
	IS(locked_pages(), 512, "it is charged");
	IS(dma_unmap(&e.c, 0x400000, HUGE, 0, NULL), 0, "and unmapped");
	edu_close(&e);
	if (write(fd, "0", 1) != 1)
		bail_out("%s", param);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	edu = argv[1];
	test_dma();
	test_scope();
	test_late();
	test_vaddr();
	test_small_pages();
	return done_testing();
}
