#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Every allocation of one step in turn fails, until one comes through: on a kernel with
CONFIG_FAILSLAB, after can_fail of tests/lib/failslab.sh.

vdpa_faults.py add NAME=VALUE...	a device is added, by the words of vdpa_nl.py, and deleted
vdpa_faults.py bind DEVICE DRIVER	a driver takes a device, and gives it back

An error leaves no half of it behind: the step is made again at once and comes through.
Of very many, the pages of a disk's memory, some in the middle are enough. Prints how many
allocations there were, how many of them failed, and of how many the error was told.
"""
import contextlib
import errno
import os
import sys

sys.dont_write_bytecode = True
from vdpa_nl import Bus     # noqa: E402

NO_MEMORY = {errno.ENOMEM, errno.ENOBUFS, errno.EFAULT}
NEVER = 1 << 30
ENDS, MIDDLE = 150, 20


class FailNth:
    """The nth allocation of this thread fails within `with`; hit tells whether it came to that."""
    def __init__(self):
        self.file = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
        self.hit = False
        self.left = 0

    def __call__(self, nth):
        self.nth = nth
        return self

    def _set(self, nth):
        try:
            os.pwrite(self.file, b'%d' % nth, 0)
        except OSError:     # the copy of this text was what failed: then nothing is left to
            os.pwrite(self.file, b'%d' % nth, 0)

    def __enter__(self):
        self._set(self.nth)

    def __exit__(self, *_):
        try:
            self.left = int(os.pread(self.file, 16, 0))
        except OSError:     # as above: it had not come to it
            self.left = 1
        self.hit = not self.left
        self._set(0)


class Device:
    """Added, over netlink, and deleted."""
    def __init__(self, words):
        self.attrs = dict(word.split('=', 1) for word in words)

    def do(self, fail):
        # a socket for each: an answer that is lost leaves nothing for the next question
        bus = Bus()
        with fail:
            said = bus.ask('add', **self.attrs)
        return None if said == 'ok' else said

    def exists(self):
        return os.path.exists('/sys/bus/vdpa/devices/' + self.attrs['name'])

    def undo(self):
        said = Bus().ask('del', name=self.attrs['name'])
        assert said == 'ok', said


class Driver:
    """Bound to a device, and unbound."""
    def __init__(self, words):
        self.device, driver = words
        self.path = '/sys/bus/vdpa/drivers/' + driver
        self.bind = os.open(self.path + '/bind', os.O_WRONLY)
        self.unbind = os.open(self.path + '/unbind', os.O_WRONLY)

    def do(self, fail):
        with fail:
            os.write(self.bind, self.device.encode())

    def exists(self):
        return os.path.exists(f'{self.path}/{self.device}')

    def undo(self):
        os.write(self.unbind, self.device.encode())


def which(total):
    """Each of few; of many those at both ends, and some between."""
    if total <= 2 * ENDS:
        return range(1, total + 1)
    return sorted({*range(1, ENDS), *range(ENDS, total, total // MIDDLE), *range(total - ENDS, total + 1)})


def main():
    step = {'add': Device, 'bind': Driver}[sys.argv[1]](sys.argv[2:])
    fail = FailNth()
    assert step.do(fail(NEVER)) is None
    step.undo()
    total = NEVER - fail.left
    failed = refused = 0
    for nth in which(total):
        said = None
        try:
            said = step.do(fail(nth))
        except OSError as error:
            said = error.strerror
            assert error.errno in NO_MEMORY or error.errno == errno.ENODEV, said
        assert fail.hit or said is None, f'without a failure: {said}'
        failed += fail.hit
        # the answer itself may be what there was no memory for
        if not step.exists():
            assert said is not None, f'{nth}: nothing came of it, and nobody says so'
            refused += 1
            step.do(contextlib.nullcontext())
            assert step.exists()
        step.undo()
    print(f'allocations {total} failed {failed} refused {refused}')


main()
