// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_messages - misses, answers and what can go wrong between them
 *
 * Drives the two queues of a vhost-vsock device that translates, by hand: there
 * is no guest and nothing else runs, so that after each kick it is known which
 * address which queue has to wait for. The device has come to rest when an
 * ioctl that flushes it returns.
 *
 * Prints a line "ok - WORDS" or "not ok - WORDS" for each point, and last what
 * the device's events must have been:
 *	events miss N wake N update N invalidate N
 *	end
 */
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "userfault.h"

#define PAGE		4096UL
#define ENTRIES		16
#define CID		52
#define PATIENCE_MS	20000
#define ASLEEP_US	300000		/* a thread that has nothing to do but to wait does so */
#define STORM		300
#define HOLES		50
#define KEPT		4		/* misses of one queue that may wait */
/* A ring that moves so far is, by a translation of before, where no memory is. */
#define AWAY		0x4000000000ULL
#define ENTRIES_MAX	"/sys/module/vhost/parameters/max_iotlb_entries"

/* A page each, one after the other, as the device sees them. */
enum { DESC, AVAIL, USED, BUFFER, BUFFER_END, PAGES };
enum { RX, TX, QUEUES };

static struct {
	int fd;
	uint8_t *memory;
	int kick[QUEUES];
	uint16_t avail;
	unsigned int misses, wakes, updates, invalidates;
	bool failed;
} dev;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

static __attribute__((format(printf, 2, 3))) void point(bool good, const char *format, ...)
{
	va_list args;

	dev.failed |= !good;
	printf("%s - ", good ? "ok" : "not ok");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void equal(unsigned long got, unsigned long want, const char *words)
{
	point(got == want, "%s", words);
	if (got != want)
		printf("# got 0x%lx, want 0x%lx\n", got, want);
}

/* nowhere in our address space, and neither 0 nor the last */
static uint64_t iova_of(unsigned int queue, unsigned int page)
{
	return 0x7000000000ULL + (queue * 64 + page) * PAGE;
}

static uint8_t *memory_of(unsigned int queue, unsigned int page)
{
	return dev.memory + (queue * PAGES + page) * PAGE;
}

/* Whatever was kicked has run until it waits or has no more to do. */
static void rest(void)
{
	int none = -1;

	must(ioctl(dev.fd, VHOST_SET_LOG_FD, &none));
}

static void kick(unsigned int queue)
{
	uint64_t one = 1;

	must(write(dev.kick[queue], &one, sizeof(one)));
	rest();
}

static ssize_t send_message(uint8_t type, uint64_t iova, uint64_t size, uint64_t uaddr)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = iova,
			.size = size,
			.uaddr = uaddr,
			.perm = VHOST_ACCESS_RW,
			.type = type,
		},
	};

	return write(dev.fd, &msg, sizeof(msg));
}

static void map_as(uint64_t iova, uint64_t size, const uint8_t *memory)
{
	ssize_t sent = send_message(VHOST_IOTLB_UPDATE, iova, size, (uintptr_t)memory);

	if (sent != sizeof(struct vhost_msg_v2))
		err(EXIT_FAILURE, "update: %zd", sent);
	dev.updates++;
}

static void map(unsigned int queue, unsigned int page)
{
	map_as(iova_of(queue, page), PAGE, memory_of(queue, page));
}

/* An update that a queue waits for. */
static void answer(unsigned int queue, unsigned int page)
{
	map(queue, page);
	dev.wakes++;
	rest();
}

static void unmap(uint64_t iova, uint64_t size)
{
	must(send_message(VHOST_IOTLB_INVALIDATE, iova, size, 0));
	dev.invalidates++;
}

/* The next message's iova; 0: there is none. */
static uint64_t next_miss(void)
{
	struct vhost_msg_v2 msg;
	ssize_t size = read(dev.fd, &msg, sizeof(msg));

	if (size < 0 && errno == EAGAIN)
		return 0;
	if (size != sizeof(msg) || msg.iotlb.type != VHOST_IOTLB_MISS)
		err(EXIT_FAILURE, "message: %zd", size);
	return msg.iotlb.iova;
}

static unsigned int drain(void)
{
	unsigned int n = 0;

	while (next_miss())
		n++;
	return n;
}

