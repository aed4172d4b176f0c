// SPDX-License-Identifier: GPL-2.0
/*
 * Dirty pages of vDPA devices. See dirty.h.
 *
 * A page is marked after it was written: who takes the mark and then reads the page
 * reads what was written. Nobody says how large the bitmap is: each mark is checked, and
 * what cannot be marked is an error of the device's, which must not go on as if it were.
 *
 * The process is only held on to: its memory is used while a mark is made, two pages of the
 * bitmap while the device is at work, no longer. So the bitmap must not be moved in the
 * process without vdpa_dirty_set_base(): what is marked meanwhile may be marked in pages that
 * are not there any more.
 */
#include <linux/bitops.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "dirty.h"

/* what a bit of the bitmap stands for, whatever the machine's pages are */
#define LOG_SHIFT	12
#define LOG_BITS	(PAGE_SIZE * BITS_PER_BYTE)	/* in a page of the bitmap */

/* A page of the bitmap, pinned. */
struct vdpa_dirty_page {
	struct page *page;		/* NULL: none */
	unsigned long addr;		/* in the process */
	bool stays;			/* may be kept until vdpa_dirty_end() */
};

struct vdpa_dirty {
	struct list_head link;
	struct vdpa_device *vdev;
	const struct vdpa_dirty_ops *ops;

	/*
	 * What is marked, and where. A device that writes is not to be held: so who changes
	 * that has waited for what was just being written.
	 */
	bool on;
	struct mm_struct *mm;		/* NULL: no bitmap */
	u64 base;
	struct vdpa_dirty_page kept[2];	/* only while a device writes */
	unsigned int nqueues;
	struct {
		bool on;
		u64 addr;		/* where its used ring is */
	} queues[] __counted_by(nqueues);
};

static LIST_HEAD(offered);
static DEFINE_MUTEX(offered_lock);

DEFINE_GUARD(held, struct vdpa_dirty *, _T->ops->hold(_T->vdev), _T->ops->let_go(_T->vdev))

/*
 * A device's side
 */

/**
 * vdpa_dirty_offer - a device can mark what it writes
 * @vdev: the device, before anybody drives it
 * @nvqs: how many queues it has
 * @ops: how it is held still
 *
 * Return: what the device marks with, to be given back with vdpa_dirty_withdraw() when
 * nobody drives it any more; NULL if there is no memory.
 */
struct vdpa_dirty *vdpa_dirty_offer(struct vdpa_device *vdev, unsigned int nvqs,
				    const struct vdpa_dirty_ops *ops)
{
	struct vdpa_dirty *dirty = kzalloc(struct_size(dirty, queues, nvqs), GFP_KERNEL);

	if (!dirty)
		return NULL;
	dirty->nqueues = nvqs;
	dirty->vdev = vdev;
	dirty->ops = ops;
	mutex_lock(&offered_lock);
	list_add(&dirty->link, &offered);
	mutex_unlock(&offered_lock);
	return dirty;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_offer);

/**
 * vdpa_dirty_withdraw - the reverse
 * @dirty: from vdpa_dirty_offer(), or NULL
 */
void vdpa_dirty_withdraw(struct vdpa_dirty *dirty)
{
	if (!dirty)
		return;
	mutex_lock(&offered_lock);
	list_del(&dirty->link);
	mutex_unlock(&offered_lock);
	vdpa_dirty_forget(dirty);
	kfree(dirty);
}
EXPORT_SYMBOL_GPL(vdpa_dirty_withdraw);

/**
 * vdpa_dirty_begin - the device is about to write
 * @dirty: from vdpa_dirty_offer()
 *
 * Until vdpa_dirty_end() the device must not be held by anybody else.
 *
 * Return: whether it has to mark what it writes.
 */
bool vdpa_dirty_begin(struct vdpa_dirty *dirty)
{
	return dirty->on && dirty->mm;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_begin);

static void page_let_go(struct vdpa_dirty_page *kept)
{
	if (kept->page)
		unpin_user_pages_dirty_lock(&kept->page, 1, true);
	kept->page = NULL;
}

static void pages_let_go(struct vdpa_dirty *dirty)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dirty->kept); i++)
		page_let_go(&dirty->kept[i]);
}

static long page_pin(struct mm_struct *mm, unsigned long addr, unsigned int flags,
		     struct page **page)
{
	int locked = 1;
	long got;

