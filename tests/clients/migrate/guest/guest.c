// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that does nothing but dirty memory, at a set rate, and knows
 * afterwards whether all of it arrived.
 *
 *	area=MIB	memory that is dirtied		(default 64)
 *	base=MIB	where it begins			(default 16)
 *	rate=N		pages a second, all CPUs together (default 1000)
 *	pattern=seq|random				(default random)
 *	cpus=N		CPUs that share the area and the rate (default 1)
 *	vfio=N		pages that a simulated VFIO device writes (default 0: there is none)
 *	net=N		frames on their way in a virtio network card (default 0: there is none)
 *
 * The area is written in passes: each pass writes each page once, in order or
 * in an order shuffled anew for each pass. So what a page must hold follows from
 * one number alone, the count of writes so far, and that number lives in a
 * register, which is migrated apart from memory: memory that arrives
 * consistent but old is found out too.
 *
 * Each write first checks what it overwrites, and an NMI (QMP: inject-nmi) makes
 * every CPU check all of its pages at once. Reports are lines of key=value on
 * QEMU's debug console.
 */
#include "devices.h"
#include "guest.h"
#include "lib.h"

/* The count of writes of this CPU; every file is built with -ffixed-ebx. */
register u32 written asm("ebx");

#define PAGE_WORDS	(PAGE_SIZE / sizeof(u32))

#define NSEC_PER_SEC	1000000000u
#define TICK_NSEC	(10 * NSEC_PER_MSEC)
/* What a CPU could not write while it was held up for longer is not made up for. */
#define CATCH_UP_NSEC	(250 * NSEC_PER_MSEC)
#define REPORT_NSEC	(500 * NSEC_PER_MSEC)
#define NET_NSEC	(50 * NSEC_PER_MSEC)
#define VFIO_USEC	100000

#define MSR_APIC_BASE		0x1b
#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01
#define KVM_CPUID_SIGNATURE	0x40000000
#define KVM_FEATURE_CLOCKSOURCE2 3

#define BAD_PAGES_NAMED	4

enum pattern { SEQUENTIAL, RANDOM };

static struct {
	u32 area_mib, base_mib, rate, cpus, vfio, net;
	enum pattern pattern;
} opt = { .area_mib = 64, .base_mib = 16, .rate = 1000, .cpus = 1, .pattern = RANDOM };

/* The host's clock as KVM publishes it; it stands still while a VM is stopped. */
struct pvclock {
	u32 version;
	u32 pad;
	u64 tsc_timestamp;
	u64 system_time;
	u32 tsc_to_system_mul;
	int8_t tsc_shift;
	u8 flags;
	u8 pad2[2];
};

struct cpu {
	u32 id;
	u32 first_gfn;		/* its share of the area */
	u32 pages;
	u32 rate;		/* its share of the rate */

	u64 credit;		/* pages it owes, in 1/NSEC_PER_SEC of a page */
	u64 bad;		/* pages that did not hold what was written last */
	u64 late_nsec;		/* held up beyond what is made up for */
	u64 gap_nsec;		/* longest time between two ticks since the last report */
	u32 bad_named;
	volatile bool check_asked;
};

static struct cpu cpus[MAX_CPUS];
static volatile struct pvclock clocks[MAX_CPUS] __attribute__((aligned(4096)));
static volatile u32 cpus_filled;

extern const u8 trampoline[], trampoline_end[], image_start[], image_end[];
void timer_irq(void), spurious_irq(void), nmi(void), trap(void);
void boot_cpu(const u32 *multiboot), next_cpu(u32 id), nmi_received(void), trapped(void);

static inline u64 rdtsc(void)
{
	u64 tsc;

	asm volatile("rdtsc" : "=A"(tsc));
	return tsc;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "A"(value) : "memory");
}

