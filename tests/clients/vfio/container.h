/* SPDX-License-Identifier: GPL-2.0 */
/* A VFIO container and its devices, for clients that test type1. */
#ifndef CONTAINER_H
#define CONTAINER_H

#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "../../vm/vfio_probe/vfio_probe.h"

typedef uint64_t u64;
typedef uint32_t u32;

#define PAGE		4096ULL
#define DEVICES_MAX	8
#define READ		1	/* IOMMU_READ, and VFIO_DMA_MAP_FLAG_READ */
#define WRITE		2
#define RDWR		(READ | WRITE)

struct container {
	int	fd;
	int	nr;
	int	group[DEVICES_MAX];
	int	device[DEVICES_MAX];	/* -1: its group is attached, itself is not open */
};

/* All of these return 0 or more, or -errno; what cannot fail ends the program. */
void container_open(struct container *c, int type, const char *const *devices);
int container_attach(struct container *c, const char *device);
void container_open_device(struct container *c, int i, const char *device);
void container_close_device(struct container *c, int i);
void container_detach(struct container *c, int i);
void container_close(struct container *c);

/* A container with @nr devices of vfio_probe */
void probe_container(struct container *c, int type, int nr);

int dma_map(const struct container *c, u64 iova, void *vaddr, u64 size, u32 flags);
int dma_unmap(const struct container *c, u64 iova, u64 size, u32 flags, u64 *unmapped);
int dma_unmap_bitmap(const struct container *c, u64 iova, u64 size, void *bitmap, u64 *unmapped);
int dirty(const struct container *c, u32 flags);
int dirty_get(const struct container *c, u64 iova, u64 size, u64 pgsize, u64 bytes, void *bitmap);
int get(const struct container *c, u64 iova, u64 size, void *bitmap);
int dma_avail(const struct container *c);
const struct vfio_info_cap_header *info_cap(const struct container *c, int id,
					    struct vfio_iommu_type1_info *info);

int pin(const struct container *c, int device, u64 iova, int npage, u32 prot);
int unpin(const struct container *c, int device, u64 iova, int npage);
int pin_asked(const struct container *c, int device, u64 iova);
int dma_rw(const struct container *c, int device, u64 iova, void *data, u64 len, u32 how);
#define RW_WRITE	1
#define RW_THREAD	2

/* Memory, there and zero; PROT_NONE with @bytes of no memory is reserved addresses. */
void *memory(u64 bytes);
void *reserve(u64 bytes);
/* Pages that this process has locked, as the kernel counts them. */
long locked_pages(void);
/* Pins for good less those that were let go of, in the whole machine. */
long pins_left(void);
/* The page of a device of vfio_probe, mapped as @how: PROBE_PAGE or PROBE_PAGE_RAW */
void *probe_page(const struct container *c, int device, int how);

#define START	VFIO_IOMMU_DIRTY_PAGES_FLAG_START
#define STOP	VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP

/* TAP */
#define OK(cond, ...)		ok(cond, __FILE__, __LINE__, __VA_ARGS__)
#define IS(got, want, ...)	is(got, want, __FILE__, __LINE__, __VA_ARGS__)
bool ok(bool passed, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool is(long long got, long long want, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void bail_out(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
int done_testing(void);

#endif
