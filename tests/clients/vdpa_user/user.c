// SPDX-License-Identifier: GPL-2.0
#include "user.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct user user = { .fragments = 262144 };

uint64_t physical(const void *p)
{
	static int pagemap = -1;
	uint64_t entry;

	if (pagemap < 0)
		pagemap = must(open("/proc/self/pagemap", O_RDONLY));
	must(pread(pagemap, &entry, 8, (uintptr_t)p / PAGE * 8));
	check(entry >> 63);
	return (entry & ((1ULL << 55) - 1)) * PAGE + (uintptr_t)p % PAGE;
}

static int send_message(unsigned int asid, uint8_t type, uint64_t at, const void *p,
			unsigned long pages, uint8_t perm)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.asid = asid,
		.iotlb = {
			.iova = at,
			.size = pages * PAGE,
			.uaddr = (uintptr_t)p,
			.perm = perm,
			.type = type,
		},
	};

	return write(user.fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -1;
}

int message_at(unsigned int asid, uint8_t type, uint64_t at, const void *p, unsigned long pages)
{
	return send_message(asid, type, at, p, pages, VHOST_ACCESS_RW);
}

int message(unsigned int asid, uint8_t type, unsigned int first, unsigned int pages)
{
	return message_at(asid, type, IOVA + first * PAGE, page(first), pages);
}

void map_for(unsigned int asid, unsigned int first, unsigned int pages, uint8_t perm)
{
	must(send_message(asid, VHOST_IOTLB_UPDATE, IOVA + first * PAGE, page(first), pages, perm));
}

void map(unsigned int asid, unsigned int first, unsigned int pages)
{
	must(message(asid, VHOST_IOTLB_UPDATE, first, pages));
}

void unmap(unsigned int asid, unsigned int first, unsigned int pages)
{
	must(message(asid, VHOST_IOTLB_INVALIDATE, first, pages));
}

uint8_t status(void)
{
	uint8_t s;

	must(ioctl(user.fd, VHOST_VDPA_GET_STATUS, &s));
	return s;
}

void set_status(uint8_t s) { must(ioctl(user.fd, VHOST_VDPA_SET_STATUS, &s)); }

void open_device(void)
{
	uint64_t backend;

	user.fd = must(open(user.path, O_RDWR));
	must(ioctl(user.fd, VHOST_GET_BACKEND_FEATURES, &backend));
	backend &= ~(1ULL << VHOST_BACKEND_F_IOTLB_PERSIST);
	must(ioctl(user.fd, VHOST_SET_BACKEND_FEATURES, &backend));
	memset(user.memory, 0, PAGES * PAGE);
}

void close_device(void)
{
	for (int i = 0; i < QUEUES; i++) {
		if (user.queue[i].kick)
			close(user.queue[i].kick);
		if (user.queue[i].call)
			close(user.queue[i].call);
	}
	memset(user.queue, 0, sizeof(user.queue));
	close(user.fd);
}

void negotiate(uint64_t features)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	must(ioctl(user.fd, VHOST_SET_FEATURES, &features));
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK);
}

void driver_ok(void)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

void set_up(unsigned int index, bool at_physical)
{
	struct queue *q = &user.queue[index];
	uint8_t *at = page(index * RING_PAGES);
	struct vhost_vring_state num = { index, ENTRIES }, base = { index, 0 };
	struct vhost_vring_addr addr = { .index = index };

	q->vring = (struct vring) {
		.num = ENTRIES,
		.desc = (void *)at,
		.avail = (void *)(at + PAGE),
		.used = (void *)(at + 2 * PAGE),
	};
	addr.desc_user_addr = at_physical ? physical(q->vring.desc) : iova(q->vring.desc);
	addr.avail_user_addr = at_physical ? physical(q->vring.avail) : iova(q->vring.avail);
	addr.used_user_addr = at_physical ? physical(q->vring.used) : iova(q->vring.used);
	must(ioctl(user.fd, VHOST_SET_VRING_NUM, &num));
	must(ioctl(user.fd, VHOST_SET_VRING_BASE, &base));
	must(ioctl(user.fd, VHOST_SET_VRING_ADDR, &addr));
	q->avail = 0;
}

void set_fds(unsigned int index)
{
	struct queue *q = &user.queue[index];
	struct vhost_vring_file file = { .index = index };

	if (!q->kick) {
		q->kick = must(eventfd(0, EFD_NONBLOCK));
		q->call = must(eventfd(0, EFD_NONBLOCK));
	}
	file.fd = q->call;
	must(ioctl(user.fd, VHOST_SET_VRING_CALL, &file));
	file.fd = q->kick;
	must(ioctl(user.fd, VHOST_SET_VRING_KICK, &file));
}

void enable(unsigned int index)
{
	struct vhost_vring_state on = { index, 1 };

	must(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on));
}

void kick(unsigned int index)
{
	uint64_t one = 1;

	must(write(user.queue[index].kick, &one, sizeof(one)));
}

void put(unsigned int index, uint16_t at, const void *p, uint32_t len, uint16_t flags)
{
	user.queue[index].vring.desc[at] = (struct vring_desc) {
		.addr = iova(p), .len = len, .flags = flags, .next = at + 1,
	};
}

void offer(unsigned int index, uint16_t head)
{
	struct queue *q = &user.queue[index];

	q->vring.avail->ring[q->avail % ENTRIES] = head;
	__atomic_store_n(&q->vring.avail->idx, ++q->avail, __ATOMIC_RELEASE);
}

uint16_t used(unsigned int index)
{
	return __atomic_load_n(&user.queue[index].vring.used->idx, __ATOMIC_ACQUIRE);
}

bool done_within(unsigned int index, int ms)
{
	struct queue *q = &user.queue[index];
	struct pollfd fd = { .fd = q->call, .events = POLLIN };
	uint64_t count;

	while (used(index) != q->avail) {
		if (must(poll(&fd, 1, ms)) == 0)
			return used(index) == q->avail;
		must(read(q->call, &count, sizeof(count)));
	}
	return true;
}

bool breaks(void)
{
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		if (status() & VIRTIO_CONFIG_S_NEEDS_RESET)
			return true;
		usleep(10000);
	}
	return false;
}
