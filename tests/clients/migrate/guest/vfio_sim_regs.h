/* SPDX-License-Identifier: GPL-2.0 */
/* The registers of the one simulated VFIO device that a guest drives. */
#ifndef VFIO_SIM_REGS_H
#define VFIO_SIM_REGS_H

#include <migscope/vfio_sim.h>

#include "pci.h"

static volatile u8 *registers;

static inline u32 get(u32 reg)
{
	return *(volatile u32 *)(registers + reg);
}

static inline void set(u32 reg, u32 value)
{
	*(volatile u32 *)(registers + reg) = value;
}

static inline void set_wide(u32 reg, u64 value)
{
	set(reg, value);
	set(reg + 4, value >> 32);
}

/* Finds it; returns its function. Dies if there is none. */
static inline u32 registers_begin(void)
{
	u32 function = pci_begin(VFIO_SIM_PCI_VENDOR, VFIO_SIM_PCI_DEVICE);

	registers = pci_bar(function, 0);
	if (get(VFIO_SIM_MAGIC) != VFIO_SIM_MAGIC_VALUE)
		die("the VFIO device has no registers where they should be");
	return function;
}

#endif
