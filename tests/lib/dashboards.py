#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""dashboards.py check            - the conventions of a dashboard, for every JSON file
dashboards.py query URL WINDOW JOB
                                  - each expression, run against a Prometheus that scrapes
                                    tests/lib/known_exporter as that job, for each choice of
                                    VMs: the series have to be the known ones
dashboards.py workload URL SINCE NOW JOB TRUTH...
                                  - the same against one that scrapes a real migscope, of what
                                    tools/kvmload says that it did between these times
Prints TAP; tests/unit/dashboards.t reads it."""
import glob
import json
import math
import re
import subprocess
import sys
import urllib.parse
import urllib.request

RULES_WINDOW = 30  # seconds that recording rules look back in tests/vm/prometheus.t

count = failed = 0


def result(ok, what, why=''):
    global count, failed
    count += 1
    failed += not ok
    what = what.replace('#', '\\#')
    print(f"{'' if ok else 'not '}ok {count} - {what}{'' if ok else ': ' + str(why)}")


def known_metrics():
    """Every series name that the table of metrics can bring."""
    names = set(subprocess.run(['build/tests/render_openmetrics', 'names'], stdout=subprocess.PIPE, check=True,
                               encoding='utf-8').stdout.split())
    for rule in re.findall(r'record: (\S+)', open('dashboards/prometheus/rules.yml', encoding='utf-8').read()):
        names.add(rule)
    return names


def metrics_in(expr):
    return set(re.findall(r'\b((?:migscope|process|vm:|instance:)[a-zA-Z0-9_:]*)', re.sub(r'"[^"]*"', '', expr)))


def check(path, names):
    d = json.load(open(path, encoding='utf-8'))
    name = path.rsplit('/', 1)[-1]
    text = json.dumps(d)
    variables = {v['name']: v for v in d['templating']['list']}
    result(d.get('editable') is False, f'{name}: not editable')
    result(d.get('title') and d.get('description') and d.get('uid'), f'{name}: title, description, uid')
    result(list(variables)[0] == 'datasource' and variables['datasource']['type'] == 'datasource',
           f'{name}: the first variable is the data source')
    result([v for v in variables.values() if v['type'] == 'datasource'] == [variables['datasource']],
           f'{name}: there is one data source')
    result(all(variables.get(v, {}).get('multi') for v in ('job', 'instance')), f'{name}: job and instance, several at once')
    uids = set(re.findall(r'"datasource": \{"type": "prometheus", "uid": "([^"]*)"', text))
    result(uids == {'${datasource}'} and '"datasource": null' not in text, f'{name}: no fixed data source', uids)
    ids = [p['id'] for p in d['panels']]
    result(len(set(ids)) == len(ids), f'{name}: ids are unique')
    taken = set()
    for p in d['panels']:
        what = f"{name}: {p.get('title')}"
        g = p['gridPos']
        cells = {(x, y) for x in range(g['x'], g['x'] + g['w']) for y in range(g['y'], g['y'] + g['h'])}
        result(not cells & taken and g['x'] + g['w'] <= 24, f'{what}: overlaps nothing')
        taken |= cells
        result(p.get('title') and p.get('description') and p['fieldConfig']['defaults'].get('unit') and p.get('targets'),
               f'{what}: title, description, unit, targets')
        for t in p['targets']:
            e = t['expr']
            result(not re.search(r'\[\d', e), f"{what}: rates over $__rate_interval", e)
            result(metrics_in(e) <= names and metrics_in(e), f'{what}: metrics that exist', metrics_in(e) - names)
            for counter in re.findall(r'(\S*)\(\s*([a-z_:]+_(?:total|sum|count|bucket))\b', e):
                result(counter[0].endswith(('rate', 'increase')), f'{what}: a counter is only looked at as a rate', counter)
            for selector in re.findall(r'(migscope_[a-z_]+|process_[a-z_]+)\{([^}]*)\}', e):
                result('job=~"$job"' in selector[1] and 'instance=~"$instance"' in selector[1],
                       f'{what}: {selector[0]} of the chosen hosts')
    result(d['links'] and 'migscope' in d['tags'], f'{name}: leads to the others')


def rules(names):
    for path in ('rules.yml', 'alerts.yml'):
        text = open('dashboards/prometheus/' + path, encoding='utf-8').read()
        text = re.sub(r'#.*', '', text)
        used = set(re.findall(r'\b((?:vm:|instance:|migscope:)?migscope_[a-z0-9_:]+)', text))
        used |= set(re.findall(r'\b((?:vm|instance):migscope_[a-z0-9_:]+)', text))
        result(used <= names, f'{path}: metrics that exist', used - names)
        for bucket, le in re.findall(r'(migscope_\w+_bucket)\{.*?le="([^"]*)"', text):
            for way in ('classic', 'openmetrics'):
                exported = open(f'tests/golden/exposition.{way}', encoding='utf-8').read()
                result(re.search(rf'^{bucket}{{.*,le="{re.escape(le)}"}} ', exported, re.M), f'{path}: {bucket} has le {le}, {way}')
    for alert in re.findall(r'- alert: (.*?)(?=- alert:|\Z)', text, re.S):
        name = alert.split()[0]
        result(re.fullmatch(r'([A-Z][a-z]+)+', name), f'alert {name}: in CamelCase')
        result(all(w in alert for w in ('severity:', 'summary:', 'description:')), f'alert {name}: severity, summary, description')
        tests = open('dashboards/prometheus/alerts_test.yml', encoding='utf-8').read()
        result(re.search(rf'alertname: {name}\s+eval_time: \S+\s+exp_alerts', tests), f'alert {name}: has a test')
        page = open('dashboards/README.md', encoding='utf-8').read()
        result(name in page, f'alert {name}: dashboards/README.md says what to do')


def escaped(value):
    """As Grafana writes a value of a variable of which several may be chosen."""
    return re.sub(r"""[$^*{}\[\]'+?.()|]""", r'\\\\\g<0>', value.replace('\\', '\\\\\\\\'))


def chosen(values):
    return '.*' if values is None else escaped(values[0]) if len(values) == 1 else f"({'|'.join(map(escaped, values))})"


class Prometheus:
    def __init__(self, url, job, window=None, now=None):
        self.url, self.job, self.window = url, job, window
        self.span = f'{round(window * 1000)}ms' if window else None
        # all of one step, the last that it knows
        build = self.ask(f'timestamp(migscope_build_info{{job="{job}"}})', now)[0]
        self.now, self.instance, self.version = build['value'][1], build['metric']['instance'], build['metric']['version']

    def get(self, path, **arguments):
        return json.load(urllib.request.urlopen(f'{self.url}/api/v1/{path}?' + urllib.parse.urlencode(arguments)))['data']

    def ask(self, expr, when):
        return self.get('query', query=expr, **({'time': when} if when else {}))['result']

    def filled_in(self, text, job, instance, vm):
        for name, value in (('$__rate_interval', self.span), ('$job', job), ('$instance', instance), ('$vm', vm)):
            text = text.replace(name, value)
        return text

    def series(self, expr, instance, vm):
        """{labels: value} of an expression for these choices."""
        expr = self.filled_in(expr, escaped(self.job), instance, vm)
        return {labels_of(s['metric']): float(s['value'][1]) for s in self.ask(expr, self.now)}

    def choices(self, path):
        """What a dashboard offers for its variables, each for what was chosen for those before."""
        out = {}
        for v in json.load(open(path, encoding='utf-8'))['templating']['list']:
            if v['type'] != 'query':
                continue
            selector, label = re.fullmatch(r'label_values\((.*), (\w+)\)', v['query']['query']).groups()
            selector = self.filled_in(selector, escaped(self.job), escaped(self.instance), '')
            out[v['name']] = self.get(f'label/{label}/values', **{'match[]': selector})
            # older ones of Grafana ask so
            series = self.get('series', **{'match[]': selector})
            if sorted({s[label] for s in series}) != out[v['name']]:
                out[v['name']] = ('not the same by /api/v1/series', series)
        return out


def labels_of(metric):
    return ', '.join(f'{k}={v}' for k, v in sorted(metric.items()) if k != '__name__')


def differs(got, want, most):
    """What is wrong about the series @got; a wanted value may be (lowest, highest)."""
    wrong = [f'there is no {{{k}}}' for k in want if k not in got] + [f'{{{k}}} = {got[k]} should not be' for k in got if k not in want]
    for k in set(got) & set(want):
        low, high = want[k] if isinstance(want[k], tuple) else (want[k], want[k])
        if low != low and got[k] != got[k]:
            continue
        if not low - most * abs(low) <= got[k] <= high + most * abs(high):
            wrong.append(f'{{{k}}} = {got[k]}, not {want[k]}')
    return '; '.join(sorted(wrong))


def expressions():
    return json.loads(subprocess.run(['dashboards/grafana/generate', '--expressions'], stdout=subprocess.PIPE, check=True).stdout)


def choices_of(p, jobs, vms):
    for path in sorted(glob.glob('dashboards/grafana/*.json')):
        want = {'job': jobs, 'instance': [p.instance], 'vm': vms}
        for name, got in p.choices(path).items():
            result(got == want[name], f"{path.rsplit('/', 1)[-1]}: ${name} offers what there is", f'{got}, not {want[name]}')


def added(values):
    """Of several VMs that one series is about; a histogram that counted nothing adds nothing."""
    values = [v for v in values if v == v] or values
    if all(isinstance(v, (int, float)) for v in values):
        return sum(values)
    low, high = zip(*[v if isinstance(v, tuple) else (v, v) for v in values])
    return min(low), sum(high)


def each_choice(p, e, vms, wanted, alone=True):
    """Compares an expression for each VM, several, and all; wanted(vm names or None) says what it yields."""
    what = f"{e['dashboard']}: {e['panel']}: {e['expr'][:60]}"
    # what a rule records is looked at when its turn comes, not as of a step
    most = 0.15 if re.search(r'(vm|instance):', e['expr']) else p.most
    ways = [None]
    if '$vm' in e['expr']:
        ways = [[vm] for vm in vms] + ([] if e['one'] else [vms, None] if alone else [vms])
    for way in ways:
        vm = way[0] if way and e['one'] else chosen(way)
        bad = differs(p.series(e['expr'], escaped(p.instance), vm), wanted(way), most)
        result(not bad, f'{what}, $vm {vm}', bad)
    # who is not there has nothing
    for name, instance, vm in (('$instance', 'nowhere', chosen(None)), ('$vm', escaped(p.instance), 'nobody')):
        if name in e['expr']:
            got = p.series(e['expr'], instance, vms[0] if e['one'] and name != '$vm' else vm)
            result(got == ({'': 0} if 'or vector(0)' in e['expr'] else {}), f'{what}, {name} that is not there', got)


def query(url, window, job):
    p = Prometheus(url, job, int(window))
    p.most = 0.01
    all_of_it = expressions()
    vms = sorted({s['vm'] for e in all_of_it for s in e['known'] if s['vm']})
    choices_of(p, sorted(s['metric']['job'] for s in p.ask('up', p.now)), vms)
    for e in all_of_it:
        def wanted(way):
            here = {'$job': job, '$instance': p.instance, '$version': p.version}
            return {labels_of({k: here.get(v, v) for k, v in s['labels'].items()}): s['value'] * (p.window if s.get('each_second') else 1)
                    for s in e['known'] if way is None or s['vm'] is None or s['vm'] in way}
        each_choice(p, e, vms, wanted)


class Workload:
    """What three of tools/kvmload did since their middle, as the dashboards have to show it of a
    real migscope. A value is known, or within (lowest, highest): what kvmload measures includes
    the way into the kernel and back."""

    def __init__(self, p, truths):
        self.p = p
        self.vms = {}
        for path in truths:
            t = json.load(open(path, encoding='utf-8'))
            vm = t['vms'][0]
            self.vms[t['name']] = {**vm, 'ring': t['mode'] == 'ring', 'limit': vm.get('ring', {}).get('soft_limit')}
        ours = '|'.join(self.vms)
        # others may run VMs on this host, too: a sum over all has theirs in it
        self.theirs = f'job="{p.job}",vm!~"{ours}"'
        self.foreign = sum(1 for _ in p.ask(f'migscope_vm_info{{{self.theirs}}}', p.now))
        if self.foreign:
            print(f"# there are {self.foreign} VMs of others")
        times = [t for t, _ in p.ask(f'migscope_build_info{{job="{p.job}"}}[{p.span}]', p.now)[0]['values']]
        self.seconds = times[-1] - times[0]
        # its status says that something is missing
        doctor = json.loads(subprocess.run(['build/migscope', 'doctor', '-j'], stdout=subprocess.PIPE, check=False).stdout)
        # what only --exact hooks is off; what is of a module that nobody loaded is no loss
        def is_idle(q):
            return q['state'] == 'waiting' and not q['why'].startswith('kvm ')
        self.probes = {(q['source'], q['probe'], q['how']): q['state'] == 'attached' for q in doctor['probes']
                       if q['state'] != 'off' and not q['exact'] and not is_idle(q)}
        attached = {q[1] for q, state in self.probes.items() if state}
        # where no hook tells of a ring's end, who answers scrapes writes the map that this one follows, and
        # must not have it
        now = ('dirty_ring', 'ring_now', 'iterator')
        if now in self.probes and not attached & {'ring_free', 'ring_free_event'}:
            self.probes[now] = False
        self.has_reset_time = bool(attached & {'ring_reset_end', 'ring_reset_done'})
        self.has_log = bool(attached & {'log_get_end', 'log_sync'})
        self.has_events = 'log_sync' in attached

    def each(self, mode, value, *more, **labels):
        """A row of each VM of a mode (None: of all), where value(what it did) is known."""
        here = {'host': {'job': self.p.job, 'instance': self.p.instance}, 'instance': {'instance': self.p.instance}}
        out = []
        for name, vm in self.vms.items():
            v = value(vm['since_barrier'], vm) if mode is None or vm['ring'] == (mode == 'ring') else None
            if v is None:
                continue
            own = dict(labels, **({'vm': name} if 'vm' in more else {}))
            for m in more:
                own.update(here.get(m, {}))
            out.append((name, labels_of(own), v))
        return out

    def rate(self, of):
        return lambda since, vm: of(since) / self.seconds

    def at_most(self, of):
        """A rate of seconds: something, if there was something at all."""
        def bounds(since, vm):
            x = of(since) / self.seconds
            return (x * 1e-3, x) if x else 0
        return bounds

    def both(self, rows, theirs, how=sum):
        """One row for the host, of ours and of what Prometheus says of the others."""
        low, high = zip(*[v if isinstance(v, tuple) else (v, v) for _, _, v in rows])
        rest = [float(s['value'][1]) for s in self.p.ask(theirs, self.p.now)] if self.foreign else []
        return [(None, '', (how([*low, *rest]), how([*high, *rest])))]

    def of_host(self, rows):
        return [(None, labels_of({'instance': self.p.instance}), v) for _, _, v in rows]

    def quantile(self, seconds):
        """Of a histogram whose bounds are four apart; of one that counted nothing: not a number."""
        def bounds(since, vm):
            return (1e-9, 4 * max(seconds(since), 1.024e-6)) if seconds(since) else math.nan
        return bounds

    def known(self):
        """{(dashboard, panel): what its expressions yield}; of all others there is nothing."""
        p, w, here = self.p, f'[{self.p.span}]', {'job': self.p.job, 'instance': self.p.instance}
        def total(key): return lambda s: sum(v[key] for v in s['vcpus'])
        def stall(s): return s['stalls']['seconds']
        def used_max(s, vm):
            # of the last minute, in which may lie what was before the middle
            high = [max(max(v['high_water'] for v in t['vcpus']), max(v['left'] for v in s['vcpus'])) for t in (s, vm['total'])]
            return min(high), max(high)
        def used_ratio(s, vm): return tuple(x / vm['limit'] for x in used_max(s, vm))
        def of_vms(value): return self.each('ring', value, 'vm')
        def harvest(*more):
            return (self.each('ring', self.at_most(lambda s: s['resets']['seconds']), *more) if self.has_reset_time else []) + (
                self.each('bitmap', self.at_most(lambda s: s['get']['seconds'] + s['clear']['seconds']), *more) if self.has_log else [])
        def by_op(key):
            # a ring's VM has a dirty log in which nothing happens
            return [x for op in ('get', 'clear') for x in self.each('bitmap', self.rate(lambda s: s[op][key]), 'vm', op=op)
                    + self.each('ring', lambda s, vm: 0, 'vm', op=op)]
        def nothing(mode, label, *values): return [x for v in values for x in self.each(mode, lambda s, vm: 0, 'vm', **{label: v})]
        pages = self.rate(total('pushes'))
        bytes_ = self.rate(lambda s: 4096 * total('pushes')(s))
        pages_theirs = (f'sum by (vm) (rate(migscope_dirty_pages_total{{{self.theirs}}}{w}) or on (vm) '
                        f'rate(migscope_dirty_log_sync_pages_total{{{self.theirs},op="get"}}{w}))')
        def dirtied(*more):
            # what is not counted one by one is what GETs showed, where that is told
            return self.each('ring', bytes_, *more) + (
                self.each('bitmap', self.rate(lambda s: 4096 * s['get']['dirty_pages']), *more) if self.has_events else [])
        out = {
            ('fleet', 'VMs'): [self.both([(None, '', len(self.vms))], f'count(migscope_vm_alive{{{self.theirs}}} == 1)')],
            ('fleet', 'VMs that dirty tracked memory'): [
                self.both([(None, '', 1) for _, _, v in dirtied() if v], f'count({pages_theirs} > 0)')],
            ('fleet', 'vCPU time lost to full rings'): [
                self.both(self.each('ring', self.at_most(stall)), f'sum(rate(migscope_ring_full_stall_seconds_sum{{{self.theirs}}}{w}))')],
            ('fleet', 'Probes not attached'): [[(None, '', list(self.probes.values()).count(False))]],
            ('fleet', 'Memory dirtied, by host'): [self.of_host(self.both(dirtied(), f'4096 * sum({pages_theirs})'))],
            ('fleet', 'Dirty rate against the bandwidth, highest of each host'): [self.recorded()],
            ('fleet', 'Fullest ring of the last minute, by host'): [self.of_host(self.both(
                self.each('ring', used_ratio),
                f'migscope_ring_used_entries_max{{{self.theirs}}} / migscope_ring_soft_limit_entries{{{self.theirs}}}', max))],
            **self.migrations(w),
            ('host', 'Memory dirtied, by VM'): [dirtied('instance', 'vm')],
            ('host', 'Fullest ring of the last minute, by VM'): [self.each('ring', used_ratio, 'host', 'vm')],
            ('host', 'vCPUs turned away, by VM'): [self.each('ring', self.rate(total('full_exits')), 'host', 'vm')],
            ('host', 'vCPU time lost to full rings, by VM'): [self.each('ring', self.at_most(stall), 'host', 'vm')],
            ('host', 'Time spent in harvesting, by VM'): [harvest('instance', 'vm')],
            ('host', 'VMs'): [self.each('ring', lambda s, vm: 1, 'instance', 'vm', dirty_mode='ring')
                              + self.each('bitmap', lambda s, vm: 1, 'instance', 'vm', dirty_mode='bitmap')],
            ('migration', 'Dirty rate'): [dirtied('vm'), [(None, '', 1e9)]],
            ('migration', 'Ring fill at reset'): [[
                x for i in range(12) for x in self.each('ring', lambda s, vm: sum(s['occupancy'][:i + 1]) * p.window / self.seconds,
                                                        le=f'{i / 10}' if i < 11 else '+Inf')]],
            ('migration', 'Entries of the fullest ring'): [
                of_vms(lambda s, vm: max(v['left'] for v in s['vcpus'])), of_vms(used_max), of_vms(lambda s, vm: vm['limit'])],
            ('migration', 'Stalls by a full ring'): [of_vms(self.rate(total('full_exits'))), of_vms(self.rate(lambda s: s['stalls']['ended']))],
            ('migration', 'How long a stall takes'): 2 * [self.each('ring', self.quantile(lambda s: s['stalls']['max_seconds']))],
            ('migration', 'Work of the resets'): [
                of_vms(self.rate(lambda s: s['resets']['calls'])), of_vms(self.rate(total('reset_entries')))],
            ('self', 'Probes'): [[(None, labels_of({'instance': p.instance, 'source': s, 'probe': q, 'how': how}), int(state))
                                  for (s, q, how), state in self.probes.items()]],
            ('self', 'A scrape'): [[(None, labels_of(here), (1e-6, 5))]],
            ('self', 'CPU'): [[(None, labels_of(here), (0, 8))]],
            ('self', 'Memory'): [[(None, labels_of(here), (1 << 20, 64 << 20))]],
            ('self', 'Series'): [
                [(None, labels_of(here), float(s['value'][1])) for s in p.ask(f'scrape_samples_scraped{{job="{p.job}"}}', p.now)],
                [(None, labels_of(here), 0)]],
            ('self', 'Lost'): [
                [(None, labels_of(dict(here, what=x)), 0) for x in ('argument', 'device', 'duration', 'missed', 'object', 'push', 'thread', 'unmatched')],
                [(None, labels_of(dict(here, map=x)), 0) for x in ('calls', 'devices', 'pushes', 'rings', 'states', 'threads', 'vms')]],
            ('self', 'Versions'): [[(None, labels_of({'version': p.version}), 1)]],
        }
        if self.has_reset_time:
            out['migration', 'How long a reset walks a ring'] = 2 * [self.each('ring', self.quantile(lambda s: s['resets']['max_seconds']))]
        if self.has_log:
            out['host', 'Switching of dirty logging, by VM'] = [
                [x for op in ('on', 'off') for x in self.each(None, lambda s, vm: 0, 'instance', 'vm', op=op)]]
            out['migration', 'Mean of GET and CLEAR'] = [
                [x for op in ('get', 'clear') for x in self.each('bitmap', lambda s, vm: (1e-9, s[op]['seconds'] / s[op]['calls']), 'host', 'vm', op=op)]]
            out['migration', 'Bitmap copied'] = [by_op('bitmap_bytes')]
            out['migration', 'What went wrong'] = [[], nothing(None, 'op', 'get', 'clear', 'on', 'off')]
        if self.has_events:
            out['migration', 'Work of the resets'].append(of_vms(lambda s, vm: (0.01, total('reset_entries')(s) / self.seconds)))
            out['migration', 'Dirty pages in the bitmaps'] = [by_op('dirty_pages')]
            out['migration', 'What went wrong'] = [nothing('ring', 'reason', 'no_slot', 'outside_slot'), []]
        waited = [('stall', 'ring', stall)] + ([('reset', 'ring', lambda s: s['resets']['seconds'])] if self.has_reset_time else []) + (
            [('get', 'bitmap', lambda s: s['get']['seconds']), ('clear', 'bitmap', lambda s: s['clear']['seconds']),
             ('switch', None, lambda s: 0)] if self.has_log else [])
        # its threads have one name, which is known once one of them has waited; what else they may wait for is 0 then
        known = {name for _, mode, of in waited for name, vm in self.vms.items()
                 if mode in (None, 'ring' if vm['ring'] else 'bitmap') and (mode is None or of(vm['total']))}
        out['host', 'Waiting because of tracking, by thread'] = [[
            (name, labels_of({'thread': re.sub(r'\d+', 'N', name), 'op': op}), v)
            for op, mode, of in waited for name, _, v in self.each(mode, self.at_most(of)) if name in known]]
        if harvest():
            out['fleet', 'Time spent in harvesting, by host'] = [self.of_host(self.both(
                harvest(), f'rate(migscope_ring_reset_seconds_sum{{{self.theirs}}}{w}) + (rate(migscope_ring_flush_seconds_total{{{self.theirs}}}{w}) or 0 * rate(migscope_ring_reset_seconds_sum{{{self.theirs}}}{w})) or rate(migscope_dirty_log_sync_seconds_sum{{{self.theirs}}}{w})'))]
        return out

    def migrations(self, w):
        """A VM that stood still for long enough has ended one, and may be in the next: when is up
        to the moment of a sample. No more than there are VMs go on."""
        job, most = f'{{job="{self.p.job}"}}', len(self.vms) + self.foreign
        ended = self.p.ask(f'sum by (outcome) (increase(migscope_migrations_total{job}{w}))', self.p.now)
        took = self.p.ask(f'sum(rate(migscope_migration_duration_seconds_count{job}{w}))', self.p.now)
        return {
            ('fleet', 'Migrations that go on, by host'): [self.of_host([(None, '', (0, most))])],
            ('fleet', 'Migrations that ended, by outcome'): [
                [(None, labels_of(s['metric']), (0, most * self.p.window)) for s in ended]],
            ('fleet', 'How long migrations take'): 2 * [
                [(None, '', (0, 7200) if float(s['value'][1]) > 0 else math.nan) for s in took]],
        }

    def recorded(self):
        """A rule looks back for as long as it says, and rate() beyond what it sees by a step at most."""
        back, step = RULES_WINDOW, 1.2
        found = self.p.ask('timestamp(vm:migscope_dirty_to_bandwidth:ratio)', self.p.now)
        low, high = [], []
        when, job = found[0]['value'][1], f'job="{self.p.job}"'
        series = self.p.ask(f'migscope_dirty_pages_total{{{job}}}[{back}s]', when)
        counted = {s['metric']['vm'] for s in series}
        series += [s for s in self.p.ask(f'migscope_dirty_log_sync_pages_total{{{job},op="get"}}[{back}s]', when)
                   if s['metric']['vm'] not in counted]
        for s in series:
            (begin, first), (end, last) = s['values'][0], s['values'][-1]
            if end > begin:
                low.append(4096 * (float(last) - float(first)) / back / 1e9)
                high.append(low[-1] * min(back, end - begin + 2 * step) / (end - begin))
        return [(None, labels_of({'instance': self.p.instance}), (max(low), max(high)))]


def workload(url, since, now, job, *truths):
    # from one sample to another: where a window begins between two, rate() guesses, and by
    # a half of what lies between them if a scrape was late
    p = Prometheus(url, job, float(now) - float(since) + 0.001, now)
    p.most = 0.05
    w = Workload(p, truths)
    if not w.foreign:
        choices_of(p, [job], sorted(w.vms))
    known = w.known()
    seen = {}
    for e in expressions():
        key = (e['dashboard'].replace('migscope-', ''), e['panel'])
        n = seen[key] = seen.get(key, -1) + 1
        rows = known[key][n] if n < len(known.get(key, [])) else []

        def wanted(way):
            out = {}
            for vm, labels, value in rows:
                if way is None or vm is None or vm in way:
                    out.setdefault(labels, []).append(value)
            return {labels: added(values) for labels, values in out.items()}
        each_choice(p, e, sorted(w.vms), wanted, not w.foreign)
    result(set(known) <= set(seen), 'all that is known of was asked for', set(known) - set(seen))


if sys.argv[1] == 'check':
    known = known_metrics()
    for file in sorted(glob.glob('dashboards/grafana/*.json')):
        check(file, known)
    rules(known)
else:
    {'query': query, 'workload': workload}[sys.argv[1]](*sys.argv[2:])
print(f'1..{count}')
sys.exit(1 if failed else 0)
