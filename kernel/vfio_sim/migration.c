// SPDX-License-Identifier: GPL-2.0
/*
 * The states of a device that migrates, for both protocols, and the one of today:
 * VFIO_DEVICE_FEATURE_MIGRATION, whose data goes through a file.
 *
 * There is one machine. What the older protocol calls by bits are its states, too;
 * region.c translates. A transfer belongs to the protocol that began it, and the other
 * one is refused meanwhile.
 *
 * A change of state happens or does not: what it needs is there before the first
 * step is taken, and the only step that can fail, to take over what was received, is
 * the first one of all that contain it.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <trace/events/vfio_sim.h>
#include "vfio_sim.h"

static bool is_saving(enum vfio_device_mig_state state)
{
	return state == VFIO_DEVICE_STATE_PRE_COPY || state == VFIO_DEVICE_STATE_STOP_COPY;
}

static bool is_transfer(enum vfio_device_mig_state state)
{
	return is_saving(state) || state == VFIO_DEVICE_STATE_RESUMING;
}

/* Own memory was written. */
void sim_migration_dirty(struct vfio_sim *sim, u32 offset, u32 len)
{
	u32 first = offset >> PAGE_SHIFT, last = (offset + len - 1) >> PAGE_SHIFT;

	lockdep_assert_held(&sim->lock);
	if (!sim->stream || !is_saving(sim->state))
		return;
	bitmap_set(sim->stream->dirty, first, last - first + 1);
	wake_up(&sim->stream->wait);
}

static void end_transfer(struct vfio_sim *sim)
{
	struct sim_stream *stream = sim->stream;

	if (!stream)
		return;
	sim->stream = NULL;
	sim->window_bytes = 0;
	sim->window_given = false;
	stream->gone = true;
	wake_up(&stream->wait);
	sim_stream_put(stream);
}

/* The device becomes what arrived. */
static int take_over(struct vfio_sim *sim)
{
	struct sim_stream *stream = sim->stream;
	int err, pinned;

	err = sim_stream_complete(stream);
	if (err)
		return err;
	pinned = sim_pin_all(sim, stream->pins);
	if (pinned < 0)
		return pinned;
	sim_unpin_all(sim, sim->pins);
	swap(sim->image, stream->image);
	swap(sim->pins, stream->pins);
	sim->nr_pins = pinned;
	sim->image->words[VFIO_SIM_PINNED / 4] = sim->nr_pins;
	return 0;
}

/* One arc. @stream is taken by the arc that begins a transfer. */
static int step(struct vfio_sim *sim, enum vfio_device_mig_state next, bool v1,
		struct sim_stream **stream)
{
	enum vfio_device_mig_state from = sim->state;
	ktime_t began = ktime_get();
	u64 stayed = ktime_to_ns(ktime_sub(began, sim->since));
	int err = 0;

	if (from == VFIO_DEVICE_STATE_RESUMING)
		err = take_over(sim);
	if (!err) {
		if (is_transfer(from) && !is_saving(next))
			end_transfer(sim);
		if (*stream && !sim->stream && is_transfer(next)) {
			sim->stream = *stream;
			*stream = NULL;
		}
		sim->state = next;
		sim->since = began;
		/* readers at a temporary end now have more, or the last end */
		if (sim->stream)
			wake_up(&sim->stream->wait);
		sim_dma_resume(sim);
		sim_irq_update(sim);
	}
	trace_vfio_sim_state(sim_name(sim), v1 ? 1 : 2, from, next,
			     ktime_to_ns(ktime_sub(ktime_get(), began)), stayed, err);
	return err;
}

/*
 * Go there. What was in *@stream is used if a transfer begins, and then NULL.
 * The caller holds the lock and has made sure that there is a stream if one is
 * needed.
 */
int sim_set_state(struct vfio_sim *sim, enum vfio_device_mig_state state, bool v1,
		  struct sim_stream **stream)
{
	enum vfio_device_mig_state next;
	int err;

	lockdep_assert_held(&sim->lock);
	if (sim->stream && sim->stream->v1 != v1 && state != sim->state)
		return -EBUSY;
	while (sim->state != state) {
		err = vfio_mig_get_next_state(&sim->vdev, sim->state, state, &next);
		if (err)
			return err;
		err = step(sim, next, v1, stream);
		if (err)
			return err;
	}
	return 0;
}

/* Whatever goes on ends, and what was configured is forgotten. */
void sim_migration_reset(struct vfio_sim *sim)
{
	ktime_t now = ktime_get();

	lockdep_assert_held(&sim->lock);
	trace_vfio_sim_state(sim_name(sim), 0, sim->state, VFIO_DEVICE_STATE_RUNNING, 0,
			     ktime_to_ns(ktime_sub(now, sim->since)), 0);
	end_transfer(sim);
	sim->state = VFIO_DEVICE_STATE_RUNNING;
	sim->since = now;
	sim_unpin_all(sim, sim->pins);
	sim_image_init(sim->image);
	sim_irq_update(sim);
}

/*
 * The file
 */

static ssize_t stream_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct sim_stream *stream = file->private_data;
	struct vfio_sim *sim = stream->sim;
	ssize_t done = 0, err;
	bool fault;
	void *part;
	u32 got;

	part = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!part)
		return -ENOMEM;
	err = mutex_lock_interruptible(&stream->io);
	if (err)
		goto free;
	mutex_lock(&sim->lock);
	while (len) {
		if (stream->gone) {
			err = -ENODEV;
			break;
		}
		got = sim_stream_peek(stream, part, min_t(size_t, len, PAGE_SIZE));
		if (!got) {
			/* that was all for now; once it is stopped, all */
			if (sim->state == VFIO_DEVICE_STATE_PRE_COPY)
				err = -ENOMSG;
			break;
		}
		mutex_unlock(&sim->lock);
		fault = copy_to_user(buf, part, got);
		mutex_lock(&sim->lock);
		if (fault) {
			err = -EFAULT;
			break;
		}
		/* not before, so that a fault loses nothing */
		sim_stream_take(stream, got);
		buf += got;
		len -= got;
		done += got;
	}
	mutex_unlock(&sim->lock);
	mutex_unlock(&stream->io);
