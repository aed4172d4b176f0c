// SPDX-License-Identifier: GPL-2.0
/*
 * vdpa_card DEVICE SUITE - a process that has a network card whose memory accesses the
 * platform translates
 *
 * DEVICE is a /dev/vhost-vdpa-N; at the other end of the card's wire is `frames -r`.
 * Prints TAP lines, and "end" when it came to its end. Suites:
 *
 *	asks	what can be asked, and what is refused
 *	frames	sent and received, rung by eventfd
 *	doorbell	the same, rung by a store to the card's own page
 *	no-doorbell	the card has no page for each queue: none is mapped
 *	packed	where packed rings begin
 *	memory	what the card reaches: only what is mapped, as it is mapped
 *	ranges	what can be mapped, what is reserved, and what it is charged for
 *	faults	each allocation of a message fails in turn: nothing stays charged
 *	removed	stays while the device is deleted: waits for a line on stdin
 *	stays	maps everything and waits to be killed
 */
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>

#include "fail_nth.h"
#include "vdpa_driver.h"

#define PAGES		96UL
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define RX		0
#define TX		1
#define BUFFERS		8UL		/* the first page of them */
#define RX_BUFFERS	32
#define TX_PAGE		(BUFFERS + RX_BUFFERS)
#define HEADER		sizeof(struct virtio_net_hdr_v1)
#define FRAME		1000
#define SHORTLY_MS	1000

static volatile uint16_t *doorbell[2];
static uint8_t mac[6];
static uint16_t received;

static void card_open(const char *path)
{
	user_open(path);
	must(ioctl(user.fd, VHOST_SET_OWNER));
}

static void config_read(uint32_t offset, void *buf, uint32_t len)
{
	struct vhost_vdpa_config *at = calloc(1, sizeof(*at) + len);

	at->off = offset;
	at->len = len;
	must(ioctl(user.fd, VHOST_VDPA_GET_CONFIG, at));
	memcpy(buf, at->buf, len);
	free(at);
}

/* All rings are set up, buffers offered. What is mapped is the caller's. */
static void card_start(void)
{
	negotiate(MODERN | 1ULL << VIRTIO_NET_F_MAC);
	config_read(0, mac, sizeof(mac));
	received = 0;
	for (unsigned int i = 0; i < 2; i++) {
		ring_set_up(i, 3 * i);
		ring_enable(i);
	}
	for (unsigned int i = 0; i < RX_BUFFERS; i++) {
		put(RX, i, iova(page(BUFFERS + i)), PAGE, VRING_DESC_F_WRITE);
		offer(RX, i);
	}
	driver_ok();
}

static void ring(unsigned int index)
{
	if (doorbell[index])
		*doorbell[index] = index;
	else
		kick(index);
}

/* A frame to ourselves, which the other end sends back. */
static void send_frame(unsigned int n)
{
	uint8_t *frame = page(TX_PAGE);

	memset(frame, 0, HEADER);
	memcpy(frame + HEADER, mac, 6);
	memcpy(frame + HEADER + 6, mac, 6);
	frame[HEADER + 12] = 0x88;
	frame[HEADER + 13] = 0xb5;
	for (unsigned int i = 14; i < FRAME; i++)
		frame[HEADER + i] = n * 7 + i * 3 + i / 256;
	put(TX, 0, iova(frame), HEADER + FRAME, 0);
	offer(TX, 0);
	ring(TX);
}

/* Others may speak on the wire, too: their frames are passed over. */
static bool frame_is_back(int ms)
{
	while (used_within(RX, received + 1, ms)) {
		struct vring_used_elem *elem =
			&user.queue[RX].vring.used->ring[received % ENTRIES];
		uint8_t *frame = page(BUFFERS + elem->id % RX_BUFFERS);
		bool ours = elem->len == HEADER + FRAME &&
			    !memcmp(frame + HEADER, page(TX_PAGE) + HEADER, FRAME);

		memset(frame, 0, PAGE);
		received++;
		offer(RX, elem->id);
		ring(RX);
		if (ours)
			return true;
	}
	return false;
}

static unsigned int frames(unsigned int n)
{
	unsigned int i;

	ring(RX);
	for (i = 0; i < n; i++) {
		send_frame(i);
		if (!used_within(TX, i + 1, PATIENCE_MS) || !frame_is_back(PATIENCE_MS))
			break;
	}
	return i;
}

/*
 * Suites
 */

