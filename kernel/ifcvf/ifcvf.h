/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A PCI function whose data path is virtio's: Intel's IFC VF, and whatever else is laid
 * out as virtio over PCI says.
 *
 * From bottom to top: layout.c finds the structures in the function's BARs, hw.c
 * uses them, irq.c has its interrupts, ops.c is what the vDPA bus sees of all that,
 * main.c the PCI driver and the management device.
 */
#ifndef _IFCVF_H
#define _IFCVF_H

#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/vdpa.h>
#include <linux/virtio_pci.h>

#define IFCVF_NAME	"ifcvf"

/* no more capabilities have room; a list that goes on is one that goes round */
#define IFCVF_CAPS_MAX	48

/* without the second a device may reach memory that nobody mapped for it */
#define IFCVF_FEATURES_NEEDED	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM))

/* A structure of the function's, in a BAR that it lies in whole. */
struct ifcvf_region {
	u8 bar;
	u32 offset;
	u32 length;
	void __iomem *at;
};

struct ifcvf_vq {
	struct vdpa_callback cb;
	/* where it is rung, and how a process finds that */
	void __iomem *doorbell;
	phys_addr_t doorbell_phys;
	bool doorbell_alone;
	u16 size_max;
	u16 vector;
	/* as it was set; the function hears of it when the queue becomes ready */
	u64 desc;
	u64 driver;
	u64 device;
	u16 size;
	u16 start;		/* of the available ring */
	bool ready;		/* whoever drives it wants it to run */
	bool started;		/* the function has it, until it is reset */
};

struct ifcvf {
	struct vdpa_mgmt_dev mgmt;
	struct virtio_device_id ids[2];
	struct pci_dev *pdev;
	struct vdpa_device *vdpa;	/* NULL: there is none */
	u32 id;				/* what kind of virtio device */
	bool intel;

	struct ifcvf_region common;
	struct ifcvf_region notify;
	struct ifcvf_region config;
	struct ifcvf_region lm;		/* at is NULL: it has none */
	/* all of virtio's, those that are not used, too, but doorbells */
	struct ifcvf_region structures[IFCVF_CAPS_MAX];
	unsigned int nstructures;
	/* not accessed */
	struct ifcvf_region msix_table;
	struct ifcvf_region msix_pba;
	u32 notify_step;
	void __iomem *bars[PCI_STD_NUM_BARS];

	/* what selects a queue or a half of the features, and what is then read or written */
	struct mutex select;
	u64 features_offered;
	u64 features_allowed;		/* of these, by whoever added the device */
	bool negotiated;
	u32 nvqs;
	struct ifcvf_vq *vqs;

	/* callbacks, from handlers, too */
	spinlock_t callbacks;
	struct vdpa_callback config_cb;
	unsigned int nvectors;
	struct ifcvf_vector *vectors;
};

/* layout.c */
int ifcvf_layout(struct ifcvf *vf);
bool ifcvf_is_alone(const struct ifcvf *vf, u8 bar, u64 offset, u64 length);
void ifcvf_unmap(struct ifcvf *vf);

/* hw.c */
int ifcvf_hw_init(struct ifcvf *vf);
void ifcvf_hw_free(struct ifcvf *vf);
int ifcvf_hw_reset(struct ifcvf *vf);
u8 ifcvf_hw_status(struct ifcvf *vf);
void ifcvf_hw_set_status(struct ifcvf *vf, u8 status);
int ifcvf_hw_negotiate(struct ifcvf *vf, u64 features);
u64 ifcvf_hw_negotiated(struct ifcvf *vf);
int ifcvf_hw_queue_start(struct ifcvf *vf, u16 index);
bool ifcvf_hw_queue_enabled(struct ifcvf *vf, u16 index);
int ifcvf_hw_queue_progress(struct ifcvf *vf, u16 index, u16 *avail);
size_t ifcvf_hw_config_size(const struct ifcvf *vf);
void ifcvf_hw_config_read(struct ifcvf *vf, unsigned int offset, u8 *buf, unsigned int len);
void ifcvf_hw_config_write(struct ifcvf *vf, unsigned int offset, const u8 *buf,
			   unsigned int len);
u8 ifcvf_hw_generation(struct ifcvf *vf);

/* irq.c */
int ifcvf_irq_init(struct ifcvf *vf);
void ifcvf_irq_free(struct ifcvf *vf);
void ifcvf_irq_synchronize(struct ifcvf *vf);
void ifcvf_irq_set_queue(struct ifcvf *vf, u16 index, const struct vdpa_callback *cb);
void ifcvf_irq_set_config(struct ifcvf *vf, const struct vdpa_callback *cb);
void ifcvf_irq_call_queue(struct ifcvf *vf, u16 index);
int ifcvf_irq_of_queue(struct ifcvf *vf, u16 index);

/* ops.c */
struct vdpa_device *ifcvf_vdpa_alloc(struct ifcvf *vf, const char *name);

#endif /* _IFCVF_H */
