// SPDX-License-Identifier: GPL-2.0
/*
 * A device's queues: kicked through an eventfd, calling back through another, and
 * everything that a process sets or asks of a single one.
 */
#include <linux/eventfd.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "vhost_vdpa.h"

/* By whoever wrote to the eventfd, with its lock held; or handed it over with something in it. */
static void queue_kicked(struct vhost_work *work)
{
	struct vhost_virtqueue *vq = container_of(work, struct vhost_virtqueue, poll.work);
	struct vhost_vdpa *v = container_of(vq->dev, struct vhost_vdpa, vhost);

	vdpa_kick(v->vdev, vq - v->vhost_vqs);
}

static irqreturn_t queue_called(void *private)
{
	struct vhost_vdpa_queue *queue = private;

	if (vhost_vdpa_signal(&queue->call))
		trace_vdpa_vq_callback(queue->vdev, queue->index);
	return IRQ_HANDLED;
}

int vhost_vdpa_queues_init(struct vhost_vdpa *v)
{
	u32 i;

	/* vhost.ko's own are of 20 KiB each */
	v->vhost_vqs = kvcalloc(v->nvqs, sizeof(*v->vhost_vqs), GFP_KERNEL);
	v->vhost_vq_list = kvcalloc(v->nvqs, sizeof(*v->vhost_vq_list), GFP_KERNEL);
	v->queues = kvcalloc(v->nvqs, sizeof(*v->queues), GFP_KERNEL);
	if (!v->vhost_vqs || !v->vhost_vq_list || !v->queues)
		return -ENOMEM;
	for (i = 0; i < v->nvqs; i++) {
		v->vhost_vqs[i].handle_kick = queue_kicked;
		v->vhost_vq_list[i] = &v->vhost_vqs[i];
		v->queues[i].index = i;
		v->queues[i].v = v;
		v->queues[i].vdev = v->vdev;
	}
	return 0;
}

void vhost_vdpa_queues_free(struct vhost_vdpa *v)
{
	kvfree(v->queues);
	kvfree(v->vhost_vq_list);
	kvfree(v->vhost_vqs);
}

/*
 * Direct interrupts: where the device has one of its own for a queue, and a guest
 * waits on its eventfd, the interrupt may be delivered to the guest by itself.
 */

static void queue_bypass_off(struct vhost_vdpa_queue *queue)
{
	if (queue->bypassed)
		irq_bypass_unregister_producer(&queue->producer);
	queue->bypassed = false;
	queue->producer.token = NULL;
}

static void queue_bypass_on(struct vhost_vdpa_queue *queue)
{
	struct vhost_vdpa *v = queue->v;
	struct vhost_vdpa_call *call = rcu_dereference_protected(queue->call, true);
	int irq;

	if (!call || queue->bypassed || !v->vdev->config->get_vq_irq)
		return;
	irq = vdpa_ask(v->vdev, get_vq_irq, queue->index);
	if (irq < 0)
		return;
	queue->producer.token = call->ctx;
	queue->producer.irq = irq;
	/* if not, the eventfd does it: two queues that share one, for instance */
	queue->bypassed = !irq_bypass_register_producer(&queue->producer);
}

void vhost_vdpa_queues_bypass(struct vhost_vdpa *v, bool on)
{
	u32 i;

	for (i = 0; i < v->nvqs; i++) {
		if (on)
			queue_bypass_on(&v->queues[i]);
		else
			queue_bypass_off(&v->queues[i]);
	}
}

static int queue_set_call(struct vhost_vdpa_queue *queue, int fd)
{
	struct vhost_vdpa *v = queue->v;
	struct vdpa_callback callback = {};
	struct vhost_vdpa_call *old, *call;
	int err;

	err = vhost_vdpa_swap_call(&queue->call, fd, &old);
	if (err)
		return err;
	queue_bypass_off(queue);
	call = rcu_dereference_protected(queue->call, true);
	if (call) {
		callback.callback = queue_called;
		callback.private = queue;
		callback.trigger = call->ctx;
		if (vhost_vdpa_is_running(v))
			queue_bypass_on(queue);
	}
	vdpa_tell(v->vdev, set_vq_cb, queue->index, &callback);
	/* now the device does not know it any more */
	vhost_vdpa_put_call(old);
	return 0;
}

void vhost_vdpa_queues_disconnect(struct vhost_vdpa *v)
{
	u32 i;

	for (i = 0; i < v->nvqs; i++)
		queue_set_call(&v->queues[i], VHOST_FILE_UNBIND);
	vhost_vdpa_queues_forget_state(v);
}

/*
 * State
 */

