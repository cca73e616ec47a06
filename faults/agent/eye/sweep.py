"""Who reaches whom: one datagram from every node to every other, from inside their namespaces.

Sending and draining alternate, so that no buffer overflows, and the work is cut into slices. Where a datagram
is missing and the fault may be ours (a full buffer, a send that this machine could not take), it is sent a
second time before it counts.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from faults.agent.eye.beats import OURS, dropped
from faults.agent.eye.blocks import compress
from faults.agent.eye.loop import SLICE_S, Loop, Task
from faults.agent.eye.mmsg import Receiver, Sender
from faults.agent.eye.namespaces import Node, Nodes, Refused

PORT = 19
WAIT_S = 0.25
_STALL_S = 0.1


@dataclass(frozen=True)
class Swept:
    """A sweep: when it began, how long it took (s), and the matrix in blocks."""

    at: float
    took_s: float
    reach: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """As in the protocol's reply."""
        return {"at": self.at, "took_s": self.took_s, "reach": self.reach}


class _Group:
    """The chosen nodes of a sweep with their sockets and ready-made messages."""

    def __init__(self, nodes: list[Node], socks: list[socket.socket]) -> None:
        self.names = [n.name for n in nodes]
        self.hosts = [n.address for n in nodes]
        self.socks = socks
        self.fds = [s.fileno() for s in socks]
        self.sender = Sender(self.hosts, PORT)


class Sweeper:
    """Runs sweeps one after another and remembers the last one over all nodes (``latest``)."""

    def __init__(self, loop: Loop, nodes: Nodes) -> None:
        self._loop, self._nodes = loop, nodes
        self._socks: dict[str, socket.socket] = {}
        self._groups: dict[tuple[str, ...], _Group] = {}
        self._receiver = Receiver()
        self._waiting: list[Callable[[], None]] = []
        self._busy = False
        self.latest: Swept | None = None
        nodes.on_change(self._replaced)

    def sweep(
        self,
        names: Iterable[str] | None,
        done: Callable[[Swept], Any],
        failed: Callable[[Exception], Any],
        *,
        wait_s: float = WAIT_S,
    ) -> None:
        """Sweep these nodes (None: all) and call ``done``; waits its turn. Calls ``failed`` with Refused."""
        chosen = None if names is None else list(names)

        def start() -> None:
            self._busy = True
            self._loop.task(self._task(chosen, wait_s), finished(done), finished(failed))

        def finished(call: Callable[[Any], Any]) -> Callable[[Any], None]:
            def then(value: Any) -> None:
                self._busy = False
                call(value)
                if self._waiting and not self._busy:
                    self._waiting.pop(0)()

            return then

        if self._busy:
            self._waiting.append(start)
        else:
            start()

    def close(self) -> None:
        """Close all sockets."""
        self._replaced(frozenset(self._socks))

    def _replaced(self, names: frozenset[str]) -> None:
        self._groups.clear()
        for name in names & self._socks.keys():
            self._socks.pop(name).close()

    def _group(self, names: list[str] | None) -> _Group:
        nodes = self._nodes.chosen(names)
        key = tuple(n.name for n in nodes)
        if key not in self._groups:
            for node in nodes:
                if node.name not in self._socks:
                    self._socks[node.name] = self._nodes.udp(node, PORT, "sweeps")
            self._groups[key] = _Group(nodes, [self._socks[n.name] for n in nodes])
        return self._groups[key]

    def _task(self, names: list[str] | None, wait_s: float) -> Task[Swept]:
        began = monotonic()
        group = self._group(names)
        n, seen = len(group.names), _Seen(len(group.names))
        drops = [dropped(s) for s in group.socks]
        doubt = False
        until = monotonic() + SLICE_S
        for i in range(n):
            failed = group.sender.to_others(group.fds[i], i, seen.mark | i)
            doubt = doubt or any(code in OURS for _, code in failed)
            if monotonic() >= until:
                self._drain(group, seen)
                yield None
                self._still(group)
                until = monotonic() + SLICE_S
        yield from self._await(group, seen, wait_s)
        if seen.missing() and (doubt or drops != [dropped(s) for s in group.socks]):
            yield from self._again(group, seen)
            yield from self._await(group, seen, wait_s)
        swept = Swept(began, monotonic() - began, compress(group.names, seen.missing()))
        if n == len(self._nodes):
            self.latest = swept
        return swept

    def _await(self, group: _Group, seen: _Seen, wait_s: float) -> Task[None]:
        """Drain until nothing is missing or the time is over; time in which we did not run does not count."""
        until, pause = monotonic() + wait_s, 0.002
        self._drain(group, seen)
        while not seen.complete() and (now := monotonic()) < until:
            asked = min(now + pause, until)
            yield asked
            self._still(group)
            late = monotonic() - asked
            if late > _STALL_S:
                until += late
            pause = min(2 * pause, 0.05)
            self._drain(group, seen)

    def _again(self, group: _Group, seen: _Seen) -> Task[None]:
        until = monotonic() + SLICE_S
        for i, j in seen.missing():
            try:
                group.socks[i].sendto((seen.mark | i).to_bytes(8, sys.byteorder), (group.hosts[j], PORT))
            except OSError:
                continue  # said no a second time: the pair stays missing
            if monotonic() >= until:
                self._drain(group, seen)
                yield None
                self._still(group)
                until = monotonic() + SLICE_S

    def _still(self, group: _Group) -> None:
        if group not in self._groups.values():
            raise Refused("a node's network namespace was replaced during the sweep", "failed")

    def _drain(self, group: _Group, seen: _Seen) -> None:
        take = self._receiver.take
        for j in seen.open():
            seen.add(j, take(group.fds[j]))


class _Seen:
    """What has arrived: the senders seen at every receiver, as marked numbers."""

    def __init__(self, n: int) -> None:
        self.mark = random.getrandbits(31) + 1 << 32
        self._all = {self.mark | i for i in range(n)}
        self._lack = [self._all - {self.mark | j} for j in range(n)]

    def add(self, j: int, numbers: Iterable[int]) -> None:
        """These numbers have arrived at receiver ``j``; strays are harmless."""
        self._lack[j].difference_update(numbers)

    def open(self) -> list[int]:
        """Receivers that still lack something."""
        return [j for j, lack in enumerate(self._lack) if lack]

    def complete(self) -> bool:
        """Whether everything has arrived."""
        return not any(self._lack)

    def missing(self) -> list[tuple[int, int]]:
        """Ordered pairs (sender, receiver) whose datagram has not arrived."""
        return [(number & 0xFFFFFFFF, j) for j, lack in enumerate(self._lack) for number in lack]
