"""What a target's clock shows, without touching the target.

A *mirror* is a process of ours that takes over the bytes of the target's vDSO and calls them, between two
real readings of the clock. A process that asks the kernel instead of the vDSO sees the true clock whatever
stands there; ``asks_vdso`` finds those whose files do not even name the vDSO's function. A program that
has the name but makes the system call by hand all the same cannot be told from outside: a limit that the
documentation states.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import socket
import struct
from dataclasses import dataclass

from . import vdso
from .line import SECOND
from .refusal import Refusal

ROUNDS = 25
_ANSWER = struct.Struct("<qqqq")
_NAME = b"__vdso_clock_gettime"
_CLOCK_GETTIME = 228
_LARGEST = 1 << 30


class _Timespec(ctypes.Structure):
    _fields_ = [("s", ctypes.c_int64), ("ns", ctypes.c_int64)]

    def total(self) -> int:
        return int(self.s) * SECOND + int(self.ns)


@dataclass(frozen=True)
class Reading:
    """At true time ``at_ns`` the clock was ``offset_ns`` ahead of the truth, give or take ``error_ns``."""

    at_ns: int
    offset_ns: int
    error_ns: int


class Mirror:
    """The helper process. Create it before threads and large data are there; ``end`` it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        vdso.own()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                leave_open(theirs.fileno())
                _reflect(theirs)
            finally:
                os._exit(0)
        theirs.close()
        ours.settimeout(2)
        self._socket = ours

    def read(self, image: bytes) -> Reading:
        """What a process with this vDSO sees now.

        Raises Refusal where the mirror does not answer or the clock's functions disagree with each other.
        """
        try:
            self._socket.send(image)
            answer = self._socket.recv(_ANSWER.size)
        except OSError as e:
            raise Refusal(f"the process that reads copied clocks does not answer ({e})") from None
        if len(answer) != _ANSWER.size:
            raise Refusal("the process that reads copied clocks has died")
        at, offset, window, other = _ANSWER.unpack(answer)
        if abs(other) > SECOND // 50:
            raise Refusal(f"gettimeofday differs from clock_gettime by {other} ns")
        return Reading(at, offset, window // 2 + 1)

    def end(self) -> None:
        """End the process."""
        self._socket.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def leave_open(*wanted: int) -> None:
    """Close every descriptor of this process but these and the standard three."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in wanted:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _reflect(requests: socket.socket) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    base, own = vdso.own()
    facts = vdso.parse(own).functions
    call = ctypes.CDLL(None).syscall
    clock = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(
        base + facts["__vdso_clock_gettime"][0]
    )
    day = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
        base + facts["__vdso_gettimeofday"][0]
    )
    memory = os.open("/proc/self/mem", os.O_RDWR)
    before, seen, after = _Timespec(), _Timespec(), _Timespec()
    first, last = ctypes.byref(before), ctypes.byref(after)
    address = ctypes.addressof(seen)
    while image := requests.recv(len(own) + 1):
        if len(image) != len(own):
            break
        os.pwrite(memory, image, base)
        best = (1 << 62, 0, 0)
        for _ in range(ROUNDS):
            call(_CLOCK_GETTIME, 0, first)
            clock(0, address)
            call(_CLOCK_GETTIME, 0, last)
            start, stop = before.total(), after.total()
            if 0 <= stop - start < best[0]:
                best = (stop - start, (start + stop) // 2, seen.total() - (start + stop) // 2)
        other = 1 << 62
        for _ in range(3):  # more than once: a strobe may turn in between
            clock(0, ctypes.addressof(before))
            day(address, None)
            other = min(other, int(seen.s) * SECOND + int(seen.ns) * 1000 - before.total(), key=abs)
        os.pwrite(memory, own, base)
        requests.send(_ANSWER.pack(best[1], best[2], best[0], other))


def asks_vdso(pid: int) -> bool:
    """False if no program file mapped by the process names the vDSO's clock; True where one does, or none
    could be read.
    """
    unread = False
    for path in _program_files(pid):
        try:
            if _names_it(path):
                return True
        except OSError:
            unread = True
    return unread


def _program_files(pid: int) -> list[str]:
    """The C library first if it is one of them, then the program, then whatever else holds code."""
    paths: dict[str, None] = {}
    try:
        with open(f"/proc/{pid}/maps") as rows:
            for row in rows:
                words = row.rstrip("\n").split(None, 5)
                if len(words) == 6 and words[1][2] == "x" and words[5].startswith("/"):
                    paths[f"/proc/{pid}/root{words[5]}"] = None
    except OSError:
        return []
    libraries = [p for p in paths if os.path.basename(p).startswith(("libc.", "libc-", "ld-musl"))]
    return [*libraries, f"/proc/{pid}/exe", *(p for p in paths if p not in libraries)]


_named: dict[tuple[int, int, int, int], bool] = {}  # by the file's identity; a run meets few programs


def _names_it(path: str) -> bool:
    found = os.stat(path)
    key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
    if key not in _named:
        if not 0 < found.st_size < _LARGEST:
            return False
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _named[key] = data.find(_NAME) >= 0
    return _named[key]
