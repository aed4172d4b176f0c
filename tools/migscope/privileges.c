// SPDX-License-Identifier: GPL-2.0
#include "privileges.h"
#include "migscope.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(n) (1ULL << (n))

/* libcap for two system calls would be one thing more to trust */
static int caps_set(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .permitted = permitted, .effective = effective },
		{ .permitted = permitted >> 32, .effective = effective >> 32 },
	};

	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static int caps_get(uint64_t *permitted)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

/* What exec could give back; needs CAP_SETPCAP, without which there is little to drop. */
static void bounding_drop(uint64_t keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(keep & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

int privileges_keep_bpf(void)
{
	uint64_t keep = BIT(CAP_BPF) | BIT(CAP_PERFMON) | BIT(CAP_SYS_ADMIN), have = 0;
	int err = caps_get(&have);

	if (err)
		return err;
	bounding_drop(keep);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return caps_set(have & keep, have & keep);
}

int privileges_find(const char *user, struct privileges_user *as)
{
	struct passwd *pw;

	*as = (struct privileges_user){ .name = user ? user : "nobody", .uid = 65534, .gid = 65534 };
	if (geteuid() && user) {
		ms_error("--user %s: only root can become another user", user);
		return -EPERM;
	}
	if (geteuid())
		return 0;
	pw = getpwnam(as->name);
	if (!pw && user) {
		ms_error("%s: no such user", user);
		return -ENOENT;
	}
	if (pw) {
		as->uid = pw->pw_uid;
		as->gid = pw->pw_gid;
	}
	return 0;
}

int privileges_drop(const struct privileges_user *as)
{
	int err;

	if (!geteuid()) {
		bounding_drop(0);
		if (setgroups(0, NULL) || setresgid(as->gid, as->gid, as->gid) ||
		    setresuid(as->uid, as->uid, as->uid)) {
			err = -errno;
			ms_error("cannot become %s: %s", as->name, strerror(-err));
			return err;
		}
	}
	err = caps_set(0, 0);
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		ms_error("cannot give up capabilities: %s", strerror(-err));
	return err;
}
