"""Lines of JSON over file descriptors: never interleaved, never cut, never waited for."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from typing import Any

from faults.agent.loop import Loop

_BLOCK = 1 << 18
_MOST_WAITING = 64 << 20


def encode(value: dict[str, Any]) -> bytes:
    """One value as a line."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


class LineReader:
    """Calls ``line`` with each whole line of ``fd`` (without its end), and ``end`` once at the file's end."""

    def __init__(self, loop: Loop, fd: int, line: Callable[[bytes], None], end: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._line = line
        self._end = end
        self._rest: list[bytes] = []
        os.set_blocking(fd, False)
        loop.when_readable(fd, self._read)

    def _read(self) -> None:
        try:
            block = os.read(self._fd, _BLOCK)
        except BlockingIOError:
            return
        except OSError:
            block = b""
        if not block:
            self._loop.forget(self._fd)
            self._end()
            return
        first, *more = block.split(b"\n")
        self._rest.append(first)
        for part in more:
            whole = b"".join(self._rest)
            self._rest = [part]
            if whole.strip():
                self._line(whole)


class LineWriter:
    """Writes whole lines to ``fd`` in the order given, in the background where the other side is slow.

    ``broken`` is called once where nobody reads any more.
    """

    def __init__(self, loop: Loop, fd: int, broken: Callable[[], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._broken = broken
        self._queue: deque[bytes] = deque()
        self._waiting = 0
        self._gone = False
        os.set_blocking(fd, False)

    def write(self, line: bytes) -> None:
        """Send one line (with or without its end)."""
        if self._gone:
            return
        self._queue.append(line if line.endswith(b"\n") else line + b"\n")
        self._waiting += len(line)
        if self._waiting > _MOST_WAITING:
            self._lost()  # a reader that has stopped reading is as good as gone
        elif len(self._queue) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._queue:
                line = self._queue[0]
                sent = os.write(self._fd, line)
                self._waiting -= sent
                if sent < len(line):
                    self._queue[0] = line[sent:]
                    break
                self._queue.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        self._loop.when_writable(self._fd, self._flush if self._queue else None)

    def _lost(self) -> None:
        self._gone = True
        self._queue.clear()
        self._loop.forget(self._fd)
        self._broken()

    def drain(self) -> None:
        """Write what is left, waiting for the reader; for the very end."""
        if self._gone:
            return
        os.set_blocking(self._fd, True)
        while self._queue and not self._gone:
            self._flush()
