"""What is being done to a node's processes until it is so: ending, stopping, letting go.

A task is stepped with the members found in one pass over /proc; it signals whom it must and says whether it
is finished.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Sequence

from faults.agent.members import Member

_LOOKS = 2
"""A task is finished when this many passes in a row found nothing left to do.

A fork may have escaped the first.
"""


class Task:
    """Base.

    ``since`` is the moment that was asked for; ``done`` is called once with the task when it is finished.
    """

    def __init__(self, since: float, done: Callable[[Task], None]) -> None:
        self.since = since
        self.done = done
        self.pids: list[int] = []
        self.finished_at = 0.0
        self._quiet = 0
        self._quiet_since = 0.0

    @property
    def leaked_s(self) -> float:
        """From the moment that was asked for until it was so, in seconds."""
        return round(max(0.0, self.finished_at - self.since), 6)

    def step(self, members: Sequence[Member], now: float) -> bool:
        """Do what is left to do; returns whether it is finished."""
        if self._work(members, now):
            self._quiet = 0
            return False
        if not self._quiet:
            self._quiet_since = now
        self._quiet += 1
        self.finished_at = self._quiet_since
        return self._quiet >= _LOOKS

    def _work(self, members: Sequence[Member], now: float) -> bool:
        raise NotImplementedError

    def _signal(self, member: Member, number: int) -> None:
        if member.pid not in self.pids:
            self.pids.append(member.pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(member.pid, number)


class Ending(Task):
    """Ends every process of a node.

    With ``number`` first, with SIGKILL from ``force_at`` on (monotonic seconds).
    """

    def __init__(self, since: float, done: Callable[[Task], None], number: int, force_at: float) -> None:
        super().__init__(since, done)
        self.number = number
        self.force_at = force_at
        self._told: set[int] = set()

    def _work(self, members: Sequence[Member], now: float) -> bool:
        for member in members:
            if self.number == signal.SIGKILL or now >= self.force_at:
                self._signal(member, signal.SIGKILL)
            elif member.pid not in self._told:
                self._told.add(member.pid)
                self._signal(member, self.number)
                if member.stopped:
                    self._signal(member, signal.SIGCONT)  # else it would never hear of the first
        return bool(members)


class Pausing(Task):
    """Stops every process of a node."""

    def _work(self, members: Sequence[Member], now: float) -> bool:
        running = [m for m in members if not m.stopped]
        for member in members:
            if member.pid not in self.pids:
                self.pids.append(member.pid)
        for member in running:
            self._signal(member, signal.SIGSTOP)
        return bool(running)


class Resuming(Task):
    """Lets every process of a node go on."""

    def _work(self, members: Sequence[Member], now: float) -> bool:
        new = [m for m in members if m.pid not in self.pids]
        for member in new:  # a traced process that is stopped does not look so: everybody is told
            self._signal(member, signal.SIGCONT)
        return bool(new) or any(m.state == "T" for m in members)
