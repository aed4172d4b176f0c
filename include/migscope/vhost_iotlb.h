/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Source vhost_iotlb: devices of vhost that translate what the guest's driver gives
 * them, and whose VMM answers their misses.
 *
 * A miss is a message VHOST_IOTLB_MISS. A wait begins with the first miss of an
 * address and ends with the update that covers it; a queue that is kicked meanwhile
 * misses the same address again, which begins no new wait. So
 *	misses = misses_again + waits_full + (waits ended) + waits_cut + (waits going on)
 */
#ifndef MIGSCOPE_VHOST_IOTLB_H
#define MIGSCOPE_VHOST_IOTLB_H

#include <linux/types.h>
#include <migscope/errno.h>
#include <migscope/hist.h>
#include <migscope/vm.h>

#define MS_MAX_IOTLB_DEVS	1024
#define MS_MAX_IOTLB_DEAD	256	/* devices that ended and are still kept; a power of two */
#define MS_IOTLB_WAITS		32	/* of a device at a time: a queue waits for one address */

struct ms_iotlb_wait {
	__u64 iova;
	__u64 since_ns;		/* CLOCK_MONOTONIC; 0: free, 1: being taken */
};

/* Map ms_iotlb_devs: device id -> this. Map ms_iotlb_ids: address of a vhost_dev -> id. */
struct ms_iotlb_dev {
	struct ms_owner owner;
	__u64 dev;		/* address of struct vhost_dev, an opaque id */
	char file[MS_FILE_LEN];	/* of its file in /dev; empty: not known */
	__u64 misses;
	__u64 misses_again;	/* those of an address that was being waited for */
	__u64 waits_full;	/* those whose wait found no place */
	__u64 waits_cut;	/* waits that ended with the table or the device, or that vhost dropped */
	__u64 hits;		/* exact mode */
	__u64 denied;		/* exact mode: mapped, but not for this access */
	__u64 updates;		/* messages that were accepted */
	__u64 invalidates;
	__u64 evictions;	/* maps that made room for others */
	__u64 errors[MS_ERRNO_COUNT];	/* messages that were not */
	__u32 entries;		/* of the table, when it changed last */
	__u32 limit;
	struct ms_iotlb_wait wait[MS_IOTLB_WAITS];
	struct ms_time_hist service;	/* waits that ended with an update */
};

_Static_assert(sizeof(struct ms_iotlb_dev) ==
	       sizeof(struct ms_owner) + 8 + MS_FILE_LEN + 8 * (9 + MS_ERRNO_COUNT) + 8 +
	       16 * MS_IOTLB_WAITS + sizeof(struct ms_time_hist),
	       "ms_iotlb_dev is shared with BPF");

#endif
