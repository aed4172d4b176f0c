// SPDX-License-Identifier: GPL-2.0
/*
 * frames [-n FRAMES] [-b BURST] [-s SIZE] [-t THREAD] INTERFACE - frames that come back
 * frames -r INTERFACE - the other end of a wire: what comes in goes out again, until killed
 *
 * Sends Ethernet frames to the interface's own address, out of it, and compares every
 * byte of what comes in with what was sent, in order. Between them go frames for
 * another address, which must not come in.
 *
 *   -n  default 400
 *   -b  so many are on their way at once, default 1
 *   -s  all of that size; default: from 60 bytes to the interface's MTU, at random
 *   -t  says before how long a frame took there and back, in ns, and how much of that the
 *       kernel's thread of that name ran; all frames but for their numbers are the same
 *
 * The last line: frames N bytes N strangers N
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "thread_time.h"

#define PROTOCOL	0x88b5		/* for local experiments */
#define FRAME_MAX	65536
#define PATIENCE_MS	20000

static uint8_t sent[FRAME_MAX], got[FRAME_MAX];

/* What is in frame n, and how long it is, can be told at both ends. */
static uint64_t mix(uint64_t n)
{
	n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ULL;
	n = (n ^ (n >> 27)) * 0x94d049bb133111ebULL;
	return n ^ (n >> 31);
}

static size_t make(uint8_t *frame, unsigned int n, const uint8_t *to, const uint8_t *from,
		   size_t size, size_t most)
{
	size_t len = size ? size : 60 + mix(n) % (most - 60 + 1);
	uint64_t x = n;

	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, from, ETH_ALEN);
	frame[12] = PROTOCOL >> 8;
	frame[13] = PROTOCOL & 0xff;
	memcpy(frame + 14, &n, sizeof(n));
	for (size_t i = 18; i < len; i++) {
		if (i % 8 == 2)
			x = mix(x + 1);
		frame[i] = x >> 8 * (i % 8);
	}
	return len;
}

/* Sent in bursts, received, compared; nothing else is done while the clock runs. */
static void timed(int fd, unsigned int frames, unsigned int burst, size_t size, const uint8_t *mac,
		  const char *thread)
{
	unsigned int out = 0, in = 0, i;
	uint64_t begin, ran;

	make(sent, 0, mac, mac, size, size);
	ran = thread_time(thread);
	begin = now_ns();
	while (in < frames) {
		for (i = 0; i < burst; i++, out++) {
			memcpy(sent + 14, &out, sizeof(out));
			if (send(fd, sent, size, 0) != (ssize_t)size)
				err(EXIT_FAILURE, "sending frame %u", out);
		}
		for (i = 0; i < burst; i++, in++) {
			if (recv(fd, got, sizeof(got), 0) != (ssize_t)size)
				err(EXIT_FAILURE, "frame %u did not come back", in);
			memcpy(sent + 14, &in, sizeof(in));
			if (memcmp(got, sent, size))
				errx(EXIT_FAILURE, "frame %u came back as another", in);
		}
	}
	printf("all %.1f\n", (double)(now_ns() - begin) / frames);
	printf("worker %.1f\n", (double)(thread_time(thread) - ran) / frames);
}

/* All of them, whoever they are for: who gets his own back is the other card's to decide. */
static void reflect(int fd, unsigned int ifindex)
{
	struct packet_mreq all = { .mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC };
	struct timeval for_ever = {};
	struct sockaddr_ll from;
	socklen_t from_len;
	ssize_t len;

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &for_ever, sizeof(for_ever)))
		err(EXIT_FAILURE, "packet socket");
	for (;;) {
		from_len = sizeof(from);
		len = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len);
		if (len < 0)
			err(EXIT_FAILURE, "receiving");
		if (from.sll_pkttype != PACKET_OUTGOING && send(fd, got, len, 0) != len)
			err(EXIT_FAILURE, "sending it back");
	}
}

int main(int argc, char **argv)
{
	unsigned int frames = 400, burst = 1, out = 0, in = 0, strangers = 0;
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	struct sockaddr_ll addr = { .sll_family = AF_PACKET };
	unsigned long long bytes = 0;
	size_t size = 0, most, len;
	int opt, fd, room = 8 << 20, one = 1;
	const char *thread = NULL;
	bool mirror = false;
	uint8_t mac[ETH_ALEN], other[ETH_ALEN];
	struct ifreq ifr = {};

	while ((opt = getopt(argc, argv, "n:b:s:t:r")) != -1) {
		switch (opt) {
		case 'n': frames = strtoul(optarg, NULL, 0); break;
		case 'b': burst = strtoul(optarg, NULL, 0); break;
		case 's': size = strtoul(optarg, NULL, 0); break;
		case 't': thread = optarg; break;
		case 'r': mirror = true; break;
		default: return 2;
		}
	}
	if (optind + 1 != argc || !burst || (size && (size < 60 || size > FRAME_MAX)) ||
	    (thread && (!size || frames % burst)))
		errx(2, "usage: frames [-n FRAMES] [-b BURST] [-s SIZE] [-t THREAD] INTERFACE | -r INTERFACE");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[optind]);

	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFMTU, &ifr))
		err(EXIT_FAILURE, "%s", argv[optind]);
	most = ifr.ifr_mtu + ETH_HLEN;
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		err(EXIT_FAILURE, "its address");
	memcpy(mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	memcpy(other, mac, ETH_ALEN);
	other[5] ^= 0x55;
	addr.sll_ifindex = if_nametoindex(argv[optind]);
	addr.sll_protocol = htons(PROTOCOL);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		err(EXIT_FAILURE, "packet socket");
	if (mirror)
		reflect(fd, addr.sll_ifindex);
	if (thread) {
		/* not what goes out */
		if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
			err(EXIT_FAILURE, "PACKET_IGNORE_OUTGOING");
		timed(fd, frames, burst, size, mac, thread);
		return 0;
	}

	while (in < frames) {
		struct sockaddr_ll from;
		socklen_t from_len = sizeof(from);
		ssize_t have;

		while (out < frames && out - in < burst) {
			if (!size && out % 7 == 3) {
				len = make(sent, out, other, mac, 0, most);
				if (send(fd, sent, len, 0) != (ssize_t)len)
					err(EXIT_FAILURE, "sending to a stranger");
				strangers++;
			}
			len = make(sent, out, mac, mac, size, most);
			if (send(fd, sent, len, 0) != (ssize_t)len)
				err(EXIT_FAILURE, "sending frame %u", out);
			out++;
		}
		have = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_len);
		if (have < 0)
			err(EXIT_FAILURE, "frame %u did not come back", in);
		if (from.sll_pkttype == PACKET_OUTGOING)
			continue;
		len = make(sent, in, mac, mac, size, most);
		if (have != (ssize_t)len)
			errx(EXIT_FAILURE, "frame %u: %zd bytes came back of %zu", in, have, len);
		if (memcmp(got, sent, len))
			errx(EXIT_FAILURE, "frame %u came back as another", in);
		bytes += len;
		in++;
	}
	printf("frames %u bytes %llu strangers %u\n", in, bytes, strangers);
	return 0;
}
