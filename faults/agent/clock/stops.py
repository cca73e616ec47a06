"""Stopping threads without their noticing: ptrace, and where it is safe to change the bytes they run.

The rules behind it, each learnt from a way to crash or disturb a target:

- ptrace requests must come from the thread that seized the tracee: ``Tracer`` is that thread. When it
  ends, the kernel lets every tracee go without stopping it; a detach request would need a stop, and a stop
  makes epoll_wait and recv with a time-out fail with EINTR.
- For the same reason only threads that are running are stopped; one that sleeps in a system call is left
  alone. If it wakes up, it meets the old word at an entry or the new one.
- Any stop consumes a pending interrupt. A stop that came for another reason (a signal, a fork, an exec) is
  kept, and answered when the thread is let go.
- A signal handler returns into what it interrupted: its frame on the stack counts like an instruction
  pointer.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import os
import queue
import signal
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from .refusal import Refusal
from .target import Target

T = TypeVar("T")

SEIZE, INTERRUPT, LISTEN = 0x4206, 0x4207, 0x4208
CONT, SINGLESTEP, GETREGS, SETREGS = 7, 9, 12, 13
FOLLOW = 0x02 | 0x04 | 0x08 | 0x10  # PTRACE_O_TRACEFORK, VFORK, CLONE, EXEC
EVENT_EXEC, EVENT_STOP = 4, 128
WALL = 0x40000000  # __WALL: threads too
WNOTHREAD = 0x20000000  # __WNOTHREAD: only what the calling thread traces

PATIENCE_S = 2.0
STACK = 64 * 1024
# In a signal frame: rsp, rip, eflags, then code segment 0x33, fs, gs, and stack segment 0x2b, 16 bits each.
_SEGMENTS = struct.pack("<HHHH", 0x33, 0, 0, 0x2B)
_NEAR = 1024  # bytes of stack that a function of the vDSO uses at most

_EINTR, _NO_CALL = (1 << 64) - errno.EINTR, (1 << 64) - 1
# Calls that a stop ends with EINTR, and that have done nothing when they say so (others the kernel resumes):
# read, write, readv, writev, accept, accept4, sendto, recvfrom, sendmsg, recvmsg, recvmmsg, semop,
# semtimedop, rt_sigtimedwait, io_getevents, io_pgetevents, io_uring_enter, epoll_wait, epoll_pwait,
# epoll_pwait2.
_AGAIN = frozenset((0, 1, 19, 20, 43, 288, 44, 45, 46, 47, 299, 65, 220, 128, 208, 333, 426, 232, 281, 441))

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


_REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
)


class Registers(ctypes.Structure):
    """``struct user_regs_struct`` of x86-64."""

    _fields_ = [(name, ctypes.c_uint64) for name in _REGISTERS.split()]


def ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> None:
    """One request. Raises OSError with the kernel's errno."""
    if _libc.ptrace(request, tid, ctypes.c_void_p(address), ctypes.c_void_p(data)) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def registers(tid: int) -> Registers:
    """Of a stopped tracee."""
    found = Registers()
    ptrace(GETREGS, tid, 0, ctypes.addressof(found))
    return found


class Tracer:
    """An OS thread of its own that makes ptrace requests on behalf of the caller, who waits for each."""

    def __init__(self) -> None:
        self.tid = 0  # the kernel's number of the thread, known from the first call on
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        _thread.start_new_thread(self._run, ())  # threading's start() would wait for the thread to have run

    def _run(self) -> None:
        self.tid = threading.get_native_id()
        while (job := self._work.get()) is not None:
            job()

    def call(self, what: Callable[[], T]) -> T:
        """Run it in the thread; returns or raises what it does."""
        done: Future[T] = Future()

        def job() -> None:
            try:
                done.set_result(what())
            except BaseException as e:
                done.set_exception(e)

        self._work.put(job)
        return done.result()

    def end(self) -> None:
        """End the thread and wait until the kernel has let its tracees go."""
        self._work.put(None)
        while self.tid and os.path.exists(f"/proc/self/task/{self.tid}"):
            time.sleep(0.0001)