static struct vring_desc *desc(void)
{
	return (void *)memory_of(TX, DESC);
}

static uint16_t used(void)
{
	const struct vring_used *ring = (void *)memory_of(TX, USED);

	return __atomic_load_n(&ring->idx, __ATOMIC_ACQUIRE);
}

/* A packet that the host takes and drops, for nobody listens there. */
static void offer(uint64_t iova)
{
	struct vring_avail *ring = (void *)memory_of(TX, AVAIL);
	struct virtio_vsock_hdr header = {
		.src_cid = htole64(CID),
		.dst_cid = htole64(2),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(VIRTIO_VSOCK_OP_RST),
	};

	/* across the end of a page */
	memcpy(memory_of(TX, BUFFER_END) - sizeof(header) / 2, &header, sizeof(header));
	desc()[0] = (struct vring_desc){ .addr = iova, .len = sizeof(header) };
	ring->ring[dev.avail % ENTRIES] = 0;
	__atomic_store_n(&ring->idx, ++dev.avail, __ATOMIC_RELEASE);
}

static uint64_t packet(void)
{
	return iova_of(TX, BUFFER_END) - sizeof(struct virtio_vsock_hdr) / 2;
}

/* The device finds the queue's ring so far below where it was at first. */
static void place_ring(unsigned int queue, uint64_t below)
{
	struct vhost_vring_addr addr = {
		.index = queue,
		.desc_user_addr = iova_of(queue, DESC) - below,
		.avail_user_addr = iova_of(queue, AVAIL) - below,
		.used_user_addr = iova_of(queue, USED) - below,
	};

	must(ioctl(dev.fd, VHOST_SET_VRING_ADDR, &addr));
}

static void open_device(uint64_t backend_features)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	struct vhost_memory memory = { };
	uint64_t cid = CID;
	int running = 1;

	dev.fd = must(open("/dev/vhost-vsock", O_RDWR | O_NONBLOCK));
	must(ioctl(dev.fd, VHOST_SET_OWNER));
	point(send_message(VHOST_IOTLB_UPDATE, iova_of(RX, USED), PAGE, (uintptr_t)dev.memory) < 0 &&
	      errno == EFAULT, "a device that does not translate takes no update");
	dev.updates++;
	must(ioctl(dev.fd, VHOST_SET_FEATURES, &features));
	must(ioctl(dev.fd, VHOST_SET_BACKEND_FEATURES, &backend_features));
	must(ioctl(dev.fd, VHOST_SET_MEM_TABLE, &memory));
	must(ioctl(dev.fd, VHOST_VSOCK_SET_GUEST_CID, &cid));

	memset(dev.memory, 0, QUEUES * PAGES * PAGE);
	dev.avail = 0;
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct vhost_vring_state size = { q, ENTRIES }, base = { q, 0 };
		struct vhost_vring_file file = { q, must(eventfd(0, EFD_NONBLOCK)) };

		dev.kick[q] = file.fd;
		must(ioctl(dev.fd, VHOST_SET_VRING_NUM, &size));
		must(ioctl(dev.fd, VHOST_SET_VRING_BASE, &base));
		place_ring(q, 0);
		must(ioctl(dev.fd, VHOST_SET_VRING_KICK, &file));
		/* looked at when the device is started, when nobody waits for an answer */
		map(q, USED);
	}
	must(ioctl(dev.fd, VHOST_VSOCK_SET_RUNNING, &running));
	rest();
	/* a start looks at the receiving queue, whether or not it was kicked */
	dev.misses += drain();
}

static void close_device(void)
{
	for (unsigned int q = 0; q < QUEUES; q++)
		close(dev.kick[q]);
	close(dev.fd);
}

static void test_storm(void)
{
	for (int i = 0; i < STORM; i++) {
		kick(TX);
		dev.misses++;
	}
	equal(next_miss(), iova_of(TX, DESC), "a queue misses its descriptors first");
	equal(drain(), 0, "a miss that waits is told once, however often it occurs");
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "one that was told and not answered is told again");
	equal(drain(), 0, "once");

	answer(TX, DESC);
	dev.misses++;
	equal(next_miss(), iova_of(TX, AVAIL), "an answer starts the queue, until the next miss");
}

