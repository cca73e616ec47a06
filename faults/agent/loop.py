"""The agent's event loop: file descriptors that become readable, and timers that are kept to the millisecond.

One thread, callbacks, nothing else. What happens at a moment of the timeline happens in a timer's callback.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable

Call = Callable[[], None]

_FINAL_S = 0.0015
"""The last stretch before a timer is slept exactly, since epoll only counts whole milliseconds."""


def now() -> float:
    """Seconds on CLOCK_MONOTONIC, the time of everything the agent says."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Timer:
    """A call to be made at an instant; ``cancel`` prevents it."""

    __slots__ = ("call",)

    def __init__(self, call: Call) -> None:
        self.call: Call | None = call

    def cancel(self) -> None:
        """Forget the call; harmless when it was made."""
        self.call = None


class Loop:
    """Waits and calls."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._readers: dict[int, Call] = {}
        self._writers: dict[int, Call] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._stopped = False

    def when_readable(self, fd: int, call: Call) -> None:
        """Call when ``fd`` has something to read or has ended; raises PermissionError for a regular file."""
        self._readers[fd] = call
        self._set(fd)

    def when_writable(self, fd: int, call: Call | None) -> None:
        """Call while ``fd`` can be written to; None ends it."""
        if call is None:
            self._writers.pop(fd, None)
        else:
            self._writers[fd] = call
        self._set(fd)

    def forget(self, fd: int) -> None:
        """Stop looking at ``fd``; to be called before it is closed."""
        self._readers.pop(fd, None)
        self._writers.pop(fd, None)
        self._set(fd)

    def _set(self, fd: int) -> None:
        wanted = (select.EPOLLIN if fd in self._readers else 0) | (
            select.EPOLLOUT if fd in self._writers else 0
        )
        try:
            if not wanted:
                self._poll.unregister(fd)
            else:
                self._poll.modify(fd, wanted)
        except FileNotFoundError:
            if wanted:
                self._poll.register(fd, wanted)

    def at(self, when: float, call: Call) -> Timer:
        """Call at ``when`` (seconds, monotonic), at once if it has passed."""
        timer = Timer(call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def after(self, seconds: float, call: Call) -> Timer:
        """Call in so many seconds."""
        return self.at(now() + seconds, call)

    def stop(self) -> None:
        """Return from ``run`` after the present callback."""
        self._stopped = True

    def run(self) -> None:
        """Wait and call until stopped."""
        while not self._stopped:
            self.step()

    def step(self, most: float = 3600.0) -> None:
        """Wait once, at most ``most`` seconds, and make the calls that are due."""
        wait = most
        if self._timers:
            wait = min(wait, self._timers[0][0] - now())
        if 0 < wait <= _FINAL_S and wait < most:
            time.sleep(wait)
            wait = 0
        # Rounded down: the rest is slept exactly in the next turn.
        for fd, event in self._poll.poll(max(0.0, int((wait - _FINAL_S / 2) * 1000) / 1000)):
            call = self._readers.get(fd) if event & ~select.EPOLLOUT else None
            if call:
                call()
            call = self._writers.get(fd) if event & ~select.EPOLLIN else None
            if call:
                call()
            if self._timers and self._timers[0][0] <= now():
                break  # a moment of the timeline does not queue behind input
        self._due()

    def _due(self) -> None:
        instant = now()
        while self._timers and self._timers[0][0] <= instant and not self._stopped:
            call = heapq.heappop(self._timers)[2].call
            if call:
                call()
