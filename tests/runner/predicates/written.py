"""Journals written by hand: a world says what nodes answer and who is joined to whom, and out come the events
of a run.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from faults.fault import Fault
from faults.fields import Duration, Moment, parse_bound, parse_duration
from runner.judge.history import History
from runner.judge.judge import view_of
from runner.judge.that import evaluate
from runner.predicates.predicate import Finding, catalogue
from runner.scenario.model import All, Expectation, Group, Is, Named, Network, Not, Scenario, Step, That

ZERO = 5.0
EVERY = 0.5

Facts = dict[str, Any]


def names(count: int) -> list[str]:
    return [f"n{i}" for i in range(1, count + 1)]


def chain(t: float, fork: str = "b", since: int = 0) -> Facts:
    """A healthy node: a block a second, final after two; blocks from height ``since`` on belong to
    ``fork``.
    """
    h = int(t)
    final = max(h - 2, 0)

    def point(height: int) -> list[Any]:
        return [height, f"{fork if height >= since else 'b'}{height:04}"]

    return {"height": h, "head": point(h), "finalized": point(final), "synced": True}


@dataclass
class World:
    """What the eye sees. ``facts(t, node)`` is a mapping, a text (why it does not answer) or None (not
    asked).
    """

    nodes: list[str]
    facts: Callable[[float, str], Facts | str | None] = lambda t, node: chain(t)
    edges: Callable[[float], list[tuple[str, str]]] | None = None
    reach: Callable[[float], dict[str, Any] | None] = lambda t: None
    missed: Callable[[float], bool] = lambda t: False

    def mesh(self, t: float) -> list[tuple[str, str]]:
        return [(a, b) for i, a in enumerate(self.nodes) for b in self.nodes[i + 1 :]]


@dataclass
class Journal:
    """Events in the making."""

    world: World
    until: float
    zero: float | None = ZERO
    extra: list[dict[str, Any]] = field(default_factory=list)
    why: str = "plan"
    left: list[str] = field(default_factory=list)
    ends: bool = True
    learnt: dict[str, float] = field(default_factory=lambda: {"hold_s": 3.0, "interval_s": 1.0})

    def add(self, event: str, t: float, **fields: Any) -> "Journal":
        self.extra.append({"t": t, "event": event, **fields})
        return self

    def step(
        self,
        name: str,
        kind: str,
        start: float,
        end: float | None,
        *,
        targets: list[str] | None = None,
        claims: tuple[str, ...] = ("cut",),
        sides: dict[str, list[str]] | None = None,
        spans: list[Any] | None = None,
        trial: str = "",
    ) -> "Journal":
        return self.add(
            "step",
            min(start, ZERO),
            step=name,
            trial=trial or name,
            kind=kind,
            targets=targets if targets is not None else list(self.world.nodes),
            sides=sides or {},
            claims=list(claims),
            start=start,
            end=end,
            spans=spans or [[start, end, None]],
            permanent=end is None,
        )

    def model(self, t: float, state: dict[str, Any]) -> "Journal":
        return self.add("model", t + 0.02, state=state, asked=t, at=t + 0.005, done=t + 0.01, key=f"c{t}")

    def beats(self, pairs: list[tuple[str, str]], *changes: tuple[float, bool]) -> "Journal":
        for a, b in pairs:
            self.add("beat", 1.0, pair=[a, b], through=True, since=1.0)
            for since, through in changes:
                self.add("beat", since + 0.2, pair=[a, b], through=through, since=since)
        return self

    def split(
        self,
        start: float,
        end: float | None,
        sides: list[list[str]],
        name: str = "split",
        *,
        watched: bool = True,
    ) -> "Journal":
        """A partition that works: commanded, proved by heartbeats of one pair each way, healed."""
        a, b = sides
        self.step(name, "partition", start, end, sides={"a": a, "b": b})
        self.model(start, {"cuts": {"blocks": sides, "cut": [[0, 1], [1, 0]]}})
        changes = [(start + 0.04, False)]
        if end is not None:
            self.model(end, {})
            changes.append((end + 0.06, True))
        if watched:
            self.beats([(a[0], b[0]), (b[0], a[0])], *changes)
        return self

    def kill(
        self, start: float, end: float, nodes: list[str], name: str = "crash", **status: Any
    ) -> "Journal":
        self.step(name, "kill", start, end, targets=nodes, claims=("down",))
        self.model(
            start, {"status": {n: {"is": "down", "signal": "kill", "wipe": False, **status} for n in nodes}}
        )
        self.model(end, {})
        for n in nodes:
            self.add("exited", start + 0.02, node=n, pid=7, code=-9, expected=True)
            self.add("down", start + 0.03, node=n, gone=[7], leaked_s=0.03)
            self.add("started", end + 0.1, node=n, pid=8, why="heal")
        return self

    def events(self) -> list[dict[str, Any]]:
        nodes = [
            {"name": n, "group": "miners" if i < 2 else "full", "index": i + 1, "zone": "eu", "labels": {}}
            for i, n in enumerate(self.world.nodes)
        ]
        head = {
            "t": 0.0,
            "event": "run",
            "schema": 0,
            "seatrial": "0",
            "run": "r",
            "scenario": {"name": "s", "sha256": "00"},
            "seed": 7,
            "nodes": nodes,
            "quorum": 2 / 3,
            "units": {"layer": 2.0},
            "versions": {},
        }
        out = [*self._samples(), *self.extra]
        if self.zero is not None:
            out.append({"t": self.zero, "event": "steady", "zero": self.zero, "learnt": self.learnt})
        if self.ends:
            out.append({"t": self.until, "event": "heal", "why": self.why})
            out.append({"t": self.until + 0.1, "event": "healed", "left": self.left})
            out.append({"t": self.until + 0.1, "event": "end", "why": self.why, "detail": "", "kept": False})
        order = {"steady": 1, "step": 2}
        return [head, *sorted(out, key=lambda e: (e["t"], order.get(e["event"], 0)))]

    def _samples(self) -> list[dict[str, Any]]:
        out = []
        before: dict[str, Any] = {}
        graph: Any = None
        for n in range(int(self.until / EVERY) + 1):
            t = round(1.0 + n * EVERY, 3)
            if t > self.until:
                break
            if self.world.missed(t):
                out.append({"t": t, "event": "missed", "why": "the agent did not answer"})
                continue
            entries = {}
            for node in self.world.nodes:
                said = self.world.facts(t, node)
                if said is None:
                    continue
                entry = {"answers": not isinstance(said, str), "why": said if isinstance(said, str) else ""}
                if isinstance(said, dict):
                    old = before.get(node, {})
                    entry["facts"] = {k: v for k, v in said.items() if old.get(k) != v}
                    before[node] = said
                entries[node] = entry
            event: dict[str, Any] = {"t": t, "event": "sample", "n": n, "key": False, "nodes": entries}
            edges = (self.world.edges or self.world.mesh)(t)
            now = {"overlay": [list(e) for e in edges], "sockets": [list(e) for e in self.world.mesh(t)]}
            if now != graph:
                event["graph"] = graph = now
            if reach := self.world.reach(t):
                event["reach"] = reach
            out.append(event)
        return out


def that(*texts: Any) -> That:
    """Expressions in short: a bound, a name, ``{name: fields}``, ``{not: …}``."""
    parts = [_one(t) for t in texts]
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _one(raw: Any) -> That:
    known = catalogue()
    if isinstance(raw, str):
        return Named(known[raw].model_validate({}), raw) if raw in known else Is(parse_bound(raw))
    ((name, fields),) = raw.items()
    if name == "not":
        return Not(_one(fields))
    return Named(known[name].model_validate(fields), name)


def expect(phase: str, *texts: Any, of: str = "", name: str = "", **rest: Any) -> Expectation:
    times = {k: parse_duration(rest.pop(k)) for k in ("within", "hold") if k in rest}
    return Expectation(name or f"{phase} {of}".strip(), phase, that(*texts), of, **times, **rest)  # type: ignore[arg-type]


def scenario(*expectations: Expectation, steps: tuple[str, ...] = ()) -> Scenario:
    made = tuple(
        Step(s, "partition", Fault.model_construct(), Moment("steady", plus=Duration(0))) for s in steps
    )
    network = Network("local", (Group("nodes", ()),), units={"layer": 2.0})
    return Scenario("s", network, made, expectations)


def found(
    journal: Journal,
    expression: Any,
    *,
    at: float | None = None,
    phase: str = "always",
    since: float = ZERO,
    begun: float = ZERO,
) -> Finding:
    """The answer to an expression on the last sample not later than ``at``."""
    history = History()
    for event in journal.events():
        if at is not None and event["t"] > at:
            break
        history.feed(event)
    assert history.snapshot is not None
    view = view_of(history, history.snapshot, phase=phase, since=since, begun=begun, units={"layer": 2.0})
    return evaluate(expression if not isinstance(expression, str | dict) else that(expression), view)