/* TX waits for its available ring. */
static void test_only_own(void)
{
	kick(RX);
	dev.misses++;
	equal(next_miss(), iova_of(RX, DESC), "another queue misses something else");
	answer(RX, DESC);
	dev.misses++;
	equal(next_miss(), iova_of(RX, AVAIL), "an answer starts the queue that waits for it");
	equal(drain(), 0, "and no other");
	map(RX, BUFFER);
	rest();
	equal(drain(), 0, "an update that nobody waits for starts none");
	answer(TX, AVAIL);
	equal(drain(), 0, "a queue that has nothing to do misses nothing");
}

static void test_short_answer(void)
{
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, BUFFER_END) - sizeof(struct virtio_vsock_hdr) / 2,
	      "a buffer is missed where it begins");
	answer(TX, BUFFER);
	dev.misses++;
	equal(next_miss(), iova_of(TX, BUFFER_END), "after an answer for its first page, at its second");
	equal(used(), 0, "before that it is not used");
	answer(TX, BUFFER_END);
	equal(used(), 1, "after that it is");
}

/* TX waits for its descriptors, and has a packet; nothing of it is mapped. */
static void answer_all(void)
{
	answer(TX, DESC);
	for (unsigned int page = AVAIL; page < PAGES; page++) {
		dev.misses++;
		if (!next_miss())
			break;
		answer(TX, page);
	}
}

static void test_invalidate(void)
{
	unmap(iova_of(TX, DESC), PAGE);
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "what was invalidated is missed, be it remembered");
	answer(TX, DESC);
	equal(used(), dev.avail, "and goes on after an answer");

	unmap(0, 0);
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "nothing from 0 on is all that there is");
	answer_all();
	equal(used(), dev.avail, "and can be mapped again");
}

/* What a queue remembers of its ring is of where that was. */
static void test_moved(void)
{
	static const char *const part[] = { "descriptors", "available ring", "used ring" };

	offer(packet());
	place_ring(TX, AWAY);
	kick(TX);
	for (unsigned int page = DESC; page <= USED; page++) {
		uint64_t iova = iova_of(TX, page) - AWAY;
		uint64_t missed = next_miss();

		dev.misses++;
		point(missed == iova, "a ring that was moved is missed there: %s", part[page]);
		if (missed != iova)
			printf("# got 0x%lx, want 0x%lx\n", missed, iova);
		map_as(iova, PAGE, memory_of(TX, page));
		dev.wakes++;
		rest();
	}
	equal(used(), dev.avail, "and it goes on");
	place_ring(TX, 0);
	unmap(iova_of(TX, DESC) - AWAY, PAGES * PAGE);
	offer(packet());
	kick(TX);
	equal(drain(), 0, "moved back to where it is mapped it misses nothing");
	equal(used(), dev.avail, "and goes on");
}

/*
 * Of maps that overlap the leftmost is found. One that begins before the ring leads to a copy of
 * it, and of the packet; the descriptor that is at the old place leads nowhere.
 */
static void test_remapped(void)
{
	uint8_t *ring = memory_of(TX, DESC), *copy = dev.memory + QUEUES * PAGES * PAGE;
	struct vring_used *moved = (void *)(copy + (1 + USED) * PAGE);

	offer(packet());
	memcpy(copy + PAGE, ring, PAGES * PAGE);
	desc()[0].addr = iova_of(QUEUES, 0);
	map_as(iova_of(TX, DESC) - PAGE, (1 + PAGES) * PAGE, copy);
	kick(TX);
	equal(drain(), 0, "an update that maps a ring elsewhere, be it remembered, is no miss");
	equal(moved->idx, dev.avail, "the ring is found there");
	equal(used(), (uint16_t)(dev.avail - 1), "and not where it was");

	memcpy(ring, copy + PAGE, PAGES * PAGE);
	memset(copy, 0, (1 + PAGES) * PAGE);
	unmap(iova_of(TX, DESC) - PAGE, (1 + PAGES) * PAGE);
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "what was remapped can be unmapped");
	answer_all();
	equal(used(), dev.avail, "and mapped again");
}

