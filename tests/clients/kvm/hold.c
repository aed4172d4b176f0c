// SPDX-License-Identifier: GPL-2.0
/*
 * hold - keep a VM with one vCPU, so that others do not come and go as the only one
 *
 * KVM switches static keys with the first VM and the first vCPU that has no APIC
 * in the kernel, and back with the last: kernel code that every CPU runs is
 * patched. QEMU's multi-threaded TCG does not always bring that off (a CPU
 * executes the breakpoint that the patching put there for a moment, after it was
 * removed), and the machine panics. While this runs, no test switches them.
 *
 * Prints a line when it is there; ends with its stdin.
 */
#include <stdio.h>
#include <unistd.h>

#include "vm.h"

int main(void)
{
	static struct vm vm;
	const struct vm_opts o = { .vcpus = 1 };
	char c;

	vm_create(&vm, &o);
	puts("held");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
