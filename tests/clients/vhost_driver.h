/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver's side of a vhost device with two queues, as a guest and its VMM are
 * together: memory, rings and, if the device translates, its IOTLB. A client is one
 * program and includes this once.
 */
#ifndef VHOST_DRIVER_H
#define VHOST_DRIVER_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096UL
#define BUFFERS		36U		/* of each ring, a page each, behind eight for the rings */
#define SPARE		(8 + 2 * BUFFERS)	/* the first of some that are the client's own */
#define PAGES		(SPARE + 8)
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define ENTRIES		64		/* of a ring */
/* A guest's memory may have two addresses in it: the second one is so much further up. */
#define ALIAS		(PAGES * PAGE)
#define PATIENCE_MS	20000

enum { RX, TX };

struct ring {
	struct vring vring;
	int kick, call;
	uint16_t avail, used;		/* free-running */
	unsigned int first_buffer;	/* page of descriptor 0 */
};

static struct {
	int vhost;
	int other;			/* what the client waits for besides; -1: nothing */
	bool translate;
	uint8_t *memory;
	uint64_t base;			/* what the device calls memory[0] */
	bool mapped[PAGES];
	struct ring ring[2];		/* that a device writes to, that it reads from */
	uint64_t *log;			/* of pages that the device wrote; NULL: it keeps none */
	int late_ms;			/* so long a miss waits for its answer */
	unsigned int misses, updates, invalidates;
} dev;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

static uint64_t to_device(const void *p)
{
	return dev.base + ((const uint8_t *)p - dev.memory);
}

static void iotlb_send(unsigned int page, uint8_t type)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = IOVA + page * PAGE,
			.size = PAGE,
			.uaddr = (uintptr_t)dev.memory + page * PAGE,
			.perm = VHOST_ACCESS_RW,
			.type = type,
		},
	};

	if (write(dev.vhost, &msg, sizeof(msg)) != sizeof(msg))
		err(EXIT_FAILURE, "IOTLB message");
	dev.mapped[page] = type == VHOST_IOTLB_UPDATE;
	if (dev.mapped[page])
		dev.updates++;
	else
		dev.invalidates++;
}

static void answer_misses(void)
{
	struct vhost_msg_v2 msg;
	unsigned int page;
	ssize_t len;

	while ((len = read(dev.vhost, &msg, sizeof(msg))) == sizeof(msg)) {
		if (msg.iotlb.type != VHOST_IOTLB_MISS)
			errx(EXIT_FAILURE, "message of type %u", msg.iotlb.type);
		if (msg.iotlb.iova < IOVA || msg.iotlb.iova >= IOVA + PAGES * PAGE)
			errx(EXIT_FAILURE, "miss outside what we have: 0x%llx",
			     (unsigned long long)msg.iotlb.iova);
		dev.misses++;
		if (dev.late_ms)
			poll(NULL, 0, dev.late_ms);
		/* both queues may miss the same page before either is answered */
		page = (msg.iotlb.iova - IOVA) / PAGE;
		if (!dev.mapped[page])
			iotlb_send(page, VHOST_IOTLB_UPDATE);
	}
	if (len >= 0 || errno != EAGAIN)
		err(EXIT_FAILURE, "reading misses: %zd", len);
}

/* Waits until @done says so, and answers misses meanwhile. */
static void wait_for(bool (*done)(void *), void *what, const char *name)
{
	struct pollfd fds[] = {
		{ .fd = dev.translate ? dev.vhost : -1, .events = POLLIN },
		{ .fd = dev.other, .events = POLLIN },
		{ .fd = dev.ring[RX].call, .events = POLLIN },
		{ .fd = dev.ring[TX].call, .events = POLLIN },
	};
	uint64_t count;

	while (!done(what)) {
		if (must(poll(fds, 4, PATIENCE_MS)) == 0)
			errx(EXIT_FAILURE, "%s: nothing happened", name);
		if (fds[0].revents & POLLIN)
			answer_misses();
		for (int i = 2; i < 4; i++)
			if (fds[i].revents & POLLIN)
				must(read(fds[i].fd, &count, sizeof(count)));
	}
}

