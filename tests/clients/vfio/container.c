// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "container.h"

static int tests, failed;

void bail_out(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf(": %m\n");
	exit(1);
}

bool ok(bool passed, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++tests);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	puts("");
	if (!passed) {
		failed++;
		fprintf(stderr, "# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return passed;
}

bool is(long long got, long long want, const char *file, int line, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!ok(got == want, file, line, "%s", what))
		fprintf(stderr, "#   got %lld, want %lld\n", got, want);
	return got == want;
}

int done_testing(void)
{
	printf("1..%d\n", tests);
	return failed ? 1 : 0;
}

/* The error of a call that failed, what it returned else. */
static int result(long ret)
{
	return ret < 0 ? -errno : ret;
}

/* Where a device is in sysfs: a probe's by its name, a PCI device's by its address */
static int group_number(const char *device)
{
	char path[PATH_MAX], to[PATH_MAX];
	const char *last;
	ssize_t len;

	snprintf(path, sizeof(path), strchr(device, ':') ? "/sys/bus/pci/devices/%s/iommu_group" :
		 "/sys/bus/platform/devices/%s/iommu_group", device);
	len = readlink(path, to, sizeof(to) - 1);
	if (len < 0)
		return -1;
	to[len] = 0;
	last = strrchr(to, '/');
	return last ? atoi(last + 1) : -1;
}

static int open_group(const char *device)
{
	char path[64];
	int number = group_number(device), fd;

	if (number < 0)
		bail_out("%s has no group", device);
	snprintf(path, sizeof(path), "/dev/vfio/%d", number);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		bail_out("%s", path);
	return fd;
}

int container_attach(struct container *c, const char *device)
{
	int i = c->nr, err;

	if (i == DEVICES_MAX)
		bail_out("too many groups");
	c->group[i] = open_group(device);
	c->device[i] = -1;
	err = result(ioctl(c->group[i], VFIO_GROUP_SET_CONTAINER, &c->fd));
	if (err < 0) {
		close(c->group[i]);
		return err;
	}
	return c->nr++;
}

void container_open_device(struct container *c, int i, const char *device)
{
	c->device[i] = ioctl(c->group[i], VFIO_GROUP_GET_DEVICE_FD, device);
	if (c->device[i] < 0)
		bail_out("device %s", device);
}

void container_close_device(struct container *c, int i)
{
	if (c->device[i] >= 0)
		close(c->device[i]);
	c->device[i] = -1;
}

void container_detach(struct container *c, int i)
{
	container_close_device(c, i);
	if (c->group[i] >= 0) {
		ioctl(c->group[i], VFIO_GROUP_UNSET_CONTAINER);
		close(c->group[i]);
	}
	c->group[i] = -1;
}

void container_open(struct container *c, int type, const char *const *devices)
{
	*c = (struct container) { .fd = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC) };
	if (c->fd < 0)
		bail_out("/dev/vfio/vfio");
	for (; *devices; devices++) {
		int i = container_attach(c, *devices);

		if (i < 0) {
			errno = -i;
			bail_out("%s: its group cannot be attached", *devices);
		}
		if (!i && ioctl(c->fd, VFIO_SET_IOMMU, type))
			bail_out("VFIO_SET_IOMMU");
		container_open_device(c, i, *devices);
	}
}

void container_close(struct container *c)
{
	int i;

	for (i = 0; i < c->nr; i++)
		container_detach(c, i);
	close(c->fd);
	c->nr = 0;
}

void probe_container(struct container *c, int type, int nr)
{
	static const char *const names[] = { "vfio_probe.0", "vfio_probe.1", "vfio_probe.2",
					     "vfio_probe.3" };
	const char *some[5] = { };
	int i;

	for (i = 0; i < nr; i++)
		some[i] = names[i];
	container_open(c, type, some);
}

int dma_map(const struct container *c, u64 iova, void *vaddr, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map), .flags = flags,
		.vaddr = (uintptr_t)vaddr, .iova = iova, .size = size,
	};

	return result(ioctl(c->fd, VFIO_IOMMU_MAP_DMA, &map));
}

int dma_unmap(const struct container *c, u64 iova, u64 size, u32 flags, u64 *unmapped)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap), .flags = flags, .iova = iova, .size = size,
	};
	int err = result(ioctl(c->fd, VFIO_IOMMU_UNMAP_DMA, &unmap));

	if (unmapped)
		*unmapped = unmap.size;
	return err;
}

static u64 bitmap_bytes(u64 size)
{
	return (size / PAGE + 63) / 64 * 8;
}

