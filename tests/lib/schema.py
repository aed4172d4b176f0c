#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""schema.py SCHEMA.md FILE - is each line of FILE what SCHEMA.md says?

The shape stands here; that every key is described is asked of SCHEMA.md. A key that is
not described, one of another type, a histogram that does not add up: status 1.
"""
import json
import re
import sys

COUNT, SECONDS, TEXT, BOOL = 'count', 'seconds', 'text', 'bool'

DURATIONS = {'count': COUNT, 'seconds': SECONDS, 'max_seconds': SECONDS, 'le': list, 'count_le': list}
FILL = {'le': list, 'count': list}
OP = {'calls': COUNT, 'errors': COUNT, 'bytes': COUNT, 'pages': COUNT, 'time': DURATIONS}
# a key with ? is there only if it is measured, or known
VCPU = {
    'vcpu': COUNT, 'size_entries': COUNT, 'soft_limit_entries': COUNT, 'used_entries?': COUNT,
    'used_max_entries?': COUNT, 'pushes?': COUNT, 'pushes_exact?': COUNT, 'reset_events?': COUNT,
    'reset_empty?': COUNT, 'reset_entries?': COUNT, 'fill_at_reset?': FILL, 'full_exits?': COUNT,
    'stalls?': COUNT, 'stall_seconds?': SECONDS,
}
RING = {
    'rings': COUNT, 'rings_freed': COUNT, 'size_entries': COUNT, 'soft_limit_entries': COUNT,
    'pushes?': COUNT, 'pushes_exact?': COUNT, 'resets?': COUNT, 'reset_events?': COUNT,
    'reset_empty?': COUNT, 'reset_entries?': COUNT, 'full_exits?': COUNT, 'used_max_entries?': COUNT,
    'used_max_ratio?': SECONDS, 'fill_at_reset?': FILL, 'stall?': DURATIONS, 'stall_unfinished?': COUNT,
    'stalled_now?': COUNT, 'reset_walk?': DURATIONS, 'flushes?': COUNT, 'flush_seconds?': SECONDS, 'vcpus': [VCPU],
}
LOG = {'get?': OP, 'clear?': OP, 'on?': OP, 'off?': OP, 'bytes_unknown?': COUNT, 'marked_pages?': COUNT}
WITHIN = {t + '?': SECONDS for t in ('0.1', '0.2', '0.5', '1', '2', '5', '10', '20', '50', '100', '200', '500')}
WORKING_SET = {
    'one_in': COUNT, 'seen': COUNT, 'pages': COUNT, 'overflow': COUNT, 'unread': COUNT,
    'pages_within': WITHIN,
}
WAIT = {'calls': COUNT, 'seconds': SECONDS}
THREAD = {'thread': TEXT, 'reset?': WAIT, 'get?': WAIT, 'clear?': WAIT, 'switch?': WAIT, 'stall?': WAIT}
VM = {
    'vm': TEXT, 'id': COUNT, 'pid': COUNT, 'comm': TEXT, 'uuid?': TEXT, 'alive': BOOL,
    'dirty_mode': ('ring', 'bitmap'), 'dirty_ring?': RING, 'dirty_log?': LOG,
    'working_set?': WORKING_SET, 'threads?': [THREAD],
}
MISSING = {'source': TEXT, 'probe': TEXT, 'state': ('waiting', 'missing', 'refused'), 'why?': TEXT, 'lost': TEXT}
LOST = {key: COUNT for key in ('vms', 'rings', 'states', 'calls', 'pushes', 'unmatched', 'devices', 'arguments', 'threads', 'missed')}
ERRORS = {name + '?': COUNT for name in ('EPERM', 'ENOENT', 'EINTR', 'EAGAIN', 'ENOMEM', 'EFAULT', 'EBUSY',
                                         'EEXIST', 'EINVAL', 'ENOTTY', 'ENOSPC', 'other')}
IOTLB = {
    'misses?': COUNT, 'misses_again?': COUNT, 'miss_service?': DURATIONS, 'pending?': COUNT,
    'oldest_seconds?': SECONDS, 'waits_cut?': COUNT, 'waits_full?': COUNT, 'hits?': COUNT, 'denied?': COUNT,
    'updates?': COUNT, 'invalidates?': COUNT, 'errors?': ERRORS, 'evictions?': COUNT, 'entries?': COUNT,
    'entries_limit?': COUNT,
}
VFIO_OP = {'calls': COUNT, 'errors': COUNT, 'pages?': COUNT, 'bytes?': COUNT, 'dirty_pages?': COUNT, 'time': DURATIONS}
VFIO_UNMAP_GET = {**{k: v for k, v in VFIO_OP.items() if k != 'time'}, 'time?': DURATIONS}
VFIO = {
    'container': COUNT, 'pin?': VFIO_OP, 'unpin?': VFIO_OP, 'map?': VFIO_OP, 'unmap?': VFIO_OP,
    'dirty_start?': VFIO_OP, 'dirty_stop?': VFIO_OP, 'dirty_get?': VFIO_OP, 'dirty_unmap?': VFIO_UNMAP_GET,
    'read?': VFIO_OP, 'write?': VFIO_OP, 'pinned_pages?': COUNT, 'runs?': COUNT, 'mappings?': COUNT,
    'mappings_available?': COUNT, 'tracking?': BOOL, 'scope_full?': BOOL,
}
STATES = ('error', 'stop', 'running', 'stop_copy', 'resuming', 'running_p2p', 'pre_copy', 'pre_copy_p2p')
MIGRATION = {
    'state': STATES, 'protocol': COUNT, 'steps': COUNT, 'errors': COUNT, 'time': DURATIONS,
    'seconds_in': {name + '?': SECONDS for name in STATES},
}
VDPA_OP = {'calls': COUNT, 'errors': COUNT, 'time': DURATIONS}
VDPA_OPS = {}	# by name, whatever was called
VDPA = {
    'ops?': VDPA_OPS, 'errors?': ERRORS, 'kicks?': COUNT, 'callbacks?': COUNT, 'mapped_pages?': COUNT, 'runs?': COUNT,
    'pinned_pages?': COUNT, 'pinned_limit_pages?': COUNT,
}
SPACE = {'asid?': COUNT, 'entries?': COUNT, 'entries_limit?': COUNT, 'misses?': COUNT, 'denied?': COUNT, 'hits?': COUNT}
DEVICE = {'vm': TEXT, 'dev': TEXT, 'id': COUNT, 'pid': COUNT, 'alive': BOOL, 'vhost_iotlb?': IOTLB, 'vfio?': VFIO,
          'migration?': MIGRATION, 'vdpa?': VDPA, 'spaces?': [SPACE]}
TIMES = {'count': COUNT, 'seconds': SECONDS, 'le': list, 'count_le': list}
OUTCOMES = ('logging_off', 'vm_ended', 'idle', 'tracking_off', 'ran_on', 'devices_stopped', 'device_error')
MIGRATIONS = {'running': COUNT, 'ended': {outcome + '?': TIMES for outcome in OUTCOMES}}
LINE = {
    'schema': (1,), 'time': SECONDS, 'elapsed': SECONDS, 'interval': SECONDS, 'final': BOOL, 'exact': BOOL,
    'vms': [VM], 'devices': [DEVICE], 'migrations?': MIGRATIONS, 'not_measured': [MISSING], 'lost': LOST,
}


class Wrong(Exception):
    pass


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_hist(value, where):
    counts = value.get('count_le', value['count'])
    bounds = value['le']
    if not all(map(is_count, counts)) or bounds != sorted(set(bounds)):
        raise Wrong(f'{where}: not a histogram')
    if 'count_le' not in value:
        if len(counts) != 12 or len(bounds) != 11:
            raise Wrong(f'{where}: {len(counts)} counts for {len(bounds)} bounds')
    elif len(counts) != len(bounds) or counts != sorted(counts) or counts[-1] > value['count']:
        raise Wrong(f'{where}: count_le is not cumulative')


def check(value, shape, where, words):
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise Wrong(f'{where}: not an object')
        for key in shape:
            if not key.endswith('?') and key not in value:
                raise Wrong(f'{where}: no {key}')
        if shape is VDPA_OPS:
            for key, inner in value.items():
                check(inner, VDPA_OP, f'{where}.{key}', words)
            return
        for key, inner in value.items():
            if key not in shape and key + '?' not in shape:
                raise Wrong(f'{where}: {key} is not expected')
            if key not in words and shape is not ERRORS and shape is not WITHIN:
                raise Wrong(f'{where}: SCHEMA.md says nothing of {key}')
            check(inner, shape.get(key, shape.get(key + '?')), f'{where}.{key}', words)
        if shape in (DURATIONS, FILL, TIMES):
            check_hist(value, where)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise Wrong(f'{where}: not a list')
        for i, inner in enumerate(value):
            check(inner, shape[0], f'{where}[{i}]', words)
    elif isinstance(shape, tuple):
        if value not in shape:
            raise Wrong(f'{where}: {value!r}')
    else:
        good = {
            COUNT: is_count(value),
            SECONDS: isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0,
            TEXT: isinstance(value, str),
            BOOL: isinstance(value, bool),
            list: isinstance(value, list),
        }
        if not good[shape]:
            raise Wrong(f'{where}: {value!r} is no {shape}')


def main():
    with open(sys.argv[1], encoding='utf-8') as schema:
        # inline code, and what stands in it: `{source, probe, ...}`
        text = schema.read()
        words = set(re.findall(r'\w+', ' '.join(re.findall(r'`([^`]+)`', text))))
    lines = 0
    with open(sys.argv[2], encoding='utf-8') as stream:
        for number, line in enumerate(stream, 1):
            try:
                check(json.loads(line), LINE, f'line {number}', words)
            except (Wrong, ValueError) as wrong:
                print(wrong, file=sys.stderr)
                return 1
            lines += 1
    if not lines:
        print('no line', file=sys.stderr)
    return 0 if lines else 1


if __name__ == '__main__':
    sys.exit(main())
