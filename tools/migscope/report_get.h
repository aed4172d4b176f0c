/* SPDX-License-Identifier: GPL-2.0 */
/* Reading the object that report_read() makes: what is not there is NULL, "" or 0. */
#ifndef MIGSCOPE_REPORT_GET_H
#define MIGSCOPE_REPORT_GET_H

#include <json-c/json.h>

static inline struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, key, &value);
	return value;
}

static inline const char *text(struct json_object *o, const char *key)
{
	struct json_object *value = member(o, key);

	return value ? json_object_get_string(value) : "";
}

static inline double number(struct json_object *o, const char *key)
{
	return json_object_get_double(member(o, key));
}

static inline size_t length(struct json_object *o, const char *key)
{
	struct json_object *list = member(o, key);

	return list ? json_object_array_length(list) : 0;
}

static inline struct json_object *item(struct json_object *o, const char *key, size_t i)
{
	return json_object_array_get_idx(member(o, key), i);
}

#endif
