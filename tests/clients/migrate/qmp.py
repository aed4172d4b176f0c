# SPDX-License-Identifier: GPL-2.0
"""As much of QEMU's machine protocol as a migration needs."""
import json
import socket
import time

# it may not be scheduled for long on a busy machine; a QEMU that hangs must not hang us
ANSWER_SECONDS = 60


class QmpError(Exception):
    """QEMU refused a command, or is gone."""


class Qmp:
    def __init__(self, path, deadline, alive):
        """Connect to PATH, which a QEMU that has just been started will create."""
        self.sock = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError as err:
                if not alive():
                    raise QmpError("QEMU ended before it listened") from err
                if time.monotonic() > deadline:
                    raise QmpError(f"no QEMU listens on {path}") from err
                time.sleep(0.05)
        self.sock.settimeout(ANSWER_SECONDS)
        self.lines = self.sock.makefile("rb")
        self._receive()
        self.command("qmp_capabilities")

    def _receive(self):
        try:
            line = self.lines.readline()
        except OSError as err:
            raise QmpError(f"QEMU does not answer: {err}") from err
        if not line:
            raise QmpError("QEMU closed its control connection")
        return json.loads(line)

    def command(self, name, **arguments):
        request = {"execute": name}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        try:
            self.sock.sendall(json.dumps(request).encode() + b"\n")
        except OSError as err:
            raise QmpError(f"{name}: {err}") from err
        while True:
            answer = self._receive()
            if "error" in answer:
                raise QmpError(f"{name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
            # an event: whoever wants to know polls
