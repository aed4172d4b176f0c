// SPDX-License-Identifier: GPL-2.0
/*
 * vdpa_user [-p] DEVICE WHAT... - a process that uses a simulated vDPA device
 *
 * DEVICE is a /dev/vhost-vdpa-N. Each WHAT opens it afresh; the first that is not as it
 * should be ends this with a message and status 1. -p: the device translates to physical
 * addresses (use_va=0), so that rings may be tried at those.
 *
 * For a disk:
 *   blocks	requests of all kinds, compared; in an address space that was mapped for it
 *   nothing	nothing is mapped and the queue kicked: the device needs a reset, and
 *		nothing was written
 *   unmapped	what was mapped, is not any more: data, then the ring
 *   meanwhile	unmapped while the device waits for a page of it: nothing is written there any
 *		more, by user addresses
 *   hostile	requests that would leave the disk
 *   reset	what was kicked just before a reset is not done after it; maps are kept
 *   suspend	what is kicked meanwhile is done when it is resumed, and not before
 *   queue	sizes and indices that no queue has
 *   faults	each allocation of an unmap fails in turn: the device does not reach what was
 *		to go, whatever is said about it
 * For a network card:
 *   spaces	the control queue in an address space of its own: what is mapped in the
 *		other is not reached
 *   control	MAC, pairs of queues, and announcing; refused where it is not offered
 *   config	reads and writes of the configuration, in it and beside it
 *   unused	a queue that is not negotiated is kicked, and that is all
 *   loop	frames, and what is for others
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <linux/vhost.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fail_nth.h"

/* younger than the headers of some machines */
#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME	_IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_BACKEND_F_IOTLB_PERSIST
#define VHOST_BACKEND_F_IOTLB_PERSIST	0x8
#endif

#define PAGE		4096UL
#define PAGES		64
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define ENTRIES		64
#define QUEUES		9
#define RING_PAGES	3
#define DATA		(QUEUES * RING_PAGES)	/* the first page of data */
#define SECTOR		512
#define CAPACITY	0x40000
#define SHORTLY_MS	300
#define PATIENCE_MS	20000

#define MODERN	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)
#define CARD	(1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_CTRL_VQ | \
		 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR | 1ULL << VIRTIO_NET_F_STATUS)

struct queue {
	struct vring vring;
	int kick, call;
	uint16_t avail;
};

static struct {
	const char *path;
	bool physical;
	int fd;
	uint8_t *memory;
	struct queue queue[QUEUES];
} user;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})
#define check(what) do {					\
	if (!(what))						\
		errx(EXIT_FAILURE, "line %d: not so: %s", __LINE__, #what); \
} while (0)

static uint8_t *page(unsigned int n) { return user.memory + n * PAGE; }
static uint64_t iova(const void *p) { return IOVA + ((const uint8_t *)p - user.memory); }

static uint64_t physical(const void *p)
{
	static int pagemap = -1;
	uint64_t entry;

	if (pagemap < 0)
		pagemap = must(open("/proc/self/pagemap", O_RDONLY));
	must(pread(pagemap, &entry, 8, (uintptr_t)p / PAGE * 8));
	check(entry >> 63);
	return (entry & ((1ULL << 55) - 1)) * PAGE + (uintptr_t)p % PAGE;
}

static int message(unsigned int asid, uint8_t type, unsigned int first, unsigned int pages)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = asid,
		.iotlb = {
			.iova = IOVA + first * PAGE,
			.size = pages * PAGE,
			.uaddr = (uintptr_t)page(first),
			.perm = VHOST_ACCESS_RW,
			.type = type,
		},
	};

	return write(user.fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -1;
}

static void map(unsigned int asid, unsigned int first, unsigned int pages)
{
	must(message(asid, VHOST_IOTLB_UPDATE, first, pages));
}

static void unmap(unsigned int asid, unsigned int first, unsigned int pages)
{
	must(message(asid, VHOST_IOTLB_INVALIDATE, first, pages));
}

static uint8_t status(void)
{
	uint8_t s;

	must(ioctl(user.fd, VHOST_VDPA_GET_STATUS, &s));
	return s;
}

static void set_status(uint8_t s) { must(ioctl(user.fd, VHOST_VDPA_SET_STATUS, &s)); }

