// SPDX-License-Identifier: GPL-2.0
/* The device by itself: what it says of itself, registers, DMA, interrupts. */
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/syscall.h>

#include "../killed.h"
#include "../userfault.h"
#include "vfio.h"

#define IOVA	0x100000000ULL
#define PAGES	64

static struct container c;
static struct device d;
static uint8_t *mem;

static void begin(void)
{
	open_all(&c, &d, 1);
	mem = memory(PAGES * PAGE);
	map(&c, mem, IOVA, PAGES * PAGE);
}

static void end(void)
{
	close_all(&c, &d, 1);
	must(munmap(mem, PAGES * PAGE));
}

static void test_info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct {
		struct vfio_region_info info;
		uint8_t caps[256];
	} region;
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	const struct vfio_region_info_cap_type *type = NULL;
	const struct vfio_region_info_cap_sparse_mmap *sparse = NULL;
	const struct vfio_info_cap_header *cap;
	uint32_t value;

	begin();
	must(ioctl(d.fd, VFIO_DEVICE_GET_INFO, &info));
	check(info.flags == (VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET), "%#x", info.flags);
	check(info.num_regions == VFIO_PCI_NUM_REGIONS + 1, "%u regions", info.num_regions);
	check(info.num_irqs == VFIO_PCI_NUM_IRQS, "%u interrupts", info.num_irqs);
	info.argsz = 4;
	refused(EINVAL, ioctl(d.fd, VFIO_DEVICE_GET_INFO, &info));

	for (uint32_t i = 0; i <= VFIO_PCI_NUM_REGIONS; i++) {
		static const uint64_t sizes[VFIO_PCI_NUM_REGIONS + 1] = {
			[VFIO_PCI_BAR0_REGION_INDEX] = VFIO_SIM_BAR0_BYTES,
			[VFIO_PCI_BAR2_REGION_INDEX] = VFIO_SIM_MEMORY_BYTES,
			[VFIO_PCI_CONFIG_REGION_INDEX] = 256,
			[MIGRATION] = VFIO_SIM_REGION_DATA + VFIO_SIM_REGION_WINDOW,
		};

		region.info = (struct vfio_region_info){ .argsz = sizeof(region), .index = i };
		must(ioctl(d.fd, VFIO_DEVICE_GET_REGION_INFO, &region));
		check(region.info.size == sizes[i], "region %u: %#llx", i, region.info.size);
		check(region.info.offset == OFFSET(i), "region %u lies elsewhere", i);
		check(!sizes[i] || (region.info.flags & 3) == 3, "region %u cannot be used", i);
		/* nothing behind its end */
		refused(EINVAL, pread(d.fd, &value, 4, OFFSET(i) + sizes[i]));
		refused(EINVAL, pwrite(d.fd, &value, 4, OFFSET(i) + sizes[i]));
		if (sizes[i])
			refused(EINVAL, pread(d.fd, &value, 4, OFFSET(i) + sizes[i] - 2));
	}
	/* the last one is the migration region's */
	check(region.info.flags & VFIO_REGION_INFO_FLAG_CAPS, "no capabilities");
	for (uint32_t at = region.info.cap_offset; at; at = cap->next) {
		check(at < sizeof(region) - sizeof(*cap), "a capability at %#x", at);
		cap = (void *)((uint8_t *)&region + at);
		if (cap->id == VFIO_REGION_INFO_CAP_TYPE)
			type = (void *)cap;
		else if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			sparse = (void *)cap;
	}
	check(type && type->type == 3 && type->subtype == 1, "it is not of the type");
	check(sparse && sparse->nr_areas == 1 &&
	      sparse->areas[0].offset == VFIO_SIM_REGION_DATA &&
	      sparse->areas[0].size == VFIO_SIM_REGION_WINDOW, "it cannot be mapped as it says");
	/* too small a buffer is told */
	region.info = (struct vfio_region_info){ .argsz = sizeof(region.info), .index = MIGRATION };
	must(ioctl(d.fd, VFIO_DEVICE_GET_REGION_INFO, &region));
	check(region.info.argsz > sizeof(region.info) && !region.info.cap_offset, "%u bytes",
	      region.info.argsz);
	region.info.index = MIGRATION + 1;
	refused(EINVAL, ioctl(d.fd, VFIO_DEVICE_GET_REGION_INFO, &region));

	for (irq.index = 0; irq.index < VFIO_PCI_NUM_IRQS; irq.index++) {
		bool there = irq.index == VFIO_PCI_INTX_IRQ_INDEX ||
			     irq.index == VFIO_PCI_MSI_IRQ_INDEX ||
			     irq.index == VFIO_PCI_REQ_IRQ_INDEX;

		must(ioctl(d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq));
		check(irq.count == there, "interrupt %u: %u", irq.index, irq.count);
	}
	refused(EINVAL, ioctl(d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq));
	refused(ENOTTY, ioctl(d.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &irq));

	/* only the window of the migration region */
	for (uint64_t i = 0; i <= MIGRATION + 1; i++)
		check(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, d.fd, OFFSET(i)) == MAP_FAILED,
		      "region %lu can be mapped", i);
	check(mmap(NULL, VFIO_SIM_REGION_WINDOW + PAGE, PROT_READ, MAP_SHARED, d.fd,
		   OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA) == MAP_FAILED, "more than the window");
	check(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, d.fd,
		   OFFSET(MIGRATION) + VFIO_SIM_REGION_DATA) == MAP_FAILED, "privately");
	end();
}