static void ring_setup(unsigned int index, unsigned int page)
{
	struct ring *r = &dev.ring[index];
	void *at = dev.memory + page * PAGE;
	struct vhost_vring_state size = { index, ENTRIES }, base = { index, 0 };
	struct vhost_vring_addr addr = { .index = index };
	struct vhost_vring_file file = { .index = index };

	vring_init(&r->vring, ENTRIES, at, PAGE);
	r->kick = must(eventfd(0, EFD_NONBLOCK));
	r->call = must(eventfd(0, EFD_NONBLOCK));
	must(ioctl(dev.vhost, VHOST_SET_VRING_NUM, &size));
	must(ioctl(dev.vhost, VHOST_SET_VRING_BASE, &base));
	/* the ring itself is given as the device sees it only if it translates */
	addr.desc_user_addr = dev.translate ? to_device(r->vring.desc) : (uintptr_t)r->vring.desc;
	addr.avail_user_addr = dev.translate ? to_device(r->vring.avail) :
					       (uintptr_t)r->vring.avail;
	addr.used_user_addr = dev.translate ? to_device(r->vring.used) : (uintptr_t)r->vring.used;
	if (dev.log) {
		addr.flags = 1 << VHOST_VRING_F_LOG;
		addr.log_guest_addr = to_device(r->vring.used);
	}
	must(ioctl(dev.vhost, VHOST_SET_VRING_ADDR, &addr));
	file.fd = r->kick;
	must(ioctl(dev.vhost, VHOST_SET_VRING_KICK, &file));
	file.fd = r->call;
	must(ioctl(dev.vhost, VHOST_SET_VRING_CALL, &file));
	/* looked at while the backend is set, when nobody waits for an answer */
	if (dev.translate)
		iotlb_send(((uint8_t *)r->vring.used - dev.memory) / PAGE, VHOST_IOTLB_UPDATE);
}

static uint8_t *buffer(struct ring *r, unsigned int n)
{
	return dev.memory + (r->first_buffer + n % BUFFERS) * PAGE;
}

static void ring_offer_at(struct ring *r, const void *at, uint32_t len, uint16_t flags)
{
	uint16_t slot = r->avail % ENTRIES;
	uint64_t one = 1;

	r->vring.desc[slot] = (struct vring_desc){
		.addr = to_device(at),
		.len = len,
		.flags = flags,
	};
	r->vring.avail->ring[slot] = slot;
	__atomic_store_n(&r->vring.avail->idx, ++r->avail, __ATOMIC_RELEASE);
	must(write(r->kick, &one, sizeof(one)));
}

static void ring_offer(struct ring *r, uint32_t len, uint16_t flags)
{
	ring_offer_at(r, buffer(r, r->avail), len, flags);
}

static bool ring_has_used(void *what)
{
	struct ring *r = what;

	return __atomic_load_n(&r->vring.used->idx, __ATOMIC_ACQUIRE) != r->used;
}

static void invalidate_all(void)
{
	for (unsigned int page = 0; page < PAGES; page++)
		if (dev.mapped[page])
			iotlb_send(page, VHOST_IOTLB_INVALIDATE);
}

/* Every page of the guest's addresses has a bit, whatever is there. */
static void log_setup(uint64_t features)
{
	uint64_t last = (dev.base + 2 * ALIAS) / PAGE, base;

	dev.log = mmap(NULL, (last / 64 + 1) * sizeof(*dev.log), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (dev.log == MAP_FAILED)
		err(EXIT_FAILURE, "log");
	base = (uintptr_t)dev.log;
	must(ioctl(dev.vhost, VHOST_SET_LOG_BASE, &base));
	features |= 1ULL << VHOST_F_LOG_ALL;
	must(ioctl(dev.vhost, VHOST_SET_FEATURES, &features));
}

static inline bool is_logged(uint64_t address)
{
	return dev.log[address / PAGE / 64] >> address / PAGE % 64 & 1;
}

/*
 * Opens @path, a vhost device, and tells it of our memory and of both rings. @logging has it
 * keep a log of what it writes, of memory that the guest has under two addresses.
 */
static void driver_setup(const char *path, bool logging)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	uint64_t backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region[2];
	} table = {
		.head.nregions = logging ? 2 : 1,
		.region[0].memory_size = PAGES * PAGE,
	};

	dev.base = IOVA;
	dev.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (dev.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	table.region[0].guest_phys_addr = dev.base;
	table.region[0].userspace_addr = (uintptr_t)dev.memory;
	table.region[1] = table.region[0];
	table.region[1].guest_phys_addr += ALIAS;

	dev.vhost = must(open(path, O_RDWR | O_NONBLOCK));
	must(ioctl(dev.vhost, VHOST_SET_OWNER));
	if (dev.translate) {
		features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
		must(ioctl(dev.vhost, VHOST_SET_BACKEND_FEATURES, &backend));
	}
	must(ioctl(dev.vhost, VHOST_SET_FEATURES, &features));
	/* asked for also where the device translates, to log into; nothing else uses it then */
	must(ioctl(dev.vhost, VHOST_SET_MEM_TABLE, &table));
	if (logging)
		log_setup(features);
	ring_setup(RX, 0);
	ring_setup(TX, 4);
	dev.ring[RX].first_buffer = 8;
	dev.ring[TX].first_buffer = 8 + BUFFERS;
}

#endif
