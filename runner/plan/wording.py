"""A plan's values in words: times, steps, choices. No layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel

from faults.fault import Chosen, Fault
from faults.fields import Range, Targets
from faults.select import describe
from runner.plan.model import Plan, Trial
from runner.scenario.model import Step

UNITS = {"offset": "s", "strobe": "s", "drift": "ppm"}
SIGNED = frozenset({"offset", "drift"})


def time(seconds: float) -> str:
    """An instant or a length: ``12.5s`` below two minutes, ``3m20s`` or ``2h5m`` above, exact to the
    millisecond.
    """
    if seconds < 0:
        return f"-{time(-seconds)}"
    if seconds < 120:
        return f"{round(seconds, 3):g}s"
    whole, part = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(whole), 60)
    tail = f"{part:g}s" if part else ""
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + tail


def round_steps() -> Iterator[float]:
    """Distances between the marks of an axis, ascending: seconds, then minutes and hours that people read
    at a glance.
    """
    yield from (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
    hours = 1
    while True:
        yield 3600.0 * hours
        hours *= 2


def names(nodes: Iterable[str]) -> str:
    """Names in the order given, runs of numbered ones drawn together: ``n1…n4, n7``."""
    runs: list[list[str]] = []
    for node in nodes:
        if runs and _follows(runs[-1][-1], node):
            runs[-1].append(node)
        else:
            runs.append([node])
    told = [f"{run[0]}…{run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs]
    return ", ".join(told)


def _follows(one: str, two: str) -> bool:
    a, b = (re.fullmatch(r"(.*?)(\d+)", n) for n in (one, two))
    return a is not None and b is not None and a[1] == b[1] and int(b[2]) == int(a[2]) + 1


def what(fault: Fault) -> str:
    """The fault with its fields, as a person would write it in full."""
    own = _own(fault)
    said = [
        _value(getattr(fault, name)) if name == fault.short else f"{name}: {_value(getattr(fault, name))}"
        for name in own
    ]
    if isinstance(fault, Targets):
        whom = describe(Targets(**{k: getattr(fault, k) for k in Targets.model_fields}))
        said.append(f"of {whom}" if not whom.startswith("{") else whom)
    return f"{fault.kind} " + ", ".join(said)


def _own(fault: Fault) -> list[str]:
    drawn = {k for k, v in fault if isinstance(v, Range)}
    return [
        k for k in type(fault).model_fields if k in fault.model_fields_set - set(Targets.model_fields) - drawn
    ]


def _value(value: object) -> str:
    if isinstance(value, Targets):
        return describe(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in value if v is not None) + "}"
    return str(value)


def draws(chosen: Chosen) -> list[str]:
    """What was drawn, one text a field: ``offset +30s`` where all have the same, else each by name."""
    told = []
    for name, values in chosen.draws.items():
        unit, sign = UNITS.get(name, ""), "+" if name in SIGNED else ""
        shown = {n: f"{v:{sign}.9g}{unit}" for n, v in values.items()}
        same = set(shown.values())
        told.append(
            f"{name} " + (same.pop() if len(same) == 1 else ", ".join(f"{n} {v}" for n, v in shown.items()))
        )
    return told


def whom(trial: Trial, plan: Plan) -> list[str]:
    """Who is hit, in full: the sides where there are some, else the targets."""
    nodes = len(plan.nodes)
    lines = [f"{side} ({len(members)}): {names(members)}" for side, members in trial.chosen.sides.items()]
    if not lines or "rest" in trial.chosen.sides:
        lines.insert(0, f"hits {len(trial.chosen.targets)} of {nodes}: {names(trial.chosen.targets)}")
    return lines + draws(trial.chosen)


def lasts(trial: Trial) -> str:
    """From when to when a trial lasts, and how long."""
    if trial.fault.momentary and trial.end_s == trial.start_s and not trial.pending:
        return f"at {time(trial.start_s)}"
    if trial.pending:
        more = sum(map(len, trial.pending))
        return f"from {time(trial.start_s)}, then {more} more one after another"
    if trial.end_s is None:
        return f"from {time(trial.start_s)} to the end of the run"
    return f"from {time(trial.start_s)} to {time(trial.end_s)} ({time(trial.end_s - trial.start_s)})"


def manner(step: Step) -> list[str]:
    """The step's modifiers, with protocol time as written; what a trial's times do not show by themselves."""
    told = []
    if step.onset:
        told.append(f"onset over {step.onset.over}, {step.onset.order}")
    if step.heal:
        told.append(f"heal over {step.heal.over}, {step.heal.order}")
    if step.roll:
        every = f"every {step.roll.every}" if step.roll.every else "each once its condition holds"
        told.append(
            f"rolling, {step.roll.batch} at a time, {every}"
            + (f", at most {step.roll.within}" if step.roll.within else "")
        )
    if step.flap:
        told.append(f"on for {step.flap.lasting} every {step.flap.every}")
    if step.repeat:
        told.append(
            f"{step.repeat.times} times, every {step.repeat.every}"
            + (", drawn anew" if step.repeat.redraw else "")
        )
    if step.until is not None:
        told.append("or until its condition holds")
    return told


def sizes(members: Sequence[frozenset[str]]) -> str:
    """Sizes of components, equal ones drawn together: ``5, 4``, ``96, 4×1`` (four of one node)."""
    told: list[list[int]] = []
    for one in members:
        if told and told[-1][0] == len(one):
            told[-1][1] += 1
        else:
            told.append([len(one), 1])
    return ", ".join(f"{n}×{size}" if n > 2 else ", ".join([str(size)] * n) for size, n in told) or "none"