/* A queue that was made ready is the card's, though nobody wants it any more. */
static void taken_back(void)
{
	struct vhost_vring_state state = { TX, 0 };
	struct vhost_vring_addr addr;

	negotiate(MODERN);
	ring_set_up(TX, 3);
	ring_enable(TX);
	ioctl_is("a queue is taken back", VHOST_VDPA_SET_VRING_ENABLE, &state, 0);
	ring_address(TX, &addr);
	ioctl_is("and is the card's where it is", VHOST_SET_VRING_ADDR, &addr, -EBUSY);
	ioctl_is("is not told where to begin", VHOST_SET_VRING_BASE, &state, -EBUSY);
	ioctl_is("and does not say how far it came", VHOST_GET_VRING_BASE, &state, -EOPNOTSUPP);
	set_status(0);
	ioctl_is("until a reset", VHOST_SET_VRING_ADDR, &addr, 0);
	ioctl_is("and where it begins", VHOST_GET_VRING_BASE, &state, 0);
	set_status(0);
}

static void suite_asks(const char *path)
{
	uint64_t features = 0, bare = 1ULL << VIRTIO_F_VERSION_1, more = MODERN | 1ULL << 38;
	struct vhost_vring_state base = { RX, 3 }, size = { RX, 0 }, group = { TX, 9 };
	struct vhost_vring_state strange = { 999, 0 };
	struct virtio_net_config config;
	uint32_t number = 0;
	uint16_t num = 0;

	card_open(path);
	must(ioctl(user.fd, VHOST_GET_FEATURES, &features));
	ok((features & MODERN) == MODERN, "it is a modern card behind an IOMMU");
	ok(!(features & 1ULL << 38), "what we do not speak is not offered: NOTIFICATION_DATA");
	ok(!(features & 1ULL << 40), "nor RING_RESET");
	must(ioctl(user.fd, VHOST_VDPA_GET_DEVICE_ID, &number));
	equal("a network card", number, 1);
	must(ioctl(user.fd, VHOST_VDPA_GET_CONFIG_SIZE, &number));
	ok(number >= 12 && number <= sizeof(config), "its configuration is a card's");
	must(ioctl(user.fd, VHOST_VDPA_GET_VRING_NUM, &num));
	equal("the largest queue", num, 256);
	must(ioctl(user.fd, _IOWR(VHOST_VIRTIO, 0x82, struct vhost_vring_state), &size));
	equal("this queue", size.num, 256);
	must(ioctl(user.fd, VHOST_VDPA_GET_VRING_GROUP, &group));
	equal("all queues are one group", group.num, 0);
	ioctl_is("no such queue", VHOST_GET_VRING_BASE, &strange, -ENOBUFS);

	ioctl_is("features without ACCESS_PLATFORM", VHOST_SET_FEATURES, &bare, -EINVAL);
	ioctl_is("features not offered", VHOST_SET_FEATURES, &more, -EINVAL);
	set_status(STARTED & ~VIRTIO_CONFIG_S_FAILED);
	ok(!(status() & VIRTIO_CONFIG_S_DRIVER_OK), "it does not start by features never settled");
	set_status(0);
	negotiate(MODERN);
	ok(status() & VIRTIO_CONFIG_S_FEATURES_OK, "features are settled");
	ioctl_is("a queue that begins elsewhere", VHOST_SET_VRING_BASE, &base, -EOPNOTSUPP);
	base.num = 0;
	ioctl_is("or at its begin", VHOST_SET_VRING_BASE, &base, 0);
	ioctl_is("where it is, before it is ready", VHOST_GET_VRING_BASE, &base, 0);
	equal("is at its begin", base.num, 0);
	set_status(0);
	taken_back();

	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	card_start();
	ok(status() & VIRTIO_CONFIG_S_DRIVER_OK, "it runs");
	ioctl_is("where it is, while it runs, it does not say", VHOST_GET_VRING_BASE, &base,
		 -EOPNOTSUPP);
	set_status(0);
	ioctl_is("nor after a reset, where it was", VHOST_GET_VRING_BASE, &base, -EOPNOTSUPP);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	ioctl_is("nor to the next driver", VHOST_GET_VRING_BASE, &base, -EOPNOTSUPP);
	base = (struct vhost_vring_state) { TX };
	ioctl_is("told where to begin", VHOST_SET_VRING_BASE, &base, 0);
	base.num = 9;
	ioctl_is("it says so", VHOST_GET_VRING_BASE, &base, 0);
	equal("which is its begin", base.num, 0);
	base = (struct vhost_vring_state) { RX };
	ioctl_is("the other queue was not told", VHOST_GET_VRING_BASE, &base, -EOPNOTSUPP);
	user_close();
	card_open(path);
	ioctl_is("another process asks a card that did not run", VHOST_GET_VRING_BASE, &base, 0);
	user_close();
}

