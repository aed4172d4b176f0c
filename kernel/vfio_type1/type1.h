/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the type1 backend share.
 *
 *	main.c		what user space asks for: checks, then one of the others
 *	map.c		mappings: found, made, removed
 *	pages.c		the user's pages: pinned in runs, charged to who mapped them
 *	pin.c		pages that devices without an IOMMU pin, and what they read and write
 *	dirty.c		what devices wrote: marked, reported, forgotten
 *	domain.c	groups and the IOMMU domains that translate for them
 *	iova.c		which addresses all groups can use
 */
#ifndef VFIO_TYPE1_H
#define VFIO_TYPE1_H

#include <linux/bits.h>
#include <linux/iommu.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/xarray.h>
#include <drivers/vfio/vfio.h>

/* A leaf's pins are one word of its chunk's bitmaps, which go to user space as u64. */
static_assert(BITS_PER_LONG == 64);

/*
 * Pages that lie one behind the other. Of a run, @n is how many; of a pin, which is of
 * a single page, how many times it is held. What is not @ours - memory without a struct
 * page, or with one that nobody manages - could not be pinned and is not given back.
 */
struct type1_run {
	u64	pfn:40,
		n:23,
		ours:1;
};

#define TYPE1_PFN_BITS	40
#define TYPE1_HELD_MAX	((1U << 23) - 1)
/* short enough for the length of a scatterlist entry; iommu_map_sg() joins what is longer */
#define TYPE1_RUN_MAX	(SZ_1G >> PAGE_SHIFT)
#define TYPE1_BATCH	(PAGE_SIZE / sizeof(struct page *))

static_assert(sizeof(struct type1_run) == 8);
/* physical addresses have 52 bits at most, on x86 as on arm64 */
static_assert(52 - PAGE_SHIFT <= TYPE1_PFN_BITS);

/*
 * What is known of 4096 pages of a mapping, made when the first of them is pinned or
 * written; once nothing is pinned it goes with what is reported, or with the mapping. The
 * bitmap of what is pinned and who holds what is there while something is. All of them are
 * shorter at the end of a mapping: a mapping of one page needs little.
 */
#define TYPE1_CHUNK_WORDS	64
#define TYPE1_CHUNK_PAGES	(TYPE1_CHUNK_WORDS * BITS_PER_LONG)

struct type1_chunk {
	unsigned long		*pinned;	/* as many words as there are of dirty */
	struct type1_run	**leaf;		/* behind them; a pin for each bit of a word */
	unsigned short		npages;
	unsigned short		npinned;
	bool			marked;		/* there may be a bit in dirty */
	unsigned long		dirty[];
};

struct type1_map {
	struct rb_node		node;
	u64			iova;
	u64			last;
	unsigned long		vaddr;
	int			prot;		/* IOMMU_READ, IOMMU_WRITE */
	bool			may_lock;	/* CAP_IPC_LOCK: no limit */
	bool			no_vaddr;	/* taken away, to be replaced */
	bool			all_dirty;	/* until it is reported */
	bool			stuck;		/* an IOMMU did not unmap it: see domain_unmap() */
	struct task_struct	*task;		/* its limit counts */
	struct mm_struct	*mm;		/* grabbed, not held */
	unsigned long		charged;	/* pages of mm->locked_vm */
	unsigned long		npinned;	/* pages that devices hold */
	unsigned long		npinned_charged; /* those of them that are charged for */
	struct xarray		chunks;
	struct type1_chunk	*recent;	/* the one of chunks that was used last, or NULL */
	unsigned long		recent_at;
	struct type1_run	*runs;		/* what IOMMUs translate to */
	unsigned long		nr_runs;
	unsigned long		max_runs;
	struct type1_run	one_run;
};

struct type1_group {
	struct list_head	next;
	struct iommu_group	*group;
	bool			pins;		/* dirties only what it pins */
};

struct type1_domain {
	struct list_head	next;
	struct list_head	groups;
	struct iommu_domain	*domain;
	bool			coherent;
};

/* as GET_INFO hands it out */
#define type1_ranges vfio_iommu_type1_info_cap_iova_range

struct type1_container {
	/*
	 * The outer one, held for all of an unmap, so that a device that comes or goes waits
	 * for that: devices are told to let go of their pages, and do so, under it alone.
	 */
	struct mutex		devices_lock;
	/* for everything; @devices changes under both */
	struct mutex		lock;
	struct rb_root		maps;
	struct type1_map	*recent;	/* of maps: what was pinned in last, or NULL */
	unsigned int		nmaps;
	unsigned int		avail;		/* how many more there may be */
	unsigned int		nr_no_vaddr;
	unsigned int		nr_big;		/* maps of more pages than a GET can report */
	bool			v2;
	bool			nesting;
	bool			tracking;
	unsigned int		nr_opaque;	/* IOMMU groups that may write anywhere */
	unsigned long		npinned;
	/* what is being unmapped, from when devices were asked to let go; none: last is less */
	u64			going_first;
	u64			going_last;
	u64			pgsizes;
	struct type1_ranges	*ranges;	/* usable addresses; NULL is all */
	struct list_head	domains;
	struct list_head	emulated;
	struct list_head	devices;
	/* all zero, for the next that is needed */
	struct type1_run	*spare_leaf;
	unsigned long		*spare_pinned;
};

/* The machine's own pages - of zeros, of the vDSO - are there for all: nobody pays for them. */
static inline bool type1_page_charged(struct page *page)
{
	return !PageReserved(page);
}

static inline unsigned long map_npages(const struct type1_map *map)
{
	return (map->last - map->iova + 1) >> PAGE_SHIFT;
}

