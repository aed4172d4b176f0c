// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_net [-i] [-n FRAMES] - the driver's side of a vhost-net device
 *
 * Sends and receives FRAMES Ethernet frames through /dev/vhost-net and a tap
 * device and compares every byte with what a packet socket at the other end of
 * the tap sees or sent.
 *
 *   -i  the device translates: it is given I/O virtual addresses, and a page is
 *       mapped only once the device has missed it. Half way all is invalidated.
 *   -n  default 200
 *
 * The last line counts what the device must have seen:
 *	frames N misses N updates N invalidates N
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE		4096UL
#define PAGES		80
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define ENTRIES		64		/* of a ring */
#define HEADER		12		/* struct virtio_net_hdr_mrg_rxbuf */
#define FRAME		1000
#define PROTOCOL	0x88b5		/* for local experiments */
#define PATIENCE_MS	20000

enum { RX, TX };

struct ring {
	struct vring vring;
	int kick, call;
	uint16_t avail, used;		/* free-running */
	unsigned int first_buffer;	/* page of descriptor 0 */
};

static struct {
	int vhost, tap, packet;
	bool translate;
	uint8_t *memory;
	uint64_t base;			/* what the device calls memory[0] */
	bool mapped[PAGES];
	struct ring ring[2];
	unsigned int misses, updates, invalidates;
} net;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

static uint64_t to_device(const void *p)
{
	return net.base + ((const uint8_t *)p - net.memory);
}

static void iotlb_send(unsigned int page, uint8_t type)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = IOVA + page * PAGE,
			.size = PAGE,
			.uaddr = (uintptr_t)net.memory + page * PAGE,
			.perm = VHOST_ACCESS_RW,
			.type = type,
		},
	};

	if (write(net.vhost, &msg, sizeof(msg)) != sizeof(msg))
		err(EXIT_FAILURE, "IOTLB message");
	net.mapped[page] = type == VHOST_IOTLB_UPDATE;
	if (net.mapped[page])
		net.updates++;
	else
		net.invalidates++;
}

static void answer_misses(void)
{
	struct vhost_msg_v2 msg;
	unsigned int page;
	ssize_t len;

	while ((len = read(net.vhost, &msg, sizeof(msg))) == sizeof(msg)) {
		if (msg.iotlb.type != VHOST_IOTLB_MISS)
			errx(EXIT_FAILURE, "message of type %u", msg.iotlb.type);
		if (msg.iotlb.iova < IOVA || msg.iotlb.iova >= IOVA + PAGES * PAGE)
			errx(EXIT_FAILURE, "miss outside what we have: 0x%llx",
			     (unsigned long long)msg.iotlb.iova);
		net.misses++;
		/* both queues may miss the same page before either is answered */
		page = (msg.iotlb.iova - IOVA) / PAGE;
		if (!net.mapped[page])
			iotlb_send(page, VHOST_IOTLB_UPDATE);
	}
	if (len >= 0 || errno != EAGAIN)
		err(EXIT_FAILURE, "reading misses: %zd", len);
}

/* Waits until @done says so, and answers misses meanwhile. */
static void wait_for(bool (*done)(void *), void *what, const char *name)
{
	struct pollfd fds[] = {
		{ .fd = net.translate ? net.vhost : -1, .events = POLLIN },
		{ .fd = net.packet, .events = POLLIN },
		{ .fd = net.ring[RX].call, .events = POLLIN },
		{ .fd = net.ring[TX].call, .events = POLLIN },
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
	struct ring *r = &net.ring[index];
	void *at = net.memory + page * PAGE;
	struct vhost_vring_state size = { index, ENTRIES }, base = { index, 0 };
	struct vhost_vring_addr addr = { .index = index };
	struct vhost_vring_file file = { .index = index };

	vring_init(&r->vring, ENTRIES, at, PAGE);
	r->kick = must(eventfd(0, EFD_NONBLOCK));
	r->call = must(eventfd(0, EFD_NONBLOCK));
	must(ioctl(net.vhost, VHOST_SET_VRING_NUM, &size));
	must(ioctl(net.vhost, VHOST_SET_VRING_BASE, &base));
	/* the ring itself is given as the device sees it only if it translates */
	addr.desc_user_addr = net.translate ? to_device(r->vring.desc) : (uintptr_t)r->vring.desc;
	addr.avail_user_addr = net.translate ? to_device(r->vring.avail) : (uintptr_t)r->vring.avail;
	addr.used_user_addr = net.translate ? to_device(r->vring.used) : (uintptr_t)r->vring.used;
	must(ioctl(net.vhost, VHOST_SET_VRING_ADDR, &addr));
	file.fd = r->kick;
	must(ioctl(net.vhost, VHOST_SET_VRING_KICK, &file));
	file.fd = r->call;
	must(ioctl(net.vhost, VHOST_SET_VRING_CALL, &file));
	/* looked at while the backend is set, when nobody waits for an answer */
	if (net.translate)
		iotlb_send(((uint8_t *)r->vring.used - net.memory) / PAGE, VHOST_IOTLB_UPDATE);
}

static uint8_t *buffer(struct ring *r, unsigned int n)
{
	return net.memory + (r->first_buffer + n % ((PAGES - 8) / 2)) * PAGE;
}

static void ring_offer(struct ring *r, uint32_t len, uint16_t flags)
{
	uint16_t slot = r->avail % ENTRIES;
	uint64_t one = 1;

	r->vring.desc[slot] = (struct vring_desc){
		.addr = to_device(buffer(r, r->avail)),
		.len = len,
		.flags = flags,
	};
	r->vring.avail->ring[slot] = slot;
	__atomic_store_n(&r->vring.avail->idx, ++r->avail, __ATOMIC_RELEASE);
	must(write(r->kick, &one, sizeof(one)));
}

static bool ring_has_used(void *what)
{
	struct ring *r = what;

	return __atomic_load_n(&r->vring.used->idx, __ATOMIC_ACQUIRE) != r->used;
}

static void fill(uint8_t *frame, unsigned int n)
{
	struct ether_header *eth = (void *)frame;

	memset(eth, 0xff, 2 * ETH_ALEN);
	eth->ether_shost[0] = 0x02;
	eth->ether_type = htons(PROTOCOL);
	for (unsigned int i = sizeof(*eth); i < FRAME; i++)
		frame[i] = n * 31 + i * 7 + (i >> 8);
}

static uint8_t received[2048];

static bool packet_arrived(void *what)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof(from);
	ssize_t got;

	while ((got = recvfrom(net.packet, received, sizeof(received), MSG_DONTWAIT,
			       (void *)&from, &len)) >= 0) {
		len = sizeof(from);
		/* our own frames on their way out are seen here, too */
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		*(ssize_t *)what = got;
		return true;
	}
	return false;
}

