// SPDX-License-Identifier: GPL-2.0
#include "pci.h"

#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc

#define PCI_COMMAND	0x04
#define PCI_BARS	0x10
#define PCI_CAPABILITIES 0x34
#define FUNCTIONS	256

u32 pci_read(u32 function, u32 offset)
{
	outl(0x80000000 | function << 8 | offset, PCI_ADDRESS);
	return inl(PCI_DATA);
}

void pci_write(u32 function, u32 offset, u32 value)
{
	outl(0x80000000 | function << 8 | offset, PCI_ADDRESS);
	outl(value, PCI_DATA);
}

u32 pci_begin(u16 vendor, u16 device)
{
	for (u32 function = 0; function < FUNCTIONS; function++) {
		if (pci_read(function, 0) != ((u32)device << 16 | vendor))
			continue;
		pci_write(function, PCI_COMMAND, 0x06);		/* memory, bus master */
		return function;
	}
	die("a device is not there");
}

volatile u8 *pci_bar(u32 function, u32 bar)
{
	u32 low = pci_read(function, PCI_BARS + 4 * bar);
	bool wide = (low & 6) == 4;

	if (low & 1 || !(low & ~0xfu) || (wide && pci_read(function, PCI_BARS + 4 * bar + 4)))
		die("the firmware gave a device no address that is in reach");
	return (volatile u8 *)(low & ~0xfu);
}

u32 pci_capability(u32 function, u8 id, u32 at)
{
	u32 next = at ? pci_read(function, at) >> 8 & 0xfc :
			pci_read(function, PCI_CAPABILITIES) & 0xfc;

	for (; next; next = pci_read(function, next) >> 8 & 0xfc)
		if ((pci_read(function, next) & 0xff) == id)
			return next;
	return 0;
}
