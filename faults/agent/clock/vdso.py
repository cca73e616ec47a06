"""The kernel's vDSO as an ELF image: its functions, where its bytes end, and this process's own copy of it.

Own copy means: as the kernel mapped it, read once before anything could have changed it. Every target is
held against it.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass

from .refusal import Refusal

AT_NULL, AT_SYSINFO_EHDR = 0, 33
_LOAD, _DYNAMIC = 1, 2
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_GNU_HASH = 4, 5, 6, 10, 0x6FFFFEF5
_X86_64 = 62
_SYMBOL = struct.Struct("<IBBHQQ")


@dataclass(frozen=True)
class Vdso:
    """Functions by name as (offset in the image, size), and the offset where the file's bytes end."""

    functions: dict[str, tuple[int, int]]
    end: int


def parse(image: bytes) -> Vdso:
    """Read the program headers and the dynamic section (the mapping need not hold section headers).

    Raises Refusal where the image is not a 64-bit x86-64 ELF with a symbol table.
    """
    if image[:4] != b"\x7fELF" or len(image) < 64:
        raise Refusal("its vDSO is not an ELF image")
    machine = struct.unpack_from("<H", image, 18)[0]
    if image[4] != 2 or machine != _X86_64:
        raise Refusal(f"its vDSO is not one of x86-64 (class {image[4]}, machine {machine})")
    try:
        return _parse(image)
    except (struct.error, IndexError, ValueError, KeyError) as e:
        raise Refusal(f"its vDSO cannot be read ({e!r})") from None


def _parse(image: bytes) -> Vdso:
    first = struct.unpack_from("<Q", image, 32)[0]
    size, count = struct.unpack_from("<HH", image, 54)
    bias, end, dynamic = None, 0, (0, 0)
    for at in range(first, first + size * count, size):
        kind, _, offset, address, _, in_file, _, _ = struct.unpack_from("<IIQQQQQQ", image, at)
        if kind == _LOAD:
            bias = address - offset if bias is None else bias
            end = max(end, offset + in_file)
        elif kind == _DYNAMIC:
            dynamic = (offset, in_file)
    if bias is None:
        raise ValueError("no loaded segment")
    tags: dict[int, int] = {}
    for at in range(dynamic[0], sum(dynamic), 16):
        tag, value = struct.unpack_from("<QQ", image, at)
        if tag == 0:
            break
        tags[tag] = value
    names, symbols = tags[_DT_STRTAB] - bias, tags[_DT_SYMTAB] - bias
    functions: dict[str, tuple[int, int]] = {}
    for i in range(_symbol_count(image, tags, bias)):
        name, info, _, section, value, size = _SYMBOL.unpack_from(image, symbols + i * _SYMBOL.size)
        if section and info & 15 in (0, 2, 10) and name < tags[_DT_STRSZ]:
            start = names + name
            functions[image[start : image.index(b"\0", start)].decode()] = (value - bias, size)
    return Vdso(functions, end)


def _symbol_count(image: bytes, tags: dict[int, int], bias: int) -> int:
    if _DT_HASH in tags:
        count: int = struct.unpack_from("<I", image, tags[_DT_HASH] - bias + 4)[0]
        return count
    table = tags[_DT_GNU_HASH] - bias
    buckets, first, bloom, _ = struct.unpack_from("<IIII", image, table)
    heads = table + 16 + bloom * 8
    chains = heads + buckets * 4
    last = max(struct.unpack_from(f"<{buckets}I", image, heads), default=0)
    if last < first:
        return int(first)
    while not struct.unpack_from("<I", image, chains + (last - first) * 4)[0] & 1:
        last += 1
    return int(last) + 1


def address_in(auxv: bytes) -> int:
    """Where the kernel mapped the vDSO, from ``/proc/PID/auxv``; 0 where it mapped none. Raises Refusal
    for 32-bit processes.
    """
    usable = len(auxv) - len(auxv) % 16
    for tag, value in struct.iter_unpack("<QQ", auxv[:usable]):
        if tag == AT_SYSINFO_EHDR:
            return int(value)
        if tag == AT_NULL:
            return 0
    if any(tag == AT_SYSINFO_EHDR for tag, _ in struct.iter_unpack("<II", auxv[: len(auxv) - len(auxv) % 8])):
        raise Refusal("it is a 32-bit program; only 64-bit ones can be given a wrong clock")
    return 0


@functools.cache
def own() -> tuple[int, bytes]:
    """Address and bytes of this process's own vDSO mapping, read at the first call. Raises Refusal where
    there is none.
    """
    with open("/proc/self/maps") as maps:
        for row in maps:
            if row.rstrip().endswith("[vdso]"):
                start, stop = (int(part, 16) for part in row.split()[0].split("-"))
                with open("/proc/self/mem", "rb", 0) as memory:
                    memory.seek(start)
                    return start, memory.read(stop - start)
    raise Refusal("this kernel maps no vDSO (vdso=0 on its command line, or an emulator)")