static void test_registers(void)
{
	uint64_t value;
	uint8_t byte;

	begin();
	check(config32(&d, 0) == (VFIO_SIM_PCI_DEVICE << 16 | VFIO_SIM_PCI_VENDOR), "another device");
	/* sizing of BARs */
	config_write(&d, 0x10, ~0U, 4);
	config_write(&d, 0x18, ~0U, 4);
	config_write(&d, 0x14, ~0U, 4);
	check(config32(&d, 0x10) == 0xfffff000, "BAR 0: %#x", config32(&d, 0x10));
	check(config32(&d, 0x18) == 0xfffc0000, "BAR 2: %#x", config32(&d, 0x18));
	check(config32(&d, 0x14) == 0, "BAR 1: %#x", config32(&d, 0x14));
	/* identity stays */
	config_write(&d, 0, 0, 4);
	check(config32(&d, 0) == (VFIO_SIM_PCI_DEVICE << 16 | VFIO_SIM_PCI_VENDOR), "it changed");

	check(reg32(&d, VFIO_SIM_MAGIC) == VFIO_SIM_MAGIC_VALUE, "%#x", reg32(&d, VFIO_SIM_MAGIC));
	for (uint32_t reg = VFIO_SIM_SCRATCH; reg < VFIO_SIM_REGS_BYTES; reg += 4)
		set32(&d, reg, reg * 0x01010101);
	for (uint32_t reg = VFIO_SIM_SCRATCH; reg < VFIO_SIM_REGS_BYTES; reg += 4)
		check(reg32(&d, reg) == reg * 0x01010101, "scratch register %#x", reg);
	check(reg64(&d, VFIO_SIM_SCRATCH) == (0xc0c0c0c0ULL | 0xc4c4c4c4ULL << 32), "eight bytes");
	/* read only, or not there */
	for (uint32_t reg = 0; reg < VFIO_SIM_IRQ_STATUS; reg += 4) {
		uint32_t was = reg32(&d, reg);

		set32(&d, reg, ~was);
		check(reg32(&d, reg) == was, "register %#x was written", reg);
	}
	for (uint32_t reg = VFIO_SIM_REGS_BYTES; reg < VFIO_SIM_BAR0_BYTES; reg += 4) {
		set32(&d, reg, 1);
		check(reg32(&d, reg) == 0, "there is something at %#x", reg);
	}
	set32(&d, VFIO_SIM_DOORBELL, 77);
	check(reg32(&d, VFIO_SIM_DOORBELL) == 0, "the doorbell can be read");
	/* by aligned words only */
	refused(EINVAL, pread(d.fd, &byte, 1, 0));
	refused(EINVAL, pread(d.fd, &value, 4, 2));
	refused(EINVAL, pread(d.fd, &value, 8, 4));
	refused(EINVAL, pwrite(d.fd, &value, 2, VFIO_SIM_SCRATCH));

	own_write(&d, 5, "simulated", 9);
	value = 0;
	own_read(&d, 6, &value, 8);
	check(!memcmp(&value, "imulated", 8), "own memory forgets");
	must(ioctl(d.fd, VFIO_DEVICE_RESET));
	own_read(&d, 6, &value, 8);
	check(!value && !reg32(&d, VFIO_SIM_SCRATCH), "reset forgets nothing");
	end();
}

