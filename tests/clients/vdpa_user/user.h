/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process with a simulated vDPA device: its memory, its queues, and what it does to
 * them. What cannot fail ends the process where it does.
 */
#ifndef USER_H
#define USER_H

#include <err.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* younger than the headers of some machines */
#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME	_IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_BACKEND_F_IOTLB_PERSIST
#define VHOST_BACKEND_F_IOTLB_PERSIST	0x8
#endif

#define PAGE		4096UL
#define PAGES		64
#define IOVA		0x7000000000ULL	/* no address of ours is like this */
#define ENTRIES		64
#define QUEUES		9
#define RING_PAGES	3
#define DATA		(QUEUES * RING_PAGES)	/* the first page of data */
#define SHORTLY_MS	300
#define PATIENCE_MS	20000

#define MODERN	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM)

struct queue {
	struct vring vring;
	int kick, call;
	uint16_t avail;
};

extern struct user {
	const char *path;
	bool physical;
	unsigned long fragments;
	int fd;
	uint8_t *memory;
	struct queue queue[QUEUES];
} user;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})
#define check(what) do {					\
	if (!(what))						\
		errx(EXIT_FAILURE, "%s:%d: not so: %s", __FILE__, __LINE__, #what); \
} while (0)

static inline uint8_t *page(unsigned int n) { return user.memory + n * PAGE; }
static inline uint64_t iova(const void *p) { return IOVA + ((const uint8_t *)p - user.memory); }

uint64_t physical(const void *p);
int message_at(unsigned int asid, uint8_t type, uint64_t at, const void *p, unsigned long pages);
int message(unsigned int asid, uint8_t type, unsigned int first, unsigned int pages);
void map(unsigned int asid, unsigned int first, unsigned int pages);
void map_for(unsigned int asid, unsigned int first, unsigned int pages, uint8_t perm);
void unmap(unsigned int asid, unsigned int first, unsigned int pages);
uint8_t status(void);
void set_status(uint8_t s);
void open_device(void);
void close_device(void);
void negotiate(uint64_t features);
void driver_ok(void);
void set_up(unsigned int index, bool at_physical);
void set_fds(unsigned int index);
void enable(unsigned int index);
void kick(unsigned int index);
void put(unsigned int index, uint16_t at, const void *p, uint32_t len, uint16_t flags);
void offer(unsigned int index, uint16_t head);
uint16_t used(unsigned int index);
bool done_within(unsigned int index, int ms);
bool breaks(void);

#endif
