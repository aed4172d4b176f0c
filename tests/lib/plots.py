#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""plots.py report FILE PAGE SHOTS    - the page of a recording, against its database
plots.py live URL SHOTS VM...        - the live page, against /sample.json, of these VMs. When
                                       it prints `do stop`, `do go`, `do end` or `do begin`
                                       somebody else has migscope do so, and says `done` on stdin

Prints TAP. What is drawn is read back out of the plots; what it should be is computed
here, from SQL and by other code than the page's."""
import base64
import json
import os
import sqlite3
import sys
import threading
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


def stamp(seconds):
    """As a Date has it: what is less than a millisecond is cut off."""
    return int(seconds * 1000)


def near(a, b, within=1e-6):
    return a is b is None or (a is not None and b is not None and abs(a - b) <= within * max(1, abs(a), abs(b)))


SPACES = range(4)  # of a vDPA device, as many as are told apart


def own_labels(labels):
    """The labels of a series but those that say of whom it is, in their order."""
    return ','.join(value for name, value in json.loads(labels).items() if name not in ('vm', 'dev'))


class Drawn:
    """What has to be drawn of samples, numbered from 1: `times`, `vms` and `devices` as (key,
    first, last), `gap` in seconds, and at(key, metric, op, sample)."""
    devices = []

    def rate(self, vm, first, last, name, op, i):
        if i - 1 < first or i > last:
            return None
        a, b = self.at(vm, name, op, i - 1), self.at(vm, name, op, i)
        dt = self.times[i - 1] - self.times[i - 2]
        if a is None or b is None or b < a or not 0 < dt <= self.gap or not self.one_run(i):
            return None
        return (b - a) / dt

    def one_run(self, i):
        """Is sample i by the same migscope as the one before?"""
        return True

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
                    known = [r for r in (rate('ring_reset_seconds_sum'), rate('ring_flush_seconds'), rate('dirty_log_sync_seconds_sum', 'get'),
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
                    known = [r for r in (rate('iotlb_lookups', 'miss'), *(rate('vdpa_table_lookups', f'miss,{i}') for i in SPACES))
                             if r is not None]
                    value = sum(known) if known else None
                elif panel == 'wait':
                    s, n = rate('iotlb_miss_service_seconds_sum'), rate('iotlb_miss_service_seconds_count')
                    value = 1e3 * s / n if s is not None and n else None
                elif panel == 'table' and first <= i <= last:
                    tables = [(self.at(vm, f'{name}_entries', op, i), self.at(vm, f'{name}_entries_limit', op, i))
                              for name, op in (('iotlb', ''), *(('vdpa_table', str(space)) for space in SPACES))]
                    known = [100 * used / limit for used, limit in tables if used is not None and limit]
                    value = max(known) if known else None
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
                    out.setdefault('/'.join(vm) if isinstance(vm, tuple) else str(vm), {})[stamp(self.times[i - 1])] = value
        return out


class Recording(Drawn):
    def __init__(self, path):
        self.db = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
        self.db.create_function('own_labels', 1, own_labels, deterministic=True)
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
                                  " own_labels(labels) = ?"
                                  " AND json_extract(labels, '$.vm') = ? AND json_extract(labels, '$.dev') = ?"
                                  " AND sample <= ? ORDER BY sample DESC LIMIT 1", (name, op, *vm, sample)).fetchone()
            return row and row[0]
        row = self.db.execute("SELECT value FROM value, series s WHERE series = s.id AND s.vm = ? AND s.name = ? AND"
                              " ifnull(json_extract(labels, '$.op'), '') = ? AND sample <= ? ORDER BY sample DESC LIMIT 1",
                              (vm, name, op, sample)).fetchone()
        return row and row[0]


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


def luma(png, b):
    """Of a screenshot: the mean, 0 to 1, and the part of the pixels that is darker than half."""
    return b.value("""(async () => {
        const image = new Image(), canvas = document.createElement('canvas');
        image.src = 'data:image/png;base64,%s';
        await image.decode();
        canvas.width = image.width; canvas.height = image.height;
        const c = canvas.getContext('2d');
        c.drawImage(image, 0, 0);
        const d = c.getImageData(0, 0, image.width, image.height).data;
        let sum = 0, dark = 0;
        for (let i = 0; i < d.length; i += 4) {
            const y = (0.2126 * d[i] + 0.7152 * d[i + 1] + 0.0722 * d[i + 2]) / 255;
            sum += y;
            dark += y < 0.5;
        }
        return [sum / d.length * 4, dark / d.length * 4];
    })()""" % base64.b64encode(png).decode())


def readable(b, name, dark, path):
    """Light or dark all over, and nothing that cannot be told from what it stands on (WCAG: 4.5 for text, 3 for lines)."""
    b.screenshot(path)
    with open(path, 'rb') as f:
        mean, part = luma(f.read(), b)
    result((mean < 0.2 and part > 0.9) if dark else (mean > 0.8 and part < 0.1), f'{name}: is {"dark" if dark else "light"}', (mean, part))
    poor = b.value("""(() => {
        const rgb = c => { const x = document.createElement('canvas').getContext('2d'); x.fillStyle = c; x.fillRect(0, 0, 1, 1); return [...x.getImageData(0, 0, 1, 1).data]; };
        const y = c => { const f = x => (x /= 255) <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; return 0.2126 * f(c[0]) + 0.7152 * f(c[1]) + 0.0722 * f(c[2]); };
        const contrast = (a, b) => (Math.max(y(a), y(b)) + 0.05) / (Math.min(y(a), y(b)) + 0.05);
        const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return rgb(matchMedia('(prefers-color-scheme: dark)').matches ? '#121212' : '#fff'); };
        const poor = new Set();
        for (const e of document.querySelectorAll('body *'))
            if ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length &&
                contrast(rgb(getComputedStyle(e).color), ground(e)) < 4.5)
                poor.add(`${e.tagName}.${e.className} ${e.textContent.slice(0, 30)}`);
        for (const e of document.querySelectorAll('.legend i, .meter i'))
            if (contrast(rgb(getComputedStyle(e).backgroundColor), ground(e.parentElement)) < 3)
                poor.add('line ' + getComputedStyle(e).backgroundColor);
        for (const c of Plots.COLORS)
            if (contrast(rgb(c), ground(document.querySelector('.card'))) < 3)
                poor.add('color ' + c);
        return [...poor];
    })()""")
    result(not poor, f'{name}: all that is written and drawn stands out', poor)
    canvas = b.value("""[...document.querySelectorAll('.plot canvas')].some(c => {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; return d.some((x, i) => i % 4 === 3 && x > 128); })""")
    result(canvas, f'{name}: lines are drawn')


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
            got = {vm: {ms: v for ms, v in points if v is not None} for vm, points in by_vm.items()}
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
        readable(b, 'report-light', False, f'{shots}/report-light.png')
        result(all(u.startswith(('file:', 'data:')) for u in b.requests) and len([u for u in b.requests if u.startswith('file:')]) == 1,
               'nothing else is loaded', b.requests)
        result(not b.problems, 'nothing on the console', b.problems)
    for name, width, dark in (('report-dark', 1280, True), ('report-narrow', 420, False)):
        with Browser(width, 900, dark) as b:
            b.open('file://' + os.path.abspath(page))
            wide = b.value('document.documentElement.scrollWidth')
            result(wide <= width, f'{name}: no scrolling sideways', wide)
            readable(b, name, dark, f'{shots}/{name}.png')
            result(not b.problems, f'{name}: nothing on the console', b.problems)


class Poller(threading.Thread):
    """Asks for /sample.json as fast as it can, so that it has each sample that anybody got."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.samples = url, {}

    def run(self):
        while True:
            try:
                with urllib.request.urlopen(self.url + '/sample.json', timeout=10) as answer:
                    sample = json.load(answer)
                self.samples[sample['time']] = sample
            except (OSError, ValueError):
                pass
            time.sleep(0.04)


class Polled(Drawn):
    """The samples of the page, as /sample.json had them; None: one that we have not got. They
    are drawn at @times, and were told to be of @told. Number @restart is the first of another
    migscope."""

    def __init__(self, times, told, restart, poller, names):
        self.times, self.restart = times, restart
        self.samples = [poller.samples.get(t) for t in told]
        steps = sorted(b - a for a, b in zip(times, times[1:]) if b > a)
        self.gap = max(5, 2.5 * steps[len(steps) // 2])
        self.vms = []
        for name in names:
            there = [i for i, s in enumerate(self.samples, 1) if s and self.vm(name, i)]
            ends = [i for i in there if not self.vm(name, i)['alive']]
            # one that has ended stands still
            self.vms += [(name, there[0], (ends or there)[0 if ends else -1])] if there else []

    def vm(self, name, i):
        return next((vm for vm in self.samples[i - 1]['vms'] if vm['vm'] == name), None)

    def one_run(self, i):
        return i != self.restart

    def at(self, vm, name, op, i):
        vm = self.samples[i - 1] and self.vm(vm, i)
        if not vm:
            return None
        path = {
            'dirty_pages': ('dirty_ring', 'pushes') if vm['dirty_mode'] == 'ring' else ('dirty_log', 'marked_pages'),
            # of the last minute, but it is the same all the time
            'ring_used_entries_max': ('dirty_ring', 'used_max_entries'),
            'ring_soft_limit_entries': ('dirty_ring', 'soft_limit_entries'),
            'ring_full_exits': ('dirty_ring', 'full_exits'),
            'ring_full_stall_seconds_sum': ('dirty_ring', 'stall', 'seconds'),
            'ring_resets': ('dirty_ring', 'resets'),
            'ring_reset_seconds_sum': ('dirty_ring', 'reset_walk', 'seconds'),
            'ring_flush_seconds': ('dirty_ring', 'flush_seconds'),
            'dirty_log_sync_seconds_sum': ('dirty_log', op, 'time', 'seconds'),
            'dirty_log_sync_seconds_count': ('dirty_log', op, 'time', 'count'),
            'dirty_log_sync_bytes': ('dirty_log', op, 'bytes'),
            'dirty_logging_toggle_seconds_sum': ('dirty_log', op, 'time', 'seconds'),
        }.get(name, ('no such thing',))
        for key in path:
            vm = vm.get(key) if vm else None
        return vm

    def looked_at(self):
        return [i for i in range(1, len(self.times)) if self.samples[i] and self.samples[i - 1]]

    def compare(self, b, drawn, keys):
        """Every panel's points of these VMs, {key in the page: name}."""
        # points beside a sample that we have not got are left out on both sides
        known = {stamp(self.times[i]) for i in self.looked_at()}
        everything = {stamp(t) for t in self.times}
        all_of_it = 0
        for panel in b.value('Plots.PANELS.map(p => p.id)'):
            want = {n: {t: v for t, v in points.items() if t in known} for n, points in (self.expected(panel) or {}).items()}
            want = {n: points for n, points in want.items() if points}
            got = {}
            for key, points in drawn.get(panel, {}).items():
                for ms, v in points if key in keys else []:
                    if v is not None and (ms in known or ms not in everything):
                        got.setdefault(keys[key], {})[ms] = v
            differ = [(n, t, got.get(n, {}).get(t), want.get(n, {}).get(t)) for n in set(got) | set(want)
                      for t in set(got.get(n, {})) | set(want.get(n, {}))
                      if not near(got.get(n, {}).get(t), want.get(n, {}).get(t))]
            count_of_points = sum(map(len, want.values()))
            all_of_it += count_of_points
            if want or got:
                result(not differ, f'{panel}: {count_of_points} points of {len(want)} VMs are those of sample.json', (len(differ), differ[:4]))
        return all_of_it


def ask_for(what):
    """Of who started us: a line on stdin says that it is done."""
    print(f'do {what}', flush=True)
    if sys.stdin.readline().strip() != 'done':
        raise EOFError(f'{what} was not done')


def rates_drawn(b, what):
    samples = b.value('migscope.samples.map(s => [s.time, s.monotonic, [...s.values].map(([id, v]) => [id, v["dirty_pages,vcpu"]])])')
    drawn = b.value('migscope.board.readBack().dirty')
    checked, bad = 0, []
    for (_, t0, a), (at, t1, c) in zip(samples, samples[1:]):
        a, c = dict(map(tuple, a)), dict(map(tuple, c))
        for vm, points in drawn.items():
            for ms, v in points:
                if abs(ms / 1000 - at) < 0.0015 and vm in a and vm in c and v is not None:
                    want = (c[vm] - a[vm]) / (t1 - t0) * 4096 / 1e6
                    checked += 1
                    if not near(v, want, 1e-5):
                        bad.append((vm, t1, v, want))
    result(checked >= 3 and not bad, f'{what}{checked} points are the rates of the samples', bad[:3])


def is_hole(drawn, times, i, what):
    holes = [p for vm in drawn['dirty'].values() for p in vm if times[i - 1] < p[0] / 1000 < times[i] - 0.001]
    result(holes and all(v is None for _, v in holes), f'{what} is drawn as a hole', holes)


def another_run(b, more):
    """A restart so short that there is no gap: the answers say that it was one."""
    first = b.value("""(() => {
        const real = window.fetch;
        window.fetch = async (...args) => {
            const sample = await (await real(...args)).json();
            return { ok: true, json: async () => ({ ...sample, began: sample.began + 1 }) };
        };
        return migscope.samples.length;
    })()""")
    vms = b.value('[...migscope.vms.keys()]')
    result(more(3), 'a short restart: it goes on')
    times, runs, drawn = b.value('[migscope.samples.map(s => s.time), migscope.samples.map(s => s.run), migscope.board.readBack()]')
    is_hole(drawn, times, next(i for i in range(first, len(runs)) if runs[i] != runs[i - 1]), 'a short restart')
    result(b.value('[...migscope.vms.keys()]') == vms, 'a short restart: the same lines go on')


def set_clock(b):
    """The host's clock is set ahead by an hour: the page goes on as before, an hour later."""
    before = b.value('migscope.samples.slice(1).map((s, i) => s.time - migscope.samples[i].time)')
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
    result(all(near(x, y, 1e-3) for x, y in zip(before, steps)) and 0 < min(steps) and max(steps) < 600,
           'a clock that is set: no hole, nothing drawn twice', steps)
    ahead = b.value('migscope.samples[0].time - Date.now() / 1000')
    result(abs(ahead - 3600) < 600, 'a clock that is set: all is drawn by the new one', ahead)


def live(url, shots, *names):
    poller = Poller(url)
    poller.start()
    with Browser() as b:
        b.open(url + '/')
        result(b.wait('migscope.samples.length >= 5', 60), 'the page updates itself')
        result(b.wait("'dirty' in migscope.board.readBack()"), 'it draws')

        def more(n):
            have = b.value('migscope.samples.length')
            return b.wait(f'migscope.samples.length >= {have + n}', 60)
        more(4)
        result(not b.problems, 'nothing on the console', b.problems)
        b.value("""((silence) => migscope.silent = () => {
            const n = migscope.samples.length, now = performance.now();
            if (silence.n !== n)
                Object.assign(silence, { n, since: now });
            return document.querySelector('[role=status]').textContent.startsWith('no answer') && (now - silence.since) / 1000;
        })({}) && 0""")
        ask_for('stop')
        result(b.wait('migscope.silent() > Plots.gapOf(migscope.samples, 2) + 1'), 'a gap: it says that nobody answers')
        ask_for('go')
        result(more(3), 'it goes on after a gap')
        # the answer that did not come is no fault of the page's
        result(all('TIMED_OUT' in x or 'ABORTED' in x for x in b.problems), 'a gap: nothing else on the console', b.problems)
        b.problems.clear()
        ask_for('end')
        # it asks again only when it has given up the question before
        result(b.wait('migscope.silent() > 0'), 'a restart: it says that nobody answers')
        restart = b.value('migscope.samples.length') + 1
        ask_for('begin')
        result(more(5), 'it goes on after a restart')
        result(all(any(why in x for why in ('REFUSED', 'RESET', 'EMPTY_RESPONSE', '503')) for x in b.problems),
               'a restart: nothing else on the console', b.problems)
        b.problems.clear()
        # what others get is the page's sample only if migscope is fast enough for that
        end = time.monotonic() + 200
        while True:
            times, told, drawn, vms = b.value("[migscope.samples.map(s => s.time), migscope.samples.map(s => s.told), migscope.board.readBack(),"
                                              " [...migscope.vms.values()].map(v => [String(v.id), v.name])]")
            polled = Polled(times, told, restart, poller, names)
            if len(polled.looked_at()) >= 10 or time.monotonic() > end:
                break
            more(1)
        keys = {key: name for key, name in vms if name in names}
        result(sorted(keys.values()) == sorted(names), 'one line a VM, also after a restart', (vms, names))
        points, steps = polled.compare(b, drawn, keys), len(polled.looked_at())
        result(steps >= 10, f'{steps} of {len(times) - 1} steps were looked at')
        result(points >= 3 * steps * len(names) / 2, f'{points} points were compared')
        gaps = [i for i in range(1, len(times)) if times[i] - times[i - 1] > polled.gap]
        result(gaps, 'a gap is among the samples')
        for i in gaps:
            is_hole(drawn, times, i, 'a gap')
        is_hole(drawn, times, restart - 1, 'a restart')
        keyboard(b)
        named(b)
        b.value("(document.querySelector('button').click(), 0)")
        n = b.value('document.querySelector("[role=status]").textContent')
        b.wait(f'document.querySelector("[role=status]").textContent.startsWith("paused") && document.querySelector("[role=status]").textContent !== {json.dumps(n)}')
        m = b.value('document.querySelector("[role=status]").textContent')
        result(m.startswith('paused') and n != m, 'pause', (n, m))
        b.value("(document.querySelector('button').click(), 0)")
        readable(b, 'live-light', False, f'{shots}/live-light.png')
        another_run(b, more)
        set_clock(b)
        result(all(u.startswith((url, 'data:')) for u in b.requests), 'nothing from elsewhere', b.requests)
        result(not b.problems, 'nothing on the console', b.problems)
    for name, width, dark in (('live-dark', 900, True), ('live-narrow', 420, False)):
        with Browser(width, 900, dark) as b:
            b.open(url + '/')
            b.wait('migscope.board.drawn.size > 0 && migscope.samples.length > 5', 60)
            wide = b.value('document.documentElement.scrollWidth')
            result(wide <= width, f'{name}: no scrolling sideways', wide)
            readable(b, name, dark, f'{shots}/{name}.png')
            result(not b.problems, f'{name}: nothing on the console', b.problems)


if sys.argv[1] == 'report':
    report(*sys.argv[2:5])
else:
    live(*sys.argv[2:])
print(f'1..{count}')
sys.exit(1 if failed else 0)
