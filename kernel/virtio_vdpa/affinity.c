// SPDX-License-Identifier: GPL-2.0
/*
 * Which CPUs a device is to interrupt for which queue.
 */
#include <linux/cpumask.h>
#include <linux/group_cpus.h>
#include <linux/slab.h>

#include <vdpa/ops.h>
#include "virtio_vdpa.h"

/* Each set of queues has all CPUs among its members. Queues that do not exist take part. */
static void spread_set(struct vdpa_device *vdev, const u16 *queue, unsigned int n)
{
	struct cpumask *masks;
	unsigned int i;

	masks = n ? group_cpus_evenly(n) : NULL;
	for (i = 0; masks && i < n; i++)
		if (queue[i] != VIRTIO_VDPA_NO_QUEUE)
			vdpa_ask(vdev, set_vq_affinity, queue[i], &masks[i]);
	kfree(masks);
}

/*
 * Queues @queue[0] to @queue[n - 1], a name each or not, as a driver asks for it. That
 * is good advice to a device: one that does not take it works as well.
 */
void virtio_vdpa_spread(struct vdpa_device *vdev, const u16 *queue, unsigned int n,
			struct irq_affinity *how)
{
	unsigned int first = min(n, how->pre_vectors), set, size;
	unsigned int left = n - first - min(n - first, how->post_vectors);

	if (how->calc_sets) {
		how->calc_sets(how, left);
	} else {
		how->nr_sets = 1;
		how->set_size[0] = left;
	}
	for (set = 0; set < how->nr_sets && left; set++) {
		size = min(how->set_size[set], left);
		spread_set(vdev, queue + first, size);
		first += size;
		left -= size;
	}
}
