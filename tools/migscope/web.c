// SPDX-License-Identifier: GPL-2.0
#include "web.h"

#include <stddef.h>
#include <string.h>

#define HTML	"text/html; charset=utf-8"
#define CSS	"text/css; charset=utf-8"
#define JS	"text/javascript; charset=utf-8"

#define FILES(file)				\
	file(live_html, "/", HTML)		\
	file(live_js, "/live.js", JS)		\
	file(report_html, "/report.html", HTML)	\
	file(report_js, "/report.js", JS)	\
	file(plots_js, "/plots.js", JS)		\
	file(style_css, "/style.css", CSS)	\
	file(dygraph_js, "/dygraph.js", JS)

#define DECLARE(name, path, type) extern const char web_##name[], web_##name##_end[];
FILES(DECLARE)

#define ENTRY(name, path, type) { path, type, web_##name, web_##name##_end },
static const struct web_file files[] = { FILES(ENTRY) };

const struct web_file *web_find(const char *path)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (!strcmp(files[i].path, path))
			return &files[i];
	return NULL;
}
