#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""vdpa_maps.py NODE MAPS... - opens a device of vhost_vdpa, has so many maps of a page each in its
first address space, its second, ..., says `ready`, and keeps them until stdin ends; for each line
there is one map more in the first, and again `ready`"""
import fcntl
import mmap
import os
import struct
import sys

from ctypes import addressof, c_char

# linux/vhost.h
VHOST_SET_OWNER = 0xAF01
VHOST_SET_BACKEND_FEATURES = 0x4008AF25
MSG_V2, ASID = 1 << 1, 1 << 3
IOTLB_MSG_V2 = 2
ACCESS_RW, IOTLB_UPDATE = 3, 2
MORE = 16  # lines that may come

spaces = [int(maps) for maps in sys.argv[2:]]
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(fd, VHOST_SET_OWNER)
fcntl.ioctl(fd, VHOST_SET_BACKEND_FEATURES, struct.pack('Q', MSG_V2 | ASID))
memory = mmap.mmap(-1, (max(spaces) + MORE) * mmap.PAGESIZE)
base = addressof(c_char.from_buffer(memory))


def put(asid, page):
    at = page * mmap.PAGESIZE
    os.write(fd, struct.pack('II QQQ BB', IOTLB_MSG_V2, asid, 2 * at, mmap.PAGESIZE, base + at, ACCESS_RW, IOTLB_UPDATE).ljust(72, b'\0'))


for asid, maps in enumerate(spaces):
    for i in range(maps):
        put(asid, i)
print('ready', flush=True)
for i, _ in enumerate(sys.stdin):
    put(0, spaces[0] + i)
    print('ready', flush=True)
