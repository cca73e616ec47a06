"""The journal's events sorted by what they tell, and the model in force at each instant. Moments are on the
run's clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from faults.fault import NodeInfo
from runner.predicates.shape import Reach, as_reach, block_of

Event = Mapping[str, Any]

HANDLED = frozenset(
    [
        "run",
        "steady",
        "step",
        "model",
        "beat",
        "sweep",
        "sample",
        "streams",
        "clock",
        "clock_check",
        "lapsed",
        "problem",
        "trigger",
        "lease",
        "heal",
        "healed",
        "end",
    ]
)
SWEPT_EACH = 16
"""Networks up to this size are swept with every sample, which says so only where something changed."""
LIFE = ("down", "paused", "resumed", "started", "exited")


@dataclass(frozen=True)
class Interval:
    """A time that a trial is on, as commanded; ``units`` are those hit (None: all its targets)."""

    start: float
    end: float | None
    units: frozenset[str] | None = None


@dataclass(frozen=True)
class Trial:
    """One activation of a step, as journalled when it was decided."""

    step: str
    name: str
    kind: str
    targets: tuple[str, ...]
    sides: Mapping[str, tuple[str, ...]]
    claims: frozenset[str]
    start: float
    end: float | None
    intervals: tuple[Interval, ...]
    permanent: bool = False

    @property
    def touched(self) -> frozenset[str]:
        """All nodes that it concerns."""
        return frozenset(self.targets) | frozenset(n for side in self.sides.values() for n in side)

    @property
    def flaps(self) -> bool:
        """Whether it goes on and off as a whole."""
        return len(self.intervals) > 1 and all(i.units is None for i in self.intervals)


@dataclass(frozen=True)
class InForce:
    """A state that was commanded: asked for at ``asked``, the kernel changed from ``at`` to ``done``."""

    at: float
    done: float
    asked: float
    state: Mapping[str, Any]
    key: str = ""
    events: tuple[Event, ...] = ()

    def status(self) -> Mapping[str, str]:
        """The nodes that should not run: name → paused or down."""
        return {n: s["is"] for n, s in self.state.get("status", {}).items()}


class ModelLine:
    """What was commanded, from instant to instant."""

    def __init__(self, changes: Iterable[InForce] = ()) -> None:
        self.changes: list[InForce] = []
        self._ats: list[float] = []
        self._reach: dict[int, tuple[Mapping[str, int], Reach]] = {}
        for change in sorted(changes, key=lambda c: c.at):
            self.add(change)

    def add(self, change: InForce) -> None:
        """Append a later change."""
        self.changes.append(change)
        self._ats.append(change.at)

    def index(self, t: float) -> int:
        """The index of the change in force at ``t``; -1 before the first."""
        return bisect_right(self._ats, t) - 1

    def state(self, t: float) -> Mapping[str, Any]:
        """The state in force at ``t``; healthy before the first change."""
        i = self.index(t)
        return self.changes[i].state if i >= 0 else {}

    def between(self, start: float, end: float) -> list[InForce]:
        """The changes in force at any time of ``[start, end]``, the one that held at its start included."""
        return self.changes[max(0, self.index(start)) : self.index(end) + 1]

    def near(self, asked: float, slack: float = 0.05) -> InForce | None:
        """The change that was asked for at ``asked``."""
        found = [c for c in self.changes if abs(c.asked - asked) <= slack]
        return min(found, key=lambda c: abs(c.asked - asked)) if found else None

    def is_cut(self, t: float, a: str, b: str) -> bool:
        """Whether the model had packets from a to b dropped at ``t``."""
        i = self.index(t)
        if i < 0 or not self.changes[i].state.get("cuts"):
            return False
        if i not in self._reach:
            reach = as_reach(self.changes[i].state["cuts"])
            self._reach[i] = block_of(reach), reach
        block, reach = self._reach[i]
        return a != b and a in block and b in block and (block[a], block[b]) in reach[1]

    def status(self, t: float, node: str) -> str:
        """What the model wanted of a node at ``t``: running, paused or down."""
        found = self.state(t).get("status", {}).get(node)
        return str(found["is"]) if found else "running"


@dataclass
class Account:
    """All events of a run by kind, in the order of the journal."""

    header: Event = field(default_factory=dict)
    nodes: tuple[NodeInfo, ...] = ()
    zero: float | None = None
    learnt: Mapping[str, Any] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    line: ModelLine = field(default_factory=ModelLine)
    beats: dict[tuple[str, str], list[tuple[float, bool]]] = field(default_factory=dict)
    """Watched pair → (since, through), in time."""
    sweeps: list[tuple[float, Reach]] = field(default_factory=list)
    streams: list[Event] = field(default_factory=list)
    life: list[Event] = field(default_factory=list)
    clocks: list[Event] = field(default_factory=list)
    lapses: list[Event] = field(default_factory=list)
    problems: list[Event] = field(default_factory=list)
    triggers: list[Event] = field(default_factory=list)
    heals: list[Event] = field(default_factory=list)
    healed: Event | None = None
    end: Event | None = None
    last_t: float = 0.0
    _last_reach: Reach | None = None
    samples: list[float] = field(default_factory=list)
    """When samples were taken, the missed ones left out."""

    def feed(self, event: Event) -> None:
        """Take one event."""
        self.last_t = max(self.last_t, float(event["t"]))
        kind = event["event"]
        if kind in LIFE:
            self.life.append(event)
        elif kind in HANDLED:
            getattr(self, f"_{kind}")(event)

    def _run(self, event: Event) -> None:
        self.header = event
        self.nodes = tuple(map(node_of, event.get("nodes", ())))

    def _steady(self, event: Event) -> None:
        self.zero = float(event["zero"])
        self.learnt = event.get("learnt") or {}

    def _step(self, event: Event) -> None:
        self.trials[event["trial"]] = trial_of(event)

    def _model(self, event: Event) -> None:
        self.line.add(model_of(event))

    def _beat(self, event: Event) -> None:
        a, b = event["pair"]
        self.beats.setdefault((a, b), []).append((float(event["since"]), bool(event["through"])))

    def _sweep(self, event: Event) -> None:
        self.sweeps.append((float(event.get("at", event["t"])), as_reach(event["reach"])))

    def _sample(self, event: Event) -> None:
        t = float(event["t"])
        self.samples.append(t)
        if event.get("reach"):
            self._last_reach = as_reach(event["reach"])
        elif len(self.nodes) > SWEPT_EACH:
            return
        if self._last_reach is not None:
            self.sweeps.append((t, self._last_reach))

    def _streams(self, event: Event) -> None:
        self.streams.append(event)

    def _clock(self, event: Event) -> None:
        self.clocks.append(event)

    _clock_check = _clock

    def _lapsed(self, event: Event) -> None:
        self.lapses.append(event)

    def _problem(self, event: Event) -> None:
        self.problems.append(event)

    def _trigger(self, event: Event) -> None:
        self.triggers.append(event)

    def _lease(self, event: Event) -> None:
        self.heals.append({**event, "why": "lease"})

    def _heal(self, event: Event) -> None:
        self.heals.append(event)

    def _healed(self, event: Event) -> None:
        self.healed = event

    def _end(self, event: Event) -> None:
        self.end = event

    @property
    def start(self) -> float:
        """The timeline's zero, or the run's own where the steady state was never reached."""
        return self.zero or 0.0

    @property
    def closed(self) -> float:
        """When the trial was over: the last healing began, or the journal ends."""
        for event in self.heals:
            if event.get("why") != "plan":
                return float(event["t"])
        return float(self.end["t"]) if self.end else self.last_t

    @property
    def healing(self) -> float:
        """When everything began to be healed for good: until then a fault without an end is in force."""
        return min([self.closed, *(float(h["t"]) for h in self.heals)])

    @property
    def why_ended(self) -> str:
        """plan, abort, interrupt, error, timeout; or ``killed`` where the journal just stops."""
        return str(self.end.get("why", "plan")) if self.end else "killed"

    def every(self) -> float:
        """The usual time between two samples, in seconds."""
        gaps = sorted(b - a for a, b in zip(self.samples, self.samples[1:], strict=False))
        return gaps[len(gaps) // 2] if gaps else 0.5


def node_of(data: Mapping[str, Any]) -> NodeInfo:
    """A node of the journal's header."""
    return NodeInfo(
        data["name"],
        data.get("group") or "nodes",
        int(data.get("index") or 0),
        data.get("zone") or "",
        data.get("host") or "",
        float(data.get("stake") or 1.0),
        data.get("labels") or {},
        data.get("address") or "",
    )


