// SPDX-License-Identifier: GPL-2.0
/*
 * sessions - what is taken for a migration, and what is not: scripts of one letter a sample,
 * a second each as a rule. Prints TAP.
 */
#include <stdio.h>
#include <string.h>
#include "../../tools/migscope/migrations.h"

static char said[400];
static unsigned int apart;	/* samples, s */

/* `!`: that was the last word; `?`: it was not, or the times are not those of the samples */
static int note(const struct session *s, void *arg)
{
	static char last[200];
	static bool settled[10];
	char now[200];
	bool odd;

	(void)arg;
	if (s->nth == 1 && !*said)
		memset(settled, 0, sizeof(settled));
	odd = settled[s->nth] || s->began != (double)s->begin * apart || s->ended != (double)s->end * apart;
	settled[s->nth] = s->settled;
	snprintf(now, sizeof(now), "%u:%s:%s:%s%s%s:%lu-%lu", s->nth, session_kind_name(s->kind),
		 session_by_name(s->by), session_outcome_name(s->outcome), s->settled ? "!" : "",
		 odd ? "?" : "", s->begin, s->end);
	/* what a session came to is what was said of it last */
	if (strncmp(now, last, strcspn(now, ":") + 1) || !*said)
		snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s%s", *said ? " " : "", now);
	else
		snprintf(strrchr(said, ' ') ? strrchr(said, ' ') + 1 : said, 200, "%s", now);
	strcpy(last, now);
	return 0;
}

/*
 * L l: all logging on, off; m, k: off, that of one more, or of one less; D d: that of a display; B: on, off and on
 * again between two samples; H: half of it off, and it is harvested; T t: VFIO's tracking on, off; h: pages are
 * harvested; g: a container's bitmap is asked for; x: the VM ends; X: nothing is
 * known of it any more, V: it is there again; r: the guest runs, as it does while something is on; .: nothing. Of
 * a device that can migrate: P, S: to pre-copy, stop-and-copy; s, R, E, I: it stops, runs, fails,
 * is one that resumes; Q, Z: through those that save and to stop, to run, between two samples
 */
static const char *play(const char *script, bool switches, unsigned int seconds, struct migrations *counted)
{
	struct model_vm vm = { .id = 1, .info.tgid = 7, .alive = true, .has_ring = true, .has_log = true };
	struct model_dev dev = { .id = 2, .pid = 7, .alive = true, .has_vfio = true, .vfio.knows = MS_VFIO_KNOWS_SCOPE };
	struct model_dev devs[2] = { dev, { .id = 3, .pid = 7, .alive = true } };
	struct model m = { .vm = &vm, .vms = 1, .dev = devs, .devs = 2 };
	struct ms_vfio_mig *mig = &devs[1].mig;
	struct sessions *s = sessions_new();

	m.measured[MEASURE_LOG_TOGGLE] = switches;
	*said = '\0';
	apart = seconds;
	for (unsigned long n = 1; script[n - 1]; n++) {
		m.elapsed = (double)n * seconds;
		switch (script[n - 1]) {
		case 'L':
		case 'D':
			vm.log.op[MS_LOG_ON].calls += script[n - 1] == 'L' ? 4 : 1;
			vm.log.op[MS_LOG_ON].pages += script[n - 1] == 'L' ? 1 << 20 : 4096;
			break;
		case 'l':
		case 'd':
			vm.log.op[MS_LOG_OFF].calls += script[n - 1] == 'l' ? 4 : 1;
			vm.log.op[MS_LOG_OFF].pages += script[n - 1] == 'l' ? 1 << 20 : 4096;
			break;
		case 'm':
		case 'k':
			vm.log.op[MS_LOG_OFF].calls += script[n - 1] == 'm' ? 5 : 3;
			vm.log.op[MS_LOG_OFF].pages += script[n - 1] == 'm' ? 5 << 18 : 3 << 18;
			break;
		case 'B':
			vm.log.op[MS_LOG_ON].calls += 8;
			vm.log.op[MS_LOG_ON].pages += 2 << 20;
			vm.log.op[MS_LOG_OFF].calls += 4;
			vm.log.op[MS_LOG_OFF].pages += 1 << 20;
			break;
		case 'H':
			vm.log.op[MS_LOG_OFF].calls += 2;
			vm.ring.pushes += 100;
			break;
		case 'T':
		case 't':
			devs[0].vfio.tracking = script[n - 1] == 'T';
			break;
		case 'h':
			vm.ring.pushes += 100;
			break;
		case 'g':
			devs[0].vfio.op[MS_VFIO_GET].calls++;
			break;
		case 'r':
			vm.guest_ticks++;
			break;
		case 'x':
			vm.alive = false;
			break;
		case 'P':
			mig->state = MS_VFIO_PRE_COPY;
			break;
		case 'S':
			mig->state = MS_VFIO_STOP_COPY;
			break;
		case 'Q':
			mig->in_ns[MS_VFIO_PRE_COPY] += 1000;
			mig->in_ns[MS_VFIO_STOP_COPY] += 1000;
			/* fallthrough */
		case 's':
			mig->state = MS_VFIO_STOPPED;
			break;
		case 'Z':
			mig->in_ns[MS_VFIO_PRE_COPY_P2P] += 1000;
			/* fallthrough */
		case 'R':
			mig->state = MS_VFIO_RUNNING;
			break;
		case 'E':
			mig->state = MS_VFIO_ERROR;
			break;
		case 'I':
			mig->state = MS_VFIO_RESUMING;
			break;
		case 'X':
		case 'V':
			m.vms = script[n - 1] == 'V';
			break;
		}
		if (strpbrk(script, "PSQZsREI")) {
			devs[1].has_mig = true;
			mig->since_ns = 1;
			mig->in_ns[mig->state] += 500;
		}
		if (counted ? migrations_feed(counted, &m) : sessions_feed(s, &m, n, note, NULL))
			break;
	}
	sessions_free(s);
	return said;
}

