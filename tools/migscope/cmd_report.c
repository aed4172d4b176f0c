// SPDX-License-Identifier: GPL-2.0
/* migscope report: what a recording says. */
#include "migscope.h"
#include "report.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
	const char *file, *html;
	bool json;
	struct report_options report;
};

enum { OPT_HTML = 256 };

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "One JSON object, with every point", 0 },
	{ "html", OPT_HTML, "OUT", 0, "Write one page with plots to OUT (-: standard output)", 0 },
	{ "bandwidth", 'b', "MB/S", 0, "What a migration may send: then it is told whether one converges", 0 },
	{ "downtime", 'D', "TIME", 0, "What downtime it may cause (300ms)", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case OPT_HTML:
		a->html = arg;
		return 0;
	case 'b':
		a->report.bandwidth = ms_parse_megabytes(arg);
		if (a->report.bandwidth < 0)
			argp_error(state, "%s: not a number of MB/s", arg);
		return 0;
	case 'D':
		a->report.downtime = ms_parse_time(arg);
		if (a->report.downtime < 0)
			argp_error(state, "%s: not a duration (300ms, 1s)", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (a->file)
			argp_error(state, "%s: one argument too many", arg);
		a->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->file)
			argp_error(state, "the recording is missing");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "FILE",
	"Shows what migscope record wrote: VMs, migrations and what each cost, what to change.\v"
	"Exit status: 0 done, 1 it cannot be read, or the report not written, 2 usage, 4 it is incomplete.",
	NULL, NULL, NULL
};

static int write_html(const struct args *a, struct json_object *report)
{
	bool out = !strcmp(a->html, "-");
	FILE *f = out ? stdout : fopen(a->html, "we");
	int err;

	if (!f) {
		ms_error("%s: %s", a->html, strerror(errno));
		return -errno;
	}
	err = report_html(f, report);
	if (fflush(f) || ferror(f))
		err = -EIO;
	if (!out && fclose(f))
		err = -EIO;
	if (err)
		ms_error("%s: could not be written", a->html);
	return err;
}

int cmd_report(const struct ms_opts *opts, int argc, char **argv)
{
	struct json_object *report, *meta, *complete;
	int ret = MS_EXIT_FAILURE;
	struct args a = { 0 };

	(void)opts;
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	report = report_read(a.file, &a.report);
	if (!report)
		return MS_EXIT_FAILURE;
	ret = MS_EXIT_PARTIAL;
	if (json_object_object_get_ex(report, "recording", &meta) &&
	    json_object_object_get_ex(meta, "complete", &complete) && json_object_get_int(complete))
		ret = MS_EXIT_OK;
	if (a.html && write_html(&a, report))
		ret = MS_EXIT_FAILURE;
	if (a.json)
		printf("%s\n", json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!a.html)
		report_text(stdout, report);
	json_object_put(report);
	return ms_wrote_all() ? ret : MS_EXIT_FAILURE;
}
