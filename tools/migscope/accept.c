// SPDX-License-Identifier: GPL-2.0
#include "accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SPACE " \t"

struct range {
	const char *type;	/* not terminated */
	size_t len;
	double q;
	bool version;		/* none, or 1.0.x */
};

static bool is(const struct range *r, const char *type)
{
	return r->len == strlen(type) && !strncasecmp(r->type, type, r->len);
}

/* Is @p, up to @end, `version=1.0.x`, in quotes or not? */
static bool version_known(const char *p, const char *end)
{
	p += *p == '"';
	return end - p >= 3 && !strncmp(p, "1.0", 3) && (p + 3 == end || strchr(".\" \t", p[3]));
}

/* Reads one media range with its parameters; returns what follows it. */
static const char *next(const char *p, struct range *r)
{
	const char *end = p + strcspn(p, ",");

	p += strspn(p, SPACE);
	r->type = p;
	r->len = strcspn(p, ";," SPACE);
	r->q = 1;
	r->version = true;
	for (p += r->len; p < end; p++) {
		const char *word;

		if (*p != ';')
			continue;
		word = p + 1 + strspn(p + 1, SPACE);
		if (!strncasecmp(word, "q=", 2))
			r->q = strtod(word + 2, NULL);
		else if (!strncasecmp(word, "version=", 8))
			r->version = version_known(word + 8, word + strcspn(word, ";,"));
	}
	return *end ? end + 1 : end;
}

bool accept_openmetrics(const char *accept)
{
	double openmetrics = 0, classic = 0, text = -1, any = 0;
	struct range r;

	while (accept && *accept) {
		accept = next(accept, &r);
		if (!(r.q > 0 && r.q <= 1))
			r.q = 0;
		if (is(&r, "application/openmetrics-text") && r.version && r.q > openmetrics)
			openmetrics = r.q;
		else if (is(&r, "text/plain") && r.q > text)
			text = r.q;
		else if ((is(&r, "*/*") || is(&r, "text/*")) && r.q > any)
			any = r.q;
	}
	classic = text >= 0 ? text : any;
	return openmetrics > 0 && openmetrics >= classic;
}
