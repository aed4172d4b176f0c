/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a driver of the vDPA bus calls a device: as the members of struct
 * vdpa_config_ops, each call traced with its result and how long it took.
 *
 * Time is only taken when somebody watches.
 */
#ifndef _MIGSCOPE_VDPA_OPS_H
#define _MIGSCOPE_VDPA_OPS_H

#include <linux/timekeeping.h>
#include <linux/vdpa.h>
#include <trace/events/vdpa.h>

/* 0: nobody watches */
static inline u64 vdpa_op_begin(void)
{
	return trace_vdpa_op_enabled() ? ktime_get_ns() : 0;
}

static inline void vdpa_op_end(const struct vdpa_device *vdev, enum vdpa_op op,
			       s64 result, u64 since)
{
	if (unlikely(since))
		trace_vdpa_op(vdev, op, result, ktime_get_ns() - since);
}

/* A negative result is an error. Features are none, whatever their highest bit is. */
static inline s64 vdpa_op_result(s64 result, bool can_fail)
{
	return can_fail ? result : result & S64_MAX;
}

/*
 * @method is a member's name: it takes no parentheses. @outcome makes of the answer what the
 * event says of it.
 */
#define __vdpa_call(outcome, vdev, method, ...)					\
({										\
	struct vdpa_device *call_vdev = (vdev);					\
	u64 call_since = vdpa_op_begin();					\
	__auto_type call_answer = call_vdev->config->method(call_vdev, ##__VA_ARGS__); \
										\
	vdpa_op_end(call_vdev, VDPA_OP_##method, outcome(call_answer), call_since); \
	call_answer;								\
})

#define __vdpa_number(answer)	vdpa_op_result(answer, is_signed_type(typeof(answer)))
#define __vdpa_no_number(answer)	((void)(answer), 0)

/* vdpa_ask: a call with a number for its answer */
#define vdpa_ask(vdev, method, ...)						\
	__vdpa_call(__vdpa_number, vdev, method, ##__VA_ARGS__)

/* vdpa_fetch: one whose answer is no number, and cannot be an error */
#define vdpa_fetch(vdev, method, ...)						\
	__vdpa_call(__vdpa_no_number, vdev, method, ##__VA_ARGS__)

/* vdpa_tell: a call without an answer */
#define vdpa_tell(vdev, method, ...)						\
({										\
	struct vdpa_device *tell_vdev = (vdev);					\
	u64 tell_since = vdpa_op_begin();					\
										\
	tell_vdev->config->method(tell_vdev, ##__VA_ARGS__);			\
	vdpa_op_end(tell_vdev, VDPA_OP_##method, 0, tell_since);		\
})

/* May be called where nothing sleeps: a device's kick must not, either. */
static inline void vdpa_kick(struct vdpa_device *vdev, u16 queue)
{
	trace_vdpa_vq_kick(vdev, queue);
	vdev->config->kick_vq(vdev, queue);
}

static inline void vdpa_queue_ready(struct vdpa_device *vdev, u16 queue, bool ready)
{
	vdpa_tell(vdev, set_vq_ready, queue, ready);
	trace_vdpa_vq_ready(vdev, queue, ready);
}

static inline int vdpa_negotiate(struct vdpa_device *vdev, u64 features)
{
	u64 since = vdpa_op_begin();
	int err = vdpa_set_features(vdev, features);

	vdpa_op_end(vdev, VDPA_OP_set_driver_features, err, since);
	trace_vdpa_features(vdev, features, err);
	return err;
}

/* How long these take is always asked: they are rare, and a guest stands still. */
static inline int vdpa_restart(struct vdpa_device *vdev)
{
	u64 since = ktime_get_ns(), ns;
	int err = vdpa_reset(vdev, 0);

	ns = ktime_get_ns() - since;
	trace_vdpa_op(vdev, VDPA_OP_reset, err, ns);
	trace_vdpa_device_reset(vdev, ns, err);
	return err;
}

static inline int vdpa_suspend(struct vdpa_device *vdev)
{
	u64 since = ktime_get_ns(), ns;
	int err = vdev->config->suspend(vdev);

	ns = ktime_get_ns() - since;
	trace_vdpa_op(vdev, VDPA_OP_suspend, err, ns);
	trace_vdpa_device_suspend(vdev, ns, err);
	return err;
}

static inline int vdpa_resume(struct vdpa_device *vdev)
{
	u64 since = ktime_get_ns(), ns;
	int err = vdev->config->resume(vdev);

	ns = ktime_get_ns() - since;
	trace_vdpa_op(vdev, VDPA_OP_resume, err, ns);
	trace_vdpa_device_resume(vdev, ns, err);
	return err;
}

#endif /* _MIGSCOPE_VDPA_OPS_H */