static void open_device(void)
{
	uint64_t backend;

	user.fd = must(open(user.path, O_RDWR));
	must(ioctl(user.fd, VHOST_GET_BACKEND_FEATURES, &backend));
	backend &= ~(1ULL << VHOST_BACKEND_F_IOTLB_PERSIST);
	must(ioctl(user.fd, VHOST_SET_BACKEND_FEATURES, &backend));
	memset(user.memory, 0, PAGES * PAGE);
}

static void close_device(void)
{
	for (int i = 0; i < QUEUES; i++) {
		if (user.queue[i].kick)
			close(user.queue[i].kick);
		if (user.queue[i].call)
			close(user.queue[i].call);
	}
	memset(user.queue, 0, sizeof(user.queue));
	close(user.fd);
}

static void negotiate(uint64_t features)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	must(ioctl(user.fd, VHOST_SET_FEATURES, &features));
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK);
}

static void driver_ok(void)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void set_up(unsigned int index, bool at_physical)
{
	struct queue *q = &user.queue[index];
	uint8_t *at = page(index * RING_PAGES);
	struct vhost_vring_state num = { index, ENTRIES }, base = { index, 0 };
	struct vhost_vring_addr addr = { .index = index };

	q->vring = (struct vring) {
		.num = ENTRIES,
		.desc = (void *)at,
		.avail = (void *)(at + PAGE),
		.used = (void *)(at + 2 * PAGE),
	};
	addr.desc_user_addr = at_physical ? physical(q->vring.desc) : iova(q->vring.desc);
	addr.avail_user_addr = at_physical ? physical(q->vring.avail) : iova(q->vring.avail);
	addr.used_user_addr = at_physical ? physical(q->vring.used) : iova(q->vring.used);
	must(ioctl(user.fd, VHOST_SET_VRING_NUM, &num));
	must(ioctl(user.fd, VHOST_SET_VRING_BASE, &base));
	must(ioctl(user.fd, VHOST_SET_VRING_ADDR, &addr));
	q->avail = 0;
}

static void set_fds(unsigned int index)
{
	struct queue *q = &user.queue[index];
	struct vhost_vring_file file = { .index = index };

	if (!q->kick) {
		q->kick = must(eventfd(0, EFD_NONBLOCK));
		q->call = must(eventfd(0, EFD_NONBLOCK));
	}
	file.fd = q->call;
	must(ioctl(user.fd, VHOST_SET_VRING_CALL, &file));
	file.fd = q->kick;
	must(ioctl(user.fd, VHOST_SET_VRING_KICK, &file));
}

static void enable(unsigned int index)
{
	struct vhost_vring_state on = { index, 1 };

	must(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on));
}

static void kick(unsigned int index)
{
	uint64_t one = 1;

	must(write(user.queue[index].kick, &one, sizeof(one)));
}

static void put(unsigned int index, uint16_t at, const void *p, uint32_t len, uint16_t flags)
{
	user.queue[index].vring.desc[at] = (struct vring_desc) {
		.addr = iova(p), .len = len, .flags = flags, .next = at + 1,
	};
}

static void offer(unsigned int index, uint16_t head)
{
	struct queue *q = &user.queue[index];

	q->vring.avail->ring[q->avail % ENTRIES] = head;
	__atomic_store_n(&q->vring.avail->idx, ++q->avail, __ATOMIC_RELEASE);
}

static uint16_t used(unsigned int index)
{
	return __atomic_load_n(&user.queue[index].vring.used->idx, __ATOMIC_ACQUIRE);
}

static bool done_within(unsigned int index, int ms)
{
	struct queue *q = &user.queue[index];
	struct pollfd fd = { .fd = q->call, .events = POLLIN };
	uint64_t count;

	while (used(index) != q->avail) {
		if (must(poll(&fd, 1, ms)) == 0)
			return used(index) == q->avail;
		must(read(q->call, &count, sizeof(count)));
	}
	return true;
}

static bool breaks(void)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (status() & VIRTIO_CONFIG_S_NEEDS_RESET)
			return true;
		usleep(10000);
	}
	return false;
}

/*
 * A disk
 */
static void start_disk(void)
{
	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	/* what is unmapped later goes by whole maps */
	map(0, 0, DATA + 1);
	map(0, DATA + 1, PAGES - DATA - 1);
	negotiate(MODERN | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES | 1ULL << VIRTIO_BLK_F_DISCARD);
	set_up(0, false);
	set_fds(0);
	enable(0);
	driver_ok();
}

