/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Simulated VFIO device: what its parts know of one another.
 *
 * One mutex, vfio_sim.lock, is held for every access by a driver, for each piece of
 * DMA, and for every change of state. So whoever holds it knows that no DMA is under
 * way, and stopping the device is no more than saying so. It is taken inside of
 * whatever type1 holds when it calls dma_unmap(), and outside of what vfio_pin_pages(),
 * vfio_unpin_pages() and vfio_dma_rw() take. User memory is touched under it by those,
 * where our type1 waits for no page that a userfaultfd has to bring (the base's
 * vfio_dma_rw() does), and by the core's iova_bitmap_set(), if it has one that works:
 * that waits in the process that asks, which can be killed.
 */
#ifndef _VFIO_SIM_H
#define _VFIO_SIM_H

#include <linux/eventfd.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/pci_regs.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <migscope/vfio_sim.h>

#define SIM_CONFIG_BYTES	256
#define SIM_MEMORY_PAGES	(VFIO_SIM_MEMORY_BYTES >> PAGE_SHIFT)
#define SIM_CHUNK_PAGES		16	/* DMA under the lock without a break */
#define SIM_CHUNK_BYTES		(SIM_CHUNK_PAGES << PAGE_SHIFT)

/* Like vfio-pci: the index in the upper bits of the file's offset. */
#define SIM_OFFSET_SHIFT	40
#define SIM_OFFSET(index)	((u64)(index) << SIM_OFFSET_SHIFT)
#define SIM_REGION_MIGRATION	VFIO_PCI_NUM_REGIONS
#define SIM_NUM_REGIONS		(SIM_REGION_MIGRATION + 1)

/* A command that was started, and how far it has come. */
struct sim_command {
	bool active;
	u32 command;
	u64 source;
	u64 target;
	u64 length;
	u64 seed;
	u64 stride;
	u64 passes;
	u32 blocks;
	u32 interval;
	u64 pass;
	u64 offset;
	u32 block;
};

/* All that a driver can tell one device from another by, but for the pins. */
struct sim_image {
	u32 words[VFIO_SIM_REGS_BYTES / 4];
	struct sim_command command;
	u8 config[SIM_CONFIG_BYTES];
	u8 memory[VFIO_SIM_MEMORY_BYTES];
};

struct sim_irq {
	struct mutex setup;		/* one SET_IRQS at a time */
	spinlock_t lock;		/* all below */
	struct eventfd_ctx *intx;
	struct eventfd_ctx *msi;
	struct eventfd_ctx *request;
	struct virqfd *unmask;
	bool asserted;			/* what the device wants of INTx */
	bool masked;			/* INTx: by hand, or since it was delivered */
};

/* In a list of pins: a page that is to be pinned once the device runs here. */
#define SIM_PIN_MEANT	xa_mk_value(0)

/* Device dirty tracking: one bit a page, in chunks that come with the first write. */
struct sim_log {
	bool on;
	struct xarray chunks;
	u32 nr_chunks;
	struct interval_tree_node *ranges;
	u32 nr_ranges;
	struct rb_root_cached tree;
};

/* One transfer of state, in either direction; its file may outlive it. */
struct sim_stream {
	struct kref kref;
	struct vfio_sim *sim;
	struct mutex io;		/* one reader or writer; outside of sim->lock */
	wait_queue_head_t wait;
	bool v1;			/* through the region, not a file */
	bool gone;			/* its device went on without it */

	u32 crc;
	u32 sequence;
	u64 bytes;
	/* the record at hand: bytes that are there, and of these those that were read */
	u32 have;
	u32 taken;
	u8 record[sizeof(struct vfio_sim_record) + VFIO_SIM_RECORD_MAX];

	/* saving */
	DECLARE_BITMAP(initial, SIM_MEMORY_PAGES);
	DECLARE_BITMAP(dirty, SIM_MEMORY_PAGES);
	bool again;			/* the record at hand is of a page that was sent before */
	bool said_hello;
	bool said_state;
	bool said_end;
	unsigned long next_pin;
	u32 pinned;

	/* resuming: nothing of the device changes until all has arrived */
	int err;			/* the first; there is no other after it */
	bool got_hello;
	bool got_state;
	bool got_end;
	struct sim_image *image;
	struct xarray *pins;		/* pages to be kept, no struct page yet */
};

