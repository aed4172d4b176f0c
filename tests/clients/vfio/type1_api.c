// SPDX-License-Identifier: GPL-2.0
/*
 * type1_api - what a container of type1 promises, and refuses
 *
 * With devices of vfio_probe, which have no IOMMU. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "container.h"

static void set_limit(const char *value)
{
	int fd = open("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		bail_out("dma_entry_limit");
	close(fd);
}

static void test_info(void)
{
	const struct vfio_iommu_type1_info_cap_migration *migration;
	struct vfio_iommu_type1_info info;
	struct container c;
	char *mem = memory(PAGE);
	int i;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	for (i = 1; i < 11; i++) {
		static const int has[11] = { [VFIO_TYPE1_IOMMU] = 1, [VFIO_TYPE1v2_IOMMU] = 1,
					     [VFIO_TYPE1_NESTING_IOMMU] = 1, [VFIO_UNMAP_ALL] = 1 };

		if (i != VFIO_DMA_CC_IOMMU)
			IS(ioctl(c.fd, VFIO_CHECK_EXTENSION, i), has[i], "extension %d", i);
	}
	info_cap(&c, 0, &info);
	IS(info.flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS, "info: flags");
	IS(info.iova_pgsizes, -PAGE, "info: any page size where there is no IOMMU");
	migration = (const void *)info_cap(&c, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, NULL);
	if (OK(migration, "info: tracking is offered")) {
		IS(migration->pgsize_bitmap, PAGE, "info: of the smallest page");
		IS(migration->max_dirty_bitmap_size, 1LL << 28, "info: for so large a bitmap");
	}
	OK(!info_cap(&c, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, NULL), "info: all addresses usable");
	IS(dma_avail(&c), 65535, "info: all mappings available");
	dma_map(&c, 0, mem, PAGE, RDWR);
	IS(dma_avail(&c), 65534, "info: one less");
	dma_unmap(&c, 0, PAGE, 0, NULL);
	IS(dma_avail(&c), 65535, "info: one more");

	info = (struct vfio_iommu_type1_info) { .argsz = sizeof(info) };
	IS(ioctl(c.fd, VFIO_IOMMU_GET_INFO, &info), 0, "info: without room for the chain");
	OK(info.argsz > sizeof(info) && !info.cap_offset, "info: how much room it needs");
	info.argsz = 12;
	OK(ioctl(c.fd, VFIO_IOMMU_GET_INFO, &info) && errno == EINVAL, "info: too short");
	OK(ioctl(c.fd, VFIO_IOMMU_GET_INFO, 8) && errno == EFAULT, "info: at no address");
	OK(ioctl(c.fd, _IO(VFIO_TYPE, VFIO_BASE + 99), 0) && errno == ENOTTY, "no such ioctl");
	container_close(&c);
	munmap(mem, PAGE);
}

static int raw_map(const struct container *c, u32 argsz, u32 flags, u64 vaddr, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = argsz, .flags = flags, .vaddr = vaddr, .iova = iova, .size = size,
	};

	return ioctl(c->fd, VFIO_IOMMU_MAP_DMA, &map) ? -errno : 0;
}

static void test_map(void)
{
	char *mem = memory(16 * PAGE);
	u64 at = (uintptr_t)mem, size;
	struct container c;
	int err;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	IS(raw_map(&c, 31, RDWR, at, 0, PAGE), -EINVAL, "map: too short");
	IS(raw_map(&c, 32, RDWR | 8, at, 0, PAGE), -EINVAL, "map: a flag that is none");
	IS(raw_map(&c, 32, 0, at, 0, PAGE), -EINVAL, "map: neither read nor write");
	IS(raw_map(&c, 32, 4 | READ, at, 0, PAGE), -EINVAL, "map: an address and a permission");
	IS(raw_map(&c, 32, 4, at, 0, PAGE), -ENOENT, "map: an address for nothing");
	IS(raw_map(&c, 32, RDWR, at, 0, 0), -EINVAL, "map: nothing");
	IS(raw_map(&c, 32, RDWR, at, 0, PAGE + 1), -EINVAL, "map: a page and a byte");
	IS(raw_map(&c, 32, RDWR, at + 1, 0, PAGE), -EINVAL, "map: memory between pages");
	IS(raw_map(&c, 32, RDWR, at, 1, PAGE), -EINVAL, "map: an address between pages");
	IS(raw_map(&c, 32, RDWR, at, -PAGE, 2 * PAGE), -EINVAL, "map: addresses wrap");
	IS(raw_map(&c, 32, RDWR, -PAGE, 0, 2 * PAGE), -EINVAL, "map: memory wraps");
	IS(raw_map(&c, 32, RDWR, at, PAGE, -PAGE), -EINVAL, "map: the memory of everything");
	IS(dma_avail(&c), 65535, "map: none of these left anything");

	IS(dma_map(&c, 8 * PAGE, mem, 4 * PAGE, RDWR), 0, "map: four pages");
	IS(dma_map(&c, 8 * PAGE, mem, 4 * PAGE, RDWR), -EEXIST, "map: once more");
	IS(dma_map(&c, 7 * PAGE, mem, 2 * PAGE, RDWR), -EEXIST, "map: over the begin");
	IS(dma_map(&c, 11 * PAGE, mem, 2 * PAGE, RDWR), -EEXIST, "map: over the end");
	IS(dma_map(&c, 9 * PAGE, mem, PAGE, RDWR), -EEXIST, "map: inside");
	IS(dma_map(&c, 0, mem, 16 * PAGE, RDWR), -EEXIST, "map: around");
	IS(dma_map(&c, 12 * PAGE, mem, PAGE, READ), 0, "map: right behind");
	IS(dma_map(&c, 7 * PAGE, mem, PAGE, WRITE), 0, "map: right before");

	IS(dma_unmap(&c, 8 * PAGE, 3 * PAGE, 0, NULL), -EINVAL, "unmap: all but the end");
	IS(dma_unmap(&c, 9 * PAGE, 3 * PAGE, 0, NULL), -EINVAL, "unmap: all but the begin");
	IS(dma_unmap(&c, 9 * PAGE, PAGE, 0, NULL), -EINVAL, "unmap: a piece");
	IS(dma_unmap(&c, 8 * PAGE, 0, 0, NULL), -EINVAL, "unmap: nothing");
	IS(dma_unmap(&c, 8 * PAGE, 100, 0, NULL), -EINVAL, "unmap: less than a page");
	IS(dma_unmap(&c, -PAGE, 2 * PAGE, 0, NULL), -EINVAL, "unmap: addresses wrap");
	IS(dma_unmap(&c, 8 * PAGE, 4 * PAGE, 8, NULL), -EINVAL, "unmap: a flag that is none");
	IS(dma_unmap(&c, 0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL, NULL), -EINVAL, "unmap: all, of a size");
	IS(dma_unmap(&c, 0, 0, 3, NULL), -EINVAL, "unmap: all, with a bitmap");
	IS(dma_unmap(&c, 8 * PAGE, 4 * PAGE, VFIO_DMA_UNMAP_FLAG_VADDR, NULL), -EBUSY,
	   "unmap: the memory alone, with a device that pins");
	IS(dma_avail(&c), 65532, "unmap: none of these unmapped anything");
	err = dma_unmap(&c, 0, 7 * PAGE, 0, &size);
	OK(!err && !size, "unmap: where nothing is, none");
	err = dma_unmap(&c, 8 * PAGE, 4 * PAGE, 0, &size);
	OK(!err && size == 4 * PAGE, "unmap: one");
	err = dma_unmap(&c, 0, 100 * PAGE, 0, &size);
	OK(!err && size == 2 * PAGE, "unmap: two, and where nothing is");
	dma_map(&c, 0, mem, PAGE, RDWR);
	dma_map(&c, 1ULL << 40, mem, PAGE, RDWR);
	dma_map(&c, -PAGE, mem, PAGE, RDWR);
	err = dma_unmap(&c, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &size);
	OK(!err && size == 3 * PAGE, "unmap: all");
	IS(dma_avail(&c), 65535, "unmap: nothing is left");
	container_close(&c);

	set_limit("3");
	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	set_limit("65535");
	IS(dma_avail(&c), 3, "limit: three mappings");
	dma_map(&c, 0, mem, PAGE, RDWR);
	dma_map(&c, PAGE, mem, PAGE, RDWR);
	IS(dma_map(&c, 2 * PAGE, mem, PAGE, RDWR), 0, "limit: the third");
	IS(dma_map(&c, 3 * PAGE, mem, PAGE, RDWR), -ENOSPC, "limit: the fourth");
	dma_unmap(&c, PAGE, PAGE, 0, NULL);
	IS(dma_map(&c, 3 * PAGE, mem, PAGE, RDWR), 0, "limit: instead of another");
	container_close(&c);
	munmap(mem, 16 * PAGE);
}

/* The first interface: what is unmapped need not be what was mapped. */
static void test_v1(void)
{
	char *mem = memory(16 * PAGE);
	struct container c;
	u64 size;
	int err;

	probe_container(&c, VFIO_TYPE1_IOMMU, 1);
	dma_map(&c, 0, mem, 4 * PAGE, RDWR);
	dma_map(&c, 4 * PAGE, mem, 4 * PAGE, RDWR);
	err = dma_unmap(&c, PAGE, 3 * PAGE, 0, &size);
	OK(!err && !size, "v1: a mapping that begins before the range stays");
	err = dma_unmap(&c, 0, 6 * PAGE, 0, &size);
	OK(!err && size == 8 * PAGE, "v1: those that begin in it go, whole");
	dma_map(&c, 0, mem, 4 * PAGE, RDWR);
	IS(pin(&c, 0, 0, 1, RDWR), -EACCES, "v1: no pins");
	IS(dirty(&c, START), -EACCES, "v1: no tracking");
	container_close(&c);
	munmap(mem, 16 * PAGE);
}

