// SPDX-License-Identifier: GPL-2.0
// The report: sessions with their bills, plots, events.
'use strict';

(() => {
	const { Board, COLORS, element, gapOf, text } = Plots;
	const report = JSON.parse(document.getElementById('data').textContent);
	const main = document.querySelector('main');
	const when = t => new Date(t * 1000).toLocaleString();

	const BILL = [
		['pages', 'pages dirtied', '', 1], ['pages_per_second', 'a second', 'MB/s', 4096e-6, true],
		['ring_used_max_ratio', 'fullest ring, of its soft limit', '%', 100],
		['full_exits', 'exits because of a full ring', '', 1], ['stall_seconds', 'vCPUs stood still', 's', 1, true],
		['stalls_unfinished', 'that never ended', '', 1, true],
		['resets', 'resets of the rings', '', 1], ['pages_per_reset', 'pages in each', '', 1, true],
		['reset_walk_seconds', 'time in them', 'ms', 1e3, true], ['reset_mmu_calls', 'calls into the MMU', '', 1, true],
		['rejected_entries', 'entries rejected', '', 1, true],
		['get_calls', 'KVM_GET_DIRTY_LOG', '', 1], ['get_seconds', 'time in them', 'ms', 1e3, true],
		['get_bytes', 'bitmap copied', 'KiB', 1 / 1024, true],
		['clear_calls', 'KVM_CLEAR_DIRTY_LOG', '', 1], ['clear_seconds', 'time in them', 'ms', 1e3, true],
		['switch_on_seconds', 'logging switched on', 'ms', 1e3], ['switch_off_seconds', 'logging switched off', 'ms', 1e3],
	];
	const OUTCOME = {
		running: 'still going on when the recording ended', logging_off: 'until logging was switched off',
		vm_ended: 'until the VM ended', idle: 'until nothing more was harvested',
	};

	// The points of a series are those that changed.
	function samplesOf() {
		const samples = report.samples.map(time => ({ time, values: new Map() }));
		for (const vm of report.vms) {
			// one that ended stands still
			const first = vm.first - 1, last = Math.min(vm.ended || vm.last, samples.length) - 1;
			for (let i = first; i <= last; i++)
				samples[i].values.set(vm.id, {});
			for (const s of vm.series) {
				const key = [s.name, ...Object.values(s.labels)].join(',');
				let p = 0, value = null;
				for (let i = first; i <= last; i++) {
					while (p < s.points.length && s.points[p][0] - 1 <= i)
						value = s.points[p++][1];
					if (value !== null)
						samples[i].values.get(vm.id)[key] = value;
				}
			}
		}
		return samples;
	}

	function head() {
		const r = report.recording, n = report.samples.length;
		main.append(element('h1', {}, 'migscope'),
			element('p', {}, element('code', {}, r.command)),
			element('p', { class: 'dim' }, n ? `${n} samples from ${when(report.samples[0])}, ${text(report.samples[n - 1] - report.samples[0])} s` : 'no sample',
				` · ${r.host} · kernel ${r.kernel.split(' ')[0]} · migscope ${r.version}`));
		if (!r.complete)
			main.append(element('p', { class: 'warn' }, 'Incomplete: the recording was cut off, or was still being written.'));
	}

	function sessionCard(s, vm) {
		// of what never happened there is no more to say
		let happened = true;
		const rows = BILL.filter(([key, , , , sub]) => {
			if (!sub && key in s.bill)
				happened = s.bill[key] !== 0;
			return key in s.bill && (happened || !sub);
		}).map(([key, what, unit, by, sub]) =>
			element('tr', {}, element('td', sub ? { class: 'sub' } : {}, what),
				element('td', { class: 'n' }, unit ? text(s.bill[key] * by) + ' ' + unit : text(Math.round(s.bill[key])))));
		const advice = element('ul', { class: 'advice' }, ...s.advice.map(a => element('li', {}, a)));
		return element('section', { class: 'card session' },
			element('h3', {}, s.name, ' ', element('span', { class: 'dim' }, s.kind === 'display' ? 'display, no migration' : 'migration, ' + (vm.dirty_mode === 'ring' ? 'dirty ring' : 'dirty bitmap'))),
			element('p', { class: 'dim' }, `${when(s.begin)}, ${text(s.seconds)} s, ${OUTCOME[s.outcome] || s.outcome}` +
				(s.recognised_by === 'harvests' ? '; recognised by what was harvested' : '')),
			element('div', { class: 'scroll' }, element('table', {}, ...rows)), s.advice.length ? advice : null);
	}

	function list(title, rows) {
		if (rows.length)
			main.append(element('h2', {}, title), element('div', { class: 'card scroll' }, element('table', {}, ...rows)));
	}

	head();
	report.vms.forEach((vm, i) => { vm.color = COLORS[i % COLORS.length]; });
	const samples = samplesOf();

	main.append(element('h2', {}, 'Migrations'));
	if (!report.sessions.length)
		main.append(element('p', { class: 'dim' }, 'Nothing was tracked while we watched.'));
	main.append(element('div', { class: 'cards' }, ...report.sessions.map(s => sessionCard(s, report.vms.find(vm => vm.id === s.vm)))));

	main.append(element('h2', {}, 'Over time'));
	const plots = element('div', { class: 'plots' });
	const board = new Board(plots, report.sessions.filter(s => s.kind === 'migration'));
	main.append(board.toolbar(), plots);
	board.draw(samples, report.vms, gapOf(samples, report.recording.interval));
	if (!board.drawn.size)
		plots.append(element('p', { class: 'dim' }, 'There is nothing to draw.'));

	list('VMs', [element('tr', {}, ...['VM', 'tracked by', 'process', 'UUID', ''].map(h => element('th', {}, h))),
		...report.vms.map(vm => element('tr', {}, element('td', {}, vm.name), element('td', {}, vm.dirty_mode === 'ring' ? 'dirty ring' : 'dirty bitmap'),
			element('td', {}, `${vm.comm}, ${vm.pid}`), element('td', {}, vm.uuid || ''), element('td', {}, vm.ended ? 'ended' : '')))]);
	list('Events', report.events.map(e => element('tr', {}, element('td', { class: 'dim time' }, new Date(e.time * 1000).toLocaleTimeString()), element('td', {}, e.text))));
	// a measure that needs two hooks is named once
	const lost = report.not_measured.filter((p, i, all) => all.findIndex(q => q.lost === p.lost) === i);
	list('Not measured', lost.map(p => element('tr', {}, element('td', {}, p.lost), element('td', { class: 'dim' }, p.why))));

	window.migscope = { board, report };
})();
