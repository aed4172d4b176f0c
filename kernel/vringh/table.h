/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What our vringh has, and the base's has not. There is no lock to be left out with the
 * base's: who does that needs ours, and cannot be loaded with another.
 */
#ifndef _VRINGH_TABLE_H
#define _VRINGH_TABLE_H

#include <linux/vringh.h>

void vringh_set_table(struct vringh *vrh, struct vhost_iotlb *iotlb, spinlock_t *iotlb_lock);

#endif
