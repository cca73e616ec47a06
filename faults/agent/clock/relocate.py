"""Moving the first instructions of a function elsewhere, so that a jump can stand in their place.

A decoder for what compilers put at the start of the vDSO's functions, and no more: anything else raises
``Unknown`` and the caller makes the system call instead of the original function. Pure.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

JUMP = 5  # bytes of a jump with a 32-bit distance
TRAMPOLINE = 64

_IMM8 = frozenset((0x80, 0x83, 0xC0, 0xC1, 0x6B, 0xC6))
_IMM32 = frozenset((0x81, 0xC7, 0x69))
_PLAIN = frozenset((0x63, *range(0x84, 0x8C), 0x8D))
_PLAIN_0F = frozenset((0x1E, 0x1F, 0xAF, 0xB6, 0xB7, 0xBE, 0xBF, *range(0x40, 0x50)))


class Unknown(Exception):
    """An instruction, or a layout, that the decoder does not vouch for."""


@dataclass(frozen=True)
class Instruction:
    """Its length; ``kind`` says what depends on its place: a memory operand relative to it (``field`` is
    where the distance stands) or a branch (``distance`` from its end, ``condition`` of a conditional one)."""

    length: int
    kind: Literal["", "memory", "jump", "branch"] = ""
    field: int = 0
    distance: int = 0
    condition: int = 0


@dataclass(frozen=True)
class Moved:
    """``code`` for the new place, with a jump back at its end; ``inside``: old instruction boundaries
    strictly inside the bytes that the jump covers, with their new places."""

    code: bytes
    inside: dict[int, int]


def decode(code: bytes, at: int) -> Instruction:
    """The instruction at offset ``at``. Raises Unknown."""
    try:
        return _decode(code, at)
    except (IndexError, struct.error):
        raise Unknown("the function ends within an instruction") from None


def _decode(code: bytes, start: int) -> Instruction:
    at, narrow, rex = start, False, 0
    while code[at] in (0x66, 0xF2, 0xF3):
        narrow |= code[at] == 0x66
        at += 1
    if 0x40 <= code[at] <= 0x4F:
        rex = code[at]
        at += 1
    op = code[at]
    at += 1
    if 0x50 <= op <= 0x5F or op == 0x90:  # push, pop, nop
        return Instruction(at - start)
    if 0x70 <= op <= 0x7F:
        return Instruction(at + 1 - start, "branch", distance=_signed(code, at, 1), condition=op & 15)
    if op == 0xEB:
        return Instruction(at + 1 - start, "jump", distance=_signed(code, at, 1))
    if op == 0xE9:
        return Instruction(at + 4 - start, "jump", distance=_signed(code, at, 4))
    if 0xB8 <= op <= 0xBF:  # mov register, constant
        return Instruction(at + (8 if rex & 8 else 2 if narrow else 4) - start)
    immediate = 0
    if op == 0x0F:
        op = code[at]
        at += 1
        if 0x80 <= op <= 0x8F:
            return Instruction(at + 4 - start, "branch", distance=_signed(code, at, 4), condition=op & 15)
        if op not in _PLAIN_0F:
            raise Unknown(f"opcode 0f {op:02x}")
    elif op in _IMM8:
        immediate = 1
    elif op in _IMM32:
        immediate = 2 if narrow else 4
    elif op in (0xF6, 0xF7):  # test has a constant, not/neg/mul/div have none
        wide = 1 if op == 0xF6 else 2 if narrow else 4
        immediate = wide if code[at] >> 3 & 7 < 2 else 0
    elif not (op in _PLAIN or (op < 0x40 and op & 7 < 4)):  # the arithmetic on registers and memory
        raise Unknown(f"opcode {op:02x}")
    length, relative = _operands(code, at)
    if relative:
        return Instruction(at + length + immediate - start, "memory", field=at + 1 - start)
    return Instruction(at + length + immediate - start)


def _operands(code: bytes, at: int) -> tuple[int, bool]:
    """Length of the operand bytes, and whether they name memory relative to the instruction's end."""
    mode, low = code[at] >> 6, code[at] & 7
    if mode == 3:
        return 1, False
    if low == 4:
        wide = mode == 0 and code[at + 1] & 7 == 5
        return 2 + (4 if wide else (0, 1, 4)[mode]), False
    if mode == 0 and low == 5:
        return 5, True
    return 1 + (0, 1, 4)[mode], False


def _signed(code: bytes, at: int, size: int) -> int:
    value: int = struct.unpack_from("<b" if size == 1 else "<i", code, at)[0]
    return value


def jump(source: int, target: int) -> bytes:
    """The five bytes at ``source`` that jump to ``target``."""
    return b"\xe9" + struct.pack("<i", target - source - JUMP)


def move(image: bytes, entry: int, place: int) -> Moved:
    """Copy the instructions that the first five bytes at ``entry`` belong to, for execution at ``place``.

    Offsets are those of the image. Raises Unknown.
    """
    at, code, starts, targets = entry, b"", {}, []
    while at < entry + JUMP:
        one = decode(image, at)
        starts[at] = here = place + len(code)
        raw = image[at : at + one.length]
        goal = at + one.length + one.distance
        if one.kind == "memory":
            distance = _signed(raw, one.field, 4) + at - here
            raw = raw[: one.field] + struct.pack("<i", distance) + raw[one.field + 4 :]
        elif one.kind == "branch":
            raw = bytes((0x0F, 0x80 | one.condition)) + struct.pack("<i", goal - here - 6)
        elif one.kind == "jump":
            if at + one.length < entry + JUMP:
                raise Unknown("what stands behind a jump may be reached from elsewhere")
            raw = jump(here, goal)
        if one.kind in ("branch", "jump"):
            targets.append(goal)
        code, at = code + raw, at + one.length
    if any(entry < goal < at for goal in targets):
        raise Unknown("it branches into its own first bytes")
    code += jump(place + len(code), at)
    if len(code) > TRAMPOLINE:
        raise Unknown("its first instructions are too long")
    return Moved(code, {old: new for old, new in starts.items() if entry < old < entry + JUMP})
