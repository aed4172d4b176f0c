// SPDX-License-Identifier: GPL-2.0
/* migscope pin, unpin: leave the probes running, for bpftool and others to read. */
#include "bpf_host.h"
#include "migscope.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct args {
	const char *dir;
	const char *sources;
};

static const struct argp_option pin_options[] = {
	{ "source", 's', "NAME,..", 0, "Pin these sources only", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 's':
		a->sources = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_error(state, "%s: one argument too many", arg);
		/* names below it must fit as well */
		if (strlen(arg) > PATH_MAX - 64)
			argp_error(state, "that path is too long");
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir)
			argp_error(state, "the folder is missing, e.g. /sys/fs/bpf/migscope");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp pin_argp = {
	pin_options, parse, "DIR",
	"Attaches the probes and pins programs, links and maps below DIR on a bpf file system, "
	"where they stay until they are unpinned: DIR/progs, DIR/links, DIR/maps.\v"
	"Exit status: 0 done, 1 failure, 2 usage, 3 no probe could be attached.", NULL, NULL, NULL
};

static const struct argp unpin_argp = {
	NULL, parse, "DIR", "Detaches and removes what pin left below DIR.\v"
	"Exit status: 0 done, 1 failure, 2 usage.", NULL, NULL, NULL
};

int cmd_pin(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { 0 };
	int ret = MS_EXIT_FAILURE, attached, err;
	struct bpf_host *host;

	if (argp_parse(&pin_argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	if (!bpf_host_on_bpffs(a.dir)) {
		ms_error("%s: not on a bpf file system (mount -t bpf bpf /sys/fs/bpf)", a.dir);
		return MS_EXIT_FAILURE;
	}
	if (!access(a.dir, F_OK)) {
		ms_error("%s: is there already; unpin it first, or choose another folder", a.dir);
		return MS_EXIT_FAILURE;
	}
	err = bpf_host_open(opts, a.sources, &host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	attached = bpf_host_attach(host);
	if (!bpf_host_sees(host)) {
		ms_error("no probe could be attached; migscope doctor says why");
		ret = MS_EXIT_BLIND;
	} else if (bpf_host_pin(host, a.dir)) {
		bpf_host_unpin(a.dir);
	} else {
		printf("%d probes pinned below %s\n", attached, a.dir);
		ret = MS_EXIT_OK;
	}
	bpf_host_close(host);
	return ret;
}

int cmd_unpin(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { 0 };
	char path[PATH_MAX];
	int err;

	(void)opts;
	if (argp_parse(&unpin_argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	snprintf(path, sizeof(path), "%s/links", a.dir);
	if (!bpf_host_on_bpffs(a.dir) || access(path, F_OK)) {
		ms_error("%s: nothing of ours is pinned there", a.dir);
		return MS_EXIT_FAILURE;
	}
	err = bpf_host_unpin(a.dir);
	/* which was said */
	if (err == -EWOULDBLOCK)
		return MS_EXIT_FAILURE;
	if (err) {
		ms_error("%s: not all of it could be removed: %s", a.dir, strerror(-err));
		return MS_EXIT_FAILURE;
	}
	return MS_EXIT_OK;
}
