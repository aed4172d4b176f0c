/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Source vdpa: devices on the vDPA bus, what is asked of them and how long it takes, and
 * what the process behind /dev/vhost-vdpa-N does to their memory.
 */
#ifndef MIGSCOPE_VDPA_H
#define MIGSCOPE_VDPA_H

#include <linux/types.h>
#include <migscope/errno.h>
#include <migscope/hist.h>
#include <migscope/vm.h>

#define MS_MAX_VDPAS		256
#define MS_MAX_VDPA_DEAD	64	/* devices that ended and are still kept; a power of two */
#define MS_VDPA_SPACES		4	/* address spaces that are told apart */

/*
 * What is asked of a device: first what vdpa_op of include/trace/events/vdpa.h counts, in
 * its order, which is a contract; then what vhost_vdpa does.
 */
#define MS_VDPA_OPS_BUS(op)						\
	op(set_vq_address) op(set_vq_num) op(set_vq_cb)			\
	op(set_vq_ready) op(get_vq_ready)				\
	op(set_vq_state) op(get_vq_state) op(get_vendor_vq_stats)	\
	op(get_vq_notification) op(get_vq_irq) op(get_vq_size)		\
	op(get_vq_align) op(get_vq_group) op(get_vq_desc_group)		\
	op(get_device_features) op(get_backend_features)		\
	op(set_driver_features) op(get_driver_features)			\
	op(set_config_cb) op(get_vq_num_max) op(get_vq_num_min)		\
	op(get_device_id) op(get_vendor_id)				\
	op(get_status) op(set_status) op(reset) op(suspend) op(resume)	\
	op(get_config_size) op(get_config) op(set_config)		\
	op(get_generation) op(get_iova_range)				\
	op(set_vq_affinity) op(get_vq_affinity)				\
	op(set_group_asid) op(set_map) op(dma_map) op(dma_unmap)	\
	op(reset_map) op(get_vq_dma_dev) op(bind_mm) op(unbind_mm)
#define MS_VDPA_OPS_VHOST(op)						\
	op(update) op(invalidate) op(batch_begin) op(batch_end)

#define MS_VDPA_ENUM(name)	MS_VDPA_##name,
enum ms_vdpa_op {
	MS_VDPA_OPS_BUS(MS_VDPA_ENUM)
	MS_VDPA_BUS_OPS,
	MS_VDPA_OPS_VHOST_FIRST = MS_VDPA_BUS_OPS - 1,
	MS_VDPA_OPS_VHOST(MS_VDPA_ENUM)
	MS_VDPA_OPS
};

struct ms_vdpa_stat {
	__u64 calls;		/* that returned no error */
	__u64 errors;
	struct ms_time_hist time;
};

/*
 * An address space and its table, from the events of our modules only: the one that the
 * device's own host side translates by (vringh) where it says which that is, else the one
 * that vhost_vdpa keeps of what it told the device. Nothing of it is counted by the source
 * vhost_iotlb, whose misses are messages of vhost to a VMM that answers them; here a miss
 * fails the request, or the ring.
 */
struct ms_vdpa_space {
	__u64 table;		/* an opaque id; 0: not known, nothing of this is */
	__u64 misses;		/* nothing was mapped there; these three only with @own */
	__u64 denied;		/* mapped, but not for this access */
	__u64 hits;		/* exact mode */
	__u32 entries;		/* of the table, when it changed last */
	__u32 limit;		/* ~0: none but that of memory; 0: not known */
	__u32 own;		/* the device translates by it */
	__u32 unused;
};

/* Map ms_vdpa_tables: address of a living table -> whose it is. */
struct ms_vdpa_table {
	__u64 id;		/* of the device */
	__u32 space;
	__u32 unused;
};

/*
 * A device of which only space[0] means anything: what is translated by a table of which
 * no device has said that it is its own. Its vdev is 0, and so is its key in ms_vdpa_ids.
 */

/*
 * Map ms_vdpas: device id -> this. Map ms_vdpa_ids: address of a vdpa_device -> id.
 * Each process that has a device has one of these, and what it did in it.
 */
struct ms_vdpa {
	struct ms_owner owner;	/* who opened it; nobody did, or the host's kernel has it, where tgid is 0 */
	__u64 vdev;		/* an opaque id */
	char name[MS_FILE_LEN];
	struct ms_vdpa_stat op[MS_VDPA_OPS];
	__u64 errors[MS_ERRNO_COUNT];	/* messages that were refused */
	__u64 kicks;
	__u64 callbacks;
	__u64 mapped_pages;	/* by updates, from our own events only */
	__u64 runs;		/* stretches that they lay in, an entry of the table each */
	__u64 pinned_pages;	/* by the process that has it open */
	__u64 pinned_limit;	/* pages, from our own events only; 0: not known */
	__u32 number;		/* on the bus */
	__u32 knows_pinned;	/* what was pinned before us is in it, too */
	struct ms_vdpa_space space[MS_VDPA_SPACES];
};

_Static_assert(sizeof(struct ms_vdpa) == sizeof(struct ms_owner) + 8 + MS_FILE_LEN +
	       MS_VDPA_OPS * (16 + sizeof(struct ms_time_hist)) + 8 * (MS_ERRNO_COUNT + 6) + 8 +
	       48 * MS_VDPA_SPACES,
	       "ms_vdpa is shared with BPF");
_Static_assert(sizeof(struct ms_vdpa_space) == 48 && sizeof(struct ms_vdpa_table) == 16,
	       "they are, too");

#endif