static void check_fill(const struct command *k, const uint8_t *at, uint64_t pass)
{
	for (uint32_t b = 0; b < k->blocks; b++) {
		for (uint64_t i = 0; i < k->length; i++) {
			uint64_t word = vfio_sim_pattern(k->seed, pass, b, i & ~7ULL);
			uint8_t want = word >> 8 * (i & 7), got = at[b * k->stride + i];

			check(got == want, "block %u byte %lu: %#x, want %#x", b, i, got, want);
		}
	}
}

static void test_dma(void)
{
	struct command k;
	uint8_t own[256];

	begin();
	for (int how = 0; how < 3; how++) {
		static const uint32_t flags[] = { 0, VFIO_SIM_BY_CPU, VFIO_SIM_KEEP };

		/* aligned to nothing, over chunks; what lies between stays */
		memset(mem, 0x55, PAGES * PAGE);
		k = fill_command(IOVA + 4090, 70001, 1234 + how);
		k.command |= flags[how];
		k.blocks = 3;
		k.stride = 80007;
		check(run(&d, &k) == 0, "fill: %s", strerror(reg32(&d, VFIO_SIM_ERROR)));
		check_fill(&k, mem + 4090, 0);
		check(mem[4089] == 0x55 && mem[4090 + 70001] == 0x55 && mem[4090 + 80006] == 0x55,
		      "it wrote beside");
		check(reg64(&d, VFIO_SIM_PASSES_DONE) == 1, "passes");

		/* copied and compared, then through own memory */
		k = (struct command){ .command = VFIO_SIM_OP_COPY | flags[how], .source = IOVA + 4090,
				      .target = IOVA + 50 * PAGE + 17, .length = 40000,
				      .passes = 1, .blocks = 1 };
		check(run(&d, &k) == 0, "copy: %s", strerror(reg32(&d, VFIO_SIM_ERROR)));
		check(!memcmp(mem + 4090, mem + 50 * PAGE + 17, 40000), "it copied something else");
		k = (struct command){ .command = VFIO_SIM_OP_LOAD | (flags[how] & VFIO_SIM_BY_CPU),
				      .source = IOVA + 4090, .target = 1003, .length = 200,
				      .passes = 1, .blocks = 1 };
		check(run(&d, &k) == 0, "load: %s", strerror(reg32(&d, VFIO_SIM_ERROR)));
		own_read(&d, 1003, own, 200);
		check(!memcmp(mem + 4090, own, 200), "it loaded something else");
		k = (struct command){ .command = VFIO_SIM_OP_STORE | flags[how], .source = 1003,
				      .target = IOVA + 1, .length = 200, .passes = 1, .blocks = 1 };
		check(run(&d, &k) == 0, "store: %s", strerror(reg32(&d, VFIO_SIM_ERROR)));
		check(!memcmp(mem + 1, own, 200), "it stored something else");
	}
	check(reg32(&d, VFIO_SIM_PINNED) > 40, "%u kept", reg32(&d, VFIO_SIM_PINNED));
	set32(&d, VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_RELEASE);
	check(reg32(&d, VFIO_SIM_PINNED) == 0, "they stay");

	/* several passes: the last one is what is there */
	k = fill_command(IOVA, 8, 99);
	k.passes = 1000;
	check(run(&d, &k) == 0 && reg64(&d, VFIO_SIM_PASSES_DONE) == 1000, "passes");
	check_fill(&k, mem, 999);

	/* by itself until it is told to stop, with a busy doorbell meanwhile */
	k.passes = ~0ULL;
	start(&d, &k);
	start(&d, &k);
	check(reg32(&d, VFIO_SIM_REJECTED) == 1, "two commands at once");
	while (reg64(&d, VFIO_SIM_PASSES_DONE) < 1000)
		;
	set32(&d, VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_ABORT);
	check(reg32(&d, VFIO_SIM_STATUS) == 0, "it is still busy");
	check_fill(&k, mem, reg64(&d, VFIO_SIM_PASSES_DONE) - 1);
	end();
}

