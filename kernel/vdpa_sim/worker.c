// SPDX-License-Identifier: GPL-2.0
/*
 * Who does a simulated device's work, and who may hurry him.
 *
 * A kick marks the queue and wakes the worker: it may come from anywhere. The kernel's own
 * drivers are served at once where they kick, if that may be. Either holds the device's lock
 * meanwhile, so that a reset, which takes it, too, leaves nothing behind that still runs;
 * what was queued finds a device that is not started.
 */
#include <linux/bottom_half.h>
#include <linux/export.h>
#include <linux/irqflags.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>

#include <trace/events/vdpa_sim.h>
#include <vdpa/dirty.h>

#include "vdpa_sim.h"

/**
 * vdpasim_schedule_work - let the worker look at the queues that are marked
 * @sim: the device
 *
 * Context: any.
 */
void vdpasim_schedule_work(struct vdpasim *sim)
{
	kthread_queue_work(sim->worker, &sim->work);
}
EXPORT_SYMBOL_GPL(vdpasim_schedule_work);

/*
 * The worker stops waiting for memory, and what it was at fails; once it has let go of the
 * lock it begins nothing. For each time that it is told to hurry there must be one that it
 * need not any more.
 */
static void sim_hurry(struct vdpasim *sim, bool hurry)
{
	struct task_struct *worker = sim->worker->task;

	spin_lock(&sim->hurry_lock);
	WRITE_ONCE(sim->hurried, hurry ? sim->hurried + 1 : sim->hurried - 1);
	if (hurry) {
		send_sig(SIGKILL, worker, 1);
	} else if (!sim->hurried) {
		flush_signals(worker);
		/* for what was marked meanwhile, where somebody has the device still */
		vdpasim_schedule_work(sim);
	}
	spin_unlock(&sim->hurry_lock);
}

static void sim_lock_hurried(struct vdpasim *sim)
{
	sim_hurry(sim, true);
	down(&sim->lock);
	sim_hurry(sim, false);
}

/**
 * vdpasim_lock - wait until the worker is not in between, and hold the device still
 * @sim: the device, to be let go of with up(): guard(vdpasim)
 *
 * The worker may wait for memory that a process brings itself (userfaultfd). Where it is the
 * process that has the device that is being killed, or exits, it must not wait for that. Its
 * files may be closed for it, by a thread of the kernel.
 *
 * So this is for who has the device, or takes it away, and for nobody else: who only looks
 * at it and is killed is no reason to fail what it is at.
 */
void vdpasim_lock(struct vdpasim *sim)
{
	if (vdpasim_serves_kernel(sim)) {
		/* that brings no memory */
		down(&sim->lock);
	} else if (current->flags & (PF_EXITING | PF_KTHREAD)) {
		if (down_trylock(&sim->lock))
			sim_lock_hurried(sim);
	} else if (down_killable(&sim->lock)) {
		sim_lock_hurried(sim);
	}
}
EXPORT_SYMBOL_GPL(vdpasim_lock);

/**
 * vdpasim_retire - the device is about to be taken away from a process
 * @sim: the device, which somebody may have
 *
 * It begins nothing any more, whatever the process says, and does not wait for its memory. The
 * kernel's own drivers wait for what they asked for before they let go.
 */
void vdpasim_retire(struct vdpasim *sim)
{
	guard(device)(&sim->vdpa.dev);
	if (vdpasim_serves_kernel(sim))
		return;
	sim_lock_hurried(sim);
	sim->retired = true;
	up(&sim->lock);
}
EXPORT_SYMBOL_GPL(vdpasim_retire);

/* The kernel's own driver may have come since it was retired, and waits for what it asks for. */
static bool sim_may_work(const struct vdpasim *sim)
{
	return vdpasim_is_started(sim) && !sim->suspended && !READ_ONCE(sim->hurried) &&
	       (!sim->retired || vdpasim_iommu_is_identity(sim));
}