int dma_unmap_bitmap(const struct container *c, u64 iova, u64 size, void *bitmap, u64 *unmapped)
{
	struct {
		struct vfio_iommu_type1_dma_unmap unmap;
		struct vfio_bitmap bitmap;
	} arg = {
		.unmap = {
			.argsz = sizeof(arg), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
			.iova = iova, .size = size,
		},
		.bitmap = { .pgsize = PAGE, .size = bitmap_bytes(size), .data = bitmap },
	};
	int err = result(ioctl(c->fd, VFIO_IOMMU_UNMAP_DMA, &arg));

	if (unmapped)
		*unmapped = arg.unmap.size;
	return err;
}

int dirty(const struct container *c, u32 flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = { .argsz = sizeof(arg), .flags = flags };

	return result(ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &arg));
}

int dirty_get(const struct container *c, u64 iova, u64 size, u64 pgsize, u64 bytes, void *bitmap)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {
		.dirty = { .argsz = sizeof(arg), .flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP },
		.get = { .iova = iova, .size = size,
			 .bitmap = { .pgsize = pgsize, .size = bytes, .data = bitmap } },
	};

	return result(ioctl(c->fd, VFIO_IOMMU_DIRTY_PAGES, &arg));
}

int get(const struct container *c, u64 iova, u64 size, void *bitmap)
{
	return dirty_get(c, iova, size, PAGE, bitmap_bytes(size), bitmap);
}

const struct vfio_info_cap_header *info_cap(const struct container *c, int id,
					    struct vfio_iommu_type1_info *info)
{
	static union {
		struct vfio_iommu_type1_info info;
		char room[4096];
	} arg;
	struct vfio_info_cap_header *cap;
	u32 at;

	memset(&arg, 0, sizeof(arg));
	arg.info.argsz = sizeof(arg);
	if (ioctl(c->fd, VFIO_IOMMU_GET_INFO, &arg))
		bail_out("VFIO_IOMMU_GET_INFO");
	if (info)
		*info = arg.info;
	for (at = arg.info.cap_offset; at; at = cap->next) {
		if (at > sizeof(arg) - sizeof(*cap))
			bail_out("a capability lies outside of the structure");
		cap = (void *)(arg.room + at);
		if (cap->id == id)
			return cap;
	}
	return NULL;
}

int dma_avail(const struct container *c)
{
	const struct vfio_iommu_type1_info_dma_avail *cap;

	cap = (const void *)info_cap(c, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, NULL);
	return cap ? (int)cap->avail : -1;
}

int pin(const struct container *c, int device, u64 iova, int npage, u32 prot)
{
	struct probe_pin arg = { .iova = iova, .npage = npage, .prot = prot };

	return result(ioctl(c->device[device], PROBE_PIN, &arg));
}

int unpin(const struct container *c, int device, u64 iova, int npage)
{
	struct probe_pin arg = { .iova = iova, .npage = npage };

	return result(ioctl(c->device[device], PROBE_UNPIN, &arg));
}

int pin_asked(const struct container *c, int device, u64 iova)
{
	return result(ioctl(c->device[device], PROBE_PIN_ASKED, iova));
}

int dma_rw(const struct container *c, int device, u64 iova, void *data, u64 len, u32 how)
{
	struct probe_rw arg = { .iova = iova, .len = len, .data = (uintptr_t)data,
				.write = how & RW_WRITE, .thread = !!(how & RW_THREAD) };

	return result(ioctl(c->device[device], PROBE_RW, &arg));
}

void *memory(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		bail_out("%llu bytes of memory", (unsigned long long)bytes);
	/* each page on its own */
	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

void *reserve(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		bail_out("%llu bytes of addresses", (unsigned long long)bytes);
	return p;
}

long pins_left(void)
{
	int fd = open("/proc/sys/vm/stat_refresh", O_WRONLY);
	FILE *f = fopen("/proc/vmstat", "re");
	long pins = 0, n;
	char line[256];

	/* each CPU counts for itself, and hands in when there is enough */
	if (fd < 0 || write(fd, "1", 1) != 1 || !f)
		bail_out("/proc/vmstat");
	close(fd);
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "nr_foll_pin_acquired %ld", &n) == 1)
			pins += n;
		if (sscanf(line, "nr_foll_pin_released %ld", &n) == 1)
			pins -= n;
	}
	fclose(f);
	return pins;
}

void *probe_page(const struct container *c, int device, int how)
{
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, c->device[device], how * PAGE);

	if (page == MAP_FAILED)
		bail_out("a device's own page");
	return page;
}

long locked_pages(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -4;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld kB", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb / 4;
}
