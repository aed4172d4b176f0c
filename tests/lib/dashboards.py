#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""dashboards.py check            - the conventions of a dashboard, for every JSON file
dashboards.py query URL WINDOW    - each expression, run against a Prometheus that scrapes
                                    tests/lib/known_exporter: the value has to be the known one
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


def query(url, window):
    expressions = json.loads(subprocess.run(['dashboards/grafana/generate', '--expressions'],
                                            stdout=subprocess.PIPE, check=True).stdout)

    def ask(expr, **when):
        url_of = f'{url}/api/v1/query?' + urllib.parse.urlencode({'query': expr, **when})
        return json.load(urllib.request.urlopen(url_of))['data']['result']

    # as of the last step that it knows
    now = ask('timestamp(migscope_build_info)')[0]['value'][1]
    for e in expressions:
        expr = e['expr']
        for name, value in (('$__rate_interval', f'{window}s'), ('$job', '.*'), ('$instance', '.*'), ('$vm', '.*')):
            expr = expr.replace(name, value)
        what = f"{e['dashboard']}: {e['panel']}: {e['expr'][:60]}"
        series = ask(expr, time=now)
        total = sum(float(s['value'][1]) for s in series)
        known = e['known']
        if known == 'absent':
            result(not series, what, f'{len(series)} series, not none')
            continue
        if isinstance(known, dict):
            known = known['each_second'] * window
        # what a rule records is looked at when its turn comes, not as of a step
        most = 0.15 if re.search(r'(vm|instance):', expr) else 0.01
        result(series and abs(total - known) <= most * abs(known), what, f'{total} of {len(series)} series, not {known}')


if sys.argv[1] == 'check':
    known = known_metrics()
    for file in sorted(glob.glob('dashboards/grafana/*.json')):
        check(file, known)
    rules(known)
else:
    query(sys.argv[2], int(sys.argv[3]))
print(f'1..{count}')
sys.exit(1 if failed else 0)
