// SPDX-License-Identifier: GPL-2.0
/*
 * A guest whose network card gives back what is sent to its own address.
 *
 *	mac=HEX		twelve digits: the address that it gives to the card, by the control
 *			queue; without it the card keeps its own, and needs no such queue
 *
 * It sends frames, a few at a time, sleeps until the card's interrupt, and compares every
 * byte of what came back. What does not come within a while is lost, what comes again
 * is counted as that; both may happen to a card that is moved. Anything else is a failure.
 *
 * Frames are received into pages that no CPU ever writes, of two areas. The first area is in
 * use until a byte comes at the serial port, then the second one. So whoever sends that
 * byte in the middle of a migration has pages that only the device wrote while it went on,
 * and that nobody writes again: had one not been sent once more, nothing would make up for
 * it. Each is compared again and again with the frame that went there last.
 *
 * No CPU writes the used rings, either: each has a page to itself. Where it goes on must be
 * where it was, and what was taken out of it must still stand there, as long as the card
 * has no reason to write over it.
 *
 * Until the byte comes the CPU dirties more than can be sent. Reports are lines of
 * key=value on QEMU's debug console.
 */
#include "guest.h"
#include "ports.h"

#define PAGE_SIZE	4096u
#define AREA		(4u << 20)
#define AREA_PAGES	64u
#define CHURN		(8u << 20)
#define CHURN_BYTES	(2u << 20)

#define SERIAL_DATA	0x3f8
#define SERIAL_STATUS	0x3fd
#define PIC1_DATA	0x21
#define PIC2_DATA	0xa1
#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc

#define CARD_VECTOR	(TIMER_VECTOR + 1)
#define TICK		100000000u	/* of KVM's 1 GHz: a tenth of a second */
#define PATIENCE	50u

#define VIRTIO_NET_PCI	0x10411af4u	/* modern: device and vendor */

/* features: of the first word, and of the second */
#define NET_MAC		(1u << 5)
#define NET_CTRL_VQ	(1u << 17)
#define NET_CTRL_MAC	(1u << 23)
#define VERSION_1	(1u << 0)
#define ACCESS_PLATFORM	(1u << 1)

#define HEADER		12u
#define FRAME_MIN	60u
#define FRAME_MAX	1514u
#define PROTOCOL	0xb588u		/* 88b5 on the wire: for local experiments */
#define AT_ONCE		8u
#define BUFFERS		16u		/* to receive into, at a time */
#define SIZE		32u		/* of a queue */
#define REPORT_EVERY	8u

enum { RX, TX, CTRL, QUEUES };

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

#define DESC_NEXT	1
#define DESC_WRITE	2

struct used {
	u32 id, len;
};

struct queue {
	struct desc desc[SIZE];
	struct {
		u16 flags, idx, ring[SIZE];
	} avail;
	u16 taken;			/* of what was used, with what stood there */
	struct used was[SIZE];
	volatile u16 *doorbell;
} __attribute__((aligned(4096)));

/* by the card alone */
struct ring {
	u16 flags, idx;
	struct used used[SIZE];
} __attribute__((aligned(4096)));

static struct queue queues[QUEUES];
static volatile struct ring rings[QUEUES];
static u8 out[AT_ONCE][HEADER + FRAME_MAX + 2] __attribute__((aligned(16)));
static u8 scratch[FRAME_MAX + 2] __attribute__((aligned(16)));
static volatile u8 *common, *notify, *config;
static u8 mac[6];
static bool new_mac;

/* which frame went into a page last, + 1; and which page a descriptor stands for */
static u32 landed[2 * AREA_PAGES], page_of[BUFFERS];
static u32 area, next_page, area_frames;
static u32 came, lost, again, rechecked, used_rechecked;
/* by the card; the timer wakes us as well, so that nothing else would miss them */
u32 irqs;
static u64 bytes;

struct idt_gate {
	u16 offset_low, selector, type, offset_high;
};

struct idt_gate idt[IDT_VECTORS];

void timer_irq(void), spurious_irq(void), nmi(void), trap(void), card_irq(void);

