// SPDX-License-Identifier: GPL-2.0
#include "sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DISPLAY_PAGES	16384	/* 64 MiB: the largest frame buffers in use */
#define IDLE_S		3	/* without logging's end in sight, silence as long is the end */
#define SAVED_S		1	/* a device may be saved as long after another one */
#define LEFT_ON_S	60	/* a slot that is gone is not switched off: silence as long is the end then */
#define RUN_ON_S	60	/* who runs here again later was told to */

/* What is looked at of a VM, at one sample. */
struct seen {
	__u64 harvests;		/* resets, GETs, CLEARs, and pages pushed */
	__u64 on, off, on_pages, off_pages;
	unsigned int tracking;	/* containers whose pages are tracked */
	unsigned int saving, running, failed;	/* devices that can migrate */
	__u64 saved_ns;		/* that they were saving, so far */
	bool alive;
};

struct watched {
	__u64 vm;
	struct seen last;
	bool in_session, here;
	unsigned long nth;	/* of the last sample that it was in */
	bool saved;		/* a device was saving in the session, */
	double saving;		/* until then: elapsed, s */
	__s64 level;		/* slots that were logged before the session: a display's, as a rule */
	bool off;		/* some were switched off in the session */
	double harvested;	/* elapsed, s, when there was a harvest last */
	__u64 guest_ticks;	/* when the session ended */
	struct session session;
};

struct sessions {
	struct watched *watched;
	size_t n;
	unsigned int count;
	double elapsed;		/* of the sample before; 0: there was none */
	int (*changed)(const struct session *session, void *arg);	/* whom to tell */
	void *arg;
};

struct sessions *sessions_new(void)
{
	return calloc(1, sizeof(struct sessions));
}

void sessions_free(struct sessions *s)
{
	if (s)
		free(s->watched);
	free(s);
}

const char *session_kind_name(enum session_kind kind)
{
	return kind == SESSION_DISPLAY ? "display" : "migration";
}

const char *session_outcome_name(enum session_outcome outcome)
{
	static const char *const name[] = { "running", "logging_off", "vm_ended", "idle", "tracking_off", "overtaken",
					    "ran_on", "devices_stopped", "device_error" };

	return name[outcome];
}

const char *session_by_name(enum session_by by)
{
	static const char *const name[] = { "harvests", "logging", "tracking", "device_states" };

	return name[by];
}

static struct watched *find(struct sessions *s, __u64 vm)
{
	struct watched *w;

	for (size_t i = 0; i < s->n; i++)
		if (s->watched[i].vm == vm)
			return &s->watched[i];
	w = realloc(s->watched, (s->n + 1) * sizeof(*w));
	if (!w)
		return NULL;
	s->watched = w;
	w += s->n++;
	memset(w, 0, sizeof(*w));
	w->vm = vm;
	return w;
}

/* What a device that can migrate is in, and has been in; what it came from before us is not known. */
static void look_at_device(const struct model_dev *d, struct seen *seen)
{
	const struct ms_vfio_mig *v = &d->mig;

	seen->saved_ns += v->in_ns[MS_VFIO_PRE_COPY] + v->in_ns[MS_VFIO_PRE_COPY_P2P] + v->in_ns[MS_VFIO_STOP_COPY];
	if (!d->alive || !v->since_ns)
		return;
	seen->saving += v->state == MS_VFIO_PRE_COPY || v->state == MS_VFIO_PRE_COPY_P2P ||
			v->state == MS_VFIO_STOP_COPY;
	seen->running += v->state == MS_VFIO_RUNNING;
	seen->failed += v->state == MS_VFIO_ERROR;
}

static struct seen look(const struct model *m, const struct model_vm *vm)
{
	struct seen seen = {
		.harvests = vm->ring.pushes + vm->ring.reset_entries +
			    vm->log.op[MS_LOG_GET].calls + vm->log.op[MS_LOG_CLEAR].calls,
		.on = vm->log.op[MS_LOG_ON].calls,
		.off = vm->log.op[MS_LOG_OFF].calls,
		.on_pages = vm->log.op[MS_LOG_ON].pages,
		.off_pages = vm->log.op[MS_LOG_OFF].pages,
		.alive = vm->alive,
	};

	/* containers and devices are its process's */
	for (size_t i = 0; i < m->devs; i++) {
		const struct model_dev *d = &m->dev[i];

		if (d->has_mig && d->pid == vm->info.tgid)
			look_at_device(d, &seen);
		if (!d->has_vfio || d->pid != vm->info.tgid)
			continue;
		seen.harvests += d->vfio.op[MS_VFIO_GET].calls;
		seen.tracking += d->alive && d->vfio.knows & MS_VFIO_KNOWS_SCOPE && d->vfio.tracking;
	}
	return seen;
}

/*
 * Slots whose logging is on, as far as it was switched. One that is made with its logging on is
 * not counted, but switched off like the others: less than none. One that is deleted stays.
 */
static __s64 logged(const struct seen *seen)
{
	return seen->on - seen->off;
}

bool session_is_display(__u64 slots, __u64 pages)
{
	return slots <= 1 && pages <= DISPLAY_PAGES;
}

