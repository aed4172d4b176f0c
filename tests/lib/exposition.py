#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""exposition.py openmetrics|classic [FILE]: reads an exposition with the parsers of
Prometheus' own Python client, which share no line with ours, and prints one JSON
object a sample: {"name", "labels", "value"}. For jq."""
import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

text = (open(sys.argv[2], encoding='utf-8') if len(sys.argv) > 2 else sys.stdin).read()
parse = {'openmetrics': openmetrics, 'classic': parser}[sys.argv[1]].text_string_to_metric_families
seen = set()
for family in parse(text):
    if not family.documentation:
        sys.exit(f'{family.name}: no HELP')
    if family.type == 'unknown' or family.type == 'untyped':
        sys.exit(f'{family.name}: no TYPE')
    if sys.argv[1] == 'openmetrics' and family.unit and not family.name.endswith('_' + family.unit):
        sys.exit(f'{family.name}: is not in {family.unit}')
    for s in family.samples:
        key = (s.name, tuple(sorted(s.labels.items())))
        if key in seen:
            sys.exit(f'{key}: twice')
        seen.add(key)
        print(json.dumps({'name': s.name, 'labels': s.labels, 'value': s.value}, ensure_ascii=False))
