"""The nodes and their processes: started, ended, stopped, let go, started again, as the conditions that hold now want it.

Which conditions hold is told from outside (``want``); how a program comes to life is in ``spawn`` and ``spawner``; what is
done until nobody is left is in ``tasks``. Here is who is what, and what follows from it.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from faults.agent.lab import Place
from faults.agent.loop import Loop, Timer, now
from faults.agent.members import Foreign, Member, members
from faults.agent.spawn import Child, Stdio, result_of, spawn
from faults.agent.tasks import Ending, Pausing, Resuming, Task

RUNNING, PAUSED, DOWN = "running", "paused", "down"
_FIRST_LOOK_S, _LAST_LOOK_S = 0.001, 0.05
_ESCALATE_S = 10.0
"""How long a gentle signal of a fault is given before SIGKILL follows."""
_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_SETTLED_S = 10.0

Emit = Callable[..., None]
Started = Callable[[str, int | None, str | None], None]
"""Called once with (node, pid, error)."""


class Want(NamedTuple):
    """What holds for a node's processes."""

    status: str = RUNNING
    signal: str = "kill"
    wipe: bool = False


class Spec(NamedTuple):
    """A node as it was asked for (NODE of the protocol)."""

    name: str
    run: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    log: str | None
    restarts: str
    data: str | None
    spawner: str | None
    config: Mapping[str, Any]


class Holder(Protocol):
    """Whoever must see a process before it goes on (the keeper of clocks)."""

    def holds(self, node: str) -> bool:
        """Whether a process of this node must be held at exec now."""

    def adopt(self, node: str, pid: int) -> None:
        """Take the held process in hand; after this it may go on."""


class Warm(Protocol):
    """A spawner that forks nodes on request."""

    def ask(self, node: Node, forked: Callable[[int, int | None, str | None], None]) -> None:
        """Fork; calls back with (pid, gate, error)."""


