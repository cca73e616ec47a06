"""The journal: one event a line, ``{"t", "wall", "event", …}``. Writing it while a run lasts, and reading it
afterwards.

What the events mean is in ``docs/reference/journal.md``; here they are plain mappings.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

SCHEMA = 0
Event = Mapping[str, Any]


class JournalError(Exception):
    """A journal that cannot be written or read; the message is meant for people and names file and line."""


def encode(event: Event) -> str:
    """An event as one line without its end. What JSON cannot say (NaN, infinity) becomes null; sets and paths
    become text.
    """
    return json.dumps(_plain(event), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(v) for v in value), key=str)
    return str(value)


class Writer:
    """Appends events to a journal. Any thread may write; a line is there whole or (after a crash) torn at the
    very end.

    Raises JournalError where the file cannot be written.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as e:
            raise JournalError(f"{self.path}: the journal cannot be written: {e.strerror}") from None

    def write(self, event: Event | str, **fields: Any) -> None:
        """Append one event: a whole mapping, or its name with the fields (``write("sample", t=1.0,
        nodes={})``).
        """
        record = {"event": event, **fields} if isinstance(event, str) else {**event, **fields}
        if "event" not in record or "t" not in record:
            raise ValueError("an event needs its name ('event') and its time ('t')")
        head = {"t": record.pop("t"), "wall": record.pop("wall", None), "event": record.pop("event")}
        line = (encode({**head, **record}) + "\n").encode("utf-8", "replace")
        with self._lock:
            if self._fd < 0:
                raise JournalError(f"{self.path}: the journal is closed")
            self._append(line)

    def _append(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self._fd, line) :]
        except OSError as e:
            raise JournalError(f"{self.path}: the journal cannot be written: {e.strerror}") from None

    def close(self) -> None:
        """Close the file, its content safely on disk. May be called twice."""
        with self._lock:
            if self._fd >= 0:
                with contextlib.suppress(OSError):  # a pipe or a special file has nothing to sync
                    os.fsync(self._fd)
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reader:
    """Reads a journal from its beginning, any number of times."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.torn = False
        """Whether the last line was found torn (the run was killed while writing it); known after reading."""

    def events(self) -> Iterator[dict[str, Any]]:
        """The events in the order they were written. A torn last line is left out.

        Raises JournalError with the line's number for a damaged journal, a file that is none, or an unknown
        schema.
        """
        self.torn = False
        try:
            with self.path.open("rb") as file:
                yield from self._lines(file)
        except OSError as e:
            raise JournalError(f"{self.path}: the journal cannot be read: {e.strerror}") from None

    def _lines(self, file: Any) -> Iterator[dict[str, Any]]:
        number = 0
        pending: JournalError | None = None
        for line in file:
            if pending:
                raise pending
            if not line.strip():
                continue
            number += 1
            try:
                event = self._event(line, number)
            except JournalError as e:
                if number == 1 and not self._looks_torn(line):
                    raise
                # Only a line that others follow is damage; the last one may be torn.
                pending = e
                continue
            if number == 1:
                self._check_first(event)
            yield event
        self.torn = pending is not None
        if number == 0 or (number == 1 and pending):
            raise JournalError(f"{self.path}: the journal is empty")

    @staticmethod
    def _looks_torn(line: bytes) -> bool:
        begin = b'{"t":'
        return not line.endswith(b"\n") and line[: len(begin)] == begin[: len(line)]

    def _event(self, line: bytes, number: int) -> dict[str, Any]:
        def wrong(why: str) -> JournalError:
            what = "this is no journal" if number == 1 else "the journal is damaged here"
            return JournalError(f"{self.path}:{number}: {what}: {why}")

        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            raise wrong("the line is not JSON") from None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise wrong("the line is no event")
        t = event.get("t")
        if isinstance(t, bool) or not isinstance(t, int | float) or not math.isfinite(t):
            raise wrong("the event has no time 't'")
        return event

    def _check_first(self, event: Event) -> None:
        if event["event"] != "run":
            raise JournalError(
                f"{self.path}:1: this is no journal of a run: "
                f"it begins with '{event['event']}' instead of 'run'"
            )
        if event.get("schema") != SCHEMA:
            raise JournalError(
                f"{self.path}:1: the journal has schema {event.get('schema')}, this program reads {SCHEMA}"
            )
