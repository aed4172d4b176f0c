// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_vdpa DEVICE SUITE [ARGUMENT] - a process that drives a vDPA device
 *
 * DEVICE is /dev/vhost-vdpa-N of a device made by the module vdpa_probe, which says
 * in its parameters what came to it. Prints TAP lines; what they mean is for
 * tests/vm/vhost_vdpa.t. Suites:
 *
 *	ioctls		everything that can be asked and set, and what is refused
 *	memory		messages: maps, batches, errors, accounting, as the probe's mode has it
 *	files		the same for a device that takes virtual addresses
 *	runs N		N pages, no two contiguous
 *	faults		messages in which each allocation fails in turn
 *	removed		stays while the device is deleted: waits for a line on stdin
 *	busy SECONDS	maps, unmaps and kicks until it is killed
 *	exact		a fixed course of messages, and its counts, for who watches
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fail_nth.h"

#define PAGE		4096UL
#define IOVA		0x100000000ULL
#define MARK		0x6d69677363000000ULL
#define PARAMETERS	"/sys/module/vdpa_probe/parameters/"

#ifndef VHOST_BACKEND_F_SUSPEND
#define VHOST_BACKEND_F_SUSPEND		0x4
#endif
#ifndef VHOST_BACKEND_F_IOTLB_PERSIST
#define VHOST_BACKEND_F_IOTLB_PERSIST	0x8
#endif
#ifndef VHOST_VDPA_SUSPEND
#define VHOST_VDPA_SUSPEND		_IO(VHOST_VIRTIO, 0x7D)
#endif
#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME		_IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_VDPA_GET_VRING_DESC_GROUP
#define VHOST_VDPA_GET_VRING_DESC_GROUP	_IOWR(VHOST_VIRTIO, 0x7F, struct vhost_vring_state)
#endif
#ifndef VHOST_VDPA_GET_VQS_COUNT
#define VHOST_VDPA_GET_VQS_COUNT	_IOR(VHOST_VIRTIO, 0x80, __u32)
#endif
#ifndef VHOST_VDPA_GET_GROUP_NUM
#define VHOST_VDPA_GET_GROUP_NUM	_IOR(VHOST_VIRTIO, 0x81, __u32)
#endif
#ifndef VHOST_VDPA_GET_VRING_SIZE
#define VHOST_VDPA_GET_VRING_SIZE	_IOWR(VHOST_VIRTIO, 0x82, struct vhost_vring_state)
#endif

static int dev;
static unsigned int points;
static bool tables, by_file;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

static void ok(bool right, const char *name)
{
	printf("%sok %u - %s\n", right ? "" : "not ", ++points, name);
}

static void equal(const char *name, int64_t got, int64_t want)
{
	ok(got == want, name);
	if (got != want)
		printf("# got %" PRId64 " (0x%" PRIx64 "), want %" PRId64 " (0x%" PRIx64 ")\n",
		       got, got, want, want);
}

/* 0 or -errno */
static int got(long result)
{
	return result < 0 ? -errno : 0;
}

#define ioctl_is(name, cmd, arg, want)	equal(name, got(ioctl(dev, cmd, arg)), want)

/*
 * What the probe saw
 */

static void parameter_read(const char *name, char *text, size_t size)
{
	char path[128];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = must(open(path, O_RDONLY));
	len = must(read(fd, text, size - 1));
	text[len] = '\0';
	close(fd);
}

static int64_t parameter(const char *name)
{
	char text[64];

	parameter_read(name, text, sizeof(text));
	if (text[0] == 'Y' || text[0] == 'N')
		return text[0] == 'Y';
	return strtoll(text, NULL, 0);
}

static int parameter_write(const char *name, const char *text)
{
	char path[128];
	int fd, result;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = must(open(path, O_WRONLY));
	result = got(write(fd, text, strlen(text)));
	close(fd);
	return result;
}

static void parameter_set(const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	if (parameter_write(name, text))
		err(EXIT_FAILURE, "%s", name);
}

/* The word that the device finds at @iova, or 0. */
static uint64_t look(unsigned int asid, uint64_t iova)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %" PRIx64, asid, iova);
	if (parameter_write("look", text))
		err(EXIT_FAILURE, "look");
	parameter_read("look", text, sizeof(text));
	return strtoull(text, NULL, 0);
}

static bool reaches_everything(unsigned int space)
{
	char text[64];

	snprintf(text, sizeof(text), "%u 1000", space);
	if (parameter_write("look", text))
		err(EXIT_FAILURE, "look");
	parameter_read("look", text, sizeof(text));
	return !strncmp(text, "everything", 10);
}

static unsigned int seen(unsigned int queue, const char *what)
{
	char text[4096], *at = text, *value;

	parameter_read("seen", text, sizeof(text));
	while (queue--)
		at = strchr(at, '\n') + 1;
	value = strstr(at, what);
	return value ? strtoul(value + strlen(what), NULL, 0) : ~0U;
}

/* pages, as the kernel charges them to us */
static long charged(void)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmPin: %ld", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib / 4;
}

/*
 * Messages
 */

static uint32_t asid;

static int message(uint8_t type, uint64_t iova, uint64_t size, const void *uaddr, uint8_t perm)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = asid,
		.iotlb = {
			.iova = iova,
			.size = size,
			.uaddr = (uintptr_t)uaddr,
			.perm = perm,
			.type = type,
		},
	};
	ssize_t len = write(dev, &msg, sizeof(msg));

	return len == sizeof(msg) ? 0 : len < 0 ? -errno : 1;
}

static int map(uint64_t iova, uint64_t size, const void *uaddr)
{
	return message(VHOST_IOTLB_UPDATE, iova, size, uaddr, VHOST_ACCESS_RW);
}

