"""Whole trials as a user runs them: the command in a process of its own, looked at from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
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
        self.known_agent = 0
        """The agent's pid as last told by ``status``."""

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

        status = dict(request(self.directory, {"do": "status"}))
        self.known_agent = status["agent"]
        return status

    def judge(self) -> Ended:
        """What ``seatrial judge`` says of it."""
        return seatrial("judge", str(self.directory), "--json")

    def host_pids(self) -> list[int]:
        """Every process under the agent, as this host numbers them."""
        return descendants(self.status()["agent"])

    def pids_of(self, *nodes: str) -> list[int]:
        """The processes of nodes, as this host numbers them."""
        status = self.status()
        host = {inner_pid(pid): pid for pid in descendants(status["agent"])}
        return [host[p] for n in nodes for p in status["nodes"][n]["pids"] if p in host]

    def at(self, moment_s: float) -> None:
        """Wait until the timeline is there."""
        zero = self.wait_event("steady")
        began = datetime.fromisoformat(zero["wall"]).timestamp() - zero["t"]
        pause(began + zero["zero"] + moment_s - time.clock_gettime(time.CLOCK_REALTIME))

    def in_switch(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of this host inside the network namespace where the cuts are."""
        where = ["nsenter", "-t", str(self.status()["agent"]), "-n"]
        return subprocess.run([*where, *words], text=True, capture_output=True, check=False)

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


def inner_pid(pid: int) -> int:
    """A process's number in its own pid namespace; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next(line for line in lines if line.startswith("NSpid:")).split()[-1])


def pause(seconds: float) -> None:
    """Let time pass."""
    time.sleep(max(0.0, seconds))


def started_at(pid: int) -> int | None:
    """When a process was started (ticks since boot); None where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class Footprint:
    """What a live trial has on this host: processes, namespaces, and the host's own mounts and rules."""

    def __init__(self, trial: Trial) -> None:
        pids = [trial.process.pid, *descendants(trial.process.pid)]
        self.processes = {p: s for p in pids if (s := started_at(p)) is not None}
        self.latest = max(self.processes.values())
        host = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid")}
        found = {(k, namespace(p, k)) for p in self.processes for k in host}
        self.namespaces = {(k, name) for k, name in found if name not in (host[k], "")}
        self.host = host_state()

    def left(self) -> list[str]:
        """What of it is still there, in words."""
        out = [f"process {p}" for p, s in self.processes.items() if started_at(p) == s]
        names = {name for _, name in self.namespaces}
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            born = started_at(pid)
            if born is None or born > self.latest:
                continue  # numbers of namespaces are used again
            held = {namespace(pid, k) for k in ("net", "mnt", "pid")} | descriptors(pid)
            out += [f"{name} held by {pid}" for name in held & names]
        if host_state() != self.host:
            out.append("mounts, rules or named namespaces of the host changed")
        return out

    def assert_gone(self, within_s: float) -> None:
        """Nothing of it may be there after so long."""
        assert len(self.namespaces) > 3, "the footprint was taken of nothing"
        deadline = time.monotonic() + within_s
        while (left := self.left()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []


def namespace(pid: int, kind: str) -> str:
    """A process's namespace; empty where it cannot be told."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def descriptors(pid: int) -> set[str]:
    """What a process's descriptors stand for."""
    found = set()
    with suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def host_state() -> tuple[str, ...]:
    """The host's own mounts, rules, links and named namespaces."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    looks: list[list[str]] = [["nft", "list", "ruleset"], ["ip", "netns"], ["ip", "-o", "-br", "link"]]
    said = [
        subprocess.run(words, text=True, capture_output=True, check=False).stdout
        for words in looks
        if shutil.which(words[0])
    ]
    return (*said, "\n".join(sorted(mounts)))


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

    def start(scenario: Path | str, *more: str, command: str = "run", own_group: bool = False) -> Trial:
        out = tmp_path / f"runs{len(started)}"
        words = [*COMMAND, command, str(scenario), "--out", str(out), *more]
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            process_group=0 if own_group else None,
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
def scenario(tmp_path: Path) -> Callable[..., Path]:
    """Write a scenario of a few devnet nodes (or another network) with this timeline and these
    expectations.
    """

    def write(
        rest: str, *, name: str = "short", network: str = "{count: 4, use: devnet, layer: 500ms}"
    ) -> Path:
        path = tmp_path / f"{name}.yaml"
        head = f"seatrial: 1\nname: {name}\nseed: 5\nnetwork:\n  driver: local\n  nodes: {network}\n"
        path.write_text(head + rest)
        return path

    return write


@pytest.fixture
def run(trial: Callable[..., Trial]) -> Callable[..., Ended]:
    """Run a scenario to its end with ``--json``."""
    return lambda scenario, *more: trial(scenario, "--json", *more).end()


def seatrial(*words: str, within_s: float = 60) -> Ended:
    """Any other command, to its end."""
    done = subprocess.run(
        [*COMMAND, *words],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=within_s,
        env={**os.environ, "NO_COLOR": "1"},
    )
    return Ended(done.returncode, done.stdout, done.stderr)
