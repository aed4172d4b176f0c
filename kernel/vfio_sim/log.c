// SPDX-License-Identifier: GPL-2.0
/*
 * Device dirty tracking (VFIO_DEVICE_FEATURE_DMA_LOGGING_*): which pages of the ranges
 * that were asked for did DMA write.
 *
 * Bits lie in chunks of a page each, allocated before the first page that they stand
 * for is written: memory follows what is dirty, whatever the ranges are.
 */
#include <linux/bitmap.h>
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "vfio_sim.h"

#define CHUNK_BITS	(PAGE_SIZE * BITS_PER_BYTE)
#define CHUNKS_MAX	4096	/* of memory that is written, half a TiB if it lies together */

/* What is about to be written. Fails before anything was: then it must not be. */
int sim_log_write(struct vfio_sim *sim, u64 iova, u64 len)
{
	struct sim_log *log = &sim->log;
	unsigned long page, last = (iova + len - 1) >> PAGE_SHIFT;
	unsigned long *bits;
	int err;

	lockdep_assert_held(&sim->lock);
	if (!log->on)
		return 0;
	for (page = iova >> PAGE_SHIFT; page <= last; page++) {
		if (!interval_tree_iter_first(&log->tree, page << PAGE_SHIFT,
					      (page << PAGE_SHIFT) | ~PAGE_MASK))
			continue;
		bits = xa_load(&log->chunks, page / CHUNK_BITS);
		if (!bits) {
			/* the worker's memory is nobody's, and an access may well fail */
			if (log->nr_chunks >= CHUNKS_MAX)
				return -ENOSPC;
			bits = (unsigned long *)get_zeroed_page(GFP_KERNEL);
			if (!bits)
				return -ENOMEM;
			err = xa_err(xa_store(&log->chunks, page / CHUNK_BITS, bits, GFP_KERNEL));
			if (err) {
				free_page((unsigned long)bits);
				return err;
			}
			log->nr_chunks++;
		}
		__set_bit(page % CHUNK_BITS, bits);
	}
	return 0;
}

static void forget(struct sim_log *log)
{
	unsigned long index;
	void *bits;

	xa_for_each(&log->chunks, index, bits)
		free_page((unsigned long)bits);
	xa_destroy(&log->chunks);
	log->nr_chunks = 0;
	kfree(log->ranges);
	log->ranges = NULL;
	log->tree = RB_ROOT_CACHED;
	log->on = false;
}

void sim_log_close(struct vfio_sim *sim)
{
	forget(&sim->log);
}

/* The ranges are the caller's and go when it returns: keep a copy. */
static int sim_log_start(struct vfio_device *vdev, struct rb_root_cached *ranges, u32 nnodes,
			 u64 *page_size)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);
	struct interval_tree_node *copy, *node;
	u32 i = 0;

	copy = kcalloc(nnodes, sizeof(*copy), GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	mutex_lock(&sim->lock);
	if (sim->log.on) {
		mutex_unlock(&sim->lock);
		kfree(copy);
		return -EBUSY;
	}
	for (node = interval_tree_iter_first(ranges, 0, ULONG_MAX); node && i < nnodes;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX), i++) {
		copy[i].start = node->start;
		copy[i].last = node->last;
		interval_tree_insert(&copy[i], &sim->log.tree);
	}
	sim->log.ranges = copy;
	sim->log.on = true;
	mutex_unlock(&sim->lock);
	*page_size = PAGE_SIZE;
	return 0;
}

/* As with the container's tracking, stopping twice is no error. */
static int sim_log_stop(struct vfio_device *vdev)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_lock(&sim->lock);
	forget(&sim->log);
	mutex_unlock(&sim->lock);
	return 0;
}

/* The next page from @page to @last that is dirty, or @last + 1. */
static unsigned long next_dirty(struct sim_log *log, unsigned long page, unsigned long last)
{
	unsigned long index, bit;
	void *bits;

	xa_for_each_range(&log->chunks, index, bits, page / CHUNK_BITS, last / CHUNK_BITS) {
		bit = index == page / CHUNK_BITS ? page % CHUNK_BITS : 0;
		bit = find_next_bit(bits, CHUNK_BITS, bit);
		if (bit < CHUNK_BITS)
			return min(index * CHUNK_BITS + bit, last + 1);
	}
	return last + 1;
}

static void clean(struct sim_log *log, unsigned long page)
{
	__clear_bit(page % CHUNK_BITS, xa_load(&log->chunks, page / CHUNK_BITS));
}

