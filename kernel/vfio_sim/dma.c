// SPDX-License-Identifier: GPL-2.0
/*
 * The DMA engine, and the pages that it keeps pinned.
 *
 * A command is worked off in chunks; between two of them the lock is given up, so that
 * the device can be stopped, or a mapping be taken away, in the middle of a command
 * of any size. What has been done is part of the device's state.
 */
#include <linux/highmem.h>
#include <linux/iommu.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/unaligned.h>
#include <trace/events/vfio_sim.h>
#include "vfio_sim.h"

#define MAX_CHUNK_PAGES	(SIM_CHUNK_PAGES + 1)	/* the first may be entered half way */

static u64 pages_of(u64 iova, u64 bytes)
{
	return bytes ? ((iova + bytes - 1) >> PAGE_SHIFT) - (iova >> PAGE_SHIFT) + 1 : 0;
}

static void count_pins(struct vfio_sim *sim, int more)
{
	sim->nr_pins += more;
	sim->image->words[VFIO_SIM_PINNED / 4] = sim->nr_pins;
}

static int pin(struct vfio_sim *sim, u64 first, u32 npages, int prot, struct page **pages)
{
	int got = vfio_pin_pages(&sim->vdev, first << PAGE_SHIFT, npages, prot, pages);

	if (got == npages)
		return 0;
	if (got > 0)
		vfio_unpin_pages(&sim->vdev, first << PAGE_SHIFT, got);
	return got < 0 ? got : -EFAULT;
}

/* Unpin what @pins holds of a range, in runs. Returns how many pages that were. */
static u32 unpin_range(struct vfio_sim *sim, struct xarray *pins, unsigned long first,
		       unsigned long last)
{
	unsigned long index, start = 0;
	u32 run = 0, all = 0;
	void *entry;

	xa_for_each_range(pins, index, entry, first, last) {
		xa_erase(pins, index);
		if (xa_is_value(entry))		/* SIM_PIN_MEANT */
			continue;
		if (run && (index != start + run || run == VFIO_PIN_PAGES_MAX_ENTRIES)) {
			vfio_unpin_pages(&sim->vdev, (u64)start << PAGE_SHIFT, run);
			run = 0;
		}
		if (!run++)
			start = index;
		all++;
	}
	if (run)
		vfio_unpin_pages(&sim->vdev, (u64)start << PAGE_SHIFT, run);
	return all;
}

void sim_unpin_all(struct vfio_sim *sim, struct xarray *pins)
{
	u32 pages = unpin_range(sim, pins, 0, ULONG_MAX);

	if (pins == sim->pins)
		count_pins(sim, -pages);
}

/*
 * Pin all pages of a list that came with the device's state: all, or none, and then they
 * are still meant to be.
 *
 * Return: how many; or an error.
 */
int sim_pin_all(struct vfio_sim *sim, struct xarray *pins)
{
	unsigned long index;
	struct page *page;
	int err, n = 0;
	void *entry;

	/* there is an entry for each already: nothing is allocated for another one */
	xa_for_each(pins, index, entry) {
		err = pin(sim, index, 1, IOMMU_READ | IOMMU_WRITE, &page);
		if (err)
			goto undo;
		xa_store(pins, index, page, GFP_KERNEL);
		n++;
		cond_resched();
	}
	return n;

undo:
	xa_for_each(pins, index, entry) {
		if (xa_is_value(entry))
			continue;
		vfio_unpin_pages(&sim->vdev, (u64)index << PAGE_SHIFT, 1);
		xa_store(pins, index, SIM_PIN_MEANT, GFP_KERNEL);
	}
	return err;
}

/* Called when user space unmaps: let go of what lies there. */
void sim_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	if (!length)
		return;
	mutex_lock(&sim->lock);
	count_pins(sim, -unpin_range(sim, sim->pins, iova >> PAGE_SHIFT,
				     (iova + length - 1) >> PAGE_SHIFT));
	mutex_unlock(&sim->lock);
}

static void copy_page_part(struct page *page, u32 offset, void *buf, u32 len, bool write)
{
	void *at = kmap_local_page(page);

	if (write)
		memcpy(at + offset, buf, len);
	else
		memcpy(buf, at + offset, len);
	kunmap_local(at);
}

