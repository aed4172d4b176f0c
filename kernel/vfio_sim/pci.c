// SPDX-License-Identifier: GPL-2.0
/*
 * What a driver of the device sees: configuration space, registers, memory.
 *
 * A device that is stopped can be looked at, but a driver's writes to its BARs have no
 * effect, so that what is saved is what it was when it stopped. Configuration space
 * stays writable: a VMM restores it there.
 */
#include <linux/array_size.h>
#include <linux/nospec.h>
#include <linux/string.h>
#include <linux/unaligned.h>
#include "vfio_sim.h"

#define MSI_CAP		0x40

/* Bits of configuration space that a driver may set, by byte. */
static const u8 config_writable[SIM_CONFIG_BYTES] = {
	[PCI_COMMAND]			= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
					  PCI_COMMAND_PARITY,
	[PCI_COMMAND + 1]		= (PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE) >> 8,
	[PCI_CACHE_LINE_SIZE]		= 0xff,
	[PCI_LATENCY_TIMER]		= 0xff,
	/* as many address bits as the size of each leaves */
	[PCI_BASE_ADDRESS_0 + 1]	= 0xf0, 0xff, 0xff,
	[PCI_BASE_ADDRESS_2 + 2]	= 0xfc, 0xff,
	[PCI_INTERRUPT_LINE]		= 0xff,
	[MSI_CAP + PCI_MSI_FLAGS]	= PCI_MSI_FLAGS_ENABLE,
	[MSI_CAP + PCI_MSI_ADDRESS_LO]	= 0xfc, 0xff, 0xff, 0xff,
	[MSI_CAP + PCI_MSI_ADDRESS_HI]	= 0xff, 0xff, 0xff, 0xff,
	[MSI_CAP + PCI_MSI_DATA_64]	= 0xff, 0xff,
};

enum register_kind { RESERVED, READ_ONLY, READ_WRITE };

static enum register_kind register_kind(u32 reg)
{
	switch (reg) {
	case VFIO_SIM_MAGIC ... VFIO_SIM_BYTES + 4:
		return READ_ONLY;
	case VFIO_SIM_IRQ_STATUS:
	case VFIO_SIM_IRQ_ENABLE:
	case VFIO_SIM_DOORBELL:
	case VFIO_SIM_COMMAND ... VFIO_SIM_INTERVAL:
	case VFIO_SIM_SCRATCH ... VFIO_SIM_REGS_BYTES - 4:
		return READ_WRITE;
	default:
		return RESERVED;
	}
}

void sim_image_init(struct sim_image *image)
{
	u8 *config = image->config;

	memset(image, 0, sizeof(*image));
	image->words[VFIO_SIM_MAGIC / 4] = VFIO_SIM_MAGIC_VALUE;
	image->words[VFIO_SIM_BLOCKS / 4] = 1;
	sim_set64(image, VFIO_SIM_PASSES, 1);

	put_unaligned_le16(VFIO_SIM_PCI_VENDOR, config + PCI_VENDOR_ID);
	put_unaligned_le16(VFIO_SIM_PCI_DEVICE, config + PCI_DEVICE_ID);
	put_unaligned_le16(PCI_STATUS_CAP_LIST, config + PCI_STATUS);
	config[PCI_CLASS_DEVICE + 1] = 0xff;	/* fits into no class */
	put_unaligned_le16(VFIO_SIM_PCI_VENDOR, config + PCI_SUBSYSTEM_VENDOR_ID);
	put_unaligned_le16(VFIO_SIM_PCI_DEVICE, config + PCI_SUBSYSTEM_ID);
	config[PCI_CAPABILITY_LIST] = MSI_CAP;
	config[PCI_INTERRUPT_PIN] = 1;
	config[MSI_CAP] = PCI_CAP_ID_MSI;
	put_unaligned_le16(PCI_MSI_FLAGS_64BIT, config + MSI_CAP + PCI_MSI_FLAGS);
}

