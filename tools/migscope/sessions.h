/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Recognises migrations by themselves, from one sample to the next.
 *
 * Where the switching of dirty logging is seen, a session is from on to off. Logging of
 * a single small slot is a display's, of which a VMM wants to know what to redraw.
 * Where it is not seen, a session lasts as long as the VM's devices are tracked by VFIO, or
 * are in a state in which their own state is saved, or pages are harvested. QEMU leaves both
 * on in a guest that was migrated and stands still: there the states of its devices tell when it
 * was over, and without them nothing does until QEMU ends.
 *
 * A guest that was migrated stands still here when its tracking ends. One that runs on was
 * not: the migration failed or was cancelled, which only the VMM could tell apart. It is
 * seen by the time that its vCPUs spend in the guest, which counts in ticks: of a guest
 * that idles there may be none for long. A device of it that runs says so at once.
 */
#ifndef MIGSCOPE_SESSIONS_H
#define MIGSCOPE_SESSIONS_H

#include "model.h"

enum session_kind {
	SESSION_MIGRATION,
	SESSION_DISPLAY,
};

enum session_outcome {
	SESSION_RUNNING,
	SESSION_LOGGING_OFF,	/* finished; or failed or cancelled, of a guest that idles */
	SESSION_VM_ENDED,	/* in it; or afterwards, of a VMM that never switches off */
	SESSION_IDLE,		/* nothing was harvested for a while */
	SESSION_TRACKING_OFF,	/* of its devices, the VM's own logging was not seen */
	SESSION_OVERTAKEN,	/* a display's: a migration began beside it */
	SESSION_RAN_ON,		/* tracking is off, and the guest runs here: cancelled or failed */
	SESSION_DEVICES_STOPPED,	/* they were saved, and stand still */
	SESSION_DEVICE_ERROR,	/* a device failed while it was saved */
	SESSION_OUTCOMES
};

/* What it was recognised by. */
enum session_by {
	SESSION_BY_HARVESTS,
	SESSION_BY_LOGGING,
	SESSION_BY_TRACKING,	/* VFIO's dirty tracking of its devices */
	SESSION_BY_STATES,	/* VFIO's migration states of its devices */
};

struct session {
	unsigned int nth;	/* from 1, over all VMs */
	__u64 vm;
	enum session_kind kind;
	enum session_outcome outcome;
	enum session_by by;
	__u64 slots, pages;	/* that logging was switched on for */
	unsigned long begin, end;	/* numbers of the last sample before it, and of its last */
	double began, ended;	/* elapsed of these, s */
	bool settled;		/* its outcome is the last word */
};

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);

/*
 * Takes a sample, number @nth (from 1). Calls @changed for each session that began, went
 * on or ended, and once more, with the last word, for each that may have become another one
 * meanwhile; stops at its first non-zero return, which is returned. 0 or -errno. A VM that
 * is not in the sample any more is forgotten.
 */
int sessions_feed(struct sessions *s, const struct model *m, unsigned long nth,
		  int (*changed)(const struct session *session, void *arg), void *arg);

/* Is logging that is on for @slots of @pages together a display's? */
bool session_is_display(__u64 slots, __u64 pages);

const char *session_kind_name(enum session_kind kind);
const char *session_outcome_name(enum session_outcome outcome);
const char *session_by_name(enum session_by by);

#endif
