// SPDX-License-Identifier: GPL-2.0
/*
 * VFIO devices without an IOMMU, which pin what user space tells them to: as a mediated
 * device would, by calls that user space cannot make itself.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "vfio_probe.h"

#define DEVICES_MAX	8
#define RW_MAX		(8 << 20)

static unsigned int devices = 4;
module_param(devices, uint, 0444);
MODULE_PARM_DESC(devices, "How many there are");

struct held {
	struct page	*page;
	unsigned int	times;
};

struct probe {
	struct vfio_device	vdev;
	struct mutex		lock;	/* held, stubborn, asked, pin_at, pin_said */
	struct xarray		held;	/* page number -> what is pinned there */
	unsigned int		stubborn;
	unsigned int		asked;
	u64			pin_at;	/* when asked to let go; PROBE_NOWHERE */
	long			pin_said;
	u64			cost;	/* of the last pin or unpin, in ns */
};

static struct platform_device *pdevs[DEVICES_MAX];
static struct page *reserved;

static struct probe *to_probe(struct vfio_device *vdev)
{
	return container_of(vdev, struct probe, vdev);
}

static int remember(struct probe *probe, u64 index, struct page *page)
{
	struct held *held = xa_load(&probe->held, index);

	if (held) {
		held->times++;
		return held->page == page ? 0 : -EUCLEAN;
	}
	held = kmalloc(sizeof(*held), GFP_KERNEL);
	if (!held)
		return -ENOMEM;
	*held = (struct held) { .page = page, .times = 1 };
	if (xa_err(xa_store(&probe->held, index, held, GFP_KERNEL))) {
		kfree(held);
		return -ENOMEM;
	}
	return 0;
}

static void forget(struct probe *probe, u64 index)
{
	struct held *held = xa_load(&probe->held, index);

	if (held && !--held->times) {
		xa_erase(&probe->held, index);
		kfree(held);
	}
}

