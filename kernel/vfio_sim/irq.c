// SPDX-License-Identifier: GPL-2.0
/*
 * Interrupts: INTx, a level that is masked when it has been delivered; MSI, one
 * message; and the request that user space let go of the device. Each is an eventfd.
 */
#include <linux/slab.h>
#include "vfio_sim.h"

static bool intx_enabled(const struct vfio_sim *sim)
{
	return !(sim->image->config[PCI_COMMAND + 1] & (PCI_COMMAND_INTX_DISABLE >> 8));
}

/* Deliver INTx if it is due: called whenever one of the conditions changed. */
static void deliver_intx(struct sim_irq *irq)
{
	lockdep_assert_held(&irq->lock);
	if (irq->intx && irq->asserted && !irq->masked) {
		irq->masked = true;
		eventfd_signal(irq->intx);
	}
}

/*
 * The device's interrupt status or what hides it changed. A message goes out whenever
 * a cause is there: one too many does no harm, one too few hangs a driver.
 */
void sim_irq_update(struct vfio_sim *sim)
{
	struct sim_irq *irq = &sim->irq;
	const u32 *words = sim->image->words;
	unsigned long flags;
	bool cause;

	lockdep_assert_held(&sim->lock);
	cause = sim_runs(sim) &&
		words[VFIO_SIM_IRQ_STATUS / 4] & words[VFIO_SIM_IRQ_ENABLE / 4];
	spin_lock_irqsave(&irq->lock, flags);
	if (irq->msi) {
		irq->asserted = false;
		if (cause)
			eventfd_signal(irq->msi);
	} else {
		irq->asserted = cause && intx_enabled(sim);
		deliver_intx(irq);
	}
	spin_unlock_irqrestore(&irq->lock, flags);
}

void sim_irq_request(struct vfio_sim *sim)
{
	unsigned long flags;

	spin_lock_irqsave(&sim->irq.lock, flags);
	if (sim->irq.request)
		eventfd_signal(sim->irq.request);
	spin_unlock_irqrestore(&sim->irq.lock, flags);
}

static void set_masked(struct sim_irq *irq, bool masked)
{
	unsigned long flags;

	spin_lock_irqsave(&irq->lock, flags);
	irq->masked = masked;
	deliver_intx(irq);
	spin_unlock_irqrestore(&irq->lock, flags);
}

/* In a worker: signalling one eventfd from the wakeup of another is not allowed. */
static void unmask_by_eventfd(void *opaque, void *unused)
{
	set_masked(opaque, false);
}

static void replace(struct sim_irq *irq, struct eventfd_ctx **where, struct eventfd_ctx *trigger)
{
	scoped_guard(spinlock_irqsave, &irq->lock) {
		swap(*where, trigger);
		if (where == &irq->intx)
			irq->masked = false;
	}
	if (trigger)
		eventfd_ctx_put(trigger);
}

static struct eventfd_ctx **trigger_of(struct sim_irq *irq, u32 index)
{
	switch (index) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		return &irq->intx;
	case VFIO_PCI_MSI_IRQ_INDEX:
		return &irq->msi;
	case VFIO_PCI_REQ_IRQ_INDEX:
		return &irq->request;
	default:
		return NULL;
	}
}

static void take_away(struct sim_irq *irq, u32 index)
{
	if (index == VFIO_PCI_INTX_IRQ_INDEX)
		vfio_virqfd_disable(&irq->unmask);
	replace(irq, trigger_of(irq, index), NULL);
}

static int set_trigger(struct vfio_sim *sim, u32 index, int fd)
{
	struct sim_irq *irq = &sim->irq;
	struct eventfd_ctx *trigger;

	if (fd < 0) {
		take_away(irq, index);
		return 0;
	}
	/* a PCI function has one kind at a time */
	if ((index == VFIO_PCI_INTX_IRQ_INDEX && irq->msi) ||
	    (index == VFIO_PCI_MSI_IRQ_INDEX && irq->intx))
		return -EINVAL;
	trigger = eventfd_ctx_fdget(fd);
	if (IS_ERR(trigger))
		return PTR_ERR(trigger);
	replace(irq, trigger_of(irq, index), trigger);
	/* what came up before somebody listened */
	mutex_lock(&sim->lock);
	sim_irq_update(sim);
	mutex_unlock(&sim->lock);
	return 0;
}

