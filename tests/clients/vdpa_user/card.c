// SPDX-License-Identifier: GPL-2.0
/* A network card. */
#include "user.h"
#include "whats.h"

#include <linux/virtio_net.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CARD	(1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_CTRL_VQ | \
		 1ULL << VIRTIO_NET_F_CTRL_MAC_ADDR | 1ULL << VIRTIO_NET_F_STATUS)

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

void spaces(void)
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

void unused(void)
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

void control(void)
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

void config(void)
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

/* Sixteen buffers to receive into */
static void make_room(void)
{
	for (unsigned int i = 0; i < 16; i++) {
		put(0, i, page(DATA + 16 + i), PAGE, VRING_DESC_F_WRITE);
		offer(0, i);
	}
}

void loop(void)
{
	const unsigned int header = sizeof(struct virtio_net_hdr_v1);
	unsigned int i, got = 0;

	start_card(0, 0);
	map(0, 0, PAGES);
	driver_ok();
	make_room();
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

/* Sixteen, for the card itself */
static void send_frames(unsigned int header)
{
	for (unsigned int i = 0; i < 16; i++) {
		memset(page(DATA + i), 0, header);
		get_config(0, page(DATA + i) + header, 6);
		memset(page(DATA + i) + header + 6, 0x40 + i, 200 + i);
		put(1, i, page(DATA + i), header + 206 + i, 0);
		offer(1, i);
	}
}

/* What cannot be written to is no room: it is given back, and so much is said. */
static void bad_room(void)
{
	struct pollfd call = { .fd = user.queue[0].call, .events = POLLIN };

	put(0, 16, page(DATA + 16), PAGE, 0);
	offer(0, 16);
	kick(0);
	check(poll(&call, 1, PATIENCE_MS) == 1 && used(0) == 1);
	check(user.queue[0].vring.used->ring[0].id == 16 && !user.queue[0].vring.used->ring[0].len);
}

void left(void)
{
	const unsigned int header = sizeof(struct virtio_net_hdr_v1);
	enum { BEFORE, AFTER, AFTER_BAD, NEVER, WAYS } room;

	for (room = BEFORE; room < WAYS; room++) {
		start_card(0, 0);
		map(0, 0, PAGES);
		send_frames(header);
		if (room == BEFORE)
			make_room();
		driver_ok();
		if (room != BEFORE) {
			usleep(SHORTLY_MS * 1000);
			check(used(1) == 0);
		}
		if (room == AFTER_BAD)
			bad_room();
		if (room == AFTER || room == AFTER_BAD) {
			make_room();
			kick(0);
		}
		/* who kicks wants them sent as ever: what has no room is dropped */
		if (room == NEVER)
			kick(1);
		check(done_within(1, PATIENCE_MS));
		check(used(0) == (room == NEVER ? 0 : room == AFTER_BAD ? 17 : 16));
		for (unsigned int i = 0; room != NEVER && i < 16; i++)
			check(!memcmp(page(DATA + 16 + i) + header, page(DATA + i) + header, 206 + i));
		close_device();
	}
}