static long probe_pin(struct probe *probe, const struct probe_pin *pin)
{
	struct page **pages;
	long ret, i;
	u64 begin;
	int err;

	if (pin->npage > (int)VFIO_PIN_PAGES_MAX_ENTRIES)
		return -E2BIG;
	pages = kcalloc(VFIO_PIN_PAGES_MAX_ENTRIES, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	begin = ktime_get_mono_fast_ns();
	ret = vfio_pin_pages(&probe->vdev, pin->iova, pin->npage, pin->prot, pages);
	probe->cost = ktime_get_mono_fast_ns() - begin;

	mutex_lock(&probe->lock);
	for (i = 0; i < ret; i++) {
		err = remember(probe, (pin->iova >> PAGE_SHIFT) + i, pages[i]);
		if (WARN_ON(err))
			ret = err;
	}
	mutex_unlock(&probe->lock);
	/* after an error nothing may be left in there */
	for (i = 0; ret < 0 && i < pin->npage; i++)
		if (pages[i] && ret != -EINVAL)
			ret = -EUCLEAN;
	kfree(pages);
	return ret;
}

static long probe_unpin(struct probe *probe, const struct probe_pin *pin)
{
	int i;

	if (pin->npage <= 0 || pin->npage > VFIO_PIN_PAGES_MAX_ENTRIES)
		return -EINVAL;
	mutex_lock(&probe->lock);
	for (i = 0; i < pin->npage; i++) {
		u64 index = (pin->iova >> PAGE_SHIFT) + i;

		if (!xa_load(&probe->held, index))
			continue;
		forget(probe, index);
		vfio_unpin_pages(&probe->vdev, index << PAGE_SHIFT, 1);
	}
	mutex_unlock(&probe->lock);
	return 0;
}

/* In one call, as a driver does that keeps ranges. Everything in it must be pinned. */
static long probe_unpin_range(struct probe *probe, const struct probe_pin *pin)
{
	u64 index = pin->iova >> PAGE_SHIFT, begin;
	int i;

	if (pin->npage <= 0 || pin->npage > VFIO_PIN_PAGES_MAX_ENTRIES)
		return -EINVAL;
	mutex_lock(&probe->lock);
	for (i = 0; i < pin->npage; i++) {
		if (!xa_load(&probe->held, index + i)) {
			mutex_unlock(&probe->lock);
			return probe_unpin(probe, pin);
		}
	}
	for (i = 0; i < pin->npage; i++)
		forget(probe, index + i);
	begin = ktime_get_mono_fast_ns();
	vfio_unpin_pages(&probe->vdev, pin->iova, pin->npage);
	probe->cost = ktime_get_mono_fast_ns() - begin;
	mutex_unlock(&probe->lock);
	return 0;
}

struct rw_work {
	struct work_struct	work;
	struct probe		*probe;
	struct probe_rw		*rw;
	void			*buf;
	int			err;
};

static void rw_do(struct work_struct *work)
{
	struct rw_work *w = container_of(work, struct rw_work, work);

	w->err = vfio_dma_rw(&w->probe->vdev, w->rw->iova, w->buf, w->rw->len, w->rw->write);
}

static long probe_rw(struct probe *probe, struct probe_rw *rw)
{
	void __user *user = u64_to_user_ptr(rw->data);
	struct rw_work w = { .probe = probe, .rw = rw, .err = -ENOMEM };

	if (rw->len > RW_MAX)
		return -E2BIG;
	w.buf = kvzalloc(rw->len, GFP_KERNEL);
	if (!w.buf)
		return -ENOMEM;
	if (rw->write && copy_from_user(w.buf, user, rw->len)) {
		w.err = -EFAULT;
		goto out;
	}
	INIT_WORK_ONSTACK(&w.work, rw_do);
	if (rw->thread) {
		queue_work(system_long_wq, &w.work);
		flush_work(&w.work);
	} else {
		rw_do(&w.work);
	}
	destroy_work_on_stack(&w.work);
	if (!w.err && !rw->write && copy_to_user(user, w.buf, rw->len))
		w.err = -EFAULT;
out:
	kvfree(w.buf);
	return w.err;
}

static long probe_write(struct probe *probe, u64 value)
{
	struct held *held;
	unsigned long index;
	long n = 0;

	mutex_lock(&probe->lock);
	xa_for_each(&probe->held, index, held) {
		*(u64 *)page_address(held->page) = value;
		n++;
	}
	mutex_unlock(&probe->lock);
	return n;
}

static void let_go(struct probe *probe, u64 iova, u64 length)
{
	unsigned long index;
	struct held *held;

	xa_for_each_range(&probe->held, index, held, iova >> PAGE_SHIFT,
			  (iova + length - 1) >> PAGE_SHIFT) {
		while (held->times--)
			vfio_unpin_pages(&probe->vdev, (u64)index << PAGE_SHIFT, 1);
		xa_erase(&probe->held, index);
		kfree(held);
	}
}

/* The lock is held, or a page could be pinned after the device was closed. */
static void pin_when_asked(struct probe *probe)
{
	struct page *page;
	long ret;
	int err;

	ret = vfio_pin_pages(&probe->vdev, probe->pin_at, 1, IOMMU_READ | IOMMU_WRITE, &page);
	if (ret == 1) {
		err = remember(probe, probe->pin_at >> PAGE_SHIFT, page);
		if (WARN_ON(err))
			ret = err;
	}
	probe->pin_said = ret;
}

static void probe_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	struct probe *probe = to_probe(vdev);

	mutex_lock(&probe->lock);
	probe->asked++;
	if (probe->stubborn)
		probe->stubborn--;
	else
		let_go(probe, iova, length);
	if (probe->pin_at != PROBE_NOWHERE)
		pin_when_asked(probe);
	mutex_unlock(&probe->lock);
}

static long probe_pin_asked(struct probe *probe, u64 iova)
{
	long said;

	mutex_lock(&probe->lock);
	said = probe->pin_said;
	probe->pin_said = 0;
	probe->pin_at = iova;
	mutex_unlock(&probe->lock);
	return said;
}

static long probe_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct probe *probe = to_probe(vdev);
	void __user *user = (void __user *)arg;
	struct probe_pin pin;
	struct probe_rw rw;
	unsigned long index;
	struct held *held;
	long n = 0;

	switch (cmd) {
	case PROBE_PIN:
	case PROBE_UNPIN:
		if (copy_from_user(&pin, user, sizeof(pin)))
			return -EFAULT;
		return cmd == PROBE_PIN ? probe_pin(probe, &pin) : probe_unpin_range(probe, &pin);
	case PROBE_RW:
		if (copy_from_user(&rw, user, sizeof(rw)))
			return -EFAULT;
		return probe_rw(probe, &rw);
	case PROBE_STUBBORN:
		mutex_lock(&probe->lock);
		probe->stubborn = min(arg, 1000);
		mutex_unlock(&probe->lock);
		return 0;
	case PROBE_PIN_ASKED:
		return probe_pin_asked(probe, arg);
	case PROBE_RESERVE:
		if (arg)
			SetPageReserved(reserved);
		else
			ClearPageReserved(reserved);
		return 0;
	case PROBE_ASKED:
		return probe->asked;
	case PROBE_COST:
		return probe->cost;
	case PROBE_WRITE:
		return probe_write(probe, arg);
	case PROBE_PINNED:
		mutex_lock(&probe->lock);
		xa_for_each(&probe->held, index, held)
			n += held->times;
		mutex_unlock(&probe->lock);
		return n;
	default:
		return -ENOTTY;
	}
}