static void compare(const char *way, unsigned int n, const uint8_t *got, ssize_t len)
{
	uint8_t want[FRAME];

	fill(want, n);
	if (len != FRAME || memcmp(got, want, FRAME))
		errx(EXIT_FAILURE, "%s: frame %u is not what was sent (%zd bytes)", way, n, len);
}

static void send_one(unsigned int n)
{
	struct ring *r = &net.ring[TX];
	uint8_t *b = buffer(r, r->avail);
	ssize_t len = 0;

	memset(b, 0, HEADER);
	fill(b + HEADER, n);
	ring_offer(r, HEADER + FRAME, 0);
	wait_for(packet_arrived, &len, "sending");
	compare("sent", n, received, len);
	wait_for(ring_has_used, r, "the sent buffer's return");
	r->used++;
}

/* Next to ours, the tap carries what the kernel sends wherever a link comes up. */
static bool is_ours(const uint8_t *frame)
{
	return ((const struct ether_header *)frame)->ether_type == htons(PROTOCOL);
}

static void receive_one(unsigned int n)
{
	struct ring *r = &net.ring[RX];
	uint8_t frame[FRAME], *got;
	ssize_t len;

	fill(frame, n);
	if (must(send(net.packet, frame, FRAME, 0)) != FRAME)
		errx(EXIT_FAILURE, "short send");
	do {
		memset(buffer(r, r->avail), 0, PAGE);
		ring_offer(r, PAGE, VRING_DESC_F_WRITE);
		wait_for(ring_has_used, r, "receiving");
		len = (ssize_t)r->vring.used->ring[r->used % ENTRIES].len - HEADER;
		got = buffer(r, r->used++) + HEADER;
	} while (!is_ours(got));
	compare("received", n, got, len);
}

static void tap_setup(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL) };
	int header = HEADER;

	net.tap = must(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
	must(ioctl(net.tap, TUNSETIFF, &ifr));
	must(ioctl(net.tap, TUNSETVNETHDRSZ, &header));

	net.packet = must(socket(AF_PACKET, SOCK_RAW, htons(PROTOCOL)));
	must(ioctl(net.packet, SIOCGIFINDEX, &ifr));
	at.sll_ifindex = ifr.ifr_ifindex;
	must(bind(net.packet, (void *)&at, sizeof(at)));
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	must(ioctl(net.packet, SIOCSIFFLAGS, &ifr));
}

static void vhost_setup(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1;
	uint64_t backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	struct vhost_vring_file file = { .fd = net.tap };
	struct {
		struct vhost_memory head;
		struct vhost_memory_region region;
	} table = {
		.head.nregions = 1,
		.region = {
			.guest_phys_addr = net.base,
			.memory_size = PAGES * PAGE,
			.userspace_addr = (uintptr_t)net.memory,
		},
	};

	net.vhost = must(open("/dev/vhost-net", O_RDWR | O_NONBLOCK));
	must(ioctl(net.vhost, VHOST_SET_OWNER));
	if (net.translate) {
		features |= 1ULL << VIRTIO_F_ACCESS_PLATFORM;
		must(ioctl(net.vhost, VHOST_SET_BACKEND_FEATURES, &backend));
	}
	must(ioctl(net.vhost, VHOST_SET_FEATURES, &features));
	/* asked for also where the device translates, to log into; nothing else uses it then */
	must(ioctl(net.vhost, VHOST_SET_MEM_TABLE, &table));
	ring_setup(RX, 0);
	ring_setup(TX, 4);
	net.ring[RX].first_buffer = 8;
	net.ring[TX].first_buffer = 8 + (PAGES - 8) / 2;
	for (file.index = RX; file.index <= TX; file.index++)
		must(ioctl(net.vhost, VHOST_NET_SET_BACKEND, &file));
}

int main(int argc, char **argv)
{
	unsigned int frames = 200;
	int opt;

	while ((opt = getopt(argc, argv, "in:")) != -1) {
		switch (opt) {
		case 'i':
			net.translate = true;
			break;
		case 'n':
			frames = strtoul(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: vhost_net [-i] [-n FRAMES]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	net.base = IOVA;
	net.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (net.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	tap_setup();
	vhost_setup();

	for (unsigned int n = 0; n < frames; n++) {
		if (net.translate && n == frames / 2)
			for (unsigned int page = 0; page < PAGES; page++)
				if (net.mapped[page])
					iotlb_send(page, VHOST_IOTLB_INVALIDATE);
		send_one(n);
		receive_one(n);
	}
	printf("frames %u misses %u updates %u invalidates %u\n",
	       2 * frames, net.misses, net.updates, net.invalidates);
	return 0;
}
