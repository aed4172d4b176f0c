// SPDX-License-Identifier: GPL-2.0
/* migscope top: the VMs of this host on a screen. */
#include "bpf_host.h"
#include "clock.h"
#include "kernel_info.h"
#include "migscope.h"
#include "render.h"
#include "top_rows.h"
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

#define BAR_WIDTH	10
#define NAME_WIDTH	14
#define MODE_WIDTH	6
#define FILTER_MAX	40
#define HEAD_LINES	3
#define SORT_BY_NAME	-1

enum view { VIEW_VMS, VIEW_VCPUS, VIEW_HELP, VIEW_LOST };
enum color { COLOR_HEAD = 1, COLOR_SELECTED, COLOR_HIGH, COLOR_DIM };

struct args {
	const char *sources;
	double interval;
};

struct screen {
	struct bpf_host *host;
	struct vm_names *names;
	struct model now, before;
	struct top_row *row;		/* of `now`, sorted and filtered */
	size_t rows;
	enum view view;
	int sort;			/* a column, or SORT_BY_NAME */
	bool reverse, paused, typing, quit;
	char filter[FILTER_MAX];
	__u64 selected;			/* VM; 0: the first */
	size_t first;			/* row at the top of the list */
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
	s->row = top_rows(&s->now, &s->before);
	if (!s->row)
		return -ENOMEM;
	for (size_t i = 0; i < s->now.vms; i++)
		if (!*s->filter || strstr(s->row[i].name, s->filter))
			s->row[kept++] = s->row[i];
	s->rows = kept;
	sorting = s;
	qsort(s->row, kept, sizeof(*s->row), compare);
	return 0;
}

