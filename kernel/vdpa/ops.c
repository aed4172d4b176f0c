// SPDX-License-Identifier: GPL-2.0
/*
 * What is traced on the bus: calls of devices, and what happens to them.
 */
#include <linux/export.h>
#include <linux/string.h>

#include "bus.h"
#include "ops.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vdpa.h>

/* what drivers of the bus trace, through ops.h */
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_op);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_features);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_device_reset);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_device_suspend);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_device_resume);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_vq_ready);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_vq_kick);
EXPORT_TRACEPOINT_SYMBOL_GPL(vdpa_vq_callback);

void vdpa_note_added(const struct vdpa_device *vdev)
{
	trace_vdpa_device_add(vdev);
}

void vdpa_note_removed(const struct vdpa_device *vdev)
{
	trace_vdpa_device_remove(vdev);
}

void vdpa_note_bound(const struct vdpa_device *vdev, int err)
{
	trace_vdpa_driver_bind(vdev, err);
}

void vdpa_note_unbound(const struct vdpa_device *vdev)
{
	trace_vdpa_driver_unbind(vdev, 0);
}

u16 vdpa_least_queue_size(struct vdpa_device *vdev)
{
	return vdev->config->get_vq_num_min ? vdpa_ask(vdev, get_vq_num_min) : 1;
}

void vdpa_negotiate_none(struct vdpa_device *vdev)
{
	u64 since = vdpa_op_begin();
	int err = vdpa_set_features_unlocked(vdev, 0);

	vdpa_op_end(vdev, VDPA_OP_set_driver_features, err, since);
	trace_vdpa_features(vdev, 0, err);
}

u16 vdpa_greatest_queue_size(struct vdpa_device *vdev)
{
	return vdpa_ask(vdev, get_vq_num_max);
}

void vdpa_status_write(struct vdpa_device *vdev, u8 status)
{
	vdpa_tell(vdev, set_status, status);
	trace_vdpa_status(vdev, status);
}

/* How much of what is asked for lies in the configuration space? */
static unsigned int config_room(struct vdpa_device *vdev, unsigned int offset,
				unsigned int len)
{
	size_t size = vdpa_ask(vdev, get_config_size);

	return offset < size ? min_t(size_t, len, size - offset) : 0;
}

/*
 * What lies outside of the configuration space reads as zeroes: callers ask for
 * a whole structure, of which a device may have only the first part.
 */
void vdpa_config_read(struct vdpa_device *vdev, unsigned int offset, void *buf,
		      unsigned int len)
{
	unsigned int room = config_room(vdev, offset, len);

	memset(buf, 0, len);
	if (room)
		vdpa_tell(vdev, get_config, offset, buf, room);
}

void vdpa_config_write(struct vdpa_device *vdev, unsigned int offset,
		       const void *buf, unsigned int len)
{
	if (len && config_room(vdev, offset, len) == len)
		vdpa_tell(vdev, set_config, offset, buf, len);
}
