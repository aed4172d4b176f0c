// SPDX-License-Identifier: GPL-2.0
// The live page: a sample a second, for as long as it is open.
'use strict';

(() => {
	const { Board, COLORS, clock, element, gapOf, shown, text } = Plots;
	const EVERY = 1000, KEEP = 600;
	const main = document.querySelector('main');
	const samples = [], vms = new Map(), devices = new Map();
	const keys = new Map();		// of what a run numbers: our own
	let paused = false, color = 0, run = null, things = 0;
	// what the host's clock says when its monotonic one says 0
	let offset = null;

	const status = element('span', { class: 'dim status', role: 'status' }, 'waiting for the first sample');
	const pause = element('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
	const lost = element('div');
	const table = element('div', { class: 'card scroll live' });
	const deviceTable = element('div', { class: 'card scroll live' });
	const plots = element('div', { class: 'plots' });
	const board = new Board(plots);
	const bar = board.toolbar();
	bar.prepend(pause);
	bar.append(status);
	main.append(element('h1', {}, 'migscope'),
		element('p', { class: 'dim' }, 'What live migration costs this host, now. ',
			element('a', { href: 'metrics' }, 'metrics'), ' · ', element('a', { href: 'sample.json' }, 'JSON')),
		lost, table, deviceTable, bar, plots);

	pause.addEventListener('click', () => {
		paused = !paused;
		pause.textContent = paused ? 'Go on' : 'Pause';
		pause.setAttribute('aria-pressed', String(paused));
	});

	function meter(ratio) {
		const bar = element('i', ratio > 0.8 ? { class: 'high' } : {});
		bar.style.width = Math.min(100, 100 * ratio) + '%';
		return element('span', { class: 'meter', role: 'img', 'aria-label': text(100 * ratio) + ' %' }, bar);
	}

	function state(known) {
		return known.alive ? '' : known.lost ? ' (not seen any more)' : ' (ended)';
	}

	function showTable() {
		const now = samples[samples.length - 1], before = samples[samples.length - 2];
		const rows = [element('tr', {}, ...['VM', 'tracked by', 'MB/s dirtied', 'fullest ring', 'full exits', 'stalled', 'harvests'].map((h, i) =>
			element('th', i > 1 ? { class: 'n' } : {}, h)))];
		for (const vm of vms.values()) {
			const b = now.values.get(vm.id) || vm.last, a = before && before.values.get(vm.id);
			const get = key => key in b ? b[key] : null;
			const rate = key => a && key in a && key in b ? (b[key] - a[key]) / (now.time - before.time) : null;
			const limit = get('ring_soft_limit_entries'), used = get('ring_used_entries');
			const pages = rate('dirty_pages,vcpu');
			const harvests = [get('ring_resets'), get('dirty_log_sync_seconds_count,get')].filter(x => x !== null);
			rows.push(element('tr', {}, element('td', {}, vm.name + state(vm)),
				element('td', {}, vm.mode === 'ring' ? 'dirty ring' : 'dirty bitmap'),
				element('td', { class: 'n' }, text(pages === null ? null : pages * 4096 / 1e6)),
				element('td', { class: 'n' }, limit && used !== null ? meter(used / limit) : '', limit && used !== null ? ' ' + text(100 * used / limit) + ' %' : '–'),
				element('td', { class: 'n' }, text(get('ring_full_exits'))),
				element('td', { class: 'n' }, text(get('ring_full_stall_seconds_sum')) + ' s'),
				element('td', { class: 'n' }, harvests.length ? text(harvests.reduce((x, y) => x + y, 0)) : '–')));
		}
		if (rows.length === 1)
			rows.push(element('tr', {}, element('td', { colspan: 7, class: 'dim' }, 'No VM is seen: one appears when it begins to be tracked, or at once where births are hooked.')));
		table.replaceChildren(element('table', {}, ...rows));
	}

	function showDevices() {
		const now = samples[samples.length - 1], before = samples[samples.length - 2], rows = [];
		for (const d of devices.values()) {
			const b = now.values.get(d.id) || d.last, a = before && before.values.get(d.id);
			const get = key => key in b ? b[key] : null;
			const rate = key => a && key in a && key in b ? (b[key] - a[key]) / (now.time - before.time) : null;
			const waits = get('iotlb_miss_service_seconds_count'), full = shown('table', get, rate);
			const gets = get('vfio_dirty_get_seconds_count,get');
			const pinned = get('vfio_pinned_pages') !== null ? get('vfio_pinned_pages') * 4096 : get('vdpa_pinned_bytes');
			rows.push(element('tr', {}, element('td', {}, d.vm), element('td', {}, d.dev + state(d)),
				element('td', { class: 'n' }, text(shown('misses', get, rate))),
				element('td', { class: 'n' }, waits ? text(1e3 * get('iotlb_miss_service_seconds_sum') / waits) + ' ms' : '–'),
				element('td', { class: 'n' }, full === null ? '–' : meter(full / 100), full === null ? '' : ` ${text(full)} %`),
				element('td', { class: 'n' }, pinned === null ? '–' : text(pinned / 1e6) + ' MB'),
				element('td', { class: 'n' }, gets ? text(1e3 * get('vfio_dirty_get_seconds_sum,get') / gets) + ' ms' : '–'),
				element('td', { class: 'n' }, text(rate('vdpa_vq_kicks')))));
		}
		deviceTable.hidden = !rows.length;
		deviceTable.replaceChildren(element('table', {}, element('tr', {}, ...['VM', 'device', 'misses /s', 'mean wait', 'table full', 'pinned', 'mean GET', 'kicks /s'].map((h, i) =>
			element('th', i > 1 ? { class: 'n' } : {}, h))), ...rows));
	}

	// Numbers are of one run of migscope: the next gives them anew. What it calls by a name that
	// was there at the end of the one before goes on.
	function keyOf(map, number, name) {
		if (!keys.has(number)) {
			const taken = new Set(keys.values());
			const before = [...map.values()].find(x => x.name === name && (x.alive || x.lost) && !taken.has(x.id));
			keys.set(number, before ? before.id : 'x' + things++);
		}
		return keys.get(number);
	}

	// What is known of a thing that goes on; one that ended stands still, it is not drawn on.
	function keep(map, values, number, now) {
		const id = keyOf(map, number, now.name);
		if (!map.has(id))
			map.set(id, { id, color: COLORS[color++ % COLORS.length] });
		const known = map.get(id), ended = known.alive === false && !known.lost;
		Object.assign(known, { lost: false }, now);
		if (!ended)
			values.set(id, now.last);
	}

	// A clock that is set takes all that is drawn along: what passed between samples stays.
	function timeOf(sample) {
		const last = samples[samples.length - 1], now = sample.time - sample.monotonic;
		if (last && sample.monotonic > last.monotonic && Math.abs(now - offset) > 0.25)
			samples.forEach(s => { s.time += now - offset; });
		if (!last || sample.monotonic < last.monotonic || Math.abs(now - offset) > 0.25)
			offset = now;
		return offset + sample.monotonic;
	}

	function take(sample) {
		const values = new Map();
		if (sample.began !== run)
			keys.clear();
		run = sample.began;
		for (const d of sample.devices)
			keep(devices, values, 'd' + d.id, { name: `${d.vm} ${d.dev}`, vm: d.vm, dev: d.dev, alive: d.alive, last: d.v });
		for (const vm of sample.vms)
			keep(vms, values, 'v' + vm.id, { name: vm.name, mode: vm.mode, alive: vm.alive, last: vm.v });
		// what the run before knew and this one does not may have ended, or not have moved yet
		const here = new Set(keys.values());
		for (const known of [...vms.values(), ...devices.values()])
			if (known.alive && !here.has(known.id))
				Object.assign(known, { alive: false, lost: true });
		samples.push({ time: timeOf(sample), told: sample.time, monotonic: sample.monotonic, run, values });
		if (samples.length > KEEP)
			samples.shift();
		for (const map of [vms, devices])
			for (const id of [...map.keys()])
				if (!samples.some(s => s.values.has(id)))
					map.delete(id);
		lost.replaceChildren(...(sample.not_measured.length ? [element('details', { class: 'warn' },
			element('summary', {}, `${sample.not_measured.length} measures are not taken on this kernel`),
			...sample.not_measured.map(x => element('p', { class: 'dim' }, x)))] : []));
	}

	async function look() {
		try {
			const answer = await fetch('live.json', { cache: 'no-store', signal: AbortSignal.timeout(5000) });
			if (!answer.ok)
				throw new Error(await answer.text());
			const sample = await answer.json(), last = samples[samples.length - 1];
			// a sample is shared by all who ask within a moment
			if (!last || sample.monotonic !== last.monotonic) {
				take(sample);
				if (!paused) {
					showTable();
					showDevices();
					board.draw(samples, [...vms.values(), ...devices.values()], gapOf(samples, 2 * EVERY / 1000));
				}
			}
			status.textContent = (paused ? 'paused, as of ' : 'as of ') + clock(sample.time);
		} catch (e) {
			status.textContent = 'no answer: ' + String(e.message || e).trim();
		}
		setTimeout(look, EVERY);
	}

	window.migscope = { board, samples, vms };
	look();
})();