/* Could a device like this have come to look so? Of one that arrived in a stream. */
int sim_image_check(const struct sim_image *image)
{
	struct sim_image *fresh __free(kvfree) = kvzalloc(sizeof(*fresh), GFP_KERNEL);
	u32 i;

	if (!fresh)
		return -ENOMEM;
	sim_image_init(fresh);

	for (i = 0; i < SIM_CONFIG_BYTES; i++)
		if ((image->config[i] ^ fresh->config[i]) & ~config_writable[i])
			return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(image->words); i++)
		if (register_kind(i * 4) == RESERVED && image->words[i])
			return -EINVAL;
	if (image->words[VFIO_SIM_MAGIC / 4] != VFIO_SIM_MAGIC_VALUE ||
	    image->words[VFIO_SIM_DOORBELL / 4] ||
	    image->words[VFIO_SIM_IRQ_STATUS / 4] & ~(VFIO_SIM_IRQ_DONE | VFIO_SIM_IRQ_FAILED) ||
	    image->words[VFIO_SIM_STATUS / 4] !=
	    (image->command.active ? VFIO_SIM_STATUS_BUSY : 0))
		return -EINVAL;
	return image->command.active ? sim_command_check(&image->command) : 0;
}

int sim_config_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write)
{
	u8 *config = sim->image->config, *bytes = buf;
	u32 i;

	if (offset > SIM_CONFIG_BYTES || len > SIM_CONFIG_BYTES - offset)
		return -EINVAL;
	if (!write) {
		memcpy(buf, config + offset, len);
		return 0;
	}
	for (i = 0; i < len; i++) {
		u8 mask = config_writable[offset + i];

		config[offset + i] = (config[offset + i] & ~mask) | (bytes[i] & mask);
	}
	/* INTx may have been switched off or on */
	sim_irq_update(sim);
	return 0;
}

static u32 register_read(const struct vfio_sim *sim, u32 reg)
{
	if (reg >= VFIO_SIM_REGS_BYTES)
		return 0;
	return sim->image->words[array_index_nospec(reg, VFIO_SIM_REGS_BYTES) / 4];
}

static void register_write(struct vfio_sim *sim, u32 reg, u32 value)
{
	u32 *word = &sim->image->words[reg / 4];

	if (register_kind(reg) != READ_WRITE)
		return;
	switch (reg) {
	case VFIO_SIM_DOORBELL:
		sim_dma_doorbell(sim, value);
		break;
	case VFIO_SIM_IRQ_STATUS:
		*word &= ~value;
		sim_irq_update(sim);
		break;
	case VFIO_SIM_IRQ_ENABLE:
		*word = value;
		sim_irq_update(sim);
		break;
	default:
		*word = value;
	}
}

int sim_registers_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write)
{
	u32 reg;

	if ((len != 4 && len != 8) || offset % len)
		return -EINVAL;
	if (offset >= VFIO_SIM_BAR0_BYTES)
		return -EINVAL;
	for (reg = offset; reg < offset + len; reg += 4, buf += 4) {
		if (!write)
			put_unaligned_le32(register_read(sim, reg), buf);
		else if (reg < VFIO_SIM_REGS_BYTES && sim_runs(sim))
			register_write(sim, reg, get_unaligned_le32(buf));
	}
	return 0;
}

int sim_memory_access(struct vfio_sim *sim, u32 offset, void *buf, u32 len, bool write)
{
	u8 *memory = sim->image->memory;

	if (offset > VFIO_SIM_MEMORY_BYTES || len > VFIO_SIM_MEMORY_BYTES - offset)
		return -EINVAL;
	if (!write) {
		memcpy(buf, memory + offset, len);
	} else if (sim_runs(sim) && len) {
		memcpy(memory + offset, buf, len);
		sim_migration_dirty(sim, offset, len);
	}
	return 0;
}
