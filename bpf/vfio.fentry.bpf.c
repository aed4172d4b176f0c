// SPDX-License-Identifier: GPL-2.0
/*
 * Source vfio on the kernel's own type1: one hook for its ioctls, which are told apart by
 * their number, and one for each of what devices ask of it. How many pages a bitmap
 * showed is not to be had here: it went to user space and nobody counted.
 */
#include "vfio.h"

/* include/uapi/linux/vfio.h */
#define VFIO_IOMMU_MAP_DMA			0x3b71
#define VFIO_IOMMU_UNMAP_DMA			0x3b72
#define VFIO_IOMMU_DIRTY_PAGES			0x3b75
#define VFIO_DMA_MAP_FLAG_VADDR			(1 << 2)
#define VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP	(1 << 0)
#define VFIO_DMA_UNMAP_FLAG_VADDR		(1 << 2)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_START	(1 << 0)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP	(1 << 1)
#define VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP	(1 << 2)

struct ms_uapi_map {
	u32 argsz, flags;
	u64 vaddr, iova, size;
};

struct ms_uapi_bitmap {
	u64 pgsize, size, data;
};

struct ms_uapi_unmap {
	u32 argsz, flags;
	u64 iova, size;
	struct ms_uapi_bitmap bitmap;	/* only with the flag */
};

struct ms_uapi_dirty {
	u32 argsz, flags;
	u64 iova, size;			/* only of GET */
	struct ms_uapi_bitmap bitmap;
};

static __always_inline u64 ms_vfio_pages(u64 bytes)
{
	struct ms_config *config = ms_config_get();
	u32 shift = config ? config->page_shift : 0;

	return bytes >> (shift ? shift & 63 : 12);
}

SEC("fexit/vfio_iommu_type1_open")
int BPF_PROG(ms_vfio_open, unsigned long arg, struct vfio_iommu *iommu)
{
	struct ms_vfio *v;

	/* ERR_PTR */
	if (!iommu || (u64)iommu >= (u64)-4095)
		return 0;
	v = ms_vfio_get(iommu);
	if (!v)
		return 0;
	if (bpf_core_field_exists(iommu->dma_avail))
		v->limit = BPF_CORE_READ(iommu, dma_avail);
	v->knows |= MS_VFIO_KNOWS_PINNED;
	ms_vfio_look(v, iommu);
	return 0;
}

SEC("fentry/vfio_iommu_type1_release")
int BPF_PROG(ms_vfio_release, void *iommu)
{
	ms_vfio_end((u64)iommu);
	return 0;
}

SEC("fentry/vfio_iommu_type1_ioctl")
int BPF_PROG(ms_vfio_ioctl_begin, void *iommu, unsigned int cmd)
{
	if (cmd == VFIO_IOMMU_MAP_DMA || cmd == VFIO_IOMMU_UNMAP_DMA || cmd == VFIO_IOMMU_DIRTY_PAGES)
		ms_vfio_call_begin(MS_VFIO_CALL_IOCTL);
	return 0;
}

/* The arguments lie in user memory that the call has just read: they can be read again. */
static __always_inline bool ms_vfio_args(void *to, u32 size, unsigned long from)
{
	if (!bpf_probe_read_user(to, size, (void *)from))
		return true;
	ms_self_add(MS_SELF_ARGS_UNREAD, 1);
	return false;
}

/* A bitmap of @size bytes of memory; was it written? */
static __always_inline bool ms_vfio_bitmap(struct ms_vfio_stat *s, u64 size, u64 pgsize, s64 ret)
{
	u64 pages = pgsize ? size / pgsize : 0;

	if (!ms_vfio_count_untimed(s, ret, pages))
		return false;
	__sync_fetch_and_add(&s->bytes, (pages + 63) / 64 * 8);
	return true;
}

/* An address that is given to a mapping maps nothing: our own type1 tells nothing of it, either. */
static __always_inline void ms_vfio_mapped(struct ms_vfio *v, unsigned long arg, s64 ret, u64 ns)
{
	struct ms_uapi_map map = {};

	if (ms_vfio_args(&map, sizeof(map), arg) && !(map.flags & VFIO_DMA_MAP_FLAG_VADDR))
		ms_vfio_count(&v->op[MS_VFIO_MAP], ret, ms_vfio_pages(map.size), ns);
}