	/* who writes to the map of memory may wait for the process, too: see sim_hurry() */
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	got = pin_user_pages_remote(mm, addr, 1, FOLL_WRITE | flags, page, &locked);
	if (locked)
		mmap_read_unlock(mm);
	return got;
}

/*
 * The page of the bitmap at @addr, which is to be marked. To find it costs more than to
 * mark it: those of the data and of the used ring, which may be far apart, are kept.
 */
static struct vdpa_dirty_page *page_find(struct vdpa_dirty *dirty, unsigned long addr)
{
	struct vdpa_dirty_page *kept = &dirty->kept[0];
	struct mm_struct *mm = dirty->mm;
	unsigned int i;
	long got;

	for (i = 0; i < ARRAY_SIZE(dirty->kept); i++)
		if (dirty->kept[i].page && dirty->kept[i].addr == addr)
			return &dirty->kept[i];
	/* the one that was found before the other */
	swap(dirty->kept[0], dirty->kept[1]);
	page_let_go(kept);
	if (!mmget_not_zero(mm))
		return ERR_PTR(-ESRCH);
	/*
	 * The device may wait for memory that the process brings itself. What may not be
	 * pinned for so long, a file's that is written back, say, is for one mark only.
	 */
	got = page_pin(mm, addr, FOLL_LONGTERM, &kept->page);
	kept->stays = got == 1;
	if (got != 1)
		got = page_pin(mm, addr, 0, &kept->page);
	/* the last one to let go of a large process would be long at it, with the device held */
	mmput_async(mm);
	if (got != 1) {
		kept->page = NULL;
		return ERR_PTR(got < 0 ? got : -EFAULT);
	}
	kept->addr = addr;
	return kept;
}

/**
 * vdpa_dirty_end - all that was written since vdpa_dirty_begin() is marked
 * @dirty: from vdpa_dirty_offer()
 */
void vdpa_dirty_end(struct vdpa_dirty *dirty)
{
	pages_let_go(dirty);
}
EXPORT_SYMBOL_GPL(vdpa_dirty_end);

/* Sets @n bits from @bit on in the page at @addr of the process. */
static int bits_set(struct vdpa_dirty *dirty, unsigned long addr, unsigned long bit,
		    unsigned long n)
{
	struct vdpa_dirty_page *kept;
	void *at;

	kept = page_find(dirty, addr);
	if (IS_ERR(kept))
		return PTR_ERR(kept);
	at = kmap_local_page(kept->page);
	/*
	 * Each by itself: the process takes them out at the same time. By words, as in
	 * any log of vhost.
	 */
	while (n--)
		set_bit(bit++, at);
	kunmap_local(at);
	if (!kept->stays)
		page_let_go(kept);
	return 0;
}

/* Pages @first to @last of the device's addresses. */
static int pages_mark(struct vdpa_dirty *dirty, u64 first, u64 last)
{
	int err = 0;

	while (!err && first <= last) {
		u64 byte = dirty->base + first / BITS_PER_BYTE;
		unsigned long bit = offset_in_page(byte) * BITS_PER_BYTE + first % BITS_PER_BYTE;
		u64 n = min(last - first + 1, LOG_BITS - bit);

		err = bits_set(dirty, byte & PAGE_MASK, bit, n);
		first += n;
		cond_resched();
	}
	return err;
}

/**
 * vdpa_dirty_mark - mark what was written
 * @dirty: from vdpa_dirty_offer(), between vdpa_dirty_begin(), which said so, and
 *	vdpa_dirty_end()
 * @iova: where, in address space 0
 * @len: how much
 *
 * Return: 0; -EFAULT if there is no bitmap there that could be written; -ESRCH if the
 * process is gone.
 */
int vdpa_dirty_mark(struct vdpa_dirty *dirty, u64 iova, u64 len)
{
	u64 last, end;

	if (!len)
		return 0;
	if (check_add_overflow(iova, len - 1, &last) ||
	    check_add_overflow(dirty->base, (last >> LOG_SHIFT) / BITS_PER_BYTE, &end) ||
	    !access_ok((void __user *)dirty->base, end - dirty->base + 1))
		return -EFAULT;
	/* who takes the mark reads what was written before it; set_bit() orders nothing */
	smp_mb__before_atomic();
	return pages_mark(dirty, iova >> LOG_SHIFT, last >> LOG_SHIFT);
}
EXPORT_SYMBOL_GPL(vdpa_dirty_mark);

