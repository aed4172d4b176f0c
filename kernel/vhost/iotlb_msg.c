// SPDX-License-Identifier: GPL-2.0
/*
 * The messages between a vhost device that translates and its user space.
 *
 * A queue that finds an address missing in the device's table stops, and user
 * space is told by a message that it reads. It answers with an update, which
 * fills the table and starts the queue again.
 *
 * A miss is in one of two lists: read_list while user space has not been told,
 * pending_list from then until it is answered. It is moved from one to the
 * other before user space gets to see it: whoever has seen it may answer, and
 * another thread than the one that is still on its way out of read().
 *
 * What can wait is bounded. A queue stands still at one address, so a miss that
 * waits already is not queued twice, however often the guest kicks; and of a
 * guest that lets its queue run into one hole after the other only the latest
 * misses are kept, since the queue does not wait at the others any more. A
 * miss that user space has been told of and that occurs again is told again:
 * user space may have had no answer the first time.
 *
 * What is exported is exported in vhost.c. The lists are under iotlb_lock. Misses of
 * a queue come one at a time, under its mutex.
 */
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uio.h>
#include <linux/vhost.h>
#include <linux/wait.h>
#include "iotlb_msg.h"

#define CREATE_TRACE_POINTS
#include <trace/events/vhost.h>

/* Misses of one queue that are kept: one it waits for, and some for slow answers. */
#define MISSES_PER_QUEUE	4

/* A message; the others know of its node alone. */
struct message {
	struct vhost_msg_node node;
	u64 number;			/* tells it from a later one at its address */
	u64 since;			/* ns */
};

static atomic64_t message_number;

static struct message *message_of(struct vhost_msg_node *node)
{
	return container_of(node, struct message, node);
}

/* Both versions have it at the same place. */
static struct vhost_iotlb_msg *iotlb_msg_of(struct vhost_msg_node *node)
{
	BUILD_BUG_ON(offsetof(struct vhost_msg, iotlb) !=
		     offsetof(struct vhost_msg_v2, iotlb));
	return &node->msg.iotlb;
}

static bool is_miss(struct vhost_msg_node *node)
{
	return iotlb_msg_of(node)->type == VHOST_IOTLB_MISS;
}

/* For events: its place among the queues of its device, or -1. */
static int vq_index(const struct vhost_virtqueue *vq)
{
	const struct vhost_dev *dev = vq->dev;
	int i;

	for (i = 0; i < dev->nvqs; i++) {
		if (dev->vqs[i] == vq)
			return i;
	}
	return -1;
}

void vhost_vq_meta_was_reset(const struct vhost_virtqueue *vq)
{
	if (trace_vhost_meta_reset_enabled())
		trace_vhost_meta_reset(vq->dev, vq_index(vq));
}

/* A message for user space, of @type VHOST_IOTLB_MSG or _V2; NULL: no memory. */
struct vhost_msg_node *vhost_new_msg(struct vhost_virtqueue *vq, int type)
{
	struct message *m;

	/* Zeroed, for user space will see all of it. Its to pay, too. */
	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return NULL;

	m->number = atomic64_inc_return(&message_number);
	m->since = ktime_get_ns();
	m->node.vq = vq;
	m->node.msg.type = type;
	return &m->node;
}

static void tell(struct vhost_dev *dev)
{
	wake_up_interruptible_poll(&dev->wait, EPOLLIN | EPOLLRDNORM);
}

void vhost_enqueue_msg(struct vhost_dev *dev, struct list_head *head,
		       struct vhost_msg_node *node)
{
	spin_lock(&dev->iotlb_lock);
	list_add_tail(&node->node, head);
	spin_unlock(&dev->iotlb_lock);

	tell(dev);
}

struct vhost_msg_node *vhost_dequeue_msg(struct vhost_dev *dev,
					 struct list_head *head)
{
	struct vhost_msg_node *first;

	spin_lock(&dev->iotlb_lock);
	first = list_first_entry_or_null(head, struct vhost_msg_node, node);
	if (first)
		list_del(&first->node);
	spin_unlock(&dev->iotlb_lock);

	return first;
}

static void drop(struct vhost_msg_node *node)
{
	list_del(&node->node);
	kfree(message_of(node));
}

static void drop_all(struct list_head *head)
{
	struct vhost_msg_node *node, *next;

	list_for_each_entry_safe(node, next, head, node)
		drop(node);
}

void vhost_clear_msg(struct vhost_dev *dev)
{
	spin_lock(&dev->iotlb_lock);
	drop_all(&dev->read_list);
	drop_all(&dev->pending_list);
	spin_unlock(&dev->iotlb_lock);
}

/* What already waits, as a new miss of a queue finds it. */
struct waiting {
	struct vhost_msg_node *same;	/* the same miss */
	struct vhost_msg_node *oldest;	/* of the queue */
	u32 of_queue;
	u32 of_device;
};

