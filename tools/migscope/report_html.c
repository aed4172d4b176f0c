// SPDX-License-Identifier: GPL-2.0
#include "report.h"
#include "web.h"

#include <errno.h>
#include <string.h>

/* Inside a script element nothing may look like its end. */
static void put_data(FILE *out, struct json_object *report)
{
	const char *text = json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);

	for (; *text; text++) {
		if (*text == '<')
			fputs("\\u003c", out);
		else
			fputc(*text, out);
	}
}

/* The page is a template: @@NAME@@ stands for a file, @@data@@ for the report. */
int report_html(FILE *out, struct json_object *report)
{
	const struct web_file *page = web_find("/report.html"), *file;
	const char *p, *mark, *end;
	char name[32] = "/";

	for (p = page->data; (mark = strstr(p, "@@")); p = end + 2) {
		fwrite(p, 1, mark - p, out);
		end = strstr(mark + 2, "@@");
		if (!end || end - mark > (long)sizeof(name) - 4)
			return -EINVAL;
		snprintf(name, sizeof(name), "/%.*s", (int)(end - mark - 2), mark + 2);
		file = web_find(name);
		if (file)
			fwrite(file->data, 1, file->end - file->data, out);
		else
			put_data(out, report);
	}
	fputs(p, out);
	return ferror(out) ? -EIO : 0;
}