static int unmap(uint64_t iova, uint64_t size)
{
	return message(VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
}

static int begin(void)
{
	return message(VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
}

static int end(void)
{
	return message(VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);
}

/* Each page begins with MARK and its number. */
static uint8_t *memory(unsigned long pages)
{
	uint8_t *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	madvise(p, pages * PAGE, MADV_NOHUGEPAGE);
	for (unsigned long i = 0; i < pages; i++)
		*(uint64_t *)(p + i * PAGE) = MARK + i;
	return p;
}

static bool device_sees(uint64_t iova, unsigned long first, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		if (look(asid, iova + i * PAGE) != MARK + first + i)
			return false;
	return true;
}

static void limit(unsigned long pages)
{
	struct rlimit r = { pages * PAGE, RLIM_INFINITY };

	if (pages == RLIM_INFINITY)
		r.rlim_cur = RLIM_INFINITY;
	must(setrlimit(RLIMIT_MEMLOCK, &r));
}

static void start(void)
{
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2 |
			    1ULL << VHOST_BACKEND_F_IOTLB_BATCH |
			    1ULL << VHOST_BACKEND_F_IOTLB_ASID;

	must(ioctl(dev, VHOST_SET_OWNER));
	must(ioctl(dev, VHOST_SET_BACKEND_FEATURES, &features));
}

static void status(uint8_t value)
{
	must(ioctl(dev, VHOST_VDPA_SET_STATUS, &value));
}

static void run(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;

	status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	must(ioctl(dev, VHOST_SET_FEATURES, &features));
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
	       VIRTIO_CONFIG_S_DRIVER_OK);
}

/*
 * Suites
 */

static int kick_fd(unsigned int queue)
{
	struct vhost_vring_file f = { .index = queue, .fd = must(eventfd(0, EFD_NONBLOCK)) };

	must(ioctl(dev, VHOST_SET_VRING_KICK, &f));
	return f.fd;
}

static void kick(int fd)
{
	uint64_t one = 1;

	must(write(fd, &one, sizeof(one)));
}

static uint64_t count(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) < 0 ? 0 : value;
}

static struct vhost_vdpa_config *config(uint32_t off, uint32_t len)
{
	static union {
		struct vhost_vdpa_config head;
		uint8_t room[8 + 8192];
	} c;

	memset(&c, 0, sizeof(c));
	c.head.off = off;
	c.head.len = len;
	return &c.head;
}

static void ioctls_configuration(void)
{
	uint32_t size = sizeof(struct virtio_net_config);
	struct vhost_vdpa_config *c;

	ioctl_is("config: its first bytes", VHOST_VDPA_GET_CONFIG, config(0, 6), 0);
	c = config(0, size);
	must(ioctl(dev, VHOST_VDPA_GET_CONFIG, c));
	equal("config: the MTU is there", ((struct virtio_net_config *)c->buf)->mtu, 1400);
	ioctl_is("config: its last byte", VHOST_VDPA_GET_CONFIG, config(size - 1, 1), 0);
	ioctl_is("config: a byte more", VHOST_VDPA_GET_CONFIG, config(0, size + 1), -EINVAL);
	ioctl_is("config: beyond it", VHOST_VDPA_GET_CONFIG, config(size, 1), -EINVAL);
	ioctl_is("config: far beyond it", VHOST_VDPA_GET_CONFIG, config(~0U, 2), -EINVAL);
	ioctl_is("config: no byte", VHOST_VDPA_GET_CONFIG, config(0, 0), -EINVAL);
	c = config(0, 6);
	memcpy(c->buf, "\x02\0\0\0\0\x07", 6);
	ioctl_is("config: written", VHOST_VDPA_SET_CONFIG, c, 0);
	c = config(5, 1);
	must(ioctl(dev, VHOST_VDPA_GET_CONFIG, c));
	equal("config: and read back", c->buf[0], 7);
	ioctl_is("config: written a byte too far", VHOST_VDPA_SET_CONFIG, config(size - 1, 2), -EINVAL);
}

static void ioctls_questions(void)
{
	struct vhost_vdpa_iova_range range = {};
	uint64_t features = 0;
	uint32_t number = 0;
	uint16_t size = 0;

	must(ioctl(dev, VHOST_VDPA_GET_DEVICE_ID, &number));
	equal("a network device", number, 1);
	must(ioctl(dev, VHOST_VDPA_GET_VRING_NUM, &size));
	equal("queues of 256", size, 256);
	must(ioctl(dev, VHOST_VDPA_GET_CONFIG_SIZE, &number));
	equal("size of the configuration", number, sizeof(struct virtio_net_config));
	must(ioctl(dev, VHOST_VDPA_GET_VQS_COUNT, &number));
	equal("4 queues", number, 4);
	must(ioctl(dev, VHOST_VDPA_GET_GROUP_NUM, &number));
	equal("2 groups", number, 2);
	must(ioctl(dev, VHOST_VDPA_GET_AS_NUM, &number));
	equal("3 address spaces", number, 3);
	must(ioctl(dev, VHOST_VDPA_GET_IOVA_RANGE, &range));
	ok(range.first == 0 && range.last == UINT64_MAX, "all addresses can be used");
	must(ioctl(dev, VHOST_GET_FEATURES, &features));
	ok(features & 1ULL << VIRTIO_F_ACCESS_PLATFORM, "it translates");
	must(ioctl(dev, VHOST_GET_BACKEND_FEATURES, &features));
	equal("backend features: v2, batch, spaces, suspend, resume, persist", features,
	      1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8);
	features |= 1ULL << 7;
	ioctl_is("one that is not offered", VHOST_SET_BACKEND_FEATURES, &features, -EOPNOTSUPP);
}

