"""Nodes as real processes on loopback addresses, for the tests beside this file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

PORT, STATUS_PORT = 7000, 7001


def address(number: int) -> str:
    """A loopback address of this test process's own."""
    pid = os.getpid()
    return f"127.{1 + pid // 250 % 250}.{pid % 250}.{number}"


def wait_for(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What the condition answers once that is true; fails the test when it never is."""
    end = time.monotonic() + within_s
    while not (answer := condition()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)
    return answer


class Nodes:
    """Processes v1…vN in a folder; all are ended at the end of the ``with`` block."""

    def __init__(self, folder: Path, count: int, *, layer_s: float = 0.3, **more: Any) -> None:
        self.folder = folder
        self.names = [f"v{n}" for n in range(1, count + 1)]
        self.addresses = {name: address(n) for n, name in enumerate(self.names, 1)}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        genesis = time.time()  # noqa: TID251
        for name in self.names:
            self.config(name).write_text(
                json.dumps(
                    {
                        "name": name,
                        "address": self.addresses[name],
                        "peers": self.addresses,
                        "nodes": {other: {"stake": 1} for other in self.names},
                        "genesis": genesis,
                        "layer": layer_s,
                        "data": str(folder / name),
                        "status_host": self.addresses[name],
                        **more,
                    }
                )
            )

    def config(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def start(self, *names: str) -> None:
        for name in names or self.names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    [sys.executable, "-m", "runner.devnet.node", "--config", str(self.config(name))],
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )

    def signal(self, number: int, *names: str) -> None:
        for name in names:
            self.running[name].send_signal(number)

    def kill(self, *names: str) -> None:
        self.signal(signal.SIGKILL, *names)
        for name in names:
            self.running.pop(name).wait()

    def ask(self, name: str, path: str = "/status") -> dict[str, Any]:
        """The answer, empty if there is none."""
        with contextlib.suppress(OSError, ValueError):
            url = f"http://{self.addresses[name]}:{STATUS_PORT}{path}"
            with urllib.request.urlopen(url, timeout=2) as reply:
                return dict(json.load(reply))
        return {}

    def finals(self, *names: str) -> list[int]:
        return [self.ask(name).get("finalized", [0])[0] for name in names or self.names]

    def together(self, above: int = 0) -> bool:
        """Whether all have all peers, and a common finalized block above a height."""
        answers = [self.ask(name) for name in self.names]
        if not all(answers) or any(one["peers"] < len(self.names) - 1 for one in answers):
            return False
        common = set.intersection(*({tuple(point) for point in one["recent"]} for one in answers))
        return max((height for height, _ in common), default=0) > above

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill(*self.running)