static int probe_init_device(struct vfio_device *vdev)
{
	struct probe *probe = to_probe(vdev);

	mutex_init(&probe->lock);
	xa_init(&probe->held);
	probe->pin_at = PROBE_NOWHERE;
	return 0;
}

static void probe_close(struct vfio_device *vdev)
{
	struct probe *probe = to_probe(vdev);

	mutex_lock(&probe->lock);
	let_go(probe, 0, U64_MAX);
	probe->stubborn = 0;
	probe->pin_at = PROBE_NOWHERE;
	mutex_unlock(&probe->lock);
}

/* A page that is there for all, as of the kernel's own image */
static int probe_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff == PROBE_PAGE_RAW)
		return remap_pfn_range(vma, vma->vm_start, page_to_pfn(reserved), PAGE_SIZE,
				       vma->vm_page_prot);
	return vm_insert_page(vma, vma->vm_start, reserved);
}

static const struct vfio_device_ops probe_ops = {
	.name		= "vfio-probe",
	.init		= probe_init_device,
	.close_device	= probe_close,
	.ioctl		= probe_ioctl,
	.mmap		= probe_mmap,
	.dma_unmap	= probe_dma_unmap,
	.bind_iommufd	= vfio_iommufd_emulated_bind,
	.unbind_iommufd	= vfio_iommufd_emulated_unbind,
	.attach_ioas	= vfio_iommufd_emulated_attach_ioas,
	.detach_ioas	= vfio_iommufd_emulated_detach_ioas,
};

/* vfio opens only devices that are bound to a driver */
static int platform_probe(struct platform_device *pdev)
{
	struct probe *probe;
	int err;

	probe = vfio_alloc_device(probe, vdev, &pdev->dev, &probe_ops);
	if (IS_ERR(probe))
		return PTR_ERR(probe);
	err = vfio_register_emulated_iommu_dev(&probe->vdev);
	if (err) {
		vfio_put_device(&probe->vdev);
		return err;
	}
	platform_set_drvdata(pdev, probe);
	return 0;
}

static void platform_remove(struct platform_device *pdev)
{
	struct probe *probe = platform_get_drvdata(pdev);

	vfio_unregister_group_dev(&probe->vdev);
	vfio_put_device(&probe->vdev);
}

static struct platform_driver probe_driver = {
	.probe		= platform_probe,
	.remove		= platform_remove,
	.driver.name	= "vfio_probe",
};

static int __init vfio_probe_init(void)
{
	unsigned int i;
	int err;

	if (!devices || devices > DEVICES_MAX)
		return -EINVAL;
	reserved = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!reserved)
		return -ENOMEM;
	SetPageReserved(reserved);
	err = platform_driver_register(&probe_driver);
	if (err)
		goto free;
	for (i = 0; i < devices; i++) {
		pdevs[i] = platform_device_register_simple("vfio_probe", i, NULL, 0);
		if (IS_ERR(pdevs[i])) {
			err = PTR_ERR(pdevs[i]);
			goto unregister;
		}
	}
	return 0;

unregister:
	while (i--)
		platform_device_unregister(pdevs[i]);
	platform_driver_unregister(&probe_driver);
free:
	ClearPageReserved(reserved);
	__free_page(reserved);
	return err;
}

static void __exit vfio_probe_exit(void)
{
	unsigned int i;

	for (i = 0; i < devices; i++)
		platform_device_unregister(pdevs[i]);
	platform_driver_unregister(&probe_driver);
	ClearPageReserved(reserved);
	__free_page(reserved);
}

module_init(vfio_probe_init);
module_exit(vfio_probe_exit);
MODULE_DESCRIPTION("VFIO devices that pin what they are told to");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL");
