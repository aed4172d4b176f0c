/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Maps that the caller allocated: where it may sleep, and by whom it is to be paid for.
 */
#ifndef _MIGSCOPE_VHOST_IOTLB_MAP_H
#define _MIGSCOPE_VHOST_IOTLB_MAP_H

#include <linux/vhost_iotlb.h>

int vhost_iotlb_insert(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map);
void vhost_iotlb_remove(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map);

#endif /* _MIGSCOPE_VHOST_IOTLB_MAP_H */