/* Lays a request out; the data is page DATA + 1 and so on, the status in DATA. */
static volatile uint8_t *ask(uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_blk_outhdr *hdr = (void *)page(DATA);
	uint8_t *answer = page(DATA) + 100;
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;

	*hdr = (struct virtio_blk_outhdr) { .type = type, .sector = sector };
	*answer = 0xaa;
	put(0, 0, hdr, sizeof(*hdr), VRING_DESC_F_NEXT);
	if (len)
		put(0, 1, page(DATA + 1), len, VRING_DESC_F_NEXT | (in ? VRING_DESC_F_WRITE : 0));
	put(0, len ? 2 : 1, answer, 1, VRING_DESC_F_WRITE);
	offer(0, 0);
	return answer;
}

static uint8_t request(uint32_t type, uint64_t sector, uint32_t len)
{
	volatile uint8_t *answer = ask(type, sector, len);

	kick(0);
	check(done_within(0, PATIENCE_MS));
	return *answer;
}

static void fill(uint8_t seed)
{
	for (unsigned int i = 0; i < 8 * PAGE; i++)
		page(DATA + 1)[i] = seed + i * 7 + i / 251;
}

static void check_fill(uint8_t seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		check(page(DATA + 1)[i] == (uint8_t)(seed + i * 7 + i / 251));
}

static void blocks(void)
{
	struct virtio_blk_discard_write_zeroes zeroes = { .sector = 102, .num_sectors = 4 };

	start_disk();
	for (uint8_t n = 0; n < 20; n++) {
		fill(n);
		check(request(VIRTIO_BLK_T_OUT, 100 + n * 64, 8 * PAGE) == VIRTIO_BLK_S_OK);
	}
	for (uint8_t n = 0; n < 20; n++) {
		memset(page(DATA + 1), 0, 8 * PAGE);
		check(request(VIRTIO_BLK_T_IN, 100 + n * 64, 8 * PAGE) == VIRTIO_BLK_S_OK);
		check_fill(n, 8 * PAGE);
		check(user.queue[0].vring.used->ring[(used(0) - 1) % ENTRIES].len == 8 * PAGE + 1);
	}
	check(request(VIRTIO_BLK_T_GET_ID, 0, VIRTIO_BLK_ID_BYTES) == VIRTIO_BLK_S_OK);
	check(!strcmp((char *)page(DATA + 1), "vdpa_blk_sim"));
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_OK);
	check(request(VIRTIO_BLK_T_IN, 100, 8 * PAGE) == VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < 4 * SECTOR; i++)
		check(page(DATA + 1)[2 * SECTOR + i] == 0);
	check(page(DATA + 1)[1] == 7 && page(DATA + 1)[6 * SECTOR] == (uint8_t)
	      (6 * SECTOR * 7 + 6 * SECTOR / 251));
	close_device();
}

/*
 * The rings lie where a device that reached all memory would find them. It must not: the
 * request in them stays undone.
 */
static void nothing(void)
{
	const uint8_t *data = page(DATA + 1);
	struct vring_desc *desc;

	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	negotiate(MODERN);
	set_up(0, user.physical);
	set_fds(0);
	enable(0);
	driver_ok();

	memset(page(DATA + 1), 0x33, PAGE);
	ask(VIRTIO_BLK_T_IN, 0, SECTOR);
	desc = user.queue[0].vring.desc;
	for (int i = 0; i < 3 && user.physical; i++)
		desc[i].addr = physical(user.memory + desc[i].addr - IOVA);
	kick(0);
	check(breaks());
	check(used(0) == 0);
	for (unsigned int i = 0; i < PAGE; i++)
		check(data[i] == 0x33);
	/* and it is good again after a reset, with maps */
	close_device();
	blocks();
}

static void unmapped(void)
{
	start_disk();
	for (int round = 0; round < 20; round++) {
		fill(round);
		check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);
		unmap(0, DATA + 1, PAGES - DATA - 1);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_IOERR);
		map(0, DATA + 1, PAGES - DATA - 1);
		memset(page(DATA + 1), 0, PAGE);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
		check_fill(round, PAGE);
	}
	unmap(0, 0, DATA + 1);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0);
	kick(0);
	check(breaks());
	close_device();
}

