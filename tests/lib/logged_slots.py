#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""logged_slots.py - a VM whose slots come and go with dirty logging on, which switches nothing, or have
it switched: prints {"pid": N, "on": [calls, pages], "off": [calls, pages]}, and keeps the VM until
stdin ends"""
import fcntl
import json
import mmap
import os
import struct
import sys

from ctypes import addressof, c_char

# linux/kvm.h
KVM_CREATE_VM = 0xAE01
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
LOGGED = 1

count = {'on': [0, 0], 'off': [0, 0]}
vm = fcntl.ioctl(os.open('/dev/kvm', os.O_RDWR | os.O_CLOEXEC), KVM_CREATE_VM, 0)
memory = mmap.mmap(-1, 1024 * mmap.PAGESIZE)
base = addressof(c_char.from_buffer(memory))


def slot(number, pages, flags, switched=None, of=0):
    fcntl.ioctl(vm, KVM_SET_USER_MEMORY_REGION,
                struct.pack('IIQQQ', number, flags, number << 30, pages * mmap.PAGESIZE, base))
    if switched:
        count[switched][0] += 1
        count[switched][1] += of


slot(1, 300, LOGGED)
slot(2, 200, 0)
slot(2, 200, LOGGED, 'on', 200)
slot(2, 200, 0, 'off', 200)
slot(2, 0, 0)
slot(1, 0, 0)
print(json.dumps({'pid': os.getpid(), **count}), flush=True)
sys.stdin.read()
