// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"
#include "vm_names.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SETTLED_NS	1000000000ULL	/* after which a device that is there can be found */

static void measures(const struct bpf_host *host, bool *measured)
{
	measured[MEASURE_VDPA_OP] = bpf_host_has(host, "vdpa_op") ||
		(bpf_host_has(host, "vdpa_status_begin") && bpf_host_has(host, "vdpa_status_end"));
	measured[MEASURE_VDPA_MESSAGE] = bpf_host_has(host, "vdpa_message_begin") &&
					 bpf_host_has(host, "vdpa_message_end");
	measured[MEASURE_VDPA_KICK] = bpf_host_has(host, "vdpa_kick") ||
				      bpf_host_has(host, "vdpa_notify");
	measured[MEASURE_VDPA_CALLBACK] = bpf_host_has(host, "vdpa_callback");
	measured[MEASURE_VDPA_MAP] = bpf_host_has(host, "vhost_vdpa_map");
	measured[MEASURE_VDPA_PINNED] = bpf_host_has(host, "vhost_vdpa_message") ?
					bpf_host_has(host, "vhost_vdpa_pinned") :
					measured[MEASURE_VDPA_MESSAGE] && bpf_host_has(host, "vdpa_close");
	/* by who translates, or by who tells him */
	measured[MEASURE_VDPA_SPACE] = bpf_host_has(host, "vdpa_space") ||
		(bpf_host_has(host, "vhost_vdpa_map") && bpf_host_has(host, "vhost_vdpa_unmap"));
	measured[MEASURE_VDPA_MISS] = bpf_host_has(host, "vdpa_miss") && bpf_host_has(host, "vdpa_denied");
	measured[MEASURE_VDPA_HIT] = bpf_host_has(host, "vdpa_hit");
}

struct visit {
	struct bpf_host *host;
	const struct model_who *who;
	struct model *m;
};

static int add_vdpa(unsigned long long id, const void *value, void *arg)
{
	const struct ms_vdpa *v = value;
	struct visit *visit = arg;
	struct model_dev *d;

	if (model_owner_gone(visit->who, &v->owner)) {
		bpf_map_delete_elem(bpf_host_map(visit->host, "ms_vdpas"), &id);
		return 0;
	}
	d = model_dev_add(visit->m, id);
	if (!d)
		return -ENOMEM;
	d->has_vdpa = v->vdev;
	memcpy(&d->vdpa, v, sizeof(d->vdpa));
	for (int i = 0; i < MS_VDPA_SPACES; i++)
		d->has_spaces |= v->space[i].table;
	return 0;
}

/*
 * Is it on the bus? Its end is not seen while its module is let go, or where it cannot be
 * hooked. Where there is no sysfs it cannot be told.
 */
static bool is_on_bus(const char *name)
{
	char path[sizeof("/sys/bus/vdpa/devices/") + MS_FILE_LEN];

	snprintf(path, sizeof(path), "/sys/bus/vdpa/devices/%s", name);
	return !access(path, F_OK) || access("/sys/bus", F_OK);
}

/* Names a device; false if it is not one that was asked for. */
static bool name_vdpa(struct bpf_host *host, const struct model_who *who, struct model_dev *d)
{
	struct ms_owner *owner = &d->vdpa.owner;
	char name[MS_FILE_LEN + 1] = "";
	bool wanted = false;

	memcpy(name, d->vdpa.name, MS_FILE_LEN);
	if (owner->tgid)
		wanted = model_dev_name(who, d, owner, name, true);
	if (!owner->tgid || model_owner_left(who, owner)) {
		/* the host's own driver has it, or nobody */
		vm_names_clean(d->dev, sizeof(d->dev), name);
		snprintf(d->vm, sizeof(d->vm), "-");
		d->pid = 0;
		wanted = !who->filter->pid && !who->filter->name;
	}
	/* an event may come before the device is where it can be found */
	if (!owner->died_ns && d->has_vdpa && who->now_ns > owner->seen_ns + SETTLED_NS && !is_on_bus(name)) {
		owner->died_ns = who->now_ns;
		bpf_map_update_elem(bpf_host_map(host, "ms_vdpas"), &d->id, &d->vdpa, BPF_EXIST);
	}
	/* it outlives whoever had it open */
	d->alive = !owner->died_ns;
	return wanted;
}

static int devices(struct bpf_host *host, const struct model_who *who, struct model *m)
{
	struct visit visit = { host, who, m };
	int err = bpf_host_walk(host, "ms_vdpas", sizeof(struct ms_vdpa), add_vdpa, &visit);

	for (size_t i = 0; i < m->devs;)
		if ((m->dev[i].has_vdpa || m->dev[i].has_spaces) && !name_vdpa(host, who, &m->dev[i]))
			model_dev_drop(m, &m->dev[i]);
		else
			i++;
	return err == -ENOENT ? 0 : err;
}

const struct source source_vdpa = {
	.name = "vdpa",
	.measures = measures,
	.devices = devices,
};
