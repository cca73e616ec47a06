"""One-way heartbeats on watched pairs.

A small datagram from a to b at a steady rate, and when its fate changed. Heartbeats of a pair are judged in
the order of sending, so that even a single lost one is reported as what it is, and the moment is the sending
time of the first that fared differently. Ages are measured in the eye's *own* time, which stands still while
the eye was not running: what we could not have seen is not called lost.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from faults.agent.eye.loop import Loop, Timer
from faults.agent.eye.namespaces import Nodes, Refused

PORT = 9
LOST_AFTER_S = 0.25
_EARLY_S = (
    0.005  # ticks are a millisecond late at times; the sixth would otherwise judge what is due at the fifth
)
_BEAT = struct.Struct(">8sII")  # mark of this watch, pair, sequence number
SO_MEMINFO = 55
_DROPS = 8  # index of the count of dropped datagrams in SO_MEMINFO
OURS = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM})
"""Errors of sending that tell of this machine's load, not of the network."""


def dropped(sock: socket.socket) -> int:
    """How many datagrams the kernel threw away because this socket's buffer was full."""
    raw = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * (_DROPS + 1))
    return int(struct.unpack_from("=I", raw, 4 * _DROPS)[0]) if len(raw) >= 4 * (_DROPS + 1) else 0


class _Beat:
    __slots__ = ("arrived", "doubt", "own", "sent")

    def __init__(self, sent: float, own: float) -> None:
        self.sent, self.own = sent, own
        self.arrived = self.doubt = False


class _Pair:
    __slots__ = ("a", "b", "destination", "first", "index", "sequence", "through", "waiting")

    def __init__(self, index: int, a: str, b: str, destination: tuple[str, int]) -> None:
        self.index, self.a, self.b, self.destination = index, a, b, destination
        self.sequence = 0  # of the next heartbeat
        self.first = 0  # sequence number of the first that is waiting
        self.waiting: deque[_Beat] = deque()
        self.through: bool | None = None