static void send_once(struct sim_irq *irq, u32 index)
{
	unsigned long flags;

	spin_lock_irqsave(&irq->lock, flags);
	if (*trigger_of(irq, index))
		eventfd_signal(*trigger_of(irq, index));
	spin_unlock_irqrestore(&irq->lock, flags);
}

static int set_trigger_action(struct vfio_sim *sim, u32 index, u32 flags, u32 count, s32 data)
{
	if (flags & VFIO_IRQ_SET_DATA_NONE && !count) {
		take_away(&sim->irq, index);
		return 0;
	}
	if (count != 1)
		return -EINVAL;
	if (flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return set_trigger(sim, index, data);
	if (flags & VFIO_IRQ_SET_DATA_NONE || data)
		send_once(&sim->irq, index);
	return 0;
}

static int set_mask_action(struct vfio_sim *sim, u32 index, u32 flags, u32 count, s32 data,
			   bool mask)
{
	struct sim_irq *irq = &sim->irq;

	if (index != VFIO_PCI_INTX_IRQ_INDEX)
		return -ENOTTY;
	if (count != 1)
		return -EINVAL;
	if (!(flags & VFIO_IRQ_SET_DATA_EVENTFD)) {
		if (flags & VFIO_IRQ_SET_DATA_NONE || data)
			set_masked(irq, mask);
		return 0;
	}
	if (mask)
		return -ENOTTY;
	if (data < 0) {
		vfio_virqfd_disable(&irq->unmask);
		return 0;
	}
	return vfio_virqfd_enable(irq, NULL, unmask_by_eventfd, NULL, &irq->unmask, data);
}

static u32 irqs_of(u32 index)
{
	return index == VFIO_PCI_INTX_IRQ_INDEX || index == VFIO_PCI_MSI_IRQ_INDEX ||
	       index == VFIO_PCI_REQ_IRQ_INDEX;
}

int sim_irq_info(void __user *arg)
{
	const size_t bytes = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;
	int err = sim_ask(&info, arg, bytes);

	if (err)
		return err;
	if (info.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	info.count = irqs_of(info.index);
	info.flags = info.count ? VFIO_IRQ_INFO_EVENTFD : 0;
	if (info.index == VFIO_PCI_INTX_IRQ_INDEX)
		info.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	else if (info.count)
		info.flags |= VFIO_IRQ_INFO_NORESIZE;
	return sim_answer(arg, &info, bytes);
}

int sim_irq_set(struct vfio_sim *sim, void __user *arg)
{
	const size_t bytes = offsetofend(struct vfio_irq_set, count);
	struct vfio_irq_set set;
	size_t data_bytes;
	s32 data = 0;
	int err;

	err = sim_ask(&set, arg, bytes);
	if (err)
		return err;
	if (set.index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	err = vfio_set_irqs_validate_and_prepare(&set, irqs_of(set.index), VFIO_PCI_NUM_IRQS,
						 &data_bytes);
	if (err)
		return err;
	/* there is never more than one of an index */
	if (data_bytes > sizeof(data))
		return -EINVAL;
	if (copy_from_user(&data, arg + bytes, data_bytes))
		return -EFAULT;

	mutex_lock(&sim->irq.setup);
	switch (set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		err = set_trigger_action(sim, set.index, set.flags, set.count, data);
		break;
	case VFIO_IRQ_SET_ACTION_MASK:
		err = set_mask_action(sim, set.index, set.flags, set.count, data, true);
		break;
	case VFIO_IRQ_SET_ACTION_UNMASK:
		err = set_mask_action(sim, set.index, set.flags, set.count, data, false);
		break;
	default:
		err = -EINVAL;
	}
	mutex_unlock(&sim->irq.setup);
	return err;
}

void sim_irq_init(struct vfio_sim *sim)
{
	mutex_init(&sim->irq.setup);
	spin_lock_init(&sim->irq.lock);
}

void sim_irq_close(struct vfio_sim *sim)
{
	u32 index;

	mutex_lock(&sim->irq.setup);
	for (index = 0; index < VFIO_PCI_NUM_IRQS; index++)
		if (irqs_of(index))
			take_away(&sim->irq, index);
	mutex_unlock(&sim->irq.setup);
}
