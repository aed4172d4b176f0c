# SPDX-License-Identifier: GPL-2.0
"""A QEMU with the dirtying guest in it, and what that guest reports."""
import os
import subprocess
import time

from qmp import Qmp, QmpError

# below the dirtied area: what firmware and the guest's own image need
BASE_MIB = 16
START_SECONDS = 90
# QEMU 7.2 looks into the rings of its vCPUs each second, and ends where one is not mapped yet
# ("kvm: dirty-ring: Fix race with vcpu creation" came later). Seen where starting takes so long.
REAPER = "kvm_dirty_ring_reap_one: Assertion"
START_TRIES = 15
ROLES = ("origin", "destination")


class Failure(Exception):
    """The migration, or the guest, is not what it should be."""


class Reports:
    """What the guest writes on its debug console: a word or none, then key=value."""

    def __init__(self, path):
        self.path = path
        self.rest = ""
        self.offset = 0
        self.ready = None
        self.ticks = []
        self.checks = {}
        self.bad_pages = []
        self.devices = {}           # "vfio", "net": the last report, and the last check
        self.device_checks = {}

    def read(self):
        try:
            with open(self.path, encoding="ascii", errors="replace") as file:
                file.seek(self.offset)
                text = file.read()
        except FileNotFoundError:
            return
        self.offset += len(text)
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self._take(line)

    def _take(self, line):
        if line.startswith("failed:"):
            raise Failure("the guest " + line)
        values = dict(word.split("=", 1) for word in line.split() if "=" in word)
        values = {key: int(value) if value.isdigit() else value for key, value in values.items()}
        kind = line.split(maxsplit=1)[0]
        if kind == "ready":
            self.ready = values
        elif kind == "checked":
            self.checks[values["cpu"]] = values
        elif kind in ("vfio", "net"):
            self.devices[kind] = values
        elif kind in ("vfio-checked", "net-checked"):
            self.device_checks[kind.removesuffix("-checked")] = values
        elif kind == "bad-page":
            self.bad_pages.append(values)
        elif kind.startswith("cpu="):
            self.ticks.append(values)

    def written(self):
        """Writes so far, all CPUs together, by their last reports."""
        return sum({tick["cpu"]: tick["written"] for tick in self.ticks}.values())

    def rate(self, cpus, reports):
        """Pages a second, by the guest's clock, over the last REPORTS of each CPU."""
        total = 0
        for cpu in range(cpus):
            ticks = [tick for tick in self.ticks if tick["cpu"] == cpu][-reports - 1:]
            if len(ticks) < 2:
                return 0
            total += (ticks[-1]["written"] - ticks[0]["written"]) * 1000 / (ticks[-1]["ms"] - ticks[0]["ms"])
        return total

    def longest_gap(self, first, end=None):
        """Longest time in seconds that a CPU was kept from running, in reports FIRST to END."""
        return max((tick["gap_ms"] for tick in self.ticks[first:end]), default=0) / 1000


def device_options(role, opt):
    """QEMU's words for the devices beside the guest's memory, and the guest's own for them."""
    words, tell, index = [], "", ROLES.index(role)
    if opt.vfio:
        words += ["-device", f"vfio-pci,sysfsdev=/sys/bus/mdev/devices/{opt.vfio[index]},x-enable-migration=on,addr=5"]
        tell += f" vfio={opt.vfio_pages}"
    if opt.vdpa:
        # shadowed queues are how this QEMU knows what the device wrote
        words += ["-netdev", f"vhost-vdpa,id=net,vhostdev={opt.vdpa[index]},x-svq=on",
                  "-device", "virtio-net-pci,netdev=net,disable-legacy=on,iommu_platform=on,ctrl_vq=off,mq=off,romfile=,addr=6"]
        tell += f" net={opt.frames}"
    return words, tell


class Machine:
    """One QEMU; connect() waits until it is up, so that two can start at once."""

    def __init__(self, role, opt, where, extra):
        self.name = f"{opt.name}-{role}"
        self.reports = Reports(os.path.join(where, role + ".debug"))
        accel = "kvm" if opt.mode == "bitmap" else f"kvm,dirty-ring-size={opt.ring_size}"
        memory = f"{BASE_MIB + opt.memory + 4}M"
        devices, tell = device_options(role, opt)
        self.command = [
            opt.qemu, "-name", f"{self.name},debug-threads=on", "-accel", accel, "-cpu", "host",
            "-machine", "pc,usb=off,vmport=off,hpet=off", "-m", memory, "-smp", str(opt.vcpus),
            "-nodefaults", "-display", "none", "-kernel", opt.guest,
            "-append", f"area={opt.memory} base={BASE_MIB} rate={opt.rate} pattern={opt.pattern} cpus={opt.vcpus}"
            + tell, *devices,
            "-debugcon", "file:" + self.reports.path,
            "-qmp", f"unix:{where}/{role}.qmp,server=on,wait=off",
            # a second one, for who watches
            "-qmp", f"unix:{where}/{role}.watch.qmp,server=on,wait=off", *extra(memory)]
        self.log = open(os.path.join(where, role + ".log"), "w+", encoding="utf-8", errors="replace")
        self.process = None
        self.qmp = None
        self.control = f"{where}/{role}.qmp"
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def connect(self):
        for tries in range(START_TRIES, 0, -1):
            try:
                self.qmp = Qmp(self.control, time.monotonic() + START_SECONDS, self.alive)
                return
            except QmpError as err:
                if tries == 1 or REAPER not in self.last_words():
                    raise Failure(f"{self.name}: {err}: {self.last_words()}") from err
            self.process.wait()
            self.log.seek(0)
            self.log.truncate()
            self.start()

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        self.log.seek(0)
        return " ".join(self.log.read().split()) or "it said nothing"

    def wait(self, seconds, what, condition):
        """Read the guest's reports until CONDITION of them is true."""
        deadline = time.monotonic() + seconds
        while True:
            self.reports.read()
            if condition(self.reports):
                return
            if not self.alive():
                raise Failure(f"{self.name} ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: no {what} within {seconds} s")
            time.sleep(0.1)

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
