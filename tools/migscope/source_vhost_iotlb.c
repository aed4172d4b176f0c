// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"
#include "vm_names.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>

static void measures(const struct bpf_host *host, bool *measured)
{
	bool msg = bpf_host_has(host, "iotlb_msg_begin") && bpf_host_has(host, "iotlb_msg_end");
	bool add = bpf_host_has(host, "iotlb_add_end"), miss = bpf_host_has(host, "iotlb_miss");

	measured[MEASURE_IOTLB_MISS] = miss;
	measured[MEASURE_IOTLB_WAIT] = miss && msg && add && bpf_host_has(host, "iotlb_clear");
	measured[MEASURE_IOTLB_UPDATE] = msg && add;
	measured[MEASURE_IOTLB_INVALIDATE] = msg && bpf_host_has(host, "iotlb_del");
	measured[MEASURE_IOTLB_ERROR] = msg && add;
	/* by the event, or by what the table holds before and after */
	measured[MEASURE_IOTLB_EVICT] = msg && add && bpf_host_has(host, "iotlb_add_begin");
	measured[MEASURE_IOTLB_TABLE] = msg;
	measured[MEASURE_IOTLB_HIT] = miss && bpf_host_has(host, "iotlb_translate") &&
				      bpf_host_has(host, "iotlb_access_begin") &&
				      bpf_host_has(host, "iotlb_access_end");
}

struct visit {
	struct bpf_host *host;
	const struct model_who *who;
	struct model *m;
};

/* Waits under way: how many, and the longest. */
static void look_at_waits(struct model_dev *d, __u64 now_ns)
{
	for (int i = 0; i < MS_IOTLB_WAITS; i++) {
		__u64 since = d->iotlb.wait[i].since_ns;
		double s;

		if (since <= 1)
			continue;
		d->pending++;
		/* one may have begun after we looked at the clock */
		s = now_ns > since ? (now_ns - since) / 1e9 : 0;
		if (s > d->oldest)
			d->oldest = s;
	}
}

/* A device of which there is one in the host has its number in its name. */
static bool has_number(const char *file)
{
	size_t len = strlen(file);

	return len && isdigit((unsigned char)file[len - 1]);
}

static int add_device(unsigned long long id, const void *value, void *arg)
{
	const struct ms_iotlb_dev *v = value;
	struct visit *visit = arg;
	struct model_dev *d;

	if (model_owner_gone(visit->who, &v->owner)) {
		vm_names_forget_dev(visit->who->names, id);
		bpf_map_delete_elem(bpf_host_map(visit->host, "ms_iotlb_devs"), &id);
		return 0;
	}
	d = model_dev_add(visit->m, id);
	if (!d)
		return -ENOMEM;
	d->has_iotlb = true;
	memcpy(&d->iotlb, v, sizeof(d->iotlb));
	return 0;
}

/* Names a device; false if it is not one that was asked for. */
static bool name_device(struct bpf_host *host, const struct model_who *who, struct model_dev *d)
{
	struct ms_owner *owner = &d->iotlb.owner;
	char file[MS_FILE_LEN + 1] = "";
	bool wanted;

	memcpy(file, d->iotlb.file, MS_FILE_LEN);
	wanted = model_dev_name(who, d, owner, *file ? file : "vhost", has_number(file));
	/* where its end is not hooked it is written down, so that it is forgotten in time */
	if (!d->alive && !owner->died_ns) {
		owner->died_ns = who->now_ns;
		bpf_map_update_elem(bpf_host_map(host, "ms_iotlb_devs"), &d->id, &d->iotlb, BPF_EXIST);
	}
	return wanted;
}

static int devices(struct bpf_host *host, const struct model_who *who, struct model *m)
{
	struct visit visit = { host, who, m };
	int err = bpf_host_walk(host, "ms_iotlb_devs", sizeof(struct ms_iotlb_dev), add_device, &visit);

	/* their numbers go by age */
	model_dev_sort(m);
	for (size_t i = 0; i < m->devs;) {
		struct model_dev *d = &m->dev[i];

		if (d->has_iotlb && !name_device(host, who, d)) {
			model_dev_drop(m, d);
			continue;
		}
		look_at_waits(d, who->now_ns);
		i++;
	}
	return err == -ENOENT ? 0 : err;
}

const struct source source_vhost_iotlb = {
	.name = "vhost_iotlb",
	.measures = measures,
	.devices = devices,
};