static void meanwhile(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)page(DATA + 1), PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	static uint8_t ours[PAGE] __attribute__((aligned(4096)));
	struct uffdio_copy copy = {
		.dst = range.range.start, .src = (uintptr_t)ours, .len = PAGE,
	};
	volatile uint8_t *answer;
	struct pollfd fault = { .events = POLLIN };
	struct uffd_msg msg;

	start_disk();
	fill(1);
	check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);

	fault.fd = must(syscall(SYS_userfaultfd, O_CLOEXEC));
	must(ioctl(fault.fd, UFFDIO_API, &api));
	must(madvise(page(DATA + 1), PAGE, MADV_REMOVE));
	must(ioctl(fault.fd, UFFDIO_REGISTER, &range));
	answer = ask(VIRTIO_BLK_T_IN, 0, PAGE);
	kick(0);
	check(must(poll(&fault, 1, PATIENCE_MS)) == 1);
	must(read(fault.fd, &msg, sizeof(msg)));
	check(msg.event == UFFD_EVENT_PAGEFAULT);

	unmap(0, DATA + 1, PAGES - DATA - 1);
	memset(ours, 0x55, PAGE);
	must(ioctl(fault.fd, UFFDIO_COPY, &copy));
	check(done_within(0, PATIENCE_MS));
	check(*answer == VIRTIO_BLK_S_IOERR);
	check(!memcmp(page(DATA + 1), ours, PAGE));
	close(fault.fd);
	close_device();
}

static void faults(void)
{
	unsigned int n;
	bool hit;

	start_disk();
	fill(1);
	check(request(VIRTIO_BLK_T_OUT, 0, PAGE) == VIRTIO_BLK_S_OK);
	for (n = 1, hit = true; hit; n++) {
		int ret;

		fail_nth(n);
		ret = message(0, VHOST_IOTLB_INVALIDATE, DATA + 1, PAGES - DATA - 1);
		hit = fail_nth_end();
		check(!ret || (hit && errno == ENOMEM));
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_IOERR);
		fail_nth(n);
		ret = message(0, VHOST_IOTLB_UPDATE, DATA + 1, PAGES - DATA - 1);
		hit |= fail_nth_end();
		check(!ret || errno == ENOMEM);
		if (ret)
			map(0, DATA + 1, PAGES - DATA - 1);
		memset(page(DATA + 1), 0, PAGE);
		check(request(VIRTIO_BLK_T_IN, 0, PAGE) == VIRTIO_BLK_S_OK);
		check_fill(1, PAGE);
	}
	check(n > 2);
	close_device();
}

static void hostile(void)
{
	struct virtio_blk_discard_write_zeroes zeroes = { .sector = CAPACITY - 1, .num_sectors = 2 };

	start_disk();
	fill(9);
	check(request(VIRTIO_BLK_T_OUT, CAPACITY - 1, SECTOR) == VIRTIO_BLK_S_OK);
	/* rounded down to whole sectors it would fit */
	check(request(VIRTIO_BLK_T_OUT, CAPACITY - 1, 2 * SECTOR - 1) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, 2 * SECTOR - 1) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, 2 * SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_IN, CAPACITY, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_OUT, UINT64_MAX, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_OUT, 1ULL << 55, SECTOR) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_FLUSH, 1, 0) == VIRTIO_BLK_S_IOERR);
	check(request(77, 0, 0) == VIRTIO_BLK_S_UNSUPP);
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_IOERR);
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes) + 1) == VIRTIO_BLK_S_IOERR);
	zeroes.sector = 0;
	zeroes.flags = 2;
	memcpy(page(DATA + 1), &zeroes, sizeof(zeroes));
	check(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(zeroes)) == VIRTIO_BLK_S_UNSUPP);
	/* a header that is too short; and a request without a place for its status */
	put(0, 0, page(DATA), 8, VRING_DESC_F_NEXT);
	put(0, 1, page(DATA) + 100, 1, VRING_DESC_F_WRITE);
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS) && page(DATA)[100] == VIRTIO_BLK_S_IOERR);
	put(0, 0, page(DATA), 16, 0);
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS));
	check(user.queue[0].vring.used->ring[(used(0) - 1) % ENTRIES].len == 0);
	/* a chain that is none is given back, and the next one is served */
	put(0, 0, page(DATA), 16, VRING_DESC_F_NEXT);
	user.queue[0].vring.desc[0].next = 0;
	offer(0, 0);
	kick(0);
	check(done_within(0, PATIENCE_MS));
	check(request(VIRTIO_BLK_T_IN, CAPACITY - 1, SECTOR) == VIRTIO_BLK_S_OK);
	check_fill(9, SECTOR);
	/* a ring that is none ends it */
	user.queue[0].vring.avail->idx = user.queue[0].avail + ENTRIES + 1;
	kick(0);
	check(breaks());
	close_device();
}

