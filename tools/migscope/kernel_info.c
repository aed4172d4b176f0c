// SPDX-License-Identifier: GPL-2.0
#include "kernel_info.h"
#include "migscope.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* include/linux/proc_ns.h: the inode of the initial pid namespace */
#define PROC_PID_INIT_INO	0xEFFFFFFCU
#define MODULES_MAX		16

struct module_btf {
	const char *name;
	struct btf *btf;
};

struct kernel_info {
	struct btf *vmlinux;		/* NULL: this kernel has no BTF */
	struct module_btf module[MODULES_MAX];
	size_t modules;
	bool custom;
	bool owners;			/* mm_struct says whose it is (CONFIG_MEMCG) */
};

/* Is there a struct @name in @btf, and @member in it? */
static bool has_member(const struct btf *btf, const char *name, const char *member)
{
	int id = btf ? btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT) : -ENOENT;
	const struct btf_type *t = id < 0 ? NULL : btf__type_by_id(btf, id);

	for (int i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;
		const struct btf_type *in = btf__type_by_id(btf, m->type);

		if (!strcmp(btf__name_by_offset(btf, m->name_off), member))
			return true;
		/* most of mm_struct is in a struct without a name */
		for (int k = 0; !m->name_off && in && k < btf_vlen(in); k++)
			if (!strcmp(btf__name_by_offset(btf, btf_members(in)[k].name_off), member))
				return true;
	}
	return false;
}

int kernel_info_open(const char *path, struct kernel_info **out)
{
	struct kernel_info *info = calloc(1, sizeof(*info));
	struct btf *given;

	if (!info)
		return -ENOMEM;
	if (path) {
		given = btf__parse(path, NULL);
		if (!given) {
			int err = -errno;
			char text[64];

			libbpf_strerror(-err, text, sizeof(text));
			if (access(path, R_OK))
				ms_error("--btf %s: %s", path, strerror(errno));
			else
				ms_error("--btf %s: not a BTF file: %s", path, text);
			free(info);
			/* of the file, not of the command line */
			return err == -EINVAL ? -ENODATA : err;
		}
		info->owners = has_member(given, "mm_struct", "owner");
		btf__free(given);
		info->custom = true;
	}
	info->vmlinux = btf__load_vmlinux_btf();
	if (!path)
		info->owners = has_member(info->vmlinux, "mm_struct", "owner");
	*out = info;
	return 0;
}

void kernel_info_refresh(struct kernel_info *info)
{
	while (info->modules)
		btf__free(info->module[--info->modules].btf);
}

void kernel_info_close(struct kernel_info *info)
{
	if (!info)
		return;
	kernel_info_refresh(info);
	btf__free(info->vmlinux);
	free(info);
}

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(line, size, f) != NULL;
	fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

bool kernel_info_module(const char *module)
{
	char path[128], state[16];

	if (!module)
		return true;
	snprintf(path, sizeof(path), "/sys/module/%s/initstate", module);
	return read_line(path, state, sizeof(state)) ? !strcmp(state, "live") : false;
}

/* Built in code that has parameters shows in /sys/module, but has no state there. */
static bool built_in(const char *module)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (access(path, F_OK))
		return false;
	snprintf(path, sizeof(path), "/sys/module/%s/initstate", module);
	return access(path, F_OK) && errno == ENOENT;
}

static struct btf *module_btf(struct kernel_info *info, const char *name)
{
	struct btf *btf;

	for (size_t i = 0; i < info->modules; i++)
		if (!strcmp(info->module[i].name, name))
			return info->module[i].btf;
	if (!kernel_info_module(name) || info->modules == MODULES_MAX)
		return NULL;
	btf = btf__load_module_btf(name, info->vmlinux);
	info->module[info->modules++] = (struct module_btf){ name, btf };
	return btf;
}

/* The prototype of a hook's target in @btf: its number of arguments, or -1. */
static int target_args(const struct btf *btf, const struct probe *p)
{
	const struct btf_type *t;
	char name[128];
	int id;

	if (p->how == PROBE_TRACEPOINT) {
		/* typedef void (*btf_trace_NAME)(void *, ARGS) */
		snprintf(name, sizeof(name), "btf_trace_%s", p->target);
		id = btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF);
		if (id < 0)
			return -1;
		t = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
		t = t ? btf__type_by_id(btf, t->type) : NULL;
		return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : -1;
	}
	snprintf(name, sizeof(name), "%s%s", p->how == PROBE_ITER ? "bpf_iter_" : "", p->target);
	id = btf__find_by_name_kind(btf, name, BTF_KIND_FUNC);
	if (id < 0)
		return -1;
	t = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
	return t && btf_is_func_proto(t) ? (int)btf_vlen(t) : -1;
}