static void test_dirty(void)
{
	char *mem = memory(16 * PAGE);
	struct vfio_iommu_type1_dirty_bitmap start = { .argsz = 4, .flags = START };
	struct container c;
	u64 bits[8] = { };

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	dma_map(&c, 8 * PAGE, mem, 8 * PAGE, RDWR);
	IS(get(&c, 8 * PAGE, 8 * PAGE, bits), -EINVAL, "get: while stopped");
	IS(dma_unmap_bitmap(&c, 8 * PAGE, 8 * PAGE, bits, NULL), -EINVAL,
	   "unmap: with a bitmap, while stopped");
	IS(dirty(&c, STOP), 0, "stop: while stopped");
	IS(dirty(&c, START), 0, "start");
	pin(&c, 0, 9 * PAGE, 1, RDWR);
	IS(dirty(&c, START), 0, "start: once more");
	IS(get(&c, 8 * PAGE, 8 * PAGE, bits), 0, "get");
	IS(bits[0], 2, "get: what it said is not changed by a second start");
	unpin(&c, 0, 9 * PAGE, 1);
	dirty(&c, START);
	bits[0] = 0;
	get(&c, 8 * PAGE, 8 * PAGE, bits);
	IS(bits[0], 2, "start: forgets nothing");

	IS(dirty(&c, 0), -EINVAL, "no flag");
	IS(dirty(&c, START | STOP), -EINVAL, "two flags");
	IS(dirty(&c, 8), -EINVAL, "a flag that is none");
	OK(ioctl(c.fd, VFIO_IOMMU_DIRTY_PAGES, &start) && errno == EINVAL, "too short");
	IS(dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP), -EINVAL, "get: of what?");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, 0, 8, bits), -EINVAL, "get: of pages of no size");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, 2 * PAGE, 8, bits), -EINVAL, "get: of larger pages");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, 1ULL << 63, 8, bits), -EINVAL, "get: of huge pages");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, 1024, 8, bits), -EINVAL, "get: of smaller pages");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, PAGE, 7, bits), -EINVAL, "get: a bitmap too small");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, PAGE, 0, bits), -EINVAL, "get: no bitmap");
	IS(dirty_get(&c, 8 * PAGE, 8 * PAGE, PAGE, -8, bits), -EINVAL, "get: a bitmap too large");
	IS(get(&c, 8 * PAGE, 0, bits), -EINVAL, "get: of nothing");
	IS(get(&c, 8 * PAGE, 8 * PAGE + 1, bits), -EINVAL, "get: of a byte more");
	IS(get(&c, 8 * PAGE + 1, 8 * PAGE, bits), -EINVAL, "get: from between pages");
	IS(get(&c, 100 * PAGE + 8, PAGE, bits), -EINVAL, "get: there where nothing is, too");
	IS(get(&c, 9 * PAGE, 7 * PAGE, bits), -EINVAL, "get: a piece of a mapping, not its begin");
	IS(get(&c, 8 * PAGE, 7 * PAGE, bits), -EINVAL, "get: nor its end");
	IS(get(&c, -PAGE, 2 * PAGE, bits), -EINVAL, "get: addresses wrap");
	IS(get(&c, 8 * PAGE, 8 * PAGE, (void *)0xffff800000000000), -EINVAL, "get: to the kernel");
	IS(get(&c, 8 * PAGE, 8 * PAGE, (void *)8), -EFAULT, "get: to nowhere");
	IS(get(&c, 0, 100 * PAGE, bits), 0, "get: around it");
	IS(get(&c, 100 * PAGE, 8 * PAGE, bits), 0, "get: where nothing is");
	IS(dirty(&c, STOP), 0, "stop");
	IS(dirty(&c, STOP), 0, "stop: once more");
	IS(get(&c, 8 * PAGE, 8 * PAGE, bits), -EINVAL, "get: when it was stopped again");
	IS(dma_avail(&c), 65534, "the mapping is as it was");
	container_close(&c);
	munmap(mem, 16 * PAGE);
}