/* A full table gives up its oldest map for a new one. */
static void test_retired(void)
{
	FILE *file = fopen(ENTRIES_MAX, "r");
	unsigned int n, max = 0;

	if (!file || fscanf(file, "%u", &max) != 1)
		err(EXIT_FAILURE, ENTRIES_MAX);
	fclose(file);
	for (n = 0; n < max; n++)
		map_as(iova_of(QUEUES, n), PAGE, dev.memory);
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "what gave way to others is missed, be it remembered");
	answer_all();
	equal(used(), dev.avail, "and goes on after an answer");
	unmap(iova_of(QUEUES, 0), (uint64_t)max * PAGE);
}

/* The answer to the first telling comes when the miss occurred, and is to be told, again. */
static void test_answer_in_between(void)
{
	unmap(iova_of(TX, DESC), PAGE);
	offer(packet());
	kick(TX);
	dev.misses++;
	equal(next_miss(), iova_of(TX, DESC), "a miss is told");
	kick(TX);
	dev.misses++;
	answer(TX, DESC);
	equal(used(), dev.avail, "an answer is one, be the miss to be told again");
	equal(drain(), 0, "which it is not any more");
}

/* The guest lets its queue run from one hole into the next. */
static void test_holes(void)
{
	uint64_t last = 0, got = 0, hole = iova_of(QUEUES, 0);
	unsigned int n = 0;

	offer(packet());
	for (unsigned int i = 0; i < HOLES; i++) {
		desc()[0].addr = hole + i * PAGE;
		kick(TX);
		dev.misses++;
	}
	while ((got = next_miss())) {
		last = got;
		n++;
	}
	equal(n, KEPT, "of many misses of a queue only the latest wait");
	equal(last, hole + (HOLES - 1) * PAGE, "the one that it waits for among them");
	must(send_message(VHOST_IOTLB_UPDATE, last, PAGE, (uintptr_t)memory_of(TX, BUFFER)));
	dev.updates++;
	dev.wakes++;
	rest();
	equal(used(), dev.avail, "and goes on after an answer");
	/* the others are answered now, to nobody's use */
	must(send_message(VHOST_IOTLB_UPDATE, hole, (HOLES - 1) * PAGE, (uintptr_t)dev.memory));
	dev.updates++;
	dev.wakes += KEPT - 1;
	unmap(hole, HOLES * PAGE);
	unmap(hole, HOLES * PAGE);
}

static void test_bad_reader(void)
{
	uint8_t *bad = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vhost_msg_v2 msg;

	if (bad == MAP_FAILED || munmap(bad + PAGE, PAGE))
		err(EXIT_FAILURE, "mmap");

	unmap(iova_of(TX, DESC), PAGE);
	kick(TX);
	dev.misses++;
	point(read(dev.fd, bad + PAGE, sizeof(msg)) < 0 && errno == EFAULT,
	      "reading to where nothing is fails");
	point(read(dev.fd, bad + PAGE - sizeof(msg) / 2, sizeof(msg)) < 0 && errno == EFAULT,
	      "to where half of the message has room, too");
	equal(read(dev.fd, &msg, sizeof(msg) - 1), 0, "with too small a buffer nothing is read");
	equal(next_miss(), iova_of(TX, DESC), "and the miss is still there");
	answer(TX, DESC);
	munmap(bad, PAGE);
}

/*
 * An answer of another thread that comes while the reader is on its way back
 * from the kernel: the page that it reads to is filled in by whoever answers.
 */
static void *slow_reader(void *page)
{
	return (void *)(intptr_t)read(dev.fd, page, sizeof(struct vhost_msg_v2));
}

/* A page that is not there until somebody fills it in; returns who is told of faults. */
static int slow_page(uint8_t **page)
{
	int faults = userfault_open();

	*page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*page == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	userfault_watch(faults, *page, PAGE);
	return faults;
}

static pthread_t read_slowly(uint8_t *page)
{
	pthread_t reader;

	if (pthread_create(&reader, NULL, slow_reader, page))
		errx(EXIT_FAILURE, "no thread");
	return reader;
}

/* A reader that has its message and not yet a page to put it. */
static pthread_t read_until_fault(uint8_t *page, int faults)
{
	pthread_t reader = read_slowly(page);

	userfault_wait(faults, PATIENCE_MS);
	return reader;
}