/* What is counted of a script: how many go on; of each outcome how many, their seconds, their bounds. */
static const char *count(const char *script)
{
	struct migrations *g = migrations_new();
	static char text[400];
	size_t len;

	play(script, true, 1, g);
	len = snprintf(text, sizeof(text), "%llu", g->running);
	for (enum session_outcome o = 0; o < SESSION_OUTCOMES; o++) {
		if (!migrations_count(g, o))
			continue;
		len += snprintf(text + len, sizeof(text) - len, " %llu:%s:%g:", migrations_count(g, o),
				session_outcome_name(o), g->ended[o].seconds);
		for (int i = 0; i < MIGRATIONS_BUCKETS; i++)
			if (g->ended[o].bucket[i])
				len += snprintf(text + len, sizeof(text) - len, "<%g", migrations_le[i]);
		if (g->ended[o].bucket[MIGRATIONS_BUCKETS])
			len += snprintf(text + len, sizeof(text) - len, "more");
	}
	migrations_free(g);
	return text;
}

int main(void)
{
	static const struct {
		const char *what, *script, *want;
	} counted[] = {
		{ "nothing", "....", "0" },
		{ "one that goes on", ".Lhh", "1" },
		{ "one that may have been cancelled yet", ".Lhl..", "0" },
		{ "one that is known to be over", ".Lhl..x", "0 1:logging_off:3:<5" },
		{ "one whose VM is gone, long ago", ".Lhl.x..X.....", "0 1:logging_off:3:<5" },
		{ "one that took no longer than a bound", ".Lhhhl..x", "0 1:logging_off:5:<5" },
		{ "one that took longer", ".Lhhhhl..x", "0 1:logging_off:6:<10" },
		{ "one that is cancelled is no other", ".rLhlr..x", "0 1:ran_on:3:<5" },
		{ "three, and one that goes on", ".rLhlrrLhl.Lhhhhhl..L", "1 2:logging_off:10:<5<10 1:ran_on:3:<5" },
		{ "a VM that dies in it", ".Lhhx..", "0 1:vm_ended:4:<5" },
		{ "no display's", ".D...d..x", "0" },
		{ "a device that stops", "R.PSs..x", "0 1:devices_stopped:3:<5" },
		{ "a device that fails, and one that is cancelled", "R.PE.R.PR.", "0 1:ran_on:2:<2 1:device_error:2:<2" },
		{ "but the migration beside it", ".D...Lhhl..d..x", "0 1:logging_off:4:<5" },
	};
	static const struct {
		const char *what, *script, *want;
		bool unseen;		/* the switching of logging is not */
		unsigned int seconds;	/* samples are apart; 0: one */
	} row[] = {
		{ "nothing", "....", "" },
		{ "a migration", ".Lhh.hl..", "1:migration:logging:logging_off:1-7" },
		{ "one that goes on", ".Lhh", "1:migration:logging:running:1-4" },
		{ "one after the other", ".Lhl.Lhl", "1:migration:logging:logging_off!:1-4 2:migration:logging:logging_off:5-8" },
		{ "a VM that dies in it", ".Lhhx..", "1:migration:logging:vm_ended!:1-5" },
		{ "a display that toggles", ".D.d.D.d", "1:display:logging:logging_off!:1-4 2:display:logging:logging_off!:5-8" },
		{ "a migration beside a display that is looked at", ".D...Lhhl..d",
		  "1:display:logging:overtaken!:1-5 2:migration:logging:logging_off:5-9" },
		{ "which is looked at afterwards, too", ".D...Lhhl.h.h.h",
		  "1:display:logging:overtaken!:1-5 2:migration:logging:logging_off:5-9" },
		{ "and again", ".D...Lhhl..Lhl", "1:display:logging:overtaken!:1-5 2:migration:logging:logging_off!:5-9 "
		  "3:migration:logging:logging_off:11-14" },
		{ "a migration whose slots are seen one by one", ".DDDDhhdddd.", "1:migration:logging:logging_off:1-11" },
		{ "one that is cancelled: the guest runs on", ".rLrhrl..r", "1:migration:logging:ran_on!:2-7" },
		{ "one that is cancelled, and another", ".rLhlrrLhl.",
		  "1:migration:logging:ran_on!:2-5 2:migration:logging:logging_off:7-10" },
		{ "VFIO alone, cancelled", ".rTggtr.", "1:migration:tracking:ran_on!:2-6" },
		{ "a display's guest runs, of course", ".rDrdr", "1:display:logging:logging_off!:2-5" },
		{ "one that is told to run again, later",
		  ".rLhl.............................................................r", "1:migration:logging:logging_off!:2-5" },
		{ "one whose VM ends afterwards", ".Lhl..x.", "1:migration:logging:logging_off!:1-4" },
		{ "one whose VM is not there afterwards", ".Lhl..X..", "1:migration:logging:logging_off!:1-4" },
		{ "a VM that is not there in it", ".LhhX..", "1:migration:logging:vm_ended!:1-4" },
		{ "silence is no end while logging is on", ".Lh......hl", "1:migration:logging:logging_off:1-11" },
		{ "a slot comes with its logging on in it", ".Lhhm..", "1:migration:logging:logging_off:1-5" },
		{ "and in the next nothing is odd", ".Lhm..Lhhl.",
		  "1:migration:logging:logging_off!:1-4 2:migration:logging:logging_off:6-10" },
		{ "a slot goes with its logging on in it: the silence after it is the end",
		  ".Lhhk...............................................................", "1:migration:logging:logging_off!:1-5" },
		{ "which is none of the next one's", ".Lhhk..............................................................Lhl.",
		  "1:migration:logging:logging_off!:1-5 2:migration:logging:logging_off:67-70" },
		{ "some are switched off in the middle: no end", ".Lhdhh..hhk.", "1:migration:logging:logging_off:1-11" },
		{ "one that is begun, cancelled and begun again between two samples",
		  "..............................................................Bhhhl", "1:migration:logging:logging_off:62-67" },
		{ "one that is found so rarely is not over while it is harvested", ".LhHhhk.", "1:migration:logging:logging_off!:1-7",
		  .seconds = 120 },
		{ "VFIO alone", "..Tggt..", "1:migration:tracking:tracking_off:2-6" },
		{ "VFIO first, then logging: one", "..TLhhlt.", "1:migration:logging:logging_off:2-7" },
		{ "logging first, then VFIO: one", "..LThhtl.", "1:migration:logging:logging_off:2-8" },
		{ "VFIO's tracking outlasts logging: no second one", "..LThhl.t", "1:migration:logging:logging_off:2-7" },
		{ "a device's states alone", "R.PPSs..", "1:migration:device_states:devices_stopped:2-6" },
		{ "which are over", "R.PSs.x.", "1:migration:device_states:devices_stopped!:2-5" },
		{ "states alone, going on", "R.PP", "1:migration:device_states:running:2-4" },
		{ "states alone, cancelled", "R.PPR..", "1:migration:device_states:ran_on!:2-5" },
		{ "states alone, stopped and started again", "R.PSs.R.", "1:migration:device_states:ran_on!:2-5" },
		{ "states alone, a device that fails", "R.PE..R", "1:migration:device_states:device_error!:2-4" },
		{ "states alone, a VM that dies in it", "R.PSx..", "1:migration:device_states:vm_ended!:2-5" },
		{ "states alone, gone through between two samples", "R.Q..", "1:migration:device_states:devices_stopped:2-3" },
		{ "and cancelled", "R.Z..Q..", "1:migration:device_states:ran_on!:2-3 2:migration:device_states:devices_stopped:5-6" },
		{ "one that arrives is none that leaves", "RsIIsR..", "" },
		{ "a device that is found in the middle of it", "PP.s.", "" },
		{ "a device that did it before its VM was there", "XPs.V..", "" },
		{ "states first, then logging: one", "R.PLhhlSs.", "1:migration:logging:logging_off:2-7" },
		{ "logging first, then states: one", "R.LPhSsl..", "1:migration:logging:logging_off:2-8" },
		{ "states first, then VFIO's tracking: one", "R.PTggSst.", "1:migration:tracking:tracking_off:2-9" },
		{ "states outlast logging: no second one", "R.LPhlPPs.", "1:migration:logging:logging_off:2-6" },
		{ "logging stays on in a guest that stands still: its devices tell the end", "R.LPhSs..x",
		  "1:migration:logging:devices_stopped!:2-7" },
		{ "tracking, too", "R.TPgSs..x", "1:migration:tracking:devices_stopped!:2-7" },
		{ "which then runs on: logging is switched off as well", "R.LPhSs..Rl", "1:migration:logging:ran_on!:2-7" },
		{ "a device that is saved after another one", "R.PSsSs..", "1:migration:device_states:devices_stopped:2-7" },
		{ "one that runs again does not tell the end", "R.LPR...l.", "1:migration:logging:ran_on!:2-9" },
		{ "cancelled, of a guest that idles: its device runs on", "R.LhlR..", "1:migration:logging:ran_on!:2-5" },
		{ "cancelled: its device runs a moment later", "R.LPhlPR.", "1:migration:logging:ran_on!:2-6" },
		{ "a device that fails in it", "R.LPEl..", "1:migration:logging:device_error!:2-6" },
		{ "a device that failed before it", "E.LhhlR.", "1:migration:logging:ran_on!:2-6" },
		{ "a display's, of a guest with a device that runs", "R.D.d..", "1:display:logging:logging_off!:2-5" },
		{ "without switching: by what is harvested", "..hhhh.....", "1:migration:harvests:idle!:2-6", true },
		{ "without switching: twice", "..hh.....hh.....", "1:migration:harvests:idle!:2-4 2:migration:harvests:idle!:9-11", true },
		{ "without switching: what is harvested, then states", "R.hPhSs....",
		  "1:migration:device_states:devices_stopped:2-7", true },
		{ "without switching: VFIO's bitmaps count as well", "..hgg.....", "1:migration:harvests:idle!:2-5", true },
	};
	int n = 0, failed = 0;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		const char *got = play(row[i].script, !row[i].unseen, row[i].seconds ?: 1, NULL);
		bool ok = !strcmp(got, row[i].want);

		printf("%sok %d - %s\n", ok ? "" : "not ", ++n, row[i].what);
		if (!ok)
			printf("# %s: got %s, want %s\n", row[i].script, got, row[i].want);
		failed += !ok;
	}
	for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		const char *got = count(counted[i].script);
		bool ok = !strcmp(got, counted[i].want);

		printf("%sok %d - counted: %s\n", ok ? "" : "not ", ++n, counted[i].what);
		if (!ok)
			printf("# %s: got %s, want %s\n", counted[i].script, got, counted[i].want);
		failed += !ok;
	}
	printf("1..%d\n", n);
	return failed != 0;
}