/**
 * vdpa_dirty_mark_used - mark what was written to a queue's used ring
 * @dirty: as for vdpa_dirty_mark()
 * @queue: the queue's number
 * @offset: where, from the begin of the ring
 * @len: how much
 *
 * Where the used ring is, the driver has said apart from the ring's own address, and
 * whether it is marked at all.
 *
 * Return: as vdpa_dirty_mark().
 */
int vdpa_dirty_mark_used(struct vdpa_dirty *dirty, unsigned int queue, u64 offset, u64 len)
{
	u64 addr;

	if (queue >= dirty->nqueues || !dirty->queues[queue].on)
		return 0;
	if (check_add_overflow(dirty->queues[queue].addr, offset, &addr))
		return -EFAULT;
	return vdpa_dirty_mark(dirty, addr, len);
}
EXPORT_SYMBOL_GPL(vdpa_dirty_mark_used);

/*
 * A driver's side
 */

/**
 * vdpa_dirty_find - can this device mark what it writes?
 * @vdev: the device, which the caller drives
 *
 * Return: what it marks with, as long as the caller drives it; NULL if it cannot.
 */
struct vdpa_dirty *vdpa_dirty_find(const struct vdpa_device *vdev)
{
	struct vdpa_dirty *dirty;

	guard(mutex)(&offered_lock);
	list_for_each_entry(dirty, &offered, link)
		if (dirty->vdev == vdev)
			return dirty;
	return NULL;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_find);

/**
 * vdpa_dirty_set_base - say where to mark
 * @dirty: from vdpa_dirty_find()
 * @mm: of the process whose memory that is
 * @base: where in it the bitmap begins
 *
 * When it returns, nothing is marked any more where it was before.
 *
 * Return: 0, or -EFAULT for an address that no process has.
 */
int vdpa_dirty_set_base(struct vdpa_dirty *dirty, struct mm_struct *mm, u64 base)
{
	struct mm_struct *old;

	if (!access_ok((void __user *)base, 1))
		return -EFAULT;
	mmgrab(mm);
	scoped_guard(held, dirty) {
		old = dirty->mm;
		dirty->mm = mm;
		dirty->base = base;
	}
	if (old)
		mmdrop(old);
	return 0;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_set_base);

/**
 * vdpa_dirty_has_base - was it said where to mark?
 * @dirty: from vdpa_dirty_find()
 */
bool vdpa_dirty_has_base(struct vdpa_dirty *dirty)
{
	guard(held)(dirty);
	return dirty->mm;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_has_base);

/**
 * vdpa_dirty_set_queue - say whether a used ring is marked
 * @dirty: from vdpa_dirty_find()
 * @queue: the queue's number
 * @on: mark it
 * @addr: as at this address
 */
void vdpa_dirty_set_queue(struct vdpa_dirty *dirty, unsigned int queue, bool on, u64 addr)
{
	if (queue >= dirty->nqueues)
		return;
	queue = array_index_nospec(queue, dirty->nqueues);
	guard(held)(dirty);
	dirty->queues[queue].on = on;
	dirty->queues[queue].addr = addr;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_set_queue);

/**
 * vdpa_dirty_switch - begin or cease to mark
 * @dirty: from vdpa_dirty_find()
 * @on: begin
 *
 * When it returns, all that is written later is marked, or nothing is.
 */
void vdpa_dirty_switch(struct vdpa_dirty *dirty, bool on)
{
	guard(held)(dirty);
	dirty->on = on;
}
EXPORT_SYMBOL_GPL(vdpa_dirty_switch);

/**
 * vdpa_dirty_forget - cease to mark, and forget all that was said of it
 * @dirty: from vdpa_dirty_find()
 */
void vdpa_dirty_forget(struct vdpa_dirty *dirty)
{
	struct mm_struct *old;
	unsigned int i;

	scoped_guard(held, dirty) {
		dirty->on = false;
		old = dirty->mm;
		dirty->mm = NULL;
		for (i = 0; i < dirty->nqueues; i++) {
			dirty->queues[i].on = false;
			dirty->queues[i].addr = 0;
		}
	}
	if (old)
		mmdrop(old);
}
EXPORT_SYMBOL_GPL(vdpa_dirty_forget);
