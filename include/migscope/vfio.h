/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Source vfio: containers of VFIO's type1, what is mapped and pinned in them, and what
 * their dirty bitmaps cost.
 */
#ifndef MIGSCOPE_VFIO_H
#define MIGSCOPE_VFIO_H

#include <linux/types.h>
#include <migscope/hist.h>
#include <migscope/vm.h>

#define MS_MAX_VFIOS		1024
#define MS_MAX_VFIO_DEAD	256	/* containers that ended and are still kept; a power of two */

enum ms_vfio_op {
	MS_VFIO_PIN,		/* by a device */
	MS_VFIO_UNPIN,
	MS_VFIO_MAP,		/* VFIO_IOMMU_MAP_DMA */
	MS_VFIO_UNMAP,		/* VFIO_IOMMU_UNMAP_DMA */
	MS_VFIO_START,		/* VFIO_IOMMU_DIRTY_PAGES */
	MS_VFIO_STOP,
	MS_VFIO_GET,
	MS_VFIO_UNMAP_GET,	/* the bitmap that an unmap reports; the unmap counts as such, too */
	MS_VFIO_READ,		/* of guest memory, by a device that has the CPU do it */
	MS_VFIO_WRITE,
	MS_VFIO_OPS
};

struct ms_vfio_stat {
	__u64 calls;		/* calls that returned no error */
	__u64 errors;		/* calls that did */
	__u64 pages;		/* pinned, unpinned, mapped, unmapped; covered by a bitmap */
	__u64 bytes;		/* bitmap written to user space; read or written by a device */
	__u64 dirty;		/* pages that a bitmap showed, from our own events only */
	struct ms_time_hist time;
};

/* What is known of a container's state. */
enum {
	MS_VFIO_KNOWS_AVAIL = 1,
	MS_VFIO_KNOWS_MAPS = 2,
	MS_VFIO_KNOWS_SCOPE = 4,
	MS_VFIO_KNOWS_PINNED = 8,	/* pinned is the kernel's own number */
};

/* Map ms_vfios: container id -> this. Map ms_vfio_ids: address of its data in type1 -> id. */
struct ms_vfio {
	struct ms_owner owner;
	__u64 iommu;		/* an opaque id */
	struct ms_vfio_stat op[MS_VFIO_OPS];
	__s64 pinned;		/* pages that devices hold; what they held before us is not in it */
	__u64 runs;		/* stretches that mapped memory lay in, from our own events only */
	__u32 avail;		/* mappings that it may have beyond those it has */
	__u32 maps;		/* mappings it has */
	__u32 limit;		/* of mappings, as it was when the container was opened; 0: not known */
	__u32 opaque;		/* groups that have not promised to write only what they pin */
	__u32 tracking;
	__u32 knows;
};

_Static_assert(sizeof(struct ms_vfio) == sizeof(struct ms_owner) + 8 +
	       MS_VFIO_OPS * (40 + sizeof(struct ms_time_hist)) + 16 + 24,
	       "ms_vfio is shared with BPF");

#define MS_MAX_VFIO_MIGS	256
#define MS_VFIO_NAME_LEN	40	/* of a device: a UUID, most often */

/* enum vfio_device_mig_state of the user API, in its order */
enum ms_vfio_state {
	MS_VFIO_ERROR,
	MS_VFIO_STOPPED,
	MS_VFIO_RUNNING,
	MS_VFIO_STOP_COPY,
	MS_VFIO_RESUMING,
	MS_VFIO_RUNNING_P2P,
	MS_VFIO_PRE_COPY,
	MS_VFIO_PRE_COPY_P2P,
};

#define MS_VFIO_STATE_NAMES						\
	"error", "stop", "running", "stop_copy", "resuming", "running_p2p", "pre_copy",	\
	"pre_copy_p2p"
#define MS_VFIO_STATES		8
/* to be read: as a migration goes through them, first here and then there, errors last */
#define MS_VFIO_STATE_ORDER	2, 5, 6, 7, 3, 1, 4, 0

/* Map ms_vfio_migs: id -> this: a device that can migrate, and the process that has it. */
struct ms_vfio_mig {
	struct ms_owner owner;
	char name[MS_VFIO_NAME_LEN];
	__u64 since_ns;			/* CLOCK_MONOTONIC when it came to its state */
	__u64 steps;			/* from state to state */
	__u64 errors;			/* steps that failed */
	__u64 in_ns[MS_VFIO_STATES];	/* in each of those that it left */
	struct ms_time_hist time;	/* of a step */
	__u32 state;
	__u32 protocol;			/* of the last step; 1: by its region, 2: by its feature */
};

_Static_assert(sizeof(struct ms_vfio_mig) == sizeof(struct ms_owner) + MS_VFIO_NAME_LEN + 24 +
	       8 * MS_VFIO_STATES + sizeof(struct ms_time_hist) + 8,
	       "ms_vfio_mig is shared with BPF");

#endif