class Node:
    """A node: what it is, what is wanted of it, what it is doing."""

    __slots__ = (
        "back_off", "begun", "down_told", "expected", "pid", "pidfd", "place", "spec", "started_at", "starting",
        "task", "timer", "want",
    )  # fmt: skip

    def __init__(self, spec: Spec, place: Place) -> None:
        self.spec = spec
        self.place = place
        self.want = Want()
        self.begun = False
        """Somebody asked for it to be started, and nobody to end it for good."""
        self.starting = False
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.task: Task | None = None
        self.timer: Timer | None = None
        self.started_at = 0.0
        self.back_off = 0
        self.expected = False
        """We ended the process that runs now."""
        self.down_told = False
        """It was reported that nobody is left under the present ``down``."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name


class Nodes:
    """All nodes of the lab."""

    def __init__(
        self, loop: Loop, emit: Emit, foreign: Foreign, holder: Holder, spawners: Mapping[str, Warm]
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._foreign = foreign
        self._holder = holder
        self._spawners = spawners
        self._look: Timer | None = None
        self._pause = _FIRST_LOOK_S
        self.all: dict[str, Node] = {}

    def __getitem__(self, name: str) -> Node:
        return self.all[name]

    def members(self, nodes: Iterable[Node]) -> dict[str, list[Member]]:
        """The live processes of each node, in one pass."""
        chosen = list(nodes)
        found = members([n.place.inode for n in chosen], self._foreign)
        return {n.name: found[n.place.inode] for n in chosen}

    # --- starting

    def start(self, name: str, why: str, done: Started | None = None) -> None:
        """Start a node under the conditions that hold for it; under ``down`` it is started when that ends."""
        node = self.all[name]
        node.begun = True
        tell = done or _nobody
        if node.want.status == DOWN or isinstance(node.task, Ending):
            tell(name, None, None)
        elif node.pid is not None or node.starting:
            tell(name, node.pid, f"{name} runs already")
        else:
            self._stop_timer(node)
            node.starting = True
            if node.spec.spawner:
                self._ask_spawner(node, why, tell)
            else:
                self._fork(node, why, tell)

    def _fork(self, node: Node, why: str, done: Started) -> None:
        spec = node.spec
        held = self._holder.holds(spec.name)
        paused = node.want.status == PAUSED
        try:
            child = spawn(
                spec.run,
                env=spec.env,
                cwd=spec.cwd,
                stdio=Stdio(None, spec.log, spec.log),
                namespace=node.place.namespace,
                held=held or paused,
            )
        except OSError as problem:
            self._failed(node, why, done, f"cannot start {spec.name}: {problem.strerror}")
            return
        self._born(node, child.pid, child.pidfd)
        self._let_go(node, child.gate)
        if paused:  # it will get to exec when it is let go
            done(spec.name, child.pid, None)
            done = _nobody
        self._loop.when_readable(child.status, lambda: self._reached_exec(node, child, why, done))

    def _reached_exec(self, node: Node, child: Child, why: str, done: Started) -> None:
        self._loop.forget(child.status)
        error = result_of(child.status)
        os.close(child.status)
        if error or node.pid != child.pid:
            node.expected = True
            self._failed(node, why, done, error or f"{node.name} was ended before it began")
        else:
            self._running(node, child.pid, why, done)

    def _ask_spawner(self, node: Node, why: str, done: Started) -> None:
        spawner = self._spawners.get(node.spec.spawner or "")
        if spawner is None:
            self._failed(node, why, done, f"{node.name}: there is no spawner {node.spec.spawner!r}")
            return

        def forked(pid: int, gate: int | None, error: str | None) -> None:
            if error is None:
                try:
                    handle = os.pidfd_open(pid)
                except OSError:
                    error = f"{node.name} ended before it began"
            if error is not None:
                if gate is not None:
                    os.close(gate)
                self._failed(node, why, done, error)
                return
            self._born(node, pid, handle)
            self._let_go(node, gate)
            self._running(node, pid, why, done)

        spawner.ask(node, forked)

    def _born(self, node: Node, pid: int, pidfd: int) -> None:
        node.pid, node.pidfd, node.expected = pid, pidfd, False
        node.started_at = now()
        if node.spec.spawner is None:
            self._loop.when_readable(pidfd, lambda: self._ended(node, pid))

    def _let_go(self, node: Node, gate: int | None) -> None:
        """Open the gate, unless the node was put down meanwhile; first to the keeper, stopped if it shall be paused."""
        if gate is None:
            return
        assert node.pid is not None
        if node.want.status != DOWN and not isinstance(node.task, Ending):
            if self._holder.holds(node.name):
                self._holder.adopt(node.name, node.pid)
            if node.want.status == PAUSED:
                os.kill(node.pid, signal.SIGSTOP)
            with contextlib.suppress(BrokenPipeError):
                os.write(gate, b"g")
        os.close(gate)

    def _running(self, node: Node, pid: int, why: str, done: Started) -> None:
        node.starting = False
        self._emit("started", node=node.name, pid=pid, why=why)
        done(node.name, pid, None)
        if node.want.status == DOWN and node.task is None:
            self._begin(node, self._going_down(node, now()))

    def _failed(self, node: Node, why: str, done: Started, error: str) -> None:
        node.starting = False
        if why != "first":
            self._emit("problem", text=error, node=node.name)
        done(node.name, None, error)

    # --- ending

    def _ended(self, node: Node, pid: int) -> None:
        reaped, status = os.waitpid(pid, os.WNOHANG)
        if reaped:
            self.exited(node.name, pid, os.waitstatus_to_exitcode(status))

    def exited(self, name: str, pid: int, code: int | None) -> None:
        """A node's own process has ended; what follows is the restart policy's."""
        node = self.all[name]
        if node.pid != pid:
            return
        if node.pidfd is not None:
            self._loop.forget(node.pidfd)
            os.close(node.pidfd)
        node.pid = node.pidfd = None
        if not node.starting or code != 127:
            self._emit("exited", node=name, pid=pid, code=code, expected=node.expected)
        if node.begun and node.task is None and node.want.status != DOWN and node.spec.restarts == "always":
            lived = now() - node.started_at
            node.back_off = 0 if lived > _SETTLED_S else node.back_off
            wait = _BACK_OFF_S[min(node.back_off, len(_BACK_OFF_S) - 1)]
            node.back_off += 1
            node.timer = self._loop.after(wait, lambda: self._again(node, "supervisor"))

    def _again(self, node: Node, why: str) -> None:
        node.timer = None
        if node.begun and node.pid is None and not node.starting:
            self.start(node.name, why)

    def _stop_timer(self, node: Node) -> None:
        if node.timer:
            node.timer.cancel()
            node.timer = None

    # --- conditions

    def want(self, wanted: Mapping[str, Want], since: float) -> int:
        """Make these conditions hold (nodes not named: running); returns how many nodes change.

        Signals to what is known to run are sent before this returns; the rest is looked for until nobody is left.
        """
        changed = 0
        for node in self.all.values():
            new, old = wanted.get(node.name, _RUNNING), node.want
            if new == old:
                continue
            node.want = new
            if new.status == old.status:
                continue
            changed += 1
            node.down_told = False
            if isinstance(node.task, Ending):
                self._overtaken(node, node.task)
            elif new.status == DOWN:
                self._begin(node, self._going_down(node, since))
            elif old.status == DOWN:
                if node.begun:
                    self.start(node.name, "heal")
            elif new.status == PAUSED:
                self._begin(node, Pausing(since, partial(self._settled, node, "paused")))
            else:
                self._begin(node, Resuming(since, partial(self._settled, node, "resumed")))
        return changed

    def _overtaken(self, node: Node, task: Ending) -> None:
        """A node that is being ended gets another condition: what that asks for follows when nobody is left."""
        if node.want.status != DOWN or signal_number(node.want.signal) == signal.SIGKILL:
            task.number = signal.SIGKILL

    def _going_down(self, node: Node, since: float) -> Ending:
        number = signal_number(node.want.signal)

        def gone(task: Task) -> None:
            if node.want.wipe:
                self._wipe(node)
            node.down_told = True
            leaked = round(max(0.0, task.finished_at - since), 6)
            self._emit("down", node=node.name, gone=task.pids, leaked_s=leaked)
            if node.want.status != DOWN and node.begun:
                self.start(node.name, "heal")

        return Ending(since, gone, number, now() + _ESCALATE_S)

    def _settled(self, node: Node, event: str, task: Task) -> None:
        leaked = round(max(0.0, task.finished_at - task.since), 6)
        self._emit(event, node=node.name, pids=task.pids, leaked_s=leaked)

    # --- events

    def restart(self, names: Iterable[str], name_of_signal: str, wipe: bool, since: float) -> None:
        """End the nodes' processes and start them again (under ``down``: when that ends)."""
        for name in names:
            node = self.all[name]
            if not node.begun or isinstance(node.task, Ending):
                continue

            def gone(task: Task, node: Node = node) -> None:
                if wipe:
                    self._wipe(node)
                if node.begun:
                    self.start(node.name, "restart")

            number = signal_number(name_of_signal)
            self._begin(node, Ending(since, gone, number, now() + _ESCALATE_S))

    def stop(
        self, names: Iterable[str], name_of_signal: str, within: float, done: Callable[[], None]
    ) -> None:
        """End nodes for good; SIGKILL after ``within`` seconds. ``done`` is called when nobody is left."""
        left = set(names)
        if not left:
            done()
        for name in sorted(left):
            node = self.all[name]
            node.begun = False

            def gone(task: Task, name: str = name) -> None:
                left.discard(name)
                if not left:
                    done()

            number = signal_number(name_of_signal)
            self._begin(node, Ending(now(), gone, number, now() + within))

    def _wipe(self, node: Node) -> None:
        try:
            wipe(node.spec.data)
        except OSError as problem:
            self._emit(
                "problem", text=f"the data of {node.name} could not be wiped: {problem}", node=node.name
            )

    # --- looking until it is so

    def _begin(self, node: Node, task: Task) -> None:
        self._stop_timer(node)
        node.task = task
        if isinstance(task, Ending):
            node.expected = True
            self._tell(node, signal.SIGKILL if task.number == signal.SIGKILL else None, task)
        elif isinstance(task, Pausing):
            self._tell(node, signal.SIGSTOP, task)
        self._pause = _FIRST_LOOK_S
        if self._look is None:
            self._look = self._loop.after(0, self._step)

    def _tell(self, node: Node, number: int | None, task: Task) -> None:
        """Signal the main process at once; the passes over /proc find the others."""
        if number is None or node.pidfd is None or node.pid is None:
            return
        task.pids.append(node.pid)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(node.pidfd, number)

    def _step(self) -> None:
        self._look = None
        busy = [n for n in self.all.values() if n.task]
        found = self.members(busy)
        instant = now()
        for node in busy:
            task = node.task
            if task is None or not task.step(found[node.name], instant):
                continue
            if isinstance(task, Ending) and (node.pid is not None or node.starting):
                continue  # the kernel has ended it; its exit must still be read
            node.task = None
            task.done(task)
            if node.task is None and node.want.status == DOWN and not node.down_told:
                self._begin(node, self._going_down(node, task.since))
        if self._look is None and any(n.task for n in self.all.values()):
            self._look = self._loop.after(self._pause, self._step)
            self._pause = min(self._pause * 1.5, _LAST_LOOK_S)

    def orphan(self, spawner: str) -> None:
        """A spawner has ended: the ends of its children are seen by ourselves from now on, without their codes."""
        for node in self.all.values():
            if node.spec.spawner == spawner and node.pid is not None and node.pidfd is not None:
                ended = partial(self.exited, node.name, node.pid, None)
                self._loop.when_readable(node.pidfd, ended)


_RUNNING = Want()


def _nobody(node: str, pid: int | None, error: str | None) -> None:
    """For starts that nobody waits for."""


def signal_number(name: str) -> int:
    """The signal that a name such as ``kill`` or ``TERM`` means; raises ValueError."""
    try:
        return int(signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"])
    except KeyError:
        raise ValueError(f"there is no signal {name!r}") from None


def wipe(data: str | None) -> None:
    """Remove everything inside a folder, but not the folder; links are removed, not followed."""
    if not data or os.path.realpath(data) == "/":
        return
    for folder, folders, files in os.walk(data, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)
            else:
                os.rmdir(path)
