"""Programs beside the nodes: set-up commands whose output is wanted, and what a person runs by hand."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faults.agent.loop import Loop, Timer
from faults.agent.members import Foreign
from faults.agent.node import Emit
from faults.agent.spawn import Child, Stdio, result_of, spawn

_MOST_OUTPUT = 64 << 10

Answer = Callable[[Any, str | None], None]
"""Called once with (result, None) or (None, error)."""


class Command:
    """One run of a program to its end, with what it wrote to standard output; the log gets its errors too."""

    def __init__(self, loop: Loop, foreign: Foreign, answer: Answer) -> None:
        self._loop = loop
        self._foreign = foreign
        self._answer = answer
        self._out = bytearray()
        self._log = -1
        self._pipe = -1
        self._timer: Timer | None = None

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | None,
        namespace: int | None,
        log: str | None,
        timeout: float,
    ) -> None:
        """Start it; the answer comes later. Raises OSError (log, fork)."""
        if log:
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            outputs = (theirs, self._log if self._log >= 0 else null)
            child = spawn(argv, env=env, cwd=cwd, stdio=outputs, namespace=namespace)
        finally:
            os.close(theirs)
            os.close(null)
        self._foreign.sessions.add(child.pid)
        os.set_blocking(self._pipe, False)
        self._loop.when_readable(self._pipe, self._read)
        self._loop.when_readable(child.pidfd, lambda: self._ended(child))
        if timeout:
            self._timer = self._loop.after(timeout, lambda: self._too_long(child, argv, timeout))

    def _read(self) -> None:
        while True:
            try:
                block = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return
            if not block:
                self._loop.forget(self._pipe)
                return
            self._out += block[: max(0, _MOST_OUTPUT - len(self._out))]
            if self._log >= 0:
                os.write(self._log, block)

    def _too_long(self, child: Child, argv: Sequence[str], timeout: float) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        said = f"{argv[0]} did not end within {timeout:g} s"
        answer, self._answer = self._answer, lambda *_: None
        answer(None, said)

    def _ended(self, child: Child) -> None:
        code = _reap(self._loop, self._foreign, child)
        self._read()
        self._loop.forget(self._pipe)
        os.close(self._pipe)
        if self._log >= 0:
            os.close(self._log)
        if self._timer:
            self._timer.cancel()
        error = result_of(child.status)
        os.close(child.status)
        if error:
            self._answer(None, error)
        else:
            self._answer({"code": code, "out": self._out.decode(errors="replace")}, None)


def execute(
    loop: Loop,
    foreign: Foreign,
    emit: Emit,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    stdio: Stdio,
    namespace: int | None,
    answer: Answer,
) -> None:
    """Start a program by hand.

    Answers with its pid once it runs, and reports ``exec-exit`` at its end. Raises OSError.
    """
    child = spawn(argv, env=env, cwd=cwd, stdio=stdio, namespace=namespace)
    foreign.sessions.add(child.pid)
    failed = False

    def reached() -> None:
        nonlocal failed
        loop.forget(child.status)
        error = result_of(child.status)
        os.close(child.status)
        failed = error is not None
        answer(None if error else {"pid": child.pid}, error)

    def ended() -> None:
        if child.status in status_open:
            status_open.clear()
            reached()
        code = _reap(loop, foreign, child)
        if not failed:
            emit("exec-exit", pid=child.pid, code=code)

    def first() -> None:
        status_open.clear()
        reached()

    status_open = {child.status}
    loop.when_readable(child.status, first)
    loop.when_readable(child.pidfd, ended)


def _reap(loop: Loop, foreign: Foreign, child: Child) -> int:
    loop.forget(child.pidfd)
    os.close(child.pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
    foreign.sessions.discard(child.pid)
    return code