static void reset(void)
{
	uint16_t before;

	for (unsigned int round = 0; round < 100; round++) {
		start_disk();
		for (unsigned int i = 0; i < 20; i++)
			ask(VIRTIO_BLK_T_FLUSH, 0, 0);
		kick(0);
		if (round % 3)
			usleep(round * 10);
		set_status(0);
		before = used(0);
		usleep(round % 2 ? 2000 : 0);
		kick(0);
		usleep(2000);
		check(used(0) == before);
		check(status() == 0);
		close_device();
	}
	/* a reset keeps what was mapped, agreed or not */
	start_disk();
	set_status(0);
	negotiate(MODERN);
	set_up(0, false);
	set_fds(0);
	enable(0);
	driver_ok();
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	close_device();
}

static void suspend(void)
{
	struct vhost_vring_state base = { .index = 0 };
	uint16_t before;

	start_disk();
	check(request(VIRTIO_BLK_T_FLUSH, 0, 0) == VIRTIO_BLK_S_OK);
	must(ioctl(user.fd, VHOST_VDPA_SUSPEND));
	before = used(0);
	ask(VIRTIO_BLK_T_FLUSH, 0, 0);
	kick(0);
	check(!done_within(0, SHORTLY_MS) && used(0) == before);
	must(ioctl(user.fd, VHOST_GET_VRING_BASE, &base));
	check(base.num == before);
	must(ioctl(user.fd, VHOST_VDPA_RESUME));
	check(done_within(0, PATIENCE_MS));
	close_device();
}

static void queue(void)
{
	struct vhost_vring_state state = { 0, 512 };
	struct vhost_vring_state on = { 0, 1 };
	uint16_t max;

	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	map(0, 0, PAGES);
	negotiate(MODERN);
	must(ioctl(user.fd, VHOST_VDPA_GET_VRING_NUM, &max));
	check(max == 256);
	set_up(0, false);
	set_fds(0);
	/* more than it has, however it is refused: it does not start with that */
	if (!ioctl(user.fd, VHOST_SET_VRING_NUM, &state)) {
		enable(0);
		driver_ok();
		ask(VIRTIO_BLK_T_FLUSH, 0, 0);
		kick(0);
		check(!done_within(0, SHORTLY_MS));
	}
	on.index = 1;
	check(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on) && errno == ENOBUFS);
	on.index = UINT32_MAX;
	check(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on));
	close_device();
}

/*
 * A network card
 */
static unsigned int control_queue(void)
{
	uint32_t count;

	must(ioctl(user.fd, VHOST_VDPA_GET_VQS_COUNT, &count));
	return count - 1;
}

static void start_card(uint64_t features, unsigned int control_asid)
{
	struct vhost_vring_state group = { 1, control_asid };
	unsigned int i, control;

	open_device();
	must(ioctl(user.fd, VHOST_SET_OWNER));
	control = features & 1ULL << VIRTIO_NET_F_MQ ? control_queue() : 2;
	check(control < QUEUES);
	negotiate(MODERN | CARD | features);
	must(ioctl(user.fd, VHOST_VDPA_SET_GROUP_ASID, &group));
	for (i = 0; i <= control; i++) {
		set_up(i, false);
		set_fds(i);
		enable(i);
	}
}

