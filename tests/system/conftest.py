"""Whole trials as a user runs them: the command in a process of its own, looked at from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "scenarios" / "devnet"
COMMAND = [sys.executable, "-m", "runner.cli.main"]


@dataclass
class Ended:
    """A command that is over."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> dict:
        """What ``--json`` printed."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Trial:
    """A trial that goes on: its run directory and what it has journalled so far."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process, self._out = process, out

    @property
    def directory(self) -> Path:
        """The run directory, waited for."""
        found = wait_for(lambda: list(self._out.glob("*/journal.jsonl")), 20, "a run directory")
        return found[0].parent

    def events(self, name: str | None = None) -> list[dict]:
        """The journal so far."""
        lines = (self.directory / "journal.jsonl").read_text().splitlines()
        events = []
        for line in lines:
            try:
                events.append(json.loads(line))
            except ValueError:
                break
        return [e for e in events if name is None or e["event"] == name]

    def wait_event(self, name: str, within_s: float = 40, **fields: object) -> dict:
        """The first such event."""

        def look() -> list[dict]:
            return [e for e in self.events(name) if all(e.get(k) == v for k, v in fields.items())]

        return wait_for(look, within_s, f"{name} {fields}")[0]

    def status(self) -> dict:
        """What the control socket says: agent, nodes and their processes."""
        from runner.engine.control import request

        return dict(request(self.directory, {"do": "status"}))

    def host_pids(self) -> list[int]:
        """Every process under the agent, as this host numbers them."""
        return descendants(self.status()["agent"])

    def end(self, within_s: float = 90) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=within_s)
        return Ended(self.process.returncode, out, err)


def descendants(pid: int) -> list[int]:
    """The process and all below it."""
    out, queue = [], [pid]
    while queue:
        one = queue.pop()
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        out.append(one)
        queue += map(int, children)
    return out


def wait_for(look: Callable[[], list], within_s: float, what: str) -> list:
    """Look until there is something."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {within_s} s in vain for {what}")


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Callable[..., Trial]]:
    """Start ``seatrial run`` (or another command) in the background."""
    started: list[subprocess.Popen[str]] = []

    def start(scenario: Path | str, *more: str, command: str = "run") -> Trial:
        out = tmp_path / f"runs{len(started)}"
        words = [*COMMAND, command, str(scenario), "--out", str(out), *more]
        process = subprocess.Popen(
            words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        started.append(process)
        return Trial(process, out)

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def run(trial: Callable[..., Trial]) -> Callable[..., Ended]:
    """Run a scenario to its end with ``--json``."""
    return lambda scenario, *more: trial(scenario, "--json", *more).end()


def seatrial(*words: str, within_s: float = 60) -> Ended:
    """Any other command, to its end."""
    done = subprocess.run(
        [*COMMAND, *words], cwd=ROOT, text=True, capture_output=True, timeout=within_s, env={**os.environ, "NO_COLOR": "1"}
    )
    return Ended(done.returncode, done.stdout, done.stderr)
