/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dirty pages of a vDPA device: what the device writes is marked in a bitmap that the
 * process which has it provides, a bit for each 4096 bytes of its address space 0
 * (VHOST_SET_LOG_BASE).
 *
 * struct vdpa_config_ops cannot say any of this without growing, and not every module has
 * its definition from the same header. So devices that can do it and the driver that
 * wants it meet here.
 */
#ifndef _MIGSCOPE_VDPA_DIRTY_H
#define _MIGSCOPE_VDPA_DIRTY_H

#include <linux/types.h>

struct mm_struct;
struct vdpa_device;
struct vdpa_dirty;

/*
 * How a device is held still: what it was writing is written and marked, and it begins
 * nothing until it is let go. May sleep; inside of the driver's locks.
 */
struct vdpa_dirty_ops {
	void (*hold)(struct vdpa_device *vdev);
	void (*let_go)(struct vdpa_device *vdev);
};

/* A device's side */
struct vdpa_dirty *vdpa_dirty_offer(struct vdpa_device *vdev, unsigned int nvqs,
				    const struct vdpa_dirty_ops *ops);
void vdpa_dirty_withdraw(struct vdpa_dirty *dirty);
bool vdpa_dirty_begin(struct vdpa_dirty *dirty);
void vdpa_dirty_end(struct vdpa_dirty *dirty);
int vdpa_dirty_mark(struct vdpa_dirty *dirty, u64 iova, u64 len);
int vdpa_dirty_mark_used(struct vdpa_dirty *dirty, unsigned int queue, u64 offset, u64 len);

/* A driver's side */
struct vdpa_dirty *vdpa_dirty_find(const struct vdpa_device *vdev);
int vdpa_dirty_set_base(struct vdpa_dirty *dirty, struct mm_struct *mm, u64 base);
bool vdpa_dirty_has_base(struct vdpa_dirty *dirty);
void vdpa_dirty_set_queue(struct vdpa_dirty *dirty, unsigned int queue, bool on, u64 addr);
void vdpa_dirty_switch(struct vdpa_dirty *dirty, bool on);
void vdpa_dirty_forget(struct vdpa_dirty *dirty);

#endif /* _MIGSCOPE_VDPA_DIRTY_H */