/* cpuid writes ebx, which is not the compiler's to save: do it by hand */
static inline u32 cpuid_eax(u32 leaf)
{
	asm volatile("xchgl %%ebx, %%esi\n\tcpuid\n\txchgl %%ebx, %%esi"
		     : "+a"(leaf) : : "ecx", "edx", "esi");
	return leaf;
}

/* What is written where */

/* A bijection on 0 .. 2^bits - 1, another one for each key. */
static u32 scramble(u32 x, u32 bits, u32 key)
{
	u32 mask = (1u << bits) - 1, half = bits / 2 + 1;

	for (u32 round = 0; round < 3; round++) {
		x = (x * 0x9e3779b1u + key) & mask;
		x ^= x >> half;
		key = key * 0x85ebca6bu + round;
	}
	return x;
}

/* The page that is written as the nth of a pass. */
static u32 page_of(const struct cpu *c, u32 nth, u32 pass)
{
	u32 bits;

	if (opt.pattern == SEQUENTIAL || c->pages < 4)
		return nth;
	bits = 32 - __builtin_clz(c->pages - 1);
	/* an orbit that leaves 0 .. pages - 1 comes back to it */
	do
		nth = scramble(nth, bits, pass * 0xc2b2ae35u);
	while (nth >= c->pages);
	return nth;
}

/* For one page, no two passes have the same stamp: the factor is odd. */
static u32 stamp(u32 gfn, u32 pass)
{
	return pass * 0x9e3779b1u ^ gfn * 0x85ebca6bu;
}

static volatile u32 *page_words(u32 gfn)
{
	return (volatile u32 *)(gfn << PAGE_SHIFT);
}

static bool page_holds(struct cpu *c, u32 page, u32 pass)
{
	u32 gfn = c->first_gfn + page, want = stamp(gfn, pass);
	u32 first = page_words(gfn)[0], last = page_words(gfn)[PAGE_WORDS - 1];
	struct line l = { 0 };

	if (first == want && last == want)
		return true;
	if (c->bad_named++ < BAD_PAGES_NAMED) {
		add_u64(&l, "bad-page cpu=", c->id);
		add_u64(&l, " gfn=", gfn);
		add_u64(&l, " expected=", want);
		add_u64(&l, " first=", first);
		add_u64(&l, " last=", last);
		say(&l);
	}
	return false;
}

static void write_page(struct cpu *c, u32 page, u32 pass)
{
	u32 gfn = c->first_gfn + page, value = stamp(gfn, pass);

	page_words(gfn)[0] = value;
	page_words(gfn)[PAGE_WORDS - 1] = value;
}

static void write_next(struct cpu *c)
{
	u32 pass = written / c->pages;
	u32 page = page_of(c, written % c->pages, pass);

	if (pass && !page_holds(c, page, pass - 1))
		c->bad++;
	write_page(c, page, pass);
	written++;
}

/*
 * Every page: this pass wrote the first of its order, the one before wrote the
 * rest. A bad page that was overwritten since it arrived is in c->bad already.
 */
static void check_all(struct cpu *c)
{
	u32 pass = written / c->pages, done = written % c->pages, bad = 0;
	struct line l = { 0 };

	c->bad_named = 0;
	for (u32 nth = 0; nth < done; nth++)
		bad += !page_holds(c, page_of(c, nth, pass), pass);
	for (u32 nth = done; nth < c->pages; nth++)
		bad += !page_holds(c, page_of(c, nth, pass), pass - 1);

	add_u64(&l, "checked cpu=", c->id);
	add_u64(&l, " pages=", c->pages);
	add_u64(&l, " bad=", bad + c->bad);
	add_u64(&l, " written=", written);
	say(&l);
}

/* Time */

