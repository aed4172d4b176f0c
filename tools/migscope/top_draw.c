// SPDX-License-Identifier: GPL-2.0
/* Nothing is ever written beyond the last column. */
#include "top_screen.h"
#include "render.h"

#include <math.h>
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAR_WIDTH	10
#define NAME_WIDTH	14
#define HEAD_LINES	3

size_t top_selected(const struct screen *s)
{
	for (size_t i = 0; i < s->rows; i++)
		if (s->row[i].id == s->selected)
			return i;
	return 0;
}

static void put_head(const struct screen *s)
{
	size_t attached, all, alive = 0;
	char stamp[16] = "";
	time_t t = s->now.time;
	struct tm tm;

	if (localtime_r(&t, &tm))
		strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
	all = probes_wanted(s->now.probe, s->now.probes, &attached);
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
		printw("filter: %s (%zu of %zu)", s->filter, s->rows,
		       metrics_objects(&s->now, s->table->scope));
}

static void put_foot(const struct screen *s)
{
	const char *keys = s->view == VIEW_LIST ?
		"q quit  < > sort  r reverse  / filter  Enter vCPUs  d devices  p pause  h help" :
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
	printw("%c%-*s %-*s", s->sort == SORT_BY_NAME ? '>' : ' ', NAME_WIDTH - 1, "VM", s->table->what_width,
	       s->table->what);
	for (size_t c = 0; c < s->table->columns; c++) {
		char head[16];

		snprintf(head, sizeof(head), "%s%s", s->sort == (int)c ? ">" : "", s->table->column[c].head);
		if (s->table->column[c].bar)
			printw(" %*s", BAR_WIDTH, "");
		printw(" %*s", s->table->column[c].width, head);
	}
	attroff(COLOR_PAIR(COLOR_HEAD) | A_BOLD);
}

static void put_row(const struct screen *s, const struct top_row *row, bool selected)
{
	char text[32];

	if (selected)
		attron(COLOR_PAIR(COLOR_SELECTED) | A_REVERSE);
	else if (!row->alive)
		attron(COLOR_PAIR(COLOR_DIM));
	put_name(row->name, NAME_WIDTH);
	addch(' ');
	put_name(row->alive ? row->what : "ended", s->table->what_width);
	for (size_t c = 0; c < s->table->columns; c++) {
		if (s->table->column[c].bar)
			put_bar(row->value[c]);
		top_text(text, sizeof(text), row->value[c], s->table->column[c].width);
		printw(" %*s", s->table->column[c].width, text);
	}
	attroff(COLOR_PAIR(COLOR_SELECTED) | COLOR_PAIR(COLOR_DIM) | A_REVERSE);
}

static void draw_list(struct screen *s)
{
	size_t at = top_selected(s), lines = LINES > HEAD_LINES + 1 ? LINES - HEAD_LINES - 1 : 0;

	put_columns_head(s);
	if (at < s->first)
		s->first = at;
	if (lines && at >= s->first + lines)
		s->first = at - lines + 1;
	if (s->first >= s->rows)
		s->first = 0;
	for (size_t i = 0; i < lines && s->first + i < s->rows; i++) {
		move(HEAD_LINES + i, 0);
		put_row(s, &s->row[s->first + i], s->first + i == at);
	}
	if (!s->rows)
		mvaddnstr(HEAD_LINES, 0, *s->filter ? "No VM has that in its name." :
			  s->table == &top_vms ? "No VM is seen." : "No device is seen.", COLS);
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
		"",
		"of devices: MISS/s translations not found, WAITms for them, TABLE% of the limit used;",
		"PIN MB pinned by VFIO devices, PINS/s; GETms of a dirty bitmap of a container;",
		"KICK/s of vDPA queues",
		"",
		"-       is not measured on this kernel (n: what, and why)",
		"< >     sort by another column         r  the other way round",
		"/       filter by name                 p  pause",
		"up down (or k j) choose a VM           Enter  its vCPUs, Esc  back",
		"d       devices and containers, or VMs",
		"q       quit",
	};

	for (int i = 0; i < (int)(sizeof(line) / sizeof(line[0])) && 2 + i < LINES - 1; i++)
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

void top_draw(struct screen *s)
{
	erase();
	put_head(s);
	if (s->view == VIEW_LIST)
		draw_list(s);
	else if (s->view == VIEW_VCPUS)
		draw_vcpus(s);
	else if (s->view == VIEW_HELP)
		draw_help();
	else
		draw_lost(s);
	put_foot(s);
	refresh();
}

