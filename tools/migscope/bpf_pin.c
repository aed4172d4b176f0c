// SPDX-License-Identifier: GPL-2.0
/* The part of the BPF host that leaves programs, links and maps in a bpf file system. */
#include "bpf_host_private.h"
#include "clock.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <migscope/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

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

static const char *const sub[] = { "links", "progs", "maps" };

/* Unlinks what is ours in an open folder; anything else there is an error. */
static int unpin_folder(DIR *d)
{
	struct dirent *e;
	int err = 0;

	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		/* our programs and maps all begin so */
		if (strncmp(e->d_name, "ms_", 3)) {
			ms_error("%s: not pinned by us, it stays", e->d_name);
			err = -ENOTEMPTY;
		} else if (unlinkat(dirfd(d), e->d_name, 0)) {
			err = -errno;
		}
	}
	return err;
}

static int unpin_folders(const char *dir)
{
	char path[PATH_MAX];
	int err = 0, ret;

	for (size_t i = 0; i < sizeof(sub) / sizeof(sub[0]); i++) {
		DIR *d;

		snprintf(path, sizeof(path), "%s/%s", dir, sub[i]);
		d = opendir(path);
		if (!d) {
			err = -errno;
			continue;
		}
		ret = unpin_folder(d);
		closedir(d);
		if (!ret && rmdir(path))
			ret = -errno;
		if (ret)
			err = ret;
	}
	return err;
}

