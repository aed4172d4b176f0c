/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MIGSCOPE_VIRTIO_VDPA_H
#define _MIGSCOPE_VIRTIO_VDPA_H

#include <linux/interrupt.h>
#include <linux/vdpa.h>

#define VIRTIO_VDPA_NO_QUEUE	U16_MAX

void virtio_vdpa_spread(struct vdpa_device *vdev, const u16 *queue, unsigned int n,
			struct irq_affinity *how);

#endif /* _MIGSCOPE_VIRTIO_VDPA_H */
