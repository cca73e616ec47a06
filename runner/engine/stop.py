"""Signals that end a run: the first Ctrl-C or SIGTERM asks it to heal and end, the second makes it do so
at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """A request to end. As a context manager it takes the signals over while in the main thread, and
    gives them back.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.why = ""
        self._before: dict[signal.Signals, object] = {}

    def ask(self, why: str) -> None:
        """Ask for the end; asking again makes it urgent."""
        self.asked += 1
        self.why = self.why or why

    @property
    def urgent(self) -> bool:
        """Whether it was asked for more than once."""
        return self.asked > 1

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in WATCHED:
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.ask("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