static __always_inline void ms_vfio_unmapped(struct ms_vfio *v, unsigned long arg, s64 ret, u64 ns)
{
	struct ms_uapi_unmap unmap = {};

	if (!ms_vfio_args(&unmap, 24, arg) || unmap.flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		return;
	/* size is what was unmapped by now */
	ms_vfio_count(&v->op[MS_VFIO_UNMAP], ret, ms_vfio_pages(unmap.size), ns);
	if (!(unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP) ||
	    !ms_vfio_args(&unmap.bitmap, sizeof(unmap.bitmap), arg + 24))
		return;
	/* what of the time went to the bitmap nobody says */
	ms_vfio_bitmap(&v->op[MS_VFIO_UNMAP_GET], unmap.size, unmap.bitmap.pgsize, ret);
}

static __always_inline void ms_vfio_dirty(struct ms_vfio *v, unsigned long arg, s64 ret, u64 ns)
{
	struct ms_uapi_dirty dirty = {};

	if (!ms_vfio_args(&dirty, 8, arg))
		return;
	/* one of them: what is anything else is not known, and was refused */
	if (dirty.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_START) {
		ms_vfio_count(&v->op[MS_VFIO_START], ret, 0, ns);
	} else if (dirty.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP) {
		ms_vfio_count(&v->op[MS_VFIO_STOP], ret, 0, ns);
	} else if (dirty.flags == VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP &&
		   ms_vfio_args(&dirty, sizeof(dirty), arg)) {
		if (ms_vfio_bitmap(&v->op[MS_VFIO_GET], dirty.size, dirty.bitmap.pgsize, ret))
			ms_hist_add(&v->op[MS_VFIO_GET].time, ns);
	}
}

SEC("fexit/vfio_iommu_type1_ioctl")
int BPF_PROG(ms_vfio_ioctl_end, void *iommu, unsigned int cmd, unsigned long arg, long ret)
{
	struct ms_vfio *v;
	u64 ns;

	if (cmd != VFIO_IOMMU_MAP_DMA && cmd != VFIO_IOMMU_UNMAP_DMA && cmd != VFIO_IOMMU_DIRTY_PAGES)
		return 0;
	if (!ms_vfio_call_end(MS_VFIO_CALL_IOCTL, &ns))
		return 0;
	v = ms_vfio_get(iommu);
	if (!v)
		return 0;
	if (cmd == VFIO_IOMMU_UNMAP_DMA)
		ms_vfio_unmapped(v, arg, ret, ns);
	else if (cmd == VFIO_IOMMU_DIRTY_PAGES)
		ms_vfio_dirty(v, arg, ret, ns);
	else
		ms_vfio_mapped(v, arg, ret, ns);
	ms_vfio_look(v, iommu);
	return 0;
}

SEC("fentry/vfio_iommu_type1_pin_pages")
int BPF_PROG(ms_vfio_pin_begin)
{
	ms_vfio_call_begin(MS_VFIO_CALL_PIN);
	return 0;
}

SEC("fexit/vfio_iommu_type1_pin_pages")
int BPF_PROG(ms_vfio_pin_end, void *iommu, void *group, u64 iova, int npage, int prot, void *pages,
	     int ret)
{
	struct ms_vfio *v;
	u64 ns;

	if (!ms_vfio_call_end(MS_VFIO_CALL_PIN, &ns))
		return 0;
	v = ms_vfio_get(iommu);
	if (!v)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_PIN], ret, ret, ns);
	if (ret > 0)
		__sync_fetch_and_add(&v->pinned, ret);
	ms_vfio_look(v, iommu);
	return 0;
}

SEC("fentry/vfio_iommu_type1_unpin_pages")
int BPF_PROG(ms_vfio_unpin_begin)
{
	ms_vfio_call_begin(MS_VFIO_CALL_UNPIN);
	return 0;
}

SEC("fexit/vfio_iommu_type1_unpin_pages")
int BPF_PROG(ms_vfio_unpin_end, void *iommu, u64 iova, int npage)
{
	struct ms_vfio *v;
	u64 ns;

	if (!ms_vfio_call_end(MS_VFIO_CALL_UNPIN, &ns))
		return 0;
	v = ms_vfio_get(iommu);
	if (!v || npage < 0)
		return 0;
	ms_vfio_count(&v->op[MS_VFIO_UNPIN], 0, npage, ns);
	__sync_fetch_and_add(&v->pinned, -(s64)npage);
	return 0;
}

SEC("fentry/vfio_iommu_type1_dma_rw")
int BPF_PROG(ms_vfio_rw_begin)
{
	ms_vfio_call_begin(MS_VFIO_CALL_RW);
	return 0;
}

SEC("fexit/vfio_iommu_type1_dma_rw")
int BPF_PROG(ms_vfio_rw_end, void *iommu, u64 iova, void *data, u64 count, bool write, int ret)
{
	struct ms_vfio_stat *s;
	struct ms_vfio *v;
	u64 ns;

	if (!ms_vfio_call_end(MS_VFIO_CALL_RW, &ns))
		return 0;
	v = ms_vfio_get(iommu);
	if (!v)
		return 0;
	s = write ? &v->op[MS_VFIO_WRITE] : &v->op[MS_VFIO_READ];
	ms_vfio_count(s, ret, 0, ns);
	if (ret >= 0)
		__sync_fetch_and_add(&s->bytes, count);
	return 0;
}