static void ioctls_queues(void)
{
	struct vhost_vring_state s = { .index = 1 };
	struct vhost_vring_addr a = {
		.index = 1, .desc_user_addr = 0x10000, .avail_user_addr = 0x20002,
		.used_user_addr = 0x30004,
	};

	s.num = 256;
	ioctl_is("a queue's size", VHOST_SET_VRING_NUM, &s, 0);
	equal("arrives", seen(1, "num "), 256);
	s.num = 512;
	ioctl_is("more than it can", VHOST_SET_VRING_NUM, &s, -EINVAL);
	s.num = 0;
	ioctl_is("nothing", VHOST_SET_VRING_NUM, &s, -EINVAL);
	s.num = 100;
	ioctl_is("not a power of two", VHOST_SET_VRING_NUM, &s, -EINVAL);
	s.index = 4;
	ioctl_is("a queue that it has not", VHOST_SET_VRING_NUM, &s, -ENOBUFS);
	s.index = ~0U;
	ioctl_is("far from it", VHOST_VDPA_SET_VRING_ENABLE, &s, -ENOBUFS);

	ioctl_is("a queue's rings", VHOST_SET_VRING_ADDR, &a, 0);
	equal("arrive: descriptors", seen(1, "desc "), 0x10000);
	equal("arrive: available", seen(1, "avail "), 0x20002);
	equal("arrive: used", seen(1, "used "), 0x30004);
	a.used_user_addr++;
	ioctl_is("not aligned", VHOST_SET_VRING_ADDR, &a, -EINVAL);
	a.used_user_addr--;
	a.flags = 2;
	ioctl_is("with a flag that nobody knows", VHOST_SET_VRING_ADDR, &a, -EOPNOTSUPP);

	s = (struct vhost_vring_state) { .index = 1, .num = 77 };
	ioctl_is("where it begins", VHOST_SET_VRING_BASE, &s, 0);
	s.num = 0;
	ioctl_is("asked for", VHOST_GET_VRING_BASE, &s, 0);
	equal("is the same", s.num, 77);
	s.num = 0x10000;
	ioctl_is("beyond 16 bits", VHOST_SET_VRING_BASE, &s, -EINVAL);
	s.num = 1;
	ioctl_is("enabled", VHOST_VDPA_SET_VRING_ENABLE, &s, 0);
	equal("arrives: ready", seen(1, "ready "), 1);

	s = (struct vhost_vring_state) { .index = 3 };
	ioctl_is("a queue's group", VHOST_VDPA_GET_VRING_GROUP, &s, 0);
	equal("the second", s.num, 1);
	s = (struct vhost_vring_state) { .index = 1, .num = 2 };
	ioctl_is("an address space for a group", VHOST_VDPA_SET_GROUP_ASID, &s, 0);
	equal("arrives: space", seen(2, "space "), 2);
	s.num = 3;
	ioctl_is("one that it has not", VHOST_VDPA_SET_GROUP_ASID, &s, -EINVAL);
	s = (struct vhost_vring_state) { .index = 2, .num = 1 };
	ioctl_is("a group that it has not", VHOST_VDPA_SET_GROUP_ASID, &s, -EINVAL);
	s.index = 0;
	ioctl_is("groups of descriptors: not here", VHOST_VDPA_GET_VRING_DESC_GROUP, &s, -EOPNOTSUPP);
	s.index = 1;
	ioctl_is("a queue's own size", VHOST_VDPA_GET_VRING_SIZE, &s, 0);
	equal("as it was set", s.num, 256);
	ioctl_is("the dirty log of vhost", VHOST_SET_LOG_BASE, &s, -ENOTTY);
	ioctl_is("a command of nobody's", _IO(VHOST_VIRTIO, 0xff), NULL, -ENOTTY);
	ioctl_is("a pointer to nothing", VHOST_SET_VRING_NUM, NULL, -EFAULT);
}

static void ioctls_packed(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM |
			    1ULL << VIRTIO_F_RING_PACKED;
	struct vhost_vring_state s = { .index = 0, .num = 0x80051234 };

	must(ioctl(dev, VHOST_SET_FEATURES, &features));
	ioctl_is("packed: where both ends stand", VHOST_SET_VRING_BASE, &s, 0);
	/* bit 0: avail's wrap, 1-15 its index; the same of used in the upper half */
	equal("packed: as the device has it", seen(0, "state "), 0x1234 << 1 | (0x0005 << 1 | 1) << 16);
	s.num = 0;
	must(ioctl(dev, VHOST_GET_VRING_BASE, &s));
	equal("packed: asked for", s.num, 0x80051234);
}

static void ioctls_life(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1;
	struct vhost_vring_state s = { .index = 0 };
	struct vhost_vring_addr a = { .index = 0 };
	uint8_t value = VIRTIO_CONFIG_S_ACKNOWLEDGE;
	int64_t resets = parameter("resets"), suspends = parameter("suspends");
	int fd = kick_fd(0);

	run();
	ioctl_is("features, when they are settled", VHOST_SET_FEATURES, &features, -EBUSY);
	ioctl_is("a status with bits taken away", VHOST_VDPA_SET_STATUS, &value, -EINVAL);
	ioctl_is("rings of a running device", VHOST_SET_VRING_ADDR, &a, -EINVAL);
	ioctl_is("and where it stands", VHOST_SET_VRING_BASE, &s, -EINVAL);

	for (int i = 0; i < 5; i++)
		kick(fd);
	equal("5 kicks arrive", seen(0, "kicks "), 5);
	ioctl_is("it is suspended", VHOST_VDPA_SUSPEND, NULL, 0);
	s.num = 3;
	ioctl_is("then it can be told where to go on", VHOST_SET_VRING_BASE, &s, 0);
	ioctl_is("it is resumed", VHOST_VDPA_RESUME, NULL, 0);
	kick(fd);
	ioctl_is("and asked", VHOST_GET_VRING_BASE, &s, 0);
	equal("it went on", s.num, 4);

	status(0);
	equal("a reset arrives", parameter("resets") - resets, 1);
	equal("before it, the device is made to stand still", parameter("suspends") - suspends, 2);
	s.num = 0;
	ioctl_is("asked after it", VHOST_GET_VRING_BASE, &s, 0);
	equal("how far it came is still known", s.num, 4);
	s.num = 9;
	must(ioctl(dev, VHOST_SET_VRING_BASE, &s));
	s.num = 0;
	must(ioctl(dev, VHOST_GET_VRING_BASE, &s));
	equal("until it is told another", s.num, 9);
	ioctl_is("suspend: it stands still anyway", VHOST_VDPA_SUSPEND, NULL, 0);
}

