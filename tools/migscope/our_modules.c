// SPDX-License-Identifier: GPL-2.0
#include "our_modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lzma.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MODULES		"/lib/modules"
#define SIGNATURE	"~Module signature appended~\n"	/* include/linux/module_signature.h */

static size_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return 0;
	len = read(fd, buf, size - 1);
	close(fd);
	buf[len > 0 ? len : 0] = '\0';
	return len > 0 ? len : 0;
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && !strcmp(s + len - n, end);
}

/* Unpacks @data, *@size bytes of xz, into memory of its own; NULL when it is broken. */
static void *unpack(const void *data, size_t *size)
{
	lzma_stream lzma = LZMA_STREAM_INIT;
	size_t room = 8 * *size + 4096;
	uint8_t *out = malloc(room), *more;
	lzma_ret ret = LZMA_MEM_ERROR;

	if (out)
		ret = lzma_stream_decoder(&lzma, UINT64_MAX, 0);
	lzma.next_in = data;
	lzma.avail_in = *size;
	lzma.next_out = out;
	lzma.avail_out = room;
	while (ret == LZMA_OK) {
		ret = lzma_code(&lzma, LZMA_FINISH);
		if (ret != LZMA_OK || lzma.avail_out)
			continue;
		more = realloc(out, 2 * room);
		if (!more) {
			ret = LZMA_MEM_ERROR;
			break;
		}
		out = more;
		lzma.next_out = out + room;
		lzma.avail_out = room;
		room *= 2;
	}
	*size = lzma.total_out;
	lzma_end(&lzma);
	if (ret == LZMA_STREAM_END)
		return out;
	free(out);
	return NULL;
}

/* A module's file in memory, unpacked; NULL when it cannot be had. For free(). */
static void *load_module_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *file = NULL, *unpacked;
	struct stat st = { 0 };

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size > 0)
		file = malloc(st.st_size);
	if (file && read(fd, file, st.st_size) != st.st_size) {
		free(file);
		file = NULL;
	}
	close(fd);
	*size = st.st_size;
	if (!file || !ends_with(path, ".xz"))
		return file;
	unpacked = unpack(file, size);
	free(file);
	return unpacked;
}

/* Where ours lies for this kernel: as modules_install or DKMS lay it, or in updates/ itself. */
static bool installed(const char *release, const char *name, char *path, size_t size)
{
	static const char *const folder[] = { "updates/migscope", "updates/dkms", "updates" };
	static const char *const suffix[] = { "", ".xz" };

	for (size_t i = 0; i < sizeof(folder) / sizeof(folder[0]); i++) {
		for (size_t k = 0; k < sizeof(suffix) / sizeof(suffix[0]); k++) {
			snprintf(path, size, MODULES "/%s/%s/%s.ko%s", release, folder[i], name,
				 suffix[k]);
			if (!access(path, R_OK))
				return true;
		}
	}
	return false;
}

/* Was ours installed for any kernel? */
static bool installed_elsewhere(const char *name)
{
	DIR *d = opendir(MODULES);
	struct dirent *e;
	bool found = false;
	char path[PATH_MAX];

	while (d && !found && (e = readdir(d)))
		found = e->d_name[0] != '.' && installed(e->d_name, name, path, sizeof(path));
	if (d)
		closedir(d);
	return found;
}

/* Is what is loaded what stands in @file? By the build id. */
static bool same_build(const char *name, const void *file, size_t size)
{
	char path[128], note[128];
	size_t len;

	snprintf(path, sizeof(path), "/sys/module/%s/notes/.note.gnu.build-id", name);
	len = read_file(path, note, sizeof(note));
	/* the note's header alone is 16 bytes, and in every file */
	return len > 16 && memmem(file, size, note, len);
}

static bool is_signed(const void *file, size_t size)
{
	const size_t len = sizeof(SIGNATURE) - 1;

	return size > len && !memcmp((const char *)file + size - len, SIGNATURE, len);
}

/* Why this kernel takes signed modules only; NULL: it takes any. */
static const char *signatures_only(void)
{
	char buf[128];

	if (read_file("/sys/module/module/parameters/sig_enforce", buf, sizeof(buf)) && *buf == 'Y')
		return "this kernel enforces signatures (module.sig_enforce)";
	if (read_file("/sys/kernel/security/lockdown", buf, sizeof(buf)) &&
	    (strstr(buf, "[integrity]") || strstr(buf, "[confidentiality]")))
		return "this kernel is locked down (Secure Boot does that)";
	return NULL;
}

/* What keeps ours out of a kernel where it is not what runs. */
static void explain(struct module_info *m, bool is_installed, const void *file, size_t size)
{
	const char *only = signatures_only();

	if (!is_installed && installed_elsewhere(m->name))
		snprintf(m->why, sizeof(m->why), "ours is not built for this kernel: it has its own");
	else if (file && only && !is_signed(file, size))
		snprintf(m->why, sizeof(m->why), "ours is not signed, and %s", only);
	else if (file && only)
		snprintf(m->why, sizeof(m->why), "ours is signed; is its key enrolled? %s", only);
	else if (file && m->state != MODULE_ABSENT)
		snprintf(m->why, sizeof(m->why), "ours is installed, for when this one is unloaded");
}

static void look(const char *release, const char *name, struct module_info *m)
{
	char path[PATH_MAX], buf[64];
	bool is_installed, loaded;
	void *file = NULL;
	size_t size = 0;

	m->name = name;
	snprintf(path, sizeof(path), "/sys/module/%s/initstate", name);
	loaded = !access(path, F_OK);
	is_installed = installed(release, name, path, sizeof(path));
	if (is_installed)
		file = load_module_file(path, &size);

	if (loaded) {
		snprintf(path, sizeof(path), "/sys/module/%s/taint", name);
		m->state = file && same_build(name, file, size) ? MODULE_OURS :
			   read_file(path, buf, sizeof(buf)) && strchr(buf, 'O') ? MODULE_OTHER :
			   MODULE_STOCK;
	} else {
		snprintf(path, sizeof(path), "/sys/module/%s", name);
		m->state = access(path, F_OK) ? MODULE_ABSENT : MODULE_BUILT_IN;
	}

	if (m->state != MODULE_OURS && m->state != MODULE_BUILT_IN)
		explain(m, is_installed, file, size);
	free(file);
}

long our_modules_look(const struct probe *probe, size_t n, struct module_info **info)
{
	struct utsname uts;
	long count = 0;

	*info = calloc(n ? n : 1, sizeof(**info));
	if (!*info)
		return -ENOMEM;
	uname(&uts);
	for (size_t i = 0; i < n; i++) {
		bool seen = !probe[i].module;

		for (long k = 0; k < count && !seen; k++)
			seen = !strcmp((*info)[k].name, probe[i].module);
		if (!seen)
			look(uts.release, probe[i].module, &(*info)[count++]);
	}
	return count;
}

const char *module_state_name(enum module_state state)
{
	static const char *const name[] = {
		"built in", "not loaded", "the kernel's own", "ours", "another one"
	};

	return name[state];
}