/* After @sent frames a queue is switched off and on, as who uses fewer and more queues does. */
static void switched(unsigned int sent)
{
	struct vhost_vring_state off = { TX, 0 };

	ioctl_is("a queue is switched off", VHOST_VDPA_SET_VRING_ENABLE, &off, 0);
	send_frame(0);
	equal("it is not rung then", used_within(TX, sent + 1, SHORTLY_MS), false);
	ring_enable(TX);
	equal("it is when it is on again", used_within(TX, sent + 1, PATIENCE_MS), true);
	equal("the frame comes back", frame_is_back(PATIENCE_MS), true);
}

static void suite_frames(const char *path)
{
	card_open(path);
	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	card_start();
	equal("frames come back", frames(200), 200);
	switched(200);
	set_status(0);
	card_start();
	equal("after a reset, with the same memory, too", frames(50), 50);
	user_close();
}

static volatile uint16_t *doorbell_map(unsigned int index)
{
	void *at = mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, user.fd, index * PAGE);

	return at == MAP_FAILED ? NULL : at;
}

static void suite_doorbell(const char *path)
{
	uint64_t rung = 0;

	card_open(path);
	ok(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, user.fd, 0) == MAP_FAILED,
	   "a doorbell is not read");
	ok(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, user.fd, 99 * PAGE) == MAP_FAILED,
	   "nor one of no queue");
	ok(mmap(NULL, 2 * PAGE, PROT_WRITE, MAP_SHARED, user.fd, 0) == MAP_FAILED,
	   "nor two at a time");
	for (unsigned int i = 0; i < 2; i++)
		doorbell[i] = doorbell_map(i);
	ok(doorbell[RX] && doorbell[TX], "doorbells are mapped");
	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	card_start();
	equal("frames come back, rung by stores alone", frames(100), 100);
	ok(read(user.queue[TX].kick, &rung, sizeof(rung)) < 0, "nobody wrote to the eventfd");
	user_close();
	equal("it is not rung after its file was closed, but by who has it",
	      munmap((void *)doorbell[TX], PAGE), 0);
}

static void suite_no_doorbell(const char *path)
{
	card_open(path);
	ok(!doorbell_map(RX), "no doorbell");
	equal("because it is not alone in its page", errno, EOPNOTSUPP);
	ok(!doorbell_map(TX), "nor another");
	equal("because it is in the midst of one", errno, EINVAL);
	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	card_start();
	equal("frames come back all the same", frames(50), 50);
	user_close();
}

/* An index and a wrap counter for each end; DPDK leaves out the device's. */
static void suite_packed(const char *path)
{
	struct vhost_vring_state base = { RX };

	card_open(path);
	negotiate(MODERN | 1ULL << VIRTIO_F_RING_PACKED);
	base.num = 0x80008000;
	ioctl_is("at the begin of both ends", VHOST_SET_VRING_BASE, &base, 0);
	base.num = 0x8000;
	ioctl_is("of one", VHOST_SET_VRING_BASE, &base, 0);
	base.num = 0x80008001;
	ioctl_is("elsewhere", VHOST_SET_VRING_BASE, &base, -EOPNOTSUPP);
	base.num = 0x80018000;
	ioctl_is("elsewhere at one end", VHOST_SET_VRING_BASE, &base, -EOPNOTSUPP);
	base.num = 0;
	ioctl_is("in its second round", VHOST_SET_VRING_BASE, &base, -EOPNOTSUPP);
	set_status(0);
	user_close();
}

/*
 * What is not mapped reads as something else, and what is written there goes nowhere: so
 * do real cards, and QEMU's. The frame on the wire is not ours.
 */
static bool sends_something_else(void)
{
	send_frame(0);
	return used_within(TX, user.queue[TX].avail, PATIENCE_MS) && !frame_is_back(SHORTLY_MS);
}

static bool is_filled(const uint8_t *p, uint8_t with)
{
	for (unsigned long i = 0; i < PAGE; i++)
		if (p[i] != with)
			return false;
	return true;
}