struct vfio_sim {
	struct vfio_device vdev;
	struct mutex lock;		/* of all below, but for irq: see above */
	bool open;
	struct sim_image *image;
	u8 *bounce;			/* what DMA moves, a chunk at a time */
	struct delayed_work work;
	struct xarray *pins;		/* iova / PAGE_SIZE -> the page that is kept pinned */
	u32 nr_pins;
	struct sim_irq irq;
	struct sim_log log;

	enum vfio_device_mig_state state;
	ktime_t since;			/* it is in that state */
	struct sim_stream *stream;
	void *window;			/* of the migration region */
	u32 window_bytes;
	bool window_given;
};

static inline struct vfio_sim *to_vfio_sim(struct vfio_device *vdev)
{
	return container_of(vdev, struct vfio_sim, vdev);
}

static inline const char *sim_name(const struct vfio_sim *sim)
{
	return dev_name(sim->vdev.dev);
}

/* May it do DMA and raise interrupts? */
static inline bool sim_runs(const struct vfio_sim *sim)
{
	return sim->open && (sim->state == VFIO_DEVICE_STATE_RUNNING ||
			     sim->state == VFIO_DEVICE_STATE_PRE_COPY);
}

static inline u64 sim_get64(const struct sim_image *image, u32 reg)
{
	return image->words[reg / 4] | (u64)image->words[reg / 4 + 1] << 32;
}

static inline void sim_set64(struct sim_image *image, u32 reg, u64 value)
{
	image->words[reg / 4] = lower_32_bits(value);
	image->words[reg / 4 + 1] = upper_32_bits(value);
}

/*
 * Structures that user space asks with begin with the size that it has of them. No more
 * than @bytes are touched: what came to the end of one later is not there.
 */
static inline int sim_ask(void *info, const void __user *user, size_t bytes)
{
	if (copy_from_user(info, user, bytes))
		return -EFAULT;
	return *(u32 *)info < bytes ? -EINVAL : 0;
}

static inline int sim_answer(void __user *user, const void *info, size_t bytes)
{
	return copy_to_user(user, info, bytes) ? -EFAULT : 0;
}

/* pci.c: configuration space and BARs */
void sim_image_init(struct sim_image *image);
int sim_image_check(const struct sim_image *image);
int sim_config_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write);
int sim_registers_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write);
int sim_memory_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write);

/* irq.c */
void sim_irq_init(struct vfio_sim *sim);
void sim_irq_update(struct vfio_sim *sim);
void sim_irq_request(struct vfio_sim *sim);
void sim_irq_close(struct vfio_sim *sim);
int sim_irq_info(void __user *arg);
int sim_irq_set(struct vfio_sim *sim, void __user *arg);

/* dma.c */
void sim_dma_work(struct work_struct *work);
int sim_command_check(const struct sim_command *command);
void sim_dma_doorbell(struct vfio_sim *sim, u32 value);
void sim_dma_resume(struct vfio_sim *sim);
int sim_pin_all(struct vfio_sim *sim, struct xarray *pins);
void sim_unpin_all(struct vfio_sim *sim, struct xarray *pins);
void sim_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length);

/* log.c */
int sim_log_write(struct vfio_sim *sim, u64 iova, u64 len);
void sim_log_close(struct vfio_sim *sim);
int sim_device_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz);
extern const struct vfio_log_ops sim_log_ops;

/* stream.c */
struct xarray *sim_pins_new(void);
void sim_pins_free(struct xarray *pins);
struct sim_stream *sim_stream_new(struct vfio_sim *sim, bool saving, bool v1);
void sim_stream_put(struct sim_stream *stream);
u32 sim_stream_peek(struct sim_stream *stream, void *buf, u32 len);
void sim_stream_take(struct sim_stream *stream, u32 len);
int sim_stream_feed(struct sim_stream *stream, const void *buf, u32 len);
int sim_stream_complete(struct sim_stream *stream);
u64 sim_stream_pending(const struct sim_stream *stream, u64 *initial);
u64 sim_stream_stop_bytes(const struct vfio_sim *sim);

/* migration.c */
void sim_migration_init(struct vfio_sim *sim);
void sim_migration_reset(struct vfio_sim *sim);
void sim_migration_dirty(struct vfio_sim *sim, u32 offset, u32 len);
int sim_set_state(struct vfio_sim *sim, enum vfio_device_mig_state state, bool v1,
		  struct sim_stream **stream);

/* region.c: the migration region */
int sim_region_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write);
int sim_region_mmap(struct vfio_sim *sim, struct vm_area_struct *vma, u64 offset);

#endif
