// SPDX-License-Identifier: GPL-2.0
/*
 * Hands a BPF host to another process: descriptors of maps and iterators, and what
 * became of each probe. Who receives it reads what is counted, and can neither load
 * nor attach anything.
 */
#include "bpf_host_private.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX	(HOST_MAPS + 16)

struct passed_probe {
	enum probe_state state;
	bool let_go;
	int err;
	int fd;			/* number of its iterator among the descriptors; -1: none */
	char why[sizeof(((struct probe *)0)->why)];
};

/* One datagram; the descriptors of the maps come first, in order. */
struct passed {
	double since;
	size_t probes, maps;
	char map[HOST_MAPS][sizeof(((struct host_map *)0)->name)];
	struct passed_probe probe[];
};

static int send_fds(int sock, const void *data, size_t len, const int *fd, size_t n)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fd, n * sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -errno;
}

/*
 * Who samples forgets what ended long ago: these maps it writes to, and no others. Rings whose
 * end is hooked are not his to forget.
 */
static bool is_written(const struct bpf_host *host, const char *map)
{
	static const char *const written[] = {
		"ms_vms", "ms_vm_ids", "ms_threads", "ms_rings", "ms_ring_vms", "ms_pages",
		"ms_page_vms", "ms_log_vms", "ms_iotlb_devs", "ms_vfios", "ms_vfio_migs", "ms_vdpas",
	};

	if (!strcmp(map, "ms_rings") && bpf_host_has(host, "ring_free"))
		return false;
	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++)
		if (!strcmp(written[i], map))
			return true;
	return false;
}

/* A descriptor of the same map through which it can only be read; -errno: not to be had. */
static int read_only(int fd)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, opts, .open_flags = BPF_F_RDONLY);
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	fd = bpf_map_get_fd_by_id_opts(info.id, &opts);
	return fd < 0 ? -errno : fd;
}

int bpf_host_send(const struct bpf_host *host, int sock)
{
	size_t len = sizeof(struct passed) + host->probes * sizeof(struct passed_probe), n = 0;
	int fd[FDS_MAX], own[HOST_MAPS], err = -ENOMEM;
	bool rings = false;
	struct passed *p = calloc(1, len);

	if (!p)
		return err;
	p->since = host->since;
	p->probes = host->probes;
	p->maps = host->maps;
	for (size_t i = 0; i < host->maps; i++) {
		memcpy(p->map[i], host->map[i].name, sizeof(p->map[i]));
		/* ids are for CAP_SYS_ADMIN: without it as it is */
		own[i] = is_written(host, host->map[i].name) ? -EPERM : read_only(host->map[i].fd);
		rings |= own[i] >= 0 && !strcmp(host->map[i].name, "ms_rings");
		fd[n++] = own[i] < 0 ? host->map[i].fd : own[i];
	}
	for (size_t i = 0; i < host->probes; i++) {
		struct passed_probe *to = &p->probe[i];
		const struct probe *from = &host->probe[i];

		to->state = from->state;
		to->let_go = from->let_go;
		to->err = from->err;
		memcpy(to->why, from->why, sizeof(to->why));
		to->fd = -1;
		if (from->how != PROBE_ITER || !host->link[i])
			continue;
		/*
		 * It follows that map's keys: who can write them could read all of the kernel's
		 * memory by it. Where it cannot be had the files of the VMs are gone through.
		 */
		if (!rings && !strcmp(from->name, "ring_now")) {
			to->state = PROBE_REFUSED;
			to->err = EPERM;
			snprintf(to->why, sizeof(to->why), "who can write its map must not have it");
			continue;
		}
		err = -E2BIG;
		if (n == FDS_MAX)
			goto out;
		to->fd = n;
		fd[n++] = bpf_link__fd(host->link[i]);
	}
	/* a message without descriptors has nobody to read anything from */
	err = n ? send_fds(sock, p, len, fd, n) : -ENOENT;
out:
	for (size_t i = 0; i < host->maps; i++)
		if (own[i] >= 0)
			close(own[i]);
	free(p);
	return err;
}

static struct bpf_host *build(const struct ms_opts *opts, const char *sources,
			      const struct passed *p, const int *fd)
{
	struct bpf_host *host = bpf_host_new(opts, sources);

	if (!host || host->probes != p->probes)
		goto fail;
	host->since = p->since;
	for (size_t i = 0; i < p->maps; i++) {
		memcpy(host->map[i].name, p->map[i], sizeof(p->map[i]));
		host->map[i].fd = fd[i];
		host->maps++;
	}
	for (size_t i = 0; i < p->probes; i++) {
		host->probe[i].state = p->probe[i].state;
		host->probe[i].let_go = p->probe[i].let_go;
		host->probe[i].err = p->probe[i].err;
		memcpy(host->probe[i].why, p->probe[i].why, sizeof(p->probe[i].why));
		if (p->probe[i].fd >= 0)
			host->link_fd[i] = fd[p->probe[i].fd];
	}
	return host;
fail:
	/* without maps: the caller closes the descriptors */
	bpf_host_close(host);
	return NULL;
}

int bpf_host_receive(int sock, const struct ms_opts *opts, const char *sources,
		     struct bpf_host **out)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	size_t room = sizeof(struct passed) + 256 * sizeof(struct passed_probe), n = 0;
	struct passed *p = malloc(room);
	struct iovec iov = { p, room };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	int fd[FDS_MAX], err = -EPROTO;
	struct cmsghdr *c;
	ssize_t len;

	if (!p)
		return -ENOMEM;
	len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	if (len <= 0) {
		err = len ? -errno : -EPIPE;
		free(p);
		return err;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fd, CMSG_DATA(c), n * sizeof(int));
	}
	/* the sender is this very program: what does not fit was cut off */
	if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && (size_t)len >= sizeof(*p) &&
	    (size_t)len == sizeof(*p) + p->probes * sizeof(p->probe[0]) && p->maps <= n) {
		*out = build(opts, sources, p, fd);
		err = *out ? 0 : -ENOMEM;
	}
	for (size_t i = 0; err && i < n; i++)
		close(fd[i]);
	free(p);
	return err;
}
