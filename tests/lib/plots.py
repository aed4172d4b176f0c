#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""plots.py report FILE PAGE SHOTS    - the page of a recording, against its database
plots.py live URL SHOTS              - the live page, against /sample.json

Prints TAP. What is drawn is read back out of the plots; what it should be is computed
here, from SQL and by other code than the page's."""
import json
import os
import sqlite3
import sys
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser  # noqa: E402

count = failed = 0


def result(ok, what, why=''):
    global count, failed
    count += 1
    failed += not ok
    print(f"{'' if ok else 'not '}ok {count} - {what}{'' if ok else ': ' + str(why)[:600]}", flush=True)
    return ok


def near(a, b, within=1e-6):
    return a is b is None or (a is not None and b is not None and abs(a - b) <= within * max(1, abs(a), abs(b)))


class Recording:
    def __init__(self, path):
        self.db = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
        # by the clock as it stood at first, whatever it was set to later
        self.times = [t for t, in self.db.execute('SELECT s.time + m.monotonic - s.monotonic FROM sample s, sample m'
                                                  ' WHERE s.id = 1 ORDER BY m.id')]
        self.vms = list(self.db.execute('SELECT id, first, ifnull(ended, last) FROM vm'))
        # a device goes by the names in its labels; it is drawn from its first value on
        self.devices = [((vm, dev), first, len(self.times)) for vm, dev, first in self.db.execute(
            "SELECT json_extract(labels, '$.vm'), json_extract(labels, '$.dev'), min(sample) FROM series s, value v"
            " WHERE v.series = s.id AND json_extract(labels, '$.dev') IS NOT NULL GROUP BY 1, 2")]
        interval = self.db.execute("SELECT value FROM meta WHERE key = 'interval'").fetchone()[0]
        steps = sorted(b - a for a, b in zip(self.times, self.times[1:]) if b > a)
        self.gap = 2.5 * max(interval, steps[len(steps) // 2])

    def at(self, vm, name, op, sample):
        if isinstance(vm, tuple):
            row = self.db.execute("SELECT value FROM value, series s WHERE series = s.id AND s.name = ? AND"
                                  " coalesce(json_extract(labels, '$.op'), json_extract(labels, '$.result'), json_extract(labels, '$.state'), '') = ?"
                                  " AND json_extract(labels, '$.vm') = ? AND json_extract(labels, '$.dev') = ?"
                                  " AND sample <= ? ORDER BY sample DESC LIMIT 1", (name, op, *vm, sample)).fetchone()
            return row and row[0]
        row = self.db.execute("SELECT value FROM value, series s WHERE series = s.id AND s.vm = ? AND s.name = ? AND"
                              " ifnull(json_extract(labels, '$.op'), '') = ? AND sample <= ? ORDER BY sample DESC LIMIT 1",
                              (vm, name, op, sample)).fetchone()
        return row and row[0]

    def rate(self, vm, first, last, name, op, i):
        if i - 1 < first or i > last:
            return None
        a, b = self.at(vm, name, op, i - 1), self.at(vm, name, op, i)
        dt = self.times[i - 1] - self.times[i - 2]
        return None if a is None or b is None or b < a or not 0 < dt <= self.gap else (b - a) / dt

    def expected(self, panel):
        """{vm: {time: value}} where something is known."""
        out = {}
        for vm, first, last in self.vms + self.devices:
            for i in range(2, len(self.times) + 1):
                def rate(name, op=''):
                    return self.rate(vm, first, last, name, op, i)
                value = None
                if panel == 'dirty':
                    r = rate('dirty_pages')
                    value = None if r is None else r * 4096 / 1e6
                elif panel == 'used' and first <= i <= last:
                    used, limit = self.at(vm, 'ring_used_entries_max', '', i), self.at(vm, 'ring_soft_limit_entries', '', i)
                    value = 100 * used / limit if used is not None and limit else None
                elif panel == 'full':
                    value = rate('ring_full_exits')
                elif panel == 'stall':
                    r = rate('ring_full_stall_seconds_sum')
                    value = None if r is None else 100 * r
                elif panel == 'resets':
                    value = rate('ring_resets')
                elif panel == 'sync':
                    known = [r for r in (rate('ring_reset_seconds_sum'), rate('dirty_log_sync_seconds_sum', 'get'),
                                         rate('dirty_log_sync_seconds_sum', 'clear')) if r is not None]
                    value = 100 * sum(known) if known else None
                elif panel == 'get':
                    s, n = rate('dirty_log_sync_seconds_sum', 'get'), rate('dirty_log_sync_seconds_count', 'get')
                    value = 1e3 * s / n if s is not None and n else None
                elif panel == 'bitmap':
                    known = [r for r in (rate('dirty_log_sync_bytes', 'get'), rate('dirty_log_sync_bytes', 'clear')) if r is not None]
                    value = sum(known) / 1e3 if known else None
                elif panel == 'switch':
                    known = [r for r in (rate('dirty_logging_toggle_seconds_sum', 'on'), rate('dirty_logging_toggle_seconds_sum', 'off')) if r is not None]
                    value = 1e3 * sum(known) if known else None
                elif panel == 'misses':
                    value = rate('iotlb_lookups', 'miss')
                elif panel == 'wait':
                    s, n = rate('iotlb_miss_service_seconds_sum'), rate('iotlb_miss_service_seconds_count')
                    value = 1e3 * s / n if s is not None and n else None
                elif panel == 'table' and first <= i <= last:
                    used, limit = self.at(vm, 'iotlb_entries', '', i), self.at(vm, 'iotlb_entries_limit', '', i)
                    value = 100 * used / limit if used is not None and limit else None
                elif panel == 'pinned' and first <= i <= last:
                    pages, pinned = self.at(vm, 'vfio_pinned_pages', '', i), self.at(vm, 'vdpa_pinned_bytes', '', i)
                    known = [x for x in (pages and 4096 * pages, pages, pinned) if x is not None][:1]
                    value = known[0] / 1e6 if known else None
                elif panel == 'pins':
                    value = rate('vfio_pin_seconds_count', 'pin')
                elif panel == 'devget':
                    s = [r for r in (rate('vfio_dirty_get_seconds_sum', op) for op in ('get', 'unmap')) if r is not None]
                    n = [r for r in (rate('vfio_dirty_get_seconds_count', op) for op in ('get', 'unmap')) if r is not None]
                    value = 1e3 * sum(s) / sum(n) if s and n and sum(n) else None
                elif panel in ('saving', 'stopped'):
                    states = ('pre_copy', 'pre_copy_p2p', 'stop_copy') if panel == 'saving' else ('stop', 'stop_copy', 'resuming', 'error')
                    known = [r for r in (rate('vfio_migration_state_seconds', state) for state in states) if r is not None]
                    value = 100 * sum(known) if known else None
                elif panel == 'kicks':
                    value = rate('vdpa_vq_kicks')
                elif panel not in ('used', 'table', 'pinned'):
                    return None
                if value is not None:
                    out.setdefault('/'.join(vm) if isinstance(vm, tuple) else str(vm), {})[round(self.times[i - 1], 3)] = value
        return out


def keyboard(b):
    """Without a mouse: to a button by Tab, and Enter."""
    before = b.value('migscope.board.range')
    b.value("(document.body.focus(), 0)")
    for _ in range(30):
        b.key('Tab')
        if b.value("document.activeElement.getAttribute('aria-label')") == 'Closer':
            break
    b.key('Enter', text='\r')
    after = b.value('migscope.board.range')
    result(before is None and after and after[0] < after[1], 'the keyboard zooms', (before, after))
    windows = b.value('[...migscope.board.drawn.values()].map(d => d.graph.xAxisRange().join())')
    result(len(set(windows)) == 1, 'all plots together', windows)
    b.value("(document.querySelector('[aria-label=\"The whole time\"]').click(), 0)")
    result(b.value('migscope.board.range') is None, 'and back')


def named(b):
    missing = b.value("[...document.querySelectorAll('button, .plot, .meter')].filter(e => !(e.getAttribute('aria-label') || e.textContent)).length")
    result(missing == 0, 'what can be used or looked at has a name', missing)


def report(path, page, shots):
    recording = Recording(path)
    with Browser() as b:
        b.open('file://' + os.path.abspath(page))
        result(b.value('typeof migscope') == 'object', 'the page runs')
        drawn = b.value('migscope.board.readBack()')
        result(len(drawn) >= int(os.environ.get('PANELS', 3)), 'panels', list(drawn))
        for panel, by_vm in drawn.items():
            want = recording.expected(panel)
            if not result(want is not None, f'{panel}: is known here'):
                continue
            got = {vm: {round(ms / 1000, 3): v for ms, v in points if v is not None} for vm, points in by_vm.items()}
            got = {vm: points for vm, points in got.items() if points}
            result(set(got) == set(want), f'{panel}: the VMs', (sorted(got), sorted(want)))
            differ = [(vm, t, got.get(vm, {}).get(t), want.get(vm, {}).get(t)) for vm in set(got) | set(want)
                      for t in set(got.get(vm, {})) | set(want.get(vm, {}))
                      if not near(got.get(vm, {}).get(t), want.get(vm, {}).get(t))]
            result(not differ, f'{panel}: {sum(map(len, got.values()))} points are those of the database', differ[:5])
        holes = [p for p in drawn.get('dirty', {}).values() if any(v is None for _, v in p)]
        if os.environ.get('HOLES'):
            result(holes, 'a gap is drawn as one')
        head = b.value("document.querySelector('main p.dim').textContent")
        result(f', {recording.times[-1] - recording.times[0]:g} s' in head, 'how long it took', head)
        cards = b.value("[...document.querySelectorAll('.session')].map(e => e.querySelector('h3').textContent)")
        sessions = recording.db.execute('SELECT v.name FROM session s, vm v WHERE v.id = s.vm ORDER BY s.id').fetchall()
        result(len(cards) == len(sessions) and all(c.startswith(n) for c, (n,) in zip(cards, sessions)), 'a card for each session', (cards, sessions))
        # what stands in a card beside the counters
        sessions = b.value('migscope.report.sessions')
        want = sorted(d['dev'] for s in sessions for d in s.get('devices', [])) + sorted(
            'QEMU says' for s in sessions if 'qemu' in s) + sorted('Who waited' for s in sessions if 'threads' in s)
        states = b.value("[...document.querySelectorAll('.session .part td')].map(e => e.textContent)")
        want_states = [f'in {state}' for s in sessions for d in s.get('devices', []) for state in d.get('seconds_in', {})]
        result(sorted(t for t in states if t.startswith('in ')) == sorted(want_states), 'devices have their migration states', (states, want_states))
        titles = b.value("[...document.querySelectorAll('.session h4')].map(e => e.textContent)")
        result(all(titles.count(w) == want.count(w) for w in want), 'devices, threads and QEMU have their parts', (titles, want))
        keyboard(b)
        named(b)
        b.screenshot(f'{shots}/report-light.png')
        result(all(u.startswith(('file:', 'data:')) for u in b.requests) and len([u for u in b.requests if u.startswith('file:')]) == 1,
               'nothing else is loaded', b.requests)
        result(not b.problems, 'nothing on the console', b.problems)
    for name, width, dark in (('report-dark', 1280, True), ('report-narrow', 420, False)):
        with Browser(width, 900, dark) as b:
            b.open('file://' + os.path.abspath(page))
            wide = b.value('document.documentElement.scrollWidth')
            result(wide <= width, f'{name}: no scrolling sideways', wide)
            colors = b.value("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]")
            def luma(c):
                return sum(float(x) for x in c[c.index('(') + 1:-1].split(',')[:3])
            result((luma(colors[0]) < luma(colors[1])) == dark, f'{name}: dark is dark', colors)
            b.screenshot(f'{shots}/{name}.png')
            result(not b.problems, f'{name}: nothing on the console', b.problems)


def rates_drawn(b, what):
    samples = b.value('migscope.samples.map(s => [s.time, s.monotonic, [...s.values].map(([id, v]) => [id, v["dirty_pages,vcpu"]])])')
    drawn = b.value('migscope.board.readBack().dirty')
    checked, bad = 0, []
    for (_, t0, a), (at, t1, c) in zip(samples, samples[1:]):
        a, c = dict(map(tuple, a)), dict(map(tuple, c))
        for vm, points in drawn.items():
            for ms, v in points:
                if abs(ms / 1000 - at) < 0.0015 and int(vm) in a and int(vm) in c and v is not None:
                    want = (c[int(vm)] - a[int(vm)]) / (t1 - t0) * 4096 / 1e6
                    checked += 1
                    if not near(v, want, 1e-5):
                        bad.append((vm, t1, v, want))
    result(checked >= 3 and not bad, f'{what}{checked} points are the rates of the samples', bad[:3])


def live(url, shots):
    with Browser() as b:
        b.open(url + '/')
        result(b.wait('migscope.samples.length >= 4'), 'the page updates itself')
        result(b.wait("'dirty' in migscope.board.readBack()"), 'it draws')
        # the sample that it has is one that the server gives others, too
        pairs = b.value("""(async () => {
            const a = await (await fetch('live.json')).json(), b = await (await fetch('sample.json')).json();
            return [a, b];
        })()""")
        one, other = pairs
        by_id = {vm['id']: vm for vm in other['vms']}
        result(bool(one['vms']) and {vm['id'] for vm in one['vms']} == set(by_id), 'live.json and sample.json: the same VMs')
        if one['time'] == other['time']:
            for vm in one['vms']:
                ring = by_id[vm['id']].get('dirty_ring')
                if ring:
                    result(vm['v'].get('dirty_pages,vcpu') == ring['pushes'] and vm['v'].get('ring_full_exits') == ring['full_exits'],
                           f"{vm['name']}: one number in both", (vm['v'], ring['pushes']))
        rates_drawn(b, '')
        # the host's clock is set ahead by an hour: the page goes on as before, an hour later
        b.value("""(() => {
            const real = window.fetch;
            window.fetch = async (...args) => {
                const sample = await (await real(...args)).json();
                return { ok: true, json: async () => ({ ...sample, time: sample.time + 3600 }) };
            };
            migscope.set = migscope.samples.length;
            return 0;
        })()""")
        result(b.wait('migscope.samples.length >= migscope.set + 3'), 'a clock that is set: it goes on')
        rates_drawn(b, 'a clock that is set: ')
        steps = b.value('migscope.samples.slice(1).map((s, i) => s.time - migscope.samples[i].time)')
        result(min(steps) > 0 and max(steps) < 600, 'a clock that is set: no hole, nothing drawn twice', steps)
        ahead = b.value('migscope.samples[0].time - Date.now() / 1000')
        result(abs(ahead - 3600) < 600, 'a clock that is set: all is drawn by the new one', ahead)
        keyboard(b)
        named(b)
        b.value("(document.querySelector('button').click(), 0)")
        n = b.value('document.querySelector("[role=status]").textContent')
        time.sleep(2.5)
        m = b.value('document.querySelector("[role=status]").textContent')
        result(m.startswith('paused') and n != m, 'pause', (n, m))
        b.value("(document.querySelector('button').click(), 0)")
        b.screenshot(f'{shots}/live-light.png')
        result(all(u.startswith((url, 'data:')) for u in b.requests), 'nothing from elsewhere', b.requests)
        result(not b.problems, 'nothing on the console', b.problems)
    with Browser(900, 900, True) as b:
        b.open(url + '/')
        b.wait('migscope.board.drawn.size > 0')
        time.sleep(2)
        b.screenshot(f'{shots}/live-dark.png')
        result(not b.problems, 'dark: nothing on the console', b.problems)


if sys.argv[1] == 'report':
    report(*sys.argv[2:5])
else:
    live(*sys.argv[2:4])
print(f'1..{count}')
sys.exit(1 if failed else 0)