static void test_pin(void)
{
	char *mem = memory(600 * PAGE), *hole = memory(16 * PAGE);
	struct container c;
	u64 word;

	mprotect(hole + 8 * PAGE, PAGE, PROT_NONE);
	probe_container(&c, VFIO_TYPE1v2_IOMMU, 2);
	IS(pin(&c, 0, 0, 1, RDWR), -EINVAL, "pin: nothing mapped");
	dma_map(&c, 0, mem, 600 * PAGE, RDWR);
	dma_map(&c, 600 * PAGE, hole, 16 * PAGE, RDWR);
	dma_map(&c, 616 * PAGE, mem, PAGE, READ);
	IS(locked_pages(), 0, "pin: nothing is charged before");
	IS(pin(&c, 0, 0, 512, RDWR), 512, "pin: as many as there can be");
	IS(locked_pages(), 512, "pin: charged");
	IS(pin(&c, 0, 0, 513, RDWR), -E2BIG, "pin: one more");
	IS(pin(&c, 0, 0, 0, RDWR), -EINVAL, "pin: none");
	IS(pin(&c, 0, 0, -1, RDWR), -E2BIG, "pin: less than none");
	IS(pin(&c, 1, 500 * PAGE, 100, RDWR), 100, "pin: some of them by another device");
	IS(locked_pages(), 600, "pin: charged once");
	IS(pin(&c, 0, 590 * PAGE, 30, RDWR), -EFAULT, "pin: into a hole");
	IS(pin(&c, 0, 610 * PAGE, 10, RDWR), -EPERM, "pin: into what may only be read");
	IS(pin(&c, 0, 616 * PAGE, 1, READ), 1, "pin: to read it");
	IS(pin(&c, 1, 616 * PAGE, 1, RDWR), -EPERM, "pin: held already, not to write");
	IS(pin(&c, 1, 616 * PAGE, 1, READ), 1, "pin: held already");
	unpin(&c, 0, 616 * PAGE, 1);
	IS(locked_pages(), 601, "unpin: the other one has it");
	unpin(&c, 1, 616 * PAGE, 1);
	IS(pin(&c, 0, 610 * PAGE, 10, READ), -EINVAL, "pin: over the end");
	IS(locked_pages(), 600, "pin: after an error as many as before");
	unpin(&c, 0, 0, 512);
	IS(locked_pages(), 100, "unpin: what the other device holds is charged");
	IS(ioctl(c.device[0], PROBE_PINNED), 0, "unpin: the device has none");
	IS(ioctl(c.device[1], PROBE_WRITE, 0x1234567), 100, "the other one writes into its pages");
	word = *(u64 *)(mem + 599 * PAGE);
	IS(word, 0x1234567, "there it stands");
	container_close_device(&c, 1);
	IS(locked_pages(), 0, "when a device is closed nothing is charged");

	word = 42;
	IS(dma_rw(&c, 0, 5 * PAGE + 16, &word, 8, RW_WRITE), 0, "write");
	IS(*(u64 *)(mem + 5 * PAGE + 16), 42, "write: there it stands");
	*(u64 *)(mem + 6 * PAGE - 4) = 0x1122334455667788;
	IS(dma_rw(&c, 0, 6 * PAGE - 4, &word, 8, RW_THREAD), 0, "read: by a kernel thread");
	IS(word, 0x1122334455667788, "read: that was it");
	IS(dma_rw(&c, 0, 616 * PAGE, &word, 8, RW_WRITE), -EPERM, "write: what may only be read");
	IS(dma_rw(&c, 0, 616 * PAGE, &word, 8, 0), 0, "read: what may only be read");
	IS(dma_rw(&c, 0, 617 * PAGE - 4, &word, 8, 0), -EINVAL, "read: over the end");
	IS(dma_rw(&c, 0, 608 * PAGE, &word, 8, 0), -EFAULT, "read: in a hole");
	container_close(&c);
	munmap(mem, 600 * PAGE);
	munmap(hole, 16 * PAGE);
}

