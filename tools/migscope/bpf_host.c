// SPDX-License-Identifier: GPL-2.0
#include "bpf_host_private.h"
#include "clock.h"
#include "kernel_info.h"
#include "release.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISCOVER_EVERY_S 10
#define WALK_BATCH	1024		/* elements at a time: a system call for each would be dear */
#define WALK_BATCH_MAX	(1 << 20)

bool host_in_list(const char *list, const char *name)
{
	size_t len = strlen(name);
	const char *p;

	for (p = list; p && (p = strstr(p, name)); p += len)
		if ((p == list || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

struct probe *host_probe(struct bpf_host *host, const char *name)
{
	for (size_t i = 0; i < host->probes; i++)
		if (!strcmp(host->probe[i].name, name))
			return &host->probe[i];
	return NULL;
}

/* --target PROBE=FUNCTION */
static int apply_targets(struct bpf_host *host)
{
	for (size_t i = 0; i < host->opts->targets; i++) {
		const char *arg = host->opts->target[i], *eq = strchr(arg, '=');
		struct probe *p;
		char name[64];

		snprintf(name, sizeof(name), "%.*s", eq ? (int)(eq - arg) : 0, arg);
		p = eq && eq[1] ? host_probe(host, name) : NULL;
		if (!p) {
			ms_error("--target %s: give PROBE=FUNCTION, with a PROBE that doctor lists", arg);
			return -EINVAL;
		}
		p->target = eq + 1;
	}
	return 0;
}

/* Every name in a list of sources must be one that the table knows. */
static int check_sources(struct bpf_host *host)
{
	char *copy, *name, *save = NULL;
	int err = 0;

	if (!host->sources)
		return 0;
	copy = strdup(host->sources);
	if (!copy)
		return -ENOMEM;
	if (!*copy) {
		ms_error("no source named");
		err = -EINVAL;
	}
	for (name = strtok_r(copy, ",", &save); name && !err; name = strtok_r(NULL, ",", &save)) {
		size_t i;

		for (i = 0; i < host->probes; i++)
			if (!strcmp(host->probe[i].source, name))
				break;
		if (i == host->probes) {
			ms_error("%s: no such source", name);
			err = -EINVAL;
		}
	}
	free(copy);
	return err;
}

static int host_init(struct bpf_host *host, const struct ms_opts *opts, const char *sources)
{
	int err;

	host->opts = opts;
	host->kept_fd = -1;
	if (sources && !(host->sources = strdup(sources)))
		return -ENOMEM;
	host->probe = probes_new(&host->probes);
	host->link = calloc(host->probes, sizeof(*host->link));
	host->link_fd = calloc(host->probes, sizeof(*host->link_fd));
	host->prog = calloc(host->probes, sizeof(*host->prog));
	host->missed = calloc(host->probes, sizeof(*host->missed));
	if (!host->probe || !host->link || !host->link_fd || !host->prog || !host->missed)
		return -ENOMEM;
	for (size_t i = 0; i < host->probes; i++)
		host->link_fd[i] = -1;
	err = check_sources(host);
	return err ? err : apply_targets(host);
}

struct bpf_host *bpf_host_new(const struct ms_opts *opts, const char *sources)
{
	struct bpf_host *host = calloc(1, sizeof(*host));

	if (host && host_init(host, opts, sources)) {
		bpf_host_close(host);
		host = NULL;
	}
	return host;
}

int bpf_host_open(const struct ms_opts *opts, const char *sources, struct bpf_host **out)
{
	struct bpf_host *host = calloc(1, sizeof(*host));
	int err = -ENOMEM;

	if (!host)
		return err;
	bpf_attach_log(opts->verbose);
	err = host_init(host, opts, sources);
	if (err)
		goto fail;
	err = kernel_info_open(opts->btf, &host->kernel);
	if (err)
		goto fail;
	*out = host;
	return 0;
fail:
	bpf_host_close(host);
	return err;
}

void bpf_host_close(struct bpf_host *host)
{
	if (!host)
		return;
	for (size_t i = 0; host->link && i < host->probes; i++)
		bpf_link__destroy(host->link[i]);
	for (size_t i = 0; host->link_fd && i < host->probes; i++)
		if (host->link_fd[i] >= 0)
			close(host->link_fd[i]);
	for (size_t i = 0; i < host->objects; i++)
		bpf_object__close(host->object[i]);
	for (size_t i = 0; i < host->maps; i++)
		close(host->map[i].fd);
	if (host->kept_fd >= 0)
		close(host->kept_fd);
	kernel_info_close(host->kernel);
	free(host->kept);
	free(host->found);
	free(host->link);
	free(host->link_fd);
	free(host->prog);
	free(host->missed);
	free(host->probe);
	free(host->sources);
	free(host);
}

int bpf_host_map(const struct bpf_host *host, const char *name)
{
	for (size_t i = 0; i < host->maps; i++)
		if (!strcmp(host->map[i].name, name))
			return host->map[i].fd;
	return -ENOENT;
}

__u64 bpf_host_self(const struct bpf_host *host, enum ms_self what)
{
	int fd = bpf_host_map(host, "ms_self");
	__u32 key = what;
	__u64 n = 0;

	if (fd >= 0)
		bpf_map_lookup_elem(fd, &key, &n);
	return n;
}

void host_count_self(const struct bpf_host *host, enum ms_self what, __s64 n)
{
	__u64 value = bpf_host_self(host, what) + n;
	int fd = bpf_host_map(host, "ms_self");
	__u32 key = what;

	if (fd >= 0)
		bpf_map_update_elem(fd, &key, &value, BPF_ANY);
}

__u64 bpf_host_ring_changes(const struct bpf_host *host)
{
	/* in this order: equal, they were so when the second was read */
	__u64 done = bpf_host_self(host, MS_SELF_RING_CHANGED);
	__u64 begun = bpf_host_self(host, MS_SELF_RING_CHANGES);

	return begun == done ? begun : ~0ULL;
}

__u64 host_missed(const struct bpf_host *host, size_t i)
{
	struct bpf_prog_info info = { 0 };
	struct bpf_link_info link = { 0 };
	__u32 len = sizeof(link);
	int fd, err;

	if (!host->link[i])
		return 0;
	/* one that was taken over is known by its link only */
	if (!host->prog[i] && bpf_obj_get_info_by_fd(bpf_link__fd(host->link[i]), &link, &len))
		return 0;
	fd = host->prog[i] ? bpf_program__fd(host->prog[i]) : bpf_prog_get_fd_by_id(link.prog_id);
	len = sizeof(info);
	err = fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!host->prog[i] && fd >= 0)
		close(fd);
	return err ? 0 : info.recursion_misses;
}

void bpf_host_count_missed(struct bpf_host *host)
{
	__u64 more = 0;

	for (size_t i = 0; i < host->probes; i++) {
		__u64 n = host_missed(host, i);

		/* less: it is another program, of a module that came back */
		more += n > host->missed[i] ? n - host->missed[i] : 0;
		host->missed[i] = n;
	}
	if (more)
		host_count_self(host, MS_SELF_MISSED, more);
}

__u64 bpf_host_ends(const struct bpf_host *host)
{
	int fd = bpf_host_map(host, "ms_config");
	struct ms_config config;
	__u32 zero = 0;

	return fd < 0 || bpf_map_lookup_elem(fd, &zero, &config) ? 0 : config.ends;
}

long bpf_host_found(struct bpf_host *host, void **data, __u64 *changes)
{
	if (!host->found)
		return -ENOENT;
	*data = host->found;
	*changes = host->found_changes;
	host->found = NULL;
	return host->found_len;
}

int bpf_host_discover(struct bpf_host *host)
{
	/* what they find they leave in maps */
	static const char *const devices[] = { "iotlb_files", "vfio_files" };
	double now = clock_seconds(CLOCK_MONOTONIC);
	void *found = NULL;
	long len;

	free(host->found);
	host->found = NULL;
	if (bpf_host_has(host, "vm_destroy") && bpf_host_has(host, "ring_alloc") &&
	    host->discovered && now - host->discovered < DISCOVER_EVERY_S)
		return 0;
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (bpf_host_read(host, devices[i], &found) >= 0) {
			free(found);
			found = NULL;
		}
	host->found_changes = bpf_host_ring_changes(host);
	len = bpf_host_read(host, "vm_files", &found);
	if (len < 0)
		return len;
	host->found = found;
	host->found_len = len;
	host->discovered = now;
	return 0;
}

const struct kernel_info *bpf_host_kernel(const struct bpf_host *host)
{
	return host->kernel;
}

double bpf_host_since(const struct bpf_host *host)
{
	return host->since;
}

bool bpf_host_sees(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++) {
		const struct probe *p = &host->probe[i];

		if (p->state == PROBE_ATTACHED && p->how != PROBE_ITER && strcmp(p->source, "vm"))
			return true;
	}
	return false;
}

bool bpf_host_waits(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++)
		if (host->probe[i].state == PROBE_WAITING)
			return true;
	return false;
}

