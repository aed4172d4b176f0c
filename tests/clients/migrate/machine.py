# SPDX-License-Identifier: GPL-2.0
"""A QEMU with the dirtying guest in it, and what that guest reports."""
from qemu import Failure, Qemu

# below the dirtied area: what firmware and the guest's own image need
BASE_MIB = 16
ROLES = ("origin", "destination")


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
        # what a guest begins to say before it is migrated it ends after: with "\n" alone, maybe
        kind = line.split(maxsplit=1)[0] if line else ""
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


class Machine(Qemu):
    """With what the guest reports."""

    def __init__(self, role, opt, where, extra):
        accel = "kvm" if opt.mode == "bitmap" else f"kvm,dirty-ring-size={opt.ring_size}"
        memory = f"{BASE_MIB + opt.memory + 4}M"
        devices, tell = device_options(role, opt)
        super().__init__(opt.name, role, where, opt.qemu, [
            "-accel", accel, "-m", memory, "-smp", str(opt.vcpus), "-kernel", opt.guest,
            "-append", f"area={opt.memory} base={BASE_MIB} rate={opt.rate} pattern={opt.pattern} cpus={opt.vcpus}"
            + tell, *devices,
            # a second one, for who watches
            "-qmp", f"unix:{where}/{role}.watch.qmp,server=on,wait=off", *extra(memory)])
        self.reports = Reports(self.said)

    def wait(self, seconds, what, condition):
        """Read the guest's reports until CONDITION of them is true."""
        def read():
            self.reports.read()
            return condition(self.reports)
        self.until(seconds, what, read)
