// SPDX-License-Identifier: GPL-2.0
/*
 * migscope selfcheck: runs kvmload, whose dirty pages are known beforehand, and
 * holds what we counted against what it says. Every number must be the same.
 */
#include "bpf_host.h"
#include "kernel_info.h"
#include "migscope.h"
#include "truth.h"
#include "vm_names.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 32

struct args {
	bool all, list;
	const char *only;
	const char *kvmload;
};

static const struct argp_option options[] = {
	{ "all", 'a', NULL, 0, "Every combination, which takes a while", 0 },
	{ "only", 'o', "TEXT", 0, "Only the cases whose name contains TEXT", 0 },
	{ "list", 'l', NULL, 0, "List the cases and end", 0 },
	{ "kvmload", 'k', "PATH", 0, "The workload (beside migscope)", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'a':
		a->all = true;
		return 0;
	case 'l':
		a->list = true;
		return 0;
	case 'o':
		a->only = arg;
		return 0;
	case 'k':
		a->kvmload = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: no argument is expected", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, NULL,
	"Runs a workload whose dirty pages are known and compares every count with it, as TAP.\v"
	"Exit status: 0 all counts are right, 1 failure, 2 usage, 3 nothing can be measured, "
	"5 a count differs.",
	NULL, NULL, NULL
};

/* When the observer comes in. */
enum when {
	BEFORE,			/* before the VM exists */
	MIDDLE,			/* while it runs, all vCPUs stopped for the moment */
};

struct load_case {
	char name[96];
	enum when when;
	bool always;		/* not only with --all */
	const char *argv[ARGS_MAX];
	char text[6][24];	/* numbers that argv points to */
};

/* A kvmload that runs, and its two ends. */
struct load {
	pid_t pid;
	FILE *from, *to;
};

static int load_start(const char *path, const struct load_case *c, struct load *l)
{
	const char *argv[ARGS_MAX + 4] = { path, "--hold", c->when == BEFORE ? "--wait-start" : "--barrier" };
	int in[2], out[2], n = 3;

	for (int i = 0; c->argv[i]; i++)
		argv[n++] = c->argv[i];
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -errno;
	fflush(stdout);
	l->pid = fork();
	if (l->pid < 0)
		return -errno;
	if (!l->pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execv(path, (char **)argv);
		fprintf(stderr, "migscope: %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	l->to = fdopen(in[1], "w");
	l->from = fdopen(out[0], "r");
	return l->to && l->from ? 0 : -ENOMEM;
}

/* Reads up to the next barrier, or to the truth; the line is malloc'ed, NULL at the end. */
static char *load_line(struct load *l)
{
	char *line = NULL;
	size_t room = 0;

	if (getline(&line, &room, l->from) > 0)
		return line;
	free(line);
	return NULL;
}

static bool load_at(struct load *l, const char *where)
{
	char *line = load_line(l), want[32];
	bool ok;

	snprintf(want, sizeof(want), "\"at\":\"%s\"", where);
	ok = line && strstr(line, "\"barrier\":true") && strstr(line, want);
	if (!ok)
		ms_error("kvmload did not come to its %s barrier%s%s", where, line ? ": " : "",
			 line ? line : "");
	free(line);
	return ok;
}

static void load_go_on(struct load *l)
{
	fputc('\n', l->to);
	fflush(l->to);
}

static int load_end(struct load *l)
{
	int status = -1;

	if (l->to)
		fclose(l->to);
	if (l->from)
		fclose(l->from);
	if (l->pid > 0)
		waitpid(l->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int take_sample(struct bpf_host *host, pid_t pid, struct model *m)
{
	struct model_filter filter = { .pid = pid };
	struct vm_names *names = vm_names_new(!kernel_info_pid_namespace());
	int err = names ? model_sample(host, names, &filter, m) : -ENOMEM;

	vm_names_free(names);
	return err;
}

/*
 * Runs one case. @host is attached; for MIDDLE it is detached and comes back when
 * the VM runs, as somebody does who comes to a migration under way. Returns the number of
 * counts that differ, or -errno.
 */
static int run_case(struct bpf_host *host, const char *path, const struct load_case *c)
{
	struct model m = { 0 };
	struct load l = { 0 };
	int err = -EIO, status, differ = 0;
	bool attached = c->when != MIDDLE;
	char *truth = NULL;

	if (!attached)
		bpf_host_detach(host);
	if (load_start(path, c, &l))
		goto out;
	if (!load_at(&l, c->when == BEFORE ? "start" : "middle"))
		goto out;
	if (!attached)
		bpf_host_attach(host);
	attached = true;
	load_go_on(&l);
	if (!load_at(&l, "end"))
		goto out;
	err = take_sample(host, l.pid, &m);
	if (err)
		goto out;
	load_go_on(&l);
	truth = load_line(&l);
	err = -EIO;
	if (!truth)
		goto out;
	differ = truth_compare(truth, c->when == MIDDLE, &m);
	err = differ < 0 ? differ : 0;
out:
	/* the next one's */
	if (!attached)
		bpf_host_attach(host);
	status = load_end(&l);
	if (!err && status) {
		ms_error("kvmload ended with %d", status);
		err = -EIO;
	}
	free(truth);
	model_free(&m);
	return err ? err : differ;
}

static void add_arg(struct load_case *c, const char *arg)
{
	int n = 0;

	while (c->argv[n])
		n++;
	c->argv[n] = arg;
}

static void ring_case(struct load_case *c, int vcpus, const char *pattern, int size, enum when when)
{
	snprintf(c->name, sizeof(c->name), "ring, %d vCPU%s, %s, %d entries, attached %s", vcpus,
		 vcpus > 1 ? "s" : "", pattern, size, when == BEFORE ? "before" : "in the middle");
	c->when = when;
	snprintf(c->text[0], sizeof(c->text[0]), "--vcpus=%d", vcpus);
	snprintf(c->text[1], sizeof(c->text[1]), "--pattern=%s", pattern);
	snprintf(c->text[2], sizeof(c->text[2]), "--ring-size=%d", size);
	add_arg(c, "--mode=ring");
	add_arg(c, "--passes=2");
	for (int i = 0; i < 3; i++)
		add_arg(c, c->text[i]);
}

static void other_case(struct load_case *c, const char *name, enum when when,
		       const char *const *args)
{
	snprintf(c->name, sizeof(c->name), "%s, attached %s", name,
		 when == BEFORE ? "before" : "in the middle");
	c->when = when;
	c->always = when == BEFORE;
	while (*args)
		add_arg(c, *args++);
}

/* All cases; malloc'ed, *@n long. */
static struct load_case *make_cases(size_t *n)
{
	static const struct {
		const char *name;
		const char *args[8];
	} other[] = {
		{ "full rings", { "--mode=ring", "--vcpus=2", "--force-full", "--full-retries=3" } },
		{ "empty resets", { "--mode=ring", "--vcpus=2", "--always-reset", "--reset-every=64" } },
		{ "a tail that is not reset", { "--mode=ring", "--vcpus=2", "--leave-tail" } },
		{ "logging switched", { "--mode=ring", "--toggle-logging=3" } },
		{ "bitmap", { "--mode=bitmap", "--vcpus=2" } },
		{ "bitmap, manual protect", { "--mode=bitmap-manual", "--vcpus=2", "--clear-chunk=64" } },
	};
	static const char *const pattern[] = { "seq", "stride", "random" };
	static const int vcpus[] = { 1, 2, 4 }, size[] = { 1024, 4096 };
	struct load_case *c = calloc(2 * (3 * 3 * 2 + sizeof(other) / sizeof(other[0])), sizeof(*c));

	*n = 0;
	if (!c)
		return NULL;
	for (int v = 0; v < 3; v++)
		for (int p = 0; p < 3; p++)
			for (int s = 0; s < 2; s++)
				for (int w = BEFORE; w <= MIDDLE; w++) {
					/* a selection that has each value at least once */
					c[*n].always = p == v && s == v % 2 && w == (v + 1) % 2;
					ring_case(&c[(*n)++], vcpus[v], pattern[p], size[s], w);
				}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
		for (int w = BEFORE; w <= MIDDLE; w++)
			other_case(&c[(*n)++], other[i].name, w, other[i].args);
	return c;
}

/* kvmload lies beside us when it was built, in libexec when it was installed. */
static bool find_kvmload(const struct args *a, char *path, size_t size)
{
	static const char *const place[] = { "/kvmload", "/../libexec/migscope/kvmload" };
	char self[256], *slash;
	ssize_t len;

	if (a->kvmload) {
		snprintf(path, size, "%s", a->kvmload);
		return !access(path, X_OK);
	}
	len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (len < 0)
		return false;
	self[len] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	for (size_t i = 0; i < sizeof(place) / sizeof(place[0]); i++) {
		snprintf(path, size, "%s%s", self, place[i]);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static bool selected(const struct args *a, const struct load_case *c)
{
	if (a->only)
		return strstr(c->name, a->only);
	return a->all || c->always;
}

int cmd_selfcheck(const struct ms_opts *opts, int argc, char **argv)
{
	struct bpf_host *host = NULL;
	struct load_case *cases;
	struct args a = { 0 };
	int ret = MS_EXIT_FAILURE, differ, nth = 0;
	size_t n, todo = 0, bad = 0, failed = 0, skipped = 0;
	char path[512];

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	cases = make_cases(&n);
	if (!cases)
		return MS_EXIT_FAILURE;
	for (size_t i = 0; i < n; i++) {
		todo += selected(&a, &cases[i]);
		if (a.list && selected(&a, &cases[i]))
			printf("%s\n", cases[i].name);
	}
	if (a.list) {
		ret = MS_EXIT_OK;
		goto out;
	}
	if (!todo) {
		ms_error("no case has that in its name");
		ret = MS_EXIT_USAGE;
		goto out;
	}
	if (!find_kvmload(&a, path, sizeof(path))) {
		ms_error("kvmload is not here; --kvmload says where it is");
		goto out;
	}
	differ = bpf_host_open(opts, NULL, &host);
	if (differ) {
		ret = differ == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
		goto out;
	}
	if (bpf_host_attach(host) <= 0) {
		ms_error("no probe could be attached; migscope doctor says why");
		ret = MS_EXIT_BLIND;
		goto out;
	}
	printf("1..%zu\n", todo);
	for (size_t i = 0; i < n; i++) {
		if (!selected(&a, &cases[i]))
			continue;
		differ = run_case(host, path, &cases[i]);
		if (differ == -ENODATA) {
			skipped++;
			printf("ok %d - %s # SKIP nothing of it is measured here\n", ++nth, cases[i].name);
			continue;
		}
		bad += differ > 0;
		failed += differ < 0;
		printf("%sok %d - %s\n", differ ? "not " : "", ++nth, cases[i].name);
		if (differ < 0)
			printf("# could not be run: %s\n", strerror(-differ));
	}
	ret = failed ? MS_EXIT_FAILURE : bad ? MS_EXIT_DIFFERS : skipped == todo ? MS_EXIT_BLIND : MS_EXIT_OK;
out:
	bpf_host_close(host);
	free(cases);
	return ret;
}
