/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The vDPA bus: devices that come and go, who drives them, what is asked of
 * them and how long it takes, their queues.
 *
 * @dev is the device's number on the bus, its own while it lives; its name is in
 * vdpa_device_add. Results are 0 or -errno where there are any.
 *
 * A kick and a callback have events of their own, without a duration, as they may
 * come a million times a second. All other calls of a device are vdpa_op, next
 * to which stand events with what was asked where that matters: status,
 * features, reset, suspend, resume, a queue that is made ready.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vdpa

#if !defined(_TRACE_VDPA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VDPA_H

#include <linux/tracepoint.h>
#include <linux/vdpa.h>

#ifndef VDPA_OPS
/* What vdpa_op counts, by the name in struct vdpa_config_ops; new ones at the end. */
#define VDPA_OPS(op)							\
	op(set_vq_address) op(set_vq_num) op(set_vq_cb)			\
	op(set_vq_ready) op(get_vq_ready)				\
	op(set_vq_state) op(get_vq_state) op(get_vendor_vq_stats)	\
	op(get_vq_notification) op(get_vq_irq) op(get_vq_size)		\
	op(get_vq_align) op(get_vq_group) op(get_vq_desc_group)		\
	op(get_device_features) op(get_backend_features)		\
	op(set_driver_features) op(get_driver_features)			\
	op(set_config_cb) op(get_vq_num_max) op(get_vq_num_min)		\
	op(get_device_id) op(get_vendor_id)				\
	op(get_status) op(set_status) op(reset) op(suspend) op(resume)	\
	op(get_config_size) op(get_config) op(set_config)		\
	op(get_generation) op(get_iova_range)				\
	op(set_vq_affinity) op(get_vq_affinity)				\
	op(set_group_asid) op(set_map) op(dma_map) op(dma_unmap)	\
	op(reset_map) op(get_vq_dma_dev) op(bind_mm) op(unbind_mm)

#define VDPA_OP_NUMBER(name)	VDPA_OP_##name,
enum vdpa_op { VDPA_OPS(VDPA_OP_NUMBER) VDPA_OP_MAX };
#endif

#define VDPA_OP_DEFINE(name)	TRACE_DEFINE_ENUM(VDPA_OP_##name);
VDPA_OPS(VDPA_OP_DEFINE)

#define VDPA_OP_SHOW(name)	{ VDPA_OP_##name, #name },

DECLARE_EVENT_CLASS(vdpa_device,
	TP_PROTO(const struct vdpa_device *vdev),

	TP_ARGS(vdev),

	TP_STRUCT__entry(
		__field(u32,	dev)
		__field(u32,	nvqs)
		__field(u32,	ngroups)
		__field(u32,	nas)
		__field(bool,	use_va)
		__field(bool,	managed)
		__string(name,	dev_name(&vdev->dev))
	),

	TP_fast_assign(
		__entry->dev		= vdev->index;
		__entry->nvqs		= vdev->nvqs;
		__entry->ngroups	= vdev->ngroups;
		__entry->nas		= vdev->nas;
		__entry->use_va		= vdev->use_va;
		__entry->managed	= vdev->mdev;
		__assign_str(name);
	),

	TP_printk("dev %u name %s nvqs %u groups %u address_spaces %u%s%s",
		  __entry->dev, __get_str(name), __entry->nvqs,
		  __entry->ngroups, __entry->nas,
		  __entry->use_va ? " va" : "",
		  __entry->managed ? " managed" : "")
);

DEFINE_EVENT(vdpa_device, vdpa_device_add,
	TP_PROTO(const struct vdpa_device *vdev),
	TP_ARGS(vdev)
);

/* before the device is taken from its driver */
DEFINE_EVENT(vdpa_device, vdpa_device_remove,
	TP_PROTO(const struct vdpa_device *vdev),
	TP_ARGS(vdev)
);

DECLARE_EVENT_CLASS(vdpa_driver,
	TP_PROTO(const struct vdpa_device *vdev, int err),

	TP_ARGS(vdev, err),

	TP_STRUCT__entry(
		__field(u32,	dev)
		__field(int,	err)
		__string(driver, vdev->dev.driver->name)
	),

	TP_fast_assign(
		__entry->dev	= vdev->index;
		__entry->err	= err;
		__assign_str(driver);
	),

	TP_printk("dev %u driver %s error %d", __entry->dev,
		  __get_str(driver), __entry->err)
);

DEFINE_EVENT(vdpa_driver, vdpa_driver_bind,
	TP_PROTO(const struct vdpa_device *vdev, int err),
	TP_ARGS(vdev, err)
);

