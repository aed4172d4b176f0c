// SPDX-License-Identifier: GPL-2.0
#include "migscope.h"

volatile sig_atomic_t ms_stop;

static void on_signal(int sig)
{
	ms_stop = sig;
}

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
static struct sigaction inherited[sizeof(caught) / sizeof(caught[0])];

/*
 * Blocked but while we sleep in ppoll() or write: none is missed between a look
 * and the sleep, and no system call of a sample is interrupted. Who starts us under nohup wants
 * us to outlast the terminal; a shell that ignores SIGINT for what runs in the background does
 * so for the sake of others.
 */
void ms_catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
		sigaction(caught[i], NULL, &inherited[i]);
		if (caught[i] == SIGHUP && inherited[i].sa_handler == SIG_IGN)
			continue;
		sigaction(caught[i], &sa, NULL);
	}
	ms_let_signals_in(false);
}

void ms_let_signals_in(bool in)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(in ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

void ms_give_back_signals(void)
{
	sigset_t none;

	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaction(caught[i], &inherited[i], NULL);
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