class _End:
    """A node's socket for heartbeats, and how many datagrams its full buffer had lost when last looked at."""

    __slots__ = ("drops", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.drops = dropped(sock)


class Beats:
    """Sends, receives and judges heartbeats; calls ``emit`` with ``beat`` events."""

    def __init__(self, loop: Loop, nodes: Nodes, emit: Callable[[dict[str, Any]], None]) -> None:
        self._loop, self._nodes, self._emit = loop, nodes, emit
        self._ends: dict[str, _End] = {}
        self._pairs: list[_Pair] = []
        self._receivers: list[socket.socket] = []  # these two follow from the pairs
        self._by_index: dict[int, _Pair] = {}
        self._mark = b""
        self._period = 0.05
        self._due = 0.0
        self._timer: Timer | None = None
        self._own = 0.0
        self._last = 0.0
        nodes.on_change(self._replaced)

    def watch(self, pairs: Iterable[tuple[str, str]], hz: float) -> int:
        """Watch these ordered pairs and no others; returns how many.

        Raises Refused, and then nothing has changed.
        """
        wanted = list(dict.fromkeys(pairs))
        if not 1 <= hz <= 100:
            raise Refused("hz must be between 1 and 100")
        for a, b in wanted:
            if a == b:
                raise Refused(f"a pair needs two nodes, not {a} twice")
        named = {n for pair in wanted for n in pair}
        fresh: dict[str, _End] = {}
        try:
            for name in named:
                if name not in self._ends:
                    fresh[name] = self._opened(name)
        except Refused:
            for end in fresh.values():
                end.sock.close()
            raise
        self._ends.update(fresh)
        for name in set(self._ends) - named:
            self._ends.pop(name).sock.close()
        self._mark = os.urandom(8)
        self._pairs = [_Pair(i, a, b, (self._nodes.get(b).address, PORT)) for i, (a, b) in enumerate(wanted)]
        self._period = 1 / hz
        self._rearm()
        return len(wanted)

    def close(self) -> None:
        """Watch nothing any more."""
        self.watch((), 20)

    def _opened(self, name: str) -> _End:
        return _End(self._nodes.udp(self._nodes.get(name), PORT, "heartbeats"))

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._index()
        if self._pairs:
            self._due = self._last = monotonic()
            self._timer = self._loop.at(self._due, self._tick)

    def _replaced(self, names: frozenset[str]) -> None:
        """Sockets in a namespace that is going away are closed; they are made anew at the next tick."""
        for name in names & self._ends.keys():
            self._ends.pop(name).sock.close()
        for pair in self._pairs:
            if pair.a in names or pair.b in names:
                pair.first = pair.sequence
                pair.waiting.clear()

    def _reopen(self) -> None:
        for name in {n for p in self._pairs for n in (p.a, p.b)} - self._ends.keys():
            try:
                self._ends[name] = self._opened(name)
            except Refused as error:
                gone = [p for p in self._pairs if name in (p.a, p.b)]
                self._pairs = [p for p in self._pairs if p not in gone]
                self._emit({"event": "problem", "at": monotonic(), "text": f"heartbeats: {error}"})
        for pair in self._pairs:
            pair.destination = (self._nodes.get(pair.b).address, PORT)
        self._index()

    def _index(self) -> None:
        self._by_index = {p.index: p for p in self._pairs}
        self._receivers = [self._ends[b].sock for b in dict.fromkeys(p.b for p in self._pairs)]

    def _tick(self) -> None:
        now = monotonic()
        # Of a gap longer than two periods the excess is time in which we did not run.
        self._own += min(now - self._last, 2 * self._period)
        self._last = now
        if len(self._ends) < len({n for p in self._pairs for n in (p.a, p.b)}):
            self._reopen()
        for pair in self._pairs:
            self._send(pair)
        self._drain()
        for pair in self._pairs:
            self._judge(pair)
        self._due += self._period
        if self._due < now:  # late by a period or more: the missed ones are not made up for
            self._due = now + self._period
        self._timer = self._loop.at(self._due, self._tick)

    def _send(self, pair: _Pair) -> None:
        beat = _Beat(monotonic(), self._own)
        pair.waiting.append(beat)
        try:
            self._ends[pair.a].sock.sendto(
                _BEAT.pack(self._mark, pair.index, pair.sequence), pair.destination
            )
        except OSError as error:
            beat.doubt = error.errno in OURS  # everything else says that the node cannot send: lost
        pair.sequence = (pair.sequence + 1) & 0xFFFFFFFF

    def _drain(self) -> None:
        mark, by_index = self._mark, self._by_index
        for sock in self._receivers:
            while True:
                try:
                    data = sock.recv(64)
                except BlockingIOError:
                    break
                except OSError:
                    break
                if len(data) != _BEAT.size:
                    continue
                seen, index, sequence = _BEAT.unpack(data)
                pair = by_index.get(index) if seen == mark else None
                if pair is not None:
                    place = sequence - pair.first
                    if 0 <= place < len(pair.waiting):
                        pair.waiting[place].arrived = True

    def _judge(self, pair: _Pair) -> None:
        waiting, due = pair.waiting, self._own - LOST_AFTER_S + _EARLY_S
        while waiting:
            beat = waiting[0]
            if not beat.arrived:
                if beat.own > due:
                    return
                self._look_for_drops(pair.b)
            waiting.popleft()
            pair.first += 1
            if not beat.arrived and beat.doubt:
                continue
            if beat.arrived is not pair.through:
                pair.through = beat.arrived
                self._emit(
                    {
                        "event": "beat",
                        "at": monotonic(),
                        "pair": [pair.a, pair.b],
                        "through": beat.arrived,
                        "since": beat.sent,
                    }
                )

    def _look_for_drops(self, receiver: str) -> None:
        """If the receiver's buffer overflowed, nothing that is missing there can be called lost."""
        end = self._ends[receiver]
        drops = dropped(end.sock)
        if drops != end.drops:
            end.drops = drops
            for pair in self._pairs:
                if pair.b == receiver:
                    for beat in pair.waiting:
                        beat.doubt = True
