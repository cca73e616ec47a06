"""A plan for people and machines: as text, as a drawing, as plain data. Pure; nothing is started to make
them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from faults.model import Status
from runner.plan import make, wording
from runner.plan.changes import changes, phases
from runner.plan.drawing import svg
from runner.plan.model import Phase, Plan, Trial
from runner.plan.windows import Window, trial_windows

__all__ = ["as_json", "svg", "text"]

MOST_PHASES = 60
NARROWEST = 80


def text(plan: Plan, width: int = 100) -> str:
    """The plan as plain text that fits ``width`` columns (80 at least): who is hit, the timeline, the
    phases, the warnings.
    """
    width = max(width, NARROWEST)
    parts = [
        f"{plan.scenario.name}: {len(plan.nodes)} nodes, seed {plan.seed}",
        *_section("who is hit, and when", list(_chosen(plan, width))),
        *_section("timeline", list(_timeline(plan, width))),
        *_section("what is predicted", list(_phases(plan, width))),
        *_section("warnings", [line for w in plan.warnings for line in _wrapped(w, "  ! ", width)]),
    ]
    return "\n".join(line.rstrip() for line in parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *lines] if lines else []


def _wrapped(words: str, indent: str, width: int) -> list[str]:
    return textwrap.wrap(
        words, width, initial_indent=indent, subsequent_indent=" " * len(indent), break_on_hyphens=False
    )


def _chosen(plan: Plan, width: int) -> Iterator[str]:
    for step in plan.scenario.timeline:
        trials = [t for t in plan.trials if t.step == step.name]
        yield from _wrapped(f"{step.name}: {wording.what(step.fault)}", "  ", width)
        manner = wording.manner(step)
        if step.name in plan.open_steps:
            yield from _wrapped(f"open: waits for {make.why_open(plan, step.name)}", "      ", width)
        elif manner and len(trials) > 1:
            yield from _wrapped("; ".join(manner), "      ", width)
        redrawn = step.repeat is not None and step.repeat.redraw
        for number, trial in enumerate(trials):
            own = f"{trial.name} " if step.repeat is not None else ""
            times = wording.lasts(trial) + ("; " + "; ".join(manner) if manner and len(trials) == 1 else "")
            yield from _wrapped(own + times, "      ", width)
            if number == 0 or redrawn:
                for line in wording.whom(trial, plan):
                    yield from _wrapped(line, "      ", width)


@dataclass(frozen=True)
class _Scale:
    """How instants become columns."""

    label: int
    columns: int
    end_s: float

    def column(self, at_s: float) -> int:
        return min(self.columns, max(0, round(at_s / self.end_s * self.columns)))


def _timeline(plan: Plan, width: int) -> Iterator[str]:
    """One line a step: the bar is full where all of it is on, grey where a part is; below, the windows of
    expectations.
    """
    if not plan.trials:
        return
    rows = [s for s in plan.scenario.timeline if any(t.step == s.name for t in plan.trials)]
    windows = _windows(plan)
    label = min(24, max(len(n) for n in [*(s.name for s in rows), *(w.expectation for w in windows)]))
    scale = _Scale(label, width - label - 4, _horizon(plan, windows))
    yield " " * (label + 4) + _axis(scale)
    for step in rows:
        bar = [" "] * (scale.columns + 1)
        for trial in plan.trials:
            if trial.step == step.name:
                _draw(bar, trial, scale)
        yield f"  {_fit(step.name, label)}  {''.join(bar[: scale.columns])}"
    for name in dict.fromkeys(w.expectation for w in windows):
        bar = [" "] * (scale.columns + 1)
        for window in windows:
            if window.expectation == name:
                _bracket(bar, window, scale)
        yield f"  {_fit(name, label)}  {''.join(bar[: scale.columns])}"


def _fit(name: str, width: int) -> str:
    return (name if len(name) <= width else name[: width - 1] + "…").ljust(width)


def _windows(plan: Plan) -> list[Window]:
    return [
        w
        for e in plan.scenario.expect
        if e.phase in ("during", "after")
        for w in trial_windows(plan, e)
        if not w.empty
    ]


def _horizon(plan: Plan, windows: Sequence[Window]) -> float:
    """The instant at which the picture ends: the last end of a fault or a window, and a little more."""
    known = [e for t in plan.trials for e in (t.start_s, t.end_s) if e is not None]
    known += [w.closes_s for w in windows if w.closes_s is not None]
    return max(1.0, max(known) * 1.02)


def _axis(scale: _Scale) -> str:
    step = next(s for s in wording.round_steps() if s / scale.end_s * scale.columns >= 12)
    line = [" "] * (scale.columns + 12)
    count = 0
    while count * step <= scale.end_s:
        mark = "|" + wording.time(count * step)
        at = scale.column(count * step)
        if at + len(mark) <= scale.columns:
            line[at : at + len(mark)] = mark
        count += 1
    return "".join(line).rstrip()


def _draw(bar: list[str], trial: Trial, scale: _Scale) -> None:
    end = scale.end_s if trial.end_s is None else trial.end_s
    if not trial.fault.momentary:
        for i in range(scale.column(trial.start_s), scale.column(end)):
            bar[i] = "·"
    whole = len(trial.fault.units(trial.chosen)) if any(s.units is not None for s in trial.spans) else 0
    for i in range(scale.columns):
        low, high = i / scale.columns * scale.end_s, (i + 1) / scale.columns * scale.end_s
        middle = (low + high) / 2
        here = [
            s
            for s in trial.spans
            if s.start_s < high and (s.end_s is None or s.end_s > low or s.start_s >= low)
        ]
        if trial.fault.momentary:
            if any(low <= s.start_s < high for s in here):
                bar[i] = "▲"
            continue
        on = [s for s in here if s.start_s <= middle and (s.end_s is None or s.end_s > middle)]
        count = sum(len(s.units) if s.units is not None else whole or 1 for s in on)
        if count:
            bar[i] = "█" if count >= max(whole, 1) else "▒"
        elif here and any(low <= s.start_s < high for s in here):
            bar[i] = "▌"


def _bracket(bar: list[str], window: Window, scale: _Scale) -> None:
    first = scale.column(window.opens_s)
    last = scale.columns - 1 if window.closes_s is None else max(first, scale.column(window.closes_s) - 1)
    last = min(last, scale.columns - 1)
    for i in range(first, last + 1):
        bar[i] = "─"
    bar[min(first, scale.columns - 1)] = "├"
    if last > first and window.closes_s is not None:
        bar[last] = "┤"


def _phases(plan: Plan, width: int) -> Iterator[str]:
    rows = list(_joined(phases(plan)))
    yield f"  {'from':>9} {'to':>9}  {'parts':<6}{'sizes':<16}{'quorum':<16}not well; faults"
    for phase in rows[:MOST_PHASES]:
        end = "end" if phase.end_s is None else wording.time(phase.end_s)
        head = (
            f"  {wording.time(phase.start_s):>9} {end:>9}  {len(phase.components):<6}"
            f"{_cut(wording.sizes(phase.components), 15):<16}{_cut(_quorum(phase, plan), 15):<16}"
        )
        unwell = _unwell(phase)
        said = "; ".join([*unwell, ", ".join(phase.active)] if phase.active else unwell)
        yield from textwrap.wrap(
            head + (said or "–"),
            width,
            subsequent_indent=" " * 60,
            drop_whitespace=False,
            break_on_hyphens=False,
        )
    if len(rows) > MOST_PHASES:
        yield f"  … and {len(rows) - MOST_PHASES} more"


def _cut(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"


def _joined(found: Sequence[Phase]) -> Iterator[Phase]:
    """Phases that differ in nothing that is shown, as one."""
    last: Phase | None = None
    for phase in found:
        if last is not None and _same(last, phase):
            last = Phase(last.start_s, phase.end_s, last.model, last.active, last.components, last.quorate)
            continue
        if last is not None:
            yield last
        last = phase
    if last is not None:
        yield last


def _same(one: Phase, two: Phase) -> bool:
    return (one.active, one.components, _unwell(one)) == (two.active, two.components, _unwell(two))


def _quorum(phase: Phase, plan: Plan) -> str:
    stake = {n.name: n.stake for n in plan.nodes}
    total = sum(stake[n] for n in phase.model.nodes)
    if not phase.quorate:
        return f"none of {total:g}"
    return f"{sum(stake[n] for n in phase.quorate[0]):g} of {total:g}"


def _unwell(phase: Phase) -> list[str]:
    """How many nodes are down, paused, or have a wrong clock."""
    status = [phase.model.status_of(n).status for n in phase.model.nodes]
    counts = {
        "down": status.count(Status.DOWN),
        "paused": status.count(Status.PAUSED),
        "with a wrong clock": sum(1 for n in phase.model.nodes if n in phase.model.clocks),
    }
    return [f"{count} {how}" for how, count in counts.items() if count]


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data: choices, spans, changes, predicted phases, windows, what is open, warnings.
    Times in seconds.
    """
    return {
        "scenario": plan.scenario.name,
        "seed": plan.seed,
        "nodes": [n.name for n in plan.nodes],
        "trials": [_trial(t) for t in plan.trials],
        "open": [{"step": s, "waits_for": make.why_open(plan, s)} for s in plan.open_steps],
        "changes": [
            {
                "at_s": c.at_s,
                "key": c.key,
                "starts": list(c.starts),
                "ends": list(c.ends),
                "events": list(c.events),
            }
            for c in changes(plan)
        ],
        "phases": [
            {
                "start_s": p.start_s,
                "end_s": p.end_s,
                "active": list(p.active),
                "components": [_ordered(c, plan) for c in p.components],
                "quorate": [_ordered(c, plan) for c in p.quorate],
                "state": p.model.describe(),
            }
            for p in phases(plan)
        ],
        "windows": [
            {"expectation": w.expectation, "trial": w.trial, "opens_s": w.opens_s, "closes_s": w.closes_s}
            for e in plan.scenario.expect
            for w in trial_windows(plan, e)
        ],
        "warnings": list(plan.warnings),
    }


def _ordered(members: frozenset[str], plan: Plan) -> list[str]:
    return [n.name for n in plan.nodes if n.name in members]


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "step": trial.step,
        "name": trial.name,
        "kind": trial.kind,
        "what": wording.what(trial.fault),
        "targets": list(trial.chosen.targets),
        "sides": {k: list(v) for k, v in trial.chosen.sides.items()},
        "draws": {k: dict(v) for k, v in trial.chosen.draws.items()},
        "start_s": trial.start_s,
        "end_s": trial.end_s,
        "heals_s": trial.heals_s,
        "spans": [
            [s.start_s, s.end_s, None if s.units is None else [_unit(u) for u in sorted(s.units, key=str)]]
            for s in trial.spans
        ],
    }


def _unit(unit: str | tuple[str, str]) -> Any:
    return unit if isinstance(unit, str) else list(unit)