static void test_bad_dma(void)
{
	const struct command good = fill_command(IOVA, 100, 1);
	struct command k;

#define wrong(wanted, ...) do {						\
	k = good;							\
	__VA_ARGS__;							\
	check(run(&d, &k) == (wanted), #__VA_ARGS__ ": error %u",	\
	      reg32(&d, VFIO_SIM_ERROR));				\
} while (0)

	begin();
	wrong(0);
	wrong(EINVAL, k.command = 0);
	wrong(EINVAL, k.command = 5);
	wrong(EINVAL, k.command |= 0x800);
	wrong(EINVAL, k.command |= VFIO_SIM_KEEP | VFIO_SIM_BY_CPU);
	wrong(EINVAL, k.command = VFIO_SIM_OP_LOAD | VFIO_SIM_KEEP);
	wrong(EINVAL, k.length = 0);
	wrong(EINVAL, k.length = VFIO_SIM_MAX_LENGTH + 1);
	wrong(EINVAL, k.blocks = 0);
	wrong(EINVAL, k.blocks = VFIO_SIM_MAX_BLOCKS + 1);
	wrong(EINVAL, k.passes = 0);
	wrong(EINVAL, k.interval = VFIO_SIM_MAX_INTERVAL + 1);
	wrong(EINVAL, k.target = -99ULL);
	wrong(EINVAL, k.blocks = 3; k.stride = 1ULL << 63);
	wrong(EINVAL, k.blocks = 2; k.stride = -(uint64_t)(IOVA + 99));
	wrong(EINVAL, k.command = VFIO_SIM_OP_COPY; k.source = -50ULL);
	wrong(EINVAL, k.command = VFIO_SIM_OP_STORE; k.source = VFIO_SIM_MEMORY_BYTES - 99);
	wrong(EINVAL, k.command = VFIO_SIM_OP_STORE; k.source = -1ULL);
	wrong(EINVAL, k.command = VFIO_SIM_OP_LOAD; k.target = VFIO_SIM_MEMORY_BYTES - 99);
	wrong(EINVAL, k.command = VFIO_SIM_OP_LOAD; k.target = 0; k.blocks = 2;
	      k.stride = VFIO_SIM_MEMORY_BYTES - 99);
	wrong(0, k.command = VFIO_SIM_OP_STORE; k.source = VFIO_SIM_MEMORY_BYTES - 100);

	/* not mapped, or only half */
	check(run(&d, &(struct command){ .command = VFIO_SIM_OP_FILL, .target = 0, .length = 8,
					 .passes = 1, .blocks = 1 }), "it wrote where nothing is");
	for (uint32_t flag = 0; flag <= VFIO_SIM_BY_CPU; flag += VFIO_SIM_KEEP) {
		k = fill_command(IOVA + (PAGES - 1) * PAGE, 2 * PAGE, 1);
		k.command |= flag;
		check(run(&d, &k), "it wrote over the end of a mapping");
	}
	check(reg32(&d, VFIO_SIM_PINNED) == 0, "pages are left pinned");
	check(reg32(&d, VFIO_SIM_IRQ_STATUS) & VFIO_SIM_IRQ_FAILED, "it says nothing of it");

	config_write(&d, 0x04, 0x0002, 2);
	check(run(&d, &good) == EPERM, "DMA without being bus master");
	config_write(&d, 0x04, 0x0006, 2);
	check(run(&d, &good) == 0, "and never again");
	end();
}

