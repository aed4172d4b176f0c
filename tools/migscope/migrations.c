// SPDX-License-Identifier: GPL-2.0
#include "migrations.h"

#include <errno.h>
#include <stdlib.h>

const double migrations_le[MIGRATIONS_BUCKETS] = { 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200 };

struct migrations *migrations_new(void)
{
	struct migrations *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->sessions = sessions_new();
	if (!g->sessions) {
		free(g);
		return NULL;
	}
	return g;
}

void migrations_free(struct migrations *g)
{
	if (g)
		sessions_free(g->sessions);
	free(g);
}

/* Each is counted once: with the last word of it. */
static int take(const struct session *s, void *arg)
{
	struct migrations *g = arg;
	struct migrations_ended *e = &g->ended[s->outcome];
	size_t i = 0;

	if (s->kind != SESSION_MIGRATION)
		return 0;
	g->running += s->outcome == SESSION_RUNNING;
	if (!s->settled)
		return 0;
	while (i < MIGRATIONS_BUCKETS && s->ended - s->began > migrations_le[i])
		i++;
	e->bucket[i]++;
	e->seconds += s->ended - s->began;
	return 0;
}

int migrations_feed(struct migrations *g, struct model *m)
{
	g->running = 0;
	m->migrations = g;
	return sessions_feed(g->sessions, m, ++g->samples, take, g);
}

__u64 migrations_count(const struct migrations *g, enum session_outcome outcome)
{
	__u64 n = 0;

	for (size_t i = 0; i <= MIGRATIONS_BUCKETS; i++)
		n += g->ended[outcome].bucket[i];
	return n;
}

bool migrations_told(const struct model *m, enum session_outcome outcome)
{
	bool logging = m->measured[MEASURE_LOG_TOGGLE], tracking = m->measured[MEASURE_VFIO_STATE];
	bool states = m->measured[MEASURE_VFIO_MIG];
	bool harvests = m->measured[MEASURE_RING] || m->measured[MEASURE_LOG_GET] ||
			m->measured[MEASURE_LOG_CLEAR] || m->measured[MEASURE_VFIO_GET];

	/* nobody counts, or what was counted stays though its probes are gone */
	if (!m->migrations || migrations_count(m->migrations, outcome))
		return m->migrations;
	switch (outcome) {
	case SESSION_LOGGING_OFF:
		return logging;
	case SESSION_TRACKING_OFF:
		return tracking;
	case SESSION_RAN_ON:
		return logging || tracking || states;
	case SESSION_DEVICES_STOPPED:
	case SESSION_DEVICE_ERROR:
		return states;
	case SESSION_IDLE:
		return harvests;
	case SESSION_VM_ENDED:
		return logging || tracking || states || harvests;
	default:
		/* it goes on, or is a display's */
		return false;
	}
}
