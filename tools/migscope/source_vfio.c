// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"
#include "vm_names.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

static bool pair(const struct bpf_host *host, const char *begin, const char *end)
{
	return bpf_host_has(host, begin) && bpf_host_has(host, end);
}

static void measures(const struct bpf_host *host, bool *measured)
{
	/* with our own type1, each ioctl has an event */
	bool events = bpf_host_has(host, "vfio_map");
	bool ioctl = pair(host, "vfio_ioctl_begin", "vfio_ioctl_end");

	measured[MEASURE_VFIO_MAP] = ioctl;
	measured[MEASURE_VFIO_UNMAP] = events ? bpf_host_has(host, "vfio_unmap") : ioctl;
	measured[MEASURE_VFIO_SWITCH] = events ? bpf_host_has(host, "vfio_dirty_start") &&
						 bpf_host_has(host, "vfio_dirty_stop") : ioctl;
	measured[MEASURE_VFIO_DIRTY] = bpf_host_has(host, "vfio_dirty_get");
	measured[MEASURE_VFIO_GET] = events ? measured[MEASURE_VFIO_DIRTY] : ioctl;
	measured[MEASURE_VFIO_PIN] = pair(host, "vfio_pin_begin", "vfio_pin_end");
	measured[MEASURE_VFIO_UNPIN] = pair(host, "vfio_unpin_begin", "vfio_unpin_end");
	measured[MEASURE_VFIO_PINNED] = measured[MEASURE_VFIO_PIN] && measured[MEASURE_VFIO_UNPIN];
	measured[MEASURE_VFIO_RW] = pair(host, "vfio_rw_begin", "vfio_rw_end");
	measured[MEASURE_VFIO_STATE] = ioctl;
	measured[MEASURE_VFIO_MIG] = bpf_host_has(host, "vfio_state");
}

struct visit {
	struct bpf_host *host;
	const struct model_who *who;
	struct model *m;
};

static int add_container(unsigned long long id, const void *value, void *arg)
{
	const struct ms_vfio *v = value;
	struct visit *visit = arg;
	struct model_dev *d;

	if (model_owner_gone(visit->who, &v->owner)) {
		vm_names_forget_dev(visit->who->names, id);
		bpf_map_delete_elem(bpf_host_map(visit->host, "ms_vfios"), &id);
		return 0;
	}
	d = model_dev_add(visit->m, id);
	if (!d)
		return -ENOMEM;
	d->has_vfio = true;
	memcpy(&d->vfio, v, sizeof(d->vfio));
	/* two hooks count it: an unpin may be seen whose pin is not, or not yet */
	if (d->vfio.pinned < 0)
		d->vfio.pinned = 0;
	return 0;
}

static bool name_container(struct bpf_host *host, const struct model_who *who, struct model_dev *d)
{
	struct ms_owner *owner = &d->vfio.owner;
	bool wanted = model_dev_name(who, d, owner, "container", false);

	d->number = vm_names_number(who->names, d->id, owner, "container");
	/* where its end is not hooked it is written down, so that it is forgotten in time */
	if (!d->alive && !owner->died_ns) {
		owner->died_ns = who->now_ns;
		bpf_map_update_elem(bpf_host_map(host, "ms_vfios"), &d->id, &d->vfio, BPF_EXIST);
	}
	return wanted;
}

static int add_mig(unsigned long long id, const void *value, void *arg)
{
	const struct ms_vfio_mig *v = value;
	struct visit *visit = arg;
	struct model_dev *d;

	if (model_owner_gone(visit->who, &v->owner)) {
		bpf_map_delete_elem(bpf_host_map(visit->host, "ms_vfio_migs"), &id);
		return 0;
	}
	d = model_dev_add(visit->m, id);
	if (!d)
		return -ENOMEM;
	d->has_mig = true;
	memcpy(&d->mig, v, sizeof(d->mig));
	return 0;
}

static bool name_mig(struct bpf_host *host, const struct model_who *who, struct model_dev *d)
{
	struct ms_owner *owner = &d->mig.owner;
	char name[MS_VFIO_NAME_LEN + 1] = "";
	bool wanted;
	__u64 until;

	memcpy(name, d->mig.name, MS_VFIO_NAME_LEN);
	wanted = model_dev_name(who, d, owner, name, true);
	/* its process's end is its own */
	if (!d->alive && !owner->died_ns) {
		owner->died_ns = who->now_ns;
		bpf_map_update_elem(bpf_host_map(host, "ms_vfio_migs"), &d->id, &d->mig, BPF_EXIST);
	}
	/* with what it has been in its last state; a counter does not go back when it ends */
	until = owner->died_ns ? owner->died_ns : who->now_ns;
	if (d->mig.since_ns && d->mig.state < MS_VFIO_STATES && until > d->mig.since_ns)
		d->mig.in_ns[d->mig.state] += until - d->mig.since_ns;
	return wanted;
}

static bool name_device(struct bpf_host *host, const struct model_who *who, struct model_dev *d)
{
	if (d->has_vfio)
		return name_container(host, who, d);
	return !d->has_mig || name_mig(host, who, d);
}

static int devices(struct bpf_host *host, const struct model_who *who, struct model *m)
{
	struct visit visit = { host, who, m };
	int err = bpf_host_walk(host, "ms_vfios", sizeof(struct ms_vfio), add_container, &visit);

	if (!err || err == -ENOENT)
		err = bpf_host_walk(host, "ms_vfio_migs", sizeof(struct ms_vfio_mig), add_mig, &visit);
	/* their numbers go by age */
	model_dev_sort(m);
	for (size_t i = 0; i < m->devs;)
		if (!name_device(host, who, &m->dev[i]))
			model_dev_drop(m, &m->dev[i]);
		else
			i++;
	return err == -ENOENT ? 0 : err;
}

const struct source source_vfio = {
	.name = "vfio",
	.measures = measures,
	.devices = devices,
};
