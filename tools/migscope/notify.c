// SPDX-License-Identifier: GPL-2.0
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if ((len && path[0] != '/' && path[0] != '@') || !len || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	/* an abstract socket's name begins with a NUL */
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* there is nobody to tell that it cannot be told */
	(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
		       offsetof(struct sockaddr_un, sun_path) + len);
	close(fd);
}
