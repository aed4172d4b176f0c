/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Devices that the guest has beside its memory. What they do goes on by itself, or by
 * the first CPU's timer; both say what they have done, and what of it was wrong.
 */
#ifndef DEVICES_H
#define DEVICES_H

#include "lib.h"

/* Memory that a device writes: below the area that the CPUs dirty. */
#define DEVICE_AREA	(4u << 20)
#define DEVICE_PAGES	2048

/* A simulated VFIO device, which writes PAGES pages, over and over, INTERVAL usec apart. */
void vfio_begin(u32 pages, u32 interval);
void vfio_report(void);
/* All of its pages, against the device's own count of what it wrote; then it goes on. */
void vfio_check(void);

/* A virtio network card on a cable that leads back to it. */
void net_begin(u32 count);	/* frames that are on their way at any time */
void net_tick(void);		/* takes what came, sends as much again */
void net_report(const char *what);

#endif
