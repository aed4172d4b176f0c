/* SPDX-License-Identifier: GPL-2.0 */
/* Files for a browser, compiled in: web/. */
#ifndef MIGSCOPE_WEB_H
#define MIGSCOPE_WEB_H

struct web_file {
	const char *path;	/* in a URL */
	const char *type;
	const char *data, *end;
};

/* NULL: there is no such file. */
const struct web_file *web_find(const char *path);

#endif
