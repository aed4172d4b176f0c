/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the JSON renderer share. */
#ifndef MIGSCOPE_RENDER_JSON_H
#define MIGSCOPE_RENDER_JSON_H

#include <json-c/json.h>
#include "render.h"

void json_add(struct json_object *o, const char *key, struct json_object *value);
void json_add_u64(struct json_object *o, const char *key, __u64 value);
void json_add_double(struct json_object *o, const char *key, double value);
void json_add_string(struct json_object *o, const char *key, const char *value);
void json_add_time_hist(struct json_object *o, const char *key, const struct ms_time_hist *h);

/* The list of devices. */
struct json_object *json_devices(const struct model *m);

#endif
