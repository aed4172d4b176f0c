// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that lets a simulated VFIO device write its memory, and knows afterwards
 * whether all of it arrived.
 *
 *	pages=N			pages of each of two areas, even	(default 128)
 *	ballast=MIB		memory that is written once		(default 8)
 *	interval=USEC		between two passes of the device	(default 20000)
 *	how=pin|keep|cpu	pinned for each write, for good, or not at all
 *
 * Every other page of an area is the device's: no CPU writes there while it works,
 * pass after pass, by itself. What each page must hold follows from the device's own
 * count of passes and blocks. The CPU sleeps; nothing but the device's interrupts
 * wakes it. It then looks for a byte at the serial port:
 *
 * The device writes the first area until the first byte, and from then on the second one.
 * So whoever sends that byte in the middle of a migration has an area that was written
 * while it went on, and that nobody writes again: had it a page that was not sent once
 * more, nothing would make up for that. The second area is written right through the
 * migration's end, by a command that the device has to go on with. The second byte
 * stops the device, has all checked, and lets it begin anew with the first area.
 *
 * Reports are lines of key=value on QEMU's debug console.
 */
#include "lib.h"
#include "vfio_sim_regs.h"

#define AREA		(4u << 20)
#define BALLAST		(8u << 20)
#define CHURN		(2u << 20)
#define MSI_VECTOR	TIMER_VECTOR	/* its handler only ends a hlt, which is all we need */

#define SERIAL_DATA	0x3f8
#define SERIAL_STATUS	0x3fd
#define PCI_MSI		5

#define BAD_NAMED	4

static struct {
	u32 pages, ballast_mib, interval, how;
} opt = { .pages = 128, .ballast_mib = 8, .interval = 20000 };

static volatile u8 *own;
static u32 irqs, rounds;

/* How far the device had come with the area that it left. */
static u32 passes_left, blocks_left;

extern const u8 image_start[], image_end[];
void timer_irq(void), spurious_irq(void), nmi(void), trap(void);
void boot_cpu(const u32 *multiboot), next_cpu(u32 id), nmi_received(void), trapped(void);

/* The device */

static void find_device(void)
{
	u32 function = registers_begin();
	u32 msi = pci_capability(function, PCI_MSI, 0);

	own = pci_bar(function, 2);
	if (!msi)
		die("no MSI");
	pci_write(function, msi + 4, LAPIC_BASE);
	pci_write(function, msi + 8, 0);
	pci_write(function, msi + 12, MSI_VECTOR);
	pci_write(function, msi, pci_read(function, msi) | 1 << 16);
}

static u64 seed(u32 round)
{
	return (0x1234567ULL << 32 | 0x89abcdef) * (round + 1);
}

static void start_device(void)
{
	set(VFIO_SIM_IRQ_ENABLE, VFIO_SIM_IRQ_DONE | VFIO_SIM_IRQ_FAILED);
	set(VFIO_SIM_COMMAND, VFIO_SIM_OP_FILL | VFIO_SIM_IRQ_EACH | opt.how);
	set_wide(VFIO_SIM_TARGET, rounds & 1 ? AREA + opt.pages * PAGE_SIZE : AREA);
	set_wide(VFIO_SIM_LENGTH, PAGE_SIZE);
	set_wide(VFIO_SIM_SEED, seed(rounds));
	set_wide(VFIO_SIM_STRIDE, 2 * PAGE_SIZE);
	set_wide(VFIO_SIM_PASSES, 1ULL << 32);
	set(VFIO_SIM_BLOCKS, opt.pages / 2);
	set(VFIO_SIM_INTERVAL, opt.interval);
	set(VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_START);
}

/* What must be there */

static volatile u32 *page(u32 n)
{
	return (volatile u32 *)(AREA + n * PAGE_SIZE);
}

static u32 mark(u32 n)
{
	return n * 0x9e3779b1u ^ 0x5bd1e995u;
}

static void write_all(void)
{
	for (u32 n = 0; n < 2 * opt.pages; n++)
		for (u32 i = 0; i < PAGE_SIZE / 4; i++)
			page(n)[i] = mark(n) + i;
	for (u32 at = BALLAST; at < BALLAST + (opt.ballast_mib << 20); at += 64)
		*(volatile u32 *)at = mark(at);
	for (u32 i = 0; i < 16; i++)
		set(VFIO_SIM_SCRATCH + 4 * i, mark(1000 + i));
	for (u32 at = 0; at < VFIO_SIM_MEMORY_BYTES; at += PAGE_SIZE / 2)
		*(volatile u32 *)(own + at) = mark(at);
}

/* Page @n of both areas, by the device as far as it had come with that area. */
static bool device_wrote(u32 n, u32 passes, u32 blocks)
{
	u32 round = n >= opt.pages, block = n % opt.pages / 2;
	u64 pass = passes - (block >= blocks);
	volatile u64 *words = (volatile u64 *)page(n);

	for (u32 i = 0; i < PAGE_SIZE / 8; i++)
		if (words[i] != vfio_sim_pattern(seed(round), pass, block, i * 8))
			return false;
	return true;
}

static bool cpu_wrote(u32 n)
{
	for (u32 i = 0; i < PAGE_SIZE / 4; i++)
		if (page(n)[i] != mark(n) + i)
			return false;
	return true;
}