asm("	.globl	card_irq\n"
    "card_irq:\n"
    "	incl	irqs\n"
    "	movl	$0, 0xfee000b0\n"	/* LAPIC_EOI */
    "	iret\n");
void boot_cpu(const u32 *multiboot), next_cpu(u32 id), nmi_received(void), trapped(void);

/* before what was written, or read, is made known */
static inline void barrier(void)
{
	asm volatile("lock; addl $0, (%%esp)" : : : "memory");
}

static volatile u32 *lapic(u32 reg)
{
	return (volatile u32 *)(LAPIC_BASE + reg);
}

/* Lines for the host */

static void put(const char *s)
{
	while (*s)
		outb(*s++, DEBUGCON_PORT);
}

static void put_number(const char *key, u32 n)
{
	char digits[11];
	u32 at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = '0' + n % 10;
	while (n /= 10);
	put(key);
	put(digits + at);
}

static void halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

static void die(const char *why)
{
	put("failed: ");
	put(why);
	put("\n");
	halt();
}

static void die_of(const char *why, u32 n)
{
	put_number("failed: number ", n);
	put(": ");
	die(why);
}

static void report(void)
{
	put_number("frames=", came);
	put_number(" lost=", lost);
	put_number(" again=", again);
	put_number(" kilobytes=", bytes >> 10);
	put_number(" area=", area);
	put_number(" area_frames=", area_frames);
	put_number(" rechecked=", rechecked);
	put_number(" used_rechecked=", used_rechecked);
	put_number(" irqs=", irqs);
	put("\n");
}

/* Finding the card */

static u32 pci_read(u32 function, u32 offset)
{
	outl(0x80000000 | function << 8 | (offset & ~3u), PCI_ADDRESS);
	return inl(PCI_DATA);
}

static void pci_write(u32 function, u32 offset, u32 value)
{
	outl(0x80000000 | function << 8 | offset, PCI_ADDRESS);
	outl(value, PCI_DATA);
}

static volatile u8 *bar(u32 function, u32 number)
{
	u32 low = pci_read(function, 0x10 + 4 * number);

	if (low & 1 || !(low & ~0xfu) || ((low & 4) && pci_read(function, 0x14 + 4 * number)))
		die("a part of the card is where it cannot be reached");
	return (volatile u8 *)(low & ~0xfu);
}

static u32 notify_multiplier;

static void use_capability(u32 f, u32 at)
{
	u32 head = pci_read(f, at), type = head >> 24;

	if ((head & 0xff) == 0x09 && (type == 1 || type == 2 || type == 4)) {
		volatile u8 *where = bar(f, pci_read(f, at + 4) & 0xff) + pci_read(f, at + 8);

		if (type == 1)
			common = where;
		else if (type == 2)
			notify = where;
		else
			config = where;
		if (type == 2)
			notify_multiplier = pci_read(f, at + 16);
	} else if ((head & 0xff) == 0x11) {
		u32 table = pci_read(f, at + 4);
		volatile u32 *entry = (volatile u32 *)(bar(f, table & 7) + (table & ~7u));

		entry[0] = LAPIC_BASE;
		entry[1] = 0;
		entry[2] = CARD_VECTOR;
		entry[3] = 0;
		pci_write(f, at, head | 1u << 31);
	}
}

static void find_card(void)
{
	u32 f, at;

	for (f = 0; f < 256; f++)
		if (pci_read(f, 0) == VIRTIO_NET_PCI)
			break;
	if (f == 256)
		die("there is no card");
	pci_write(f, 0x04, 0x06);		/* memory, bus master */
	for (at = pci_read(f, 0x34) & 0xfc; at; at = pci_read(f, at) >> 8 & 0xfc)
		use_capability(f, at);
	if (!common || !notify || !config)
		die("no modern virtio card");
}

/* Its registers: struct virtio_pci_common_cfg */

enum {
	DEVICE_FEATURE_SELECT = 0, DEVICE_FEATURE = 4, DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12, STATUS = 20, QUEUE_SELECT = 22, QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26, QUEUE_ENABLE = 28, QUEUE_NOTIFY = 30, QUEUE_DESC = 32,
	QUEUE_AVAIL = 40, QUEUE_USED = 48,
};