static u64 now(const struct cpu *c)
{
	volatile struct pvclock *p = &clocks[c->id];
	u64 delta, nsec;
	u32 version;

	do {
		version = p->version;
		asm volatile("" : : : "memory");
		delta = rdtsc() - p->tsc_timestamp;
		if (p->tsc_shift >= 0)
			delta <<= p->tsc_shift;
		else
			delta >>= -p->tsc_shift;
		nsec = p->system_time + (delta >> 32) * p->tsc_to_system_mul +
		       ((delta & 0xffffffff) * p->tsc_to_system_mul >> 32);
		asm volatile("" : : : "memory");
	} while (version & 1 || version != p->version);
	return nsec;
}

static void report(struct cpu *c, u64 at)
{
	struct line l = { 0 };

	add_u64(&l, "cpu=", c->id);
	add_msec(&l, " ms=", at);
	add_u64(&l, " written=", written);
	add_u64(&l, " bad=", c->bad);
	add_msec(&l, " late_ms=", c->late_nsec);
	add_msec(&l, " gap_ms=", c->gap_nsec);
	say(&l);
	c->gap_nsec = 0;
}

static void check_devices(void)
{
	if (opt.vfio)
		vfio_check();
	if (opt.net)
		net_report("net-checked");
}

static void report_devices(void)
{
	if (opt.vfio)
		vfio_report();
	if (opt.net)
		net_report("net");
}

static void dirty_forever(struct cpu *c)
{
	u64 last = now(c), next_report = last + REPORT_NSEC, next_net = last, at, passed;

	for (;;) {
		asm volatile("sti; hlt; cli" : : : "memory");
		at = now(c);
		passed = at > last ? at - last : 0;
		last = at;
		if (passed > c->gap_nsec)
			c->gap_nsec = passed;
		if (passed > CATCH_UP_NSEC) {
			c->late_nsec += passed - CATCH_UP_NSEC;
			passed = CATCH_UP_NSEC;
		}
		c->credit += passed * c->rate;
		for (; c->credit >= NSEC_PER_SEC; c->credit -= NSEC_PER_SEC)
			write_next(c);
		if (c->check_asked) {
			c->check_asked = false;
			check_all(c);
			if (!c->id)
				check_devices();
		}
		if (!c->id && opt.net && at >= next_net) {
			net_tick();
			next_net = at + NET_NSEC;
		}
		if (at >= next_report) {
			report(c, at);
			if (!c->id)
				report_devices();
			next_report = at + REPORT_NSEC;
		}
	}
}

/* Coming up */

/*
 * KVM's local APIC counts nanoseconds, whatever the host: no calibration, and
 * so no guest that is paced wrong because calibrating it took an interrupt.
 */
static void start_timer(void)
{
	*lapic(LAPIC_SVR) = 0x100 | SPURIOUS_VECTOR;
	*lapic(LAPIC_LVT_LINT1) = 0x400;		/* NMI: inject-nmi goes through it */
	*lapic(LAPIC_TDCR) = 0xb;			/* divide by 1 */
	*lapic(LAPIC_LVT_TIMER) = 0x20000 | TIMER_VECTOR;	/* periodic */
	*lapic(LAPIC_TMICT) = TICK_NSEC;
}

static void run_cpu(struct cpu *c)
{
	wrmsr(MSR_KVM_SYSTEM_TIME_NEW, (u32)&clocks[c->id] | 1);
	/* the first pass at full speed, so that from now on no page is new */
	for (written = 0; written < c->pages; )
		write_next(c);
	__atomic_add_fetch(&cpus_filled, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&cpus_filled, __ATOMIC_ACQUIRE) < opt.cpus)
		asm volatile("pause");
	start_timer();
	dirty_forever(c);
}

void nmi_received(void)
{
	cpus[*lapic(LAPIC_ID) >> 24].check_asked = true;
}

void trapped(void)
{
	die("exception");
}

void next_cpu(u32 id)
{
	run_cpu(&cpus[id]);
}

