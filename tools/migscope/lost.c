// SPDX-License-Identifier: GPL-2.0
#include "lost.h"

const struct lost lost[] = {
	{ MS_SELF_VMS_FULL, "vms", "times a VM did not fit into our map", true },
	{ MS_SELF_RINGS_FULL, "rings", "times a ring did not fit into our map", true },
	{ MS_SELF_STATE_FULL, "states", "times a VM's counters did not fit", true },
	{ MS_SELF_PENDING_FULL, "calls", "calls have no duration: too many at once", true },
	{ MS_SELF_PUSH_FULL, "pushes", "pushes were not counted one by one", true },
	{ MS_SELF_UNMATCHED, "unmatched", NULL, false },
	{ MS_SELF_DEVS_FULL, "devices", "times a device or a container did not fit into our map", true },
	{ MS_SELF_ARGS_UNREAD, "arguments", "calls whose arguments could not be read", false },
	{ MS_SELF_THREADS_FULL, "threads", "waits of threads that found no room", true },
	{ MS_SELF_MISSED, "missed", "events met one of our programs at work already", false },
};

const size_t lost_count = sizeof(lost) / sizeof(lost[0]);
