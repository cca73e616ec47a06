"""Bringing a node's process to life, by ourselves or by a spawner, under the conditions that hold for it.

One at a time, so that a moment of the timeline never waits for a hundred starts. A process is held before it
runs its first instruction where its clock is to be bent, and stopped there where the node is paused.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from faults.agent.loop import Loop
from faults.agent.members import lives
from faults.agent.node import PAUSED, Emit, Node
from faults.agent.spawn import Child, Stdio, result_of, spawn

_ON_ITS_WAY_S = 0.0005

Ready = Callable[[Node, int | None, str | None], None]
"""Called once: with a pid when it runs, with an error, or with neither where it is not wanted any more."""


class Holder(Protocol):
    """Whoever must see a process before it goes on (the keeper of clocks)."""

    def holds(self, node: str) -> bool:
        """Whether a process of this node must be held at exec now."""

    def adopt(self, node: str, pid: int, then: Callable[[], None]) -> None:
        """Take a process in hand, then call: it may go on."""


class Warm(Protocol):
    """A spawner that forks nodes on request."""

    def ask(self, node: Node, forked: Callable[[int, int | None, str | None], None]) -> None:
        """Fork; calls back with (pid, gate, error)."""


class Starter:
    """Starts nodes. ``born`` is told (node, pid, pidfd) as soon as there is a process, before it goes on."""

    def __init__(
        self,
        loop: Loop,
        emit: Emit,
        holder: Holder,
        spawners: Mapping[str, Warm],
        born: Callable[[Node, int, int], None],
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._holder = holder
        self._spawners = spawners
        self._born = born
        self._queue: deque[tuple[Node, Ready]] = deque()

    def start(self, node: Node, ready: Ready) -> None:
        """Start a node in its turn."""
        self._queue.append((node, ready))
        if len(self._queue) == 1:
            self._loop.after(0, self._next)

    def _next(self) -> None:
        node, ready = self._queue[0]
        if node.unwanted:
            ready(node, None, None)
        elif node.spec.spawner:
            self._ask(node, node.spec.spawner, ready)
        else:
            self._fork(node, ready)
        self._queue.popleft()
        if self._queue:
            self._loop.after(0, self._next)

    # --- by ourselves

    def _fork(self, node: Node, ready: Ready) -> None:
        spec = node.spec
        if not spec.run:
            ready(node, None, f"{spec.name} has no command line")
            return
        paused = node.want.status == PAUSED
        try:
            child = spawn(
                spec.run,
                env=spec.env,
                cwd=spec.cwd,
                stdio=Stdio(None, spec.log, spec.log),
                namespace=node.place.namespace,
                held=paused or self._holder.holds(spec.name),
            )
        except OSError as problem:
            ready(node, None, f"{spec.name} cannot be started: {problem.strerror}")
            return
        self._born(node, child.pid, child.pidfd)
        if paused:  # it gets to exec only when it is let go
            node.reach = partial(self._reached, node, child, self._late)
            self._pass(node, child.pid, child.gate, partial(ready, node, child.pid, None))
        else:
            node.reach = partial(self._reached, node, child, ready)
            self._pass(node, child.pid, child.gate, _nothing)
        self._loop.when_readable(child.status, node.reach)

    def _reached(self, node: Node, child: Child, ready: Ready) -> None:
        self._loop.forget(child.status)
        error = result_of(child.status)
        os.close(child.status)
        node.reach = None
        if error:
            node.silent = True
            ready(node, None, error)
        elif node.unwanted:
            ready(node, None, None)
        elif self._holder.holds(node.name) and lives(child.pid):
            # Again after the exec: when it is said to run, its clock is known to be bent. It may also be the
            # first time, where the condition came while it was being forked.
            self._holder.adopt(node.name, child.pid, partial(ready, node, child.pid, None))
        else:
            ready(node, child.pid, None)

    def _late(self, node: Node, pid: int | None, error: str | None) -> None:
        if error:
            self._emit("problem", text=error, node=node.name)

    # --- through a spawner

    def _ask(self, node: Node, name: str, ready: Ready) -> None:
        spawner = self._spawners.get(name)
        if spawner is None:
            ready(node, None, f"{node.name}: there is no spawner {name!r}")
        else:
            spawner.ask(node, partial(self._forked, node, ready))

    def _forked(self, node: Node, ready: Ready, pid: int, gate: int | None, error: str | None) -> None:
        if error is None:
            try:
                self._born(node, pid, os.pidfd_open(pid))
            except OSError:
                error = f"{node.name} ended before it began"
        if error is not None:
            if gate is not None:
                os.close(gate)
            ready(node, None, error)
        elif node.unwanted:
            self._pass(node, pid, gate, partial(ready, node, None, None))
        else:
            self._pass(node, pid, gate, partial(ready, node, pid, None))

    # --- the gate

    def _pass(self, node: Node, pid: int, gate: int | None, then: Callable[[], None]) -> None:
        if gate is None:
            then()
        elif not node.unwanted and not self._is_inside(node, pid):
            self._loop.after(_ON_ITS_WAY_S, partial(self._pass, node, pid, gate, then))
        elif not node.unwanted and self._holder.holds(node.name):
            self._holder.adopt(node.name, pid, partial(self._open, node, pid, gate, then))
        else:
            self._open(node, pid, gate, then)

    def _is_inside(self, node: Node, pid: int) -> bool:
        """Whether the process has come to its namespace (or is gone): before that it is nobody's member."""
        try:
            return node.pid != pid or os.stat(f"/proc/{pid}/ns/net").st_ino == node.place.inode
        except OSError:
            return True

    def _open(self, node: Node, pid: int, gate: int, then: Callable[[], None]) -> None:
        """Let the process go on, stopped if it shall be paused.

        One that is not wanted any more ends at the gate.
        """
        if not node.unwanted and node.pid == pid and node.pidfd is not None:
            if node.want.status == PAUSED:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(node.pidfd, signal.SIGSTOP)
            with contextlib.suppress(BrokenPipeError):
                os.write(gate, b"g")
        os.close(gate)
        then()


def _nothing() -> None:
    """For whoever need not know."""