/* Without CAP_IPC_LOCK the limit holds. */
static void limited(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct cap[2] = { };
	struct rlimit limit = { 64 * PAGE, 64 * PAGE };
	char *mem = memory(128 * PAGE);
	struct container c;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || syscall(SYS_capset, &head, cap))
		bail_out("limits");
	dma_map(&c, 0, mem, 128 * PAGE, RDWR);
	IS(pin(&c, 0, 0, 60, RDWR), 60, "memlock: within the limit");
	IS(pin(&c, 0, 60 * PAGE, 10, RDWR), -ENOMEM, "memlock: above");
	IS(locked_pages(), 60, "memlock: charged is what is pinned");
	IS(pin(&c, 0, 0, 64, RDWR), 64, "memlock: what is pinned already does not count twice");
	unpin(&c, 0, 0, 64);
	unpin(&c, 0, 0, 60);
	IS(locked_pages(), 0, "memlock: nothing is left");
	IS(pin(&c, 0, 0, 64, RDWR), 64, "memlock: as many as it allows");
	container_close(&c);
	IS(locked_pages(), 0, "memlock: nothing is left when it is closed");
	munmap(mem, 128 * PAGE);
}

/* What nobody has to pay for is pinned all the same, and has to be let go of. */
static void test_reserved(void)
{
	struct container c;
	long before;
	void *page;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	page = probe_page(&c, 0, PROBE_PAGE);
	dma_map(&c, 0, page, PAGE, READ);
	before = pins_left();
	IS(pin(&c, 0, 0, 1, READ), 1, "reserved: it can be pinned");
	IS(pins_left(), before + 1, "reserved: and is");
	IS(locked_pages(), 0, "reserved: nobody pays");
	unpin(&c, 0, 0, 1);
	IS(pins_left(), before, "reserved: it is let go of");
	munmap(page, PAGE);
	container_close(&c);
}

