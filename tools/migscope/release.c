// SPDX-License-Identifier: GPL-2.0
#include "release.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR "/run/migscope"

static void path_of(const char *module, char *path, size_t size)
{
	snprintf(path, size, DIR "/release/%s", module);
}

/* What tells this loading of a module from the next one: its folder in sysfs is a new one. */
static bool loading_of(const char *module, unsigned long long *id)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (stat(path, &st))
		return false;
	*id = st.st_ino;
	return true;
}

bool release_wanted(const char *module)
{
	unsigned long long id, asked;
	char path[PATH_MAX];
	bool same;
	FILE *f;

	if (!module)
		return false;
	path_of(module, path, sizeof(path));
	f = fopen(path, "re");
	if (!f)
		return false;
	/* one that was loaded since is another one */
	same = fscanf(f, "%llu", &asked) == 1 && loading_of(module, &id) && id == asked;
	fclose(f);
	return same;
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

int release_ask(const char *module)
{
	char path[PATH_MAX], part[PATH_MAX + 8];
	unsigned long long id;
	FILE *f;
	int err = make_dir(DIR);

	if (!err)
		err = make_dir(DIR "/release");
	if (err)
		return err;
	if (!loading_of(module, &id))
		return -ENOENT;
	path_of(module, path, sizeof(path));
	snprintf(part, sizeof(part), "%s.new", path);
	f = fopen(part, "we");
	if (!f)
		return -errno;
	fprintf(f, "%llu\n", id);
	/* whoever looks sees all of it, or nothing */
	if (fclose(f) || rename(part, path)) {
		err = -errno;
		unlink(part);
	}
	return err;
}

int release_take_back(const char *module)
{
	char path[PATH_MAX];

	path_of(module, path, sizeof(path));
	return unlink(path) ? -errno : 0;
}