/* The command is in page DATA, the answer at its end. */
static uint8_t command(unsigned int control, uint8_t class, uint8_t cmd, const void *data,
		       uint32_t len)
{
	volatile uint8_t *answer = page(DATA) + PAGE - 1;

	page(DATA)[0] = class;
	page(DATA)[1] = cmd;
	memcpy(page(DATA) + 2, data, len);
	*answer = 0xaa;
	put(control, 0, page(DATA), 2, VRING_DESC_F_NEXT);
	if (len)
		put(control, 1, page(DATA) + 2, len, VRING_DESC_F_NEXT);
	put(control, len ? 2 : 1, (void *)answer, 1, VRING_DESC_F_WRITE);
	offer(control, 0);
	kick(control);
	check(done_within(control, PATIENCE_MS));
	return *answer;
}

static void get_config(unsigned int off, void *buf, unsigned int len)
{
	struct vhost_vdpa_config *config = calloc(1, sizeof(*config) + len);

	config->off = off;
	config->len = len;
	must(ioctl(user.fd, VHOST_VDPA_GET_CONFIG, config));
	memcpy(buf, config->buf, len);
	free(config);
}

static uint16_t net_status(void)
{
	struct virtio_net_config config;

	get_config(0, &config, sizeof(config));
	return config.status;
}

static const uint8_t mac[6] = { 0x52, 0x54, 0, 7, 8, 9 };

static bool has_mac(const uint8_t *want)
{
	uint8_t have[6];

	get_config(0, have, sizeof(have));
	return !memcmp(have, want, sizeof(have));
}

static void spaces(void)
{
	start_card(0, 1);
	/* the control queue's rings and page DATA are in space 1, the others' in 0 */
	map(1, 2 * RING_PAGES, PAGES - 2 * RING_PAGES);
	map(0, 0, 2 * RING_PAGES);
	driver_ok();
	check(command(2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6) ==
	      VIRTIO_NET_OK);
	check(has_mac(mac));
	close_device();

	/* the same but for the space */
	start_card(0, 1);
	map(0, 0, PAGES);
	driver_ok();
	put(2, 0, page(DATA), 2, 0);
	offer(2, 0);
	kick(2);
	check(breaks() && used(2) == 0);
	close_device();
}

static void unused(void)
{
	/* of several pairs, but they are not negotiated */
	start_card(0, 0);
	map(0, 0, PAGES);
	set_up(4, false);
	set_fds(4);
	enable(4);
	driver_ok();
	kick(4);
	usleep(SHORTLY_MS * 1000);
	check(command(2, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6) ==
	      VIRTIO_NET_OK);
	close_device();
}

static void control(void)
{
	static const uint8_t group_mac[6] = { 1, 2, 3, 4, 5, 6 };
	uint64_t offered;
	uint16_t pairs;
	unsigned int cvq;
	bool mq;

	open_device();
	must(ioctl(user.fd, VHOST_GET_FEATURES, &offered));
	close_device();
	mq = offered & 1ULL << VIRTIO_NET_F_MQ;

	start_card(offered & (1ULL << VIRTIO_NET_F_MQ | 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE), 0);
	cvq = mq ? control_queue() : 2;
	map(0, 0, PAGES);
	driver_ok();
	check(command(cvq, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6) ==
	      VIRTIO_NET_OK && has_mac(mac));
	check(command(cvq, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, group_mac, 6) ==
	      VIRTIO_NET_ERR && has_mac(mac));
	check(command(cvq, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5) ==
	      VIRTIO_NET_ERR);
	check(command(cvq, VIRTIO_NET_CTRL_MAC, 99, mac, 6) == VIRTIO_NET_ERR);
	check(command(cvq, 99, 0, mac, 6) == VIRTIO_NET_ERR);
	pairs = cvq / 2;
	check(command(cvq, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) ==
	      (mq ? VIRTIO_NET_OK : VIRTIO_NET_ERR));
	pairs++;
	check(command(cvq, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) ==
	      VIRTIO_NET_ERR);
	pairs = 0;
	check(command(cvq, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2) ==
	      VIRTIO_NET_ERR);

	check(net_status() == VIRTIO_NET_S_LINK_UP);
	must(ioctl(user.fd, VHOST_VDPA_SUSPEND));
	must(ioctl(user.fd, VHOST_VDPA_RESUME));
	if (offered & 1ULL << VIRTIO_NET_F_GUEST_ANNOUNCE) {
		check(net_status() == (VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE));
		check(command(cvq, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, "", 0) ==
		      VIRTIO_NET_OK);
	} else {
		check(command(cvq, VIRTIO_NET_CTRL_ANNOUNCE, VIRTIO_NET_CTRL_ANNOUNCE_ACK, "", 0) ==
		      VIRTIO_NET_ERR);
	}
	check(net_status() == VIRTIO_NET_S_LINK_UP);
	set_status(0);
	check(!has_mac(mac));
	close_device();
}