bool bpf_host_blind(const struct bpf_host *host)
{
	bool refused = false;

	for (size_t i = 0; i < host->probes; i++)
		refused |= host->probe[i].state == PROBE_REFUSED;
	/* who is refused in one module will be in the next */
	return !bpf_host_sees(host) && (refused || !bpf_host_waits(host));
}

bool bpf_host_stale(const struct bpf_host *host)
{
	for (size_t i = 0; i < host->probes; i++) {
		const struct probe *p = &host->probe[i];

		if (p->state == PROBE_WAITING && kernel_info_module(p->module) && !release_wanted(p->module))
			return true;
		if (p->state == PROBE_ATTACHED && release_wanted(p->module))
			return true;
	}
	return false;
}

const struct probe *bpf_host_probes(const struct bpf_host *host, size_t *n)
{
	*n = host->probes;
	return host->probe;
}

bool bpf_host_has(const struct bpf_host *host, const char *probe)
{
	for (size_t i = 0; i < host->probes; i++) {
		const struct probe *p = &host->probe[i];

		if (p->state == PROBE_ATTACHED &&
		    (!strcmp(p->name, probe) || host_in_list(p->instead, probe)))
			return true;
	}
	return false;
}

bool bpf_host_has_itself(const struct bpf_host *host, const char *probe)
{
	const struct probe *p = host_probe((struct bpf_host *)host, probe);

	return p && p->state == PROBE_ATTACHED;
}