static void set32(u32 reg, u32 value) { *(volatile u32 *)(common + reg) = value; }
static void set16(u32 reg, u16 value) { *(volatile u16 *)(common + reg) = value; }
static u16 get16(u32 reg) { return *(volatile u16 *)(common + reg); }

static void need_features(u32 word, u32 want)
{
	set32(DEVICE_FEATURE_SELECT, word);
	if ((*(volatile u32 *)(common + DEVICE_FEATURE) & want) != want)
		die_of("the card lacks features of this word", word);
	set32(DRIVER_FEATURE_SELECT, word);
	set32(DRIVER_FEATURE, want);
}

static void set_address(u32 reg, volatile void *where)
{
	set32(reg, (u32)where);
	set32(reg + 4, 0);
}

static void start_queue(u32 n)
{
	struct queue *q = &queues[n];

	set16(QUEUE_SELECT, n);
	if (get16(QUEUE_SIZE) < SIZE)
		die_of("a queue is too small", n);
	set16(QUEUE_SIZE, SIZE);
	set16(QUEUE_VECTOR, n == RX ? 0 : 0xffff);
	if (n == RX && get16(QUEUE_VECTOR))
		die("no vector for what is received");
	set_address(QUEUE_DESC, q->desc);
	set_address(QUEUE_AVAIL, &q->avail);
	set_address(QUEUE_USED, &rings[n]);
	q->doorbell = (volatile u16 *)(notify + get16(QUEUE_NOTIFY) * notify_multiplier);
	if (n != RX)
		q->avail.flags = 1;	/* is looked at anyway */
	set16(QUEUE_ENABLE, 1);
}

static void start_card(void)
{
	common[STATUS] = 0;
	while (common[STATUS])
		;
	common[STATUS] = 3;
	need_features(0, NET_MAC | (new_mac ? NET_CTRL_VQ | NET_CTRL_MAC : 0));
	need_features(1, VERSION_1 | ACCESS_PLATFORM);
	common[STATUS] = 11;
	if (!(common[STATUS] & 8))
		die("the card refuses what it offered");
	for (u32 n = 0; n < (new_mac ? QUEUES : CTRL); n++)
		start_queue(n);
	common[STATUS] = 15;
	for (u32 i = 0; !new_mac && i < 6; i++)
		mac[i] = config[i];
}

static void offer(u32 n, u16 head)
{
	struct queue *q = &queues[n];

	q->avail.ring[q->avail.idx % SIZE] = head;
	barrier();
	*(volatile u16 *)&q->avail.idx = q->avail.idx + 1;
}

static void kick(u32 n)
{
	barrier();
	*queues[n].doorbell = n;
}

/* Those that were used and not taken: never behind what was, nor more than were offered. */
static bool is_used(u32 n)
{
	struct queue *q = &queues[n];
	u16 more;

	barrier();
	more = rings[n].idx - q->taken;
	if (more > (u16)(q->avail.idx - q->taken))
		die_of("a used ring is not where the card left it", n);
	return more;
}

static struct used take(u32 n)
{
	struct queue *q = &queues[n];
	u32 slot = q->taken++ % SIZE;

	q->was[slot] = (struct used){ rings[n].used[slot].id, rings[n].used[slot].len };
	return q->was[slot];
}

/* What was taken, but for what the card may just be writing over. */
static void recheck_used(u32 n)
{
	struct queue *q = &queues[n];

	is_used(n);
	for (u16 at = q->avail.idx - SIZE; at != q->taken; at++) {
		u32 slot = at % SIZE;

		if (rings[n].used[slot].id != q->was[slot].id ||
		    rings[n].used[slot].len != q->was[slot].len)
			die_of("a used ring is not as the card left it", n);
		used_rechecked++;
	}
}