static inline bool type1_dirty_full(const struct type1_container *c)
{
	return c->nr_opaque;
}

static inline u64 type1_page_size(const struct type1_container *c)
{
	return 1ULL << __ffs64(c->pgsizes);
}

/* The longest bitmap that a GET reports, as the base has it: INT_MAX pages. */
#define TYPE1_BITMAP_BYTES(npages)	(ALIGN((u64)(npages), 64) / 8)
#define TYPE1_DIRTY_PAGES_MAX		((u64)INT_MAX)
#define TYPE1_DIRTY_BYTES_MAX		TYPE1_BITMAP_BYTES(TYPE1_DIRTY_PAGES_MAX)

/* map.c */
struct type1_map *type1_map_first(struct type1_container *c, u64 iova, u64 last);
struct type1_map *type1_map_next(struct type1_map *map, u64 last);
struct type1_map *type1_map_whole(struct type1_container *c, u64 iova, u64 last);
int type1_map(struct type1_container *c, const struct vfio_iommu_type1_dma_map *req);
int type1_unmap(struct type1_container *c, struct vfio_iommu_type1_dma_unmap *req,
		const struct vfio_bitmap *bitmap);
void type1_unmap_all(struct type1_container *c);

static inline struct type1_map *type1_map_at(struct type1_container *c, u64 iova)
{
	return type1_map_first(c, iova, iova);
}

/* All of them: type1_map_any(), and then type1_map_after() */
static inline struct type1_map *type1_map_any(struct type1_container *c)
{
	return type1_map_first(c, 0, U64_MAX);
}

static inline struct type1_map *type1_map_after(struct type1_map *map)
{
	return type1_map_next(map, U64_MAX);
}

/* pages.c */
int type1_charge(struct type1_map *map, unsigned long npages);
void type1_charge_held(struct type1_map *map, unsigned long npages);
void type1_uncharge(struct type1_map *map, unsigned long npages);
int type1_change_owner(struct type1_map *map);
long type1_grab(struct mm_struct *mm, unsigned long vaddr, unsigned long n, int prot,
		struct page **pages, unsigned long *pfn);
void type1_release_run(const struct type1_run *run, int prot);
int type1_runs_pin(struct type1_map *map);
void type1_runs_unpin(struct type1_map *map);

/* pin.c */
int type1_pin_pages(void *data, struct iommu_group *group, dma_addr_t iova, int npage,
		    int prot, struct page **pages);
void type1_unpin_pages(void *data, dma_addr_t iova, int npage);
int type1_dma_rw(void *data, dma_addr_t iova, void *buf, size_t count, bool write);
void type1_pins_drop(struct type1_container *c, struct type1_map *map);
bool type1_is_pinned(struct type1_map *map, unsigned long index);

/* dirty.c */
struct type1_chunk *type1_chunk_find(struct type1_map *map, unsigned long at);
struct type1_chunk *type1_chunk_make(struct type1_map *map, unsigned long index);
int type1_dirty_prepare(struct type1_map *map, unsigned long index, unsigned long n);
void type1_dirty_trim(struct type1_map *map, unsigned long index, unsigned long n);
void type1_dirty_mark(struct type1_map *map, unsigned long index, unsigned long n);
int type1_dirty_start(struct type1_container *c);
void type1_dirty_stop(struct type1_container *c);
int type1_dirty_report(struct type1_container *c, struct type1_map *map, u64 iova, u64 last,
		       u64 __user *to);
void type1_dirty_forget(struct type1_map *map);
void type1_dirty_all(struct type1_container *c);
u64 type1_dirty_count(struct type1_container *c, u64 iova, u64 last);
int type1_bitmap_check(const struct vfio_bitmap *bitmap, u64 size);
int type1_dirty_get(struct type1_container *c, const struct vfio_iommu_type1_dirty_bitmap_get *get);
int type1_dirty_init(void);
void type1_dirty_exit(void);

/* The chunk of page @index of a mapping, or NULL if there is none. */
static inline struct type1_chunk *type1_chunk(struct type1_map *map, unsigned long index)
{
	unsigned long at = index / TYPE1_CHUNK_PAGES;

	/* a device works where it worked just now: most often there is no tree to walk */
	if (map->recent && map->recent_at == at)
		return map->recent;
	return type1_chunk_find(map, at);
}

/* domain.c */
int type1_domains_map(struct type1_container *c, struct type1_map *map);
void type1_domains_unmap(struct type1_container *c, struct type1_map *map);
int type1_attach_group(void *data, struct iommu_group *group, enum vfio_group_type type);
void type1_detach_group(void *data, struct iommu_group *group);
struct type1_group *type1_group_find(struct type1_container *c, struct iommu_group *group,
				     struct type1_domain **in);
void type1_group_promise(struct type1_container *c, struct type1_group *group);
struct iommu_domain *type1_group_domain(void *data, struct iommu_group *group);
bool type1_all_coherent(struct type1_container *c);
void type1_domains_release(struct type1_container *c);

/* iova.c */
int type1_ranges_make(struct type1_container *c, struct iommu_domain *more_domain,
		      struct iommu_group *more_group, struct type1_ranges **made,
		      phys_addr_t *sw_msi, bool *has_sw_msi);
bool type1_in_ranges(const struct type1_ranges *ranges, u64 iova, u64 last);

static inline bool type1_ranges_hold(const struct type1_ranges *ranges, u64 iova, u64 last)
{
	return !ranges || type1_in_ranges(ranges, iova, last);
}

/* main.c */
extern bool type1_disable_hugepages;
extern bool type1_allow_unsafe_interrupts;

#endif