DEFINE_EVENT(vdpa_driver, vdpa_driver_unbind,
	TP_PROTO(const struct vdpa_device *vdev, int err),
	TP_ARGS(vdev, err)
);

TRACE_EVENT(vdpa_status,
	TP_PROTO(const struct vdpa_device *vdev, u8 status),

	TP_ARGS(vdev, status),

	TP_STRUCT__entry(
		__field(u32,	dev)
		__field(u8,	status)
	),

	TP_fast_assign(
		__entry->dev	= vdev->index;
		__entry->status	= status;
	),

	TP_printk("dev %u status 0x%x", __entry->dev, __entry->status)
);

TRACE_EVENT(vdpa_features,
	TP_PROTO(const struct vdpa_device *vdev, u64 features, int err),

	TP_ARGS(vdev, features, err),

	TP_STRUCT__entry(
		__field(u64,	features)
		__field(u32,	dev)
		__field(int,	err)
	),

	TP_fast_assign(
		__entry->features = features;
		__entry->dev	= vdev->index;
		__entry->err	= err;
	),

	TP_printk("dev %u features 0x%llx error %d", __entry->dev,
		  __entry->features, __entry->err)
);

DECLARE_EVENT_CLASS(vdpa_whole_device,
	TP_PROTO(const struct vdpa_device *vdev, u64 ns, int err),

	TP_ARGS(vdev, ns, err),

	TP_STRUCT__entry(
		__field(u64,	ns)
		__field(u32,	dev)
		__field(int,	err)
	),

	TP_fast_assign(
		__entry->ns	= ns;
		__entry->dev	= vdev->index;
		__entry->err	= err;
	),

	TP_printk("dev %u ns %llu error %d", __entry->dev, __entry->ns,
		  __entry->err)
);

DEFINE_EVENT(vdpa_whole_device, vdpa_device_reset,
	TP_PROTO(const struct vdpa_device *vdev, u64 ns, int err),
	TP_ARGS(vdev, ns, err)
);

DEFINE_EVENT(vdpa_whole_device, vdpa_device_suspend,
	TP_PROTO(const struct vdpa_device *vdev, u64 ns, int err),
	TP_ARGS(vdev, ns, err)
);

DEFINE_EVENT(vdpa_whole_device, vdpa_device_resume,
	TP_PROTO(const struct vdpa_device *vdev, u64 ns, int err),
	TP_ARGS(vdev, ns, err)
);

TRACE_EVENT(vdpa_op,
	TP_PROTO(const struct vdpa_device *vdev, enum vdpa_op op, s64 result,
		 u64 ns),

	TP_ARGS(vdev, op, result, ns),

	TP_STRUCT__entry(
		__field(s64,	result)
		__field(u64,	ns)
		__field(u32,	dev)
		__field(u32,	op)
	),

	TP_fast_assign(
		__entry->result	= result;
		__entry->ns	= ns;
		__entry->dev	= vdev->index;
		__entry->op	= op;
	),

	TP_printk("dev %u op %s result %lld ns %llu", __entry->dev,
		  __print_symbolic(__entry->op, VDPA_OPS(VDPA_OP_SHOW) { -1, NULL }),
		  __entry->result, __entry->ns)
);

TRACE_EVENT(vdpa_vq_ready,
	TP_PROTO(const struct vdpa_device *vdev, u16 queue, bool ready),

	TP_ARGS(vdev, queue, ready),

	TP_STRUCT__entry(
		__field(u32,	dev)
		__field(u16,	queue)
		__field(bool,	ready)
	),

	TP_fast_assign(
		__entry->dev	= vdev->index;
		__entry->queue	= queue;
		__entry->ready	= ready;
	),

	TP_printk("dev %u queue %u ready %d", __entry->dev, __entry->queue,
		  __entry->ready)
);

DECLARE_EVENT_CLASS(vdpa_vq,
	TP_PROTO(const struct vdpa_device *vdev, u16 queue),

	TP_ARGS(vdev, queue),

	TP_STRUCT__entry(
		__field(u32,	dev)
		__field(u16,	queue)
	),

	TP_fast_assign(
		__entry->dev	= vdev->index;
		__entry->queue	= queue;
	),

	TP_printk("dev %u queue %u", __entry->dev, __entry->queue)
);

DEFINE_EVENT(vdpa_vq, vdpa_vq_kick,
	TP_PROTO(const struct vdpa_device *vdev, u16 queue),
	TP_ARGS(vdev, queue)
);

DEFINE_EVENT(vdpa_vq, vdpa_vq_callback,
	TP_PROTO(const struct vdpa_device *vdev, u16 queue),
	TP_ARGS(vdev, queue)
);

#endif /* _TRACE_VDPA_H */

#include <trace/define_trace.h>
