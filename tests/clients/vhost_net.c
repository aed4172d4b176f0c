// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_net [-iaclp] [-w MS] [-n FRAMES] - the driver's side of a vhost-net device
 *
 * Sends and receives FRAMES Ethernet frames through /dev/vhost-net and a tap
 * device and compares every byte with what a packet socket at the other end of
 * the tap sees or sent.
 *
 *   -i  the device translates: it is given I/O virtual addresses, and a page is
 *       mapped only once the device has missed it. Half way all is invalidated.
 *   -a  all is invalidated before each frame and its answer, not half way only
 *   -c  prints first what a frame cost: "cost N", ns that all of the process's threads ran,
 *       of which the device's worker is one
 *   -l  the device logs what it writes: these pages and no other; if it translates, under
 *       both addresses that the guest has them at
 *   -p  a frame is received into a chain of pieces, more than a device can note of one, all of
 *       them empty but the last, which is across two pages
 *   -w  a miss is answered so much later
 *   -n  default 200
 *
 * The last line counts what the device must have seen:
 *	frames N misses N updates N invalidates N
 */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>

#include "vhost_driver.h"

#define HEADER		12		/* struct virtio_net_hdr_mrg_rxbuf */
#define FRAME		1000
#define PROTOCOL	0x88b5		/* for local experiments */
#define EMPTY		1100U		/* vhost_net has room for 1088 */
#define IN_FIRST	500		/* of a frame in two pages */

static int tap, packet;
static bool pieces;

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

	while ((got = recvfrom(packet, received, sizeof(received), MSG_DONTWAIT,
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
	struct ring *r = &dev.ring[TX];
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

static uint8_t *receive_buffer(unsigned int n)
{
	struct ring *r = &dev.ring[RX];

	return pieces ? buffer(r, 2 * n) + PAGE - IN_FIRST : buffer(r, n);
}

static void offer_pieces(struct ring *r)
{
	struct vring_desc *table = (void *)(dev.memory + SPARE * PAGE);
	const void *to = receive_buffer(r->avail);
	unsigned int i;

	for (i = 0; i < EMPTY; i++)
		table[i] = (struct vring_desc){
			.addr = to_device(to),
			.flags = VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
			.next = i + 1,
		};
	table[i] = (struct vring_desc){
		.addr = to_device(to),
		.len = PAGE,
		.flags = VRING_DESC_F_WRITE,
	};
	ring_offer_at(r, table, (EMPTY + 1) * sizeof(*table), VRING_DESC_F_INDIRECT);
}

static void receive_one(unsigned int n)
{
	struct ring *r = &dev.ring[RX];
	uint8_t frame[FRAME], *got;
	ssize_t len;

	fill(frame, n);
	if (must(send(packet, frame, FRAME, 0)) != FRAME)
		errx(EXIT_FAILURE, "short send");
	do {
		memset(receive_buffer(r->avail), 0, PAGE);
		if (pieces)
			offer_pieces(r);
		else
			ring_offer(r, PAGE, VRING_DESC_F_WRITE);
		wait_for(ring_has_used, r, "receiving");
		len = (ssize_t)r->vring.used->ring[r->used % ENTRIES].len - HEADER;
		got = receive_buffer(r->used++) + HEADER;
	} while (!is_ours(got));
	compare("received", n, got, len);
}

static void tap_setup(void)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTOCOL) };
	int header = HEADER;

	tap = must(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
	must(ioctl(tap, TUNSETIFF, &ifr));
	must(ioctl(tap, TUNSETVNETHDRSZ, &header));

	packet = must(socket(AF_PACKET, SOCK_RAW, htons(PROTOCOL)));
	must(ioctl(packet, SIOCGIFINDEX, &ifr));
	at.sll_ifindex = ifr.ifr_ifindex;
	must(bind(packet, (void *)&at, sizeof(at)));
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	must(ioctl(packet, SIOCSIFFLAGS, &ifr));
}

/* Does the device write to that page? To what it is given to write to, and to used rings. */
static bool is_written(unsigned int page)
{
	for (int i = RX; i <= TX; i++)
		if (page == ((uint8_t *)dev.ring[i].vring.used - dev.memory) / PAGE)
			return true;
	for (uint16_t n = 0; n < dev.ring[RX].used; n++) {
		unsigned int first = (receive_buffer(n) - dev.memory) / PAGE;

		if (page == first || (pieces && page == first + 1))
			return true;
	}
	return false;
}

static void compare_log(void)
{
	for (unsigned int page = 0; page < 2 * PAGES; page++) {
		/* without translations the device knows the one address that it was told */
		bool want = is_written(page % PAGES) && (page < PAGES || dev.translate);

		if (is_logged(dev.base + page * PAGE) != want)
			errx(EXIT_FAILURE, "page %u%s: %s", page % PAGES,
			     page < PAGES ? "" : ", by its other address",
			     want ? "not logged" : "logged, but not written");
	}
}

static uint64_t ran_ns(void)
{
	struct timespec t;

	must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct vhost_vring_file file;
	bool logging = false, always = false, cost = false;
	unsigned int frames = 200;
	uint64_t began;
	int opt;

	while ((opt = getopt(argc, argv, "aciln:pw:")) != -1) {
		switch (opt) {
		case 'i':
			dev.translate = true;
			break;
		case 'a':
			always = true;
			break;
		case 'c':
			cost = true;
			break;
		case 'l':
			logging = true;
			break;
		case 'p':
			pieces = true;
			break;
		case 'w':
			dev.late_ms = strtol(optarg, NULL, 10);
			break;
		case 'n':
			frames = strtoul(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: vhost_net [-iaclp] [-w MS] [-n FRAMES]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	tap_setup();
	driver_setup("/dev/vhost-net", logging);
	dev.other = packet;
	file.fd = tap;
	for (file.index = RX; file.index <= TX; file.index++)
		must(ioctl(dev.vhost, VHOST_NET_SET_BACKEND, &file));

	began = ran_ns();
	for (unsigned int n = 0; n < frames; n++) {
		if (dev.translate && (always || n == frames / 2))
			invalidate_all();
		send_one(n);
		receive_one(n);
	}
	if (cost)
		printf("cost %.1f\n", (double)(ran_ns() - began) / (2 * frames));
	if (logging)
		compare_log();
	printf("frames %u misses %u updates %u invalidates %u\n",
	       2 * frames, dev.misses, dev.updates, dev.invalidates);
	return 0;
}