static void ioctls_calls(void)
{
	struct vhost_vring_file f = { .index = 0, .fd = must(eventfd(0, EFD_NONBLOCK)) };
	int configuration = must(eventfd(0, EFD_NONBLOCK)), other = must(eventfd(0, EFD_NONBLOCK));
	int call = f.fd;

	ioctl_is("a queue's callback", VHOST_SET_VRING_CALL, &f, 0);
	parameter_set("call", 0);
	parameter_set("call", 0);
	equal("two calls", count(call), 2);
	f.fd = other;
	ioctl_is("another", VHOST_SET_VRING_CALL, &f, 0);
	parameter_set("call", 0);
	ok(count(call) == 0 && count(other) == 1, "goes there");
	f.fd = -1;
	ioctl_is("none", VHOST_SET_VRING_CALL, &f, 0);
	parameter_set("call", 0);
	equal("goes nowhere", count(other), 0);
	f.fd = dev;
	ioctl_is("what is no eventfd", VHOST_SET_VRING_CALL, &f, -EINVAL);

	ioctl_is("the configuration's callback", VHOST_VDPA_SET_CONFIG_CALL, &configuration, 0);
	parameter_set("call", -1);
	equal("one call", count(configuration), 1);
	f.fd = -1;
	ioctl_is("none any more", VHOST_VDPA_SET_CONFIG_CALL, &f.fd, 0);
	parameter_set("call", -1);
	equal("no call", count(configuration), 0);
	must(ioctl(dev, VHOST_VDPA_SET_CONFIG_CALL, &configuration));
}

static void ioctls_bypass(void)
{
	struct vhost_vring_file f = { .index = 1, .fd = must(eventfd(0, EFD_NONBLOCK)) };

	parameter_set("has_irq", 1);
	parameter_set("consumer", f.fd);
	must(ioctl(dev, VHOST_SET_VRING_CALL, &f));
	equal("direct interrupts: not of a device that stands still", parameter("bypassed_irq"), -1);
	run();
	equal("direct interrupts: the queue's, once it runs", parameter("bypassed_irq"), 1001);
	f.fd = -1;
	must(ioctl(dev, VHOST_SET_VRING_CALL, &f));
	equal("direct interrupts: not without a callback", parameter("bypassed_irq"), -1);
	parameter_set("consumer", -1);
	f.fd = must(eventfd(0, EFD_NONBLOCK));
	must(ioctl(dev, VHOST_SET_VRING_CALL, &f));
	parameter_set("consumer", f.fd);
	equal("direct interrupts: again", parameter("bypassed_irq"), 1001);
	status(0);
	equal("direct interrupts: a reset ends them", parameter("bypassed_irq"), -1);
	run();
}

static sigjmp_buf fault;

static void faulted(int sig)
{
	siglongjmp(fault, sig);
}

static volatile uint32_t *doorbell(unsigned int queue, int prot, int flags, size_t size)
{
	void *p = mmap(NULL, size, prot, flags, dev, queue * PAGE);

	return p == MAP_FAILED ? NULL : p;
}

static void ioctls_doorbells(void)
{
	volatile uint32_t *bell;

	signal(SIGBUS, faulted);
	bell = doorbell(2, PROT_WRITE, MAP_SHARED, PAGE);
	ok(bell, "a queue's doorbell is mapped");
	if (bell)
		*bell = 4711;
	equal("it rings at the device", seen(2, "rung "), 4711);
	ok(!doorbell(2, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE), "not to be read");
	ok(bell && mprotect((void *)bell, PAGE, PROT_READ | PROT_WRITE), "nor later");
	ok(!doorbell(2, PROT_WRITE, MAP_PRIVATE, PAGE), "not private");
	ok(!doorbell(2, PROT_WRITE, MAP_SHARED, 2 * PAGE), "not two pages");
	ok(!doorbell(3, PROT_WRITE, MAP_SHARED, PAGE), "not what is less than a page");
	ok(!doorbell(4, PROT_WRITE, MAP_SHARED, PAGE), "not of a queue that it has not");
}

static void suite_ioctls(void)
{
	struct vhost_vring_state s = { .index = 0, .num = 64 };

	ioctl_is("a queue before there is an owner", VHOST_SET_VRING_NUM, &s, -EPERM);
	equal("memory before there is an owner", map(IOVA, PAGE, memory(1)), -EPERM);
	start();
	ioctl_is("a second owner", VHOST_SET_OWNER, NULL, -EBUSY);
	ioctls_questions();
	ioctls_configuration();
	ioctls_queues();
	ioctls_packed();
	status(0);
	ioctls_life();
	ioctls_calls();
	ioctls_bypass();
	ioctls_doorbells();
}

