// SPDX-License-Identifier: GPL-2.0
/*
 * The PCI driver, and a management device for each function: `vdpa dev add` makes the
 * function a vDPA device, `vdpa dev del` ends that.
 *
 * By itself it takes Intel's functions. Others that follow virtio are driven as well
 * if they are bound to it by hand.
 */
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>
#include <uapi/linux/vdpa.h>

#include "ifcvf.h"

#define VIRTIO_PCI_MODERN_ID	0x1040	/* and above: this and the kind of device */

static struct ifcvf *mgmt_to_vf(struct vdpa_mgmt_dev *mgmt)
{
	return container_of(mgmt, struct ifcvf, mgmt);
}

/*
 * The management device: the bus's lock is held in both
 */

static int features_choose(struct ifcvf *vf, const struct vdpa_dev_set_config *config)
{
	vf->features_allowed = vf->features_offered;
	if (!(config->mask & BIT_ULL(VDPA_ATTR_DEV_FEATURES)))
		return 0;
	/* a driver without what is needed would be refused, whoever it is */
	if (config->device_features & ~vf->features_offered ||
	    ~config->device_features & IFCVF_FEATURES_NEEDED)
		return -EINVAL;
	vf->features_allowed = config->device_features;
	return 0;
}

static int ifcvf_dev_add(struct vdpa_mgmt_dev *mgmt, const char *name,
			 const struct vdpa_dev_set_config *config)
{
	struct ifcvf *vf = mgmt_to_vf(mgmt);
	struct vdpa_device *vdpa;
	int err;

	if (vf->vdpa)
		return -ENOSPC;
	err = features_choose(vf, config);
	if (err)
		return err;
	err = ifcvf_irq_init(vf);
	if (err)
		return err;
	err = ifcvf_hw_reset(vf);
	if (err)
		goto free_irq;
	vdpa = ifcvf_vdpa_alloc(vf, name);
	if (IS_ERR(vdpa)) {
		err = PTR_ERR(vdpa);
		goto free_irq;
	}
	err = _vdpa_register_device(vdpa, vf->nvqs);
	if (err)
		goto put;
	vf->vdpa = vdpa;
	return 0;

put:
	put_device(&vdpa->dev);
free_irq:
	ifcvf_irq_free(vf);
	return err;
}

static void ifcvf_dev_del(struct vdpa_mgmt_dev *mgmt, struct vdpa_device *vdpa)
{
	struct ifcvf *vf = mgmt_to_vf(mgmt);

	_vdpa_unregister_device(vdpa);
	vf->vdpa = NULL;
	/* whatever its driver left behind */
	if (ifcvf_hw_reset(vf))
		pci_err(vf->pdev, "does not reset\n");
	ifcvf_irq_free(vf);
}

static const struct vdpa_mgmtdev_ops ifcvf_mgmt_ops = {
	.dev_add	= ifcvf_dev_add,
	.dev_del	= ifcvf_dev_del,
};

static int mgmt_register(struct ifcvf *vf)
{
	vf->ids[0].device = vf->id;
	vf->ids[0].vendor = VIRTIO_DEV_ANY_ID;
	vf->mgmt.device = &vf->pdev->dev;
	vf->mgmt.ops = &ifcvf_mgmt_ops;
	vf->mgmt.id_table = vf->ids;
	vf->mgmt.supported_features = vf->features_offered;
	vf->mgmt.max_supported_vqs = vf->nvqs;
	vf->mgmt.config_attr_mask = BIT_ULL(VDPA_ATTR_DEV_FEATURES);
	return vdpa_mgmtdev_register(&vf->mgmt);
}

/*
 * The function
 */

static int kind_of(const struct pci_dev *pdev, u32 *id)
{
	/* below, it is said by what was meant for the subsystem */
	*id = pdev->device < VIRTIO_PCI_MODERN_ID ? pdev->subsystem_device :
						    pdev->device - VIRTIO_PCI_MODERN_ID;
	return *id == VIRTIO_ID_NET || *id == VIRTIO_ID_BLOCK ? 0 : -EOPNOTSUPP;
}

static int ifcvf_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct ifcvf *vf;
	int bars, err;

	vf = kzalloc(sizeof(*vf), GFP_KERNEL);
	if (!vf)
		return -ENOMEM;
	vf->pdev = pdev;
	vf->intel = pdev->subsystem_vendor == PCI_VENDOR_ID_INTEL;
	err = kind_of(pdev, &vf->id);
	if (err)
		goto free;
	err = pci_enable_device(pdev);
	if (err)
		goto free;
	err = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		goto disable;
	bars = pci_select_bars(pdev, IORESOURCE_MEM);
	err = pci_request_selected_regions(pdev, bars, IFCVF_NAME);
	if (err)
		goto disable;
	err = ifcvf_layout(vf);
	if (err)
		goto release;
	err = ifcvf_hw_init(vf);
	if (err)
		goto unmap;
	pci_set_drvdata(pdev, vf);
	err = mgmt_register(vf);
	if (err)
		goto free_hw;
	return 0;

free_hw:
	ifcvf_hw_free(vf);
unmap:
	pci_clear_master(pdev);
	ifcvf_unmap(vf);
release:
	pci_release_selected_regions(pdev, bars);
disable:
	pci_disable_device(pdev);
free:
	kfree(vf);
	return err;
}

static void ifcvf_remove(struct pci_dev *pdev)
{
	struct ifcvf *vf = pci_get_drvdata(pdev);

	/* with the device, if there is one */
	vdpa_mgmtdev_unregister(&vf->mgmt);
	ifcvf_hw_free(vf);
	pci_clear_master(pdev);
	ifcvf_unmap(vf);
	pci_release_selected_regions(pdev, pci_select_bars(pdev, IORESOURCE_MEM));
	pci_disable_device(pdev);
	kfree(vf);
}

static const struct pci_device_id ifcvf_ids[] = {
	/* N3000, network */
	{ PCI_DEVICE_SUB(PCI_VENDOR_ID_REDHAT_QUMRANET, VIRTIO_PCI_MODERN_ID + VIRTIO_ID_NET,
			 PCI_VENDOR_ID_INTEL, 0x001a) },
	/* C5000X-PL and F2000X-PL, network and block */
	{ PCI_DEVICE_SUB(PCI_VENDOR_ID_REDHAT_QUMRANET, VIRTIO_TRANS_ID_NET,
			 PCI_VENDOR_ID_INTEL, VIRTIO_ID_NET) },
	{ PCI_DEVICE_SUB(PCI_VENDOR_ID_REDHAT_QUMRANET, VIRTIO_TRANS_ID_BLOCK,
			 PCI_VENDOR_ID_INTEL, VIRTIO_ID_BLOCK) },
	{}
};
MODULE_DEVICE_TABLE(pci, ifcvf_ids);

static struct pci_driver ifcvf_driver = {
	.name		= IFCVF_NAME,
	.id_table	= ifcvf_ids,
	.probe		= ifcvf_probe,
	.remove		= ifcvf_remove,
};
module_pci_driver(ifcvf_driver);

MODULE_DESCRIPTION("vDPA on Intel's IFC VF and other virtio functions");
MODULE_AUTHOR("The migscope authors");
MODULE_LICENSE("GPL v2");
