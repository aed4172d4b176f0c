// SPDX-License-Identifier: GPL-2.0
#include "bpf_host.h"
#include "model.h"

#include <bpf/bpf.h>
#include <errno.h>

static void measures(const struct bpf_host *host, bool *measured)
{
	measured[MEASURE_LOG_GET] = bpf_host_has(host, "log_get_begin") &&
				    bpf_host_has(host, "log_get_end");
	measured[MEASURE_LOG_CLEAR] = bpf_host_has(host, "log_clear_begin") &&
				      bpf_host_has(host, "log_clear_end");
	measured[MEASURE_LOG_TOGGLE] = bpf_host_has(host, "log_toggle_begin") &&
				       bpf_host_has(host, "log_toggle_end");
	measured[MEASURE_LOG_DIRTY] = bpf_host_has(host, "log_sync");
	measured[MEASURE_LOG_MARKS] = bpf_host_has(host, "log_mark");
}

static int sample(struct bpf_host *host, struct model *m)
{
	int fd = bpf_host_map(host, "ms_log_vms");

	if (fd < 0 || !(m->measured[MEASURE_LOG_GET] || m->measured[MEASURE_LOG_CLEAR] ||
			m->measured[MEASURE_LOG_TOGGLE] || m->measured[MEASURE_LOG_MARKS]))
		return 0;
	for (size_t i = 0; i < m->vms; i++) {
		struct model_vm *vm = &m->vm[i];

		/* one that never called has counted zero of what is measured */
		vm->has_log = true;
		if (bpf_map_lookup_elem(fd, &vm->id, &vm->log) && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static void forget(struct bpf_host *host, __u64 vm)
{
	int fd = bpf_host_map(host, "ms_log_vms");

	if (fd >= 0)
		bpf_map_delete_elem(fd, &vm);
}

const struct source source_dirty_log = { "dirty_log", measures, sample, forget };
