/* SPDX-License-Identifier: GPL-2.0 */
/* PCI bus 0, as the firmware has set it up. */
#ifndef PCI_H
#define PCI_H

#include "lib.h"

#define PCI_CAP_VENDOR	9

u32 pci_read(u32 function, u32 offset);
void pci_write(u32 function, u32 offset, u32 value);

/* The first function of this kind, switched on; dies if there is none. */
u32 pci_begin(u16 vendor, u16 device);

/* Where the firmware has put a BAR of memory; dies if it has not, or out of our reach. */
volatile u8 *pci_bar(u32 function, u32 bar);

/* The next capability of this kind behind AT, or the first one behind 0; 0: no more. */
u32 pci_capability(u32 function, u8 id, u32 at);

#endif
