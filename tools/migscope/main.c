// SPDX-License-Identifier: GPL-2.0
/* migscope: what live migration costs a KVM host. */
#include "migscope.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <version.h>

static const struct ms_cmd commands[] = {
	{ "doctor", "what can be watched here, and what cannot and why", cmd_doctor },
	{ "stat", "a table, or NDJSON, of the VMs that run", cmd_stat },
	{ "top", "the VMs that run, on a screen", cmd_top },
	{ "record", "samples into a file, also while a command runs", cmd_record },
	{ "report", "what a recording says, as text, JSON or a page", cmd_report },
	{ "forecast", "does a migration converge, when, and with what downtime", cmd_forecast },
	{ "serve", "a Prometheus endpoint, and a live page", cmd_serve },
	{ "selfcheck", "run a known workload and compare every count", cmd_selfcheck },
	{ "pin", "leave the probes running below a bpf file system", cmd_pin },
	{ "unpin", "remove what pin left running", cmd_unpin },
	{ "release", "let go of a module, so that it can be unloaded", cmd_release },
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct args {
	struct ms_opts opts;
	int argc;
	char **argv;		/* of the command */
};

enum { OPT_BTF = 256, OPT_TARGET };

#define PAGE_PART_MAX 16

static const struct argp_option options[] = {
	{ "exact", 'x', NULL, 0, "Hook every page that is dirtied, too (this costs)", 0 },
	{ "working-set", 'w', "N", OPTION_ARG_OPTIONAL,
	  "Follow which pages are dirtied again: one in N, a power of two (1; this costs)", 0 },
	{ "btf", OPT_BTF, "FILE", 0, "Relocate the programs against this BTF", 0 },
	{ "target", OPT_TARGET, "PROBE=FUNCTION", 0,
	  "Attach PROBE elsewhere: for a kernel that renamed the function", 0 },
	{ "verbose", 'v', NULL, 0, "Show what libbpf says", 0 },
	{ 0 }
};

/* The logarithm of a power of two; more than PAGE_PART_MAX: it is none, or too large. */
static unsigned int parse_part(const char *arg)
{
	char *end;
	unsigned long n = strtoul(arg, &end, 10);

	if (*end || end == arg || !n || n & (n - 1))
		return PAGE_PART_MAX + 1;
	return __builtin_ctzl(n);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'x':
		a->opts.exact = true;
		return 0;
	case 'w':
		a->opts.pages = true;
		a->opts.page_part = arg ? parse_part(arg) : 0;
		if (a->opts.page_part > PAGE_PART_MAX)
			argp_error(state, "%s: not a power of two up to %d", arg, 1 << PAGE_PART_MAX);
		return 0;
	case OPT_BTF:
		a->opts.btf = arg;
		return 0;
	case OPT_TARGET:
		if (a->opts.targets == MS_TARGETS_MAX)
			argp_error(state, "at most %d times --target", MS_TARGETS_MAX);
		a->opts.target[a->opts.targets++] = arg;
		return 0;
	case 'v':
		a->opts.verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		/* the rest is the command's */
		a->argv = state->argv + state->next - 1;
		a->argc = state->argc - state->next + 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!a->argc)
			argp_error(state, "no command given");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static char *help_filter(int key, const char *text, void *input)
{
	char *buf = NULL;
	size_t size;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	f = open_memstream(&buf, &size);
	if (!f)
		return (char *)text;
	fprintf(f, "Commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-12s %s\n", commands[i].name, commands[i].brief);
	fprintf(f, "\n%s", text);
	fclose(f);
	return buf;
}

static const struct argp argp = {
	options, parse, "COMMAND [ARGUMENT..]",
	"Shows what live migration costs a KVM host: how full the dirty rings are, how long guests "
	"stall, what a dirty bitmap costs.\v"
	"These options stand before COMMAND, whose own come after it. COMMAND --help tells more. "
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing can be measured here, 4 only a part can "
	"(doctor), the recording is incomplete (report), there is no data (forecast), 5 selfcheck: a "
	"count differs, 6 forecast: a migration does not converge; of record with a command, the "
	"command's.",
	NULL, help_filter, NULL
};

static void print_version(FILE *out, struct argp_state *state)
{
	(void)state;
	fprintf(out, "migscope %s\n", MIGSCOPE_VERSION);
}

bool ms_wrote_all(void)
{
	return !fflush(stdout) && !ferror(stdout);
}

double ms_parse_time(const char *arg)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "m", 60 }, { "h", 3600 } };
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || !(v > 0))
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].unit)) {
			v *= units[i].seconds;
			return v <= 1e9 ? v : -1;
		}
	return -1;
}

double ms_parse_megabytes(const char *arg)
{
	char *end;
	double v = 1e6 * strtod(arg, &end);

	return *end || end == arg || !(v > 0) || v > 1e15 ? -1 : v;
}

unsigned long ms_parse_count(const char *arg)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(arg, &end, 10);
	return !isdigit((unsigned char)*arg) || *end || errno ? 0 : v;
}

pid_t ms_parse_pid(const char *arg)
{
	char *end;
	long pid = strtol(arg, &end, 10);

	return *end || pid <= 0 || pid > INT_MAX ? -1 : pid;
}

static void complain(const char *kind, const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "migscope: %s", kind);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void ms_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain("", fmt, ap);
	va_end(ap);
}

void ms_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain("note: ", fmt, ap);
	va_end(ap);
}

int main(int argc, char **argv)
{
	struct args a = { 0 };
	char name[64];

	argp_program_version_hook = print_version;
	argp_err_exit_status = MS_EXIT_USAGE;
	/* a reader that went away is an error of the write, not our death */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a))
		return MS_EXIT_USAGE;
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i].name, a.argv[0]))
			continue;
		/* argp shows this in messages and in --help */
		snprintf(name, sizeof(name), "migscope %s", commands[i].name);
		a.argv[0] = name;
		return commands[i].run(&a.opts, a.argc, a.argv);
	}
	ms_error("%s: no such command; see migscope --help", a.argv[0]);
	return MS_EXIT_USAGE;
}
