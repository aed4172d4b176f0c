// SPDX-License-Identifier: GPL-2.0
/* migscope top: the VMs of this host on a screen. */
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "render.h"
#include "top_screen.h"
#include "vm_names.h"

#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <ncurses.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
	const char *sources;
	double interval;
};

/* --- rows */

static const struct screen *sorting;	/* qsort() passes nothing along */

static int compare(const void *x, const void *y)
{
	const struct top_row *a = x, *b = y;
	double d = 0;

	if (sorting->sort == SORT_BY_NAME) {
		d = strcmp(b->name, a->name);
	} else {
		double va = a->value[sorting->sort], vb = b->value[sorting->sort];

		d = isnan(va) ? (isnan(vb) ? 0 : -1) : isnan(vb) ? 1 : va - vb;
	}
	/* ended ones and equals keep their places */
	if (!d || a->alive != b->alive)
		d = a->alive != b->alive ? (a->alive ? 1 : -1) * (sorting->reverse ? -1 : 1) :
		    b->id < a->id ? -1 : 1;
	return (d < 0 ? 1 : d > 0 ? -1 : 0) * (sorting->reverse ? -1 : 1);
}

static int make_rows(struct screen *s)
{
	size_t kept = 0;

	free(s->row);
	s->row = top_rows(&s->now, &s->before, s->table);
	if (!s->row)
		return -ENOMEM;
	for (size_t i = 0; i < metrics_objects(&s->now, s->table->scope); i++)
		if (!*s->filter || strstr(s->row[i].name, s->filter))
			s->row[kept++] = s->row[i];
	s->rows = kept;
	sorting = s;
	qsort(s->row, kept, sizeof(*s->row), compare);
	return 0;
}

static int take_sample(struct screen *s)
{
	struct model_filter all = { 0 };
	struct model next;
	int err;

	if (bpf_host_stale(s->host))
		bpf_host_attach(s->host);
	err = model_sample(s->host, s->names, &all, &next);
	if (err)
		return err;
	model_free(&s->before);
	s->before = s->now;
	s->now = next;
	return make_rows(s);
}

/* --- keys */

static void type(struct screen *s, int key)
{
	size_t len = strlen(s->filter);

	if (key == '\n' || key == '\r' || key == KEY_ENTER || key == 27) {
		s->typing = false;
		if (key == 27)
			*s->filter = '\0';
	} else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
		/* all bytes of the last character */
		while (len && (s->filter[len - 1] & 0xc0) == 0x80)
			len--;
		s->filter[len ? len - 1 : 0] = '\0';
	} else if (key >= ' ' && key < 256 && len < FILTER_MAX - 1) {
		s->filter[len] = key;
		s->filter[len + 1] = '\0';
	}
	make_rows(s);
}

static void choose(struct screen *s, long step)
{
	long at = (long)top_selected(s) + step;

	if (s->rows)
		s->selected = s->row[at < 0 ? 0 : at >= (long)s->rows ? (long)s->rows - 1 : at].id;
}

static void press(struct screen *s, int key)
{
	if (s->typing) {
		type(s, key);
		return;
	}
	switch (key) {
	case 'q':
		s->quit = true;
		break;
	case '<':
	case '>':
		s->sort += key == '>' ? 1 : -1;
		if (s->sort >= (int)s->table->columns)
			s->sort = SORT_BY_NAME;
		if (s->sort < SORT_BY_NAME)
			s->sort = s->table->columns - 1;
		make_rows(s);
		break;
	case 'r':
		s->reverse = !s->reverse;
		make_rows(s);
		break;
	case '/':
		s->typing = true;
		s->view = VIEW_LIST;
		break;
	case 'd':
		s->table = s->table == &top_vms ? &top_devices : &top_vms;
		s->view = VIEW_LIST;
		s->sort = 0;
		s->first = 0;
		s->selected = 0;
		make_rows(s);
		break;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		break;
	case 'h':
	case '?':
		s->view = s->view == VIEW_HELP ? VIEW_LIST : VIEW_HELP;
		break;
	case 'n':
		s->view = s->view == VIEW_LOST ? VIEW_LIST : VIEW_LOST;
		break;
	case '\n':
	case '\r':
	case KEY_ENTER:
		choose(s, 0);
		if (s->rows && s->view == VIEW_LIST && s->table == &top_vms)
			s->view = VIEW_VCPUS;
		break;
	case 27:
	case KEY_BACKSPACE:
	case KEY_LEFT:
		s->view = VIEW_LIST;
		break;
	case KEY_UP:
	case 'k':
		choose(s, -1);
		break;
	case KEY_DOWN:
	case 'j':
		choose(s, 1);
		break;
	case KEY_PPAGE:
	case KEY_NPAGE:
		choose(s, key == KEY_PPAGE ? -10 : 10);
		break;
	}
}

