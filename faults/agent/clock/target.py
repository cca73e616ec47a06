"""One address space of a target: its vDSO, what we put there, and taking it out again byte for byte.

Knows bytes, not threads: whoever calls it answers for no thread being where the bytes change (stops.py).
Everything goes through /proc/PID/mem, whose descriptor stays with the address space it was opened on:
after an exec or exit reads and writes fail with ``Gone``, and never hit another program.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import struct
import time
from dataclasses import dataclass

from . import vdso
from .blob import CODE, SYMBOLS
from .line import BLOCK, SECOND, Line
from .refusal import Gone, Refusal
from .relocate import JUMP, TRAMPOLINE, Unknown, jump, move

MAGIC = CODE[:8]
WORD = 8
RING = 4
_SAVED = struct.Struct("<II8s")
_FUNCTIONS = (  # name in the vDSO, its part of the blob's symbols, the system call that it stands for
    ("__vdso_clock_gettime", "clock_gettime", 228),
    ("__vdso_gettimeofday", "gettimeofday", 96),
    ("__vdso_time", "time", 201),
)


@dataclass(frozen=True)
class Patch:
    """Eight aligned bytes at an entry: as the kernel has them and with our jump in them."""

    at: int
    original: bytes
    jumping: bytes


@dataclass(frozen=True)
class Recipe:
    """What installing means on this kernel; offsets are those of the vDSO's image.

    ``inside`` maps instruction boundaries within the bytes that the jumps cover to where the same
    instruction stands in the blob; None: a thread there must be let go first.
    """

    image: bytes
    cave: int
    blob: bytes
    patches: tuple[Patch, ...]
    inside: dict[int, int | None]


@functools.cache
def recipe() -> Recipe:
    """Worked out once from this process's own vDSO, which every target's must equal. Raises Refusal."""
    if platform.machine() != "x86_64" or struct.calcsize("P") != 8:
        raise Refusal(f"wrong clocks need x86-64, and this is {platform.machine()}")
    _, image = vdso.own()
    facts = vdso.parse(image)
    cave = -(-facts.end // 64) * 64
    if cave + len(CODE) > len(image):
        raise Refusal(
            f"this kernel's vDSO leaves {len(image) - cave} bytes free, and wrong clocks need {len(CODE)}"
        )
    blob = bytearray(CODE)
    patches: list[Patch] = []
    inside: dict[int, int | None] = {}
    for i, (name, part, call) in enumerate(_FUNCTIONS):
        if name not in facts.functions:
            raise Refusal(f"this kernel's vDSO has no {name}, so its clock cannot be bent")
        entry = facts.functions[name][0]
        place = SYMBOLS[f"original_{part}"]
        code, moved = _trampoline(image, entry, cave + place, call)
        inside.update(moved)
        blob[place : place + TRAMPOLINE] = code.ljust(TRAMPOLINE, b"\xcc")
        patches.append(_patch(image, entry, cave + SYMBOLS[f"stub_{part}"]))
        _SAVED.pack_into(blob, SYMBOLS["saved"] + i * _SAVED.size, patches[-1].at, 0, patches[-1].original)
    return Recipe(image, cave, bytes(blob), tuple(patches), inside)


def _trampoline(image: bytes, entry: int, place: int, call: int) -> tuple[bytes, dict[int, int | None]]:
    try:
        moved = move(image, entry, place)
    except Unknown:  # mov eax, number; syscall; ret
        return b"\xb8" + struct.pack("<I", call) + b"\x0f\x05\xc3", {entry + i: None for i in range(1, JUMP)}
    return moved.code, dict(moved.inside)


def _patch(image: bytes, entry: int, stub: int) -> Patch:
    """The jump must lie within one aligned word, so that a thread waking up meets the old bytes or the new
    ones.
    """
    at = entry // WORD * WORD
    if entry + JUMP > at + WORD:
        raise Refusal(
            f"a function of this kernel's vDSO starts at {entry:#x}, where no jump can be put safely"
        )
    original = image[at : at + WORD]
    head = entry - at
    return Patch(at, original, original[:head] + jump(entry, stub) + original[head + JUMP :])


def _tai_ahead() -> int:
    """CLOCK_TAI - CLOCK_REALTIME in ns (whole seconds)."""
    ahead = time.clock_gettime_ns(time.CLOCK_TAI) - time.clock_gettime_ns(time.CLOCK_REALTIME)
    return round(ahead / SECOND) * SECOND


class Target:
    """The address space that process ``pid`` has now. Close it, or use it in a ``with``.

    Raises Refusal where it cannot be had (32-bit, no vDSO, not permitted), Gone where the process is no more.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            raise Gone from None
        except PermissionError:
            raise Refusal(
                "its memory may not be written: same user, or CAP_SYS_PTRACE and CAP_DAC_OVERRIDE"
            ) from None
        except OSError as e:
            raise Refusal(f"its memory cannot be opened ({e.strerror})") from None
        try:
            self.base = self._find()
        except BaseException:
            self.close()
            raise

    def _find(self) -> int:
        try:
            with open(f"/proc/{self.pid}/auxv", "rb") as file:
                auxv = file.read()
        except OSError:
            raise Gone from None
        base = vdso.address_in(auxv)
        if not auxv:
            raise Gone
        if not base:
            raise Refusal("the kernel gave it no vDSO")
        return base

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the address space; nothing in it changes."""
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1

    # -- bytes

    def peek(self, address: int, size: int) -> bytes:
        """Up to ``size`` bytes at an absolute address: what is mapped there, maybe nothing."""
        try:
            return os.pread(self._memory, size, address)
        except OSError:
            return b""

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes of the vDSO. Raises Gone; Refusal where it is unmapped."""
        data = self.peek(self.base + offset, size)
        if len(data) == size:
            return data
        if not data and not os.path.exists(f"/proc/{self.pid}/mem"):
            raise Gone
        try:
            if os.pread(self._memory, size, self.base + offset) == b"":
                raise Gone
        except OSError:
            pass
        raise Refusal("it has unmapped or moved its vDSO")

    def write(self, offset: int, data: bytes) -> None:
        """Write into the vDSO. Raises Gone, Refusal."""
        try:
            if os.pwrite(self._memory, data, self.base + offset) != len(data):
                raise Gone
        except OSError as e:
            raise Refusal(f"its vDSO cannot be written ({e.strerror})") from None

    def image(self) -> bytes:
        """All bytes of the vDSO."""
        return self.read(0, len(recipe().image))

    # -- what stands there

    def patched(self) -> bool:
        """Whether our blob stands in it (the jumps may be missing if a keeper died in the act)."""
        return self.read(recipe().cave, len(MAGIC)) == MAGIC

    def check(self) -> bool:
        """Whether it is patched, having made sure that it is otherwise as the kernel made it. Raises
        Refusal.
        """
        want = recipe()
        image = self.image()
        if image == want.image:
            return False
        ours = image[want.cave : want.cave + len(MAGIC)] == MAGIC
        if ours:
            image = self._undone(image)
        if image != want.image:
            at = next(i for i, (a, b) in enumerate(zip(image, want.image, strict=True)) if a != b)
            raise Refusal(
                f"its vDSO differs from the kernel's at {at:#x}: a debugger's breakpoint, or another tool"
            )
        return ours

    def _header(self, image: bytes) -> tuple[int, list[tuple[int, bytes]]]:
        """Length of the blob, and the words that jumps displaced; any version of the blob has these in the
        same place.
        """
        cave = recipe().cave
        length = struct.unpack_from("<I", image, cave + 12)[0]
        saved = image[cave + SYMBOLS["saved"] : cave + SYMBOLS["saved"] + 3 * _SAVED.size]
        words = [(at, word) for at, _, word in _SAVED.iter_unpack(saved)]
        if length > len(image) - cave or any(at > len(image) - WORD for at, _ in words):
            raise Refusal("what stands in its vDSO bears our mark but is damaged")
        return length, words

    def _undone(self, image: bytes) -> bytes:
        cave = recipe().cave
        length, words = self._header(image)
        clean = bytearray(image)
        for at, word in words:
            clean[at : at + WORD] = word
        clean[cave : cave + length] = recipe().image[cave : cave + length]
        return bytes(clean)

    def extent(self) -> tuple[int, int]:
        """Absolute addresses, from and to, that the blob occupies."""
        start = self.base + recipe().cave
        return start, start + struct.unpack("<I", self.read(recipe().cave + 12, 4))[0]

    def jumping(self) -> bool:
        """Whether all entries jump to the blob."""
        return all(self.read(p.at, WORD) == p.jumping for p in recipe().patches)

    def untouched(self) -> bool:
        """Whether every byte is as the kernel made it."""
        return self.image() == recipe().image

    def line(self) -> Line:
        """The line in force. Only where ``patched``."""
        return Line.unpack(self._block(self._index()))

    def _index(self) -> int:
        return self.read(recipe().cave + SYMBOLS["index"], 1)[0] % RING

    def _block(self, index: int) -> bytes:
        return self.read(recipe().cave + SYMBOLS["ring"] + index * BLOCK.size, BLOCK.size)

    # -- changes

    def write_blob(self, line: Line) -> None:
        """Put the blob in with ``line`` in force; nothing leads to it yet."""
        blob = bytearray(recipe().blob)
        ring = SYMBOLS["ring"]
        blob[ring : ring + BLOCK.size] = line.pack(_tai_ahead())
        self.write(recipe().cave, bytes(blob))

    def update(self, line: Line) -> bool:
        """Bring ``line`` into force, in one step for every thread; False where it was in force already."""
        index, block = self._index(), line.pack(_tai_ahead())
        if self._block(index) == block:
            return False
        index = (index + 1) % RING
        self.write(recipe().cave + SYMBOLS["ring"] + index * BLOCK.size, block)
        self.write(recipe().cave + SYMBOLS["index"], bytes([index]))
        return True

    def jump_in(self) -> None:
        """Make the entries jump to the blob."""
        for patch in recipe().patches:
            self.write(patch.at, patch.jumping)

    def jump_out(self) -> None:
        """Put the displaced words back; the blob stays, for threads that are in it."""
        for at, word in self._header(self.image())[1]:
            self.write(at, word)

    def wipe(self) -> None:
        """Put the bytes behind the vDSO's end back; the mark goes last, so that no part of it is ever left
        unmarked.
        """
        cave = recipe().cave
        start, stop = self.extent()
        clean = recipe().image[cave : cave + stop - start]
        self.write(cave + len(MAGIC), clean[len(MAGIC) :])
        self.write(cave, clean[: len(MAGIC)])


def available() -> tuple[bool, str]:
    """Whether this machine lets clocks be bent, and if not why, in words for people."""
    try:
        recipe()
        with contextlib.suppress(FileNotFoundError), open("/proc/sys/kernel/yama/ptrace_scope") as scope:
            if scope.read().strip() == "3":
                raise Refusal(
                    "kernel.yama.ptrace_scope is 3: this machine forbids ptrace until it is rebooted"
                )
        with Target(os.getpid()) as self:
            self.write(0, self.read(0, 1))
    except (Refusal, Gone, OSError) as e:
        return False, str(e)
    return True, ""