static void test_quick_answer(void)
{
	uint8_t *page;
	int faults = slow_page(&page);
	struct uffdio_zeropage zero = { .range = { (uintptr_t)page, PAGE } };
	pthread_t reader;
	void *size;

	unmap(iova_of(TX, DESC), PAGE);
	offer(packet());
	kick(TX);
	dev.misses++;
	reader = read_until_fault(page, faults);
	answer(TX, DESC);
	equal(used(), dev.avail, "an answer counts from when user space can know of the miss");
	must(ioctl(faults, UFFDIO_ZEROPAGE, &zero));
	pthread_join(reader, &size);
	equal((uintptr_t)size, sizeof(struct vhost_msg_v2), "the reader gets its message");
	equal(((struct vhost_msg_v2 *)page)->iotlb.iova, iova_of(TX, DESC), "which is that miss");
	kick(TX);
	equal(drain(), 0, "and nothing is left behind");
	close(faults);
	munmap(page, PAGE);
}

/*
 * Two readers and one message: the first has it, the second waits, and then the first
 * has no page to put it.
 */
static void test_given_back(void)
{
	struct vhost_msg_v2 *msg;
	uint8_t *page, other[sizeof(*msg)];
	int faults = slow_page(&page);
	pthread_t first, second;
	struct timespec until;
	void *size;
	bool woken;

	unmap(iova_of(TX, DESC), PAGE);
	kick(TX);
	dev.misses++;
	first = read_until_fault(page, faults);
	must(fcntl(dev.fd, F_SETFL, 0));
	second = read_slowly(other);
	usleep(ASLEEP_US);
	munmap(page, PAGE);
	close(faults);
	pthread_join(first, &size);
	equal((uintptr_t)size, -1, "a reader whose page goes away fails");
	must(clock_gettime(CLOCK_REALTIME, &until));
	until.tv_sec += PATIENCE_MS / 1000;
	woken = !pthread_timedjoin_np(second, &size, &until);
	point(woken, "who waits gets the message that another gave back");
	if (!woken) {
		kick(TX);
		dev.misses++;
		pthread_join(second, &size);
	}
	msg = (void *)other;
	equal((uintptr_t)size, sizeof(*msg), "all of it");
	equal(msg->iotlb.iova, iova_of(TX, DESC), "as it was");
	must(fcntl(dev.fd, F_SETFL, O_NONBLOCK));
	answer(TX, DESC);
	equal(drain(), 0, "and nobody else does");
}

static void refused(const char *words, int error, uint8_t type, uint64_t iova, uint64_t size,
		    uint64_t uaddr)
{
	ssize_t n = send_message(type, iova, size, uaddr);

	point(n < 0 && errno == error, "%s: %s", words, strerror(error));
	if (n >= 0 || errno != error)
		printf("# returned %zd, error %d\n", n, errno);
}