enum probe_state kernel_info_target(struct kernel_info *info, const struct probe *p,
				    char *why, size_t size)
{
	struct btf *mod;
	int args;

	if (!info->vmlinux) {
		snprintf(why, size, "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF)");
		return PROBE_MISSING;
	}
	/* an iterator is the kernel's own, but this one reads structs of a module */
	if (p->how == PROBE_ITER && p->module && !kernel_info_module(p->module) && !built_in(p->module)) {
		snprintf(why, size, "%s is not loaded", p->module);
		return PROBE_WAITING;
	}
	args = target_args(info->vmlinux, p);
	if (args < 0 && p->module && !built_in(p->module)) {
		mod = module_btf(info, p->module);
		if (!mod && !kernel_info_module(p->module) && !built_in(p->module)) {
			snprintf(why, size, "%s is not loaded", p->module);
			return PROBE_WAITING;
		}
		if (!mod && kernel_info_module(p->module)) {
			snprintf(why, size, "module %s has no BTF", p->module);
			return PROBE_MISSING;
		}
		if (mod)
			args = target_args(mod, p);
	}
	if (args < 0) {
		snprintf(why, size, "this kernel has no %s %s",
			 p->how == PROBE_FENTRY ? "function" : probe_how_name(p->how), p->target);
		return PROBE_MISSING;
	}
	if (p->how != PROBE_ITER && (unsigned int)args < p->min_args) {
		snprintf(why, size, "%s takes %d arguments here, %u are read", p->target, args,
			 p->min_args);
		return PROBE_MISSING;
	}
	why[0] = '\0';
	return PROBE_OFF;
}

static unsigned long long effective_capabilities(void)
{
	unsigned long long cap = 0;
	char line[256];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &cap) == 1)
			break;
	if (f)
		fclose(f);
	return cap;
}

/* What BPF tracing needs, @in_module or in the kernel itself, and which of it is missing. */
static bool missing_capability(bool in_module, char *why, size_t size)
{
	unsigned long long cap = effective_capabilities();
	bool admin = cap & 1ULL << CAP_SYS_ADMIN;

	if (!admin && !(cap & 1ULL << CAP_BPF))
		snprintf(why, size, "CAP_BPF is missing");
	else if (!admin && !(cap & 1ULL << CAP_PERFMON))
		snprintf(why, size, "CAP_PERFMON is missing");
	/* the ids of BTFs, of which a module has its own, are told to nobody else */
	else if (!admin && in_module)
		snprintf(why, size, "CAP_SYS_ADMIN is missing, which hooks in a module need");
	else
		return false;
	return true;
}

static bool lockdown(char *why, size_t size)
{
	char line[128];

	if (!read_line("/sys/kernel/security/lockdown", line, sizeof(line)) ||
	    !strstr(line, "[confidentiality]"))
		return false;
	snprintf(why, size, "the kernel is locked down (confidentiality): BPF may not read kernel memory");
	return true;
}

/* The first line of the log that names a CO-RE relocation or the verifier's verdict. */
static bool from_log(const char *log, char *why, size_t size)
{
	static const char *const sign[] = { "CO-RE", "relo", "not found in", "invalid func" };

	for (size_t i = 0; i < sizeof(sign) / sizeof(sign[0]); i++) {
		const char *hit = strstr(log, sign[i]);
		int len;

		if (!hit)
			continue;
		while (hit > log && hit[-1] != '\n')
			hit--;
		len = strcspn(hit, "\n");
		snprintf(why, size, "%.*s", len, hit);
		return true;
	}
	return false;
}

void kernel_info_explain(const struct kernel_info *info, const struct probe *p, int err,
			 const char *log, char *why, size_t size)
{
	bool in_module = p->how != PROBE_ITER && p->module && kernel_info_module(p->module);
	/* what would be hooked was seen to be there: it is just not shown to libbpf */
	bool denied = err == EPERM || err == EACCES || (err == ESRCH && in_module);
	char detail[160] = "", text[64];

	if (denied && missing_capability(in_module, detail, sizeof(detail)))
		;
	/* a helper that reads memory is not known then, which is EINVAL */
	else if ((denied || err == EINVAL) && lockdown(detail, sizeof(detail)))
		;
	else if (err == EPERM)
		snprintf(detail, sizeof(detail), "this kernel allows none");
	else if (err == ENOMEM || strstr(log, "ulimit -l"))
		snprintf(detail, sizeof(detail), "RLIMIT_MEMLOCK or memory");
	else if (info->custom)
		snprintf(detail, sizeof(detail), "the BTF given by --btf does not fit this program");
	else
		from_log(log, detail, sizeof(detail));
	libbpf_strerror(err, text, sizeof(text));
	snprintf(why, size, "%s%s%s", text, *detail ? ": " : "", detail);
}

const char *kernel_info_owners(const struct kernel_info *info)
{
	return info->owners || !info->vmlinux ? NULL :
	       "this kernel does not say whose memory is whose (CONFIG_MEMCG is off): a VM that ran "
	       "before us is found only if its own process holds it open";
}

const char *kernel_info_pid_namespace(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st))
		return "which pid namespace this is cannot be told: /proc is not here";
	if (st.st_ino != PROC_PID_INIT_INO)
		return "not in the initial pid namespace: VMs that ran before us stay unseen until "
		       "their first event, and names of others cannot be told";
	return NULL;
}