/*
 * Memory that nobody manages is not held. What it is when a device lets go of it is its
 * owner's business: it was not paid for when it was handed out.
 */
static void test_raw(void)
{
	struct container c;
	long before;
	void *page;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 1);
	page = probe_page(&c, 0, PROBE_PAGE_RAW);
	dma_map(&c, 0, page, PAGE, READ);
	before = pins_left();
	for (int one = 0; one < 2; one++) {
		IS(pin(&c, 0, 0, 1, READ), 1, "raw: it can be pinned");
		IS(pins_left(), before, "raw: but is not held");
		IS(locked_pages(), 0, "raw: nobody pays");
		ioctl(c.device[0], PROBE_RESERVE, 0);
		if (one)
			unpin(&c, 0, 0, 1);
		else	/* it is told to let go */
			dma_unmap(&c, 0, PAGE, 0, NULL);
		IS(locked_pages(), 0, "raw: nobody is paid back, whatever it is now");
		ioctl(c.device[0], PROBE_RESERVE, 1);
		if (!one)
			dma_map(&c, 0, page, PAGE, READ);
	}
	munmap(page, PAGE);
	container_close(&c);
}

static void test_let_go(void)
{
	char *mem = memory(64 * PAGE);
	struct container c;
	int err, asked[2];
	u64 size;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 2);
	asked[0] = ioctl(c.device[0], PROBE_ASKED);
	asked[1] = ioctl(c.device[1], PROBE_ASKED);
	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	dma_map(&c, 16 * PAGE, mem, 16 * PAGE, RDWR);
	pin(&c, 0, 8 * PAGE, 16, RDWR);
	pin(&c, 1, 8 * PAGE, 2, RDWR);
	err = dma_unmap(&c, 0, 32 * PAGE, 0, &size);
	OK(!err && size == 32 * PAGE, "devices let go of what is unmapped");
	IS(ioctl(c.device[0], PROBE_PINNED) + ioctl(c.device[1], PROBE_PINNED), 0,
	   "all of them of all");
	OK(ioctl(c.device[0], PROBE_ASKED) - asked[0] <= 2 &&
	   ioctl(c.device[1], PROBE_ASKED) - asked[1] <= 2, "each was asked at most once a mapping");
	IS(locked_pages(), 0, "nothing is charged");

	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	pin(&c, 0, 8 * PAGE, 2, RDWR);
	ioctl(c.device[0], PROBE_STUBBORN, 5);
	err = dma_unmap(&c, 0, 16 * PAGE, 0, &size);
	OK(!err && size == 16 * PAGE, "one that has to be asked six times");

	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	dma_map(&c, 16 * PAGE, mem, 16 * PAGE, RDWR);
	pin(&c, 0, 18 * PAGE, 2, RDWR);
	ioctl(c.device[0], PROBE_STUBBORN, 1000);
	IS(dma_unmap(&c, 0, 32 * PAGE, 0, &size), -EBUSY, "one that never does: EBUSY");
	IS(dma_avail(&c), 65533, "nothing was unmapped");
	ioctl(c.device[0], PROBE_STUBBORN, 0);
	err = dma_unmap(&c, 0, 32 * PAGE, 0, &size);
	OK(!err && size == 32 * PAGE, "later it can be");

	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	dma_map(&c, 16 * PAGE, mem, 16 * PAGE, RDWR);
	pin(&c, 0, 0, 1, RDWR);
	pin_asked(&c, 0, 15 * PAGE);
	err = dma_unmap(&c, 0, 16 * PAGE, 0, &size);
	OK(!err && size == 16 * PAGE, "one that pins anew what it is asked to let go");
	IS(pin_asked(&c, 0, PROBE_NOWHERE), -EINVAL, "which it is told is going: EINVAL");
	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	pin(&c, 0, 0, 1, RDWR);
	pin_asked(&c, 0, 16 * PAGE);
	IS(dma_unmap(&c, 0, 16 * PAGE, 0, NULL), 0, "one that pins beside it meanwhile");
	IS(pin_asked(&c, 0, PROBE_NOWHERE), 1, "where it may");
	IS(ioctl(c.device[0], PROBE_PINNED), 1, "and what it holds");
	container_close(&c);
	munmap(mem, 64 * PAGE);
}

