/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The other side of a ring, for the tests of vringh: it lays descriptors out in memory
 * that is reached in four ways - as user memory, as kernel memory, through a table of
 * translations to physical and to user addresses - and knows what must become of them.
 */
#ifndef _VRINGH_PROBE_H
#define _VRINGH_PROBE_H

#include <linux/prandom.h>
#include <linux/vringh.h>

#define TAP	"vringh_probe: "

#define NUM		16U			/* descriptors of the ring */
#define PAGES		48
#define BYTES		(PAGES * PAGE_SIZE)
#define IOVA		0x1000000000ULL		/* no address of ours is like this */
#define TABLE_PAGE	4			/* where indirect tables are laid out */
#define DATA_PAGE	12
#define DATA_BYTES	((PAGES - DATA_PAGE) * PAGE_SIZE)

enum kind { USER, KERN, IOTLB, IOTLB_VA, KINDS };

extern const char * const kind_name[KINDS];

struct ring {
	enum kind kind;	/* of memory */
	bool events;			/* VIRTIO_RING_F_EVENT_IDX */
	struct vringh vrh;
	struct vringh_kiov riov, wiov;
	/* the other side's view; same memory */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 offered, taken, given;	/* free-running */
};

/* One memory for all: user pages, pinned, and mapped in the kernel as well. */
extern u8 *memory;
extern unsigned long user_memory;
extern struct page *pages[PAGES];
extern struct vhost_iotlb *table;
extern spinlock_t table_lock;
extern struct rnd_state rnd;
extern u64 misses, denials;
extern bool base;

void tap(bool ok, const char *fmt, ...) __printf(2, 3);
void tap_skip(const char *name, const char *why);
u32 below(u32 n);

/* what descriptors call memory + @off */
u64 address(const struct ring *r, size_t off);
int map_pages(enum kind of, unsigned int first, unsigned int last, u32 perm);
int map_all(enum kind kind);

int ring_setup(struct ring *r, enum kind of, bool events);
void ring_cleanup(struct ring *r);
void put_desc(const struct ring *r, struct vring_desc *at, u64 addr, u32 len, u16 flags, u16 next);
void offer(struct ring *r, u16 head);

int getdesc(struct ring *r, bool want_read, bool want_write, u16 *head);
ssize_t pull(struct ring *r, void *to, size_t len);
ssize_t push(struct ring *r, const void *from, size_t len);
int complete_one(struct ring *r, u16 head, u32 len);
int need_notify(struct ring *r);
bool notify_enable(struct ring *r);
void notify_disable(struct ring *r);
void abandon(struct ring *r, unsigned int num);

void test_traffic(enum kind kind);
void test_hostile(enum kind kind);
void test_fuzz(enum kind kind);
void test_cache(enum kind kind);

#endif
