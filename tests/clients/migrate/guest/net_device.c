// SPDX-License-Identifier: GPL-2.0
/*
 * A driver for a virtio network card, without interrupts: the timer looks after it. All
 * buffers are in use at any time, on one of the two queues each. Frames are numbered,
 * and made of their numbers, so that one that comes twice, late or changed is found out.
 */
#include "devices.h"
#include "pci.h"

#define VIRTIO_VENDOR		0x1af4
#define VIRTIO_NET		0x1041

#define CAP_COMMON		1
#define CAP_NOTIFY		2

/* the common configuration */
#define DEVICE_FEATURE_SELECT	0x00
#define DEVICE_FEATURE		0x04
#define DRIVER_FEATURE_SELECT	0x08
#define DRIVER_FEATURE		0x0c
#define STATUS			0x14
#define QUEUE_SELECT		0x16
#define QUEUE_SIZE		0x18
#define QUEUE_ENABLE		0x1c
#define QUEUE_NOTIFY_OFF	0x1e
#define QUEUE_DESC		0x20
#define QUEUE_DRIVER		0x28
#define QUEUE_DEVICE		0x30

#define STATUS_ACKNOWLEDGE	1
#define STATUS_DRIVER		2
#define STATUS_DRIVER_OK	4
#define STATUS_FEATURES_OK	8

/* of the second word of features */
#define FEATURE_VERSION_1	1
#define FEATURE_ACCESS_PLATFORM	2

#define DESC_WRITE		2
#define AVAIL_NO_INTERRUPT	1

#define HEADER_BYTES		12
#define FRAME_BYTES		1024
#define FRAMES			32	/* a power of two */

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

struct queue {
	struct desc desc[FRAMES];
	struct {
		u16 flags, index, ring[FRAMES], unused;
	} avail;
	struct {
		u16 flags, index;
		struct {
			u32 id, len;
		} ring[FRAMES];
		u16 unused;
	} used __attribute__((aligned(4)));
	u8 buffer[FRAMES][2048];
	u16 seen;		/* of used */
	volatile u16 *doorbell;
} __attribute__((aligned(PAGE_SIZE)));

enum { RECEIVE, SEND };

static volatile struct queue queues[2];
static volatile u8 *common;
static u32 sent, next;		/* the number of the next one to be sent, to come back */
static u32 back, lost, again, bad;

static void set16(u32 reg, u16 value)
{
	*(volatile u16 *)(common + reg) = value;
}

static void set32(u32 reg, u32 value)
{
	*(volatile u32 *)(common + reg) = value;
}

static u32 get32(u32 reg)
{
	return *(volatile u32 *)(common + reg);
}

static void set_address(u32 reg, volatile void *at)
{
	set32(reg, (u32)at);
	set32(reg + 4, 0);
}

/* Where a structure of virtio's lies; *@cap is the capability that says so. */
static volatile u8 *structure(u32 function, u8 type, u32 *cap)
{
	for (*cap = pci_capability(function, PCI_CAP_VENDOR, 0); *cap;
	     *cap = pci_capability(function, PCI_CAP_VENDOR, *cap))
		if (pci_read(function, *cap) >> 24 == type)
			return pci_bar(function, pci_read(function, *cap + 4) & 0xff) +
			       pci_read(function, *cap + 8);
	die("the network card is no virtio 1 device");
}

static void negotiate(void)
{
	const u32 wanted = FEATURE_VERSION_1 | FEATURE_ACCESS_PLATFORM;
	volatile u8 *status = common + STATUS;

	*status = 0;
	while (*status)
		asm volatile("pause");
	*status = STATUS_ACKNOWLEDGE;
	*status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
	set32(DEVICE_FEATURE_SELECT, 1);
	if ((get32(DEVICE_FEATURE) & wanted) != wanted)
		die("the network card does not offer what we need");
	set32(DRIVER_FEATURE_SELECT, 0);
	set32(DRIVER_FEATURE, 0);
	set32(DRIVER_FEATURE_SELECT, 1);
	set32(DRIVER_FEATURE, wanted);
	*status |= STATUS_FEATURES_OK;
	if (!(*status & STATUS_FEATURES_OK))
		die("the network card does not take these features");
}