/* Accounting: what is charged, and that an error takes back what it charged. */
static void memory_limits(uint8_t *p)
{
	uint8_t *hole = memory(16);

	limit(16);
	equal("as much as may be locked", map(IOVA, 16 * PAGE, p), 0);
	equal("all of it is charged", charged(), 16);
	equal("a page more", map(IOVA + 16 * PAGE, PAGE, p), -ENOMEM);
	equal("is not charged", charged(), 16);
	equal("all goes", unmap(IOVA, 16 * PAGE), 0);
	equal("nothing is charged", charged(), 0);
	limit(8);
	equal("more than may ever be locked", map(IOVA, 9 * PAGE, p), -ENOMEM);
	equal("nothing was charged", charged(), 0);
	limit(64);

	munmap(hole + 12 * PAGE, PAGE);
	equal("memory with a hole", map(IOVA, 16 * PAGE, hole), -EFAULT);
	equal("nothing of it is charged", charged(), 0);
	equal("and nothing mapped", look(0, IOVA), 0);
	equal("no memory at all", map(IOVA, PAGE, (void *)(PAGE * 3)), -EFAULT);
	mprotect(hole, PAGE, PROT_READ);
	equal("written by the device, but not by us", map(IOVA, PAGE, hole), -EFAULT);
	equal("read only by the device", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, hole, VHOST_ACCESS_RO), 0);
	unmap(IOVA, PAGE);
	equal("it goes, too", charged(), 0);
	unmap(IOVA, 64 * PAGE);
	equal("the end of all addresses", map(IOVA, 2 * PAGE, (void *)-PAGE), -EFAULT);
}

static void memory_messages(uint8_t *p)
{
	struct vhost_msg_v2 msg = { .type = VHOST_IOTLB_MSG_V2, .iotlb.type = 77 };
	struct vhost_msg old = {
		.type = VHOST_IOTLB_MSG,
		.iotlb = {
			.iova = IOVA, .size = PAGE, .uaddr = (uintptr_t)p,
			.perm = VHOST_ACCESS_RW, .type = VHOST_IOTLB_UPDATE,
		},
	};

	equal("a map", map(IOVA, 4 * PAGE, p), 0);
	ok(device_sees(IOVA, 0, 4), "the device finds it all");
	equal("the same again", map(IOVA, 4 * PAGE, p), -EEXIST);
	equal("the last page of it", map(IOVA + 3 * PAGE, 8 * PAGE, p), -EEXIST);
	equal("the page before is free", map(IOVA - PAGE, PAGE, p + 9 * PAGE), 0);
	equal("that behind, too", map(IOVA + 4 * PAGE, PAGE, p + 4 * PAGE), 0);
	ok(device_sees(IOVA, 0, 5), "all is still right");
	equal("what is larger than what is mapped goes", unmap(IOVA - 64 * PAGE, 256 * PAGE), 0);
	equal("with all that it touches", look(0, IOVA), 0);
	equal("nothing is charged", charged(), 0);
	equal("what is not there goes, too", unmap(IOVA, PAGE), 0);

	equal("without a size", map(IOVA, 0, p), -EINVAL);
	equal("without a size, away", unmap(IOVA, 0), -EINVAL);
	equal("beyond all addresses", map(-PAGE, 2 * PAGE, p), -EINVAL);
	equal("beyond all addresses, away", unmap(-PAGE, 2 * PAGE), -EINVAL);
	equal("the last page of all", map(-PAGE, PAGE, p), 0);
	equal("goes", unmap(-PAGE, PAGE), 0);
	equal("neither read nor written", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, p, 0), -EINVAL);
	equal("what else?", message(VHOST_IOTLB_UPDATE, IOVA, PAGE, p, 7), -EINVAL);
	equal("of another alignment than we", map(IOVA + 8, PAGE, p), -EINVAL);
	equal("half a page is a page", map(IOVA + 8, 16, p + 8), 0);
	ok(look(0, IOVA) == MARK, "from its beginning");
	equal("which is taken", map(IOVA + 2048, 16, p + 2048), -EEXIST);
	unmap(IOVA, PAGE);

	equal("a message that is too short", got(write(dev, &msg, 16)), -EINVAL);
	equal("of a type that nobody knows", got(write(dev, &msg, sizeof(msg))), -EINVAL);
	equal("a miss, which only devices have", message(VHOST_IOTLB_MISS, IOVA, PAGE, p, 3), -EINVAL);
	msg.type = 3;
	equal("of a version to come", got(write(dev, &msg, sizeof(msg))), -EINVAL);
	equal("from nowhere", got(write(dev, (void *)PAGE, sizeof(msg))), -EFAULT);
	equal("of the first version", write(dev, &old, sizeof(old)), sizeof(old));
	ok(device_sees(IOVA, 0, 1), "is as good");
	unmap(IOVA, PAGE);
}

/* How often does the next page not follow in memory? As the process's page table has it. */
static int64_t runs_of(const uint8_t *p, unsigned long pages)
{
	int fd = must(open("/proc/self/pagemap", O_RDONLY));
	uint64_t entry, last = 0;
	int64_t runs = 0;

	for (unsigned long i = 0; i < pages; i++, last = entry) {
		must(pread(fd, &entry, sizeof(entry), ((uintptr_t)p / PAGE + i) * sizeof(entry)));
		entry &= (1ULL << 55) - 1;
		runs += entry != last + 1;
	}
	close(fd);
	return runs;
}

