/* SPDX-License-Identifier: GPL-2.0 */
/* As much of QEMU's machine protocol as its own figures of a migration need. */
#ifndef MIGSCOPE_QMP_H
#define MIGSCOPE_QMP_H

#include <json-c/json.h>
#include <sys/types.h>
#include "model.h"

struct qmp;

/*
 * Connects to a monitor's UNIX socket, which takes one client at a time. 0 or -errno; the
 * reason was printed.
 */
int qmp_open(const char *path, struct qmp **q);
void qmp_close(struct qmp *q);

/* The process at the other end; 0: not known. */
pid_t qmp_pid(const struct qmp *q);

/*
 * Runs a command; @arguments may be NULL, and is taken. *@answer is what it returned, for
 * json_object_put(). -EREMOTEIO: QEMU refused it; other -errno: no answer came, and none
 * will come any more. The reason is in qmp_error().
 */
int qmp_command(struct qmp *q, const char *name, struct json_object *arguments,
		struct json_object **answer);
const char *qmp_error(const struct qmp *q);

/* query-migrate. 0 or as qmp_command(). */
int qmp_migration(struct qmp *q, struct model_qemu *m);

/*
 * What a migration may use, by query-migrate-parameters: bytes a second (0: no limit),
 * seconds. 0 or as qmp_command().
 */
int qmp_limits(struct qmp *q, double *bandwidth, double *downtime);

/*
 * Has QEMU sample what the VM dirties, which takes @seconds (a whole number, up to 60).
 * *@rate: bytes a second. 0, -EINTR, or as qmp_command().
 */
int qmp_dirty_rate(struct qmp *q, int seconds, double *rate);

#endif
