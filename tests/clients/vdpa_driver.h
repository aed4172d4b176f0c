/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver's side of a vDPA device that a process has: memory, messages about it, rings.
 * A client is one program and includes this once.
 */
#ifndef VDPA_DRIVER_H
#define VDPA_DRIVER_H

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE		4096UL
#define ENTRIES		64
#define QUEUES_MAX	4
#define PATIENCE_MS	20000
#define MODERN		(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)

struct queue {
	struct vring vring;
	int kick, call;
	uint16_t avail;
};

static struct {
	int fd;
	uint8_t *memory;
	unsigned long pages;
	uint64_t iova;			/* of memory[0] */
	struct queue queue[QUEUES_MAX];
} user;

static unsigned int points;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "line %d: %s", __LINE__, #call);	\
	must_result;						\
})

static inline void ok(bool right, const char *name)
{
	printf("%sok %u - %s\n", right ? "" : "not ", ++points, name);
	fflush(stdout);
}

static inline void equal(const char *name, long long got, long long want)
{
	ok(got == want, name);
	if (got != want)
		printf("# got %lld (0x%llx), want %lld (0x%llx)\n", got, got, want, want);
}

/* 0 or -errno */
static inline int got(long result)
{
	return result < 0 ? -errno : 0;
}

#define ioctl_is(name, cmd, arg, want)	equal(name, got(ioctl(user.fd, cmd, arg)), want)

static inline uint8_t *page(unsigned long n) { return user.memory + n * PAGE; }

static inline uint64_t iova(const void *p)
{
	return user.iova + ((const uint8_t *)p - user.memory);
}

/* 0 or -errno */
static inline int message(uint8_t type, uint64_t at, uint64_t size, const void *memory,
			  uint8_t perm)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = at, .size = size, .uaddr = (uintptr_t)memory,
			.perm = perm, .type = type,
		},
	};

	return write(user.fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

static inline int map_pages(unsigned long first, unsigned long n, uint8_t perm)
{
	return message(VHOST_IOTLB_UPDATE, iova(page(first)), n * PAGE, page(first), perm);
}

static inline int unmap_pages(unsigned long first, unsigned long n)
{
	return message(VHOST_IOTLB_INVALIDATE, iova(page(first)), n * PAGE, NULL, 0);
}

static inline uint8_t status(void)
{
	uint8_t s;

	must(ioctl(user.fd, VHOST_VDPA_GET_STATUS, &s));
	return s;
}

static inline void set_status(uint8_t s)
{
	must(ioctl(user.fd, VHOST_VDPA_SET_STATUS, &s));
}

#define STARTED	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | \
		 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

static inline void negotiate(uint64_t features)
{
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	must(ioctl(user.fd, VHOST_SET_FEATURES, &features));
	set_status(STARTED & ~VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void driver_ok(void) { set_status(STARTED); }

/* A ring takes three pages: descriptors, available, used. */
static inline void ring_address(unsigned int index, struct vhost_vring_addr *addr)
{
	const struct vring *vring = &user.queue[index].vring;

	*addr = (struct vhost_vring_addr) {
		.index = index,
		.desc_user_addr = iova(vring->desc),
		.avail_user_addr = iova(vring->avail),
		.used_user_addr = iova(vring->used),
	};
}

static inline void ring_set_up(unsigned int index, unsigned long first)
{
	struct vhost_vring_state size = { index, ENTRIES }, base = { index, 0 };
	struct vhost_vring_file file = { .index = index };
	struct queue *q = &user.queue[index];
	struct vhost_vring_addr addr;

	memset(page(first), 0, 3 * PAGE);
	q->vring = (struct vring) {
		.num = ENTRIES,
		.desc = (void *)page(first),
		.avail = (void *)page(first + 1),
		.used = (void *)page(first + 2),
	};
	q->avail = 0;
	ring_address(index, &addr);
	must(ioctl(user.fd, VHOST_SET_VRING_NUM, &size));
	must(ioctl(user.fd, VHOST_SET_VRING_BASE, &base));
	must(ioctl(user.fd, VHOST_SET_VRING_ADDR, &addr));
	if (!q->kick) {
		q->kick = must(eventfd(0, EFD_NONBLOCK));
		q->call = must(eventfd(0, EFD_NONBLOCK));
	}
	file.fd = q->call;
	must(ioctl(user.fd, VHOST_SET_VRING_CALL, &file));
	file.fd = q->kick;
	must(ioctl(user.fd, VHOST_SET_VRING_KICK, &file));
}

static inline void ring_enable(unsigned int index)
{
	struct vhost_vring_state on = { index, 1 };

	must(ioctl(user.fd, VHOST_VDPA_SET_VRING_ENABLE, &on));
}

static inline void put(unsigned int index, uint16_t slot, uint64_t at, uint32_t len,
		       uint16_t flags)
{
	user.queue[index].vring.desc[slot] = (struct vring_desc) {
		.addr = at, .len = len, .flags = flags, .next = slot + 1,
	};
}

static inline void offer(unsigned int index, uint16_t head)
{
	struct queue *q = &user.queue[index];

	q->vring.avail->ring[q->avail % ENTRIES] = head;
	__atomic_store_n(&q->vring.avail->idx, ++q->avail, __ATOMIC_RELEASE);
}

static inline void kick(unsigned int index)
{
	uint64_t one = 1;

	must(write(user.queue[index].kick, &one, sizeof(one)));
}

static inline uint16_t used(unsigned int index)
{
	return __atomic_load_n(&user.queue[index].vring.used->idx, __ATOMIC_ACQUIRE);
}

/* Waits, by the queue's eventfd, until @want have been used, or more. */
static inline bool used_within(unsigned int index, uint16_t want, int ms)
{
	struct queue *q = &user.queue[index];
	struct pollfd fd = { .fd = q->call, .events = POLLIN };
	uint64_t count;

	while ((int16_t)(used(index) - want) < 0) {
		if (must(poll(&fd, 1, ms)) == 0)
			return (int16_t)(used(index) - want) >= 0;
		must(read(q->call, &count, sizeof(count)));
	}
	return true;
}

static inline void user_memory(unsigned long pages, uint64_t at)
{
	/* devices that take virtual addresses map nothing but shared memory of files */
	int fd = must(memfd_create("vdpa", 0));

	user.pages = pages;
	user.iova = at;
	must(ftruncate(fd, pages * PAGE));
	user.memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   fd, 0);
	if (user.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	close(fd);
}

static inline void user_open(const char *path)
{
	uint64_t backend = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2;

	user.fd = must(open(path, O_RDWR));
	must(ioctl(user.fd, VHOST_SET_BACKEND_FEATURES, &backend));
}

static inline void user_close(void)
{
	for (int i = 0; i < QUEUES_MAX; i++) {
		if (user.queue[i].kick) {
			close(user.queue[i].kick);
			close(user.queue[i].call);
		}
	}
	memset(user.queue, 0, sizeof(user.queue));
	close(user.fd);
}

#endif
