// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts, by MSI-X: the first vector is for changes of the configuration, and each
 * queue has one of its own if there are so many. Otherwise queues share what there is.
 *
 * With MSI-X nothing says which of several caused an interrupt: all that share a
 * vector are called.
 */
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "ifcvf.h"

struct ifcvf_vector {
	struct ifcvf *vf;
	char name[32];
	u16 index;
	u16 users;		/* queues */
};

static void call(struct ifcvf *vf, const struct vdpa_callback *from)
{
	struct vdpa_callback cb;
	unsigned long flags;

	spin_lock_irqsave(&vf->callbacks, flags);
	cb = *from;
	spin_unlock_irqrestore(&vf->callbacks, flags);
	if (cb.callback)
		cb.callback(cb.private);
}

static irqreturn_t vector_fired(int irq, void *data)
{
	const struct ifcvf_vector *vector = data;
	struct ifcvf *vf = vector->vf;
	u32 i;

	if (vector->index == 0)
		call(vf, &vf->config_cb);
	for (i = 0; i < vf->nvqs; i++)
		if (vf->vqs[i].vector == vector->index && READ_ONCE(vf->vqs[i].ready))
			call(vf, &vf->vqs[i].cb);
	return IRQ_HANDLED;
}

/* When it returns, nobody is in a handler that had begun before. */
void ifcvf_irq_synchronize(struct ifcvf *vf)
{
	unsigned int i;

	for (i = 0; i < vf->nvectors; i++)
		synchronize_irq(pci_irq_vector(vf->pdev, i));
}

/* Who replaces a callback may free what the old one used: it does not run any more. */
static void callback_set(struct ifcvf *vf, struct vdpa_callback *at,
			 const struct vdpa_callback *cb, u16 vector)
{
	spin_lock_irq(&vf->callbacks);
	*at = *cb;
	spin_unlock_irq(&vf->callbacks);
	if (vector < vf->nvectors)
		synchronize_irq(pci_irq_vector(vf->pdev, vector));
}

void ifcvf_irq_set_queue(struct ifcvf *vf, u16 index, const struct vdpa_callback *cb)
{
	callback_set(vf, &vf->vqs[index].cb, cb, vf->vqs[index].vector);
}

void ifcvf_irq_set_config(struct ifcvf *vf, const struct vdpa_callback *cb)
{
	callback_set(vf, &vf->config_cb, cb, 0);
}

/* As if the function had told of it. */
void ifcvf_irq_call_queue(struct ifcvf *vf, u16 index)
{
	call(vf, &vf->vqs[index].cb);
}

/* Only one that nobody shares can be handed to a guest as it is. */
int ifcvf_irq_of_queue(struct ifcvf *vf, u16 index)
{
	u16 vector = vf->vqs[index].vector;

	if (!vector || vf->vectors[vector].users != 1)
		return -EOPNOTSUPP;
	return pci_irq_vector(vf->pdev, vector);
}

static void vectors_deal(struct ifcvf *vf, unsigned int n)
{
	u32 i;

	for (i = 0; i < vf->nvqs; i++) {
		vf->vqs[i].vector = n > 1 ? 1 + i % (n - 1) : 0;
		vf->vectors[vf->vqs[i].vector].users++;
	}
}

static int vectors_request(struct ifcvf *vf, unsigned int n)
{
	struct ifcvf_vector *vector;
	int err;

	for (vf->nvectors = 0; vf->nvectors < n; vf->nvectors++) {
		vector = &vf->vectors[vf->nvectors];
		vector->vf = vf;
		vector->index = vf->nvectors;
		snprintf(vector->name, sizeof(vector->name), IFCVF_NAME "-%s-%u",
			 pci_name(vf->pdev), vector->index);
		err = request_irq(pci_irq_vector(vf->pdev, vector->index), vector_fired, 0,
				  vector->name, vector);
		if (err)
			return err;
	}
	return 0;
}

void ifcvf_irq_free(struct ifcvf *vf)
{
	while (vf->nvectors) {
		vf->nvectors--;
		free_irq(pci_irq_vector(vf->pdev, vf->nvectors), &vf->vectors[vf->nvectors]);
	}
	pci_free_irq_vectors(vf->pdev);
	kfree(vf->vectors);
	vf->vectors = NULL;
}

/* After an error nothing is left. */
int ifcvf_irq_init(struct ifcvf *vf)
{
	int n, err;

	n = pci_alloc_irq_vectors(vf->pdev, 1, vf->nvqs + 1, PCI_IRQ_MSIX);
	if (n < 0) {
		pci_err(vf->pdev, "no interrupts by MSI-X: %d\n", n);
		return n;
	}
	if (n < vf->nvqs + 1)
		pci_info(vf->pdev, "%d vectors for %u queues: some are shared\n", n, vf->nvqs);
	vf->vectors = kcalloc(n, sizeof(*vf->vectors), GFP_KERNEL);
	if (!vf->vectors) {
		pci_free_irq_vectors(vf->pdev);
		return -ENOMEM;
	}
	vectors_deal(vf, n);
	err = vectors_request(vf, n);
	if (err)
		ifcvf_irq_free(vf);
	return err;
}