/* More than can be kept is refused before any of it is written. */
static void test_keep_room(void)
{
	const unsigned int maps = VFIO_SIM_MAX_PINNED / PAGES;
	struct command k = fill_command(IOVA, 8, 1);

	begin();
	for (unsigned int i = 1; i <= maps; i++)
		map(&c, mem, IOVA + i * PAGES * PAGE, PAGES * PAGE);
	k.command |= VFIO_SIM_KEEP;
	k.blocks = VFIO_SIM_MAX_PINNED - 1;
	k.stride = PAGE;
	check(run(&d, &k) == 0 && reg32(&d, VFIO_SIM_PINNED) == k.blocks, "%u pinned",
	      reg32(&d, VFIO_SIM_PINNED));

	memset(mem, 0x55, 2 * PAGE);
	k.target = IOVA + maps * PAGES * PAGE;
	k.length = 2 * PAGE;
	k.blocks = 1;
	check(run(&d, &k) == ENOSPC, "error %u", reg32(&d, VFIO_SIM_ERROR));
	check(reg32(&d, VFIO_SIM_PINNED) == VFIO_SIM_MAX_PINNED - 1, "%u pinned",
	      reg32(&d, VFIO_SIM_PINNED));
	check(mem[0] == 0x55 && mem[PAGE] == 0x55, "it was written all the same");
	/* there is room for one, and none is needed where nothing is to be kept */
	k.length = PAGE;
	check(run(&d, &k) == 0 && reg32(&d, VFIO_SIM_PINNED) == VFIO_SIM_MAX_PINNED, "the last one");
	k.command &= ~VFIO_SIM_KEEP;
	k.length = 2 * PAGE;
	check(run(&d, &k) == 0, "error %u", reg32(&d, VFIO_SIM_ERROR));
	check_fill(&k, mem, 0);
	end();
}

static uint64_t dirty_now(void)
{
	uint64_t bitmap = 0;

	dirty_get(&c, IOVA, PAGES * PAGE, &bitmap);
	return bitmap;
}

/*
 * In a process of its own: the CPU is to move what nobody has brought yet. What @tell says
 * first is which file could bring it.
 */
static void ask_for_missing(int tell)
{
	/* before the device, which is closed first */
	int faults = userfault_open();
	struct command store, load;

	open_all(&c, &d, 1);
	map(&c, mem, IOVA, PAGES * PAGE);
	dirty(&c, VFIO_IOMMU_DIRTY_PAGES_FLAG_START);
	userfault_watch(faults, mem + 2 * PAGE, PAGE);
	must(write(tell, &faults, sizeof(faults)));

	store = fill_command(IOVA + PAGE, 2 * PAGE, 1);
	store.command |= VFIO_SIM_BY_CPU;
	load = (struct command){ .command = VFIO_SIM_OP_LOAD | VFIO_SIM_BY_CPU,
				 .source = IOVA + PAGE, .length = 2 * PAGE, .passes = 1, .blocks = 1 };
	check(run(&d, &store) == EFAULT, "write: error %u", reg32(&d, VFIO_SIM_ERROR));
	store.length = PAGE;
	check_fill(&store, mem + PAGE, 0);
	check(dirty_now() == 1 << 1, "what was written is dirty, the rest is not");
	check(run(&d, &load) == EFAULT, "read: error %u", reg32(&d, VFIO_SIM_ERROR));

	/* what the kernel can bring by itself is brought: new pages, and those of before the fork */
	store.target = IOVA;
	store.length = 2 * PAGE;
	check(run(&d, &store) == 0, "shared: error %u", reg32(&d, VFIO_SIM_ERROR));
	check_fill(&store, mem, 0);
	store.target = IOVA + 3 * PAGE + 5;
	store.length = 40 * PAGE;
	check(run(&d, &store) == 0, "new: error %u", reg32(&d, VFIO_SIM_ERROR));
	check_fill(&store, mem + 3 * PAGE + 5, 0);
	check(dirty_now() == (3 | ((1ULL << 41) - 1) << 3), "what is dirty then");
	must(mprotect(mem, PAGE, PROT_READ));
	store.target = IOVA;
	check(run(&d, &store) == EFAULT, "read only: error %u", reg32(&d, VFIO_SIM_ERROR));
	check(dirty_now() == 0, "nothing was written");

	killed_tell(tell);
	store.target = IOVA + 2 * PAGE;
	for (;;)
		check(run(&d, &store) == EFAULT, "write: error %u", reg32(&d, VFIO_SIM_ERROR));
}

