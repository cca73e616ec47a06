"""Following the nodes' log files for lines that were declared beforehand.

A file is read from its beginning unless it is said otherwise, through truncation and replacement. Work is
bounded: a slice of time a round, and so many bytes of a file in each; what is left comes in the next round.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, BinaryIO

from faults.agent.eye.loop import SLICE_S, Loop, Task
from faults.agent.eye.namespaces import Refused

EVERY_S = 0.2
_CHUNK = 1 << 16
_LONGEST = 1 << 14  # a line is looked at no further
_TEXT = 500


def expressions(described: Mapping[str, Any]) -> dict[str, re.Pattern[bytes]]:
    """Read ``{id: {"text": …} | {"match": …} | "regex"}``.

    Raises Refused, with the id, for what is not one of these.
    """
    out = {}
    for name, pattern in described.items():
        if isinstance(pattern, str):
            pattern = {"match": pattern}
        try:
            source = re.escape(str(pattern["text"])) if "text" in pattern else str(pattern["match"])
            out[name] = re.compile(source.encode())
        except (KeyError, TypeError):
            raise Refused(f"pattern {name}: give a 'text' or a 'match'") from None
        except re.error as error:
            raise Refused(f"pattern {name}: not a regular expression: {error}") from None
    return out


class _Log:
    """One file that is followed."""

    def __init__(self, node: str, path: str) -> None:
        self.node, self.path = node, path
        self._file: BinaryIO | None = None
        self._identity = (0, 0)
        self._place = 0
        self._rest = b""  # of a line that is not complete

    def to_end(self) -> None:
        """Go on from what is there now."""
        if self._open():
            self._place = os.path.getsize(self.path)

    def _open(self) -> bool:
        try:
            self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115
        except OSError:
            return False
        status = os.fstat(self._file.fileno())
        self._identity, self._place, self._rest = (status.st_dev, status.st_ino), 0, b""
        return True

    def lines(self) -> tuple[list[bytes], bool]:
        """The next complete lines, of at most one chunk, and whether there may be more."""
        try:
            status = os.stat(self.path)
        except OSError:
            status = None
        if self._file is None and not (status is not None and self._open()):
            return [], False
        assert self._file is not None
        replaced = status is not None and self._identity != (status.st_dev, status.st_ino)
        if status is not None and not replaced and status.st_size < self._place:
            self._place, self._rest = 0, b""
        if status is not None and not replaced and status.st_size == self._place:
            return [], False
        try:
            data = os.pread(self._file.fileno(), _CHUNK, self._place)
        except OSError:
            data = b""
        if not data:
            if not replaced:
                return [], False
            last = [self._rest] if self._rest else []
            self.close()
            return last, True
        self._place += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest = b""
        return lines, len(data) == _CHUNK or replaced

    def close(self) -> None:
        """Close the file; it is opened anew, from the beginning, when there are lines to be read."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._rest = b""


class Tail:
    """Follows files and calls ``emit`` with ``line`` events."""

    def __init__(self, loop: Loop, emit: Callable[[dict[str, Any]], None]) -> None:
        self._loop, self._emit = loop, emit
        self._logs: dict[tuple[str, str], _Log] = {}
        self._patterns: dict[str, re.Pattern[bytes]] = {}
        self._running = False

    def follow(
        self, files: Mapping[str, str], patterns: Mapping[str, Any], *, from_end: bool = False
    ) -> None:
        """Follow ``{node: path}`` and nothing else; a file that is followed already goes on where it was.

        Raises Refused.
        """
        self._patterns = expressions(patterns)
        wanted = {(str(n), str(p)) for n, p in files.items()}
        for key in set(self._logs) - wanted:
            self._logs.pop(key).close()
        for key in wanted - set(self._logs):
            log = self._logs[key] = _Log(*key)
            if from_end:
                log.to_end()
        if self._logs and not self._running:
            self._running = True
            self._round()

    def close(self) -> None:
        """Follow nothing any more."""
        self.follow({}, {})

    def _round(self) -> None:
        if not self._logs:
            self._running = False
            return
        due = monotonic() + EVERY_S
        self._loop.task(self._work(), lambda _: self._loop.at(due, self._round), self._stumbled)

    def _stumbled(self, error: Exception) -> None:
        self._running = False
        self._emit({"event": "problem", "at": monotonic(), "text": f"logs are no longer followed: {error}"})

    def _work(self) -> Task[None]:
        until = monotonic() + SLICE_S
        for log in list(self._logs.values()):
            lines, more = log.lines()
            for _ in range(16):  # a file that grows faster than this must not hold up the others
                self._look(log.node, lines)
                if monotonic() >= until:
                    yield None
                    until = monotonic() + SLICE_S
                if not more:
                    break
                lines, more = log.lines()
            else:
                self._look(log.node, lines)

    def _look(self, node: str, lines: list[bytes]) -> None:
        for line in lines:
            line = line[:_LONGEST]
            for name, pattern in self._patterns.items():
                if pattern.search(line):
                    self._emit(
                        {
                            "event": "line",
                            "at": monotonic(),
                            "node": node,
                            "pattern": name,
                            "text": line.decode("utf-8", "replace").rstrip("\r")[:_TEXT],
                        }
                    )
