"""The runner's end of an agent: requests with replies, events as they come, and the agent's clock against
ours.

One reader thread turns lines into replies and events. Nothing here knows what a request means.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

CLOCK_EXCHANGES = 5
MEANWHILE_S = 0.1


class LinkError(Exception):
    """The agent refused or failed (``kind`` refused, missing, failed), did not answer in time, or is gone
    (``lost``).
    """

    def __init__(self, message: str, kind: str = "failed") -> None:
        super().__init__(message)
        self.kind = kind


class AgentLink:
    """JSON lines over two file descriptors. ``on_event`` is called in the reader's thread; a last event
    ``gone`` reports the end.
    """

    def __init__(self, read_fd: int, write_fd: int, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        self._read, self._write = read_fd, write_fd
        self._on_event = on_event
        self._waiting: dict[int, tuple[threading.Event, list[Mapping[str, Any]]]] = {}
        self._lock = threading.Lock()
        self._next = 0
        self._gone = False
        self.offset_s = 0.0
        """The agent's monotonic clock minus ours."""
        self.error_s = 0.0
        """Half the round trip of the exchange that gave ``offset_s``."""
        self.hello: Mapping[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name="agent-link", daemon=True)
        self._thread.start()

    def greet(self, *, within_s: float = 15.0) -> Mapping[str, Any]:
        """Exchange greetings and compare the clocks by the exchange of the shortest round trip."""
        best = None
        for _ in range(CLOCK_EXCHANGES):
            before = time.monotonic()
            self.hello = self.request("hello", within_s=within_s)
            after = time.monotonic()
            if best is None or after - before < best:
                best = after - before
                self.offset_s = self.hello["now"] - (before + after) / 2
                self.error_s = best / 2
        return self.hello

    def request(
        self,
        do: str,
        *,
        within_s: float = 10.0,
        eye: bool = False,
        meanwhile: Callable[[], None] | None = None,
        **fields: Any,
    ) -> Any:
        """Ask and wait for the reply's result. Raises LinkError.

        ``meanwhile`` is called about ten times a second while a long answer is awaited; what it raises
        ends the wait.
        """
        done, box = threading.Event(), list[Mapping[str, Any]]()
        with self._lock:
            self._next += 1
            number = self._next
            self._waiting[number] = (done, box)
        message = {"id": number, "do": do, **fields}
        if eye:
            message["eye"] = True
        try:
            self._send(message)
            if not _await(done, within_s, meanwhile):
                raise LinkError(f"the agent did not answer '{do}' within {within_s:g} s", "lost")
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if not box:
            raise LinkError(f"the agent ended before it answered '{do}'", "lost")
        reply = box[0]
        if "error" in reply:
            raise LinkError(str(reply["error"]), str(reply.get("kind", "failed")))
        return reply.get("ok")

    def close(self) -> None:
        """Close our end. A local agent ends at once, and with it everything that it started."""
        for fd in (self._write,):
            if fd >= 0:
                os.close(fd)
        self._write = -1
        self._thread.join(timeout=5)

    def _send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            if self._gone or self._write < 0:
                raise LinkError("the agent is gone", "lost")
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._write, view) :]
            except OSError as error:
                raise LinkError(f"the agent is gone ({error.strerror})", "lost") from None

    def _run(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(self._read, 1 << 18)
            except OSError:
                data = b""
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
        with self._lock:
            self._gone = True
            waiting = list(self._waiting.values())
        for done, _ in waiting:
            done.set()
        os.close(self._read)
        self._on_event({"event": "gone"})

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except ValueError:
            self._on_event(
                {"event": "problem", "text": f"the agent wrote a line that is no JSON: {line[:200]!r}"}
            )
            return
        if "event" in message:
            self._on_event(message)
            return
        with self._lock:
            waiting = self._waiting.get(message.get("id"))
        if waiting:
            waiting[1].append(message)
            waiting[0].set()


def _await(done: threading.Event, within_s: float, meanwhile: Callable[[], None] | None) -> bool:
    if meanwhile is None:
        return done.wait(within_s)
    until = time.monotonic() + within_s
    while not done.wait(MEANWHILE_S):
        if time.monotonic() > until:
            return False
        meanwhile()
    return True
