/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a device of vfio_probe can be told to do, by ioctl on its descriptor. None of it
 * is checked before it reaches the container: that is what is tested.
 */
#ifndef VFIO_PROBE_H
#define VFIO_PROBE_H

#include <linux/types.h>
#include <linux/vfio.h>

/* The return value is vfio_pin_pages()' own. What was pinned is remembered. */
struct probe_pin {
	__u64	iova;
	__s32	npage;
	__u32	prot;		/* of IOMMU_READ 1, IOMMU_WRITE 2 */
};

/*
 * The page of a device's file is reserved: nobody pays for it. It is mapped at 0 as any
 * page, and behind that as memory that nobody manages.
 */
#define PROBE_PAGE	0
#define PROBE_PAGE_RAW	1
#define PROBE_PIN	_IO(VFIO_TYPE, VFIO_BASE + 100)
#define PROBE_UNPIN	_IO(VFIO_TYPE, VFIO_BASE + 101)

/* vfio_dma_rw(); by a kernel thread with @thread. */
struct probe_rw {
	__u64	iova;
	__u64	len;
	__u64	data;
	__u32	write;
	__u32	thread;
};

#define PROBE_RW	_IO(VFIO_TYPE, VFIO_BASE + 102)

/* The argument is how often the device may be asked to let go before it does. */
#define PROBE_STUBBORN	_IO(VFIO_TYPE, VFIO_BASE + 103)
/* Return: how often it was asked. */
#define PROBE_ASKED	_IO(VFIO_TYPE, VFIO_BASE + 104)
/* Write the argument into the first eight bytes of each page that is pinned: DMA. */
#define PROBE_WRITE	_IO(VFIO_TYPE, VFIO_BASE + 105)
/* Return: how many pages the device has pinned, each as often as it did. */
#define PROBE_PINNED	_IO(VFIO_TYPE, VFIO_BASE + 106)
/* Return: nanoseconds that the last vfio_pin_pages() or vfio_unpin_pages() took. */
#define PROBE_COST	_IO(VFIO_TYPE, VFIO_BASE + 107)
/*
 * The argument is an address: the device pins one page there whenever it was asked to let
 * go and has done so; not any more with PROBE_NOWHERE. It returns what the last pin of
 * this kind said.
 */
#define PROBE_PIN_ASKED	_IO(VFIO_TYPE, VFIO_BASE + 108)
#define PROBE_NOWHERE	(~0ULL)
/* The argument: whether that page is reserved, from now on. */
#define PROBE_RESERVE	_IO(VFIO_TYPE, VFIO_BASE + 109)

#endif