/*
 * Users ask how far the device came after they reset it (QEMU 7.2 does), when it
 * has forgotten. So that the answer is true, it stands still before it is asked. That
 * it cannot say is an answer, too: afterwards it would say where a new one begins, and
 * before that, if it does not stand still, where it was a moment ago. QEMU then goes on
 * from what the ring says is used.
 */
void vhost_vdpa_queues_keep_state(struct vhost_vdpa *v)
{
	struct vhost_vdpa_queue *queue;
	bool still = v->suspended;
	u32 i;

	if (!still && v->vdev->config->suspend)
		still = !vdpa_suspend(v->vdev);
	for (i = 0; i < v->nvqs; i++) {
		queue = &v->queues[i];
		queue->kept_err = -EOPNOTSUPP;
		if (still)
			queue->kept_err = vdpa_ask(v->vdev, get_vq_state, i, &queue->state);
		queue->kept = true;
	}
}

void vhost_vdpa_queues_forget_state(struct vhost_vdpa *v)
{
	u32 i;

	for (i = 0; i < v->nvqs; i++)
		v->queues[i].kept = false;
}

static bool is_packed(const struct vhost_vdpa *v)
{
	return v->features & BIT_ULL(VIRTIO_F_RING_PACKED);
}

static int base_to_state(const struct vhost_vdpa *v, u32 base, struct vdpa_vq_state *state)
{
	if (is_packed(v)) {
		state->packed.last_avail_idx = base;
		state->packed.last_avail_counter = base >> 15;
		state->packed.last_used_idx = base >> 16;
		state->packed.last_used_counter = base >> 31;
	} else {
		if (base > U16_MAX)
			return -EINVAL;
		state->split.avail_index = base;
	}
	return 0;
}

static u32 state_to_base(bool packed, const struct vdpa_vq_state *state)
{
	if (!packed)
		return state->split.avail_index;
	return state->packed.last_avail_idx | state->packed.last_avail_counter << 15 |
	       state->packed.last_used_idx << 16 |
	       (u32)state->packed.last_used_counter << 31;
}

static long queue_set_base(struct vhost_vdpa_queue *queue, u32 base)
{
	struct vhost_vdpa *v = queue->v;
	struct vdpa_vq_state state = {};
	int err;

	if (vhost_vdpa_is_running(v) && !v->suspended)
		return -EINVAL;
	err = base_to_state(v, base, &state);
	if (err)
		return err;
	err = vdpa_ask(v->vdev, set_vq_state, queue->index, &state);
	if (!err)
		queue->kept = false;
	return err;
}

static long queue_get_base(struct vhost_vdpa_queue *queue, u32 *base)
{
	struct vdpa_vq_state state = queue->state;
	int err = queue->kept_err;

	if (!queue->kept)
		err = vdpa_ask(queue->v->vdev, get_vq_state, queue->index, &state);
	if (!err)
		*base = state_to_base(is_packed(queue->v), &state);
	return err;
}

/* It was reset: some devices answer with the size that a queue has been given. */
void vhost_vdpa_queues_ask_sizes(struct vhost_vdpa *v)
{
	u32 i;

	if (!v->vdev->config->get_vq_size)
		return;
	for (i = 0; i < v->nvqs; i++)
		v->queues[i].size_max = vdpa_ask(v->vdev, get_vq_size, i);
}

static long queue_set_size(struct vhost_vdpa_queue *queue, u32 num)
{
	struct vhost_vdpa *v = queue->v;

	if (num > v->vq_num_max || !is_power_of_2(num) ||
	    (queue->size_max && num > queue->size_max))
		return -EINVAL;
	vdpa_tell(v->vdev, set_vq_num, queue->index, num);
	return 0;
}

static bool is_same_ring(const struct vhost_vring_addr *a, const struct vhost_vring_addr *b)
{
	return a->desc_user_addr == b->desc_user_addr &&
	       a->avail_user_addr == b->avail_user_addr && a->used_user_addr == b->used_user_addr;
}

/* Whether, and as where, its used ring is logged. */
static void queue_set_log(struct vhost_vdpa_queue *queue, const struct vhost_vring_addr *addr)
{
	struct vhost_vdpa *v = queue->v;

	if (v->dirty)
		vdpa_dirty_set_queue(v->dirty, queue->index, addr->flags & BIT(VHOST_VRING_F_LOG),
				     addr->log_guest_addr);
}