/* A descriptor that keeps others out until it is closed. */
static int lock_folder(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	err = -errno;
	ms_error("%s: %s", dir, err == -EWOULDBLOCK ? "another migscope has it" : strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

int bpf_host_unpin(const char *dir)
{
	int fd = lock_folder(dir), err;

	if (fd < 0)
		return fd;
	err = unpin_folders(dir);
	if (!err && rmdir(dir))
		err = -errno;
	close(fd);
	return err;
}

bool bpf_host_on_bpffs(const char *dir)
{
	char parent[PATH_MAX];
	struct statfs fs;

	snprintf(parent, sizeof(parent), "%s", dir);
	for (;;) {
		char *slash;

		if (!statfs(parent, &fs))
			return fs.f_type == BPF_FS_MAGIC;
		slash = strrchr(parent, '/');
		if (!slash || slash == parent)
			return false;
		*slash = '\0';
	}
}

/* --- kept from one run to the next */

__u64 host_build(void)
{
	__u64 h = 14695981039346656037ULL;

	for (const char *p = ms_programs; p < ms_programs_end; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211ULL;
	return h;
}

static void kept_path(const struct bpf_host *host, const char *folder, const char *name, char *path)
{
	snprintf(path, PATH_MAX, "%s/%s/%s", host->kept, folder, name);
}

void host_unpin_probe(const struct bpf_host *host, const struct probe *p)
{
	char path[PATH_MAX];

	if (!host->kept)
		return;
	kept_path(host, "links", p->program, path);
	unlink(path);
	kept_path(host, "progs", p->program, path);
	unlink(path);
}

static int keep_one(const char *path, int fd)
{
	if (!access(path, F_OK))
		return 0;
	return bpf_obj_pin(fd, path) ? pin_error(path, -errno) : 0;
}

int host_keep(struct bpf_host *host)
{
	char path[PATH_MAX];
	int err = 0;

	if (!host->kept)
		return 0;
	for (size_t i = 0; i < host->maps && !err; i++) {
		kept_path(host, "maps", host->map[i].name, path);
		err = keep_one(path, host->map[i].fd);
	}
	for (size_t i = 0; i < host->probes && !err; i++) {
		/* one that was taken over is pinned already */
		if (!host->link[i] || !host->prog[i])
			continue;
		kept_path(host, "progs", host->probe[i].program, path);
		err = keep_one(path, bpf_program__fd(host->prog[i]));
		kept_path(host, "links", host->probe[i].program, path);
		if (!err)
			err = keep_one(path, bpf_link__fd(host->link[i]));
	}
	return err;
}

static int take_map(struct bpf_host *host, const char *name)
{
	struct host_map *m = &host->map[host->maps];
	char path[PATH_MAX];

	if (host->maps == HOST_MAPS || strlen(name) >= sizeof(m->name))
		return -ENOSPC;
	kept_path(host, "maps", name, path);
	m->fd = bpf_obj_get(path);
	if (m->fd < 0)
		return -errno;
	strcpy(m->name, name);
	host->maps++;
	return 0;
}

static void drop_maps(struct bpf_host *host)
{
	while (host->maps)
		close(host->map[--host->maps].fd);
}

static int take_maps(struct bpf_host *host)
{
	char path[PATH_MAX];
	struct dirent *e;
	int err = 0;
	DIR *d;

	kept_path(host, "maps", "", path);
	d = opendir(path);
	if (!d)
		return -errno;
	while (!err && (e = readdir(d)))
		if (e->d_name[0] != '.')
			err = take_map(host, e->d_name);
	closedir(d);
	return err;
}

/* Unpins a map, and gives it up. */
static void drop_map(struct bpf_host *host, const char *name)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < host->maps; i++) {
		if (strcmp(host->map[i].name, name))
			continue;
		kept_path(host, "maps", name, path);
		unlink(path);
		close(host->map[i].fd);
		host->map[i] = host->map[--host->maps];
		return;
	}
}

/*
 * The maps of a source that go by an address: after a gap it may be another's. Rings tell
 * that themselves, and are met when files are looked through, too.
 */
static const struct {
	const char *source, *map;
} of_source[] = {
	{ "dirty_ring", "ms_push" }, { "dirty_ring", "ms_pages" }, { "dirty_ring", "ms_page_vms" },
	{ "vhost_iotlb", "ms_iotlb_ids" }, { "vhost_iotlb", "ms_iotlb_devs" },
	{ "vfio", "ms_vfio_ids" }, { "vfio", "ms_vfios" },
	{ "vdpa", "ms_vdpa_ids" }, { "vdpa", "ms_vdpas" }, { "vdpa", "ms_vdpa_tables" },
};

/*
 * Who ran before may have been asked for more: that ends, with the tables that would be out
 * of date should it be asked for again. Of another part of the pages what was seen of them
 * is of no use.
 */
static void end_unwanted(struct bpf_host *host, const struct ms_config *config)
{
	bool other_part = host->opts->pages && config->page_part != host->opts->page_part;
	const char *why;

	for (size_t i = 0; i < host->probes; i++)
		if (!host_wants(host, &host->probe[i], &why) || (other_part && host->probe[i].pages))
			host_unpin_probe(host, &host->probe[i]);
	if (other_part) {
		drop_map(host, "ms_pages");
		drop_map(host, "ms_page_vms");
	}
	for (size_t i = 0; i < sizeof(of_source) / sizeof(of_source[0]); i++)
		if (!bpf_host_asked(host, of_source[i].source) ||
		    !host_needs_map(host, of_source[i].map))
			drop_map(host, of_source[i].map);
}

/* Takes over what the same programs left; false: they are not the same. */
static bool take_over(struct bpf_host *host)
{
	struct ms_config config = { 0 };
	struct bpf_map_info info = { 0 };
	char path[PATH_MAX];
	__u32 zero = 0, len = sizeof(info);
	int fd;

	if (take_maps(host))
		return false;
	fd = bpf_host_map(host, "ms_config");
	/* that of another build may be larger */
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != sizeof(config) ||
	    bpf_map_lookup_elem(fd, &zero, &config) || config.build != host_build())
		return false;
	host->since = config.since_ns / 1e9;
	end_unwanted(host, &config);
	for (size_t i = 0; i < host->probes; i++) {
		struct probe *p = &host->probe[i];

		kept_path(host, "links", p->program, path);
		host->link[i] = access(path, F_OK) ? NULL : bpf_link__open(path);
		if (!host->link[i])
			continue;
		p->state = PROBE_ATTACHED;
		host->missed[i] = host_missed(host, i);
	}
	/* somebody may have taken the pins of some away */
	host_ends(host, &config, 0);
	bpf_map_update_elem(fd, &zero, &config, BPF_ANY);
	return true;
}

static int lock_kept(struct bpf_host *host, const char *dir)
{
	host->kept_fd = lock_folder(dir);
	return host->kept_fd < 0 ? host->kept_fd : 0;
}

int bpf_host_keep(struct bpf_host *host, const char *dir)
{
	static const char *const folder[] = { "maps", "progs", "links" };
	char path[PATH_MAX];
	int err;

	if (!bpf_host_on_bpffs(dir)) {
		ms_error("%s: not on a bpf file system (mount -t bpf bpf /sys/fs/bpf)", dir);
		return -EINVAL;
	}
	err = access(dir, F_OK) ? make_dir(dir) : 0;
	if (!err)
		err = lock_kept(host, dir);
	if (err)
		return err;
	host->kept = strdup(dir);
	if (!host->kept)
		return -ENOMEM;
	if (take_over(host))
		return 0;
	drop_maps(host);
	snprintf(path, sizeof(path), "%s/maps", dir);
	if (!access(path, F_OK)) {
		ms_warn("%s: left by another version: what it counted is given up", dir);
		/* the folder itself is locked, and stays */
		err = unpin_folders(dir);
	}
	for (size_t i = 0; i < sizeof(folder) / sizeof(folder[0]) && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, folder[i]);
		err = make_dir(path);
	}
	return err;
}
