// SPDX-License-Identifier: GPL-2.0
/*
 * A vDPA device for the kernel's own virtio drivers: virtio's transport, over the
 * vDPA bus.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include <vdpa/ops.h>
#include "virtio_vdpa.h"

struct virtio_vdpa {
	struct virtio_device virtio;
	struct vdpa_device *vdev;
};

static struct vdpa_device *to_vdpa(struct virtio_device *virtio)
{
	return container_of(virtio, struct virtio_vdpa, virtio)->vdev;
}

/*
 * Configuration
 */

static void transport_get(struct virtio_device *virtio, unsigned int offset, void *buf,
			  unsigned int len)
{
	vdpa_get_config(to_vdpa(virtio), offset, buf, len);
}

static void transport_set(struct virtio_device *virtio, unsigned int offset, const void *buf,
			  unsigned int len)
{
	vdpa_set_config(to_vdpa(virtio), offset, buf, len);
}

static u32 transport_generation(struct virtio_device *virtio)
{
	struct vdpa_device *vdev = to_vdpa(virtio);

	return vdev->config->get_generation ? vdpa_ask(vdev, get_generation) : 0;
}

static u8 transport_get_status(struct virtio_device *virtio)
{
	return vdpa_ask(to_vdpa(virtio), get_status);
}

static void transport_set_status(struct virtio_device *virtio, u8 status)
{
	vdpa_set_status(to_vdpa(virtio), status);
}

static void transport_reset(struct virtio_device *virtio)
{
	vdpa_restart(to_vdpa(virtio));
}

static u64 transport_get_features(struct virtio_device *virtio)
{
	return vdpa_ask(to_vdpa(virtio), get_device_features);
}

static int transport_finalize_features(struct virtio_device *virtio)
{
	struct vdpa_device *vdev = to_vdpa(virtio);

	vring_transport_features(virtio);
	/* a kick with data is a call of its own, which not every device has */
	if (!vdev->config->kick_vq_with_data)
		__virtio_clear_bit(virtio, VIRTIO_F_NOTIFICATION_DATA);
	return vdpa_negotiate(vdev, virtio->features);
}

static const char *transport_bus_name(struct virtio_device *virtio)
{
	return dev_name(&to_vdpa(virtio)->dev);
}

static irqreturn_t config_called(void *private)
{
	virtio_config_changed(private);
	return IRQ_HANDLED;
}

static void config_connect(struct virtio_device *virtio, bool on)
{
	struct vdpa_callback callback = {
		.callback	= on ? config_called : NULL,
		.private	= on ? virtio : NULL,
	};

	vdpa_tell(to_vdpa(virtio), set_config_cb, &callback);
}

/*
 * Queues
 */

/* Drivers kick from wherever they are, with interrupts off, too. */
static bool queue_kick(struct virtqueue *vq)
{
	vdpa_kick(to_vdpa(vq->vdev), vq->index);
	return true;
}

static bool queue_kick_with_data(struct virtqueue *vq)
{
	struct vdpa_device *vdev = to_vdpa(vq->vdev);

	trace_vdpa_vq_kick(vdev, vq->index);
	vdev->config->kick_vq_with_data(vdev, vring_notification_data(vq));
	return true;
}

static irqreturn_t queue_called(void *private)
{
	struct virtqueue *vq = private;

	trace_vdpa_vq_callback(to_vdpa(vq->vdev), vq->index);
	return vring_interrupt(0, vq);
}

static struct virtqueue *queue_create(struct virtio_device *virtio, u16 index,
				      const struct virtqueue_info *info)
{
	struct vdpa_device *vdev = to_vdpa(virtio);
	const struct vdpa_config_ops *ops = vdev->config;
	struct device *dma_dev = vdpa_get_dma_dev(vdev);
	u32 most, least = 1;
	struct virtqueue *vq;

	most = ops->get_vq_size ? vdpa_ask(vdev, get_vq_size, index) :
				  vdpa_ask(vdev, get_vq_num_max);
	if (ops->get_vq_num_min)
		least = vdpa_ask(vdev, get_vq_num_min);
	if (ops->get_vq_dma_dev)
		dma_dev = vdpa_fetch(vdev, get_vq_dma_dev, index);
	if (!most)
		return ERR_PTR(-ENOENT);
	vq = vring_create_virtqueue_dma(index, most, vdpa_ask(vdev, get_vq_align), virtio, true,
					most > least, info->ctx,
					__virtio_test_bit(virtio, VIRTIO_F_NOTIFICATION_DATA) ?
					queue_kick_with_data : queue_kick,
					info->callback, info->name, dma_dev);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	vq->num_max = most;
	return vq;
}

/* Its rings are known to the device, its callback leads to a queue that is there. */
static int queue_start(struct vdpa_device *vdev, struct virtqueue *vq)
{
	struct vdpa_callback callback = {
		.callback	= vq->callback ? queue_called : NULL,
		.private	= vq,
	};
	struct vdpa_vq_state state = {};
	int err;

	vdpa_tell(vdev, set_vq_cb, vq->index, &callback);
	vdpa_tell(vdev, set_vq_num, vq->index, virtqueue_get_vring_size(vq));
	err = vdpa_ask(vdev, set_vq_address, vq->index, virtqueue_get_desc_addr(vq),
		       virtqueue_get_avail_addr(vq), virtqueue_get_used_addr(vq));
	if (err)
		return err;
	/* a packed ring begins with its wrap counters at one */
	if (virtio_has_feature(vq->vdev, VIRTIO_F_RING_PACKED)) {
		state.packed.last_avail_counter = 1;
		state.packed.last_used_counter = 1;
	}
	err = vdpa_ask(vdev, set_vq_state, vq->index, &state);
	if (!err)
		vdpa_queue_ready(vdev, vq->index, true);
	return err;
}