/* Pages that were just pinned are to stay so; there is room. Those that cannot are unpinned. */
static int keep(struct vfio_sim *sim, u64 first, u32 npages, struct page **pages)
{
	u32 i;
	int err = 0;

	for (i = 0; i < npages; i++) {
		err = xa_err(xa_store(sim->pins, first + i, pages[i], GFP_KERNEL));
		if (err)
			break;
		count_pins(sim, 1);
	}
	if (err)
		vfio_unpin_pages(&sim->vdev, (first + i) << PAGE_SHIFT, npages - i);
	return err;
}

/*
 * Pages in a row that are not kept: pinned for this access, or from now on. They are
 * pinned for reading, too, when they are to be kept: who uses them later is not known.
 */
static int access_run(struct vfio_sim *sim, u64 first, u32 npages, u32 offset, void *buf, u32 len,
		      bool write, bool stay)
{
	struct page *pages[MAX_CHUNK_PAGES];
	int prot = (write ? IOMMU_WRITE : 0) | (!write || stay ? IOMMU_READ : 0);
	u32 i, part;
	int err;

	/* before anything is written */
	if (stay && npages > VFIO_SIM_MAX_PINNED - sim->nr_pins)
		return -ENOSPC;
	err = pin(sim, first, npages, prot, pages);
	if (!err && stay)
		err = keep(sim, first, npages, pages);
	if (err)
		return err;
	for (i = 0; i < npages; i++, offset = 0) {
		part = min_t(u32, len, PAGE_SIZE - offset);
		copy_page_part(pages[i], offset, buf, part, write);
		buf += part;
		len -= part;
	}
	if (!stay)
		vfio_unpin_pages(&sim->vdev, first << PAGE_SHIFT, npages);
	return 0;
}

/* Read or write guest memory through pins. At most a chunk. */
static int access_pinned(struct vfio_sim *sim, u64 iova, void *buf, u32 len, bool write, bool stay,
			 u32 *pinned)
{
	u32 offset, part, npages;
	struct page *page;
	u64 first;
	int err;

	while (len) {
		first = iova >> PAGE_SHIFT;
		offset = offset_in_page(iova);
		page = xa_load(sim->pins, first);
		if (page) {
			part = min_t(u32, len, PAGE_SIZE - offset);
			copy_page_part(page, offset, buf, part, write);
		} else {
			for (npages = 1; npages < pages_of(iova, len); npages++)
				if (xa_load(sim->pins, first + npages))
					break;
			part = min_t(u64, len, ((u64)npages << PAGE_SHIFT) - offset);
			err = access_run(sim, first, npages, offset, buf, part, write, stay);
			if (err)
				return err;
			*pinned += npages;
		}
		iova += part;
		buf += part;
		len -= part;
	}
	return 0;
}

static int access_guest(struct vfio_sim *sim, u64 iova, u32 len, bool write, u32 flags,
			u32 *pinned)
{
	int err;

	/* before anything is written: a page that cannot be logged must not get dirty */
	if (write) {
		err = sim_log_write(sim, iova, len);
		if (err)
			return err;
	}
	if (flags & VFIO_SIM_BY_CPU)
		return vfio_dma_rw(&sim->vdev, iova, sim->bounce, len, write);
	return access_pinned(sim, iova, sim->bounce, len, write, write && flags & VFIO_SIM_KEEP,
			     pinned);
}

static void fill(void *buf, u32 len, const struct sim_command *c)
{
	__le64 word;
	u32 i;

	for (i = 0; i < len; i += sizeof(word)) {
		word = cpu_to_le64(vfio_sim_pattern(c->seed, c->pass, c->block, c->offset + i));
		memcpy(buf + i, &word, min_t(u32, len - i, sizeof(word)));
	}
}

/* Returns what is left to do of the block, a chunk at most; sets where. */
static u32 next_chunk(const struct sim_command *c, u64 *source, u64 *target)
{
	u64 at = c->block * c->stride + c->offset;

	*source = c->source + at;
	*target = c->target + at;
	return min_t(u64, c->length - c->offset, SIM_CHUNK_BYTES);
}