static void look_at_waiting(struct list_head *head, struct waiting *w,
			    const struct vhost_virtqueue *vq, u64 iova, u8 perm)
{
	struct vhost_msg_node *node;

	list_for_each_entry(node, head, node) {
		const struct vhost_iotlb_msg *msg = iotlb_msg_of(node);

		if (!is_miss(node))
			continue;
		w->of_device++;
		if (node->vq != vq)
			continue;
		w->of_queue++;
		if (!w->oldest ||
		    message_of(node)->number < message_of(w->oldest)->number)
			w->oldest = node;
		if (msg->iova == iova && msg->perm == perm)
			w->same = node;
	}
}

/*
 * A queue missed @iova: see to it that user space is told. The caller holds the
 * queue's mutex, so no other miss of this queue comes in between.
 */
int vhost_iotlb_miss(struct vhost_virtqueue *vq, u64 iova, int access)
{
	struct vhost_dev *dev = vq->dev;
	struct vhost_msg_node *node;
	struct waiting w = { };
	bool dropped = false;
	u64 dropped_iova = 0;
	int err = -ENOMEM;
	int type;

	spin_lock(&dev->iotlb_lock);
	look_at_waiting(&dev->read_list, &w, vq, iova, access);
	look_at_waiting(&dev->pending_list, &w, vq, iova, access);
	if (w.same) {
		list_move_tail(&w.same->node, &dev->read_list);
	} else if (w.of_queue >= MISSES_PER_QUEUE) {
		dropped_iova = iotlb_msg_of(w.oldest)->iova;
		drop(w.oldest);
		w.of_device--;
		dropped = true;
	}
	spin_unlock(&dev->iotlb_lock);

	if (w.same) {
		tell(dev);
		err = 0;
		goto out;
	}

	type = vhost_backend_has_feature(vq, VHOST_BACKEND_F_IOTLB_MSG_V2) ?
	       VHOST_IOTLB_MSG_V2 : VHOST_IOTLB_MSG;
	node = vhost_new_msg(vq, type);
	if (!node)
		goto out;

	iotlb_msg_of(node)->type = VHOST_IOTLB_MISS;
	iotlb_msg_of(node)->iova = iova;
	iotlb_msg_of(node)->perm = access;
	vhost_enqueue_msg(dev, &dev->read_list, node);
	w.of_device++;
	err = 0;
out:
	if (trace_vhost_miss_enabled())
		trace_vhost_miss(dev, vq_index(vq), iova, access, w.same,
				 dropped, dropped_iova, w.of_device, err);
	return err;
}

/* Start the queues whose misses in @head lie in the range. */
static u32 answer_misses(struct list_head *head, u64 start, u64 last)
{
	struct vhost_msg_node *node, *next;
	u32 woken = 0;

	list_for_each_entry_safe(node, next, head, node) {
		u64 iova = iotlb_msg_of(node)->iova;

		if (!is_miss(node) || iova < start || iova > last)
			continue;

		if (trace_vhost_wake_enabled())
			trace_vhost_wake(node->vq->dev, vq_index(node->vq), iova,
					 ktime_get_ns() - message_of(node)->since);
		vhost_poll_queue(&node->vq->poll);
		drop(node);
		woken++;
	}
	return woken;
}

/*
 * Start the queues that wait for an address in the range. One that finds that
 * it is told of less than it needs misses again, further on.
 *
 * A miss that is yet to be told is answered as well. It may have been told
 * before, and this be the answer: user space that then finds the address mapped
 * has no reason to answer again.
 */
static u32 wake_waiting(struct vhost_dev *dev, u64 start, u64 last)
{
	u32 woken;

	spin_lock(&dev->iotlb_lock);
	woken = answer_misses(&dev->pending_list, start, last);
	woken += answer_misses(&dev->read_list, start, last);
	spin_unlock(&dev->iotlb_lock);
	return woken;
}

/* Where a range of @size ends, 0 being all that there is if it begins at 0. */
static int range_last(u64 start, u64 size, u64 *last)
{
	if (!size && start)
		return -EINVAL;
	if (size && start > U64_MAX - (size - 1))
		return -EINVAL;
	*last = start + size - 1;
	return 0;
}

static bool memory_ok(u64 uaddr, u64 size)
{
	return uaddr <= ULONG_MAX && size <= ULONG_MAX &&
	       uaddr <= ULONG_MAX - (size - 1) &&
	       access_ok((void __user *)(unsigned long)uaddr, size);
}

/* The device's and all of its queues' mutexes are held. */
static int update(struct vhost_dev *dev, const struct vhost_iotlb_msg *msg,
		  u64 last, u32 *woken)
{
	int err;

	if (!dev->iotlb || !memory_ok(msg->uaddr, msg->size))
		return -EFAULT;

	/* A map that a queue remembers may be retired for the new one. */
	vhost_vq_meta_reset(dev);
	err = vhost_iotlb_add_range(dev->iotlb, msg->iova, last, msg->uaddr,
				    msg->perm);
	if (err)
		return err;

	*woken = wake_waiting(dev, msg->iova, last);
	return 0;
}

static int invalidate(struct vhost_dev *dev, u64 start, u64 last)
{
	if (!dev->iotlb)
		return -EFAULT;

	vhost_vq_meta_reset(dev);
	vhost_iotlb_del_range(dev->iotlb, start, last);
	return 0;
}