static size_t selected_row(const struct screen *s)
{
	for (size_t i = 0; i < s->rows; i++)
		if (s->row[i].id == s->selected)
			return i;
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

/* --- drawing: nothing is ever written beyond the last column */

static void put_head(const struct screen *s)
{
	size_t attached = 0, all = 0, alive = 0;
	char stamp[16] = "";
	time_t t = s->now.time;
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
	for (size_t i = 0; i < s->now.probes; i++) {
		attached += s->now.probe[i].state == PROBE_ATTACHED;
		all += s->now.probe[i].state != PROBE_OFF;
	}
	for (size_t i = 0; i < s->now.vms; i++)
		alive += s->now.vm[i].alive;
	attron(A_BOLD);
	mvaddnstr(0, 0, "migscope", COLS);
	attroff(A_BOLD);
	printw("  %s  %zu VMs%s, %zu of %zu probes attached%s", stamp, alive,
	       s->paused ? " (paused)" : "", attached, all, attached < all ? " (n: what is missing)" : "");
	move(1, 0);
	if (s->typing)
		printw("filter: %s_", s->filter);
	else if (*s->filter)
		printw("filter: %s (%zu of %zu)", s->filter, s->rows, s->now.vms);
}

static void put_foot(const struct screen *s)
{
	const char *keys = s->view == VIEW_VMS ?
		"q quit  < > sort  r reverse  / filter  Enter vCPUs  p pause  h help" :
		"q quit  Esc back  p pause  h help";

	attron(COLOR_PAIR(COLOR_DIM));
	mvaddnstr(LINES - 1, 0, s->typing ? "Enter: done  Esc: no filter" : keys, COLS - 1);
	attroff(COLOR_PAIR(COLOR_DIM));
}

/* @percent of the soft limit, as a bar. */
static void put_bar(double percent)
{
	int full = isnan(percent) ? 0 : (int)(percent / 100 * (BAR_WIDTH - 2) + 0.5);

	if (isnan(percent)) {
		printw(" %*s", BAR_WIDTH, "");
		return;
	}
	addstr(" [");
	if (percent > 80)
		attron(COLOR_PAIR(COLOR_HIGH));
	for (int i = 0; i < BAR_WIDTH - 2; i++)
		addch(i < full ? '|' : ' ');
	attroff(COLOR_PAIR(COLOR_HIGH));
	addch(']');
}

/* A name is UTF-8; what the terminal's locale has no character for is shown as `?`. */
static void put_name(const char *name, int width)
{
	wchar_t wide[MODEL_NAME_MAX];
	char plain[MODEL_NAME_MAX];
	size_t n = mbstowcs(wide, name, MODEL_NAME_MAX - 1), out = 0;

	if (n != (size_t)-1) {
		wide[n] = L'\0';
		int cells = 0;
		size_t k = 0;

		for (; k < n; k++) {
			int w = wcwidth(wide[k]);

			if (cells + (w > 0 ? w : 0) > width)
				break;
			cells += w > 0 ? w : 0;
		}
		addnwstr(wide, k);
		printw("%*s", width - cells, "");
		return;
	}
	for (; *name && out < (size_t)width; name++)
		if ((*name & 0xc0) != 0x80)
			plain[out++] = (unsigned char)*name < 0x80 ? *name : '?';
	plain[out] = '\0';
	printw("%-*s", width, plain);
}

static void put_columns_head(const struct screen *s)
{
	attron(COLOR_PAIR(COLOR_HEAD) | A_BOLD);
	mvhline(2, 0, ' ', COLS);
	printw("%c%-*s %-*s", s->sort == SORT_BY_NAME ? '>' : ' ', NAME_WIDTH - 1, "VM", MODE_WIDTH, "MODE");
	for (size_t c = 0; c < top_columns_count; c++) {
		char head[16];

		snprintf(head, sizeof(head), "%s%s", s->sort == (int)c ? ">" : "", top_columns[c].head);
		if (top_columns[c].bar)
			printw(" %*s", BAR_WIDTH, "");
		printw(" %*s", top_columns[c].width, head);
	}
	attroff(COLOR_PAIR(COLOR_HEAD) | A_BOLD);
}

static void put_row(const struct top_row *row, bool selected)
{
	char text[32];

	if (selected)
		attron(COLOR_PAIR(COLOR_SELECTED) | A_REVERSE);
	else if (!row->alive)
		attron(COLOR_PAIR(COLOR_DIM));
	put_name(row->name, NAME_WIDTH);
	printw(" %-*s", MODE_WIDTH, row->alive ? row->mode : "ended");
	for (size_t c = 0; c < top_columns_count; c++) {
		if (top_columns[c].bar)
			put_bar(row->value[c]);
		top_text(text, sizeof(text), row->value[c], top_columns[c].width);
		printw(" %*s", top_columns[c].width, text);
	}
	attroff(COLOR_PAIR(COLOR_SELECTED) | COLOR_PAIR(COLOR_DIM) | A_REVERSE);
}

static void draw_vms(struct screen *s)
{
	size_t at = selected_row(s), lines = LINES > HEAD_LINES + 1 ? LINES - HEAD_LINES - 1 : 0;

	put_columns_head(s);
	if (at < s->first)
		s->first = at;
	if (lines && at >= s->first + lines)
		s->first = at - lines + 1;
	if (s->first >= s->rows)
		s->first = 0;
	for (size_t i = 0; i < lines && s->first + i < s->rows; i++) {
		move(HEAD_LINES + i, 0);
		put_row(&s->row[s->first + i], s->first + i == at);
	}
	if (!s->rows)
		mvaddnstr(HEAD_LINES, 0, *s->filter ? "No VM has that in its name." : "No VM is seen.", COLS);
}

static void draw_vcpus(const struct screen *s)
{
	const struct model_vm *vm = NULL, *old = NULL;
	double seconds = s->now.elapsed - s->before.elapsed;

	for (size_t i = 0; i < s->now.vms; i++)
		vm = s->now.vm[i].id == s->selected ? &s->now.vm[i] : vm;
	for (size_t i = 0; i < s->before.vms; i++)
		old = s->before.vm[i].id == s->selected ? &s->before.vm[i] : old;
	if (!vm) {
		mvaddnstr(2, 0, "That VM is gone.", COLS);
		return;
	}
	attron(COLOR_PAIR(COLOR_HEAD) | A_BOLD);
	mvhline(2, 0, ' ', COLS);
	put_name(vm->name, 20);
	printw(" %5s %*s %7s %7s %10s %8s %8s", "vCPU", BAR_WIDTH, "", "used", "max", "pages/s", "resets", "full");
	attroff(COLOR_PAIR(COLOR_HEAD) | A_BOLD);
	for (size_t i = 0; i < vm->vcpus && (int)(HEAD_LINES + i) < LINES - 1; i++) {
		const struct model_vcpu *v = &vm->vcpu[i], *o = NULL;
		char rate[32];

		for (size_t k = 0; old && k < old->vcpus; k++)
			o = old->vcpu[k].ring.vcpu_id == v->ring.vcpu_id ? &old->vcpu[k] : o;
		top_text(rate, sizeof(rate), o && seconds > 0 && v->ring.pushes >= o->ring.pushes ?
			 (v->ring.pushes - o->ring.pushes) / seconds : NAN, 10);
		mvprintw(HEAD_LINES + i, 0, "%-20s %5u", v->ring.stall_since ? "stalled" : "", v->ring.vcpu_id);
		put_bar(v->ring.soft_limit ? 100.0 * v->used / v->ring.soft_limit : NAN);
		printw(" %7u %7u %10s %8llu %8llu", v->used, v->ring.used_max, rate, v->ring.reset_events,
		       v->ring.full_exits);
	}
	if (!vm->vcpus)
		mvaddnstr(HEAD_LINES, 0, vm->info.ring_bytes ? "It has no living ring." :
			  "Its dirty pages are tracked by a bitmap: nothing is known of single vCPUs.", COLS);
}

static void draw_help(void)
{
	static const char *const line[] = {
		"MB/s    memory dirtied: pages of 4 KiB that vCPUs wrote while they were tracked",
		"USED%   fill of the fullest ring now, MAX% its highest of the last minute,",
		"        against the soft limit, at which a vCPU is turned away",
		"FULL/s  exits because of a full ring, STALL% vCPU time that they cost",
		"SYNC/s  resets of the rings, or GETs of the bitmap; SYNC% the time they took",
		"-       is not measured on this kernel (n: what, and why)",
		"",
		"< >     sort by another column         r  the other way round",
		"/       filter by name                 p  pause",
		"up down (or k j) choose a VM           Enter  its vCPUs, Esc  back",
		"q       quit",
	};

	for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++)
		mvaddnstr(2 + i, 0, line[i], COLS);
}