static long queue_set_address(struct vhost_vdpa_queue *queue, void __user *argp)
{
	struct vhost_vdpa *v = queue->v;
	struct vhost_vring_addr addr;
	int err;

	if (copy_from_user(&addr, argp, sizeof(addr)))
		return -EFAULT;
	if (addr.flags & ~BIT(VHOST_VRING_F_LOG))
		return -EOPNOTSUPP;
	if (!IS_ALIGNED(addr.avail_user_addr, VRING_AVAIL_ALIGN_SIZE) ||
	    !IS_ALIGNED(addr.used_user_addr, VRING_USED_ALIGN_SIZE) ||
	    !IS_ALIGNED(addr.log_guest_addr, VRING_USED_ALIGN_SIZE))
		return -EINVAL;
	if (vhost_vdpa_is_running(v) && !v->suspended) {
		/* a ring that is in use stays where it is, but not how it is logged */
		if (!v->dirty || !is_same_ring(&addr, &queue->addr))
			return -EINVAL;
		queue_set_log(queue, &addr);
		return 0;
	}
	err = vdpa_ask(v->vdev, set_vq_address, queue->index, addr.desc_user_addr,
		       addr.avail_user_addr, addr.used_user_addr);
	if (err)
		return err;
	queue->addr = addr;
	queue_set_log(queue, &addr);
	return 0;
}

static long group_of(struct vhost_vdpa *v, u32 group, u32 *answer)
{
	*answer = group;
	/* a driver that promises what it does not have is broken */
	return group < v->vdev->ngroups ? 0 : -EIO;
}

static long group_set_space(struct vhost_vdpa *v, u32 group, u32 asid)
{
	if (group >= v->vdev->ngroups || asid >= v->nas)
		return -EINVAL;
	if (!v->vdev->config->set_group_asid)
		return -EOPNOTSUPP;
	return vdpa_ask(v->vdev, set_group_asid, array_index_nospec(group, v->vdev->ngroups),
			array_index_nospec(asid, v->nas));
}

/* what takes a number, or answers with one */
static long queue_number_ioctl(struct vhost_vdpa_queue *queue, unsigned int cmd,
			       struct vhost_vring_state *s)
{
	struct vhost_vdpa *v = queue->v;
	const struct vdpa_config_ops *ops = v->vdev->config;

	switch (cmd) {
	case VHOST_SET_VRING_NUM:
		return queue_set_size(queue, s->num);
	case VHOST_SET_VRING_BASE:
		return queue_set_base(queue, s->num);
	case VHOST_GET_VRING_BASE:
		return queue_get_base(queue, &s->num);
	case VHOST_VDPA_SET_VRING_ENABLE:
		vdpa_queue_ready(v->vdev, queue->index, s->num);
		return 0;
	case VHOST_VDPA_GET_VRING_GROUP:
		if (!ops->get_vq_group)
			return -EOPNOTSUPP;
		return group_of(v, vdpa_ask(v->vdev, get_vq_group, queue->index), &s->num);
	case VHOST_VDPA_GET_VRING_DESC_GROUP:
		if (!ops->get_vq_desc_group)
			return -EOPNOTSUPP;
		return group_of(v, vdpa_ask(v->vdev, get_vq_desc_group, queue->index), &s->num);
	case VHOST_VDPA_GET_VRING_SIZE:
		if (!ops->get_vq_size)
			return -EOPNOTSUPP;
		s->num = vdpa_ask(v->vdev, get_vq_size, queue->index);
		return 0;
	default:
		return -ENOIOCTLCMD;
	}
}

/* Of the argument all begin with the queue's number. */
long vhost_vdpa_queue_ioctl(struct vhost_vdpa *v, unsigned int cmd, void __user *argp)
{
	struct vhost_vdpa_queue *queue;
	struct vhost_vring_state s;
	struct vhost_vring_file f;
	long err;

	if (_IOC_TYPE(cmd) != VHOST_VIRTIO || _IOC_SIZE(cmd) < sizeof(s))
		return -ENOIOCTLCMD;
	if (copy_from_user(&s, argp, sizeof(s)))
		return -EFAULT;
	if (cmd == VHOST_VDPA_SET_GROUP_ASID)
		return group_set_space(v, s.index, s.num);
	if (s.index >= v->nvqs)
		return -ENOBUFS;
	s.index = array_index_nospec(s.index, v->nvqs);
	queue = &v->queues[s.index];

	switch (cmd) {
	case VHOST_SET_VRING_ADDR:
		return queue_set_address(queue, argp);
	case VHOST_SET_VRING_CALL:
		if (copy_from_user(&f, argp, sizeof(f)))
			return -EFAULT;
		return queue_set_call(queue, f.fd);
	case VHOST_SET_VRING_KICK:
	case VHOST_SET_VRING_ERR:
		return vhost_vring_ioctl(&v->vhost, cmd, argp);
	}
	err = queue_number_ioctl(queue, cmd, &s);
	if (!err && cmd & IOC_OUT && copy_to_user(argp, &s, sizeof(s)))
		err = -EFAULT;
	return err;
}
