"""A scenario as the rest of the runner sees it: validated, parameters put in, names known. Plain values, no
positions, no YAML.

``runner.scenario.load`` makes it from a file. Durations stay as written (``Duration``); ``Network.units``
gives protocol units in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from faults.fault import Fault
from faults.fields import Bound, Duration, Moment, Targets
from runner.networks.description import Group, Network, Observe, Ready, Setup
from runner.predicates.predicate import Predicate

__all__ = [
    "Abort",
    "All",
    "Expectation",
    "Flap",
    "Group",
    "Is",
    "Limits",
    "Named",
    "Network",
    "Not",
    "Observe",
    "Ready",
    "Repeat",
    "Roll",
    "Scenario",
    "Setup",
    "Spread",
    "Step",
    "That",
]


@dataclass(frozen=True)
class Is:
    """``{is: BOUND, targets, share}`` and plain bounds: the bound must hold at a share of the targets
    (default: all).
    """

    bound: Bound
    targets: Targets = field(default_factory=Targets)
    share: str = "all"
    """all, any, most, ``80%``, ``3``, ``exactly 1``."""


@dataclass(frozen=True)
class Named:
    """A predicate of the catalogue with its fields; ``text`` is how the author wrote it."""

    predicate: Predicate
    text: str = ""


@dataclass(frozen=True)
class Not:
    """The opposite; unknown stays unknown."""

    inner: That


@dataclass(frozen=True)
class All:
    """Every one of them; ``name`` is the ``define`` it came from, if any."""

    parts: tuple[That, ...]
    name: str = ""


That = Is | Named | Not | All


@dataclass(frozen=True)
class Spread:
    """``onset`` and ``heal``: units come in or go out spread over ``over``, in ``order``."""

    over: Duration
    order: Literal["random", "listed", "reverse"] = "random"


@dataclass(frozen=True)
class Roll:
    """One target after another: every ``every``, or ``next`` once the condition holds at the last one (at
    most ``within``), ``batch`` at a time.
    """

    every: Duration | None = None
    next: That | None = None
    within: Duration | None = None
    batch: int = 1


@dataclass(frozen=True)
class Flap:
    """On for ``lasting``, again every ``every`` (a bare ``flap: 4s``: half of it on)."""

    every: Duration
    lasting: Duration


@dataclass(frozen=True)
class Repeat:
    """``times`` trials, one every ``every``; ``redraw`` chooses anew each time."""

    times: int
    every: Duration
    redraw: bool = False


@dataclass(frozen=True)
class Step:
    """One fault on the timeline. ``lasting`` is ``for`` (None for momentary faults). ``named`` is False for
    a name made up by us (``kill-3``).
    """

    name: str
    kind: str
    fault: Fault
    at: Moment | None = None
    when: That | None = None
    within: Duration | None = None
    lasting: Duration | Literal["rest"] | None = None
    until: That | None = None
    roll: Roll | None = None
    onset: Spread | None = None
    heal: Spread | None = None
    flap: Flap | None = None
    repeat: Repeat | None = None
    named: bool = True
    line: int = 0


@dataclass(frozen=True)
class Expectation:
    """``of`` is the step's name, or ``faults``; empty for ``always``. ``name`` is unique in the scenario
    (made from the phase where not given).
    """

    name: str
    phase: Literal["before", "during", "after", "always"]
    that: That
    of: str = ""
    within: Duration | None = None
    hold: Duration | None = None
    missing: float = 0.0
    """Share (0..1) of samples forgiven."""
    despite: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Abort:
    """Heal at once and end with exit code 4 when this has held for ``hold``."""

    when: That
    hold: Duration = Duration(0)


@dataclass(frozen=True)
class Limits:
    """``hit`` is the largest share (0..1) of nodes that may be hit at once; ``time`` and ``blind`` bound the
    run and its blindness.
    """

    hit: float | None = None
    time: Duration | None = None
    blind: Duration | None = None
    lose_quorum: bool = False


@dataclass(frozen=True)
class Scenario:
    """A whole scenario. ``resolved`` is the document with parameters and overrides put in, as plain data
    (written to the run directory); ``sha256`` is of the file's bytes; ``folder`` is where relative paths
    of nodes' commands and files start.
    """

    name: str
    network: Network
    timeline: tuple[Step, ...] = ()
    expect: tuple[Expectation, ...] = ()
    about: str = ""
    seed: int | None = None
    abort: tuple[Abort, ...] = ()
    limits: Limits = field(default_factory=Limits)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    resolved: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    folder: str = "."
    file: str = ""
