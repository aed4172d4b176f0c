# SPDX-License-Identifier: GPL-2.0
"""A QEMU under KVM with one of our guests in it."""
import os
import socket
import subprocess
import sys
import time

from qmp import Qmp, QmpError

START_SECONDS = 90
POLL_SECONDS = 0.1
# QEMU 7.2 looks into the rings of its vCPUs each second, and ends where one is not mapped yet
# ("kvm: dirty-ring: Fix race with vcpu creation" came later). Seen where starting takes so long.
REAPER = "kvm_dirty_ring_reap_one: Assertion"
START_TRIES = 15
# Where KVM's hardware is emulated, firmware goes astray now and then on a busy machine, in real
# mode and before it is at our guest: in 3 of 600 starts without devices with our KVM, in 3 of 600
# with the kernel's own. What the guest says itself is never asked for twice.
FIRMWARE_SECONDS = 45
FIRMWARE_TRIES = 4


class Failure(Exception):
    """The guest, its device or its migration is not what it should be."""


class Qemu:
    """connect() waits until its guest's own code runs, so that two can start at once.

    ROLE names its files in the folder WHERE; WORDS are QEMU's arguments beside those that all
    have. With -incoming among them there is no guest at first.
    """

    def __init__(self, name, role, where, qemu, words):  # pylint: disable=too-many-arguments
        self.name = f"{name}-{role}"
        self.said = os.path.join(where, role + ".debug")
        self.control = f"{where}/{role}.qmp"
        self.serial = f"{where}/{role}.serial"
        self.command = [
            qemu, "-name", f"{self.name},debug-threads=on", "-cpu", "host", "-machine", "pc,usb=off,vmport=off,hpet=off",
            "-nodefaults", "-display", "none", "-debugcon", "file:" + self.said,
            "-qmp", f"unix:{self.control},server=on,wait=off", *words]
        self.incoming = "-incoming" in words
        self.log = open(os.path.join(where, role + ".log"), "w+", encoding="utf-8", errors="replace")
        self.process = None
        self.qmp = None
        self.start()

    def start(self):
        self.log.seek(0)
        self.log.truncate()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def connect(self):
        for _ in range(FIRMWARE_TRIES):
            self.listen()
            if self.incoming or self.began():
                return
            print(f"{self.name}: its firmware went astray: {self.last_words()}; once more", file=sys.stderr, flush=True)
            self.stop()
            self.start()
        raise Failure(f"{self.name}: its firmware went astray {FIRMWARE_TRIES} times")

    def listen(self):
        for tries in range(START_TRIES, 0, -1):
            try:
                self.qmp = Qmp(self.control, time.monotonic() + START_SECONDS, self.alive)
                return
            except QmpError as err:
                if tries == 1 or REAPER not in self.last_words():
                    raise Failure(f"{self.name}: {err}: {self.last_words()}") from err
            self.process.wait()
            self.start()

    def began(self):
        """Did the guest's first instructions run? They say so."""
        deadline = time.monotonic() + FIRMWARE_SECONDS
        while not self.text():
            if not self.alive():
                raise Failure(f"{self.name} ended: {self.last_words()}")
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def alive(self):
        return self.process.poll() is None

    def last_words(self):
        self.log.seek(0)
        return " ".join(self.log.read().split()) or "it said nothing"

    def text(self):
        """What the guest said."""
        try:
            with open(self.said, encoding="ascii", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def until(self, seconds, what, condition):
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.alive():
                raise Failure(f"{self.name} ended: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name}: no {what} within {seconds} s: {self.last_words()}; its guest: "
                              f"{self.text()[-200:]!r}")
            time.sleep(POLL_SECONDS)

    def tell(self):
        """A byte at the serial port, of those that have one on self.serial."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self.serial)
            line.sendall(b"\n")

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