static int do_chunk(struct vfio_sim *sim, u32 *pinned)
{
	struct sim_command *c = &sim->image->command;
	u64 source, target;
	u32 len = next_chunk(c, &source, &target);
	int err = 0;

	if (!(sim->image->config[PCI_COMMAND] & PCI_COMMAND_MASTER))
		return -EPERM;

	switch (c->command & VFIO_SIM_OP_MASK) {
	case VFIO_SIM_OP_FILL:
		fill(sim->bounce, len, c);
		break;
	case VFIO_SIM_OP_COPY:
	case VFIO_SIM_OP_LOAD:
		err = access_guest(sim, source, len, false, c->command, pinned);
		break;
	case VFIO_SIM_OP_STORE:
		memcpy(sim->bounce, sim->image->memory + source, len);
		break;
	}
	if (err)
		return err;

	if ((c->command & VFIO_SIM_OP_MASK) != VFIO_SIM_OP_LOAD)
		return access_guest(sim, target, len, true, c->command, pinned);
	memcpy(sim->image->memory + target, sim->bounce, len);
	sim_migration_dirty(sim, target, len);
	return 0;
}

static void raise(struct vfio_sim *sim, u32 cause)
{
	sim->image->words[VFIO_SIM_IRQ_STATUS / 4] |= cause;
	sim_irq_update(sim);
}

static void finish(struct vfio_sim *sim, int err)
{
	struct sim_image *image = sim->image;

	image->command.active = false;
	image->words[VFIO_SIM_STATUS / 4] = 0;
	image->words[VFIO_SIM_ERROR / 4] = -err;
	raise(sim, err ? VFIO_SIM_IRQ_FAILED : VFIO_SIM_IRQ_DONE);
}

/* Count a chunk that was done. Returns whether a pass ended and there are more. */
static bool advance(struct vfio_sim *sim, u32 len)
{
	struct sim_image *image = sim->image;
	struct sim_command *c = &image->command;

	sim_set64(image, VFIO_SIM_BYTES, sim_get64(image, VFIO_SIM_BYTES) + len);
	c->offset += len;
	if (c->offset < c->length)
		return false;
	c->offset = 0;
	c->block++;
	if (c->block == c->blocks) {
		c->block = 0;
		c->pass++;
		sim_set64(image, VFIO_SIM_PASSES_DONE, c->pass);
	}
	image->words[VFIO_SIM_BLOCKS_DONE / 4] = c->block;
	if (c->block)
		return false;
	if (c->pass == c->passes) {
		finish(sim, 0);
		return false;
	}
	if (c->command & VFIO_SIM_IRQ_EACH)
		raise(sim, VFIO_SIM_IRQ_DONE);
	return true;
}

/* Returns whether it is time to rest. */
static bool run_chunk(struct vfio_sim *sim)
{
	struct sim_command *c = &sim->image->command;
	u64 source, target;
	u32 pinned = 0, len = next_chunk(c, &source, &target);
	bool tracing = trace_vfio_sim_dma_enabled();
	bool to_guest = (c->command & VFIO_SIM_OP_MASK) != VFIO_SIM_OP_LOAD;
	u64 began = tracing ? ktime_get_ns() : 0;
	int err = do_chunk(sim, &pinned);

	if (tracing)
		trace_vfio_sim_dma(sim_name(sim), c->command, to_guest ? target : source,
				   to_guest && !err ? pages_of(target, len) : 0, pinned,
				   err ? 0 : len, ktime_get_ns() - began, err);
	if (!err)
		return advance(sim, len);
	finish(sim, err);
	return false;
}

void sim_dma_work(struct work_struct *work)
{
	struct vfio_sim *sim = container_of(to_delayed_work(work), struct vfio_sim, work);
	u32 interval;

	mutex_lock(&sim->lock);
	while (sim_runs(sim) && sim->image->command.active) {
		interval = sim->image->command.interval;
		if (run_chunk(sim) && interval) {
			queue_delayed_work(system_unbound_wq, &sim->work,
					   usecs_to_jiffies(interval));
			break;
		}
		mutex_unlock(&sim->lock);
		cond_resched();
		mutex_lock(&sim->lock);
	}
	mutex_unlock(&sim->lock);
}