bool bpf_host_hooks_flush(const struct bpf_host *host)
{
	return bpf_host_has_itself(host, "ring_flush_end") &&
	       bpf_host_has_itself(host, "ring_reset_begin") &&
	       bpf_host_has_itself(host, "ring_reset_end");
}

unsigned int bpf_host_page_part(const struct bpf_host *host)
{
	return host->opts->page_part;
}

bool bpf_host_asked(const struct bpf_host *host, const char *source)
{
	/* the registry of VMs belongs to every source */
	return !host->sources || !strcmp(source, "vm") || host_in_list(host->sources, source);
}

long bpf_host_read(const struct bpf_host *host, const char *probe, void **data)
{
	const struct probe *p = host_probe((struct bpf_host *)host, probe);
	size_t i, len = 0, room = 0;
	char *buf = NULL;
	long err;
	int fd;

	if (!p || p->state != PROBE_ATTACHED)
		return -ENOENT;
	i = p - host->probe;
	fd = bpf_iter_create(host->link[i] ? bpf_link__fd(host->link[i]) : host->link_fd[i]);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t got;

		if (room - len < 65536) {
			char *more = realloc(buf, room + 262144);

			err = -ENOMEM;
			if (!more)
				goto fail;
			buf = more;
			room += 262144;
		}
		got = read(fd, buf + len, room - len);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		err = -errno;
		if (got < 0)
			goto fail;
		if (!got)
			break;
		len += got;
	}
	close(fd);
	*data = buf;
	return len;
fail:
	close(fd);
	free(buf);
	return err;
}

/* 1: there is one, 0: @key was the last, or -errno. */
static int next_key(int fd, const __u64 *key, __u64 *next)
{
	if (!bpf_map_get_next_key(fd, key, next))
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/* One by one: for kernels that have no batches. */
static int walk_single(int fd, size_t value_size,
		       int (*fn)(unsigned long long key, const void *value, void *arg), void *arg)
{
	void *value = malloc(value_size);
	int err = 0, more;
	__u64 key, next;

	if (!value)
		return -ENOMEM;
	/* the next key is fetched before @fn runs, which may delete this one */
	for (more = next_key(fd, NULL, &key); more > 0 && !err; key = next) {
		more = next_key(fd, &key, &next);
		if (!bpf_map_lookup_elem(fd, &key, value))
			err = fn(key, value, arg);
	}
	free(value);
	return err ? err : more;
}

int bpf_host_walk(const struct bpf_host *host, const char *map, size_t value_size,
		  int (*fn)(unsigned long long key, const void *value, void *arg), void *arg)
{
	int fd = bpf_host_map(host, map), err = 0;
	__u32 room = WALK_BATCH, got, at;
	__u64 *key = NULL;
	char *value = NULL;
	bool first = true, last = false;

	if (fd < 0)
		return fd;
	while (!last && !err) {
		/* what nothing is read into is not touched */
		key = key ? key : malloc(room * sizeof(*key));
		value = value ? value : malloc(room * value_size);
		got = room;
		err = key && value ? 0 : -ENOMEM;
		if (err)
			break;
		if (bpf_map_lookup_batch(fd, first ? NULL : &at, &at, key, value, &got, NULL)) {
			/* less room than one bucket has */
			if (errno == ENOSPC && room < WALK_BATCH_MAX) {
				room *= 2;
				free(key);
				free(value);
				key = NULL;
				value = NULL;
				continue;
			}
			last = errno == ENOENT;
			if (!last) {
				err = first ? walk_single(fd, value_size, fn, arg) : -errno;
				break;
			}
		}
		first = false;
		for (__u32 i = 0; i < got && !err; i++)
			err = fn(key[i], value + i * value_size, arg);
	}
	free(key);
	free(value);
	return err;
}
