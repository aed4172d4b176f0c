/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the BPF host share: bpf_host.c keeps it and reads what the
 * programs count, bpf_attach.c loads and attaches them, bpf_pin.c leaves them behind.
 */
#ifndef MIGSCOPE_BPF_HOST_PRIVATE_H
#define MIGSCOPE_BPF_HOST_PRIVATE_H

#include <bpf/libbpf.h>
#include <stdbool.h>
#include <time.h>
#include "bpf_host.h"

#define HOST_MAPS	64
#define HOST_OBJECTS	64

struct host_map {
	char name[32];
	int fd;
};

struct bpf_host {
	const struct ms_opts *opts;
	char *sources;			/* NULL: all */
	struct probe *probe;
	struct bpf_link **link;		/* one per probe, NULL when not attached */
	int *link_fd;			/* one per probe: an iterator that was passed to us, or -1 */
	struct bpf_program **prog;
	__u64 *missed;			/* one per probe: of what its program counts, already in MS_SELF_MISSED */
	size_t probes;
	struct bpf_object *object[HOST_OBJECTS];
	size_t objects;
	struct host_map map[HOST_MAPS];
	size_t maps;
	struct kernel_info *kernel;
	char refused[PROBE_ITER + 1][200];	/* by enum probe_how: why this kernel allows none; empty: it does */
	double since;			/* CLOCK_MONOTONIC, s: when the first probe was attached */
	char *kept;			/* folder of a bpf file system where all of it is pinned; NULL: none */
	int kept_fd;			/* locks it; -1: none */
	double discovered;		/* when all files were looked through last, s; 0: not yet */
	void *found;			/* what that found of rings, until it is asked for; malloc'ed */
	long found_len;
	__u64 found_changes;		/* MS_SELF_RING_CHANGES before it */
};

/* Is @name an element of the comma separated @list? NULL is an empty list. */
bool host_in_list(const char *list, const char *name);

/* One with nothing loaded; NULL: no memory, or the options are wrong, which was said. */
struct bpf_host *bpf_host_new(const struct ms_opts *opts, const char *sources);

/* The probe of that name, or NULL. */
struct probe *host_probe(struct bpf_host *host, const char *name);

/* Is this probe one that the command line asks for? *@why: what else it takes, or NULL. */
bool host_wants(const struct bpf_host *host, const struct probe *p, const char **why);

/* Is a map of that name filled by what is asked for? Large ones are not made where nothing does. */
bool host_needs_map(const struct bpf_host *host, const char *name);

/* Adds @n to a counter of our own. No program of ours may count @what meanwhile. */
void host_count_self(const struct bpf_host *host, enum ms_self what, __s64 n);

/* How often the program of probe @i was not run because it ran already; 0: not known. */
__u64 host_missed(const struct bpf_host *host, size_t i);

/*
 * Since when ends are hooked, in @config: what is not attached is not, what was not hooked so
 * far is from @now_ns on (CLOCK_MONOTONIC).
 */
struct ms_config;
void host_ends(const struct bpf_host *host, struct ms_config *config, __u64 now_ns);

/* What tells these programs from those of another build. */
__u64 host_build(void);

/* Takes the pins of a probe away, if there are any. */
void host_unpin_probe(const struct bpf_host *host, const struct probe *p);

/* Pins what is not pinned yet where all of it is kept. 0 or -errno, with the reason printed. */
int host_keep(struct bpf_host *host);

/* Keeps what libbpf says, to be quoted when a load fails; @verbose: prints it, too. */
void bpf_attach_log(bool verbose);

#endif