struct job {
	struct container	*c;
	char			*mem;
	u64			at;
	int			device;
};

static void *map_and_unmap(void *arg)
{
	struct job *job = arg;
	int i;

	for (i = 0; i < 300; i++) {
		dma_map(job->c, job->at, job->mem, 4 * PAGE, RDWR);
		pin(job->c, job->device, job->at, 4, RDWR);
		dma_unmap(job->c, job->at, 4 * PAGE, 0, NULL);
	}
	return NULL;
}

/* Two that unmap what is pinned must not wait for one another. */
static void test_threads(void)
{
	char *mem = memory(16 * PAGE);
	struct container c;
	struct job job[4];
	pthread_t thread[4];
	int i;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 2);
	for (i = 0; i < 4; i++) {
		job[i] = (struct job) { &c, mem, i * 16 * PAGE, i % 2 };
		if (pthread_create(&thread[i], NULL, map_and_unmap, &job[i]))
			bail_out("a thread");
	}
	for (i = 0; i < 100; i++) {
		struct container other = c;

		/* devices come and go meanwhile, too */
		other.nr = 2;
		other.device[2] = -1;
		if (container_attach(&other, "vfio_probe.2") == 2) {
			container_open_device(&other, 2, "vfio_probe.2");
			container_detach(&other, 2);
		}
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	IS(dma_avail(&c), 65535, "four threads map, pin and unmap at once");
	IS(locked_pages(), 0, "and nothing is charged afterwards");
	container_close(&c);
	munmap(mem, 16 * PAGE);
}