static enum session_kind kind_of(const struct session *session)
{
	return session->by == SESSION_BY_LOGGING && session_is_display(session->slots, session->pages) ?
	       SESSION_DISPLAY : SESSION_MIGRATION;
}

static int tell(const struct sessions *s, const struct watched *w)
{
	return s->changed(&w->session, s->arg);
}

/* One that is over stays what it is from now on. */
static int settle(const struct sessions *s, struct watched *w)
{
	if (w->in_session || !w->session.nth || w->session.settled)
		return 0;
	w->session.settled = true;
	return tell(s, w);
}

static int begin(struct sessions *s, struct watched *w, const struct seen *now, enum session_by by,
		 unsigned long nth)
{
	int err = settle(s, w);

	w->in_session = true;
	w->saved = false;
	w->level = logged(&w->last);
	w->off = false;
	w->session = (struct session){
		.nth = ++s->count,
		.vm = w->vm,
		.by = by,
		.slots = now->on - w->last.on,
		.pages = now->on_pages - w->last.on_pages,
		.begin = nth - 1,
		.end = nth,
		.began = s->elapsed,
		.ended = s->elapsed,
	};
	w->session.kind = kind_of(&w->session);
	return err;
}

/*
 * A display's logging goes on for as long as it is looked at; what is switched on beside it is
 * a migration of its own. Slots of one that are seen one by one come within a sample.
 */
static bool overtakes(const struct watched *w, const struct seen *now, unsigned long nth)
{
	struct session both = w->session;

	both.slots += now->on - w->last.on;
	both.pages += now->on_pages - w->last.on_pages;
	return w->in_session && w->session.kind == SESSION_DISPLAY && now->on != w->last.on &&
	       w->session.begin + 2 < nth && kind_of(&both) == SESSION_MIGRATION;
}

/* One that ended as @as, as far as its guest stands still: its devices may know better. */
static enum session_outcome with_devices(const struct watched *w, const struct seen *now, enum session_outcome as)
{
	if (w->session.kind == SESSION_DISPLAY)
		return as;
	if (w->saved && now->failed)
		return SESSION_DEVICE_ERROR;
	return now->running ? SESSION_RAN_ON : as;
}

/*
 * Were all devices saved, and none is any more? Of a guest that was migrated and stands still
 * neither logging nor tracking may ever be switched off: QEMU waits until it runs again.
 */
static bool were_saved(const struct watched *w, const struct seen *now, double elapsed)
{
	return w->saved && !now->saving && elapsed - w->saving > SAVED_S &&
	       (!now->running || w->session.by == SESSION_BY_STATES);
}

/* How a session that goes on at @now may have ended. */
static enum session_outcome outcome(const struct watched *w, const struct seen *now, double elapsed)
{
	if (!now->alive)
		return SESSION_VM_ENDED;
	if (w->session.by == SESSION_BY_LOGGING && now->off != w->last.off && logged(now) <= w->level)
		return with_devices(w, now, SESSION_LOGGING_OFF);
	if (w->session.by == SESSION_BY_LOGGING && w->off && elapsed - w->session.ended > LEFT_ON_S)
		return with_devices(w, now, SESSION_LOGGING_OFF);
	if (w->session.by == SESSION_BY_TRACKING && !now->tracking)
		return with_devices(w, now, SESSION_TRACKING_OFF);
	if (were_saved(w, now, elapsed))
		return with_devices(w, now, SESSION_DEVICES_STOPPED);
	if (w->session.by == SESSION_BY_HARVESTS && elapsed - w->harvested > IDLE_S)
		return SESSION_IDLE;
	return SESSION_RUNNING;
}

/* Silence at its end is no part of a session. */
static bool is_silence(const struct watched *w, const struct seen *now, bool harvest)
{
	if (w->session.by == SESSION_BY_HARVESTS)
		return !harvest;
	/* what goes on after some were switched off, a display's apart, is harvested */
	if (w->off && w->session.kind == SESSION_MIGRATION && !harvest && !now->saving &&
	    now->off == w->last.off && now->on == w->last.on)
		return now->alive && now->tracking == w->last.tracking;
	/* nothing was switched, nothing is saved any more */
	return w->saved && !now->saving && !w->last.saving && now->saved_ns <= w->last.saved_ns && !harvest &&
	       now->alive && now->off == w->last.off && now->tracking == w->last.tracking;
}

/* May it turn out that the guest of a migration that ended here runs on? */
static bool may_run_on(const struct session *session)
{
	return session->kind == SESSION_MIGRATION &&
	       (session->outcome == SESSION_LOGGING_OFF || session->outcome == SESSION_TRACKING_OFF ||
		session->outcome == SESSION_DEVICES_STOPPED);
}

/* Was the guest of a migration that ended here meant to be elsewhere now, and is not? */
static bool runs_on(const struct watched *w, const struct seen *now, const struct model_vm *vm, double elapsed)
{
	return !w->in_session && w->session.nth && !w->session.settled && may_run_on(&w->session) &&
	       (vm->guest_ticks > w->guest_ticks || now->running) && elapsed - w->session.ended <= RUN_ON_S;
}