/* The device runs again: so does its command. */
void sim_dma_resume(struct vfio_sim *sim)
{
	if (sim_runs(sim) && sim->image->command.active)
		mod_delayed_work(system_unbound_wq, &sim->work, 0);
}

static bool fits_memory(u64 start, u64 span)
{
	return start <= VFIO_SIM_MEMORY_BYTES && span <= VFIO_SIM_MEMORY_BYTES - start;
}

/* Of a command as a driver wrote it, or as it came in a stream. */
int sim_command_check(const struct sim_command *c)
{
	u32 op = c->command & VFIO_SIM_OP_MASK;
	u32 flags = c->command & ~VFIO_SIM_OP_MASK;
	bool reads = op == VFIO_SIM_OP_COPY || op == VFIO_SIM_OP_LOAD;
	u64 span, last;

	if (op < VFIO_SIM_OP_FILL || op > VFIO_SIM_OP_STORE)
		return -EINVAL;
	if (flags & ~(VFIO_SIM_KEEP | VFIO_SIM_BY_CPU | VFIO_SIM_IRQ_EACH))
		return -EINVAL;
	if (flags & VFIO_SIM_KEEP && (flags & VFIO_SIM_BY_CPU || op == VFIO_SIM_OP_LOAD))
		return -EINVAL;
	if (!c->length || c->length > VFIO_SIM_MAX_LENGTH)
		return -EINVAL;
	if (!c->blocks || c->blocks > VFIO_SIM_MAX_BLOCKS || c->interval > VFIO_SIM_MAX_INTERVAL)
		return -EINVAL;
	if (c->pass >= c->passes || c->block >= c->blocks || c->offset >= c->length ||
	    c->offset % sizeof(u64))
		return -EINVAL;

	if (check_mul_overflow(c->stride, (u64)c->blocks - 1, &span) ||
	    check_add_overflow(span, c->length, &span))
		return -EINVAL;
	if (reads ? check_add_overflow(c->source, span - 1, &last) :
		    op == VFIO_SIM_OP_STORE && !fits_memory(c->source, span))
		return -EINVAL;
	if (op == VFIO_SIM_OP_LOAD ? !fits_memory(c->target, span) :
				     check_add_overflow(c->target, span - 1, &last))
		return -EINVAL;
	return 0;
}

static void start(struct vfio_sim *sim)
{
	struct sim_image *image = sim->image;
	int err;

	image->command = (struct sim_command) {
		.active	  = true,
		.command  = image->words[VFIO_SIM_COMMAND / 4],
		.source	  = sim_get64(image, VFIO_SIM_SOURCE),
		.target	  = sim_get64(image, VFIO_SIM_TARGET),
		.length	  = sim_get64(image, VFIO_SIM_LENGTH),
		.seed	  = sim_get64(image, VFIO_SIM_SEED),
		.stride	  = sim_get64(image, VFIO_SIM_STRIDE),
		.passes	  = sim_get64(image, VFIO_SIM_PASSES),
		.blocks	  = image->words[VFIO_SIM_BLOCKS / 4],
		.interval = image->words[VFIO_SIM_INTERVAL / 4],
	};
	image->words[VFIO_SIM_ERROR / 4] = 0;
	image->words[VFIO_SIM_BLOCKS_DONE / 4] = 0;
	sim_set64(image, VFIO_SIM_PASSES_DONE, 0);

	err = sim_command_check(&image->command);
	if (err) {
		finish(sim, err);
		return;
	}
	image->words[VFIO_SIM_STATUS / 4] = VFIO_SIM_STATUS_BUSY;
	sim_dma_resume(sim);
}

void sim_dma_doorbell(struct vfio_sim *sim, u32 value)
{
	struct sim_image *image = sim->image;

	switch (value) {
	case VFIO_SIM_DOORBELL_START:
		if (image->command.active)
			image->words[VFIO_SIM_REJECTED / 4]++;
		else
			start(sim);
		break;
	case VFIO_SIM_DOORBELL_ABORT:
		/* no chunk is under way while the lock is held */
		image->command.active = false;
		image->words[VFIO_SIM_STATUS / 4] = 0;
		break;
	case VFIO_SIM_DOORBELL_RELEASE:
		sim_unpin_all(sim, sim->pins);
		break;
	}
}