static void draw_lost(const struct screen *s)
{
	const char *said = "";
	int y = 2;

	for (size_t i = 0; i < s->now.probes && y < LINES - 1; i++) {
		const struct probe *p = &s->now.probe[i];

		if (!render_is_lost(p) || !strcmp(said, p->gives))
			continue;
		said = p->gives;
		move(y++, 0);
		addnstr(p->gives, COLS);
		addnstr(": ", COLS - getcurx(stdscr));
		addnstr(p->why, COLS - getcurx(stdscr));
	}
	if (y == 2)
		mvaddnstr(y, 0, "Everything is measured.", COLS);
}

static void draw(struct screen *s)
{
	erase();
	put_head(s);
	if (s->view == VIEW_VMS)
		draw_vms(s);
	else if (s->view == VIEW_VCPUS)
		draw_vcpus(s);
	else if (s->view == VIEW_HELP)
		draw_help();
	else
		draw_lost(s);
	put_foot(s);
	refresh();
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
	long at = (long)selected_row(s) + step;

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
		if (s->sort >= (int)top_columns_count)
			s->sort = SORT_BY_NAME;
		if (s->sort < SORT_BY_NAME)
			s->sort = top_columns_count - 1;
		make_rows(s);
		break;
	case 'r':
		s->reverse = !s->reverse;
		make_rows(s);
		break;
	case '/':
		s->typing = true;
		s->view = VIEW_VMS;
		break;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		break;
	case 'h':
	case '?':
		s->view = s->view == VIEW_HELP ? VIEW_VMS : VIEW_HELP;
		break;
	case 'n':
		s->view = s->view == VIEW_LOST ? VIEW_VMS : VIEW_LOST;
		break;
	case '\n':
	case '\r':
	case KEY_ENTER:
		choose(s, 0);
		if (s->rows && s->view == VIEW_VMS)
			s->view = VIEW_VCPUS;
		break;
	case 27:
	case KEY_BACKSPACE:
	case KEY_LEFT:
		s->view = VIEW_VMS;
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
		draw(s);
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
	"Shows the VMs of this host, INTERVAL (1 s) apart; h tells the keys. Into a pipe it "
	"writes what migscope stat does.\v"
	"Exit status: 0 done, 1 failure, 2 usage, 3 nothing of what was asked for can be measured.",
	NULL, NULL, NULL
};

int cmd_top(const struct ms_opts *opts, int argc, char **argv)
{
	struct screen s = { .sort = 0 };
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
	if (!bpf_host_sees(s.host) && !bpf_host_waits(s.host)) {
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
