// SPDX-License-Identifier: GPL-2.0
// What the live page and the report share: from counters to plots.
'use strict';

const Plots = (() => {
	const COLORS = ['#3b82f6', '#d9722e', '#2a9d63', '#b556c4', '#d64550', '#8f8a20', '#1aa3b8', '#8b80f5'];
	const PAGE = 4096;
	const SPACES = [0, 1, 2, 3];	// of a vDPA device, as many as are told apart

	// A panel: what is drawn of a VM between two samples; null: nothing is known.
	// `v(key)` is a value now, `r(key)` what a counter grew by in a second.
	const PANELS = [
		{ id: 'dirty', title: 'Memory dirtied', unit: 'MB/s',
			of: (v, r) => scale(r('dirty_pages,vcpu'), PAGE / 1e6) },
		{ id: 'used', title: 'Fullest ring of the last minute', unit: '% of its soft limit', most: 100,
			of: (v) => ratio(v('ring_used_entries_max'), v('ring_soft_limit_entries')) },
		{ id: 'full', title: 'Exits because of a full ring', unit: '/s', of: (v, r) => r('ring_full_exits') },
		{ id: 'stall', title: 'vCPU time lost to full rings', unit: '% of a vCPU',
			of: (v, r) => scale(r('ring_full_stall_seconds_sum'), 100) },
		{ id: 'sync', title: 'Time spent in harvesting', unit: '% of the time',
			of: (v, r) => scale(sum(r('ring_reset_seconds_sum'), r('ring_flush_seconds'), r('dirty_log_sync_seconds_sum,get'),
				r('dirty_log_sync_seconds_sum,clear')), 100) },
		{ id: 'resets', title: 'Resets of the rings', unit: '/s', of: (v, r) => r('ring_resets') },
		{ id: 'get', title: 'Mean of a GET of the bitmap', unit: 'ms',
			of: (v, r) => scale(div(r('dirty_log_sync_seconds_sum,get'), r('dirty_log_sync_seconds_count,get')), 1e3) },
		{ id: 'bitmap', title: 'Bitmap copied', unit: 'kB/s',
			of: (v, r) => scale(sum(r('dirty_log_sync_bytes,get'), r('dirty_log_sync_bytes,clear')), 1e-3) },
		{ id: 'switch', title: 'Switching of dirty logging', unit: 'ms in each second',
			of: (v, r) => scale(sum(r('dirty_logging_toggle_seconds_sum,on'), r('dirty_logging_toggle_seconds_sum,off')), 1e3) },
		// of devices and containers
		{ id: 'misses', title: 'IOTLB misses', unit: '/s', of: (v, r) => sum(r('iotlb_lookups,miss'), ...SPACES.map(i => r('vdpa_table_lookups,miss,' + i))) },
		{ id: 'wait', title: 'Mean wait for a translation', unit: 'ms',
			of: (v, r) => scale(div(r('iotlb_miss_service_seconds_sum'), r('iotlb_miss_service_seconds_count')), 1e3) },
		{ id: 'table', title: 'Translations in the fullest table', unit: '% of its limit', most: 100,
			of: (v) => most(ratio(v('iotlb_entries'), v('iotlb_entries_limit')),
				...SPACES.map(i => ratio(v('vdpa_table_entries,' + i), v('vdpa_table_entries_limit,' + i)))) },
		{ id: 'pinned', title: 'Memory pinned for devices', unit: 'MB',
			of: (v) => sum(scale(v('vfio_pinned_pages'), PAGE / 1e6), scale(v('vdpa_pinned_bytes'), 1e-6)) },
		{ id: 'pins', title: 'Pins by devices', unit: '/s', of: (v, r) => r('vfio_pin_seconds_count,pin') },
		{ id: 'devget', title: 'Mean of a dirty bitmap of a container', unit: 'ms',
			of: (v, r) => scale(div(sum(r('vfio_dirty_get_seconds_sum,get'), r('vfio_dirty_get_seconds_sum,unmap')),
				sum(r('vfio_dirty_get_seconds_count,get'), r('vfio_dirty_get_seconds_count,unmap'))), 1e3) },
		{ id: 'saving', title: 'Devices whose state is saved', unit: '% of the time',
			of: (v, r) => states(r, 'pre_copy', 'pre_copy_p2p', 'stop_copy') },
		{ id: 'stopped', title: 'Devices that stand still', unit: '% of the time',
			of: (v, r) => states(r, 'stop', 'stop_copy', 'resuming', 'error') },
		{ id: 'kicks', title: 'Kicks of vDPA queues', unit: '/s', of: (v, r) => r('vdpa_vq_kicks') },
	];

	function states(r, ...names) { return scale(sum(...names.map(name => r(`vfio_migration_state_seconds,${name}`))), 100); }
	function scale(x, by) { return x === null ? null : x * by; }
	function ratio(a, b) { return a === null || !b ? null : 100 * a / b; }
	function div(a, b) { return a === null || !b ? null : a / b; }
	function most(...xs) {
		const known = xs.filter(x => x !== null);
		return known.length ? Math.max(...known) : null;
	}
	function sum(...xs) {
		const known = xs.filter(x => x !== null);
		return known.length ? known.reduce((a, b) => a + b, 0) : null;
	}

	// samples: [{ time, values: Map(vm id -> { key: number }) }]; a step of more than `gap`
	// seconds is drawn as a hole, and so is one from one run of migscope to the next.
	function rows(panel, samples, vms, gap) {
		const out = [];
		for (let i = 1; i < samples.length; i++) {
			const before = samples[i - 1], now = samples[i], dt = now.time - before.time;
			const cut = !(dt > 0) || dt > gap || now.run !== before.run;
			if (cut) {
				// what lies between is not known
				out.push([new Date((before.time + Math.max(dt, 0.001) / 2) * 1000), ...vms.map(() => null)]);
				if (!(dt > 0))
					continue;
			}
			out.push([new Date(now.time * 1000), ...vms.map(vm => {
				const a = before.values.get(vm.id), b = now.values.get(vm.id);
				if (!b)
					return null;
				const v = key => key in b ? b[key] : null;
				// what was not there a sample ago has no rate; a counter that went back began anew
				const r = key => !a || !(key in a) || !(key in b) || b[key] < a[key] || cut ? null : (b[key] - a[key]) / dt;
				return panel.of(v, r);
			})]);
		}
		// only what goes forward can be drawn
		return out.filter((row, i) => !i || row[0] > out[i - 1][0]);
	}

	// A line at nothing is not to lie on the edge.
	function rangeOf(most) {
		const top = most > 0 ? most * 1.08 : 1;
		return [-0.02 * top, top];
	}

	function median(xs) {
		const s = [...xs].sort((a, b) => a - b);
		return s.length ? s[s.length >> 1] : 0;
	}

	function gapOf(samples, interval) {
		const steps = samples.slice(1).map((s, i) => s.time - samples[i].time).filter(d => d > 0);
		return 2.5 * Math.max(interval || 0, median(steps));
	}

	function text(x) {
		if (x === null || x === undefined || Number.isNaN(x))
			return '–';
		const a = Math.abs(x);
		if (Number.isInteger(x))
			return x.toLocaleString('en');
		return a >= 1000 ? Math.round(x).toLocaleString('en') : a >= 100 ? x.toFixed(0) : a >= 10 ? x.toFixed(1) : a >= 0.01 || !a ? x.toFixed(2) : x.toPrecision(2);
	}

	// As the axes have it.
	const HOURS = { hourCycle: 'h23' };
	const clock = seconds => new Date(seconds * 1000).toLocaleTimeString([], HOURS);
	const date = seconds => new Date(seconds * 1000).toLocaleString([], HOURS);

	function element(tag, attributes, ...children) {
		const e = document.createElement(tag);
		for (const [k, v] of Object.entries(attributes || {}))
			e.setAttribute(k, v);
		// text only: names of VMs are untrusted
		e.append(...children.filter(c => c !== null && c !== undefined));
		return e;
	}

	function css(name) {
		return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	}

	// All plots of a page: they are zoomed together.
	class Board {
		constructor(parent, bands) {
			this.parent = parent;
			this.bands = bands || [];
			this.drawn = new Map();
			this.range = null;
			matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
		}

		toolbar() {
			const bar = element('div', { class: 'bar', role: 'toolbar', 'aria-label': 'Zoom of all plots' });
			for (const [label, title, from, to] of [['◀', 'Earlier', -0.4, -0.4], ['▶', 'Later', 0.4, 0.4],
				['+', 'Closer', 0.25, -0.25], ['−', 'Farther', -0.5, 0.5], ['All', 'The whole time', null, null]]) {
				const b = element('button', { type: 'button', title, 'aria-label': title }, label);
				b.addEventListener('click', () => this.zoom(from, to));
				bar.append(b);
			}
			bar.append(element('span', { class: 'dim' }, 'or drag in a plot; double click for all'));
			return bar;
		}

		extremes() {
			const all = [...this.drawn.values()].map(d => d.graph.xAxisExtremes());
			return [Math.min(...all.map(e => e[0])), Math.max(...all.map(e => e[1]))];
		}

		zoom(from, to) {
			if (!this.drawn.size)
				return;
			const [lo, hi] = this.extremes(), now = this.range || [lo, hi], w = now[1] - now[0];
			let next = from === null ? null : [now[0] + from * w, now[1] + to * w];
			if (next && (next[1] - next[0] >= hi - lo))
				next = null;
			if (next && next[0] < lo)
				next = [lo, lo + next[1] - next[0]];
			if (next && next[1] > hi)
				next = [hi - next[1] + next[0], hi];
			this.setRange(next);
		}

		setRange(range) {
			if (this.syncing)
				return;
			this.syncing = true;
			this.range = range;
			for (const d of this.drawn.values())
				d.graph.updateOptions({ dateWindow: range });
			this.syncing = false;
		}

		redraw() {
			for (const d of this.drawn.values())
				d.graph.updateOptions({ gridLineColor: css('--grid'), axisLineColor: css('--line') });
		}

		// Draws, or draws anew, every panel that has anything to show.
		draw(samples, vms, gap) {
			for (const panel of PANELS) {
				const data = rows(panel, samples, vms, gap);
				const shown = vms.filter((vm, i) => data.some(row => row[i + 1] !== null));
				if (!shown.length && !this.drawn.has(panel.id))
					continue;
				const columns = shown.map(vm => vms.indexOf(vm) + 1);
				const file = data.map(row => [row[0], ...columns.map(c => row[c])]);
				this.panel(panel, file, shown);
			}
		}

		panel(panel, file, vms) {
			// two VMs may have one name after another: labels of columns are their ids
			const labels = ['time', ...vms.map(vm => String(vm.id))];
			const colors = vms.map(vm => vm.color);
			const most = Math.max(panel.most || 0, ...file.map(row => Math.max(...row.slice(1).map(x => x === null ? 0 : x))));
			const options = { file, labels, colors, valueRange: rangeOf(most) };
			let d = this.drawn.get(panel.id);
			if (d) {
				d.vms = vms;
				d.graph.updateOptions(options);
				this.legend(d);
				return;
			}
			const plot = element('div', { class: 'plot', role: 'img', 'aria-label': panel.title });
			const legend = element('div', { class: 'legend' });
			const table = element('details', {}, element('summary', {}, 'as numbers'));
			const card = element('section', { class: 'card', id: 'plot-' + panel.id },
				element('h3', {}, panel.title, ' ', element('span', { class: 'dim' }, panel.unit)), plot, legend, table);
			this.parent.append(card);
			d = { panel, vms, legendElement: legend, hover: null };
			this.drawn.set(panel.id, d);
			d.graph = new Dygraph(plot, file, {
				...options, file: undefined,
				legend: 'never', connectSeparatedPoints: false, drawPoints: false, strokeWidth: 1.6,
				// a single point between two holes would be nothing at all
				drawGapEdgePoints: true, pointSize: 2,
				gridLineColor: css('--grid'), axisLineColor: css('--line'), axisLabelFontSize: 12,
				gridLineWidth: 0.8,
				axes: {
					// parts of a second are nothing to go by
					x: { axisLabelFormatter: (d, by, o) => d.getMilliseconds() ? '' :
						Dygraph.dateAxisLabelFormatter(d, Math.max(by, Dygraph.Granularity.SECONDLY), o) },
					y: { axisLabelFormatter: x => x < 0 ? '' : text(x).replace(/(\.\d*?)0+$/, '$1').replace(/\.$/, ''), axisLabelWidth: 52, pixelsPerLabel: 24 },
				},
				dateWindow: this.range,
				highlightCallback: (e, x, points, row) => { d.hover = row; this.legend(d); },
				unhighlightCallback: () => { d.hover = null; this.legend(d); },
				zoomCallback: (lo, hi) => {
					const [a, b] = this.extremes();
					this.setRange(lo <= a && hi >= b ? null : [lo, hi]);
				},
				underlayCallback: (ctx, area, g) => {
					ctx.fillStyle = css('--band');
					for (const band of this.bands) {
						const x0 = g.toDomXCoord(band.begin * 1000), x1 = g.toDomXCoord(band.end * 1000);
						ctx.fillRect(Math.max(x0, area.x), area.y, Math.min(x1, area.x + area.w) - Math.max(x0, area.x), area.h);
					}
				},
			});
			table.addEventListener('toggle', () => this.numbers(d, table));
			this.legend(d);
		}

		// Without the mouse on it, the last value.
		legend(d) {
			const row = d.hover === null ? d.graph.numRows() - 1 : d.hover;
			d.legendElement.replaceChildren(...d.vms.map((vm, i) => {
				const key = element('i');
				key.style.background = vm.color;
				return element('span', {}, key, vm.name + ' ', element('b', {}, row < 0 ? '–' : text(d.graph.getValue(row, i + 1))));
			}));
		}

		numbers(d, table) {
			if (!table.open)
				return;
			const head = element('tr', {}, element('th', {}, 'time'), ...d.vms.map(vm => element('th', { class: 'n' }, vm.name)));
			const body = [];
			for (let i = Math.max(0, d.graph.numRows() - 200); i < d.graph.numRows(); i++)
				body.push(element('tr', {}, element('td', {}, clock(d.graph.getValue(i, 0) / 1000)),
					...d.vms.map((vm, k) => element('td', { class: 'n' }, text(d.graph.getValue(i, k + 1))))));
			const scroll = element('div', { class: 'scroll' }, element('table', {}, head, ...body));
			while (table.children.length > 1)
				table.lastChild.remove();
			table.append(scroll);
		}

		// What is drawn: { panel id: { vm name: [[ms, value], ..] } }; the tests read it back.
		readBack() {
			const out = {};
			for (const [id, d] of this.drawn) {
				out[id] = {};
				d.vms.forEach((vm, k) => {
					out[id][vm.id] = [];
					for (let i = 0; i < d.graph.numRows(); i++)
						out[id][vm.id].push([d.graph.getValue(i, 0), d.graph.getValue(i, k + 1)]);
				});
			}
			return out;
		}
	}

	// What panel ID would draw, of values and rates at hand.
	function shown(id, v, r) { return PANELS.find(p => p.id === id).of(v, r); }

	return { Board, COLORS, PANELS, clock, date, element, gapOf, shown, text };
})();