/*
 * Which of them a VMM switches first is its own business: a session goes by that whose end is
 * the most exact.
 */
static enum session_by better(const struct watched *w, const struct seen *now, bool saves)
{
	if (w->session.by != SESSION_BY_LOGGING && w->session.by != SESSION_BY_HARVESTS && now->on != w->last.on)
		return SESSION_BY_LOGGING;
	if ((w->session.by == SESSION_BY_HARVESTS || w->session.by == SESSION_BY_STATES) &&
	    now->tracking > w->last.tracking)
		return SESSION_BY_TRACKING;
	return w->session.by == SESSION_BY_HARVESTS && saves ? SESSION_BY_STATES : w->session.by;
}

/* Does the switching of logging tell all of this VM? What is harvested beside it is a display's. */
static bool told(const struct watched *w, const struct seen *now, bool switches)
{
	bool before = w->session.nth && w->session.by == SESSION_BY_LOGGING;

	return switches && now->on && (now->off >= now->on || before);
}

static int feed(struct sessions *s, const struct model *m, const struct model_vm *vm, unsigned long nth)
{
	struct watched *w = find(s, vm->id);
	struct seen now = look(m, vm);
	bool switches = m->measured[MEASURE_LOG_TOGGLE], harvest, saves;
	int err = 0;

	if (!w)
		return -ENOMEM;
	/* what ran before us is known by nothing but that it goes on */
	if (!w->here && !s->elapsed)
		w->last = now;
	/* what its process's devices did before it was there is none of its own */
	if (!w->here)
		w->last.saved_ns = now.saved_ns;
	w->here = true;
	w->nth = nth;
	harvest = now.harvests != w->last.harvests;
	if (harvest)
		w->harvested = m->elapsed;
	/* a device began to; it may have ended since */
	saves = !w->last.saving && now.saved_ns > w->last.saved_ns;
	if (overtakes(w, &now, nth)) {
		w->in_session = false;
		w->session.outcome = SESSION_OVERTAKEN;
		err = settle(s, w);
	} else if (runs_on(w, &now, vm, m->elapsed)) {
		w->session.outcome = SESSION_RAN_ON;
		err = settle(s, w);
	} else if (!vm->alive || m->elapsed - w->session.ended > RUN_ON_S) {
		err = settle(s, w);
	}
	if (err)
		return err;
	/* switched on in our sight, or found switched on; a VM that ended does not begin one */
	if (!w->in_session && now.on != w->last.on)
		err = begin(s, w, &now, SESSION_BY_LOGGING, nth);
	else if (!w->in_session && now.tracking > w->last.tracking && now.alive)
		err = begin(s, w, &now, SESSION_BY_TRACKING, nth);
	else if (!w->in_session && saves && now.alive)
		err = begin(s, w, &now, SESSION_BY_STATES, nth);
	else if (!w->in_session && harvest && !told(w, &now, switches))
		err = begin(s, w, &now, SESSION_BY_HARVESTS, nth);
	else if (w->in_session)
		w->session.by = better(w, &now, saves);
	if (err)
		return err;
	if (w->in_session && w->session.by == SESSION_BY_LOGGING && w->session.begin != nth - 1) {
		/* slots come one by one */
		w->session.slots += now.on - w->last.on;
		w->session.pages += now.on_pages - w->last.on_pages;
		w->session.kind = kind_of(&w->session);
	}
	if (w->in_session) {
		if (now.saving || now.saved_ns > w->last.saved_ns) {
			w->saved = true;
			w->saving = m->elapsed;
		}
		w->off |= now.off != w->last.off && w->session.by == SESSION_BY_LOGGING;
		if (!is_silence(w, &now, harvest)) {
			w->session.end = nth;
			w->session.ended = m->elapsed;
		}
		w->session.outcome = outcome(w, &now, m->elapsed);
		w->in_session = w->session.outcome == SESSION_RUNNING;
		w->session.settled = !w->in_session && !may_run_on(&w->session);
		w->guest_ticks = vm->guest_ticks;
		err = tell(s, w);
	}
	w->last = now;
	return err;
}

/* VMs that are not in sample number @nth: what they had is over. */
static int forget_gone(struct sessions *s, unsigned long nth)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct watched *w = &s->watched[i];

		if (!err && w->nth != nth) {
			if (w->in_session)
				w->session.outcome = SESSION_VM_ENDED;
			w->in_session = false;
			err = settle(s, w);
		}
		if (w->nth == nth)
			s->watched[kept++] = *w;
	}
	s->n = kept;
	return err;
}

int sessions_feed(struct sessions *s, const struct model *m, unsigned long nth,
		  int (*changed)(const struct session *session, void *arg), void *arg)
{
	int err = 0;

	s->changed = changed;
	s->arg = arg;
	for (size_t i = 0; i < m->vms && !err; i++)
		err = feed(s, m, &m->vm[i], nth);
	if (!err)
		err = forget_gone(s, nth);
	s->elapsed = m->elapsed;
	return err;
}