static void suite_memory(const char *path)
{
	card_open(path);
	/* rings and buffers received into, each page by itself; not what is sent */
	equal("memory without the page that is sent", map_pages(0, TX_PAGE, VHOST_ACCESS_RW), 0);
	card_start();
	ring(RX);
	ok(sends_something_else(), "a page that is not mapped is not read");
	set_status(0);
	equal("the page, readable", map_pages(TX_PAGE, 1, VHOST_ACCESS_RO), 0);
	card_start();
	equal("what is readable is read", frames(20), 20);
	equal("it is unmapped", unmap_pages(TX_PAGE, 1), 0);
	ok(sends_something_else(), "and is not read any more");
	set_status(0);
	equal("all but it is unmapped", unmap_pages(0, PAGES), 0);
	equal("rings", map_pages(0, BUFFERS, VHOST_ACCESS_RW), 0);
	equal("and it, apart from them", map_pages(TX_PAGE, 1, VHOST_ACCESS_RO), 0);
	equal("they are unmapped at once", unmap_pages(0, PAGES), 0);
	equal("all without it", map_pages(0, TX_PAGE, VHOST_ACCESS_RW), 0);
	card_start();
	ring(RX);
	ok(sends_something_else(), "what was apart is not read, either");
	set_status(0);

	equal("all is unmapped", unmap_pages(0, PAGES), 0);
	equal("rings", map_pages(0, BUFFERS, VHOST_ACCESS_RW), 0);
	equal("buffers, only readable", map_pages(BUFFERS, RX_BUFFERS, VHOST_ACCESS_RO), 0);
	equal("what is sent", map_pages(TX_PAGE, 1, VHOST_ACCESS_RW), 0);
	for (unsigned int i = 0; i < RX_BUFFERS; i++)
		memset(page(BUFFERS + i), 0x5a, PAGE);
	card_start();
	ring(RX);
	send_frame(0);
	ok(used_within(TX, 1, PATIENCE_MS) && used_within(RX, 1, PATIENCE_MS),
	   "a frame comes back");
	ok(is_filled(page(BUFFERS), 0x5a), "what is only readable is not written");
	user_close();

	card_open(path);
	card_start();
	ring(RX);
	send_frame(0);
	usleep(SHORTLY_MS * 1000);
	ok(used(TX) == 0 && used(RX) == 0, "who maps nothing reaches nothing");
	user_close();
	suite_frames(path);
}

static long pinned_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = -1;

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

static void suite_ranges(const char *path)
{
	struct rlimit limit = { 16 * PAGE, 16 * PAGE }, before;
	struct vhost_vdpa_iova_range range;
	uint64_t top;

	card_open(path);
	must(ioctl(user.fd, VHOST_VDPA_GET_IOVA_RANGE, &range));
	printf("# addresses 0x%llx to 0x%llx\n", (unsigned long long)range.first,
	       (unsigned long long)range.last);
	ok(range.first == 0 && range.last > 1ULL << 38 && range.last < UINT64_MAX,
	   "addresses are those of the platform");
	top = range.last + 1 - PAGE;
	equal("the last page of them", message(VHOST_IOTLB_UPDATE, top, PAGE, page(0), 3), 0);
	equal("the one behind", message(VHOST_IOTLB_UPDATE, top + PAGE, PAGE, page(1), 3), -EINVAL);
	equal("one across the end", message(VHOST_IOTLB_UPDATE, top, 2 * PAGE, page(1), 3), -EINVAL);
	equal("address 0", message(VHOST_IOTLB_UPDATE, 0, PAGE, page(1), 3), 0);

	equal("what interrupts are written to", message(VHOST_IOTLB_UPDATE, 0xfee00000, PAGE,
							page(2), 3), -EINVAL);
	equal("the last page of that", message(VHOST_IOTLB_UPDATE, 0xfeeff000, PAGE, page(2), 3),
	      -EINVAL);
	equal("one that only touches it", message(VHOST_IOTLB_UPDATE, 0xfedff000, 2 * PAGE,
						  page(2), 3), -EINVAL);
	equal("the page before", message(VHOST_IOTLB_UPDATE, 0xfedff000, PAGE, page(2), 3), 0);
	equal("the page behind", message(VHOST_IOTLB_UPDATE, 0xfef00000, PAGE, page(3), 3), 0);
	equal("pages pinned until now", pinned_kb(), 16);

	equal("what is mapped already", message(VHOST_IOTLB_UPDATE, 0xfedfe000, 2 * PAGE,
						page(4), 3), -EEXIST);
	equal("no such memory", message(VHOST_IOTLB_UPDATE, 0x10000, PAGE, (void *)PAGE, 3), -EFAULT);
	equal("nothing of it stays pinned", pinned_kb(), 16);
	must(getrlimit(RLIMIT_MEMLOCK, &before));
	must(setrlimit(RLIMIT_MEMLOCK, &limit));
	equal("as much as may be locked", map_pages(0, 12, 3), 0);
	equal("a page more", map_pages(12, 1, 3), -ENOMEM);
	equal("it is charged what it has", pinned_kb(), 64);
	equal("more than is mapped is unmapped", unmap_pages(0, PAGES), 0);
	equal("is uncharged", pinned_kb(), 16);
	equal("and can be mapped again", map_pages(4, 12, 3), 0);
	equal("all that there is", message(VHOST_IOTLB_INVALIDATE, 0, 1ULL << 63, NULL, 0), 0);
	equal("nothing stays pinned", pinned_kb(), 0);
	equal("more than a process may have", map_pages(0, 17, 3), -ENOMEM);
	user_close();
}