static int sim_log_read_and_clear(struct vfio_device *vdev, unsigned long iova,
				  unsigned long length, struct iova_bitmap *dirty)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);
	unsigned long page, last;
	int err = -EINVAL;

	if (!length)
		return 0;
	last = (iova + length - 1) >> PAGE_SHIFT;
	mutex_lock(&sim->lock);
	if (!sim->log.on)
		goto unlock;
	for (page = next_dirty(&sim->log, iova >> PAGE_SHIFT, last); page <= last;
	     page = next_dirty(&sim->log, page + 1, last)) {
		iova_bitmap_set(dirty, page << PAGE_SHIFT, PAGE_SIZE);
		clean(&sim->log, page);
		if (page == last)
			break;
	}
	err = 0;
unlock:
	mutex_unlock(&sim->lock);
	return err;
}

const struct vfio_log_ops sim_log_ops = {
	.log_start		= sim_log_start,
	.log_stop		= sim_log_stop,
	.log_read_and_clear	= sim_log_read_and_clear,
};

/*
 * A page of the user's bitmap at a time: copied in without the lock, merged with it,
 * copied out without it. A fault on the way out marks what it held dirty again.
 */
static int report_part(struct vfio_sim *sim, unsigned long first, unsigned long npages,
		       unsigned long *bits, u64 __user *user)
{
	size_t bytes = BITS_TO_U64(npages) * sizeof(u64);
	unsigned long page, last = first + npages - 1;
	unsigned long *got;
	int err = 0;

	got = bitmap_zalloc(CHUNK_BITS, GFP_KERNEL);
	if (!got)
		return -ENOMEM;
	if (copy_from_user(bits, user, bytes)) {
		err = -EFAULT;
		goto out;
	}

	mutex_lock(&sim->lock);
	if (!sim->log.on)
		err = -EINVAL;
	for (page = err ? last + 1 : next_dirty(&sim->log, first, last); page <= last;
	     page = next_dirty(&sim->log, page + 1, last)) {
		__set_bit(page - first, got);
		clean(&sim->log, page);
	}
	mutex_unlock(&sim->lock);
	if (err)
		goto out;

	bitmap_or(bits, bits, got, npages);
	if (!copy_to_user(user, bits, bytes))
		goto out;
	err = -EFAULT;
	mutex_lock(&sim->lock);
	/* the chunks are there unless tracking was stopped meanwhile */
	for_each_set_bit(page, got, npages)
		if (xa_load(&sim->log.chunks, (first + page) / CHUNK_BITS))
			sim_log_write(sim, (u64)(first + page) << PAGE_SHIFT, 1);
	mutex_unlock(&sim->lock);
out:
	bitmap_free(got);
	return err;
}

static int report(struct vfio_sim *sim, void __user *arg)
{
	struct vfio_device_feature_dma_logging_report r;
	unsigned long first, npages, done, part, *bits;
	u64 last;
	int err = 0;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	if (r.page_size != PAGE_SIZE || !r.length || !PAGE_ALIGNED(r.iova | r.length))
		return -EINVAL;
	if (check_add_overflow(r.iova, r.length - 1, &last))
		return -EOVERFLOW;

	bits = bitmap_zalloc(CHUNK_BITS, GFP_KERNEL);
	if (!bits)
		return -ENOMEM;
	first = r.iova >> PAGE_SHIFT;
	npages = r.length >> PAGE_SHIFT;
	for (done = 0; done < npages && !err; done += part) {
		part = min(npages - done, CHUNK_BITS);
		err = report_part(sim, first + done, part, bits,
				  u64_to_user_ptr(r.bitmap) + done / 8);
		/* what was shown is forgotten: only who is killed may miss the rest */
		if (fatal_signal_pending(current) && !err && done + part < npages)
			err = -EINTR;
		cond_resched();
	}
	bitmap_free(bits);
	return err;
}

int sim_device_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz)
{
	int err;

	switch (flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_SIM_FEATURE_DMA_LOGGING_REPORT:
		if (!vdev->log_ops)
			return -ENOTTY;
		err = vfio_check_feature(flags, argsz, VFIO_DEVICE_FEATURE_GET,
					 sizeof(struct vfio_device_feature_dma_logging_report));
		return err == 1 ? report(to_vfio_sim(vdev), arg) : err;
	default:
		return -ENOTTY;
	}
}
