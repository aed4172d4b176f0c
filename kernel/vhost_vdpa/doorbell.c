// SPDX-License-Identifier: GPL-2.0
/*
 * A queue's doorbell, mapped into the process that drives the device.
 *
 * A page fault comes with the mm's lock held, inside of which v->lock must not be
 * taken. So there is a lock of its own between faults and the device's removal,
 * after which no doorbell is mapped any more, and every access a SIGBUS.
 */
#include <linux/mm.h>
#include <linux/nospec.h>

#include "vhost_vdpa.h"

static int doorbell_find(struct vhost_vdpa *v, unsigned long index,
			 struct vdpa_notification_area *area)
{
	struct vdpa_device *vdev;

	lockdep_assert_held(&v->doorbells);
	if (v->doorbells_gone)
		return -ENODEV;
	vdev = v->vdev;
	if (!vdev->config->get_vq_notification)
		return -EOPNOTSUPP;
	if (index >= v->nvqs)
		return -EINVAL;
	*area = vdpa_fetch(vdev, get_vq_notification, array_index_nospec(index, v->nvqs));
	/* Whoever may ring it must not reach what lies beside it. */
	if (!PAGE_ALIGNED(area->addr))
		return -EINVAL;
	return area->size == PAGE_SIZE ? 0 : -EOPNOTSUPP;
}

static vm_fault_t doorbell_fault(struct vm_fault *vmf)
{
	struct vhost_vdpa *v = vmf->vma->vm_file->private_data;
	vm_fault_t result = VM_FAULT_SIGBUS;
	struct vdpa_notification_area area;

	down_read(&v->doorbells);
	if (!doorbell_find(v, vmf->vma->vm_pgoff, &area))
		result = vmf_insert_pfn(vmf->vma, vmf->address & PAGE_MASK,
					PHYS_PFN(area.addr));
	up_read(&v->doorbells);
	return result;
}

static const struct vm_operations_struct doorbell_ops = {
	.fault	= doorbell_fault,
};

/* The page offset is the queue's number. A doorbell is rung, never read. */
int vhost_vdpa_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vhost_vdpa *v = file->private_data;
	struct vdpa_notification_area area;
	int err;

	if (vma_pages(vma) != 1 || !(vma->vm_flags & VM_SHARED) ||
	    vma->vm_flags & (VM_READ | VM_EXEC))
		return -EINVAL;
	down_read(&v->doorbells);
	err = doorbell_find(v, vma->vm_pgoff, &area);
	up_read(&v->doorbells);
	if (err)
		return err;

	vma->vm_page_prot = pgprot_noncached(vma->vm_page_prot);
	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP,
		     VM_MAYREAD | VM_MAYEXEC);
	vma->vm_ops = &doorbell_ops;
	return 0;
}

/* v->lock is held. */
void vhost_vdpa_doorbells_remove(struct vhost_vdpa *v)
{
	down_write(&v->doorbells);
	v->doorbells_gone = true;
	up_write(&v->doorbells);
	/* the inode lives while the file is open, and that while it is mapped */
	if (v->opened)
		unmap_mapping_range(v->mapping, 0, 0, 1);
}