/* A copy of another process's file, which stays when that is gone. */
static int file_of(pid_t pid, int fd)
{
	int process = must(syscall(SYS_pidfd_open, pid, 0));
	int copy = must(syscall(SYS_pidfd_getfd, process, fd, 0));

	must(close(process));
	return copy;
}

/*
 * Memory that user space has to bring: DMA by the CPU ends with an error, as if it had to be
 * pinned, and nobody waits. Whatever waits all the same is let go in the end, so that the
 * device is there for others.
 */
static void test_missing(void)
{
	int told, fd = -1, faults, status;
	struct uffdio_zeropage bring;
	struct pollfd more;
	bool works, gone;
	pid_t pid;

	mem = memory(PAGES * PAGE);
	memset(mem, 0x55, 2 * PAGE);
	pid = killed_fork(&told);
	if (!pid)
		ask_for_missing(told);
	check(must(read(told, &fd, sizeof(fd))) == sizeof(fd), "it failed before it began");
	faults = file_of(pid, fd);
	more = (struct pollfd){ .fd = told, .events = POLLIN };
	works = must(poll(&more, 1, 20000)) == 1 && read(told, &status, 1) == 1;
	/* in the middle of it */
	if (works)
		usleep(100000);
	must(kill(pid, SIGKILL));
	gone = killed_gone_within(pid, 5000, &status);
	if (!gone) {
		bring = (struct uffdio_zeropage){ .range = { (uintptr_t)mem + 2 * PAGE, PAGE } };
		ioctl(faults, UFFDIO_ZEROPAGE, &bring);
		check(killed_gone_within(pid, KILLED_MS, &status), "it waits for ever, and for something else");
	}
	check(works, "it waits for what nobody brings, or something else is wrong");
	check(gone, "it could not be killed");
	check(WIFSIGNALED(status), "it ended before it was killed: %#x", status);
	must(close(faults));
	must(close(told));
	must(munmap(mem, PAGES * PAGE));
}

/* Pages are let go of when their mapping is, whatever the device is doing. */
static void test_unmap(void)
{
	struct command k = fill_command(IOVA, 16 * PAGE, 1);

	begin();
	k.command |= VFIO_SIM_KEEP;
	check(run(&d, &k) == 0 && reg32(&d, VFIO_SIM_PINNED) == 16, "pins");
	/* of one mapping, not the other */
	map(&c, mem, IOVA + PAGES * PAGE, 8 * PAGE);
	k.target = IOVA + PAGES * PAGE;
	k.length = 8 * PAGE;
	check(run(&d, &k) == 0 && reg32(&d, VFIO_SIM_PINNED) == 24, "pins");
	unmap(&c, IOVA, PAGES * PAGE);
	check(reg32(&d, VFIO_SIM_PINNED) == 8, "%u pinned", reg32(&d, VFIO_SIM_PINNED));
	unmap(&c, IOVA + PAGES * PAGE, 8 * PAGE);
	check(reg32(&d, VFIO_SIM_PINNED) == 0, "%u pinned", reg32(&d, VFIO_SIM_PINNED));

	/* in the middle of a command */
	for (int i = 0; i < 50; i++) {
		map(&c, mem, IOVA, PAGES * PAGE);
		k = fill_command(IOVA, PAGES * PAGE, i);
		k.command |= i & 1 ? VFIO_SIM_KEEP : 0;
		k.passes = 1 << 30;
		start(&d, &k);
		if (i & 2)
			while (!reg64(&d, VFIO_SIM_BYTES))
				;
		unmap(&c, IOVA, PAGES * PAGE);
		wait_idle(&d);
		check(reg32(&d, VFIO_SIM_ERROR), "it goes on");
		check(reg32(&d, VFIO_SIM_PINNED) == 0, "%u pinned", reg32(&d, VFIO_SIM_PINNED));
	}

	/* in many mappings: while one is let go it works in another */
	for (int i = 0; i < 64; i++)
		map(&c, mem, IOVA + 2 * i * PAGE, PAGE);
	k = fill_command(IOVA, PAGE, 1);
	k.command |= VFIO_SIM_KEEP;
	k.blocks = 64;
	k.stride = 2 * PAGE;
	k.passes = 1 << 30;
	start(&d, &k);
	while (reg32(&d, VFIO_SIM_PINNED) < 64)
		;
	unmap(&c, IOVA, 128 * PAGE);
	wait_idle(&d);
	check(reg32(&d, VFIO_SIM_ERROR), "it goes on");
	check(reg32(&d, VFIO_SIM_PINNED) == 0, "%u pinned", reg32(&d, VFIO_SIM_PINNED));
	map(&c, mem, IOVA, PAGES * PAGE);
	end();
}