/* The device has stopped with the first call, and forgotten it with the second. */
static void queue_destroy(struct virtqueue *vq)
{
	struct vdpa_device *vdev = to_vdpa(vq->vdev);

	vdpa_queue_ready(vdev, vq->index, false);
	vdpa_tell(vdev, set_vq_cb, vq->index, &(struct vdpa_callback) {});
	vring_del_virtqueue(vq);
}

static struct virtqueue *queue_make(struct virtio_device *virtio, u16 index,
				    const struct virtqueue_info *info)
{
	struct vdpa_device *vdev = to_vdpa(virtio);
	struct virtqueue *vq;
	int err;

	if (index >= vdev->nvqs || vdpa_ask(vdev, get_vq_ready, index))
		return ERR_PTR(-ENOENT);
	vq = queue_create(virtio, index, info);
	if (IS_ERR(vq))
		return vq;
	err = queue_start(vdev, vq);
	if (!err)
		return vq;
	queue_destroy(vq);
	return ERR_PTR(err);
}

static void transport_del_vqs(struct virtio_device *virtio)
{
	struct virtqueue *vq, *next;

	config_connect(virtio, false);
	list_for_each_entry_safe(vq, next, &virtio->vqs, list)
		queue_destroy(vq);
}

/* Queues without a name do not exist: the device's numbers go on without them. */
static int transport_find_vqs(struct virtio_device *virtio, unsigned int n,
			      struct virtqueue *vqs[], struct virtqueue_info infos[],
			      struct irq_affinity *spread)
{
	struct vdpa_device *vdev = to_vdpa(virtio);
	u16 *queue, next = 0;
	unsigned int i;
	int err = 0;

	queue = kmalloc_array(n, sizeof(*queue), GFP_KERNEL);
	if (!queue)
		return -ENOMEM;
	for (i = 0; i < n && !err; i++) {
		vqs[i] = NULL;
		queue[i] = VIRTIO_VDPA_NO_QUEUE;
		if (!infos[i].name)
			continue;
		queue[i] = next;
		vqs[i] = queue_make(virtio, next++, &infos[i]);
		err = PTR_ERR_OR_ZERO(vqs[i]);
	}
	if (err) {
		transport_del_vqs(virtio);
	} else {
		if (spread && vdev->config->set_vq_affinity)
			virtio_vdpa_spread(vdev, queue, n, spread);
		config_connect(virtio, true);
	}
	kfree(queue);
	return err;
}

static int transport_set_vq_affinity(struct virtqueue *vq, const struct cpumask *cpus)
{
	struct vdpa_device *vdev = to_vdpa(vq->vdev);

	return vdev->config->set_vq_affinity ?
	       vdpa_ask(vdev, set_vq_affinity, vq->index, cpus) : 0;
}

static const struct cpumask *transport_get_vq_affinity(struct virtio_device *virtio, int index)
{
	struct vdpa_device *vdev = to_vdpa(virtio);

	return vdev->config->get_vq_affinity ? vdpa_fetch(vdev, get_vq_affinity, index) : NULL;
}

static const struct virtio_config_ops transport = {
	.get			= transport_get,
	.set			= transport_set,
	.generation		= transport_generation,
	.get_status		= transport_get_status,
	.set_status		= transport_set_status,
	.reset			= transport_reset,
	.find_vqs		= transport_find_vqs,
	.del_vqs		= transport_del_vqs,
	.get_features		= transport_get_features,
	.finalize_features	= transport_finalize_features,
	.bus_name		= transport_bus_name,
	.set_vq_affinity	= transport_set_vq_affinity,
	.get_vq_affinity	= transport_get_vq_affinity,
};

/*
 * The driver
 */

static void virtio_vdpa_free(struct device *dev)
{
	kfree(container_of(dev_to_virtio(dev), struct virtio_vdpa, virtio));
}

static int virtio_vdpa_probe(struct vdpa_device *vdev)
{
	struct virtio_vdpa *v;
	int err;

	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return -ENOMEM;
	v->vdev = vdev;
	v->virtio.config = &transport;
	v->virtio.id.device = vdpa_ask(vdev, get_device_id);
	v->virtio.id.vendor = vdpa_ask(vdev, get_vendor_id);
	/* buffers are mapped for whoever is the parent */
	v->virtio.dev.parent = vdpa_get_dma_dev(vdev);
	v->virtio.dev.release = virtio_vdpa_free;
	if (!v->virtio.id.device) {
		kfree(v);
		return -EINVAL;
	}
	vdpa_set_drvdata(vdev, v);
	err = register_virtio_device(&v->virtio);
	if (err)
		put_device(&v->virtio.dev);
	return err;
}

static void virtio_vdpa_remove(struct vdpa_device *vdev)
{
	struct virtio_vdpa *v = vdpa_get_drvdata(vdev);

	unregister_virtio_device(&v->virtio);
}

static struct vdpa_driver virtio_vdpa_driver = {
	.driver.name	= "virtio_vdpa",
	.probe		= virtio_vdpa_probe,
	.remove		= virtio_vdpa_remove,
};
module_vdpa_driver(virtio_vdpa_driver);

MODULE_DESCRIPTION("vDPA devices for virtio drivers");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
