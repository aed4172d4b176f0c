/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHOST_IOTLB_MSG_H
#define _VHOST_IOTLB_MSG_H

#include "vhost.h"

/* iotlb_msg.c, for vhost.c */
int vhost_iotlb_miss(struct vhost_virtqueue *vq, u64 iova, int access);
void vhost_vq_meta_was_reset(const struct vhost_virtqueue *vq);

/* vhost.c, for iotlb_msg.c */
void vhost_dev_lock_vqs(struct vhost_dev *d);
void vhost_dev_unlock_vqs(struct vhost_dev *d);
void vhost_vq_meta_reset(struct vhost_dev *d);

#endif
