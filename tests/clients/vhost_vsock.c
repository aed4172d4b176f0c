// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_vsock [-i] [-n PACKETS] - the driver's side of a vhost-vsock device
 *
 * A guest that connects to a socket of the host, sends it PACKETS packets and has each
 * sent back; every byte is compared at both ends.
 *
 *   -i  the device translates: it is given I/O virtual addresses, and a page is
 *       mapped only once the device has missed it. Half way all is invalidated.
 *   -n  default 200
 *
 * The last line counts what the device must have seen:
 *	packets N misses N updates N invalidates N
 */
#include <endian.h>
#include <linux/virtio_vsock.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "vhost_driver.h"

#define GUEST_CID	77
#define GUEST_PORT	1077
#define HOST_PORT	2077
#define PAYLOAD		3000
#define CREDIT		(256 * 1024)

static uint32_t consumed;	/* bytes that the guest has taken, which is its peer's credit */

static void fill(uint8_t *data, unsigned int n, unsigned int way)
{
	for (unsigned int i = 0; i < PAYLOAD; i++)
		data[i] = n * 31 + i * 7 + (i >> 8) + way * 101;
}

static void compare(const char *way, unsigned int n, unsigned int which, const uint8_t *got)
{
	uint8_t want[PAYLOAD];

	fill(want, n, which);
	if (memcmp(got, want, PAYLOAD))
		errx(EXIT_FAILURE, "%s: packet %u is not what was sent", way, n);
}

/* The guest sends a packet; @data may be NULL. */
static void guest_send(uint16_t op, const void *data, uint32_t len)
{
	struct ring *r = &dev.ring[TX];
	uint8_t *b = buffer(r, r->avail);
	const struct virtio_vsock_hdr hdr = {
		.src_cid = htole64(GUEST_CID),
		.dst_cid = htole64(VMADDR_CID_HOST),
		.src_port = htole32(GUEST_PORT),
		.dst_port = htole32(HOST_PORT),
		.len = htole32(len),
		.type = htole16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = htole16(op),
		.buf_alloc = htole32(CREDIT),
		.fwd_cnt = htole32(consumed),
	};

	memcpy(b, &hdr, sizeof(hdr));
	if (len)
		memcpy(b + sizeof(hdr), data, len);
	ring_offer(r, sizeof(hdr) + len, 0);
	wait_for(ring_has_used, r, "the sent buffer's return");
	r->used++;
}

/*
 * The guest receives a packet of @op; its data goes to @data, which has room for @room.
 * News of the peer's credit may come at any time, and does not matter to us.
 */
static uint32_t guest_receive(uint16_t op, void *data, uint32_t room)
{
	struct ring *r = &dev.ring[RX];
	struct virtio_vsock_hdr hdr;
	uint32_t used, len;
	uint8_t *b;

	do {
		memset(buffer(r, r->avail), 0, PAGE);
		ring_offer(r, PAGE, VRING_DESC_F_WRITE);
		wait_for(ring_has_used, r, "receiving");
		used = r->vring.used->ring[r->used % ENTRIES].len;
		b = buffer(r, r->used++);
		memcpy(&hdr, b, sizeof(hdr));
		len = le32toh(hdr.len);
	} while (le16toh(hdr.op) == VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	if (le16toh(hdr.op) != op)
		errx(EXIT_FAILURE, "a packet of operation %u, expected %u", le16toh(hdr.op), op);
	if (le64toh(hdr.dst_cid) != GUEST_CID || le32toh(hdr.dst_port) != GUEST_PORT ||
	    le32toh(hdr.src_port) != HOST_PORT)
		errx(EXIT_FAILURE, "a packet for somebody else");
	if (used != sizeof(hdr) + len || len > room)
		errx(EXIT_FAILURE, "%u bytes used for a packet of %u", used, len);
	if (len)
		memcpy(data, b + sizeof(hdr), len);
	consumed += len;
	return len;
}

static int host_listen(void)
{
	const struct sockaddr_vm at = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = HOST_PORT,
	};
	int s = must(socket(AF_VSOCK, SOCK_STREAM, 0));

	must(bind(s, (const void *)&at, sizeof(at)));
	must(listen(s, 1));
	return s;
}

static void host_receive(int s, unsigned int n)
{
	uint8_t got[PAYLOAD];

	if (must(recv(s, got, PAYLOAD, MSG_WAITALL)) != PAYLOAD)
		errx(EXIT_FAILURE, "packet %u did not come whole", n);
	compare("sent", n, TX, got);
}

static void echo(int s, unsigned int n)
{
	uint8_t data[PAYLOAD];
	uint32_t got = 0;

	fill(data, n, TX);
	guest_send(VIRTIO_VSOCK_OP_RW, data, PAYLOAD);
	host_receive(s, n);

	fill(data, n, RX);
	if (must(send(s, data, PAYLOAD, MSG_NOSIGNAL)) != PAYLOAD)
		errx(EXIT_FAILURE, "short send");
	memset(data, 0, PAYLOAD);
	while (got < PAYLOAD)
		got += guest_receive(VIRTIO_VSOCK_OP_RW, data + got, PAYLOAD - got);
	compare("received", n, RX, data);
}

int main(int argc, char **argv)
{
	const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	unsigned int packets = 200;
	uint64_t cid = GUEST_CID;
	int opt, server, s, on = 1;

	while ((opt = getopt(argc, argv, "in:")) != -1) {
		switch (opt) {
		case 'i':
			dev.translate = true;
			break;
		case 'n':
			packets = strtoul(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: vhost_vsock [-i] [-n PACKETS]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dev.other = -1;
	driver_setup("/dev/vhost-vsock", false);
	must(ioctl(dev.vhost, VHOST_VSOCK_SET_GUEST_CID, &cid));
	must(ioctl(dev.vhost, VHOST_VSOCK_SET_RUNNING, &on));

	server = host_listen();
	guest_send(VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	guest_receive(VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	s = must(accept(server, NULL, NULL));
	must(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	for (unsigned int n = 0; n < packets; n++) {
		if (dev.translate && n == packets / 2)
			invalidate_all();
		echo(s, n);
	}
	must(shutdown(s, SHUT_RDWR));
	guest_receive(VIRTIO_VSOCK_OP_SHUTDOWN, NULL, 0);
	/* as drivers do: without it the host keeps the connection for 8 s, and refuses it anew */
	guest_send(VIRTIO_VSOCK_OP_RST, NULL, 0);
	printf("packets %u misses %u updates %u invalidates %u\n",
	       2 * packets, dev.misses, dev.updates, dev.invalidates);
	return 0;
}
