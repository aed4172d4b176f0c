// SPDX-License-Identifier: GPL-2.0
/* migscope doctor: what can be watched here, by which hook, and what cannot and why. */
#include "bpf_host.h"
#include "kernel_info.h"
#include "migscope.h"
#include "render.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

struct args {
	bool json;
};

static const struct argp_option options[] = {
	{ "json", 'j', NULL, 0, "One JSON object", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no argument is expected", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, NULL,
	"Attaches every probe, says what became of it, and detaches again.\v"
	"Exit status: 0 everything can be watched, 1 failure, 2 usage, 3 nothing can, 4 only a part can.",
	NULL, NULL, NULL
};

static void print_text(const struct probe *probe, size_t n, const struct module_info *module,
		       size_t modules, const char *note)
{
	const char *source = "";
	struct utsname uts;

	uname(&uts);
	printf("kernel %s\n", uts.release);
	for (size_t i = 0; i < n; i++) {
		const struct probe *p = &probe[i];

		if (strcmp(source, p->source))
			printf("\n%s\n", source = p->source);
		printf("  %-21s %-10s %-28s %s\n", p->name, probe_how_name(p->how), p->target,
		       probe_state_name(p->state));
		if (*p->why)
			printf("  %-21s   %s\n", "", p->why);
		/* that the kernel's own modules have no events is no fault, but a loss */
		if (render_is_lost(p) || (p->state == PROBE_OFF && p->gives && p->instead && *p->why))
			printf("  %-21s   lost without it: %s\n", "", p->gives);
	}
	printf("\nkernel modules\n");
	for (size_t i = 0; i < modules; i++) {
		printf("  %-17s %s\n", module[i].name, module_state_name(module[i].state));
		if (*module[i].why)
			printf("  %-17s   %s\n", "", module[i].why);
	}
	if (*note)
		printf("\n%s\n", note);
}

int cmd_doctor(const struct ms_opts *opts, int argc, char **argv)
{
	struct ms_opts all = *opts;
	const struct probe *probe;
	struct bpf_host *host;
	struct args a = { 0 };
	struct module_info *module = NULL;
	const char *said[2];
	long modules;
	char note[512];
	int ret, err;
	size_t n, usual = 0, seen = 0;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	/* exact mode's probes are tried as well: for as long as it takes to look */
	all.exact = true;
	err = bpf_host_open(&all, NULL, &host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	bpf_host_attach(host);
	probe = bpf_host_probes(host, &n);
	said[0] = kernel_info_pid_namespace();
	said[1] = kernel_info_owners(bpf_host_kernel(host));
	snprintf(note, sizeof(note), "%s%s%s", said[0] ? said[0] : "",
		 said[0] && said[1] ? "; " : "", said[1] ? said[1] : "");
	modules = our_modules_look(probe, n, &module);
	if (modules < 0)
		modules = 0;
	if (a.json) {
		err = render_json_probes(stdout, probe, n, module, modules, *note ? note : NULL);
		ret = err ? MS_EXIT_FAILURE : MS_EXIT_OK;
	} else {
		print_text(probe, n, module, modules, note);
		ret = MS_EXIT_OK;
	}
	free(module);
	for (size_t i = 0; i < n; i++) {
		/* what only our kernel modules have is named, but no fault of this kernel */
		if (probe[i].exact || probe[i].pages || probe[i].instead || probe_is_idle(&probe[i]))
			continue;
		usual++;
		seen += bpf_host_has(host, probe[i].name);
	}
	if (ret == MS_EXIT_OK && !bpf_host_sees(host))
		ret = MS_EXIT_BLIND;
	else if (ret == MS_EXIT_OK && seen < usual)
		ret = MS_EXIT_PARTIAL;
	bpf_host_close(host);
	return ms_wrote_all() ? ret : MS_EXIT_FAILURE;
}
