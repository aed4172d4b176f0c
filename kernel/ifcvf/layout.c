// SPDX-License-Identifier: GPL-2.0
/*
 * Where a function has what: virtio's capabilities, each of which names a BAR, an offset
 * and a length in it.
 *
 * All of that is the device's word. A structure is used only when it lies in a memory
 * BAR as a whole and is as large as what we access of it; of several of one kind it is
 * the first such.
 */
#include <linux/pci.h>
#include <linux/virtio_pci.h>

#include "ifcvf.h"

/* The live migration region of Intel's: where each queue is, in four bytes a queue. */
#define LM_BAR		4
#define LM_QUEUES	0x20
#define LM_QUEUE_STEP	4

/* what any of virtio's structures may be asked to be aligned to */
#define STRUCTURE_ALIGN	4

struct cap {
	u8 size;
	u8 type;
	u8 bar;
	u32 offset;
	u32 length;
	u32 step;		/* of a structure of doorbells */
};

static int cap_read(struct pci_dev *pdev, int pos, struct cap *cap)
{
	pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_LEN, &cap->size);
	pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_CFG_TYPE, &cap->type);
	pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_BAR, &cap->bar);
	pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_OFFSET, &cap->offset);
	pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_LENGTH, &cap->length);
	cap->step = 0;
	if (cap->size < sizeof(struct virtio_pci_cap) || pos + cap->size > PCI_CFG_SPACE_SIZE)
		return -EINVAL;
	if (cap->type != VIRTIO_PCI_CAP_NOTIFY_CFG)
		return 0;
	if (cap->size < sizeof(struct virtio_pci_notify_cap))
		return -EINVAL;
	pci_read_config_dword(pdev, pos + VIRTIO_PCI_NOTIFY_CAP_MULT, &cap->step);
	/* a doorbell is of two bytes */
	return cap->step % sizeof(u16) ? -EINVAL : 0;
}

static bool fits(struct pci_dev *pdev, u8 bar, u32 offset, u32 length, u32 least)
{
	u64 end = (u64)offset + length;

	return bar < PCI_STD_NUM_BARS && (pci_resource_flags(pdev, bar) & IORESOURCE_MEM) &&
	       IS_ALIGNED(offset, STRUCTURE_ALIGN) && length >= least &&
	       end <= pci_resource_len(pdev, bar);
}

/* How much of a structure there must be; 0: it is none that we use. */
static struct ifcvf_region *region_of(struct ifcvf *vf, u8 type, u32 *least)
{
	switch (type) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		*least = sizeof(struct virtio_pci_common_cfg);
		return &vf->common;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		*least = sizeof(u16);
		return &vf->notify;
	case VIRTIO_PCI_CAP_DEVICE_CFG:
		*least = 1;
		return &vf->config;
	default:
		return NULL;
	}
}