def trial_of(event: Event) -> Trial:
    """A ``step`` event as a value; spans of single units that overlap are one interval each, as are repeated
    ones.
    """
    spans = event.get("spans") or [[event["start"], event.get("end"), None]]
    return Trial(
        event["step"],
        event["trial"],
        event.get("kind", ""),
        tuple(event.get("targets", ())),
        {k: tuple(v) for k, v in (event.get("sides") or {}).items()},
        frozenset(event.get("claims", ())),
        float(event["start"]),
        None if event.get("end") is None else float(event["end"]),
        tuple(Interval(float(s), None if e is None else float(e), _units(units)) for s, e, units in spans),
        bool(event.get("permanent", False)),
    )


def _units(units: Any) -> frozenset[str] | None:
    """The nodes among the units; directed links count as both their ends."""
    if units is None:
        return None
    return frozenset(n for u in units for n in ([u] if isinstance(u, str) else u))


def model_of(event: Event) -> InForce:
    """A ``model`` event as a value."""
    at = float(event.get("at", event["t"]))
    return InForce(
        at,
        float(event.get("done", at)),
        float(event.get("asked", at)),
        event.get("state") or {},
        str(event.get("key", "")),
        tuple(event.get("events") or ()),
    )


def account_of(events: Iterable[Event]) -> Account:
    """The account of a whole journal."""
    account = Account()
    for event in events:
        account.feed(event)
    return account
