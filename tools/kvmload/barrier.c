// SPDX-License-Identifier: GPL-2.0
/*
 * Where an observer comes in: we print one line of JSON and wait for a line on
 * standard input or for SIGUSR1. VMs that run in parallel arrive together and
 * are announced once. Also how it says that it has seen enough: SIGUSR2.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvmload.h"

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static u32 expected = 1, arrived, generation;
static int sigfd = -1;
static bool stdin_open = true;

static volatile sig_atomic_t told_to_end;

static void on_end(int sig)
{
	(void)sig;
	told_to_end = 1;
}

/* SIGUSR2 came: the plan ends where it is. */
bool kl_told_to_end(void)
{
	return told_to_end;
}

/* Before any thread: all of them must have the signal blocked. */
void kl_barrier_init(const struct kl_opts *o)
{
	struct sigaction end = { .sa_handler = on_end, .sa_flags = SA_RESTART };
	sigset_t set;

	sigaction(SIGUSR2, &end, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	if (sigfd < 0)
		kl_die(KL_EXIT_FAIL, "signalfd: %s", strerror(errno));
	if (o->parallel)
		expected = o->vms;
}

/*
 * A pipe or terminal that ends means that whoever was to let us go on is gone.
 * /dev/null or a file at its end means only that the signal will do it.
 */
static void stdin_ended(void)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		kl_die(KL_EXIT_FAIL, "standard input ended at the barrier");
	stdin_open = false;
}

/* One byte at a time: the rest belongs to the next barrier. */
static bool line_read(void)
{
	char c;
	ssize_t n = read(STDIN_FILENO, &c, 1);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return false;
	if (n <= 0) {
		stdin_ended();
		return false;
	}
	return c == '\n';
}

static void wait_for_word(void)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = sigfd, .events = POLLIN },
			{ .fd = stdin_open ? STDIN_FILENO : -1, .events = POLLIN },
		};
		struct signalfd_siginfo info;

		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			kl_die(KL_EXIT_FAIL, "poll: %s", strerror(errno));
		}
		if ((p[0].revents & POLLIN) && read(sigfd, &info, sizeof(info)) > 0)
			return;
		if (p[1].revents && line_read())
			return;
	}
}

void kl_barrier_wait(const char *at, u32 vm)
{
	u32 now;

	pthread_mutex_lock(&gate);
	now = generation;
	/* "start" is announced by the main thread, before there are VMs */
	if (++arrived < (strcmp(at, "start") ? expected : 1)) {
		while (generation == now)
			pthread_cond_wait(&opened, &gate);
	} else {
		printf("{\"barrier\":true,\"at\":\"%s\",\"pid\":%d,\"vm\":%u}\n", at, getpid(),
		       expected > 1 ? 0 : vm);
		if (fflush(stdout))
			kl_die(KL_EXIT_FAIL, "standard output: %s", strerror(errno));
		wait_for_word();
		arrived = 0;
		generation++;
		pthread_cond_broadcast(&opened);
	}
	pthread_mutex_unlock(&gate);
}