static int process(struct vhost_dev *dev, u32 asid, const struct vhost_iotlb_msg *msg)
{
	bool is_update = msg->type == VHOST_IOTLB_UPDATE;
	u64 begin = 0, duration = 0, last;
	bool timed = is_update ? trace_vhost_update_enabled() :
				 trace_vhost_invalidate_enabled();
	u32 woken = 0;
	int err;

	if (asid || (!is_update && msg->type != VHOST_IOTLB_INVALIDATE))
		return -EINVAL;
	/* All that there is cannot be mapped to something. */
	if (is_update && !msg->size)
		return -EINVAL;
	err = range_last(msg->iova, msg->size, &last);
	if (err)
		return err;

	if (timed)
		begin = ktime_get_ns();

	mutex_lock(&dev->mutex);
	vhost_dev_lock_vqs(dev);
	err = is_update ? update(dev, msg, last, &woken) :
			  invalidate(dev, msg->iova, last);

	if (timed)
		duration = ktime_get_ns() - begin;
	if (is_update)
		trace_vhost_update(dev, dev->iotlb, msg->iova, last, woken,
				   duration, err);
	else
		trace_vhost_invalidate(dev, dev->iotlb, msg->iova, last, woken,
				       duration, err);
	vhost_dev_unlock_vqs(dev);
	mutex_unlock(&dev->mutex);
	return err;
}

/*
 * A message from user space: type and, in the second version, address space;
 * then the IOTLB message, and padding. What is padding may be missing.
 *
 * Returns what was taken, or -EINVAL (malformed), -EFAULT (no such memory, or
 * the device does not translate), -ENOMEM, or what the device's own handler says.
 */
ssize_t vhost_chr_write_iter(struct vhost_dev *dev, struct iov_iter *from)
{
	size_t size = min(iov_iter_count(from), sizeof(struct vhost_msg));
	struct {
		u32 type;
		u32 asid;
		struct vhost_iotlb_msg msg;
	} in;
	int err;

	BUILD_BUG_ON(sizeof(struct vhost_msg) != sizeof(struct vhost_msg_v2));
	BUILD_BUG_ON(offsetof(typeof(in), msg) != offsetof(struct vhost_msg, iotlb));

	if (!copy_from_iter_full(&in, sizeof(in), from))
		return -EINVAL;

	switch (in.type) {
	case VHOST_IOTLB_MSG:
		in.asid = 0;		/* a hole there */
		break;
	case VHOST_IOTLB_MSG_V2:
		if (!vhost_backend_has_feature(dev->vqs[0],
					       VHOST_BACKEND_F_IOTLB_ASID))
			in.asid = 0;
		break;
	default:
		return -EINVAL;
	}

	if (dev->msg_handler) {
		if (in.msg.type == VHOST_IOTLB_UPDATE && !in.msg.size)
			return -EINVAL;
		err = dev->msg_handler(dev, in.asid, &in.msg);
	} else {
		err = process(dev, in.asid, &in.msg);
	}
	return err ?: size;
}

/*
 * Take the next message for user space. Returns its number, by which it can be
 * given back; 0 if there is none.
 */
static u64 take(struct vhost_dev *dev, struct vhost_msg_node *copy)
{
	struct vhost_msg_node *node;
	u64 number = 0;

	spin_lock(&dev->iotlb_lock);
	node = list_first_entry_or_null(&dev->read_list, struct vhost_msg_node,
					node);
	if (node) {
		number = message_of(node)->number;
		copy->msg_v2 = node->msg_v2;
		if (is_miss(node))
			list_move_tail(&node->node, &dev->pending_list);
		else
			drop(node);
	}
	spin_unlock(&dev->iotlb_lock);
	return number;
}

/*
 * User space did not get the message, unless another thread answered since. Others that
 * found none meanwhile wait for it.
 */
static void give_back(struct vhost_dev *dev, u64 number)
{
	struct vhost_msg_node *node;
	bool given = false;

	spin_lock(&dev->iotlb_lock);
	list_for_each_entry(node, &dev->pending_list, node) {
		if (message_of(node)->number == number) {
			list_move(&node->node, &dev->read_list);
			given = true;
			break;
		}
	}
	spin_unlock(&dev->iotlb_lock);

	if (given)
		tell(dev);
}

ssize_t vhost_chr_read_iter(struct vhost_dev *dev, struct iov_iter *to,
			    int noblock)
{
	struct vhost_msg_node copy;
	size_t size = sizeof(copy.msg_v2);
	u64 number;
	int err;

	if (iov_iter_count(to) < size)
		return 0;

	number = take(dev, &copy);
	if (!number && noblock)
		return -EAGAIN;
	if (!number) {
		err = wait_event_interruptible(dev->wait,
					       (number = take(dev, &copy)) ||
					       !dev->iotlb);
		if (err)
			return err;
		if (!number)
			return -EBADFD;
	}

	if (copy_to_iter(&copy.msg_v2, size, to) != size) {
		give_back(dev, number);
		return -EFAULT;
	}
	return size;
}
