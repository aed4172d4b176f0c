// SPDX-License-Identifier: GPL-2.0
/* What the live page asks for: every number of the table of metrics, without buckets. */
#include "render.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

struct live {
	struct metric_sink sink;
	struct json_object *values;
};

static void add(struct live *l, const struct metric *m, const char *suffix, const char *const *label,
		struct json_object *value)
{
	char key[160];
	size_t len = snprintf(key, sizeof(key), "%s%s", m->name, suffix);

	for (int i = 0; i < METRIC_LABELS && m->label[i] && len < sizeof(key); i++)
		len += snprintf(key + len, sizeof(key) - len, ",%s", label[i] ? label[i] : "");
	json_object_object_add(l->values, key, value);
}

static struct json_object *real(double d)
{
	char text[40];

	snprintf(text, sizeof(text), "%.12g", d);
	return json_object_new_double_s(d, text);
}

static void put(struct metric_sink *sink, const struct metric *m, const char *const *label,
		const struct metric_value *v)
{
	struct live *l = (struct live *)sink;

	/* who a VM is stands beside its values */
	if (!strcmp(m->name, "vm_info"))
		return;
	if (v->kind == METRIC_U64) {
		add(l, m, "", label, json_object_new_uint64(v->u64));
	} else if (v->kind == METRIC_DOUBLE) {
		add(l, m, "", label, real(v->number));
	} else if (v->hist->has_sum) {
		add(l, m, "_count", label, json_object_new_uint64(v->hist->all));
		add(l, m, "_sum", label, real(v->hist->sum));
	}
}

static struct json_object *vm_object(struct metric_at *at, struct live *l)
{
	struct json_object *o = json_object_new_object();

	l->values = json_object_new_object();
	for (size_t i = 0; i < metrics_count; i++)
		if (metrics[i].scope == METRIC_VM)
			metrics_points(at, &metrics[i]);
	json_object_object_add(o, "id", json_object_new_uint64(at->vm->id));
	json_object_object_add(o, "name", json_object_new_string(at->vm->name));
	json_object_object_add(o, "mode", json_object_new_string(at->vm->info.ring_bytes ? "ring" : "bitmap"));
	json_object_object_add(o, "alive", json_object_new_boolean(at->vm->alive));
	json_object_object_add(o, "v", l->values);
	return o;
}

static struct json_object *device_object(struct metric_at *at, struct live *l)
{
	struct json_object *o = json_object_new_object();

	l->values = json_object_new_object();
	for (size_t i = 0; i < metrics_count; i++)
		if (metrics[i].scope == METRIC_DEV)
			metrics_points(at, &metrics[i]);
	json_object_object_add(o, "id", json_object_new_uint64(at->dev->id));
	json_object_object_add(o, "vm", json_object_new_string(at->dev->vm));
	json_object_object_add(o, "dev", json_object_new_string(at->dev->dev));
	json_object_object_add(o, "alive", json_object_new_boolean(at->dev->alive));
	json_object_object_add(o, "v", l->values);
	return o;
}

/* To the microsecond, also of a time that has ten digits before the point. */
static void add_time(struct json_object *o, const char *key, double seconds)
{
	char text[40];

	snprintf(text, sizeof(text), "%.6f", seconds);
	json_object_object_add(o, key, json_object_new_double_s(seconds, text));
}

int render_live(FILE *out, const struct model *m, double began)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct live l = { .sink.put = put };
	struct metric_at at = { .m = m, .sink = &l.sink };
	const char *said = "";
	int err = 0;

	add_time(o, "time", m->time);
	/* a clock may be set: rates go by this one */
	add_time(o, "monotonic", m->now_ns / 1e9);
	add_time(o, "began", began);
	for (size_t i = 0; i < m->vms; i++) {
		metrics_object(&at, METRIC_VM, i);
		json_object_array_add(list, vm_object(&at, &l));
	}
	json_object_object_add(o, "vms", list);
	list = json_object_new_array();
	for (size_t i = 0; i < m->devs; i++) {
		metrics_object(&at, METRIC_DEV, i);
		json_object_array_add(list, device_object(&at, &l));
	}
	json_object_object_add(o, "devices", list);
	list = json_object_new_array();
	for (size_t i = 0; i < m->probes; i++) {
		/* a measure that needs two hooks is named once */
		if (!render_is_lost(&m->probe[i]) || !strcmp(said, m->probe[i].gives))
			continue;
		said = m->probe[i].gives;
		json_object_array_add(list, json_object_new_string(said));
	}
	json_object_object_add(o, "not_measured", list);
	if (fprintf(out, "%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
								JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
		err = -EIO;
	json_object_put(o);
	return err;
}
