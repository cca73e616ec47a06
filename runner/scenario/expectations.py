"""Expectations: a phase of the trial, and what must hold in it; and when to abort.

Belongs here: the fields of one expectation. Whether the steps they name exist and last is checked in
``names`` and ``times``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from faults.fields import NAME, Duration, DurationField, NamesField, shown
from runner.predicates.share import PercentField
from runner.scenario.mentions import Context, collect
from runner.scenario.model import Abort, Expectation
from runner.scenario.predicates import read_that
from runner.scenario.problems import Loc, misspelt
from runner.scenario.reading import Fields, fill, keys_of
from runner.scenario.steps import NameField, ThatField

Phase = Literal["before", "during", "after", "always"]
PHASES: tuple[Phase, ...] = ("before", "during", "after", "always")
StepReference = Annotated[str, Field(pattern=rf"^{NAME}(?:\.\d+)?$")]


class ExpectationFields(Fields):
    """An expectation: exactly one phase, what must hold (``that``), and how patiently.

    ``before: faults``: the steady state, waited for at most ``within`` (60s); when it has held for ``hold``
    the timeline begins. ``during: STEP``: while the fault is in force, ``within`` after it began to be.
    ``after: STEP`` (or ``faults``: the last one's end): it must begin to hold ``within`` that time and then
    for ``hold`` (3s). ``always: that``: from the steady state to the end. ``missing: 10%`` forgives that
    share of samples that could not be taken, never one that violates. ``despite`` names steps that may begin
    while the recovery is awaited.
    """

    before: Literal["faults"] | None = None
    during: StepReference | None = None
    after: StepReference | None = None
    always: ThatField = None
    that: ThatField = None
    within: DurationField | None = None
    hold: DurationField | None = None
    missing: PercentField = 0.0
    name: NameField | None = None
    despite: NamesField | None = None


_KEYS = keys_of(ExpectationFields)


class AbortFields(Fields):
    """When to heal at once and end the trial: when ``when`` has held for ``hold``. The exit code is 4."""

    when: ThatField
    hold: DurationField = Duration(0)


@dataclass(frozen=True)
class Expected:
    """An expectation that was read, with its place; ``made`` is None where it is not usable."""

    loc: Loc
    phase: Phase
    raw: Mapping[str, Any]
    made: Expectation | None


def read_expectation(raw: Any, loc: Loc, context: Context, line: int) -> Expected | None:
    """The expectation at ``loc``; its name is empty where the author gave none."""
    if not isinstance(raw, dict):
        context.report.add(loc, "an expectation is a mapping: {after: split, within: 15s, that: connected}")
        return None
    fields = fill(ExpectationFields, raw, loc, context.report, what="an expectation")
    phase = _phase(raw, loc, context)
    if phase is None:
        if raw.get("that") is not None:
            read_that(raw["that"], (*loc, "that"), context)
        return None
    key = "always" if phase == "always" else "that"
    that = None
    if raw.get(key) is not None:
        that = read_that(raw[key], (*loc, key), context)
    elif key not in raw and not misspelt(key, raw, _KEYS):
        context.report.add(
            loc, f"'that' is missing: what must hold {phase} {shown(raw[phase]).strip(chr(39))}?"
        )
    if fields is None:
        return Expected(loc, phase, raw, None)
    collect(fields, raw, loc, context)
    _fields_of_phase(phase, raw, loc, context)
    of = "" if phase == "always" else str(getattr(fields, phase) or "")
    if phase in ("during", "after") and of:
        context.mention("step", of, (*loc, phase))
    for index, name in enumerate(fields.despite or ()):
        context.mention("step", name, (*loc, "despite", index))
    if that is None or (not of and phase != "always"):
        return Expected(loc, phase, raw, None)
    made = Expectation(
        fields.name or "",
        phase,
        that,
        of,
        fields.within,
        fields.hold,
        fields.missing,
        fields.despite or (),
        line,
    )
    return Expected(loc, phase, raw, made)


def _phase(raw: Mapping[str, Any], loc: Loc, context: Context) -> Phase | None:
    named = [k for k in raw if k in PHASES]
    for extra in named[1:]:
        context.report.add((*loc, extra), f"one phase an expectation, not {named[0]} and {extra}", key=True)
    if not named and any(misspelt(p, raw, _KEYS) for p in PHASES):
        return None
    if not named:
        context.report.add(loc, "an expectation needs a phase: before, during, after or always")
        return None
    return next(p for p in PHASES if p == named[0])


def _fields_of_phase(phase: Phase, raw: Mapping[str, Any], loc: Loc, context: Context) -> None:
    def bad(key: str, message: str) -> None:
        context.report.add((*loc, key), message, key=True)

    if phase == "always":
        for key in ("that", "within", "hold"):
            if key in raw:
                bad(
                    key,
                    f"'always' takes no '{key}': what must hold stands behind 'always' and holds all along",
                )
    elif phase == "after" and "within" not in raw and not misspelt("within", raw, _KEYS):
        bad("after", "'after' needs 'within': how long recovery may take")
    elif phase == "during" and raw.get("during") == "faults":
        bad("during", "'during' needs a step's name: 'faults' has no beginning of its own")
    if phase != "after" and "despite" in raw:
        bad("despite", "'despite' belongs to 'after': faults that may begin while recovery is awaited")


def read_abort(raw: Any, loc: Loc, context: Context) -> Abort | None:
    """One condition under which the trial is ended."""
    if not isinstance(raw, dict):
        context.report.add(loc, "an abort condition is a mapping: {when: height < 3, hold: 30s}")
        return None
    fields = fill(AbortFields, raw, loc, context.report, what="'abort'")
    when = read_that(raw["when"], (*loc, "when"), context) if raw.get("when") is not None else None
    if fields is None or when is None:
        return None
    collect(fields, raw, loc, context)
    return Abort(when, fields.hold)


def named(expectations: list[Expected]) -> tuple[Expectation, ...]:
    """The usable expectations, each with a name: its own, or one made from its phase (``after split``,
    ``after split 2``).
    """
    from dataclasses import replace

    taken = {e.made.name for e in expectations if e.made is not None and e.made.name}
    out = []
    for one in expectations:
        if one.made is None:
            continue
        name = one.made.name or f"{one.phase} {one.made.of}".strip()
        number = 2
        base = name
        while not one.made.name and name in taken:
            name, number = f"{base} {number}", number + 1
        taken.add(name)
        out.append(replace(one.made, name=name))
    return tuple(out)


def is_trial(name: str) -> tuple[str, int | None]:
    """A step's name and the number of its trial: ``split.2`` is ``("split", 2)``."""
    found = re.fullmatch(rf"({NAME})\.(\d+)", name)
    return (found[1], int(found[2])) if found else (name, None)