# -- looking at threads without stopping them


def tasks(pid: int) -> list[int]:
    """Threads of a process; none where it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def status_field(tid: int, name: str) -> str:
    """A row of /proc/TID/status; empty where the thread is gone."""
    try:
        with open(f"/proc/{tid}/status") as rows:
            for row in rows:
                if row.startswith(f"{name}:"):
                    return row.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def resting_place(tid: int) -> tuple[int, int] | None:
    """(instruction pointer, stack pointer) of a thread that sleeps in a system call; None where it is not
    so.
    """
    try:
        with open(f"/proc/{tid}/syscall") as file:
            words = file.read().split()
    except OSError:
        return None
    if len(words) < 9:  # "running", or "-1 sp pc": in the kernel for another reason
        return None
    return int(words[-1], 16), int(words[-2], 16)


def signal_frames(target: Target, sp: int) -> list[tuple[int, int]]:
    """(instruction pointer, stack pointer) that signal handlers on this stack will return to."""
    stack = target.peek(sp, STACK)
    found, at = [], stack.find(_SEGMENTS)
    while at >= 0:
        if at >= 24:
            rsp, rip = struct.unpack_from("<QQ", stack, at - 24)
            found.append((rip, rsp))
        at = stack.find(_SEGMENTS, at + 1)
    return found


def in_blob(target: Target, extent: tuple[int, int], size: int, ip: int, sp: int) -> bool:
    """Whether a thread is in the blob or will come back to it from a function of the vDSO (``size`` bytes)
    or a handler.
    """

    def here(ip: int, sp: int) -> bool:
        if extent[0] <= ip < extent[1]:
            return True
        if not target.base <= ip < target.base + size:
            return False
        near = target.peek(sp, _NEAR)
        return any(
            extent[0] <= word < extent[1] for (word,) in struct.iter_unpack("<Q", near[: len(near) & ~7])
        )

    return here(ip, sp) or any(here(*frame) for frame in signal_frames(target, sp))


class Hold:
    """Threads of one process that are stopped for a moment; all calls come from the tracer's thread.

    Leaving the ``with`` hands every kept stop to ``answer(tid, status)``, which lets the thread go on as
    it should.
    """

    def __init__(self, pid: int, answer: Callable[[int, int], None]) -> None:
        self.pid = pid
        self._answer = answer
        self._kept: dict[int, int] = {}
        self._over: set[int] = set()

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        for tid, status in self._kept.items():
            self._answer(tid, status)
        self._kept.clear()

    def places(self) -> dict[int, tuple[int, int]]:
        """Stop whatever runs, until nothing does; (instruction pointer, stack pointer) of every thread.

        Raises Refusal where a thread cannot be stopped.
        """
        found: dict[int, tuple[int, int]] = {}
        for _ in range(50):
            fresh = [t for t in tasks(self.pid) if t not in self._kept and t not in self._over]
            asleep = {t: place for t in fresh if (place := resting_place(t))}
            running = [t for t in fresh if t not in asleep]
            found = asleep
            if not running:
                break
            for tid in running:
                self._interrupt(tid)
            for tid in running:
                self._await(tid)
        for tid in self._kept:
            now = registers(tid)
            found[tid] = (now.rip, now.rsp)
        return found

    def is_held(self, tid: int) -> bool:
        """Whether it is stopped by us (and not merely asleep)."""
        return tid in self._kept

    def paused(self, tid: int) -> bool:
        """Whether the held thread's process is stopped by a signal, so that letting go does not make it
        run.
        """
        status = self._kept[tid]
        return status >> 16 == EVENT_STOP and os.WSTOPSIG(status) != signal.SIGTRAP

    def move(self, tid: int, ip: int) -> None:
        """Set the instruction pointer of a held thread."""
        now = registers(tid)
        now.rip = ip
        ptrace(SETREGS, tid, 0, ctypes.addressof(now))

    def _interrupt(self, tid: int) -> None:
        try:
            ptrace(INTERRUPT, tid)
        except OSError as e:
            if e.errno != errno.ESRCH:
                raise
            if not self._collect(tid):
                self._over.add(tid)

    def _await(self, tid: int) -> None:
        start = time.monotonic()
        tries = 0
        while tid not in self._over and not self._collect(tid):
            tries += 1
            if tries > 20:
                time.sleep(0.0002)
            if tries % 25 == 0 and self._never_stops(tid):
                self._over.add(tid)
            elif time.monotonic() - start > PATIENCE_S:
                state = status_field(tid, "State") or "gone"
                raise Refusal(f"its thread {tid} does not come to a stop (state {state})")

    def _collect(self, tid: int) -> bool:
        """Take a stop (or the end) of the thread if there is one."""
        try:
            got, status = os.waitpid(tid, WALL | os.WNOHANG)
        except ChildProcessError:
            self._over.add(tid)
            return True
        if got != tid:
            return False
        if os.WIFSTOPPED(status):
            self._kept[tid] = status
            if status >> 16 == EVENT_STOP and os.WSTOPSIG(status) == signal.SIGTRAP:
                _sleep_on(tid)
        else:
            self._over.add(tid)
            self._answer(tid, status)
        return True

    def _never_stops(self, tid: int) -> bool:
        """Dead leaders of living processes, and the kernel's own workers for io_uring, which run no code
        of the process.
        """
        dead = status_field(tid, "State")[:1] in ("", "Z", "X")
        return dead or status_field(tid, "Name").startswith("iou-")

    def step_out(self, tid: int, inside: Callable[[int, int], bool]) -> bool:
        """Single-step a thread of a paused process until it has left; it ends held and paused as before.

        A signal that was waiting is put back into the thread's queue (with tgkill, so its sender is lost).
        """
        waiting: list[int] = []
        for _ in range(5000):
            now = registers(tid)
            if not inside(now.rip, now.rsp):
                break
            ptrace(SINGLESTEP, tid)
            _, status = os.waitpid(tid, WALL)
            if not os.WIFSTOPPED(status):
                del self._kept[tid]
                self._over.add(tid)
                self._answer(tid, status)
                return True
            if status >> 16 == 0 and os.WSTOPSIG(status) != signal.SIGTRAP:
                waiting.append(os.WSTOPSIG(status))
        else:
            return False
        ptrace(INTERRUPT, tid)
        ptrace(CONT, tid)
        _, self._kept[tid] = os.waitpid(tid, WALL)
        for number in waiting:
            _libc.syscall(234, self.pid, tid, number)  # tgkill
        return True


def _sleep_on(tid: int) -> None:
    """Undo the EINTR of a held thread that fell asleep between being seen running and being stopped.

    The call is made again from its start, with its whole time-out. Not if a signal waits for the thread: that
    would have interrupted the call without us.
    """
    now = registers(tid)
    if now.rax != _EINTR or now.orig_rax not in _AGAIN or _signals_wait(tid):
        return
    now.rax, now.orig_rax = now.orig_rax, _NO_CALL
    now.rip -= 2  # the length of the instruction that makes a system call
    ptrace(SETREGS, tid, 0, ctypes.addressof(now))


def _signals_wait(tid: int) -> bool:
    pending = int(status_field(tid, "SigPnd") or "0", 16) | int(status_field(tid, "ShdPnd") or "0", 16)
    return bool(pending & ~int(status_field(tid, "SigBlk") or "0", 16))


def seize(tid: int) -> bool:
    """Trace a thread without stopping it; False where it is over. Raises Refusal, naming whoever traces it
    already.
    """
    try:
        ptrace(SEIZE, tid, 0, FOLLOW)
        return True
    except OSError as e:
        if e.errno == errno.ESRCH or status_field(tid, "State")[:1] in ("", "Z", "X"):
            return False
        other = status_field(tid, "TracerPid")
        if other == str(threading.get_native_id()):  # born of one of ours, its first stop still unanswered
            return True
        if other not in ("", "0"):
            name = status_field(int(other), "Name") or "unknown"
            raise Refusal(f"it is being debugged already, by process {other} ({name})") from None
        raise Refusal(
            f"it may not be traced ({e.strerror}): that takes the same user, or CAP_SYS_PTRACE"
        ) from None
