#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""dashboards.py check            - the conventions of a dashboard, for every JSON file
dashboards.py query URL WINDOW JOB
                                  - each expression, run against a Prometheus that scrapes
                                    tests/lib/known_exporter as that job, for each choice of
                                    VMs: the series have to be the known ones
Prints TAP; tests/unit/dashboards.t reads it."""
import glob
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request

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
    def __init__(self, url, job, window):
        self.url, self.job, self.window = url, job, window
        # all of one step, the last that it knows
        build = self.ask(f'timestamp(migscope_build_info{{job="{job}"}})', None)[0]
        self.now, self.instance, self.version = build['value'][1], build['metric']['instance'], build['metric']['version']

    def get(self, path, **arguments):
        return json.load(urllib.request.urlopen(f'{self.url}/api/v1/{path}?' + urllib.parse.urlencode(arguments)))['data']

    def ask(self, expr, when):
        return self.get('query', query=expr, **({'time': when} if when else {}))['result']

    def filled_in(self, text, job, instance, vm):
        for name, value in (('$__rate_interval', f'{self.window}s'), ('$job', job), ('$instance', instance), ('$vm', vm)):
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


def each_choice(p, e, vms, wanted):
    """Compares an expression for each VM, several, and all; wanted(vm names or None) says what it yields."""
    what = f"{e['dashboard']}: {e['panel']}: {e['expr'][:60]}"
    # what a rule records is looked at when its turn comes, not as of a step
    most = 0.15 if re.search(r'(vm|instance):', e['expr']) else p.most
    ways = [None]
    if '$vm' in e['expr']:
        ways = [[vm] for vm in vms] + ([] if e['one'] else [vms, None])
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


if sys.argv[1] == 'check':
    known = known_metrics()
    for file in sorted(glob.glob('dashboards/grafana/*.json')):
        check(file, known)
    rules(known)
else:
    {'query': query}[sys.argv[1]](*sys.argv[2:])
print(f'1..{count}')
sys.exit(1 if failed else 0)
