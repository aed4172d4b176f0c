// SPDX-License-Identifier: GPL-2.0
// The report: sessions with their bills, plots, events.
'use strict';

(() => {
	const { Board, COLORS, clock, date, element, gapOf, text } = Plots;
	const report = JSON.parse(document.getElementById('data').textContent);
	const main = document.querySelector('main');
	const when = date;

	const BILL = [
		['pages', 'pages dirtied', '', 1], ['pages_per_second', 'a second', 'MB/s', 4096e-6, true],
		['ring_used_max_ratio', 'fullest ring, of its soft limit', '%', 100],
		['full_exits', 'exits because of a full ring', '', 1], ['stall_seconds', 'vCPUs stood still', 's', 1, true],
		['stalls_unfinished', 'that never ended', '', 1, true],
		['resets', 'resets of the rings', '', 1], ['pages_per_reset', 'pages in each', '', 1, true],
		['reset_walk_seconds', 'time in their walks', 'ms', 1e3, true], ['flush_seconds', 'in the TLB flushes behind', 'ms', 1e3, true], ['reset_mmu_calls', 'calls into the MMU', '', 1, true],
		['rejected_entries', 'entries rejected', '', 1, true],
		['get_calls', 'KVM_GET_DIRTY_LOG', '', 1], ['get_seconds', 'time in them', 'ms', 1e3, true],
		['get_bytes', 'bitmap copied', 'KiB', 1 / 1024, true],
		['clear_calls', 'KVM_CLEAR_DIRTY_LOG', '', 1], ['clear_seconds', 'time in them', 'ms', 1e3, true],
		['switch_on_seconds', 'logging switched on', 'ms', 1e3], ['switch_off_seconds', 'logging switched off', 'ms', 1e3],
	];
	const WAIT = { reset: 'resets of the rings', get: 'KVM_GET_DIRTY_LOG', clear: 'KVM_CLEAR_DIRTY_LOG',
		switch: 'switching logging', stall: 'stood still, ring full' };
	const DEVICE = [
		['iotlb_misses', 'misses', '', 1], ['iotlb_miss_seconds', 'waited for translations', 'ms', 1e3],
		['iotlb_updates', 'translations given', '', 1], ['iotlb_evictions', 'thrown out for room', '', 1],
		['vdpa_kicks', 'kicks', '', 1], ['vdpa_updates', 'updates of its memory', '', 1],
		['vdpa_update_seconds', 'time in them', 'ms', 1e3], ['vdpa_pinned_bytes', 'pinned at the end', 'MB', 1e-6],
		['vdpa_misses', 'addresses that it found nothing at', '', 1],
		['pins', 'pins', '', 1], ['pin_seconds', 'time in them', 'ms', 1e3], ['unpins', 'unpins', '', 1],
		['pinned_pages', 'pages pinned at the end', '', 1], ['dirty_gets', 'dirty bitmaps asked for', '', 1],
		['dirty_get_seconds', 'time in them', 'ms', 1e3], ['dirty_get_bytes', 'bitmap copied', 'KiB', 1 / 1024],
		['dirty_pages', 'pages that they showed', '', 1], ['scope_full', 'all that is mapped counts as dirty', '', 1],
	];
	// as a migration goes through them, first here and then there, errors last
	const STATES = ['running', 'running_p2p', 'pre_copy', 'pre_copy_p2p', 'stop_copy', 'stop', 'resuming', 'error'];
	const OUTCOME = {
		running: 'still going on when the recording ended', logging_off: 'until logging was switched off',
		vm_ended: 'until the VM ended', idle: 'until nothing more was harvested',
		overtaken: 'until a migration began beside it',
		tracking_off: 'until its devices were tracked no more',
		ran_on: 'cancelled or failed: the guest ran on here',
		devices_stopped: 'until its devices were saved, and stood still', device_error: 'failed: a device of it is in error',
	};

	// When a sample was taken, by the clock as it stood at the first: one that is set while we record
	// neither moves what is drawn nor changes a rate.
	const time = i => report.samples[0] + report.elapsed[i] - report.elapsed[0];

	// The points of a series are those that changed.
	function samplesOf() {
		const samples = report.elapsed.map((_, i) => ({ time: time(i), values: new Map() }));
		for (const vm of report.vms) {
			// one that ended stands still
			const first = vm.first - 1, last = Math.min(vm.ended || vm.last, samples.length) - 1;
			for (let i = first; i <= last; i++)
				samples[i].values.set(vm.id, {});
			for (const s of vm.series) {
				fill(samples, s, vm.id, first, last, [s.name, ...Object.values(s.labels)].join(','));
			}
		}
		return samples;
	}

	function fill(samples, s, id, first, last, key) {
		let p = 0, value = null;
		for (let i = first; i <= last; i++) {
			while (p < s.points.length && s.points[p][0] - 1 <= i)
				value = s.points[p++][1];
			if (value !== null)
				samples[i].values.get(id)[key] = value;
		}
	}

	// Devices are known by their series; puts their values beside those of the VMs.
	function devicesOf(samples) {
		const devices = new Map();
		for (const s of report.host) {
			if (!('dev' in s.labels) || !s.points.length)
				continue;
			const { vm, dev, ...labels } = s.labels, id = `${vm}/${dev}`;
			if (!devices.has(id))
				devices.set(id, { id, name: `${vm} ${dev}`, series: [] });
			devices.get(id).series.push([[s.name, ...Object.values(labels)].join(','), s]);
		}
		for (const d of devices.values()) {
			const first = Math.min(...d.series.map(([, s]) => s.points[0][0])) - 1;
			for (let i = first; i < samples.length; i++)
				samples[i].values.set(d.id, {});
			d.series.forEach(([key, s]) => fill(samples, s, d.id, first, samples.length - 1, key));
		}
		return [...devices.values()];
	}

	function head() {
		const r = report.recording, n = report.samples.length;
		main.append(element('h1', {}, 'migscope'),
			element('p', {}, element('code', {}, r.command)),
			element('p', { class: 'dim' }, n ? `${n} samples from ${when(report.samples[0])}, ${text(time(n - 1) - time(0))} s` : 'no sample',
				` · ${r.host} · kernel ${r.kernel.split(' ')[0]} · migscope ${r.version}`));
		if (!r.complete)
			main.append(element('p', { class: 'warn' }, 'Incomplete: the recording was cut off, or was still being written.'));
	}

	// Pages of each round, one bar beside the other.
	function roundBars(syncs) {
		const most = Math.max(...syncs.map(r => r.pages / (r.rounds || 1)));
		const label = `Pages of each round: ${syncs.slice(0, 40).map(r => Math.round(r.pages)).join(', ')}`;
		return element('div', { class: 'bars', role: 'img', 'aria-label': label, title: `pages of each round, at most ${text(Math.round(most))}` },
			...syncs.map(r => element('span', { style: `height:${Math.max(2, 100 * r.pages / (r.rounds || 1) / most)}%` })));
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
		const sub = (title, rows) => rows.length ? element('div', { class: 'part' }, element('h4', {}, title),
			element('div', { class: 'scroll' }, element('table', {}, ...rows))) : null;
		const row = (...cells) => element('tr', {}, ...cells.map((c, i) => element('td', i ? { class: 'n' } : {}, c)));
		const threads = sub('Who waited', (s.threads || []).map(t => row(`${t.thread}, ${WAIT[t.op] || t.op}`, text(t.seconds * 1e3) + ' ms')));
		const devices = (s.devices || []).map(d => sub(d.dev, [...DEVICE.filter(([key]) => d[key]).map(([key, what, unit, by]) =>
			row(what, text(d[key] * by) + (unit && ' ' + unit))),
		...STATES.filter(state => state in (d.seconds_in || {})).map(state =>
			row(`in ${state}`, text(d.seconds_in[state] * 1e3) + ' ms'))]));
		const rounds = s.phases ? sub('Rounds', [
			row('until the first sync', text(s.phases.until_first_sync_seconds) + ' s'),
			...('first_round_seconds' in s.phases ? [row('the first round', text(s.phases.first_round_seconds) + ' s'),
				row(`${text(s.bill.rounds - 2)} further ones`, text(s.phases.further_rounds_seconds) + ' s')] : []),
			row('after the last sync', text(s.phases.after_last_sync_seconds) + ' s')]) : null;
		const bars = s.syncs && s.syncs.some(r => r.pages > 0) ? roundBars(s.syncs.filter(r => 'pages' in r)) : null;
		const qemu = s.qemu ? sub('QEMU says', [row('status', s.qemu.status), row('rounds', text(s.qemu.rounds)),
			row('sent', text(s.qemu.transferred_bytes / 1e6) + ' MB'), row('total time', text(s.qemu.migration_seconds) + ' s'),
			row('downtime', text(s.qemu.downtime_seconds * 1e3) + ' ms')]) : null;
		const f = s.forecast;
		const forecast = f && 'converges' in f ? sub(`At ${text(f.bandwidth_bytes_per_second / 1e6)} MB/s and ${text(f.downtime_limit_seconds * 1e3)} ms`, [
			row('it', f.converges ? 'converges' : 'does not converge'),
			...(f.converges ? [row('total time', text(f.total_seconds) + ' s'), row('downtime', text(f.downtime_seconds * 1e3) + ' ms')] :
				[row('least left after a round', text(f.least_left_bytes / 1e6) + ' MB')]),
			...(f.bandwidth_needed_bytes_per_second ? [row('bandwidth that would do', text(f.bandwidth_needed_bytes_per_second / 1e6) + ' MB/s')] : []),
			...(f.downtime_needed_seconds ? [row('downtime limit that would do', text(f.downtime_needed_seconds * 1e3) + ' ms')] : [])]) : null;
		const advice = element('ul', { class: 'advice' }, ...s.advice.map(a => element('li', {}, a)));
		return element('section', { class: 'card session' },
			element('h3', {}, s.name, ' ', element('span', { class: 'dim' }, s.kind === 'display' ? 'display, no migration' : 'migration, ' + (vm.dirty_mode === 'ring' ? 'dirty ring' : 'dirty bitmap'))),
			element('p', { class: 'dim' }, `${when(s.begin)}, ${text(s.seconds)} s, ${OUTCOME[s.outcome] || s.outcome}` +
				({ harvests: '; recognised by what was harvested', tracking: '; recognised by VFIO’s tracking of its devices',
					device_states: '; recognised by the migration states of its devices' }[s.recognised_by] || '')),
			element('div', { class: 'scroll' }, element('table', {}, ...rows)), rounds, bars, threads, ...devices, qemu, forecast,
			s.advice.length ? element('h4', {}, 'What to change') : null, s.advice.length ? advice : null);
	}

	function list(title, rows) {
		if (rows.length)
			main.append(element('h2', {}, title), element('div', { class: 'card scroll' }, element('table', {}, ...rows)));
	}

	head();
	report.vms.forEach((vm, i) => { vm.color = COLORS[i % COLORS.length]; });
	const samples = samplesOf();
	const devices = devicesOf(samples);
	devices.forEach((d, i) => { d.color = COLORS[i % COLORS.length]; });

	main.append(element('h2', {}, 'Migrations'));
	if (!report.sessions.length)
		main.append(element('p', { class: 'dim' }, 'Nothing was tracked while we watched.'));
	main.append(element('div', { class: 'cards' }, ...report.sessions.map(s => sessionCard(s, report.vms.find(vm => vm.id === s.vm)))));

	main.append(element('h2', {}, 'Over time'));
	const plots = element('div', { class: 'plots' });
	const board = new Board(plots, report.sessions.filter(s => s.kind === 'migration').map(s =>
		({ begin: time(s.first - 1), end: time(s.last - 1) })));
	main.append(board.toolbar(), plots);
	board.draw(samples, [...report.vms, ...devices], gapOf(samples, report.recording.interval));
	if (!board.drawn.size)
		plots.append(element('p', { class: 'dim' }, 'There is nothing to draw.'));

	list('VMs', [element('tr', {}, ...['VM', 'tracked by', 'process', 'UUID', ''].map(h => element('th', {}, h))),
		...report.vms.map(vm => element('tr', {}, element('td', {}, vm.name), element('td', {}, vm.dirty_mode === 'ring' ? 'dirty ring' : 'dirty bitmap'),
			element('td', {}, `${vm.comm}, ${vm.pid}`), element('td', {}, vm.uuid || ''), element('td', {}, vm.ended ? 'ended' : '')))]);
	list('Events', report.events.map(e => element('tr', {}, element('td', { class: 'dim time' }, clock(e.time)), element('td', {}, e.kind === 'qemu' ? 'QEMU: ' + e.text : e.text))));
	// a measure that needs two hooks is named once
	const lost = report.not_measured.filter((p, i, all) => all.findIndex(q => q.lost === p.lost) === i);
	list('Not measured', lost.map(p => element('tr', {}, element('td', {}, p.lost), element('td', { class: 'dim' }, p.why))));

	window.migscope = { board, report };
})();
