"""Scenarios as values, and plans of them, for the tests of planning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from faults.fault import NodeInfo, catalogue
from faults.fields import Bound, parse_duration, parse_moment
from runner.networks.description import Group, Network
from runner.plan.make import make
from runner.plan.model import Plan
from runner.predicates.graph import Connected
from runner.predicates.state import Progress
from runner.scenario.model import (
    All,
    Expectation,
    Flap,
    Is,
    Limits,
    Named,
    Repeat,
    Roll,
    Scenario,
    Spread,
    Step,
)

CONDITION = All(())
FREE = Limits(lose_quorum=True)


def duration(text: str) -> Any:
    return parse_duration(text)


def step(
    name: str, kind: str, written: Any, at: str | None = None, lasting: str | None = None, **rest: Any
) -> Step:
    """A step as a scenario would write it; modifiers in their short forms."""
    if "onset" in rest:
        rest["onset"] = spread(rest["onset"])
    if "heal" in rest:
        rest["heal"] = spread(rest["heal"])
    if isinstance(rest.get("roll"), str):
        rest["roll"] = Roll(every=duration(rest["roll"]))
    if "flap" in rest:
        every, on = rest["flap"]
        rest["flap"] = Flap(duration(every), duration(on))
    if "repeat" in rest:
        times, every, redraw = rest["repeat"]
        rest["repeat"] = Repeat(times, duration(every), redraw)
    if "within" in rest:
        rest["within"] = duration(rest["within"])
    return Step(
        name,
        kind,
        catalogue()[kind].model_validate(written),
        at=parse_moment(at) if at else None,
        lasting=lasting if lasting in (None, "rest") else duration(lasting),
        **rest,
    )


def spread(written: Any) -> Spread:
    over, order = written if isinstance(written, tuple) else (written, "random")
    return Spread(duration(over), order)


def expect(
    phase: str, of: str, that: Any, within: str | None = None, hold: str | None = None, **rest: Any
) -> Expectation:
    return Expectation(
        rest.pop("name", f"{phase} {of}".strip()),
        phase,
        that,
        of,
        within=duration(within) if within else None,
        hold=duration(hold) if hold else None,
        **rest,
    )


CONNECTED = Named(Connected(), "connected")


def progress(written: Any = "finalized") -> Named:
    return Named(Progress.model_validate(written), f"progress: {written}")


def components(count: int) -> Is:
    return Is(Bound("components", "==", count))


def scenario(
    *steps: Step,
    expectations: Sequence[Expectation] = (),
    limits: Limits | None = None,
    waits: Sequence[str] = (),
    units: dict[str, float] | None = None,
    quorum: float = 2 / 3,
) -> Scenario:
    groups = (Group("joiners", tuple(waits), waits=True),) if waits else ()
    network = Network("local", groups, units=units or {"layer": 15.0, "epoch": 60.0}, quorum=quorum)
    return Scenario("tried", network, timeline=steps, expect=tuple(expectations), limits=limits or Limits())


def nodes(count: int = 9, stakes: Sequence[float] | None = None, waits: Sequence[str] = ()) -> list[NodeInfo]:
    made = [
        NodeInfo(f"n{i + 1}", "miners", i + 1, zone=("eu", "us")[i % 2], stake=stakes[i] if stakes else 1.0)
        for i in range(count)
    ]
    return made + [NodeInfo(name, "joiners", count + i + 1) for i, name in enumerate(waits)]


def plan(
    *steps: Step, count: int = 9, seed: int = 7, choices: Any = None, stakes: Any = None, **rest: Any
) -> Plan:
    """A plan of these steps on so many nodes."""
    infos = nodes(count, stakes, rest.get("waits", ()))
    return make(scenario(*steps, **rest), infos, seed, choices)


def times(one: Plan) -> dict[str, tuple[float, float | None]]:
    """Start and end of each trial."""
    return {t.name: (t.start_s, t.end_s) for t in one.trials}