static void start_other_cpus(void)
{
	u8 *to = (u8 *)TRAMPOLINE;

	for (const u8 *from = trampoline; from < trampoline_end; )
		*to++ = *from++;
	*lapic(LAPIC_SVR) = 0x100 | SPURIOUS_VECTOR;
	for (u32 id = 1; id < opt.cpus; id++) {
		*lapic(LAPIC_ICR_HIGH) = id << 24;
		*lapic(LAPIC_ICR_LOW) = 0x4500;				/* INIT */
		*lapic(LAPIC_ICR_HIGH) = id << 24;
		*lapic(LAPIC_ICR_LOW) = 0x4600 | TRAMPOLINE >> 12;	/* startup */
	}
}

static void parse(const char *word)
{
	const char *value;

	while (*word && *word != ' ')	/* the kernel's own name */
		word++;
	while (*word) {
		while (*word == ' ')
			word++;
		if (starts(word, "area=", &value))
			opt.area_mib = number(value);
		else if (starts(word, "base=", &value))
			opt.base_mib = number(value);
		else if (starts(word, "rate=", &value))
			opt.rate = number(value);
		else if (starts(word, "cpus=", &value))
			opt.cpus = number(value);
		else if (starts(word, "vfio=", &value))
			opt.vfio = number(value);
		else if (starts(word, "net=", &value))
			opt.net = number(value);
		else if (starts(word, "pattern=seq", &value))
			opt.pattern = SEQUENTIAL;
		else if (starts(word, "pattern=random", &value))
			opt.pattern = RANDOM;
		else if (*word)
			die("command line: unknown word");
		while (*word && *word != ' ')
			word++;
	}
	if (!opt.cpus || opt.cpus > MAX_CPUS)
		die("cpus= is out of range");
	if (opt.area_mib < 1 || opt.area_mib > 1024 ||
	    opt.base_mib << (20 - PAGE_SHIFT) < (DEVICE_AREA >> PAGE_SHIFT) + DEVICE_PAGES)
		die("area= or base= is out of range");
}

static void share_out(void)
{
	u32 first = opt.base_mib << (20 - PAGE_SHIFT), pages = opt.area_mib << (20 - PAGE_SHIFT);

	for (u32 i = 0; i < opt.cpus; i++) {
		u32 from = pages / opt.cpus * i;

		cpus[i].id = i;
		cpus[i].first_gfn = first + from;
		cpus[i].pages = i + 1 < opt.cpus ? pages / opt.cpus : pages - from;
		cpus[i].rate = opt.rate / opt.cpus + (i < opt.rate % opt.cpus);
	}
}

static void say_ready(void)
{
	struct line l = { 0 };

	add_u64(&l, "ready first_gfn=", opt.base_mib << (20 - PAGE_SHIFT));
	add_u64(&l, " pages=", opt.area_mib << (20 - PAGE_SHIFT));
	add_u64(&l, " image_gfn=", (u32)image_start >> PAGE_SHIFT);
	add_u64(&l, " image_pages=", (image_end - image_start) >> PAGE_SHIFT);
	add_u64(&l, " rate=", opt.rate);
	add_u64(&l, " cpus=", opt.cpus);
	add(&l, opt.pattern == RANDOM ? " pattern=random" : " pattern=seq");
	say(&l);
}

void boot_cpu(const u32 *multiboot)
{
	interrupts_begin();
	set_gate(NMI_VECTOR, nmi);
	set_gate(TIMER_VECTOR, timer_irq);
	set_gate(SPURIOUS_VECTOR, spurious_irq);

	if (!(cpuid_eax(KVM_CPUID_SIGNATURE + 1) & 1u << KVM_FEATURE_CLOCKSOURCE2))
		die("no KVM clock: this guest needs -accel kvm");
	if (multiboot[0] & 4)
		parse((const char *)multiboot[4]);
	share_out();
	if (opt.vfio)
		vfio_begin(opt.vfio, VFIO_USEC);
	if (opt.net)
		net_begin(opt.net);
	say_ready();
	start_other_cpus();
	run_cpu(&cpus[0]);
}
