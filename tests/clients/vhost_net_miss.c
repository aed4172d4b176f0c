// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_net_miss [-hold] [-kvm] [-denied] [-name ANYTHING]
 *
 * A vhost-net device that translates, driven so that each miss, update, invalidation,
 * refusal and eviction is known, and how long each miss waited at least and at most. Two
 * devices are opened; the second one only gets its table.
 *
 * Only the sending queue runs, one frame at a time. Where the device has not yet come to
 * rest it may look at a frame twice, and miss its address twice; that this was the same
 * wait is known: a page that is mapped is not missed. Where nothing may be under way it is
 * waited for, and all that it said is read.
 *
 *   -hold    wait for a line on stdin at each of the points "start" (before anything is
 *            opened), "middle" and "end" (before it is closed, with one miss unanswered)
 *   -kvm     be the owner of a VM of KVM's as well
 *   -denied  use an address that is mapped for the other direction only
 *   -name    looked at by others, in our command line
 *
 * The last line is what all this must have looked like, as JSON, in all and since the point
 * "middle", where the counts are those of the first device.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
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
#include <time.h>
#include <unistd.h>

#define PAGE		4096UL
#define PAGES		80
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define FAR		0x4000000000ULL	/* where nothing is ever used */
#define ENTRIES		64		/* of the ring */
#define HEADER		12		/* struct virtio_net_hdr_mrg_rxbuf */
#define FRAME		200
#define PROTOCOL	0x88b5		/* for local experiments */
#define PATIENCE_MS	20000
#define TX		1

#define PLAIN		7		/* misses, each answered after a while */
#define AGAIN		9		/* misses of one address before it is answered */
#define EVICTED		5

static struct {
	int vhost, second, tap, packet, kick, call, error;
	uint8_t *memory;
	struct vring vring;
	uint16_t avail;
	uint64_t since_ns;	/* just before the kick that led to the miss */
	unsigned int next;	/* page that nobody has used yet */
	bool missed[PAGES];	/* since it was last unknown to the device */
	bool hold;
} net = { .next = 4 };

static struct truth {
	unsigned int misses;
	unsigned int again;	/* those of an address that was being waited for */
	unsigned int waits;	/* that ended with an update */
	unsigned int updates, invalidates, evictions;
	unsigned int denied, frames;
	unsigned int efault, einval, wrapped;	/* messages that were refused */
	unsigned int entries;	/* of the table */
	uint64_t least_ns, most_ns;	/* how long all waits took */
} truth;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static unsigned int limit(void)
{
	FILE *f = fopen("/sys/module/vhost/parameters/max_iotlb_entries", "re");
	unsigned int n = 0;

	if (!f || fscanf(f, "%u", &n) != 1)
		errx(EXIT_FAILURE, "max_iotlb_entries cannot be read");
	fclose(f);
	return n;
}

static void say(const char *what, const struct truth *t, const struct truth *since)
{
#define DIFF(field) (t->field - since->field)
	printf("\"%s\":{\"misses\":%u,\"again\":%u,\"waits\":%u,\"updates\":%u,\"invalidates\":%u,"
	       "\"evictions\":%u,\"denied\":%u,\"frames\":%u,\"efault\":%u,\"einval\":%u,"
	       "\"wrapped\":%u,\"least\":%.9f,\"most\":%.9f}", what, DIFF(misses), DIFF(again),
	       DIFF(waits), DIFF(updates), DIFF(invalidates), DIFF(evictions), DIFF(denied),
	       DIFF(frames), DIFF(efault), DIFF(einval), DIFF(wrapped), DIFF(least_ns) / 1e9,
	       DIFF(most_ns) / 1e9);
#undef DIFF
}

static void point(const char *at)
{
	char line[16];

	if (!net.hold)
		return;
	printf("{\"barrier\":true,\"at\":\"%s\"}\n", at);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		errx(EXIT_FAILURE, "nobody says go on");
}