/* A message in which the nth allocation or copy fails, with n as long as there is one. */
static unsigned int each_fails(uint8_t type, long pinned, unsigned int *left)
{
	bool hit = true;
	unsigned int n;
	int err;

	for (n = 1; hit; n++) {
		fail_nth(n);
		err = message(type, iova(page(0)), PAGES * PAGE, page(0), VHOST_ACCESS_RW);
		hit = fail_nth_end();
		if (err && (!hit || (err != -ENOMEM && err != -EFAULT) || pinned_kb() != pinned))
			++*left;
		/* as it was before */
		if (type == VHOST_IOTLB_UPDATE && !err)
			*left += !!unmap_pages(0, PAGES);
		else if (type == VHOST_IOTLB_INVALIDATE && !err)
			*left += pinned_kb() || map_pages(0, PAGES, VHOST_ACCESS_RW);
	}
	return n - 2;
}

static void suite_faults(const char *path)
{
	unsigned int n, left = 0;

	card_open(path);
	n = each_fails(VHOST_IOTLB_UPDATE, 0, &left);
	printf("# mapped: %u allocations\n", n);
	ok(n >= 4, "mapped: every allocation failed once");
	equal("nothing of it stayed", left, 0);
	equal("mapped", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	n = each_fails(VHOST_IOTLB_INVALIDATE, PAGES * PAGE / 1024, &left);
	printf("# unmapped: %u allocations\n", n);
	ok(n >= 1, "unmapped: every allocation failed once");
	equal("all is there, or gone", left, 0);
	card_start();
	equal("frames come back", frames(50), 50);
	user_close();
}

static sigjmp_buf fault;

static void faulted(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

static void suite_removed(const char *path)
{
	uint64_t features;
	char c;

	card_open(path);
	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	for (unsigned int i = 0; i < 2; i++)
		doorbell[i] = doorbell_map(i);
	card_start();
	equal("frames come back", frames(10), 10);
	equal("pinned", pinned_kb(), PAGES * PAGE / 1024);
	printf("ready\n");
	fflush(stdout);
	if (read(STDIN_FILENO, &c, 1) != 1)
		errx(EXIT_FAILURE, "nobody says that it is gone");
	equal("nothing is pinned any more", pinned_kb(), 0);
	ioctl_is("the device is gone", VHOST_GET_FEATURES, &features, -ENODEV);
	equal("for messages, too", map_pages(0, 1, 3), -ENODEV);
	signal(SIGBUS, faulted);
	if (!sigsetjmp(fault, 1)) {
		*doorbell[TX] = TX;
		ok(false, "the doorbell is gone");
	} else {
		ok(true, "the doorbell is gone");
	}
	user_close();
}

static void suite_stays(const char *path)
{
	card_open(path);
	equal("memory", map_pages(0, PAGES, VHOST_ACCESS_RW), 0);
	card_start();
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static const struct {
	const char *name;
	void (*run)(const char *path);
} suites[] = {
	{ "asks", suite_asks }, { "frames", suite_frames }, { "doorbell", suite_doorbell },
	{ "no-doorbell", suite_no_doorbell }, { "packed", suite_packed },
	{ "memory", suite_memory },
	{ "ranges", suite_ranges }, { "faults", suite_faults },
	{ "removed", suite_removed }, { "stays", suite_stays },
};

int main(int argc, char **argv)
{
	if (argc != 3)
		errx(2, "usage: vdpa_card DEVICE SUITE");
	user_memory(PAGES, IOVA);
	for (unsigned int i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (strcmp(argv[2], suites[i].name))
			continue;
		suites[i].run(argv[1]);
		printf("end\n");
		return 0;
	}
	errx(2, "%s: no such suite", argv[2]);
}
