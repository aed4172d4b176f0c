// SPDX-License-Identifier: GPL-2.0
/* migscope release: have all that watch a module let it go, so that it can be unloaded. */
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "release.h"

#include <argp.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S	0.1

struct args {
	const char *module;
	double timeout;
	bool take_back;
};

static const struct argp_option options[] = {
	{ "timeout", 't', "TIME", 0, "Wait at most TIME for all to let go (10s)", 0 },
	{ "take-back", 'b', NULL, 0, "It is not to be unloaded after all: they may watch it again", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 't':
		a->timeout = ms_parse_time(arg);
		if (a->timeout < 0)
			argp_error(state, "%s: not a duration (10s, 2m)", arg);
		return 0;
	case 'b':
		a->take_back = true;
		return 0;
	case ARGP_KEY_ARG:
		if (a->module)
			argp_error(state, "%s: one argument too many", arg);
		if (strchr(arg, '/') || *arg == '.' || strlen(arg) > 64)
			argp_error(state, "%s: not the name of a module", arg);
		/* what is watched of KVM is in the module that both vendors' use */
		a->module = !strcmp(arg, "kvm_amd") || !strcmp(arg, "kvm_intel") ? "kvm" : arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->module)
			argp_error(state, "the module is missing");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "MODULE",
	"Has every migscope that runs here let go of MODULE, so that it can be unloaded. What they "
	"counted stays; they watch it again when it has been loaded anew.\v"
	"stat, top and record look once an interval. What is pinned is not theirs: migscope unpin.\n\n"
	"Exit status: 0 nothing of migscope's holds it, 1 something still does, or another failure, 2 usage.",
	NULL, NULL, NULL
};

/* Id of the module's BTF; 0: it has none. */
static __u32 btf_of(const char *module)
{
	struct bpf_btf_info info;
	__u32 id = 0, len;
	char name[64];
	int fd;

	while (!bpf_btf_get_next_id(id, &id)) {
		fd = bpf_btf_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		info.name = (unsigned long)name;
		info.name_len = sizeof(name);
		len = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.kernel_btf && !strcmp(name, module)) {
			close(fd);
			return id;
		}
		close(fd);
	}
	return 0;
}

/* How many programs of ours are on something of that BTF; -errno. */
static int programs_on(__u32 btf)
{
	struct bpf_prog_info info;
	__u32 id = 0, len;
	int fd, n = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return -errno;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &len) && info.attach_btf_obj_id == btf &&
		    !strncmp(info.name, "ms_", 3))
			n++;
		close(fd);
	}
	return n;
}

static int take_back(const char *module)
{
	int err = release_take_back(module);

	if (err == -ENOENT)
		ms_error("%s: nobody was asked to let it go", module);
	else if (err)
		ms_error("%s: %s", module, strerror(-err));
	return err ? MS_EXIT_FAILURE : MS_EXIT_OK;
}

int cmd_release(const struct ms_opts *opts, int argc, char **argv)
{
	struct args a = { .timeout = 10 };
	int err, before, left;
	double end;
	__u32 btf;

	(void)opts;
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	if (a.take_back)
		return take_back(a.module);
	if (!kernel_info_module(a.module)) {
		ms_error("%s: no module of that name is loaded", a.module);
		return MS_EXIT_FAILURE;
	}
	ms_catch_signals();
	btf = btf_of(a.module);
	before = btf ? programs_on(btf) : 0;
	err = before < 0 ? before : release_ask(a.module);
	if (err) {
		ms_error("%s: %s", a.module, strerror(-err));
		return MS_EXIT_FAILURE;
	}
	end = clock_seconds(CLOCK_MONOTONIC) + a.timeout;
	while ((left = btf ? programs_on(btf) : 0) > 0 && !ms_stop && clock_seconds(CLOCK_MONOTONIC) < end)
		clock_sleep_until(clock_seconds(CLOCK_MONOTONIC) + LOOK_S, -1);
	if (left) {
		ms_error("%s: %d programs of migscope's still hold it: pinned ones (migscope unpin), or of a "
			 "migscope that looks more seldom", a.module, left);
		return MS_EXIT_FAILURE;
	}
	printf("%s: let go, %d programs; they come back when it has been loaded again\n", a.module, before);
	return MS_EXIT_OK;
}
