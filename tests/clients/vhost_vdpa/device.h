/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A device of the module vdpa_probe, as its process and as the module itself see it. What
 * cannot fail ends the process where it does; the others return 0 or -errno.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <err.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define PAGE		4096UL
#define IOVA		0x100000000ULL
/* and a page's number: its first word */
#define MARK		0x6d69677363000000ULL

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

extern int dev;
/* the probe takes tables, or files and no other memory */
extern bool tables, by_file;

#define must(call) ({						\
	__typeof__(call) must_result = (call);			\
	if (must_result < 0)					\
		err(EXIT_FAILURE, "%s", #call);			\
	must_result;						\
})

/* A TAP line. */
void ok(bool right, const char *name);
void equal(const char *name, int64_t got, int64_t want);
/* 0 or -errno, of a system call */
int got(long result);
#define ioctl_is(name, cmd, arg, want)	equal(name, got(ioctl(dev, cmd, arg)), want)

/* Parameters of the probe: what it saw. */
void parameter_read(const char *name, char *text, size_t size);
int64_t parameter(const char *name);
int parameter_write(const char *name, const char *text);
void parameter_set(const char *name, int64_t value);
/* The word that the device finds at IOVA, or 0. */
uint64_t look(unsigned int asid, uint64_t iova);
bool reaches_everything(unsigned int space);
unsigned int seen(unsigned int queue, const char *what);
/* pages, as the kernel charges them to us */
long charged(void);

/* Messages about memory, of address space ASID. */
extern uint32_t asid;
int message(uint8_t type, uint64_t iova, uint64_t size, const void *uaddr, uint8_t perm);
int map(uint64_t iova, uint64_t size, const void *uaddr);
int unmap(uint64_t iova, uint64_t size);
int begin(void);
int end(void);

/* Memory whose pages say which they are; and what the device finds there. */
uint8_t *memory(unsigned long pages);
bool device_sees(uint64_t iova, unsigned long first, unsigned long pages);
/* of pages that may be locked */
void limit(unsigned long pages);

/* Its owner; its status; all of it, until it runs. */
void start(void);
void status(uint8_t value);
void run(void);

int kick_fd(unsigned int queue);
void kick(int fd);
uint64_t count(int fd);

/* A doorbell, or NULL; and what a store to one that is gone does. */
extern sigjmp_buf fault;
void faulted(int sig);
volatile uint32_t *doorbell(unsigned int queue, int prot, int flags, size_t size);

#endif
