"""A tiny client of the agent protocol for tests: requests with replies, and the events that came."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

AGENT = Path(__file__).resolve().parents[2] / "faults" / "agent" / "__main__.py"


class Refused(Exception):
    """An error reply; ``kind`` is the protocol's."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Agent:
    """A running agent. ``prefix`` is put before its command line, to start it as another user."""

    def __init__(
        self,
        *,
        prefix: Sequence[str] = (),
        python: str = sys.executable,
        flags: Sequence[str] = ("-I", "-S"),
        agent: Path = AGENT,
    ):
        self.process = subprocess.Popen(
            [*prefix, python, *flags, str(agent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
        )
        self.events: list[dict[str, Any]] = []
        self._replies: dict[int, dict[str, Any]] = {}
        self._next = 0
        self._rest = b""

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, do: str, **fields: Any) -> int:
        """Send a request; returns its id."""
        self._next += 1
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"id": self._next, "do": do, **fields}).encode() + b"\n")
        self.process.stdin.flush()
        return self._next

    def ask(self, do: str, *, patience: float = 15.0, **fields: Any) -> Any:
        """Send a request and wait for its result; raises Refused for an error."""
        number = self.send(do, **fields)
        self._until(lambda: number in self._replies, patience, f"a reply to {do}")
        reply = self._replies.pop(number)
        if "error" in reply:
            raise Refused(reply["error"], reply["kind"])
        return reply["ok"]

    def event(self, name: str, *, within: float = 15.0, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields and take it out of ``events``."""

        def found() -> dict[str, Any] | None:
            for e in self.events:
                if e["event"] == name and all(e.get(k) == v for k, v in fields.items()):
                    return e
            return None

        self._until(lambda: found() is not None, within, f"an event {name} {fields}")
        event = found()
        assert event
        self.events.remove(event)
        return event

    def change(
        self,
        generation: int,
        state: Mapping[str, Any] | None = None,
        *,
        at: float = 0.0,
        events: Sequence[Mapping[str, Any]] = (),
        key: str = "",
    ) -> dict[str, Any]:
        """Reconcile to one state and wait until it began; returns the event."""
        change = {"at": at, "key": key, "state": dict(state or {}), "events": list(events)}
        self.ask("reconcile", generation=generation, changes=[change])
        return self.event("began", generation=generation)

    def members(self, node: str) -> list[dict[str, Any]]:
        """The processes of one node."""
        return list(self.ask("members", nodes=[node])[node])

    def listen(self, seconds: float) -> None:
        """Read what comes for a while."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._read(left):
            pass

    def _until(self, met: Callable[[], bool], within: float, what: str) -> None:
        deadline = time.monotonic() + within
        while not met():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{what} did not come within {within} s; events: {self.events}")
            if not self._read(left):
                raise AssertionError(f"the agent ended before {what} came; it said: {self._complaints()}")

    def _complaints(self) -> str:
        assert self.process.stderr
        self.process.wait(5)
        return self.process.stderr.read().decode()

    def _read(self, within: float) -> bool:
        assert self.process.stdout
        fd = self.process.stdout.fileno()
        if not select.select([fd], [], [], within)[0]:
            return True
        block = os.read(fd, 1 << 18)
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            value = json.loads(line)
            if "event" in value:
                self.events.append(value)
            else:
                self._replies[value["id"]] = value
        return bool(block)

    def close(self) -> None:
        """Close the agent's input and wait for its end."""
        assert self.process.stdin
        assert self.process.stdout
        assert self.process.stderr
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.process.stderr.close()


def node(name: str, *run: str, **fields: Any) -> dict[str, Any]:
    """A node that sleeps unless another command line is given."""
    return {"name": name, "run": list(run) or ["sleep", "1000"], **fields}