static void memory_runs(void)
{
	uint8_t *p = mmap(NULL, 2048 * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t runs;

	madvise(p, 2048 * PAGE, MADV_HUGEPAGE);
	for (unsigned long i = 0; i < 2048; i++)
		*(uint64_t *)(p + i * PAGE) = MARK + i;
	/* in the midst of a huge page, so that none ends where a batch of pinning does */
	runs = runs_of(p + 100 * PAGE, 1900);
	limit(2048);
	equal("memory in large pieces", map(IOVA, 1900 * PAGE, p + 100 * PAGE), 0);
	equal("as many maps as there are pieces", parameter("entries"), runs);
	ok(runs < 950, "which are fewer than pages");
	ok(look(0, IOVA) == MARK + 100 && look(0, IOVA + 1899 * PAGE) == MARK + 1999,
	   "from end to end");
	unmap(IOVA, 1900 * PAGE);
	munmap(p, 2048 * PAGE);
	limit(64);
}

static void memory_spaces(uint8_t *p)
{
	equal("another space", map(IOVA, PAGE, p), 0);
	asid = 1;
	equal("the same address there", map(IOVA, PAGE, p + PAGE), 0);
	ok(look(0, IOVA) == MARK && look(1, IOVA) == MARK + 1, "each has its own");
	equal("one goes", unmap(IOVA, PAGE), 0);
	ok(look(0, IOVA) == MARK && look(1, IOVA) == 0, "the other stays");
	asid = 3;
	equal("a space that it has not", map(IOVA, PAGE, p), -EINVAL);
	asid = 0;
	unmap(IOVA, PAGE);
}

static void memory_batches(uint8_t *p)
{
	int64_t calls = parameter("set_maps");

	equal("a batch begins", begin(), 0);
	for (int i = 0; i < 8; i++)
		if (map(IOVA + 2 * i * PAGE, PAGE, p + i * PAGE))
			ok(false, "in a batch");
	equal("one goes within", unmap(IOVA, PAGE), 0);
	if (tables)
		equal("the device hears nothing", parameter("set_maps") - calls, 0);
	asid = 1;
	equal("another space within", map(IOVA, PAGE, p), -EINVAL);
	equal("nor does its end end it", end(), -EINVAL);
	asid = 0;
	equal("what went is still charged, or not", charged(), tables ? 8 : 7);
	equal("it ends", end(), 0);
	if (tables)
		equal("the device hears it once", parameter("set_maps") - calls, 1);
	equal("7 maps", parameter("entries"), 7);
	equal("what went is let go", charged(), 7);
	ok(look(0, IOVA) == 0 && look(0, IOVA + 14 * PAGE) == MARK + 7, "and they are right");

	/* within a limit that holds the memory only once */
	limit(7);
	equal("a batch that moves all", begin(), 0);
	equal("away", unmap(IOVA, 64 * PAGE), 0);
	equal("to another place", map(IOVA + PAGE, 7 * PAGE, p), 0);
	equal("ends", end(), 0);
	ok(device_sees(IOVA + PAGE, 0, 7), "all is there");
	limit(64);
	unmap(IOVA, 64 * PAGE);
	equal("an end without a beginning", end(), 0);
}

static void memory_refused(uint8_t *p)
{
	const char *how = tables ? "fail_set_map" : "fail_dma_map";

	equal("a map that stays", map(IOVA, 4 * PAGE, p), 0);
	parameter_set(how, -ENOSPC);
	equal("the device has no room", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), -ENOSPC);
	parameter_set(how, -ENOMEM);
	equal("the device has no memory", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), -ENOMEM);
	equal("it is not charged", charged(), 4);
	ok(device_sees(IOVA, 0, 4) && look(0, IOVA + 8 * PAGE) == 0, "what was there is there");
	equal("the next one is right", map(IOVA + 8 * PAGE, 4 * PAGE, p + 4 * PAGE), 0);
	ok(device_sees(IOVA + 8 * PAGE, 4, 4), "at the device, too");
	if (tables) {
		begin();
		unmap(IOVA, 4 * PAGE);
		parameter_set(how, -ENOSPC);
		equal("the end of a batch that is refused", end(), -ENOSPC);
		equal("what it may still use is not let go", charged(), 8);
		equal("the next table is right", map(IOVA + 32 * PAGE, PAGE, p), 0);
		equal("then it is", charged(), 5);
	}
	unmap(IOVA, 64 * PAGE);
}

static void memory_reset(uint8_t *p)
{
	map(IOVA, 4 * PAGE, p);
	run();
	status(0);
	ok(device_sees(IOVA, 0, 4), "a reset keeps the maps");
	equal("ours, too", map(IOVA, PAGE, p), -EEXIST);
	equal("charged", charged(), 4);
	/* the rest is for our end to undo, within a batch even */
	begin();
	unmap(IOVA, PAGE);
}

static void suite_memory(void)
{
	uint8_t *p = memory(64);

	ok(!reaches_everything(0) && !reaches_everything(1) && !reaches_everything(2),
	   "before anything is mapped the device reaches nothing");
	start();
	limit(64);
	memory_messages(p);
	memory_limits(p);
	memory_runs();
	memory_spaces(p);
	memory_batches(p);
	memory_refused(p);
	memory_reset(p);
	equal("no page was let go before the device forgot it", parameter("unpinned"), 0);
}

