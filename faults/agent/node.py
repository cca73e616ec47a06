"""What a node is: how it was asked for, what is wanted of it, and what it is doing. Values and state only."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from faults.agent.lab import Place
from faults.agent.loop import Timer
from faults.agent.tasks import Ending, Task

RUNNING, PAUSED, DOWN = "running", "paused", "down"

Emit = Callable[..., None]
"""Sends an event: its name, then its fields."""


class Want(NamedTuple):
    """What holds for a node's processes."""

    status: str = RUNNING
    signal: str = "kill"
    wipe: bool = False


class Spec(NamedTuple):
    """A node as it was asked for (NODE of the protocol)."""

    name: str
    run: Sequence[str]
    env: Mapping[str, str]
    cwd: str | None
    log: str | None
    restarts: str
    data: str | None
    spawner: str | None
    config: Mapping[str, Any]
    files: Mapping[str, str]


class Node:
    """A node in the lab."""

    __slots__ = (
        "back_off", "begun", "down_told", "expected", "pid", "pidfd", "place", "reach", "settled_at",
        "silent", "spec", "started_at", "starting", "task", "timer", "want",
    )  # fmt: skip

    def __init__(self, spec: Spec, place: Place) -> None:
        self.spec = spec
        self.place = place
        self.want = Want()
        self.begun = False
        """Somebody asked for it to be started, and nobody to end it for good."""
        self.starting = False
        self.reach: Callable[[], None] | None = None
        """To be called when its process got to exec, or can no more."""
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.task: Task | None = None
        self.timer: Timer | None = None
        self.started_at = 0.0
        self.settled_at = 0.0
        """Since when nothing was left to do for its condition."""
        self.back_off = 0
        self.expected = False
        """We ended the process that runs now."""
        self.silent = False
        """The process never became the node's program: its end is nobody's business."""
        self.down_told = False
        """It was reported that nobody is left under the present ``down``."""

    @property
    def name(self) -> str:
        """Its name."""
        return self.spec.name

    @property
    def unwanted(self) -> bool:
        """Whether no process of it may live now."""
        return self.want.status == DOWN or isinstance(self.task, Ending)


def read_spec(raw: Mapping[str, Any]) -> Spec:
    """A NODE of the protocol; raises KeyError (a field is missing) and ValueError (in words)."""
    name = raw["name"]
    restarts = raw.get("restarts") or "never"
    if not isinstance(name, str) or not name or name.startswith("@"):
        raise ValueError(f"{name!r} is no name for a node")
    if restarts not in ("never", "always"):
        raise ValueError(f"{name}: restarts is 'never' or 'always', not {restarts!r}")
    return Spec(
        name=name,
        run=tuple(map(str, raw.get("run") or ())),
        env=read_env(raw),
        cwd=raw.get("cwd"),
        log=raw.get("log"),
        restarts=restarts,
        data=raw.get("data"),
        spawner=raw.get("spawner"),
        config=raw.get("config") or {},
        files=raw.get("files") or {},
    )


def read_env(raw: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a program: as given, with a PATH where none was given."""
    given = {str(k): str(v) for k, v in (raw.get("env") or {}).items()}
    return {"PATH": os.environ.get("PATH", os.defpath), **given}


def signal_number(name: str) -> int:
    """The signal that a name such as ``kill`` or ``TERM`` means; raises ValueError."""
    try:
        return int(signal.Signals[f"SIG{name.upper().removeprefix('SIG')}"])
    except KeyError:
        raise ValueError(f"there is no signal {name!r}") from None
