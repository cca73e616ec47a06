"""The eye's event loop: one epoll, timers, and tasks that do long work in slices.

Everything in the eye happens in this one thread, so whatever takes long (a sweep, a dump of the sockets of
many nodes) is a *task*: a generator that yields when it has used its slice, and heartbeats go out in between.
Nothing here knows a network.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable, Generator
from itertools import count
from time import monotonic
from typing import Any, TypeVar

SLICE_S = 0.01
"""How long a task works before it lets the others go on."""

R = TypeVar("R")
Task = Generator[float | None, None, R]
"""Yields None to go on as soon as possible or the instant (monotonic s) to go on at; returns its result."""


class Timer:
    """One call at an instant; ``cancel`` makes it do nothing."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget the call; harmless when it has been made already."""
        self.call = None


class Loop:
    """Calls back when descriptors are ready and instants have come, until ``stop``."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._alive = True

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call once at ``when`` (monotonic seconds), or as soon as possible if that has passed."""
        timer = Timer(call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def watch(self, fd: int, events: int, call: Callable[[int], None]) -> None:
        """Call with the event mask whenever ``fd`` is ready (level-triggered).

        A call may come without cause when a number was closed and used again: handlers use non-blocking
        descriptors.
        """
        self._handlers[fd] = call
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        """Wait for other events on a watched descriptor."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch ``fd`` no longer; to be called before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def task(self, work: Task[R], done: Callable[[R], Any], failed: Callable[[Exception], Any]) -> None:
        """Run a task slice by slice from the next turn on; then call ``done`` with what it returned."""

        def step() -> None:
            try:
                when = next(work)
            except StopIteration as end:
                done(end.value)
            except Exception as error:
                failed(error)
            else:
                self.at(monotonic() if when is None else when, step)

        self.at(monotonic(), step)

    def stop(self) -> None:
        """End ``run`` after the present turn."""
        self._alive = False

    def run(self) -> None:
        """Turn until stopped."""
        timers, handlers, poll = self._timers, self._handlers, self._epoll.poll
        while self._alive:
            now = monotonic()
            while timers and timers[0][0] <= now:
                call = heapq.heappop(timers)[2].call
                if call is not None:
                    call()
            wait = max(0.0, timers[0][0] - monotonic()) if timers else -1
            for fd, events in poll(wait, 512):
                handler = handlers.get(fd)
                if handler is not None:
                    handler(events)

    def close(self) -> None:
        """Give the epoll back; to be called when nothing is watched any more."""
        self._epoll.close()