static void set_up(volatile struct queue *q, u32 nr, volatile u8 *notify, u32 multiplier)
{
	set16(QUEUE_SELECT, nr);
	if (*(volatile u16 *)(common + QUEUE_SIZE) < FRAMES)
		die("the network card's queues are too short");
	set16(QUEUE_SIZE, FRAMES);
	set_address(QUEUE_DESC, q->desc);
	set_address(QUEUE_DRIVER, &q->avail);
	set_address(QUEUE_DEVICE, &q->used);
	q->doorbell = (volatile u16 *)(notify + multiplier *
				       *(volatile u16 *)(common + QUEUE_NOTIFY_OFF));
	q->avail.flags = AVAIL_NO_INTERRUPT;
	for (u32 i = 0; i < FRAMES; i++) {
		q->desc[i].addr = (u32)q->buffer[i];
		q->desc[i].len = HEADER_BYTES + FRAME_BYTES;
		q->desc[i].flags = nr == RECEIVE ? DESC_WRITE : 0;
	}
	set16(QUEUE_ENABLE, 1);
}

static void offer(volatile struct queue *q, u32 id)
{
	q->avail.ring[q->avail.index % FRAMES] = id;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	q->avail.index++;
}

static void ring(volatile struct queue *q, u32 nr)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*q->doorbell = nr;
}

static u32 word(u32 nr, u32 i)
{
	return (nr + 1) * 0x9e3779b1u ^ i * 0x85ebca6bu;
}

/* To everybody, from a card that nobody has. */
static void send(u32 id, u32 nr)
{
	volatile u32 *words = (volatile u32 *)(queues[SEND].buffer[id] + HEADER_BYTES);

	words[0] = 0xffffffff;
	words[1] = 0x0002ffff;
	words[2] = 0x01000000;
	words[3] = 0x0000b588;		/* a local experiment, and two bytes of nothing */
	words[4] = nr;
	for (u32 i = 5; i < FRAME_BYTES / 4; i++)
		words[i] = word(nr, i);
	offer(&queues[SEND], id);
}

/* A card may lose a frame, and where it is moved send one again; never change one. */
static void receive(u32 id, u32 len)
{
	volatile u32 *words = (volatile u32 *)(queues[RECEIVE].buffer[id] + HEADER_BYTES);
	u32 nr = words[4];
	bool good = len == HEADER_BYTES + FRAME_BYTES && nr < sent;

	for (u32 i = 5; good && i < FRAME_BYTES / 4; i++)
		good = words[i] == word(nr, i);
	if (!good) {
		bad++;
	} else if (nr < next) {
		again++;
	} else {
		lost += nr - next;
		next = nr + 1;
		back++;
	}
	words[4] = ~0u;
}

/* The next buffer that the device has done with; false: none. */
static bool done(volatile struct queue *q, u32 *id, u32 *len)
{
	if (q->seen == q->used.index)
		return false;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*id = q->used.ring[q->seen % FRAMES].id;
	*len = q->used.ring[q->seen % FRAMES].len;
	q->seen++;
	if (*id >= FRAMES)
		die("the network card used a buffer that there is not");
	return true;
}

void net_begin(u32 count)
{
	u32 function = pci_begin(VIRTIO_VENDOR, VIRTIO_NET), cap, multiplier;
	volatile u8 *notify = structure(function, CAP_NOTIFY, &cap);

	/* there is a buffer for each that comes back, and as many again */
	if (!count || count > FRAMES / 2)
		die("net= is out of range");
	multiplier = pci_read(function, cap + 16);
	common = structure(function, CAP_COMMON, &cap);
	negotiate();
	for (u32 nr = 0; nr < 2; nr++)
		set_up(&queues[nr], nr, notify, multiplier);
	*(common + STATUS) |= STATUS_DRIVER_OK;
	for (u32 i = 0; i < FRAMES; i++)
		offer(&queues[RECEIVE], i);
	ring(&queues[RECEIVE], RECEIVE);
	for (u32 i = 0; i < count; i++)
		send(i, sent++);
	ring(&queues[SEND], SEND);
}

void net_tick(void)
{
	bool received = false, sends = false;
	u32 id, len;

	while (done(&queues[RECEIVE], &id, &len)) {
		receive(id, len);
		offer(&queues[RECEIVE], id);
		received = true;
	}
	if (received)
		ring(&queues[RECEIVE], RECEIVE);
	while (done(&queues[SEND], &id, &len)) {
		send(id, sent++);
		sends = true;
	}
	if (sends)
		ring(&queues[SEND], SEND);
}

void net_report(const char *what)
{
	struct line l = { 0 };

	add(&l, what);
	add_u64(&l, " sent=", sent);
	add_u64(&l, " back=", back);
	add_u64(&l, " lost=", lost);
	add_u64(&l, " again=", again);
	add_u64(&l, " bad=", bad);
	say(&l);
}