static void config(void)
{
	struct vhost_vdpa_config *at = calloc(1, sizeof(*at) + PAGE);
	struct virtio_net_config before, after;
	uint32_t size;

	start_card(0, 0);
	must(ioctl(user.fd, VHOST_VDPA_GET_CONFIG_SIZE, &size));
	check(size == sizeof(before));
	get_config(0, &before, sizeof(before));
	at->off = size;
	at->len = 1;
	check(ioctl(user.fd, VHOST_VDPA_GET_CONFIG, at));
	at->off = size - 1;
	at->len = 2;
	check(ioctl(user.fd, VHOST_VDPA_GET_CONFIG, at));
	check(ioctl(user.fd, VHOST_VDPA_SET_CONFIG, at));
	at->off = 0;
	at->len = UINT32_MAX;
	check(ioctl(user.fd, VHOST_VDPA_GET_CONFIG, at));
	/* what is not the driver's to write stays */
	at->len = size;
	memset(at->buf, 0xff, size);
	must(ioctl(user.fd, VHOST_VDPA_SET_CONFIG, at));
	get_config(0, &after, sizeof(after));
	check(!memcmp(&before, &after, sizeof(before)));
	close_device();
	free(at);
}

static void loop(void)
{
	const unsigned int header = sizeof(struct virtio_net_hdr_v1);
	unsigned int i, got = 0;

	start_card(0, 0);
	map(0, 0, PAGES);
	driver_ok();
	for (i = 0; i < 16; i++) {
		put(0, i, page(DATA + 16 + i), PAGE, VRING_DESC_F_WRITE);
		offer(0, i);
	}
	for (i = 0; i < 16; i++) {
		uint8_t *frame = page(DATA + i);

		memset(frame, i, header);
		/* the odd ones are for somebody */
		get_config(0, frame + header, 6);
		frame[header + 5] ^= !(i % 2);
		memset(frame + header + 6, 0x40 + i, 200 + i);
		put(1, i, frame, header + 206 + i, 0);
		offer(1, i);
		kick(1);
	}
	check(done_within(1, PATIENCE_MS));
	for (i = 1; i < 16; i += 2, got++) {
		struct vring_used_elem *elem = &user.queue[0].vring.used->ring[got];
		struct virtio_net_hdr_v1 *hdr = (void *)page(DATA + 16 + elem->id);

		check(elem->id == got && elem->len == header + 206 + i);
		check(!hdr->flags && !hdr->gso_type && !hdr->hdr_len && hdr->num_buffers == 1);
		check(!memcmp(page(DATA + 16 + got) + header, page(DATA + i) + header, 206 + i));
	}
	check(used(0) == got);
	close_device();
}

static const struct {
	const char *name;
	void (*run)(void);
} whats[] = {
	{ "blocks", blocks }, { "nothing", nothing },
	{ "unmapped", unmapped }, { "hostile", hostile }, { "reset", reset },
	{ "suspend", suspend }, { "queue", queue }, { "faults", faults }, { "spaces", spaces },
	{ "meanwhile", meanwhile }, { "unused", unused },
	{ "control", control }, { "config", config }, { "loop", loop },
};

int main(int argc, char **argv)
{
	unsigned int i;
	int memory;

	if (argc > 1 && !strcmp(argv[1], "-p")) {
		user.physical = true;
		argv++;
		argc--;
	}
	if (argc < 3)
		errx(2, "usage: vdpa_user [-p] DEVICE WHAT...");
	user.path = argv[1];
	/* use_va maps nothing but shared memory of files */
	memory = must(memfd_create("vdpa_user", 0));
	must(ftruncate(memory, PAGES * PAGE));
	user.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   memory, 0);
	if (user.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	for (argv += 2; *argv; argv++) {
		for (i = 0; i < sizeof(whats) / sizeof(whats[0]); i++)
			if (!strcmp(*argv, whats[i].name))
				break;
		if (i == sizeof(whats) / sizeof(whats[0]))
			errx(2, "%s: what is that?", *argv);
		whats[i].run();
	}
	return 0;
}
