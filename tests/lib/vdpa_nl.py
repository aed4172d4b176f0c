#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What iproute2 of Debian 12 cannot say to the vDPA bus, over its netlink family.

vdpa_nl.py add|del|get|set NAME=VALUE... prints "ok", or the error and the kernel's reason;
then its status is 1. The management device of a PCI function is bus=pci mgmtdev=ADDRESS.
"""
import os
import socket
import struct
import sys

NETLINK_GENERIC = 16
GENL_ID_CTRL = 16
CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 3, 1, 2
SOL_NETLINK, NETLINK_EXT_ACK, NLMSGERR_ATTR_MSG = 270, 11, 1
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CAPPED, NLM_F_ACK_TLVS = 1, 4, 0x100, 0x200
# linux/vdpa.h
ATTRS = {'bus': 1, 'mgmtdev': 2, 'name': 4, 'mac': 10, 'max_vqp': 12, 'mtu': 13, 'features': 20}
COMMANDS = {'add': 3, 'del': 4, 'get': 5, 'set': 8}


def attr(kind, value):
    head = struct.pack('HH', 4 + len(value), kind) + value
    return head + bytes(-len(head) % 4)


def walk(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from('HH', data)
        yield kind & 0x3fff, data[4:size]
        data = data[(size + 3) & ~3:]


def encoded(name, value):
    if name == 'mac':
        return bytes.fromhex(value.replace(':', ''))
    if name in ('mtu', 'max_vqp'):
        return struct.pack('H', int(value))
    if name == 'features':
        return struct.pack('Q', int(value, 0))
    if name == 'bus':
        return value.encode() + b'\0'
    return value.encode()       # no zero at its end


class Bus:
    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.socket.bind((0, 0))
        # the answer is enough: no acknowledgment
        answer = self._send(GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY,
                            attr(CTRL_ATTR_FAMILY_NAME, b'vdpa\0'))
        self.family = struct.unpack('H', dict(walk(answer[20:]))[CTRL_ATTR_FAMILY_ID][:2])[0]

    def _send(self, family, flags, command, attrs):
        body = struct.pack('BBH', command, 1, 0) + attrs
        self.socket.send(struct.pack('IHHII', 16 + len(body), family, flags, 1, 0) + body)
        return self.socket.recv(65536)

    def ask(self, command, **attrs):
        """Return what came of it, in words."""
        reply = self._send(self.family, NLM_F_REQUEST | NLM_F_ACK, COMMANDS[command],
                           b''.join(attr(ATTRS[name], encoded(name, value))
                                    for name, value in attrs.items()))
        if struct.unpack_from('H', reply, 4)[0] != 2:   # NLMSG_ERROR
            self.socket.recv(65536)     # of the acknowledgment
            return 'ok'
        flags, = struct.unpack_from('H', reply, 6)
        error, = struct.unpack_from('i', reply, 16)
        if not error:
            return 'ok'
        skip = 36 if flags & NLM_F_CAPPED else 20 + struct.unpack_from('I', reply, 20)[0]
        why = dict(walk(reply[skip:])) if flags & NLM_F_ACK_TLVS else {}
        if NLMSGERR_ATTR_MSG not in why:
            return os.strerror(-error)
        return f"{os.strerror(-error)}: {why[NLMSGERR_ATTR_MSG].rstrip(bytes(1)).decode()}"


if __name__ == '__main__':
    said = Bus().ask(sys.argv[1], **dict(word.split('=', 1) for word in sys.argv[2:]))
    print(said)
    sys.exit(said != 'ok')