static void sleep(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static void set_mac(void)
{
	static u8 command[2] = { 1, 1 };	/* MAC, address */
	static volatile u8 ack = 0xff;
	struct desc *d = queues[CTRL].desc;

	d[0] = (struct desc){ (u32)command, sizeof(command), DESC_NEXT, 1 };
	d[1] = (struct desc){ (u32)mac, sizeof(mac), DESC_NEXT, 2 };
	d[2] = (struct desc){ (u32)&ack, 1, DESC_WRITE, 0 };
	offer(CTRL, 0);
	kick(CTRL);
	for (u32 ticks = 0; !is_used(CTRL); ticks++) {
		if (ticks > PATIENCE * 10)
			die("the control queue does not answer");
		sleep();
	}
	take(CTRL);
	if (ack)
		die_of("the card refuses its address", ack);
}

/* Frames */

static u32 mix(u32 n)
{
	n = (n ^ n >> 16) * 0x85ebca6bu;
	n = (n ^ n >> 13) * 0xc2b2ae35u;
	return n ^ n >> 16;
}

/* What is in frame n, and how long it is, can be told wherever it is. */
static u32 make(u8 *frame, u32 n)
{
	u32 len = FRAME_MIN + mix(n) % (FRAME_MAX - FRAME_MIN + 1), i;

	for (i = 0; i < 6; i++)
		frame[i] = frame[6 + i] = mac[i];
	*(u16 *)(frame + 12) = PROTOCOL;
	*(u32 *)(frame + 14) = n;
	*(u16 *)(frame + 18) = len;
	for (i = 20; i < len; i += 4)
		*(u32 *)(frame + i) = mix(n * 2048 + i);
	return len;
}

static volatile u8 *page(u32 n)
{
	return (volatile u8 *)(AREA + n * PAGE_SIZE);
}

static bool holds(u32 n, u32 frame)
{
	u32 len = make(scratch, frame);
	volatile u8 *at = page(n) + HEADER;

	for (u32 i = 0; i < len; i++)
		if (at[i] != scratch[i])
			return false;
	return true;
}

/* What lies in the page and is not frame n, and if it is so still. */
static void die_of_frame(u32 n, u32 in, u32 len)
{
	u32 want = make(scratch, n), wrong = 0, first = 0;
	volatile u8 *at = page(in) + HEADER;

	for (u32 i = want; i--; )
		if (at[i] != scratch[i]) {
			wrong++;
			first = i;
		}
	put_number("wrong: page ", in);
	put_number(" len ", len);
	put_number(" of ", HEADER + want);
	put_number(", bytes ", wrong);
	put_number(" from ", first);
	put_number(": ", at[first]);
	put_number(" not ", scratch[first]);
	put(holds(in, n) ? ", now right\n" : "\n");
	die_of("a frame came back as another", n);
}

/* Page after page of the area; what was in it is given up only now. */
static void offer_page(u16 id)
{
	u32 n = area * AREA_PAGES + next_page;

	next_page = (next_page + 1) % AREA_PAGES;
	page_of[id] = n;
	landed[n] = 0;
	queues[RX].desc[id] = (struct desc){ (u32)page(n), PAGE_SIZE, DESC_WRITE, 0 };
	offer(RX, id);
}

/* Returns the frame's number. */
static u32 receive(u32 sent)
{
	struct used got = take(RX);
	u32 id = got.id, len = got.len, n, at;

	if (id >= BUFFERS)
		die_of("a buffer that was not offered", id);
	at = page_of[id];
	if (*(volatile u16 *)(page(at) + HEADER + 12) != PROTOCOL)
		die_of("somebody else's frame on the wire, of such a length", len);
	n = *(volatile u32 *)(page(at) + HEADER + 14);
	if (n >= sent)
		die_of("a frame that was never sent", n);
	if (len != HEADER + make(scratch, n) || !holds(at, n))
		die_of_frame(n, at, len);
	landed[at] = n + 1;
	if (at / AREA_PAGES == area)
		area_frames++;
	bytes += len;
	offer_page(id);
	return n;
}

static void send(u32 n, u32 slot)
{
	u32 len = make(out[slot] + HEADER, n);

	queues[TX].desc[slot] = (struct desc){ (u32)out[slot], HEADER + len, 0, 0 };
	offer(TX, slot);
}

static void wait_sent(void)
{
	struct queue *q = &queues[TX];

	for (u32 ticks = 0; q->taken != q->avail.idx; ticks++) {
		if (ticks > PATIENCE * 10)
			die("what was sent is not given back");
		while (is_used(TX))
			take(TX);
		if (q->taken != q->avail.idx)
			sleep();
	}
}

static void round_trip(u32 first)
{
	u32 seen = 0, all = (1u << AT_ONCE) - 1, i, ticks = 0;

	recheck_used(RX);
	recheck_used(TX);
	for (i = 0; i < AT_ONCE; i++)
		send(first + i, i);
	kick(TX);
	while (seen != all && ticks++ < PATIENCE) {
		if (!is_used(RX))
			sleep();
		while (is_used(RX)) {
			u32 n = receive(first + AT_ONCE);

			if (n < first || seen & 1u << (n - first)) {
				again++;
				continue;
			}
			seen |= 1u << (n - first);
			ticks = 0;
		}
	}
	kick(RX);
	for (i = 0; i < AT_ONCE; i++) {
		came += seen >> i & 1;
		lost += ~seen >> i & 1;
	}
	wait_sent();
}

/* The first area when it is not in use any more, else nothing: it may be written now. */
static void recheck(void)
{
	for (u32 n = 0; area && n < AREA_PAGES; n++) {
		if (!landed[n])
			continue;
		if (!holds(n, landed[n] - 1))
			die_of("a page that the card wrote is not as it was", n);
		rechecked++;
	}
}

/* Pages that the CPU dirties faster than they can be sent. */
static void churn(void)
{
	for (u32 at = CHURN; at < CHURN + CHURN_BYTES; at += PAGE_SIZE)
		++*(volatile u32 *)at;
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
	u32 first = 0;

	for (u32 id = 0; id < BUFFERS; id++)
		offer_page(id);
	kick(RX);
	for (;; first += AT_ONCE) {
		round_trip(first);
		if (first / AT_ONCE % REPORT_EVERY)
			continue;
		if (!area && told()) {
			area = 1;
			next_page = 0;
			area_frames = 0;
		}
		if (!area)
			churn();
		recheck();
		report();
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

static void set_gate(u32 vector, void (*handler)(void))
{
	idt[vector] = (struct idt_gate){
		.offset_low = (u32)handler,
		.selector = 0x08,
		.type = 0x8e00,
		.offset_high = (u32)handler >> 16,
	};
}

static u8 digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	die("command line: mac= takes twelve hex digits");
	return 0;
}

static void parse(const char *word)
{
	static const char key[] = "mac=";

	for (; *word; word++) {
		u32 i = 0;

		while (key[i] && word[i] == key[i])
			i++;
		if (key[i])
			continue;
		for (i = 0; i < 6; i++)
			mac[i] = digit(word[4 + 2 * i]) << 4 | digit(word[5 + 2 * i]);
		new_mac = true;
		return;
	}
}

void boot_cpu(const u32 *multiboot)
{
	for (u32 i = 0; i < IDT_VECTORS; i++)
		set_gate(i, trap);
	set_gate(NMI_VECTOR, nmi);
	set_gate(TIMER_VECTOR, timer_irq);
	set_gate(CARD_VECTOR, card_irq);
	set_gate(SPURIOUS_VECTOR, spurious_irq);
	outb(0xff, PIC1_DATA);
	outb(0xff, PIC2_DATA);
	if (multiboot[0] & 4)
		parse((const char *)multiboot[4]);
	*lapic(LAPIC_SVR) = 0x100 | SPURIOUS_VECTOR;
	*lapic(LAPIC_TDCR) = 0xb;
	*lapic(LAPIC_LVT_TIMER) = TIMER_VECTOR | 1 << 17;	/* again and again */
	*lapic(LAPIC_TMICT) = TICK;
	find_card();
	start_card();
	if (new_mac)
		set_mac();
	put_number("ready rings=", (u32)rings);
	put("\n");
	work();
}