/* Waits for a key, a new size, a signal, or until @when. */
static void wait_until(double when)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	struct timespec ts;
	sigset_t none;

	clock_left(when, &ts);
	sigemptyset(&none);
	ppoll(&p, 1, &ts, &none);
	/* a terminal that went away */
	if (p.revents & (POLLHUP | POLLERR))
		ms_stop = 1;
}

static int show(struct screen *s)
{
	double next = clock_seconds(CLOCK_MONOTONIC);
	int err = 0, key;

	while (!ms_stop && !s->quit) {
		if (clock_seconds(CLOCK_MONOTONIC) >= next) {
			if (!s->paused)
				err = take_sample(s);
			if (err)
				return err;
			next = clock_seconds(CLOCK_MONOTONIC) + s->interval;
		}
		top_draw(s);
		wait_until(next);
		while ((key = getch()) != ERR)
			press(s, key);
	}
	return 0;
}

static void start_screen(void)
{
	/* Esc by itself is a key: no long wait for what may follow it */
	set_escdelay(50);
	initscr();
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	/* a line that is too long ends at the edge */
	scrollok(stdscr, FALSE);
	curs_set(0);
	start_color();
	use_default_colors();
	init_pair(COLOR_HEAD, COLOR_CYAN, -1);
	init_pair(COLOR_SELECTED, -1, -1);
	init_pair(COLOR_HIGH, COLOR_RED, -1);
	init_pair(COLOR_DIM, COLOR_BLUE, -1);
}

static const struct argp_option options[] = {
	{ "source", 's', "NAME,..", 0, "Watch these sources only", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 's':
		a->sources = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num)
			argp_error(state, "%s: one argument too many", arg);
		a->interval = ms_parse_time(arg);
		if (a->interval < 0.1)
			argp_error(state, "%s: not an interval (0.1 s or more)", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	options, parse, "[INTERVAL]",
	"Shows the VMs of this host, and their devices, INTERVAL (1 s) apart; h tells the keys. Into a pipe it "
	"writes what migscope stat does.\v"
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing of what was asked for can be measured.",
	NULL, NULL, NULL
};

int cmd_top(const struct ms_opts *opts, int argc, char **argv)
{
	struct screen s = { .table = &top_vms };
	struct args a = { .interval = 1 };
	int ret = MS_EXIT_FAILURE, err;
	bool asks = argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?") ||
				 !strcmp(argv[1], "--usage"));

	/* without a terminal it is stat, and takes what that takes */
	if (!asks && (!isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO)))
		return cmd_stat(opts, argc, argv);
	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return MS_EXIT_USAGE;
	err = bpf_host_open(opts, a.sources, &s.host);
	if (err)
		return err == -EINVAL ? MS_EXIT_USAGE : MS_EXIT_FAILURE;
	setlocale(LC_CTYPE, "");
	ms_catch_signals();
	bpf_host_attach(s.host);
	if (bpf_host_blind(s.host)) {
		ms_error("nothing of what was asked for can be measured here; migscope doctor says why");
		ret = MS_EXIT_BLIND;
		goto out;
	}
	s.interval = a.interval;
	s.names = vm_names_new(!kernel_info_pid_namespace());
	if (!s.names)
		goto out;
	start_screen();
	err = show(&s);
	endwin();
	if (err)
		ms_error("the sample could not be taken: %s", strerror(-err));
	ret = err ? MS_EXIT_FAILURE : MS_EXIT_OK;
out:
	free(s.row);
	model_free(&s.now);
	model_free(&s.before);
	vm_names_free(s.names);
	bpf_host_close(s.host);
	return ret;
}
