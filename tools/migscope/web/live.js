// SPDX-License-Identifier: GPL-2.0
// The live page: a sample a second, for as long as it is open.
'use strict';

(() => {
	const { Board, COLORS, element, text } = Plots;
	const EVERY = 1000, KEEP = 600;
	const main = document.querySelector('main');
	const samples = [], vms = new Map();
	let paused = false, color = 0;

	const status = element('span', { class: 'dim', role: 'status' }, 'waiting for the first sample');
	const pause = element('button', { type: 'button', 'aria-pressed': 'false' }, 'Pause');
	const lost = element('div');
	const table = element('div', { class: 'card scroll' });
	const plots = element('div', { class: 'plots' });
	const board = new Board(plots);
	const bar = board.toolbar();
	bar.prepend(pause);
	bar.append(status);
	main.append(element('h1', {}, 'migscope'),
		element('p', { class: 'dim' }, 'What live migration costs this host, now. ',
			element('a', { href: 'metrics' }, 'metrics'), ' · ', element('a', { href: 'sample.json' }, 'JSON')),
		lost, table, bar, plots);

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
			rows.push(element('tr', {}, element('td', {}, vm.name + (vm.alive ? '' : ' (ended)')),
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

	function take(sample) {
		const values = new Map();
		for (const vm of sample.vms) {
			if (!vms.has(vm.id))
				vms.set(vm.id, { id: vm.id, color: COLORS[color++ % COLORS.length] });
			const known = vms.get(vm.id), ended = known.alive === false;
			Object.assign(known, { name: vm.name, mode: vm.mode, alive: vm.alive, last: vm.v });
			// one that ended stands still: it is not drawn on
			if (!ended)
				values.set(vm.id, vm.v);
		}
		samples.push({ time: sample.time, values });
		if (samples.length > KEEP)
			samples.shift();
		for (const id of [...vms.keys()])
			if (!samples.some(s => s.values.has(id)))
				vms.delete(id);
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
			if (!last || sample.time !== last.time) {
				take(sample);
				if (!paused) {
					showTable();
					board.draw(samples, [...vms.values()], 10);
				}
			}
			status.textContent = (paused ? 'paused, as of ' : 'as of ') + new Date(sample.time * 1000).toLocaleTimeString();
		} catch (e) {
			status.textContent = 'no answer: ' + String(e.message || e).trim();
		}
		setTimeout(look, EVERY);
	}

	window.migscope = { board, samples, vms };
	look();
})();