/* Devices that take virtual addresses: shared files, and nothing is pinned. */
static void suite_files(void)
{
	int fd = must(memfd_create("guest", 0));
	uint8_t *p, *holes = memory(8), *many;

	must(ftruncate(fd, 16 * PAGE));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	start();
	equal("the device is bound to us", parameter("binds"), 1);
	limit(1);
	equal("a shared file, beyond what may be locked", map(IOVA, 16 * PAGE, p), 0);
	equal("is one map", parameter("entries"), 1);
	equal("of all pages", parameter("mapped"), 16 * PAGE);
	equal("nothing is charged", charged(), 0);
	unmap(IOVA, 16 * PAGE);
	equal("memory that is no file is left out", map(IOVA, 8 * PAGE, holes), 0);
	equal("no map", parameter("entries"), 0);
	mmap(holes + 2 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE);
	equal("a part of it is one", map(IOVA, 8 * PAGE, holes), 0);
	equal("its map", parameter("entries"), 1);
	equal("of that part", parameter("mapped"), 3 * PAGE);
	unmap(IOVA, 8 * PAGE);
	munmap(holes + 6 * PAGE, PAGE);
	equal("a hole", map(IOVA, 8 * PAGE, holes), -EFAULT);
	equal("leaves nothing", parameter("entries"), 0);

	/* every page a mapping of its own */
	many = mmap(NULL, 4096 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2049; i++)
		if (mmap(many + i * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, (i % 2) * 2 * PAGE) == MAP_FAILED)
			err(EXIT_FAILURE, "mmap");
	equal("2049 maps are too many", map(IOVA, 2049 * PAGE, many), -ENOSPC);
	equal("none is there", parameter("entries"), 0);
	equal("2048 are not", map(IOVA, 2048 * PAGE, many), 0);
	equal("all are there", parameter("entries"), 2048);
	equal("one more is", map(IOVA + 4096 * PAGE, PAGE, many), -ENOSPC);
}

/*
 * Memory of which no two pages are contiguous, though we have little: a file whose
 * pages were touched in disorder, mapped again and again.
 */
