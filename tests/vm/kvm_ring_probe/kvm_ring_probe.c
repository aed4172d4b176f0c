// SPDX-License-Identifier: GPL-2.0
/*
 * Two things about a dirty ring that no client of /dev/kvm can bring about or see:
 * indices that are about to wrap at 2^32, and what was locked when the TLBs were
 * flushed.
 */
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/kvm_dirty_ring.h>
#include <linux/module.h>

static uint rings_before_wrap;
module_param(rings_before_wrap, uint, 0644);
MODULE_PARM_DESC(rings_before_wrap, "the indices of a new ring start so many times its size before 2^32");

static uint started;
module_param(started, uint, 0444);
MODULE_PARM_DESC(started, "rings that began there");

static uint flushes;
module_param(flushes, uint, 0444);
MODULE_PARM_DESC(flushes, "of all TLBs of a VM by one of its users' threads");

static uint flushes_locked;
module_param(flushes_locked, uint, 0444);
MODULE_PARM_DESC(flushes_locked, "by a thread that held the VM's slots_lock");

static int alloc_begin(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	*(struct kvm_dirty_ring **)ri->data = (void *)regs_get_kernel_argument(regs, 0);
	return 0;
}

/* Nobody but the thread that made it knows the ring yet. */
static int alloc_end(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kvm_dirty_ring *ring = *(struct kvm_dirty_ring **)ri->data;

	if (regs_return_value(regs) || !rings_before_wrap)
		return 0;
	ring->dirty_index = 0 - rings_before_wrap * ring->size;
	ring->reset_index = ring->dirty_index;
	started++;
	return 0;
}

static struct kretprobe alloc_probe = {
	.kp.symbol_name = "kvm_dirty_ring_alloc",
	.entry_handler = alloc_begin,
	.handler = alloc_end,
	.data_size = sizeof(struct kvm_dirty_ring *),
};

static int flush(struct kprobe *p, struct pt_regs *regs)
{
	struct kvm *kvm = (void *)regs_get_kernel_argument(regs, 0);

	/* As a mutex says who owns it: its flags are in the lowest bits. */
	if ((atomic_long_read(&kvm->slots_lock.owner) & ~7UL) == (unsigned long)current)
		flushes_locked++;
	flushes++;
	return 0;
}

static struct kprobe flush_probe = {
	.symbol_name = "kvm_flush_remote_tlbs",
	.pre_handler = flush,
};

static int __init kvm_ring_probe_init(void)
{
	int err;

	err = register_kretprobe(&alloc_probe);
	if (err)
		return err;
	err = register_kprobe(&flush_probe);
	if (err)
		unregister_kretprobe(&alloc_probe);
	return err;
}

static void __exit kvm_ring_probe_exit(void)
{
	unregister_kprobe(&flush_probe);
	unregister_kretprobe(&alloc_probe);
}

module_init(kvm_ring_probe_init);
module_exit(kvm_ring_probe_exit);
MODULE_DESCRIPTION("Indices about to wrap, and locks at a flush, for tests of KVM's dirty ring");
MODULE_LICENSE("GPL");
