/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MIGSCOPE_VDPA_BUS_H
#define _MIGSCOPE_VDPA_BUS_H

#include <linux/rwsem.h>
#include <linux/vdpa.h>

/*
 * Devices and management devices do not come or go while it is held, for write
 * by whoever makes them. A driver's remove() may be called with it held, or, when it is
 * unbound or unregistered, without.
 */
extern struct rw_semaphore vdpa_lock;
extern const struct bus_type vdpa_bus_type;
extern struct list_head vdpa_managers;

/* counts what came and went, so that a dump can say that it is not of one moment */
extern unsigned int vdpa_changes;

/* all with cf_lock held */
void vdpa_status_write(struct vdpa_device *vdev, u8 status);
void vdpa_config_read(struct vdpa_device *vdev, unsigned int offset, void *buf,
		      unsigned int len);
void vdpa_config_write(struct vdpa_device *vdev, unsigned int offset,
		       const void *buf, unsigned int len);
void vdpa_negotiate_none(struct vdpa_device *vdev);

u16 vdpa_least_queue_size(struct vdpa_device *vdev);
u16 vdpa_greatest_queue_size(struct vdpa_device *vdev);

void vdpa_note_added(const struct vdpa_device *vdev);
void vdpa_note_removed(const struct vdpa_device *vdev);
void vdpa_note_bound(const struct vdpa_device *vdev, int err);
void vdpa_note_unbound(const struct vdpa_device *vdev);

int vdpa_netlink_init(void);
void vdpa_netlink_exit(void);

#endif /* _MIGSCOPE_VDPA_BUS_H */
