/* SPDX-License-Identifier: GPL-2.0 */
/* What the commands share: options that all of them take, and exit codes. */
#ifndef MIGSCOPE_H
#define MIGSCOPE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Exit codes; documented in the man page and in --help. */
enum ms_exit {
	MS_EXIT_OK = 0,
	MS_EXIT_FAILURE = 1,
	MS_EXIT_USAGE = 2,
	MS_EXIT_BLIND = 3,	/* nothing of what was asked for can be measured here */
	MS_EXIT_PARTIAL = 4,	/* doctor: some of it cannot */
	MS_EXIT_DIFFERS = 5,	/* selfcheck: a count is not what it should be */
	MS_EXIT_DIVERGES = 6,	/* forecast: a migration does not converge */
};

#define MS_TARGETS_MAX 128

struct ms_opts {
	const char *btf;	/* BTF to relocate against instead of the kernel's; NULL: the kernel's */
	const char *target[MS_TARGETS_MAX];	/* PROBE=FUNCTION */
	size_t targets;
	bool exact;
	bool pages;		/* follow which pages are dirtied again */
	unsigned int page_part;	/* of these one in 2^page_part */
	bool verbose;
};

/* Set by SIGINT, SIGTERM and, unless it was ignored when we were started, SIGHUP. */
extern volatile sig_atomic_t ms_stop;
void ms_catch_signals(void);
/* They are kept out, but where they are waited for. */
void ms_let_signals_in(bool in);
/* In a child that runs another program: as they were when we were started. */
void ms_give_back_signals(void);

/* Did all of the output come out? What is left of it is written now. */
bool ms_wrote_all(void);

/* Seconds from "10", "10s", "500ms", "2m", "1h"; negative if it is none of these. */
double ms_parse_time(const char *arg);
/* Bytes from a number of MB, or bytes a second from MB/s; negative if it is none. */
double ms_parse_megabytes(const char *arg);
/* A number above 0; 0 if it is none, or does not fit. */
unsigned long ms_parse_count(const char *arg);
/* A process id; -1 if it is none. */
pid_t ms_parse_pid(const char *arg);

struct ms_cmd {
	const char *name;
	const char *brief;
	/* @argv[0] is the command's name; returns an enum ms_exit */
	int (*run)(const struct ms_opts *opts, int argc, char **argv);
};

int cmd_doctor(const struct ms_opts *opts, int argc, char **argv);
int cmd_stat(const struct ms_opts *opts, int argc, char **argv);
int cmd_top(const struct ms_opts *opts, int argc, char **argv);
int cmd_record(const struct ms_opts *opts, int argc, char **argv);
int cmd_report(const struct ms_opts *opts, int argc, char **argv);
int cmd_forecast(const struct ms_opts *opts, int argc, char **argv);
int cmd_serve(const struct ms_opts *opts, int argc, char **argv);
int cmd_selfcheck(const struct ms_opts *opts, int argc, char **argv);
int cmd_pin(const struct ms_opts *opts, int argc, char **argv);
int cmd_release(const struct ms_opts *opts, int argc, char **argv);
int cmd_unpin(const struct ms_opts *opts, int argc, char **argv);

__attribute__((format(printf, 1, 2))) void ms_error(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void ms_warn(const char *fmt, ...);

#endif