static uint8_t *fragments(unsigned long pages)
{
	const unsigned long block = 512;
	int fd = must(memfd_create("fragments", 0));
	uint8_t *p, *one;

	must(ftruncate(fd, block * PAGE));
	p = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	one = mmap(NULL, block * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (unsigned long i = 0; i < block; i++) {
		unsigned long page = i * 211 % block;	/* odd: every one once */

		*(uint64_t *)(one + page * PAGE) = MARK + page;
	}
	for (unsigned long i = 0; i < pages; i += block)
		if (mmap(p + i * PAGE, block * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			err(EXIT_FAILURE, "mmap");
	return p;
}

static void suite_runs(unsigned long pages)
{
	uint8_t *p = fragments(pages);
	unsigned long wrong = 0;
	int64_t runs;

	start();
	limit(pages);
	equal("all is mapped, with default parameters", map(IOVA, pages * PAGE, p), 0);
	equal("and charged", charged(), pages);
	runs = parameter("entries");
	equal("all its pages", parameter("mapped"), pages * PAGE);
	ok(runs > (int64_t)pages / 10 * 9, "hardly two pages are contiguous");
	printf("# %" PRId64 " runs of %lu pages\n", runs, pages);
	for (unsigned long i = 0; i < pages; i += 4099)
		wrong += look(0, IOVA + i * PAGE) != MARK + i % 512;
	equal("the device finds all that it is asked for", wrong, 0);
	equal("one more page does not fit", map(IOVA + pages * PAGE, PAGE, p), -ENOMEM);
	equal("all goes", unmap(IOVA, pages * PAGE), 0);
	equal("and is let go", charged(), 0);
	equal("not before the device forgot it", parameter("unpinned"), 0);
	equal("again, for our end to undo", map(IOVA, pages * PAGE, p), 0);
}

/*
 * A message in which the nth allocation fails, with n as long as there is one: what comes of
 * it is ENOMEM, or as if it had not failed. Returns how many there were; @left counts what
 * was not as before after an error.
 */
static unsigned int each_fails(int (*send)(uint8_t *), bool (*is_as_before)(void), int (*undo)(uint8_t *),
			       uint8_t *p, unsigned int *left)
{
	unsigned int n;
	int result;
	bool hit;

	for (n = 1; ; n++) {
		fail_nth(n);
		result = send(p);
		hit = fail_nth_end();
		if (!hit && result)
			++*left;
		if (result && (result != -ENOMEM || !is_as_before()))
			++*left;
		if (!result && undo(p))
			++*left;
		if (!hit)
			return n - 1;
	}
}

#define FAULT_PAGES	64

static int map_all(uint8_t *p) { return map(IOVA, FAULT_PAGES * PAGE, p); }
static int unmap_all(uint8_t *p) { (void)p; return unmap(IOVA, FAULT_PAGES * PAGE); }
static bool nothing_is_left(void) { return !charged() && !parameter("entries"); }
static bool nothing_is_charged(void) { return !charged(); }

static int batch_map(uint8_t *p)
{
	int result = begin() ?: map_all(p);

	/* what failed is not to end the batch with it */
	fail_nth(0);
	return end() ?: result;
}

static int batch_end(uint8_t *p)
{
	int result;

	fail_nth(0);
	result = begin() ?: map_all(p);
	fail_nth(1);
	return result ?: end();
}

/* After an unmap that failed the pages are still ours, or gone: asked again, they go. */
static int unmap_twice(uint8_t *p)
{
	int result = unmap_all(p);

	fail_nth(0);
	if (result && result != -ENOMEM)
		return result;
	result = unmap_all(p) ?: charged();
	return result ?: map_all(p);
}

static void suite_faults(void)
{
	uint8_t *p = fragments(512);
	unsigned int n, left = 0;

	start();
	limit(1024);
	n = each_fails(map_all, nothing_is_left, unmap_all, p, &left);
	printf("# mapped: %u allocations\n", n);
	ok(n >= (by_file ? 2 : FAULT_PAGES), "mapped: every allocation failed once");
	equal("mapped: an error left nothing", left, 0);

	n = each_fails(batch_map, nothing_is_charged, unmap_all, p, &left);
	ok(n >= 2, "in a batch: every allocation failed once");
	equal("in a batch: an error left nothing", left, 0);

	equal("a batch whose end fails", batch_end(p), tables || by_file ? -ENOMEM : 0);
	fail_nth_end();
	equal("is repeated", begin() ?: end(), 0);
	equal("and what it mapped goes", unmap_all(p), 0);
	equal("all of it", charged(), 0);

	map_all(p);
	n = each_fails(unmap_twice, nothing_is_charged, unmap_twice, p, &left);
	printf("# unmapped: %u allocations\n", n);
	equal("unmapped: it goes, if not at once", left, 0);
	unmap_all(p);
	ok(nothing_is_left(), "nothing is left in the end");
	equal("nothing was let go before the device forgot it", parameter("unpinned"), 0);
}

static void suite_removed(void)
{
	volatile uint32_t *bell;
	uint8_t *p = memory(16);
	uint64_t features;
	char line[16];
	int fd, sig;

	start();
	limit(64);
	equal("mapped", map(IOVA, 16 * PAGE, p), 0);
	run();
	fd = kick_fd(0);
	kick(fd);
	equal("kicked", seen(0, "kicks "), 1);
	bell = doorbell(0, PROT_WRITE, MAP_SHARED, PAGE);
	ok(bell, "a doorbell");
	*bell = 1;
	signal(SIGBUS, faulted);
	printf("# ready\n");
	if (!fgets(line, sizeof(line), stdin))
		errx(EXIT_FAILURE, "nobody told us that it is gone");

	equal("gone: nothing is charged any more", charged(), 0);
	kick(fd);
	ioctl_is("gone: an ioctl", VHOST_GET_FEATURES, &features, -ENODEV);
	equal("gone: a message", map(IOVA, PAGE, p), -ENODEV);
	ok(!doorbell(0, PROT_WRITE, MAP_SHARED, PAGE), "gone: another doorbell");
	sig = sigsetjmp(fault, 1);
	if (!sig)
		*bell = 2;
	equal("gone: the doorbell that was mapped", sig, SIGBUS);
}

/* Ends only when it is killed. */
static void suite_busy(unsigned long seed)
{
	uint8_t *p = memory(512);
	int fd;

	start();
	limit(RLIM_INFINITY);
	run();
	fd = kick_fd(0);
	srand(seed);
	printf("# busy\n");
	for (;;) {
		uint64_t page = rand() % 256, n = 1 + rand() % 256;

		asid = rand() % 3;
		switch (rand() % 6) {
		case 0:
			begin();
			break;
		case 1:
			end();
			break;
		case 2:
			unmap(IOVA + page * PAGE, n * PAGE);
			break;
		case 3:
			kick(fd);
			break;
		default:
			map(IOVA + page * PAGE, n * PAGE, p + page * PAGE);
		}
	}
}

static void need(int result)
{
	if (result)
		errx(EXIT_FAILURE, "message: %s", strerror(-result));
}

/* The base's vhost tells its user EFAULT whatever it was; who watches sees what it was. */
static bool refused(int result, int error)
{
	static char taint[16] = "?";

	if (taint[0] == '?') {
		FILE *file = fopen("/sys/module/vhost_vdpa/taint", "r");

		if (!file || !fgets(taint, sizeof(taint), file))
			err(EXIT_FAILURE, "whose vhost_vdpa is it?");
		fclose(file);
	}
	return result == (strchr(taint, 'O') ? -error : -EFAULT);
}

/* What is printed here is what must be seen by whoever watches. */
static void suite_exact(void)
{
	struct vhost_vring_state enabled = { .index = 1, .num = 1 };
	uint8_t *p = memory(64);
	unsigned int kicks = 33;
	int fd;

	start();
	limit(40);
	run();
	must(ioctl(dev, VHOST_VDPA_SET_VRING_ENABLE, &enabled));
	fd = kick_fd(1);
	for (int i = 0; i < 10; i++)
		need(map(IOVA + 8 * i * PAGE, 4 * PAGE, p + 4 * i * PAGE));
	if (!refused(map(IOVA + 256 * PAGE, PAGE, p), ENOMEM))
		errx(EXIT_FAILURE, "the 41st page");
	if (!refused(map(IOVA, PAGE, p), EEXIST))
		errx(EXIT_FAILURE, "a page twice");
	need(begin());
	for (int i = 0; i < 5; i++)
		need(unmap(IOVA + 8 * i * PAGE, 4 * PAGE));
	need(map(IOVA + 512 * PAGE, 20 * PAGE, p));
	need(end());
	for (unsigned int i = 0; i < kicks; i++)
		kick(fd);
	printf("update 13\ninvalidate 5\nbatch_begin 1\nbatch_end 1\nfailed 2\n"
	       "pinned 60\nready 1\nkicks %u\n", kicks);
}

int main(int argc, char **argv)
{
	char mode[16];

	if (argc < 3) {
		fprintf(stderr, "usage: vhost_vdpa DEVICE SUITE [ARGUMENT]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dev = must(open(argv[1], O_RDWR));
	parameter_read("mode", mode, sizeof(mode));
	tables = strncmp(mode, "maps", 4);
	by_file = !strncmp(mode, "va", 2);

	if (!strcmp(argv[2], "ioctls"))
		suite_ioctls();
	else if (!strcmp(argv[2], "memory") && !by_file)
		suite_memory();
	else if (!strcmp(argv[2], "files") && by_file)
		suite_files();
	else if (!strcmp(argv[2], "runs") && argc > 3)
		suite_runs(strtoul(argv[3], NULL, 0));
	else if (!strcmp(argv[2], "faults"))
		suite_faults();
	else if (!strcmp(argv[2], "removed"))
		suite_removed();
	else if (!strcmp(argv[2], "busy"))
		suite_busy(argc > 3 ? strtoul(argv[3], NULL, 0) : 1);
	else if (!strcmp(argv[2], "exact"))
		suite_exact();
	else
		errx(2, "no suite '%s' for this device", argv[2]);
	printf("end\n");
	return 0;
}
