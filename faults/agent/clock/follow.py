"""One node's processes under a line: traced, patched, followed through forks and execs, and let go again.

All methods are called in the node's tracer thread. Stops arrive at ``answer``, whoever has waited for them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from .line import Line
from .refusal import Gone, Refusal
from .stops import (
    CONT,
    EVENT_EXEC,
    EVENT_STOP,
    LISTEN,
    PATIENCE_S,
    WALL,
    WNOTHREAD,
    Hold,
    in_blob,
    ptrace,
    seize,
    signal_frames,
    status_field,
    tasks,
)
from .target import Target, recipe


class Follower:
    """The processes of one node. ``line`` None: they are being restored, and so is what they fork
    meanwhile.
    """

    def __init__(self, line: Line | None) -> None:
        self.line = line
        self.processes: dict[int, Target | None] = {}  # None: traced, but its clock cannot be bent
        self.refused: dict[int, str] = {}
        self._threads: dict[int, int] = {}

    # -- what the keeper asks

    def traces(self, tid: int) -> bool:
        """Whether the thread is known to be one of ours."""
        return tid in self._threads

    def take(self, pid: int) -> None:
        """Trace a process with all its threads and bring it under the line. Raises Refusal, Gone."""
        self._seize(pid)
        self._cover(pid)

    def update(self, pid: int, line: Line) -> None:
        """Bring another line into force in a process. Raises Refusal, Gone."""
        self.line = line
        self._cover(pid)

    def restore(self, pid: int) -> None:
        """Take everything of ours out of a process and trace it no further than this object lives. Raises
        Refusal, Gone.
        """
        self._seize(pid)
        target = self.processes.get(pid) or Target(pid)
        self.processes[pid] = target
        self.refused.pop(pid, None)
        if target.patched():
            self._take_out(pid, target)

    def close(self) -> None:
        """Forget everybody; the end of the tracer's thread lets them go."""
        for target in self.processes.values():
            if target:
                target.close()
        self.processes.clear()
        self._threads.clear()

    # -- stops

    def answer(self, tid: int, status: int) -> None:
        """What a wait said of a thread: remember it, and let the thread go on as it would have without us."""
        if not os.WIFSTOPPED(status):
            self._forget(tid)
            return
        event, number = status >> 16, os.WSTOPSIG(status)
        with contextlib.suppress(ProcessLookupError):
            if event == EVENT_EXEC:
                self._forget_all(tid)
                self._threads[tid] = tid
                self._meet(tid)
            elif tid not in self._threads:
                self._born(tid)
            if event == EVENT_STOP and number != signal.SIGTRAP:
                ptrace(LISTEN, tid)  # stopped by a signal: stay so until it is continued
            else:
                ptrace(CONT, tid, 0, 0 if event else number)

    def _born(self, tid: int) -> None:
        """A thread or process that came into being traced, at its first stop."""
        pid = int(status_field(tid, "Tgid") or 0)
        self._threads[tid] = pid or tid
        if pid == tid and pid not in self.processes:
            self._meet(pid)

    def _meet(self, pid: int) -> None:
        """Cover a process that stands still: after an exec, or just forked."""
        with contextlib.suppress(Gone, Refusal):  # a refusal is kept in ``refused``
            if self.line is None:
                with Target(pid) as target:
                    if target.patched():
                        self._take_out(pid, target, still=True)
            else:
                self._cover(pid, still=True)

    def _forget(self, tid: int) -> None:
        pid = self._threads.pop(tid, tid)
        if pid == tid:
            self._forget_all(pid)

    def _forget_all(self, pid: int) -> None:
        target = self.processes.pop(pid, None)
        self.refused.pop(pid, None)
        if target:
            target.close()
        for tid in [t for t, p in self._threads.items() if p == pid]:
            del self._threads[tid]

    def _seize(self, pid: int) -> None:
        """Trace every thread; those that are born meanwhile come traced, or are found in the next round."""
        while fresh := [t for t in tasks(pid) if self._threads.get(t) != pid]:
            for tid in fresh:
                if seize(tid):
                    self._threads[tid] = pid
                elif status_field(tid, "State")[:1] in ("Z", "X"):
                    self._threads[tid] = pid  # the dead leader of a living process
        if pid not in self._threads.values():
            raise Gone

    # -- patching

    def _cover(self, pid: int, *, still: bool = False) -> None:
        """Bring a traced process under the line; ``still``: it is one thread, and that one is stopped."""
        assert self.line is not None
        target = self.processes.get(pid)
        try:
            for _ in range(2):
                target = target or Target(pid)
                try:
                    self._install(pid, target, self.line, still)
                    break
                except Gone:  # an exec whose stop is still to be answered, or the end
                    target.close()
                    target = None
            else:
                raise Gone
        except Refusal as e:
            self.refused[pid] = str(e)
            if target:
                target.close()
            self.processes[pid] = None
            raise
        except Gone:
            self._forget_all(pid)
            raise
        self.processes[pid] = target
        self.refused.pop(pid, None)

    def _install(self, pid: int, target: Target, line: Line, still: bool) -> None:
        if target.patched():
            target.update(line)
            if target.jumping():
                return
        if target.check():
            target.update(line)
        else:
            target.write_blob(line)
        if still:
            target.jump_in()
            return
        for _ in self._patiently():
            if self._jump_in(pid, target):
                return
        raise Refusal("no moment was found in which none of its threads reads the clock")

    def _jump_in(self, pid: int, target: Target) -> bool:
        """Put the jumps in if no thread stands, or will return, where they go; move those that can be
        moved.
        """
        inside = {target.base + old: new for old, new in recipe().inside.items()}
        with Hold(pid, self.answer) as hold:
            places = hold.places()
            for tid, (ip, sp) in places.items():
                if any(frame in inside for frame, _ in signal_frames(target, sp)):
                    return False
                if ip in inside:
                    new = inside[ip]
                    if new is None or not hold.is_held(tid):
                        return False
                    hold.move(tid, target.base + new)
            target.jump_in()
            return True

    def _take_out(self, pid: int, target: Target, *, still: bool = False) -> None:
        """Jumps first; then the blob, once every thread has been seen outside it (none can come in any
        more).
        """
        extent, size = target.extent(), len(recipe().image)

        def inside(ip: int, sp: int) -> bool:
            return in_blob(target, extent, size, ip, sp)

        if still:
            target.jump_out()
            target.wipe()
            return
        cleared: set[int] = set()
        for attempt in self._patiently():
            with Hold(pid, self.answer) as hold:
                places = hold.places()
                if attempt == 0:
                    target.jump_out()
                for tid, (ip, sp) in places.items():
                    if tid not in cleared and (
                        not inside(ip, sp)
                        or (hold.is_held(tid) and hold.paused(tid) and hold.step_out(tid, inside))
                    ):
                        cleared.add(tid)
                if cleared >= places.keys():
                    target.wipe()
                    return
        raise Refusal(
            "its clock is true again, but a thread stayed in the code that bent it, so its bytes remain"
        )

    def _patiently(self) -> Iterator[int]:
        """Counts attempts until patience ends; in between all that is traced may run.

        A thread that gets many signals would otherwise never leave the place where the first one met it.
        """
        end, pause, count = time.monotonic() + PATIENCE_S, 0.001, 0
        while True:
            yield count
            count += 1
            until = time.monotonic() + pause
            if until > end:
                return
            while time.monotonic() < until:
                self._answer_all()
                time.sleep(0.0001)
            pause = min(pause * 1.5, 0.05)

    def _answer_all(self) -> None:
        while True:
            try:
                tid, status = os.waitpid(-1, WALL | WNOTHREAD | os.WNOHANG)
            except ChildProcessError:
                return
            if tid == 0:
                return
            self.answer(tid, status)