static bool came(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t count;

	if (!must(poll(&p, 1, ms)))
		return false;
	must(read(fd, &count, sizeof(count)));
	return true;
}

#define TRIGGER	VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK	VFIO_IRQ_SET_ACTION_MASK
#define UNMASK	VFIO_IRQ_SET_ACTION_UNMASK
#define NONE	VFIO_IRQ_SET_DATA_NONE
#define BOOL	VFIO_IRQ_SET_DATA_BOOL
#define EVENT	VFIO_IRQ_SET_DATA_EVENTFD
#define INTX	VFIO_PCI_INTX_IRQ_INDEX
#define MSI	VFIO_PCI_MSI_IRQ_INDEX
#define SOON	5000
#define NEVER	50

static void test_interrupts(void)
{
	const struct command k = fill_command(IOVA, 8, 1);
	int fd = must(eventfd(0, EFD_NONBLOCK)), resample = must(eventfd(0, EFD_NONBLOCK));
	int off = -1, bad = 9999;
	uint64_t one = 1;

	begin();
	/* INTx: a level */
	must(set_irqs(&d, INTX, EVENT | TRIGGER, 1, &fd));
	check(run(&d, &k) == 0 && !came(fd, NEVER), "it was not enabled");
	set32(&d, VFIO_SIM_IRQ_ENABLE, VFIO_SIM_IRQ_DONE);
	check(came(fd, SOON), "it was enabled with its cause there");
	must(set_irqs(&d, INTX, NONE | UNMASK, 1, NULL));
	check(came(fd, SOON), "unmasked with its cause there");
	set32(&d, VFIO_SIM_IRQ_STATUS, VFIO_SIM_IRQ_DONE);
	must(set_irqs(&d, INTX, NONE | UNMASK, 1, NULL));
	check(!came(fd, NEVER), "the cause is gone");
	check(run(&d, &k) == 0 && came(fd, SOON), "a command was done");
	check(run(&d, &k) == 0 && !came(fd, NEVER), "it masks itself");
	set32(&d, VFIO_SIM_IRQ_STATUS, ~0U);
	must(set_irqs(&d, INTX, NONE | UNMASK, 1, NULL));
	must(set_irqs(&d, INTX, NONE | MASK, 1, NULL));
	check(run(&d, &k) == 0 && !came(fd, NEVER), "it is masked");
	must(set_irqs(&d, INTX, EVENT | UNMASK, 1, &resample));
	must(write(resample, &one, sizeof(one)));
	check(came(fd, SOON), "unmasked through an eventfd");
	must(set_irqs(&d, INTX, EVENT | UNMASK, 1, &off));
	set32(&d, VFIO_SIM_IRQ_STATUS, ~0U);
	must(set_irqs(&d, INTX, NONE | UNMASK, 1, NULL));
	config_write(&d, 0x04, 0x0406, 2);
	check(run(&d, &k) == 0 && !came(fd, NEVER), "it is disabled");
	config_write(&d, 0x04, 0x0006, 2);
	check(came(fd, SOON), "it is enabled again");
	set32(&d, VFIO_SIM_IRQ_STATUS, ~0U);

	/* one kind at a time; then MSI */
	refused(EINVAL, set_irqs(&d, MSI, EVENT | TRIGGER, 1, &fd));
	must(set_irqs(&d, INTX, NONE | TRIGGER, 0, NULL));
	must(set_irqs(&d, MSI, EVENT | TRIGGER, 1, &fd));
	refused(EINVAL, set_irqs(&d, INTX, EVENT | TRIGGER, 1, &fd));
	check(run(&d, &k) == 0 && came(fd, SOON), "a message");
	check(run(&d, &k) == 0 && came(fd, SOON), "another");
	set32(&d, VFIO_SIM_IRQ_STATUS, ~0U);
	must(set_irqs(&d, MSI, NONE | TRIGGER, 1, NULL));
	check(came(fd, SOON), "by hand");
	must(set_irqs(&d, MSI, EVENT | TRIGGER, 1, &off));
	check(run(&d, &k) == 0 && !came(fd, NEVER), "it was taken away");

	refused(ENOTTY, set_irqs(&d, MSI, NONE | MASK, 1, NULL));
	refused(EINVAL, set_irqs(&d, MSI, EVENT | TRIGGER, 2, &fd));
	refused(EINVAL, set_irqs(&d, MSI, EVENT | TRIGGER | MASK, 1, &fd));
	refused(EINVAL, set_irqs(&d, VFIO_PCI_MSIX_IRQ_INDEX, EVENT | TRIGGER, 1, &fd));
	refused(EINVAL, set_irqs(&d, VFIO_PCI_NUM_IRQS, EVENT | TRIGGER, 1, &fd));
	refused(EINVAL, set_irqs(&d, 0xffffffff, NONE | TRIGGER, 0, NULL));
	refused(EBADF, set_irqs(&d, MSI, EVENT | TRIGGER, 1, &bad));
	/* a stopped device is silent; what came up before is told when it runs again */
	must(set_irqs(&d, MSI, EVENT | TRIGGER, 1, &fd));
	came(fd, NEVER);
	set32(&d, VFIO_SIM_IRQ_ENABLE, 0);
	check(run(&d, &k) == 0, "a command");
	set32(&d, VFIO_SIM_IRQ_ENABLE, VFIO_SIM_IRQ_DONE);
	check(came(fd, SOON), "enabled with its cause there");
	must(set_state(&d, S_STOP, NULL));
	check(!came(fd, NEVER), "stopped");
	must(set_state(&d, S_RUNNING, NULL));
	check(came(fd, SOON), "running again");
	end();
	must(close(fd));
	must(close(resample));
}

