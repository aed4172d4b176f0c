// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_vdpa DEVICE SUITE [ARGUMENT] - a process that drives a vDPA device
 *
 * DEVICE is /dev/vhost-vdpa-N of a device made by the module vdpa_probe, which says
 * in its parameters what came to it. Prints TAP lines; what they mean is for
 * tests/vm/vhost_vdpa*.t. Suites:
 *
 *	ioctls		everything that can be asked and set, and what is refused
 *	unsuspended	where a device stood that cannot be made to stand still
 *	memory		messages: maps, batches, errors, accounting, as the probe's mode has it
 *	files		the same for a device that takes virtual addresses
 *	runs N		N pages, no two contiguous
 *	faults		messages in which each allocation fails in turn
 *	removed		stays while the device is deleted: waits for a line on stdin
 *	busy SECONDS	maps, unmaps and kicks until it is killed
 *	exact [hold]	a fixed course of messages, and its counts, for who watches; held, it
 *			kicks as often again for each line on stdin
 */
#include "device.h"
#include "suites.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	char mode[16];

	if (argc < 3) {
		fprintf(stderr, "usage: vhost_vdpa DEVICE SUITE [ARGUMENT]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dev = must(open(argv[1], O_RDWR));
	parameter_read("mode", mode, sizeof(mode));
	tables = strncmp(mode, "maps", 4);
	by_file = !strncmp(mode, "va", 2);

	if (!strcmp(argv[2], "ioctls"))
		suite_ioctls();
	else if (!strcmp(argv[2], "unsuspended") && !tables)
		suite_unsuspended();
	else if (!strcmp(argv[2], "memory") && !by_file)
		suite_memory();
	else if (!strcmp(argv[2], "files") && by_file)
		suite_files();
	else if (!strcmp(argv[2], "runs") && argc > 3)
		suite_runs(strtoul(argv[3], NULL, 0));
	else if (!strcmp(argv[2], "faults"))
		suite_faults();
	else if (!strcmp(argv[2], "removed"))
		suite_removed();
	else if (!strcmp(argv[2], "busy"))
		suite_busy(argc > 3 ? strtoul(argv[3], NULL, 0) : 1);
	else if (!strcmp(argv[2], "exact"))
		suite_exact(argc > 3);
	else
		errx(2, "no suite '%s' for this device", argv[2]);
	printf("end\n");
	return 0;
}