/* Handles what is marked; true if there is more. With the lock held. */
static bool sim_serve(struct vdpasim *sim)
{
	unsigned long kicked = xchg(&sim->kicked[0], 0);
	unsigned int idx, done = 0;
	bool more = sim->attr.work(sim, &kicked, &done);

	/* others mark queues meanwhile, without the lock */
	if (more)
		for_each_set_bit(idx, &kicked, VDPASIM_VQS_MAX)
			set_bit(idx, sim->kicked);
	trace_vdpa_sim_work(sim->vdpa.index, done, more, sim->atomic);
	return more;
}

/*
 * Serves the kernel's own driver where it kicks: no thread has to be woken, and switched to,
 * for it. False if there is something, or all, that only the worker can do.
 *
 * A network card's driver has a lock held that softirqs take, too: so whatever is taken here
 * is taken with softirqs off elsewhere, or only tried. With interrupts off a driver cannot be
 * told of anything, and may hold what it needs for that; with PREEMPT_RT nobody can tell.
 *
 * Never for a process: its memory may have to be waited for, and its kick holds a lock of the
 * eventfd's, which may be what it wants to be called by, too.
 */
bool vdpasim_serve_kick(struct vdpasim *sim)
{
	bool more = true;

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || irqs_disabled() ||
	    !vdpasim_iommu_is_identity(sim) || !sim->attr.kick_batch)
		return false;
	/*
	 * Neither is whoever has the device replaced by another task, nor does what the driver
	 * is told lead to more kicks, until the device can be had again.
	 */
	local_bh_disable();
	if (!down_trylock(&sim->lock)) {
		/* it may be somebody else's by now; and marking pages sleeps */
		if (sim_may_work(sim) && vdpasim_iommu_is_identity(sim) && !sim->dirty) {
			sim->atomic = true;
			more = sim_serve(sim);
			sim->atomic = false;
		}
		up(&sim->lock);
	}
	local_bh_enable();
	return !more;
}

static void sim_work(struct kthread_work *work)
{
	struct vdpasim *sim = container_of(work, struct vdpasim, work);
	struct mm_struct *mm = NULL;
	bool more = false;

	down(&sim->lock);
	if (!sim_may_work(sim))
		goto out;
	if (sim->mm) {
		/* its process may be gone: then nobody waits for us */
		if (!mmget_not_zero(sim->mm))
			goto out;
		mm = sim->mm;
		kthread_use_mm(mm);
	}

	sim->logs = sim->dirty && vdpa_dirty_begin(sim->dirty);
	more = sim_serve(sim);
	if (sim->dirty)
		vdpa_dirty_end(sim->dirty);

	if (mm)
		kthread_unuse_mm(mm);
out:
	/* with the lock: once it was had after a reset, nothing is queued any more */
	if (more)
		vdpasim_schedule_work(sim);
	up(&sim->lock);
	/* a process that was killed meanwhile takes its time to go: not ours */
	if (mm)
		mmput_async(mm);
}

/* A kernel thread takes no signal unless it says so, itself: then only the kernel's own. */
static void sim_allow_hurry(struct kthread_work *work)
{
	allow_kernel_signal(SIGKILL);
}

int vdpasim_worker_init(struct vdpasim *sim)
{
	struct kthread_worker *worker;
	struct kthread_work first;

	spin_lock_init(&sim->hurry_lock);
	kthread_init_work(&sim->work, sim_work);
	worker = kthread_create_worker(0, "vDPA sim worker: %s", sim->attr.name);
	if (IS_ERR(worker))
		return PTR_ERR(worker);
	kthread_init_work(&first, sim_allow_hurry);
	kthread_queue_work(worker, &first);
	kthread_flush_work(&first);
	sim->worker = worker;
	return 0;
}

void vdpasim_worker_free(struct vdpasim *sim)
{
	if (sim->worker)
		kthread_destroy_worker(sim->worker);
}