/* Somebody wants to take the device away: who holds it is asked to let go, and can. */
static void test_removal(void)
{
	char path[PATH_MAX];
	int fd = must(eventfd(0, EFD_NONBLOCK)), remove;
	struct command k = fill_command(IOVA, PAGES * PAGE, 1);
	int data, status;
	pid_t pid;

	begin();
	must(set_irqs(&d, VFIO_PCI_REQ_IRQ_INDEX, EVENT | TRIGGER, 1, &fd));
	k.command |= VFIO_SIM_KEEP;
	k.passes = ~0ULL;
	start(&d, &k);
	must(set_state(&d, S_PRE_COPY, &data));
	pid = must(fork());
	if (!pid) {
		/* or it would wait for itself */
		close(data);
		close(d.fd);
		close(d.group);
		close(c.fd);
		snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/remove", names[0]);
		remove = must(open(path, O_WRONLY));
		_exit(write(remove, "1", 1) == 1 ? 0 : 1);
	}
	check(came(fd, SOON), "nobody asked");
	must(close(d.fd));
	must(close(d.group));
	must(close(c.fd));
	must(waitpid(pid, &status, 0));
	check(status == 0, "it was not removed: %#x", status);
	/* the file of the transfer is left, and of no use */
	refused(ENODEV, read(data, path, sizeof(path)));
	must(close(data));
	must(close(fd));
}

const struct test device_tests[] = {
	{ "info", test_info },
	{ "registers", test_registers },
	{ "dma", test_dma },
	{ "bad_dma", test_bad_dma },
	{ "keep_room", test_keep_room },
	{ "missing", test_missing },
	{ "unmap", test_unmap },
	{ "interrupts", test_interrupts },
	{ "removal", test_removal },
	{ 0 }
};
