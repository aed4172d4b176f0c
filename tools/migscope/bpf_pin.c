// SPDX-License-Identifier: GPL-2.0
/* The part of the BPF host that leaves programs, links and maps in a bpf file system. */
#include "bpf_host_private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int make_dir(const char *path)
{
	if (mkdir(path, 0700)) {
		int err = -errno;

		ms_error("%s: %s%s", path, strerror(-err), err == -EPERM && strchr(path, '.') ?
			 " (a bpf file system takes no '.' in a name)" : "");
		return err;
	}
	return 0;
}

static int pin_error(const char *path, int err)
{
	ms_error("%s: cannot be pinned: %s%s", path, strerror(-err),
		 err == -EINVAL || err == -EPERM ? " (is it on a bpf file system?)" : "");
	return err;
}

int bpf_host_pin(struct bpf_host *host, const char *dir)
{
	static const char *const sub[] = { "", "/maps", "/progs", "/links" };
	char path[PATH_MAX];
	int err;

	for (size_t i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", dir, sub[i]);
		err = make_dir(path);
		if (err)
			return err;
	}
	for (size_t i = 0; i < host->maps; i++) {
		snprintf(path, sizeof(path), "%s/maps/%s", dir, host->map[i].name);
		if (bpf_obj_pin(host->map[i].fd, path))
			return pin_error(path, -errno);
	}
	for (size_t i = 0; i < host->probes; i++) {
		if (!host->link[i])
			continue;
		snprintf(path, sizeof(path), "%s/progs/%s", dir, host->probe[i].program);
		if (bpf_obj_pin(bpf_program__fd(host->prog[i]), path))
			return pin_error(path, -errno);
		snprintf(path, sizeof(path), "%s/links/%s", dir, host->probe[i].program);
		err = bpf_link__pin(host->link[i], path);
		if (err)
			return pin_error(path, err);
	}
	return 0;
}