static void test_errors(void)
{
	uint64_t here = (uintptr_t)dev.memory, iova = iova_of(QUEUES, 0);
	struct vhost_msg_v2 msg = { .type = 77 };

	refused("an update of nothing", EINVAL, VHOST_IOTLB_UPDATE, iova, 0, here);
	refused("an update of everything", EINVAL, VHOST_IOTLB_UPDATE, 0, 0, here);
	refused("an update beyond the end", EINVAL, VHOST_IOTLB_UPDATE, -PAGE, 2 * PAGE, here);
	refused("an invalidation beyond the end", EINVAL, VHOST_IOTLB_INVALIDATE, -PAGE, 2 * PAGE, 0);
	refused("an invalidation of nothing", EINVAL, VHOST_IOTLB_INVALIDATE, iova, 0, 0);
	refused("a miss", EINVAL, VHOST_IOTLB_MISS, iova, PAGE, here);
	refused("no type", EINVAL, 0, iova, PAGE, here);
	refused("a batch", EINVAL, VHOST_IOTLB_BATCH_BEGIN, iova, PAGE, here);
	refused("memory of the kernel", EFAULT, VHOST_IOTLB_UPDATE, iova, PAGE, 1ULL << 63);
	dev.updates++;
	refused("memory beyond its end", EFAULT, VHOST_IOTLB_UPDATE, iova, 2 * PAGE, -PAGE);
	dev.updates++;
	point(write(dev.fd, &msg, sizeof(msg)) < 0 && errno == EINVAL, "another version");
	msg.type = VHOST_IOTLB_MSG_V2;
	point(write(dev.fd, &msg, offsetof(struct vhost_msg_v2, iotlb) + sizeof(msg.iotlb) - 1) < 0 &&
	      errno == EINVAL, "half a message");
	msg.iotlb = (struct vhost_iotlb_msg){
		.iova = iova, .size = PAGE, .type = VHOST_IOTLB_INVALIDATE,
	};
	equal(write(dev.fd, &msg, offsetof(struct vhost_msg_v2, iotlb) + sizeof(msg.iotlb)),
	      offsetof(struct vhost_msg_v2, iotlb) + sizeof(msg.iotlb),
	      "without padding, as much as was given is taken");
	dev.invalidates++;
}

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_waiting_reader(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct pollfd ready = { .fd = dev.fd, .events = POLLIN };
	uint8_t page[sizeof(struct vhost_msg_v2)];
	pthread_t reader;
	void *size;

	unmap(iova_of(TX, DESC), PAGE);
	equal(must(poll(&ready, 1, 0)), 0, "there is nothing to read");
	must(fcntl(dev.fd, F_SETFL, 0));
	reader = read_slowly(page);
	kick(TX);
	dev.misses++;
	pthread_join(reader, &size);
	equal((uintptr_t)size, sizeof(page), "a reader that waits gets the miss");

	sigaction(SIGALRM, &action, NULL);
	ualarm(10000, 10000);
	point(read(dev.fd, page, sizeof(page)) < 0 && errno == EINTR, "a signal ends its wait");
	ualarm(0, 0);
	must(fcntl(dev.fd, F_SETFL, O_NONBLOCK));

	kick(TX);
	dev.misses++;
	equal(must(poll(&ready, 1, 0)), 1, "poll says that there is a miss");
	equal(next_miss(), iova_of(TX, DESC), "which there is");
	answer(TX, DESC);
}

/* A device that has not agreed to the second version of messages. */
static void test_first_version(void)
{
	struct vhost_msg msg = { };

	open_device(0);
	kick(TX);
	dev.misses++;
	equal(read(dev.fd, &msg, sizeof(msg)), sizeof(msg), "a message of the first version");
	equal(msg.type, VHOST_IOTLB_MSG, "says that it is one");
	equal(msg.iotlb.iova, iova_of(TX, DESC), "and has the address where it belongs");
	msg.iotlb.size = PAGE;
	msg.iotlb.uaddr = (uintptr_t)memory_of(TX, DESC);
	msg.iotlb.perm = VHOST_ACCESS_RW;
	msg.iotlb.type = VHOST_IOTLB_UPDATE;
	/* a hole there: whatever is in it is nobody's business */
	memset((uint8_t *)&msg + sizeof(msg.type), 0xff, offsetof(struct vhost_msg, iotlb) - sizeof(msg.type));
	equal(write(dev.fd, &msg, sizeof(msg)), sizeof(msg), "and can be answered alike");
	dev.updates++;
	dev.wakes++;
	rest();
	dev.misses++;
	equal(next_miss(), iova_of(TX, AVAIL), "which starts the queue");
	/* closed with a miss that nobody answered, and one that nobody read */
	kick(RX);
	dev.misses++;
	close_device();
}

int main(void)
{
	dev.memory = mmap(NULL, QUEUES * PAGES * PAGE + HOLES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (dev.memory == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	open_device(1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2);
	test_storm();
	test_only_own();
	test_short_answer();
	test_invalidate();
	test_moved();
	test_remapped();
	test_retired();
	test_answer_in_between();
	test_holes();
	test_bad_reader();
	test_quick_answer();
	test_given_back();
	test_errors();
	test_waiting_reader();
	close_device();
	test_first_version();

	printf("events miss %u wake %u update %u invalidate %u\nend\n",
	       dev.misses, dev.wakes, dev.updates, dev.invalidates);
	return dev.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
