// SPDX-License-Identifier: GPL-2.0
#include "device.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PARAMETERS	"/sys/module/vdpa_probe/parameters/"

int dev;
bool tables, by_file;
static unsigned int points;

void ok(bool right, const char *name)
{
	printf("%sok %u - %s\n", right ? "" : "not ", ++points, name);
}

void equal(const char *name, int64_t got, int64_t want)
{
	ok(got == want, name);
	if (got != want)
		printf("# got %" PRId64 " (0x%" PRIx64 "), want %" PRId64 " (0x%" PRIx64 ")\n",
		       got, got, want, want);
}

/* 0 or -errno */
int got(long result)
{
	return result < 0 ? -errno : 0;
}

/*
 * What the probe saw
 */

void parameter_read(const char *name, char *text, size_t size)
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

int64_t parameter(const char *name)
{
	char text[64];

	parameter_read(name, text, sizeof(text));
	if (text[0] == 'Y' || text[0] == 'N')
		return text[0] == 'Y';
	return strtoll(text, NULL, 0);
}

int parameter_write(const char *name, const char *text)
{
	char path[128];
	int fd, result;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = must(open(path, O_WRONLY));
	result = got(write(fd, text, strlen(text)));
	close(fd);
	return result;
}

void parameter_set(const char *name, int64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, value);
	if (parameter_write(name, text))
		err(EXIT_FAILURE, "%s", name);
}

/* The word that the device finds at @iova, or 0. */
uint64_t look(unsigned int asid, uint64_t iova)
{
	char text[64];

	snprintf(text, sizeof(text), "%u %" PRIx64, asid, iova);
	if (parameter_write("look", text))
		err(EXIT_FAILURE, "look");
	parameter_read("look", text, sizeof(text));
	return strtoull(text, NULL, 0);
}

bool reaches_everything(unsigned int space)
{
	char text[64];

	snprintf(text, sizeof(text), "%u 1000", space);
	if (parameter_write("look", text))
		err(EXIT_FAILURE, "look");
	parameter_read("look", text, sizeof(text));
	return !strncmp(text, "everything", 10);
}

unsigned int seen(unsigned int queue, const char *what)
{
	char text[4096], *at = text, *value;

	parameter_read("seen", text, sizeof(text));
	while (queue--)
		at = strchr(at, '\n') + 1;
	value = strstr(at, what);
	return value ? strtoul(value + strlen(what), NULL, 0) : ~0U;
}

/* pages, as the kernel charges them to us */
long charged(void)
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

uint32_t asid;

int message(uint8_t type, uint64_t iova, uint64_t size, const void *uaddr, uint8_t perm)
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

int map(uint64_t iova, uint64_t size, const void *uaddr)
{
	return message(VHOST_IOTLB_UPDATE, iova, size, uaddr, VHOST_ACCESS_RW);
}

int unmap(uint64_t iova, uint64_t size)
{
	return message(VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
}

int begin(void)
{
	return message(VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
}

int end(void)
{
	return message(VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0);
}

/* Each page begins with MARK and its number. */
uint8_t *memory(unsigned long pages)
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

bool device_sees(uint64_t iova, unsigned long first, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		if (look(asid, iova + i * PAGE) != MARK + first + i)
			return false;
	return true;
}

void limit(unsigned long pages)
{
	struct rlimit r = { pages * PAGE, RLIM_INFINITY };

	if (pages == RLIM_INFINITY)
		r.rlim_cur = RLIM_INFINITY;
	must(setrlimit(RLIMIT_MEMLOCK, &r));
}

void start(void)
{
	uint64_t features = 1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2 |
			    1ULL << VHOST_BACKEND_F_IOTLB_BATCH |
			    1ULL << VHOST_BACKEND_F_IOTLB_ASID;

	must(ioctl(dev, VHOST_SET_OWNER));
	must(ioctl(dev, VHOST_SET_BACKEND_FEATURES, &features));
}

void status(uint8_t value)
{
	must(ioctl(dev, VHOST_VDPA_SET_STATUS, &value));
}

void run(void)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;

	status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	must(ioctl(dev, VHOST_SET_FEATURES, &features));
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
	       VIRTIO_CONFIG_S_DRIVER_OK);
}

int kick_fd(unsigned int queue)
{
	struct vhost_vring_file f = { .index = queue, .fd = must(eventfd(0, EFD_NONBLOCK)) };

	must(ioctl(dev, VHOST_SET_VRING_KICK, &f));
	return f.fd;
}

void kick(int fd)
{
	uint64_t one = 1;

	must(write(fd, &one, sizeof(one)));
}

uint64_t count(int fd)
{
	uint64_t value = 0;

	return read(fd, &value, sizeof(value)) < 0 ? 0 : value;
}

sigjmp_buf fault;

void faulted(int sig)
{
	siglongjmp(fault, sig);
}

volatile uint32_t *doorbell(unsigned int queue, int prot, int flags, size_t size)
{
	void *p = mmap(NULL, size, prot, flags, dev, queue * PAGE);

	return p == MAP_FAILED ? NULL : p;
}
