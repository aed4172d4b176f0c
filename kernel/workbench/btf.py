# SPDX-License-Identifier: GPL-2.0
"""What the workbench reads out of kernels and modules: ELF sections, BTF, modinfo."""
import lzma
import struct

KIND_INT, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_FWD = range(1, 8)
KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_FUNC = range(8, 13)
KIND_FUNC_PROTO, KIND_VAR, KIND_DATASEC, KIND_FLOAT, KIND_DECL_TAG = range(13, 18)
KIND_TYPE_TAG, KIND_ENUM64 = 18, 19
TRANSPARENT = (KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_TYPE_TAG)


def read_file(path):
    """The bytes of a file, unpacked if it is a compressed module."""
    opener = lzma.open if str(path).endswith('.xz') else open
    with opener(path, 'rb') as f:
        return f.read()


def sections(data):
    """{name: bytes} of a 64-bit little-endian ELF file; a name's first section counts."""
    if data[:6] != b'\x7fELF\x02\x01':
        raise ValueError('not a 64-bit little-endian ELF file')
    shoff, = struct.unpack_from('<Q', data, 0x28)
    entsize, num, strndx = struct.unpack_from('<HHH', data, 0x3a)
    heads = [struct.unpack_from('<IIQQQQ', data, shoff + i * entsize) for i in range(num)]
    names = heads[strndx][4]
    found = {}
    for name, kind, _flags, _addr, offset, size in heads:
        end = data.index(b'\0', names + name)
        if kind != 8:   # SHT_NOBITS has nothing in the file
            found.setdefault(data[names + name:end].decode(), data[offset:offset + size])
    return found


def modinfo(elf):
    """{tag: set of values} of a module's sections."""
    info = {}
    for item in elf.get('.modinfo', b'').split(b'\0'):
        tag, eq, value = item.decode(errors='replace').partition('=')
        if eq:
            info.setdefault(tag, set()).add(value)
    return info


class Btf:
    """Types of one BTF section; a module's lie on top of the kernel's."""

    def __init__(self, data, base=None):
        magic, _version, _flags, hdr, type_off, type_len, str_off, str_len = \
            struct.unpack_from('<HBBIIIII', data)
        if magic != 0xeb9f:
            raise ValueError('no BTF')
        self.base = base
        self.strings = data[hdr + str_off:hdr + str_off + str_len]
        self.first_string = base.end_string if base else 0
        self.end_string = self.first_string + str_len
        self.first_id = base.end_id if base else 1
        self.types = []
        self._parse(data[hdr + type_off:hdr + type_off + type_len])
        self.end_id = self.first_id + len(self.types)

    def _parse(self, data):
        at, end = 0, len(data)
        while at < end:
            name, info, size = struct.unpack_from('<III', data, at)
            at += 12
            kind, vlen, flag = info >> 24 & 0x1f, info & 0xffff, info >> 31
            more = None
            if kind == KIND_INT or kind in (KIND_VAR, KIND_DECL_TAG):
                more, at = struct.unpack_from('<I', data, at), at + 4
            elif kind == KIND_ARRAY:
                more, at = struct.unpack_from('<III', data, at), at + 12
            elif kind in (KIND_STRUCT, KIND_UNION):
                more = [struct.unpack_from('<III', data, at + 12 * i) for i in range(vlen)]
                at += 12 * vlen
            elif kind in (KIND_ENUM, KIND_FUNC_PROTO):
                at += 8 * vlen
            elif kind in (KIND_DATASEC, KIND_ENUM64):
                at += 12 * vlen
            self.types.append((kind, name, size, flag, more))

    def string(self, offset):
        if offset < self.first_string:
            return self.base.string(offset)
        offset -= self.first_string
        return self.strings[offset:self.strings.index(b'\0', offset)].decode()

    def type(self, ident):
        if ident < self.first_id:
            return self.base.type(ident) if self.base else (0, 0, 0, 0, None)
        return self.types[ident - self.first_id]

    def describe(self, ident):
        """How a member of this type lies in memory; what a pointer points to does not matter."""
        kind, name, size, _flag, more = self.type(ident)
        while kind in TRANSPARENT:
            kind, name, size, _flag, more = self.type(size)
        if kind == KIND_PTR:
            return 'pointer'
        if kind == KIND_ARRAY:
            return f'[{more[2]}]{self.describe(more[0])}'
        if kind in (KIND_STRUCT, KIND_UNION):
            word = 'struct' if kind == KIND_STRUCT else 'union'
            if name:
                return f'{word} {self.string(name)} {size}'
            return f'{word} {{{self.layout(size, _flag, more)}}}'
        if kind in (KIND_ENUM, KIND_ENUM64):
            return f'enum {size}'
        return f'{size} bytes' if kind in (KIND_INT, KIND_FLOAT) else f'kind {kind}'

    def layout(self, size, flag, members):
        out = [f'size {size}']
        for name, ident, offset in members:
            bits, offset = (offset >> 24, offset & 0xffffff) if flag else (0, offset)
            out.append(f'{self.string(name)}@{offset}{":%d" % bits if bits else ""} '
                       f'{self.describe(ident)}')
        return '; '.join(out)

    def structs(self):
        """Yields (name, layout) of every named struct and union of this section."""
        for kind, name, size, flag, members in self.types:
            if kind in (KIND_STRUCT, KIND_UNION) and name:
                yield self.string(name), self.layout(size, flag, members)


def btf_of(elf, base):
    """The BTF of a module's sections, or None where it has none."""
    if '.BTF' not in elf:
        return None
    if '.BTF.base' in elf:      # a base of its own, distilled at build time
        base = Btf(elf['.BTF.base'])
    return Btf(elf['.BTF'], base)
