"""All nodes, and what follows for their processes from the conditions that hold.

Which conditions hold is told from outside (``want``); how a process comes to life is in ``starting``; what is
done until nobody is left is in ``tasks``.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from faults.agent.disk import place, wipe
from faults.agent.loop import Loop, Timer, now
from faults.agent.members import Foreign, Member, members
from faults.agent.node import DOWN, PAUSED, Emit, Node, Want, signal_number
from faults.agent.starting import Holder, Starter, Warm
from faults.agent.tasks import Ending, Pausing, Resuming, Task

_FIRST_LOOK_S, _LAST_LOOK_S = 0.001, 0.05
_ESCALATE_S = 10.0
"""How long a gentle signal of a fault is given before SIGKILL follows."""
_BACK_OFF_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_SETTLED_S = 10.0
_RUNNING = Want()

Started = Callable[[str, int | None, str | None], None]
"""Called once with (node, pid, error)."""


class Nodes:
    """All nodes of the lab."""

    def __init__(
        self, loop: Loop, emit: Emit, foreign: Foreign, holder: Holder, spawners: Mapping[str, Warm]
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._foreign = foreign
        self._starter = Starter(loop, emit, holder, spawners, self._born)
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
        if node.unwanted:
            tell(name, None, None)
        elif node.pid is not None or node.starting:
            tell(name, node.pid, f"{name} runs already")
        else:
            self._stop_timer(node)
            try:
                if why == "first":
                    place(node.spec.data, node.spec.files)
            except OSError as problem:
                tell(name, None, f"a file of {name} could not be written: {problem}")
                return
            node.starting = True
            self._starter.start(node, partial(self._ready, why, tell))

    def _ready(self, why: str, done: Started, node: Node, pid: int | None, error: str | None) -> None:
        node.starting = False
        if pid is not None:
            self._emit("started", node=node.name, pid=pid, why=why)
        elif error is not None and why != "first":
            self._emit("problem", text=error, node=node.name)
        done(node.name, pid, error)

    def _born(self, node: Node, pid: int, pidfd: int) -> None:
        node.pid, node.pidfd, node.silent = pid, pidfd, False
        node.expected = node.unwanted
        node.started_at = now()
        if node.spec.spawner is None:
            self._loop.when_readable(pidfd, partial(self._ended, node, pid))

    # --- the end of a node's own process

    def _ended(self, node: Node, pid: int) -> None:
        if node.pid != pid or node.pidfd is None:
            return
        reaped, status = os.waitpid(pid, os.WNOHANG)
        if reaped:
            self.exited(node.name, pid, os.waitstatus_to_exitcode(status))
        else:  # the keeper traces it and must hear of its end first
            self._loop.forget(node.pidfd)
            self._loop.after(_FIRST_LOOK_S, partial(self._ended, node, pid))

    def exited(self, name: str, pid: int, code: int | None) -> None:
        """A node's own process has ended (``code`` negative.

        By a signal; None: unknown); restarts are decided here.
        """
        node = self.all.get(name)
        if node is None or node.pid != pid:
            return
        if node.reach:
            node.reach()
        if node.pidfd is not None:
            self._loop.forget(node.pidfd)
            os.close(node.pidfd)
        node.pid = node.pidfd = None
        if not node.silent:
            self._emit("exited", node=name, pid=pid, code=code, expected=node.expected)
        if node.begun and not node.unwanted and node.spec.restarts == "always":
            lived = now() - node.started_at
            node.back_off = 0 if lived > _SETTLED_S else node.back_off
            wait = _BACK_OFF_S[min(node.back_off, len(_BACK_OFF_S) - 1)]
            node.back_off += 1
            node.timer = self._loop.after(wait, partial(self._again, node))

    def _again(self, node: Node) -> None:
        node.timer = None
        if node.begun and node.pid is None and not node.starting:
            self.start(node.name, "supervisor")

    def _stop_timer(self, node: Node) -> None:
        if node.timer:
            node.timer.cancel()
            node.timer = None

    def orphan(self, spawner: str) -> None:
        """A spawner has ended.

        The ends of its children are seen by ourselves from now on, without their codes.
        """
        for node in self.all.values():
            if node.spec.spawner == spawner and node.pid is not None and node.pidfd is not None:
                ended = partial(self.exited, node.name, node.pid, None)
                self._loop.when_readable(node.pidfd, ended)

    # --- conditions

    def want(self, wanted: Mapping[str, Want], since: float) -> int:
        """Make these conditions hold (nodes not named: running); returns how many nodes change.

        Signals to what is known to run are sent before this returns; the rest is looked for until nobody is
        left.
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
        """A node that is being ended gets another condition: what it asks for follows when nobody is left."""
        if node.want.status != DOWN or signal_number(node.want.signal) == signal.SIGKILL:
            task.number = signal.SIGKILL

    def _going_down(self, node: Node, since: float) -> Ending:
        number = signal_number(node.want.signal)
        return Ending(since, partial(self._gone_down, node, node.want.wipe), number, now() + _ESCALATE_S)

    def _gone_down(self, node: Node, wiped: bool, task: Task) -> None:
        if wiped:
            self._wipe(node)
        node.down_told = True
        self._emit("down", node=node.name, gone=task.pids, leaked_s=task.leaked_s)
        if node.want.status != DOWN and node.begun:
            self.start(node.name, "heal")

    def _settled(self, node: Node, event: str, task: Task) -> None:
        self._emit(event, node=node.name, pids=task.pids, leaked_s=task.leaked_s)

    # --- events

    def restart(self, names: Iterable[str], name_of_signal: str, wipes: bool, since: float) -> None:
        """End the nodes' processes and start them again, whatever their restart policy.

        Under ``down`` they are started when that ends. Nodes that were never started stay as they are.
        """
        number = signal_number(name_of_signal)
        for name in names:
            node = self.all[name]
            if node.begun and not isinstance(node.task, Ending):
                gone = partial(self._gone_for_restart, node, wipes)
                self._begin(node, Ending(since, gone, number, now() + _ESCALATE_S))

    def _gone_for_restart(self, node: Node, wipes: bool, task: Task) -> None:
        if wipes:
            self._wipe(node)
        if node.begun:
            self.start(node.name, "restart")

    def stop(
        self, names: Iterable[str], name_of_signal: str, within: float, done: Callable[[], None]
    ) -> None:
        """End nodes for good; SIGKILL after ``within`` seconds. ``done`` is called when nobody is left."""
        left = set(names)
        if not left:
            done()
        number = signal_number(name_of_signal)
        for name in sorted(left):
            node = self.all[name]
            node.begun = False
            gone = partial(_gone_for_good, name, left, done)
            self._begin(node, Ending(now(), gone, number, now() + within))

    def _wipe(self, node: Node) -> None:
        try:
            wipe(node.spec.data)
            place(node.spec.data, node.spec.files)
        except OSError as problem:
            text = f"the data of {node.name} could not be wiped: {problem}"
            self._emit("problem", text=text, node=node.name)

    # --- looking until it is so

    def _begin(self, node: Node, task: Task) -> None:
        self._stop_timer(node)
        node.task = task
        if isinstance(task, Ending):
            node.expected = True
            if task.number == signal.SIGKILL:
                self._tell(node, signal.SIGKILL, task)
        elif isinstance(task, Pausing):
            self._tell(node, signal.SIGSTOP, task)
        self._pause = _FIRST_LOOK_S
        if self._look is None:
            self._look = self._loop.after(0, self._step)

    def _tell(self, node: Node, number: int, task: Task) -> None:
        """Signal the main process at once; the passes over /proc find the others."""
        if node.pidfd is None or node.pid is None:
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
            node.settled_at = instant
            task.done(task)
            if node.task is None and node.want.status == DOWN and not node.down_told:
                self._begin(node, self._going_down(node, task.since))
        if self._look is None and any(n.task for n in self.all.values()):
            self._look = self._loop.after(self._pause, self._step)
            self._pause = min(self._pause * 1.5, _LAST_LOOK_S)


def _nobody(node: str, pid: int | None, error: str | None) -> None:
    """For starts that nobody waits for."""


def _gone_for_good(name: str, left: set[str], done: Callable[[], None], task: Task) -> None:
    left.discard(name)
    if not left:
        done()
