// SPDX-License-Identifier: GPL-2.0
/*
 * vdpa_user [-p] [-f PAGES] DEVICE WHAT... - a process that uses a simulated vDPA device
 *
 * DEVICE is a /dev/vhost-vdpa-N. Each WHAT opens it afresh; the first that is not as it
 * should be ends this with a message and status 1. -p: the device translates to physical
 * addresses (use_va=0), so that rings may be tried at those. -f: memory in so many pieces.
 *
 * For a disk:
 *   blocks	requests of all kinds, compared; in an address space that was mapped for it
 *   nothing	nothing is mapped and the queue kicked: the device needs a reset, and
 *		nothing was written
 *   unmapped	what was mapped, is not any more: data, then the ring
 *   meanwhile	unmapped while the device waits for a page of it: nothing is written there any
 *		more, by user addresses
 *   killed	a process that is killed, or exits, while the device waits for a page that only it
 *		would bring, is gone; by user addresses
 *   waits	says "waits" when the device waits for a page that never comes, and stays
 *   stuck	the same, with a thread that sets the device's state: "stuck"
 *   waiting	what is in a ring before it is started is done, though nobody kicks
 *   hostile	requests that would leave the disk
 *   reset	what was kicked just before a reset is not done after it; maps are kept
 *   suspend	what is kicked meanwhile is done when it is resumed, and not before
 *   queue	sizes and indices that no queue has
 *   fragments	memory in pieces (262144) is mapped as any other, and reached at both ends
 *   too_many	pieces that are told to the device one by one: its limit holds, and
 *		what was mapped before is
 *   faults	each allocation of an unmap fails in turn: the device does not reach what was
 *		to go, whatever is said about it
 *   exact	a fixed course of requests, some of which the device finds no memory for, and
 *		its counts, for who watches; stays until its stdin ends
 * For a network card:
 *   spaces	the control queue in an address space of its own: what is mapped in the
 *		other is not reached
 *   control	MAC, pairs of queues, and announcing; refused where it is not offered
 *   config	reads and writes of the configuration, in it and beside it
 *   unused	a queue that is not negotiated is kicked, and that is all
 *   loop	frames, and what is for others
 *   left	frames that are in a ring before the card is started go out when there is
 *		room for them, though nobody kicks
 */
#include "user.h"
#include "whats.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct {
	const char *name;
	void (*run)(void);
} whats[] = {
	{ "blocks", blocks }, { "nothing", nothing },
	{ "unmapped", unmapped }, { "hostile", hostile }, { "reset", reset },
	{ "suspend", suspend }, { "queue", queue }, { "faults", faults }, { "exact", exact },
	{ "fragments", in_fragments }, { "too_many", too_many },
	{ "spaces", spaces }, { "meanwhile", meanwhile }, { "killed", killed },
	{ "waits", waits }, { "stuck", stuck }, { "waiting", waiting }, { "unused", unused },
	{ "control", control }, { "config", config }, { "loop", loop }, { "left", left },
};

int main(int argc, char **argv)
{
	unsigned int i;
	int memory, opt;

	while ((opt = getopt(argc, argv, "pf:")) != -1) {
		switch (opt) {
		case 'p':
			user.physical = true;
			break;
		case 'f':
			user.fragments = strtoul(optarg, NULL, 0);
			break;
		default:
			argc = 0;
		}
	}
	if (argc - optind < 2)
		errx(2, "usage: vdpa_user [-p] [-f PAGES] DEVICE WHAT...");
	argv += optind;
	user.path = *argv++;
	/* use_va maps nothing but shared memory of files */
	memory = must(memfd_create("vdpa_user", 0));
	must(ftruncate(memory, PAGES * PAGE));
	user.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   memory, 0);
	if (user.memory == MAP_FAILED)
		err(EXIT_FAILURE, "memory");
	for (; *argv; argv++) {
		for (i = 0; i < sizeof(whats) / sizeof(whats[0]); i++)
			if (!strcmp(*argv, whats[i].name))
				break;
		if (i == sizeof(whats) / sizeof(whats[0]))
			errx(2, "%s: what is that?", *argv);
		whats[i].run();
	}
	return 0;
}
