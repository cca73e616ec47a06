"""The clocks of nodes: which line holds for which node, and the keeper that makes processes see it.

The keeper is a process of its own (``faults.agent.clock``), since all ptrace must happen in one that does
nothing else. It takes about a millisecond for a process, so it is asked in a second thread and the loop goes
on. Where it does not come up every clock condition is a problem that says so; the rest of the agent works.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

from faults.agent.clockline import Line, compile_line, error_at
from faults.agent.loop import Loop, now
from faults.agent.members import lives
from faults.agent.node import Emit, Node

_NS = 1_000_000_000

Done = Callable[[Any, Exception | None], None]


class Keeper(Protocol):
    """What ``faults.agent.clock.Keeper`` offers; every method waits for the keeper's answer."""

    def set(self, node: str, netns_inode: int, line: Any) -> dict[str, Any]:
        """Bring every process of the node under the line; None restores."""

    def adopt(self, node: str, pid: int, line: Any) -> dict[str, Any]:
        """Trace a held process, to patch it at exec."""

    def measure(self, node: str, netns_inode: int = 0) -> list[dict[str, Any]]:
        """What each process of the node sees now."""

    def close(self) -> Any:
        """End the keeper."""


def start_keeper() -> tuple[Keeper | None, str]:
    """Fork the keeper; (None, why) where clocks cannot be bent here."""
    try:
        from faults.agent.clock import Keeper as Made
        from faults.agent.clock import available

        can, why = available()
        return (Made(), "") if can else (None, why)
    except Exception as problem:
        return None, f"clocks cannot be bent here: {problem}"


class Clocks:
    """The lines that hold now, by node."""

    def __init__(self, loop: Loop, keeper: Keeper | None, why_not: str, emit: Emit) -> None:
        self._keeper = keeper
        self._why_not = why_not
        self._emit = emit
        self._conditions: dict[str, Mapping[str, Any]] = {}
        self._lines: dict[str, Line] = {}
        self._worker = _Worker(loop) if keeper else None

    def holds(self, node: str) -> bool:
        """Whether new processes of this node must be held at exec."""
        return node in self._lines

    def adopt(self, node: str, pid: int, then: Callable[[], None]) -> None:
        """Have the keeper take a process in hand, then call ``then``; a failure is reported as a problem."""
        assert self._keeper
        assert self._worker

        def adopted(result: Any, error: Exception | None) -> None:
            problems = [str(error)] if error else result.get("problems") or []
            if problems and lives(pid):
                text = f"the clock of a new process of {node} was not bent: {'; '.join(problems)}"
                self._emit("problem", text=text, node=node, pid=pid)
            then()

        self._worker.ask(partial(self._keeper.adopt, node, pid, dict(self._lines[node])), adopted)

    def want(
        self,
        conditions: Mapping[str, Mapping[str, Any]],
        nodes: Mapping[str, Node],
        done: Callable[[list[str]], None],
    ) -> None:
        """Make these clock conditions hold (nodes not named: none); ``done`` gets the problems in words."""
        changed = [n for n in nodes.values() if conditions.get(n.name) != self._conditions.get(n.name)]
        problems: list[str] = []
        if not changed:
            done(problems)
            return
        left = len(changed)

        def one(problem: str | None) -> None:
            nonlocal left
            left -= 1
            if problem:
                problems.append(problem)
            if not left:
                done(problems)

        ahead = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for node in changed:
            self._set(node, conditions.get(node.name), ahead, one)

    def _set(
        self,
        node: Node,
        condition: Mapping[str, Any] | None,
        ahead: int,
        one: Callable[[str | None], None],
    ) -> None:
        try:
            line = compile_line(condition, ahead) if condition else None
        except ValueError as problem:
            one(f"the clock of {node.name}: {problem}")
            return
        if self._keeper is None or self._worker is None:
            one(f"the clock of {node.name}: {self._why_not}")
            return
        if condition is None:
            self._conditions.pop(node.name, None)
        else:
            self._conditions[node.name] = condition
        if line is None and node.name not in self._lines:
            one(None)
            return
        if line is None:
            del self._lines[node.name]
        else:
            self._lines[node.name] = line

        def was_set(result: Any, error: Exception | None) -> None:
            if error is not None:
                one(f"the clock of {node.name}: {error}")
                return
            self._report(node.name, condition, result)
            one(None)

        given = dict(line) if line else None
        self._worker.ask(partial(self._keeper.set, node.name, node.place.inode, given), was_set)

    def _report(self, node: str, condition: Mapping[str, Any] | None, result: Mapping[str, Any]) -> None:
        expected = round(error_at(condition, now()) * _NS) if condition else 0
        self._emit(
            "clock",
            node=node,
            pids=result.get("pids") or [],
            offset_ns=result.get("offset_ns") or [],
            expected_ns=expected,
            restored=condition is None and bool(result.get("restored")),
            problems=result.get("problems") or [],
        )

    def measure(self, nodes: list[Node], done: Done) -> None:
        """What each process of each node sees now: ``done({name: rows}, None)`` or ``done(None, error)``."""
        if self._keeper is None or self._worker is None:
            done(None, RuntimeError(self._why_not))
            return
        keeper = self._keeper
        places = [(n.name, n.place.inode) for n in nodes]
        self._worker.ask(lambda: {name: keeper.measure(name, inode) for name, inode in places}, done)

    def close(self) -> None:
        """End the keeper, which takes back what is left."""
        if self._keeper is not None:
            self._keeper.close()


class _Worker:
    """Asks the keeper in a thread of its own, one thing after the other.

    The answers come back in the loop.
    """

    def __init__(self, loop: Loop) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Done]] = queue.SimpleQueue()
        self._answers: deque[tuple[Done, Any, Exception | None]] = deque()
        self._wake, self._woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.when_readable(self._wake, self._deliver)
        self._thread: threading.Thread | None = None

    def ask(self, job: Callable[[], Any], done: Done) -> None:
        self._jobs.put((job, done))
        if self._thread is None:  # only an agent that bends clocks has a second thread
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                self._answers.append((done, job(), None))
            except Exception as problem:
                self._answers.append((done, None, problem))
            os.write(self._woken, b"w")

    def _deliver(self) -> None:
        os.read(self._wake, 4096)
        while self._answers:
            done, result, error = self._answers.popleft()
            done(result, error)