/* Writes an IOTLB message; -errno if it was refused. */
static int message(uint64_t iova, uint64_t size, uint64_t uaddr, uint8_t perm, uint8_t type)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = { .iova = iova, .size = size, .uaddr = uaddr, .perm = perm, .type = type },
	};

	return write(net.vhost, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

static void update(unsigned int page, uint8_t perm)
{
	if (message(IOVA + page * PAGE, PAGE, (uintptr_t)net.memory + page * PAGE, perm,
		    VHOST_IOTLB_UPDATE))
		err(EXIT_FAILURE, "update");
	truth.updates++;
	truth.entries++;
}

/* @maps are there of this page. */
static void invalidate(unsigned int page, unsigned int maps)
{
	if (message(IOVA + page * PAGE, PAGE, 0, 0, VHOST_IOTLB_INVALIDATE))
		err(EXIT_FAILURE, "invalidate");
	truth.invalidates++;
	truth.entries -= maps;
}

static void kick(void)
{
	uint64_t one = 1;

	must(write(net.kick, &one, sizeof(one)));
}

static void wait_for(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (must(poll(&p, 1, PATIENCE_MS)) != 1)
		errx(EXIT_FAILURE, "%s: nothing happened", what);
}

/* The page that the next message is a miss of; -1: there is no message. */
static int read_miss(void)
{
	struct vhost_msg_v2 msg;
	unsigned int page;
	ssize_t len = read(net.vhost, &msg, sizeof(msg));

	if (len < 0 && errno == EAGAIN)
		return -1;
	if (len != sizeof(msg) || msg.iotlb.type != VHOST_IOTLB_MISS || msg.iotlb.iova < IOVA ||
	    msg.iotlb.iova >= IOVA + PAGES * PAGE)
		errx(EXIT_FAILURE, "message of %zd bytes, type %u, about 0x%llx", len, msg.iotlb.type,
		     (unsigned long long)msg.iotlb.iova);
	page = (msg.iotlb.iova - IOVA) / PAGE;
	truth.misses++;
	truth.again += net.missed[page];
	net.missed[page] = true;
	return page;
}

static void expect_miss(unsigned int page)
{
	int got;

	do {
		wait_for(net.vhost, "a miss");
		got = read_miss();
		if (got >= 0 && (unsigned int)got != page && !net.missed[got])
			errx(EXIT_FAILURE, "a miss of page %d, not %u", got, page);
	} while (got != (int)page);
}

/*
 * The device rests, and all that it said was read; the number of its errors. A queue that
 * is given another eventfd to be kicked by waits for what is under way.
 */
static unsigned int rest(void)
{
	struct vhost_vring_file file = { .index = TX };
	uint64_t errors = 0;
	int old = net.kick;

	net.kick = file.fd = must(eventfd(0, EFD_NONBLOCK));
	must(ioctl(net.vhost, VHOST_SET_VRING_KICK, &file));
	close(old);
	while (read_miss() >= 0)
		;
	if (read(net.error, &errors, sizeof(errors)) < 0 && errno != EAGAIN)
		err(EXIT_FAILURE, "errors");
	return errors;
}

static void offer(unsigned int page)
{
	uint16_t slot = net.avail % ENTRIES;
	uint8_t *frame = net.memory + page * PAGE + HEADER;
	struct ether_header *eth = (void *)frame;

	memset(net.memory + page * PAGE, 0, HEADER);
	memset(frame, page, FRAME);
	memset(eth, 0xff, 2 * ETH_ALEN);
	eth->ether_shost[0] = 0x02;
	eth->ether_type = htons(PROTOCOL);
	net.vring.desc[slot] = (struct vring_desc){ .addr = IOVA + page * PAGE, .len = HEADER + FRAME };
	net.vring.avail->ring[slot] = slot;
	__atomic_store_n(&net.vring.avail->idx, ++net.avail, __ATOMIC_RELEASE);
}

static void expect_frame(unsigned int page)
{
	uint8_t frame[2048];

	wait_for(net.packet, "a frame");
	if (must(recv(net.packet, frame, sizeof(frame), 0)) != FRAME ||
	    memcmp(frame, net.memory + page * PAGE + HEADER, FRAME))
		errx(EXIT_FAILURE, "the frame is not what was sent");
	truth.frames++;
}

/* Offers a page that the device cannot know. */
static unsigned int miss(void)
{
	unsigned int page = net.next++;

	net.since_ns = now_ns();
	offer(page);
	kick();
	expect_miss(page);
	return page;
}

/* Answers a miss, late. */
static void late(unsigned int page)
{
	uint64_t read_ns = now_ns(), begin_ns;

	usleep(20000);
	begin_ns = now_ns();
	update(page, VHOST_ACCESS_RW);
	truth.most_ns += now_ns() - net.since_ns;
	truth.least_ns += begin_ns - read_ns;
	truth.waits++;
}

static void answer(unsigned int page)
{
	late(page);
	expect_frame(page);
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
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	must(ioctl(net.packet, SIOCSIFFLAGS, &ifr));
	must(bind(net.packet, (void *)&at, sizeof(at)));
}

static int vhost_open(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	uint64_t backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;
	int fd = must(open("/dev/vhost-net", O_RDWR | O_NONBLOCK));

	must(ioctl(fd, VHOST_SET_OWNER));
	must(ioctl(fd, VHOST_SET_BACKEND_FEATURES, &backend));
	must(ioctl(fd, VHOST_SET_FEATURES, &features));
	return fd;
}

static void ring_setup(void)
{
	struct vhost_vring_state size = { TX, ENTRIES }, base = { TX, 0 };
	struct vhost_vring_addr addr = { .index = TX };
	struct vhost_vring_file file = { .index = TX };
	struct vhost_memory none = { 0 };

	vring_init(&net.vring, ENTRIES, net.memory, PAGE);
	net.kick = must(eventfd(0, EFD_NONBLOCK));
	net.call = must(eventfd(0, EFD_NONBLOCK));
	net.error = must(eventfd(0, EFD_NONBLOCK));
	must(ioctl(net.vhost, VHOST_SET_MEM_TABLE, &none));
	must(ioctl(net.vhost, VHOST_SET_VRING_NUM, &size));
	must(ioctl(net.vhost, VHOST_SET_VRING_BASE, &base));
	addr.desc_user_addr = IOVA + ((uint8_t *)net.vring.desc - net.memory);
	addr.avail_user_addr = IOVA + ((uint8_t *)net.vring.avail - net.memory);
	addr.used_user_addr = IOVA + ((uint8_t *)net.vring.used - net.memory);
	must(ioctl(net.vhost, VHOST_SET_VRING_ADDR, &addr));
	file.fd = net.kick;
	must(ioctl(net.vhost, VHOST_SET_VRING_KICK, &file));
	file.fd = net.call;
	must(ioctl(net.vhost, VHOST_SET_VRING_CALL, &file));
	file.fd = net.error;
	must(ioctl(net.vhost, VHOST_SET_VRING_ERR, &file));
	/* with its rings mapped the device misses nothing when it begins */
	update(0, VHOST_ACCESS_RW);
	update(1, VHOST_ACCESS_RW);
	file.fd = net.tap;
	must(ioctl(net.vhost, VHOST_NET_SET_BACKEND, &file));
}

/* The queue has no card for a moment: the table stays as it is. */
static void leave(void)
{
	struct vhost_vring_file file = { .index = TX, .fd = -1 };

	must(ioctl(net.vhost, VHOST_NET_SET_BACKEND, &file));
	file.fd = net.tap;
	must(ioctl(net.vhost, VHOST_NET_SET_BACKEND, &file));
}

static void plain(unsigned int n)
{
	while (n--)
		answer(miss());
}

/* The same address again and again, and an update that does not help. */
static void storm(void)
{
	unsigned int page = miss();

	for (unsigned int i = 1; i < AGAIN; i++) {
		kick();
		expect_miss(page);
	}
	update(net.next++, VHOST_ACCESS_RW);
	answer(page);
}

static void refusals(void)
{
	int status;

	if (message(FAR, 0, 0, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE) != -EINVAL)
		err(EXIT_FAILURE, "an update of nothing");
	truth.einval++;
	if (message(FAR, PAGE, -PAGE / 2, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE) != -EFAULT)
		err(EXIT_FAILURE, "an update of what is no address");
	truth.efault++;
	/* the base makes EFAULT of what follows, ours says what it is */
	status = message(FAR, PAGE, 0, VHOST_ACCESS_RW, 77);
	if (status != -EFAULT && status != -EINVAL)
		err(EXIT_FAILURE, "a message that is none");
	truth.efault += status == -EFAULT;
	truth.einval += status == -EINVAL;
	status = message(-PAGE, 2 * PAGE, (uintptr_t)net.memory, VHOST_ACCESS_RW, VHOST_IOTLB_UPDATE);
	if (status != -EFAULT && status != -EINVAL)
		err(EXIT_FAILURE, "an update that wraps");
	truth.wrapped++;
}

/* Mapped, but not for this. It does not miss; the device says that it cannot go on. */
static void denied(void)
{
	unsigned int page = net.next++, errors;

	if (rest())
		errx(EXIT_FAILURE, "the device had errors before");
	update(page, VHOST_ACCESS_WO);
	offer(page);
	kick();
	wait_for(net.error, "an error");
	errors = rest();
	truth.denied += errors;
	/* of two maps of an address the older one would be used */
	invalidate(page, 1);
	update(page, VHOST_ACCESS_RW);
	kick();
	expect_frame(page);
}

/* A page that was known is missed again. */
static void forgotten(void)
{
	unsigned int page = net.next++;

	update(page, VHOST_ACCESS_RW);
	offer(page);
	kick();
	expect_frame(page);
	rest();
	invalidate(page, 1);
	/* accepted all the same */
	invalidate(page, 0);
	net.since_ns = now_ns();
	offer(page);
	kick();
	expect_miss(page);
	answer(page);
}

/* The ring itself is looked up before a round of work. */
static void rings(void)
{
	unsigned int page = net.next++;

	update(page, VHOST_ACCESS_RW);
	rest();
	invalidate(0, 1);
	net.since_ns = now_ns();
	offer(page);
	kick();
	expect_miss(0);
	late(0);
	expect_frame(page);
}

/* More maps than there is room for: the oldest go. */
static void evictions(void)
{
	unsigned int n = limit() - truth.entries + EVICTED;

	for (unsigned int i = 0; i < n; i++) {
		if (message(FAR + i * PAGE, PAGE, (uintptr_t)net.memory, VHOST_ACCESS_RW,
			    VHOST_IOTLB_UPDATE))
			err(EXIT_FAILURE, "update %u", i);
		truth.updates++;
	}
	truth.evictions += EVICTED;
	truth.entries = limit();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "hold", no_argument, NULL, 'h' },
		{ "kvm", no_argument, NULL, 'k' },
		{ "denied", no_argument, NULL, 'd' },
		{ "name", required_argument, NULL, 'n' },
		{ 0 }
	};
	bool with_kvm = false, with_denied = false;
	struct truth middle, none = { 0 };
	int entries;
	int opt;

	while ((opt = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'h':
			net.hold = true;
			break;
		case 'k':
			with_kvm = true;
			break;
		case 'd':
			with_denied = true;
			break;
		case 'n':
			break;
		default:
			return 2;
		}
	}
	net.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (net.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	if (with_kvm)
		must(ioctl(must(ioctl(must(open("/dev/kvm", O_RDWR)), KVM_CREATE_VM, 0)),
			   KVM_CREATE_VCPU, 0));
	tap_setup();
	point("start");

	net.vhost = vhost_open();
	net.second = vhost_open();
	ring_setup();
	plain(PLAIN);
	rest();
	leave();
	middle = truth;
	point("middle");

	plain(PLAIN);
	storm();
	forgotten();
	rings();
	refusals();
	if (with_denied)
		denied();
	miss();
	rest();
	evictions();
	point("end");

	/* nobody offers anything any more, and no miss was left unread */
	entries = truth.entries;
	close(net.vhost);
	printf("{\"pid\":%d,\"limit\":%u,\"entries\":%d,", getpid(), limit(), entries);
	say("total", &truth, &none);
	putchar(',');
	say("since_middle", &truth, &middle);
	puts("}");
	return 0;
}