static void stop_device(u32 *passes, u32 *blocks)
{
	set(VFIO_SIM_DOORBELL, VFIO_SIM_DOORBELL_ABORT);
	*passes = get(VFIO_SIM_PASSES_DONE);
	*blocks = get(VFIO_SIM_BLOCKS_DONE);
	if (*passes < 2)
		die("asked too early");
}

static void check_all(void)
{
	u32 bad_device = 0, bad_cpu = 0, bad_state = 0, passes, blocks;
	struct line l = { 0 };

	stop_device(&passes, &blocks);
	for (u32 n = 0; n < 2 * opt.pages; n++) {
		bool good = n & 1 ? cpu_wrote(n) : n < opt.pages ?
			    device_wrote(n, passes_left, blocks_left) : device_wrote(n, passes, blocks);

		if (good)
			continue;
		if (bad_device + bad_cpu < BAD_NAMED) {
			add_u64(&l, "bad-page page=", n);
			add_u64(&l, " first=", page(n)[0]);
			say(&l);
		}
		if (n & 1)
			bad_cpu++;
		else
			bad_device++;
	}
	for (u32 at = BALLAST; at < BALLAST + (opt.ballast_mib << 20); at += 64)
		bad_cpu += *(volatile u32 *)at != mark(at);
	for (u32 i = 0; i < 16; i++)
		bad_state += get(VFIO_SIM_SCRATCH + 4 * i) != mark(1000 + i);
	for (u32 at = 0; at < VFIO_SIM_MEMORY_BYTES; at += PAGE_SIZE / 2)
		bad_state += *(volatile u32 *)(own + at) != mark(at);

	add_u64(&l, "checked pages=", 2 * opt.pages);
	add_u64(&l, " bad_device=", bad_device);
	add_u64(&l, " bad_cpu=", bad_cpu);
	add_u64(&l, " bad_state=", bad_state);
	add_u64(&l, " passes=", passes);
	add_u64(&l, " irqs=", irqs);
	add_u64(&l, " pinned=", get(VFIO_SIM_PINNED));
	say(&l);
}

/*
 * Pages that the CPU dirties faster than they can be sent, with what they hold anyway: no
 * migration completes before the first byte came.
 */
static void touch_ballast(void)
{
	for (u32 at = BALLAST; at < BALLAST + CHURN; at += PAGE_SIZE)
		*(volatile u32 *)at = mark(at);
}

static bool told(void)
{
	if (!(inb(SERIAL_STATUS) & 1))
		return false;
	inb(SERIAL_DATA);
	return true;
}

static void work(void)
{
	struct line l = { 0 };
	u32 cause;

	for (;;) {
		asm volatile("sti; hlt; cli" : : : "memory");
		if (told()) {
			if (!rounds)
				stop_device(&passes_left, &blocks_left);
			else if (rounds == 1)
				check_all();
			else
				die("told a third time");
			rounds++;
			irqs = 0;
			start_device();
			continue;
		}
		cause = get(VFIO_SIM_IRQ_STATUS);
		set(VFIO_SIM_IRQ_STATUS, cause);
		if (cause & VFIO_SIM_IRQ_FAILED)
			die("the device failed");
		irqs++;
		if (!rounds)
			touch_ballast();
		add_u64(&l, "device round=", rounds);
		add_u64(&l, " passes=", get(VFIO_SIM_PASSES_DONE));
		add_u64(&l, " irqs=", irqs);
		say(&l);
	}
}

/* Coming up */

void nmi_received(void)
{
	die("an NMI");
}

void trapped(void)
{
	die("exception");
}

void next_cpu(u32 id)
{
	(void)id;
	die("a second CPU");
}

static void parse(const char *word)
{
	const char *value;

	while (*word && *word != ' ')	/* the kernel's own name */
		word++;
	while (*word) {
		while (*word == ' ')
			word++;
		if (starts(word, "pages=", &value))
			opt.pages = number(value);
		else if (starts(word, "ballast=", &value))
			opt.ballast_mib = number(value);
		else if (starts(word, "interval=", &value))
			opt.interval = number(value);
		else if (starts(word, "how=pin", &value))
			opt.how = 0;
		else if (starts(word, "how=keep", &value))
			opt.how = VFIO_SIM_KEEP;
		else if (starts(word, "how=cpu", &value))
			opt.how = VFIO_SIM_BY_CPU;
		else if (*word)
			die("command line: unknown word");
		while (*word && *word != ' ')
			word++;
	}
	if (opt.pages < 2 || opt.pages % 2 || opt.pages * 2 * PAGE_SIZE > BALLAST - AREA ||
	    opt.ballast_mib < CHURN >> 20 || opt.ballast_mib > 256)
		die("pages= or ballast= is out of range");
}

void boot_cpu(const u32 *multiboot)
{
	struct line l = { 0 };

	interrupts_begin();
	set_gate(NMI_VECTOR, nmi);
	set_gate(MSI_VECTOR, timer_irq);
	set_gate(SPURIOUS_VECTOR, spurious_irq);
	if (multiboot[0] & 4)
		parse((const char *)multiboot[4]);
	*lapic(LAPIC_SVR) = 0x100 | SPURIOUS_VECTOR;
	find_device();
	write_all();
	add_u64(&l, "ready pages=", opt.pages);
	say(&l);
	start_device();
	work();
}