static void test_groups(void)
{
	char *mem = memory(16 * PAGE);
	struct container c;

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 3);
	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	pin(&c, 1, 0, 4, RDWR);
	pin(&c, 2, 2 * PAGE, 4, RDWR);
	container_detach(&c, 1);
	IS(locked_pages(), 4, "a group leaves: what others hold stays");
	IS(dma_avail(&c), 65534, "so do mappings");
	container_detach(&c, 0);
	IS(pin(&c, 2, 0, 1, RDWR), 1, "the last one goes on");
	container_detach(&c, 2);
	IS(locked_pages(), 0, "the last group leaves: nothing is charged");
	container_close(&c);

	probe_container(&c, VFIO_TYPE1v2_IOMMU, 2);
	dma_map(&c, 0, mem, 16 * PAGE, RDWR);
	pin(&c, 1, 0, 4, RDWR);
	close(c.fd);
	IS(pin(&c, 1, 4 * PAGE, 4, RDWR), 4, "a device outlives the container's descriptor");
	container_close_device(&c, 1);
	IS(locked_pages(), 0, "until it is closed");
	container_close(&c);
	munmap(mem, 16 * PAGE);
}

int main(void)
{
	int status;

	test_info();
	test_map();
	test_v1();
	test_dirty();
	test_pin();
	test_reserved();
	test_raw();
	test_let_go();
	test_threads();
	test_groups();
	fflush(stdout);
	/* gives up what the others need */
	limited();
	status = done_testing();
	return status;
}