/* Whatever the function may answer at: it is kept out of a process's reach. */
static void cap_note(struct ifcvf *vf, const struct cap *cap)
{
	struct ifcvf_region *region = &vf->structures[vf->nstructures];

	if (cap->type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		return;
	region->bar = cap->bar;
	region->offset = cap->offset;
	region->length = cap->length;
	vf->nstructures++;
}

static void cap_take(struct ifcvf *vf, int pos)
{
	struct ifcvf_region *region;
	struct cap cap;
	u32 least;
	int err;

	err = cap_read(vf->pdev, pos, &cap);
	cap_note(vf, &cap);
	region = region_of(vf, cap.type, &least);
	if (!region || region->length)
		return;
	if (err || !fits(vf->pdev, cap.bar, cap.offset, cap.length, least)) {
		pci_warn(vf->pdev, "the structure of type %u at 0x%x+0x%x of BAR %u makes no sense\n",
			 cap.type, cap.offset, cap.length, cap.bar);
		return;
	}
	region->bar = cap.bar;
	region->offset = cap.offset;
	region->length = cap.length;
	if (region == &vf->notify)
		vf->notify_step = cap.step;
}

static bool holds_virtio(const struct ifcvf *vf, u8 bar)
{
	return vf->common.bar == bar || vf->notify.bar == bar || vf->config.bar == bar;
}

/*
 * No capability speaks of this region. It is taken to be there on functions of Intel's
 * that leave the BAR to it.
 */
static void lm_find(struct ifcvf *vf)
{
	if (!vf->intel || holds_virtio(vf, LM_BAR) ||
	    !fits(vf->pdev, LM_BAR, 0, LM_QUEUES + LM_QUEUE_STEP, 1))
		return;
	vf->lm.bar = LM_BAR;
	vf->lm.offset = 0;
	vf->lm.length = min_t(u64, pci_resource_len(vf->pdev, LM_BAR), U32_MAX);
}

/* Vectors, and which of them are pending: whoever writes there has interrupts made up. */
static void msix_find(struct ifcvf *vf)
{
	struct pci_dev *pdev = vf->pdev;
	u32 table, pba;
	int n;

	n = pci_msix_vec_count(pdev);
	if (n < 0)
		return;
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_TABLE, &table);
	pci_read_config_dword(pdev, pdev->msix_cap + PCI_MSIX_PBA, &pba);
	vf->msix_table.bar = table & PCI_MSIX_TABLE_BIR;
	vf->msix_table.offset = table & PCI_MSIX_TABLE_OFFSET;
	vf->msix_table.length = n * PCI_MSIX_ENTRY_SIZE;
	vf->msix_pba.bar = pba & PCI_MSIX_PBA_BIR;
	vf->msix_pba.offset = pba & PCI_MSIX_PBA_OFFSET;
	vf->msix_pba.length = BITS_TO_U64(n) * sizeof(u64);
}

static bool overlaps(const struct ifcvf_region *region, u8 bar, u64 offset, u64 length)
{
	return region->length && region->bar == bar && region->offset < offset + length &&
	       offset < (u64)region->offset + region->length;
}

/**
 * ifcvf_is_alone - whether a piece of a BAR has nothing of what is not a doorbell
 * @vf: the function, whose layout is known
 * @bar: the BAR
 * @offset: where the piece begins
 * @length: and how long it is
 *
 * Structures may overlap, and be several of a kind: where each of them lies is the
 * function's word alone.
 */
bool ifcvf_is_alone(const struct ifcvf *vf, u8 bar, u64 offset, u64 length)
{
	unsigned int i;

	for (i = 0; i < vf->nstructures; i++)
		if (overlaps(&vf->structures[i], bar, offset, length))
			return false;
	return !overlaps(&vf->lm, bar, offset, length) &&
	       !overlaps(&vf->msix_table, bar, offset, length) &&
	       !overlaps(&vf->msix_pba, bar, offset, length);
}

static int region_map(struct ifcvf *vf, struct ifcvf_region *region)
{
	void __iomem **bar = &vf->bars[region->bar];

	if (!region->length)
		return 0;
	if (!*bar)
		*bar = pci_iomap(vf->pdev, region->bar, 0);
	if (!*bar)
		return -ENOMEM;
	region->at = *bar + region->offset;
	return 0;
}

void ifcvf_unmap(struct ifcvf *vf)
{
	int bar;

	for (bar = 0; bar < PCI_STD_NUM_BARS; bar++)
		if (vf->bars[bar])
			pci_iounmap(vf->pdev, vf->bars[bar]);
}

/* The BARs are ours already. After an error nothing is mapped. */
int ifcvf_layout(struct ifcvf *vf)
{
	struct pci_dev *pdev = vf->pdev;
	int err = -ENODEV;
	int pos, n;

	pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR);
	for (n = 0; pos && n < IFCVF_CAPS_MAX; n++) {
		cap_take(vf, pos);
		pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR);
	}
	if (!vf->common.length || !vf->notify.length || !vf->config.length) {
		pci_err(pdev, "no%s%s%s structure of virtio that could be used\n",
			vf->common.length ? "" : " common", vf->notify.length ? "" : " notify",
			vf->config.length ? "" : " device");
		return err;
	}
	lm_find(vf);
	msix_find(vf);
	err = region_map(vf, &vf->common) ?: region_map(vf, &vf->notify) ?:
	      region_map(vf, &vf->config) ?: region_map(vf, &vf->lm);
	if (err)
		ifcvf_unmap(vf);
	return err;
}
