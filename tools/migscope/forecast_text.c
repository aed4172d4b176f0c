// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <string.h>
#include "forecast_session.h"
#include "report_get.h"

#define MB	1e6

static const struct {
	const char *from, *words;
} source[] = {
	{ "entries", "by the entries of its rings" },
	{ "rings", "by how far its rings went: pages dirtied again count anew, so it may be better" },
	{ "bitmaps", "by what one sync showed after the other" },
	{ "sampled", "SAMPLED by QEMU's calc-dirty-rate, not counted: pages dirtied again count once" },
};

static void put_curve(FILE *out, struct json_object *f)
{
	const char *words = "";

	for (size_t i = 0; i < sizeof(source) / sizeof(source[0]); i++)
		if (!strcmp(source[i].from, text(f, "from")))
			words = source[i].words;
	fprintf(out, "  dirties %.1f MB/s at first (%s)\n", number(f, "dirty_bytes_per_second") / MB, words);
	if (length(f, "curve") < 2)
		return;
	fprintf(out, "  within");
	for (size_t i = 0; i < length(f, "curve"); i++) {
		struct json_object *p = item(f, "curve", i);

		if (i && i % 5 == 0)
			fprintf(out, "\n        ");
		fprintf(out, "%s %.3g s: %.1f MB", i ? "," : "", number(p, "seconds"), number(p, "bytes") / MB);
	}
	fputc('\n', out);
}

static void put_ring(FILE *out, struct json_object *ring)
{
	double size = number(ring, "size_entries"), need = number(ring, "size_needed_entries");

	if (!ring)
		return;
	fprintf(out, "  its rings of %.0f entries ", size);
	if (number(ring, "full_exits") > 0)
		fprintf(out, "ran full %.0f times: ", number(ring, "full_exits"));
	else
		fprintf(out, "were filled to %.0f %%: ",
			100 * number(ring, "used_max_entries") / number(ring, "soft_limit_entries"));
	if (need <= 0)
		fprintf(out, "no size is enough, the VMM has to harvest more often\n");
	else
		fprintf(out, need == size ? "the right size\n" : "%.0f would do\n", need);
}

static void put_verdict(FILE *out, struct json_object *f)
{
	fprintf(out, "  at %.1f MB/s and %.0f ms it ", number(f, "bandwidth_bytes_per_second") / MB,
		1e3 * number(f, "downtime_limit_seconds"));
	if (json_object_get_boolean(member(f, "converges")))
		fprintf(out, "CONVERGES: %.0f rounds more, %.1f s more (%.1f s in all), downtime %.0f ms\n",
			number(f, "rounds"), number(f, "seconds"), number(f, "total_seconds"),
			1e3 * number(f, "downtime_seconds"));
	else
		fprintf(out, "DOES NOT CONVERGE: never less than %.1f MB are left\n",
			number(f, "least_left_bytes") / MB);
	if (member(f, "bandwidth_needed_bytes_per_second"))
		fprintf(out, "  at this downtime limit it takes %.1f MB/s",
			number(f, "bandwidth_needed_bytes_per_second") / MB);
	else
		fprintf(out, "  no bandwidth is enough at this downtime limit");
	if (member(f, "downtime_needed_seconds"))
		fprintf(out, "; at this bandwidth a limit of %.0f ms\n", 1e3 * number(f, "downtime_needed_seconds"));
	else
		fprintf(out, "; no downtime limit up to a minute is enough at this bandwidth\n");
}

void forecast_text(FILE *out, struct json_object *f)
{
	fprintf(out, "%s", text(f, "vm"));
	if (member(f, "at_seconds"))
		fprintf(out, ", %.1f s into its migration", number(f, "at_seconds"));
	fputc('\n', out);
	if (member(f, "curve"))
		put_curve(out, f);
	put_ring(out, member(f, "ring"));
	if (member(f, "why_not"))
		fprintf(out, "  no forecast: %s\n", text(f, "why_not"));
	else
		put_verdict(out, f);
}
