// SPDX-License-Identifier: GPL-2.0
/* Everything that can be asked and set, and what is refused. */
#include "device.h"
#include "suites.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

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
	s = (struct vhost_vring_state) { .index = 3, .num = 128 };
	ioctl_is("more than the last queue can", VHOST_SET_VRING_NUM, &s, -EINVAL);
	s.num = 64;
	ioctl_is("what it can", VHOST_SET_VRING_NUM, &s, 0);
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

/* It goes on until it is reset: what it says before that is not where it stood. */
void suite_unsuspended(void)
{
	struct vhost_vring_state s = { .index = 0 };
	int fd;

	start();
	fd = kick_fd(0);
	ioctl_is("before it runs it stands still", VHOST_VDPA_SUSPEND, NULL, 0);
	run();
	ioctl_is("while it runs it cannot be made to", VHOST_VDPA_SUSPEND, NULL, -EOPNOTSUPP);
	kick(fd);
	ioctl_is("it says how far it came", VHOST_GET_VRING_BASE, &s, 0);
	equal("by then", s.num, 1);
	status(0);
	ioctl_is("nobody knows where it stood when it was reset", VHOST_GET_VRING_BASE, &s,
		 -EOPNOTSUPP);
	s.num = 3;
	ioctl_is("it can be told where to go on", VHOST_SET_VRING_BASE, &s, 0);
	s.num = 0;
	ioctl_is("and asked", VHOST_GET_VRING_BASE, &s, 0);
	equal("for that", s.num, 3);
}

void suite_ioctls(void)
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