free:
	kfree(part);
	return done ?: err;
}

/* What is wrong with the data is told, even if some before was taken: it is of no use. */
static ssize_t stream_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct sim_stream *stream = file->private_data;
	struct vfio_sim *sim = stream->sim;
	ssize_t done = 0, err;
	void *part;
	u32 n;

	part = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!part)
		return -ENOMEM;
	err = mutex_lock_interruptible(&stream->io);
	if (err)
		goto free;
	while (len) {
		n = min_t(size_t, len, PAGE_SIZE);
		if (copy_from_user(part, buf, n)) {
			err = -EFAULT;
			break;
		}
		mutex_lock(&sim->lock);
		err = stream->gone ? -ENODEV : sim_stream_feed(stream, part, n);
		mutex_unlock(&sim->lock);
		if (err) {
			done = 0;
			break;
		}
		buf += n;
		len -= n;
		done += n;
		if (fatal_signal_pending(current))
			break;
	}
	mutex_unlock(&stream->io);
free:
	kfree(part);
	return done ?: err;
}

/* Data, or once it is stopped the end. */
static bool answers_now(const struct sim_stream *stream)
{
	return stream->sim->state == VFIO_DEVICE_STATE_STOP_COPY ||
	       sim_stream_pending(stream, NULL);
}

static __poll_t stream_poll(struct file *file, struct poll_table_struct *wait)
{
	struct sim_stream *stream = file->private_data;

	poll_wait(file, &stream->wait, wait);
	guard(mutex)(&stream->sim->lock);
	if (stream->gone)
		return EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	return answers_now(stream) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int estimate(struct sim_stream *stream, struct vfio_precopy_info *info)
{
	u64 all, initial;

	guard(mutex)(&stream->sim->lock);
	if (stream->gone)
		return -ENODEV;
	if (stream->sim->state != VFIO_DEVICE_STATE_PRE_COPY)
		return -EINVAL;
	all = sim_stream_pending(stream, &initial);
	info->flags = 0;
	info->initial_bytes = initial;
	info->dirty_bytes = all - initial;
	return 0;
}

static long stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const size_t bytes = offsetofend(struct vfio_precopy_info, dirty_bytes);
	struct vfio_precopy_info info;
	int err;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	err = sim_ask(&info, (void __user *)arg, bytes) ?: estimate(file->private_data, &info);
	return err ?: sim_answer((void __user *)arg, &info, bytes);
}

static int stream_release(struct inode *inode, struct file *file)
{
	sim_stream_put(file->private_data);
	return 0;
}

static const struct file_operations save_fops = {
	.owner		= THIS_MODULE,
	.read		= stream_read,
	.poll		= stream_poll,
	.unlocked_ioctl	= stream_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= stream_release,
};

static const struct file_operations resume_fops = {
	.owner		= THIS_MODULE,
	.write		= stream_write,
	.release	= stream_release,
};

/* A file on a stream; it has a reference of its own. */
static struct file *stream_file(struct sim_stream *stream, bool saving)
{
	struct file *file;

	file = anon_inode_getfile("[vfio_sim]", saving ? &save_fops : &resume_fops, stream,
				  saving ? O_RDONLY : O_WRONLY);
	if (IS_ERR(file))
		return file;
	stream_open(file_inode(file), file);
	kref_get(&stream->kref);
	return file;
}

/*
 * VFIO's callbacks
 */

static struct file *migration_set_state(struct vfio_device *vdev,
					enum vfio_device_mig_state state)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);
	struct sim_stream *stream = NULL;
	struct file *file = NULL;
	int err;

	/* Made before it is known whether it will be used: the lock is not to be held here. */
	if (is_transfer(state)) {
		stream = sim_stream_new(sim, is_saving(state), false);
		if (!stream)
			return ERR_PTR(-ENOMEM);
		file = stream_file(stream, is_saving(state));
		if (IS_ERR(file)) {
			sim_stream_put(stream);
			return file;
		}
	}
	mutex_lock(&sim->lock);
	err = sim_set_state(sim, state, false, &stream);
	mutex_unlock(&sim->lock);

	/* still ours: no transfer began */
	if (stream) {
		fput(file);
		sim_stream_put(stream);
		file = NULL;
	}
	return err ? ERR_PTR(err) : file;
}

static int migration_get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_lock(&sim->lock);
	*state = sim->state;
	mutex_unlock(&sim->lock);
	return 0;
}

static int migration_get_data_size(struct vfio_device *vdev, unsigned long *stop_copy_length)
{
	struct vfio_sim *sim = to_vfio_sim(vdev);

	mutex_lock(&sim->lock);
	*stop_copy_length = sim_stream_stop_bytes(sim);
	mutex_unlock(&sim->lock);
	return 0;
}

static const struct vfio_migration_ops migration_ops = {
	.migration_set_state	 = migration_set_state,
	.migration_get_state	 = migration_get_state,
	.migration_get_data_size = migration_get_data_size,
};

void sim_migration_init(struct vfio_sim *sim)
{
	sim->state = VFIO_DEVICE_STATE_RUNNING;
	sim->since = ktime_get();
	sim->vdev.migration_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_PRE_COPY;
	sim->vdev.mig_ops = &migration_ops;
}
