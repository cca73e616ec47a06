"""Steps of the timeline: one fault each, when it begins, how long it lasts, and what modifies it.

Belongs here: the fields of a step and what must hold within one step. What concerns several steps is
checked in ``names`` and ``times``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from faults.fields import (
    DURATION,
    Duration,
    DurationField,
    MomentField,
    Targets,
    parse_duration,
    parse_moment,
    problem,
)
from runner.scenario import later
from runner.scenario.mentions import Context, collect
from runner.scenario.model import Flap, Repeat, Roll, Spread, Step, That
from runner.scenario.predicates import read_that
from runner.scenario.problems import Loc, misspelt, nearest_or_all
from runner.scenario.reading import Fields, fill, keys_of

NAME = r"[a-z][a-z0-9_-]*"
NameField = Annotated[str, Field(pattern=f"^{NAME}$")]
ThatField = Annotated[Any, WithJsonSchema({"title": "that"})]


def _lasting(value: Any) -> Any:
    return "rest" if value == "rest" else parse_duration(value)


def _moment(value: Any) -> Any:
    if isinstance(value, str) and value[:1].isdigit() and (" + " in value or " - " in value):
        raise problem(
            "moment",
            "{v} has two parts: a time since the steady state is one, such as 15s; or write STEP + 5s",
            v=repr(value),
        )
    return parse_moment(value)


LastingField = Annotated[
    Duration | Literal["rest"],
    BeforeValidator(_lasting),
    WithJsonSchema({"type": "string", "pattern": f"^(?:{DURATION}|rest)$", "examples": ["20s", "rest"]}),
]
StartField = Annotated[MomentField, BeforeValidator(_moment)]


class Modifier(Fields):
    """A part of a step that has a short form."""

    short: ClassVar[str | None] = None

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, value: Any) -> Any:
        return value if isinstance(value, dict) or cls.short is None else {cls.short: value}


class RollFields(Modifier):
    """One target after another: a duration, or ``{next: P, within}``; ``batch`` at a time."""

    short: ClassVar[str | None] = "every"
    every: DurationField | None = None
    next: ThatField = None
    within: DurationField | None = None
    batch: Annotated[int, Field(ge=1)] = 1


class SpreadFields(Modifier):
    """Targets come in or go out spread over a time: a duration, or ``{over, order}``."""

    short: ClassVar[str | None] = "over"
    over: DurationField
    order: Literal["random", "listed", "reverse"] = "random"


class FlapFields(Modifier):
    """On and off: a duration (half of it on), or ``{every, for}``."""

    short: ClassVar[str | None] = "every"
    every: DurationField
    for_: DurationField | None = Field(default=None, alias="for")


class RepeatFields(Fields):
    """Trials, one ``every`` so often; ``redraw: true`` chooses anew each time."""

    times: Annotated[int, Field(ge=1, le=1000)]
    every: DurationField
    redraw: bool = False


class StepFields(Fields):
    """What any step may carry beside its fault.

    It begins ``at`` a moment, or ``when`` a predicate holds (waited for at most ``within``), and lasts
    ``for`` a duration, ``for: rest`` to the end, or ``until`` a predicate holds. Units (nodes, or links) come
    in and go out one by one with ``roll``, ``onset`` and ``heal``; ``flap`` is on and off, ``repeat`` is
    several trials. ``name`` is what others call it (``end of split``); without one it is made of the kind.
    """

    name: NameField | None = None
    at: StartField | None = None
    when: ThatField = None
    within: DurationField | None = None
    for_: LastingField | None = Field(default=None, alias="for")
    until: ThatField = None
    roll: RollFields | None = None
    onset: SpreadFields | None = None
    heal: SpreadFields | None = None
    flap: FlapFields | None = None
    repeat: RepeatFields | None = None


STEP_KEYS = frozenset(keys_of(StepFields))


@dataclass(frozen=True)
class Draft:
    """A step that was read, with what is needed to check it against others. ``step`` is None where it is not
    usable.
    """

    index: int
    loc: Loc
    name: str
    kind: str
    raw: Mapping[str, Any]
    step: Step | None
    momentary: bool = False


def kind_of(raw: Mapping[str, Any], context: Context) -> str:
    """The fault that a step names, empty if none does."""
    return next((k for k in raw if k in context.faults or k in later.FAULTS), "")


def read_step(raw: Any, loc: Loc, name: str, index: int, context: Context, line: int) -> Draft | None:
    """The step at ``loc``, called ``name``; problems go to the context's report."""
    if not isinstance(raw, dict):
        context.report.add(loc, "a step is a mapping: {at: 10s, for: 20s, partition: halves}")
        return None
    kind = _one_fault(raw, loc, context)
    context.step = index
    fields = fill(StepFields, {k: v for k, v in raw.items() if k in STEP_KEYS}, loc, context.report)
    cls = context.faults.get(kind)
    draft = Draft(index, loc, name, kind, raw, None, cls.momentary if cls else False)
    fault = None
    if cls is not None:
        where = (*loc, kind)
        short = f"fault '{kind}'"
        if cls.short is None and not isinstance(raw[kind], dict):
            own = [key for key in keys_of(cls) if key not in Targets.model_fields]
            context.report.add(where, f"'{kind}' takes a mapping of its fields: {{of, {', '.join(own)}, …}}")
        else:
            fault = fill(cls, raw[kind], where, context.report, what=short)
        if fault is not None:
            collect(fault, raw[kind], where, context)
    if fields is None:
        return draft
    collect(fields, raw, loc, context)
    parts = _modifiers(fields, raw, loc, context)
    one = len([k for k in raw if k in context.faults or k in later.FAULTS]) == 1
    _within_one_step(fields, raw, loc, kind, cls.momentary if cls and one else None, context)
    context.step = -1
    if fault is None:
        return draft
    step = Step(
        name=name,
        kind=kind,
        fault=fault,
        at=fields.at,
        within=fields.within,
        lasting=fields.for_,
        named=fields.name is not None,
        line=line,
        **parts,
    )
    return Draft(index, loc, name, kind, raw, step, draft.momentary)


def _one_fault(raw: Mapping[str, Any], loc: Loc, context: Context) -> str:
    """The step's fault; anything else that is no field of a step is a problem."""
    known = [k for k in raw if k in context.faults or k in later.FAULTS]
    for extra in known[1:]:
        context.report.add(
            (*loc, extra), f"one fault a step, not {known[0]} and {extra}: make two steps", key=True
        )
    if known and known[0] not in context.faults:
        context.report.add((*loc, known[0]), later.not_built(f"fault '{known[0]}'"), key=True)
    odd = [k for k in raw if k not in STEP_KEYS and k not in known]
    for key in odd:
        if known:
            hint = f": a field of '{known[0]}' goes inside it" if _is_field(known[0], key, context) else ""
            context.report.add(
                (*loc, key),
                f"unknown key '{key}' in a step" + (hint or nearest_or_all(key, sorted(STEP_KEYS))),
                key=True,
            )
        else:
            names = sorted({*context.faults, *STEP_KEYS, *later.FAULTS})
            context.report.add(
                (*loc, key),
                f"'{key}' is no fault and no field of a step" + nearest_or_all(key, names),
                key=True,
            )
    if not known and not odd:
        context.report.add(loc, f"a step needs one fault: {', '.join(context.faults)}")
    return known[0] if known else ""


def _is_field(kind: str, key: str, context: Context) -> bool:
    return kind in context.faults and key in keys_of(context.faults[kind])


def _modifiers(fields: StepFields, raw: Mapping[str, Any], loc: Loc, context: Context) -> dict[str, Any]:
    """The parts of a step that are expressions or have short forms, as the model has them."""

    def that(key: str) -> That | None:
        return read_that(raw[key], (*loc, key), context) if raw.get(key) is not None else None

    out: dict[str, Any] = {"when": that("when"), "until": that("until")}
    if fields.roll is not None:
        inner = raw["roll"]
        then = None
        if isinstance(inner, dict) and inner.get("next") is not None:
            then = read_that(inner["next"], (*loc, "roll", "next"), context)
        out["roll"] = Roll(fields.roll.every, then, fields.roll.within, fields.roll.batch)
    for key, spread in (("onset", fields.onset), ("heal", fields.heal)):
        if spread is not None:
            out[key] = Spread(spread.over, spread.order)
    if fields.flap is not None:
        every = fields.flap.every
        out["flap"] = Flap(every, fields.flap.for_ or Duration(every.value / 2, every.unit))
    if fields.repeat is not None:
        out["repeat"] = Repeat(fields.repeat.times, fields.repeat.every, fields.repeat.redraw)
    return out


def _within_one_step(
    fields: StepFields, raw: Mapping[str, Any], loc: Loc, kind: str, momentary: bool | None, context: Context
) -> None:
    """What must hold between the fields of one step."""

    def bad(key: str, message: str) -> None:
        context.report.add((*loc, key), message, key=True)

    known = [*STEP_KEYS, *context.faults, *later.FAULTS]

    def there(key: str) -> bool:
        return key in raw or misspelt(key, raw, known)

    if not there("at") and not there("when"):
        context.report.add(loc, "a step needs 'at' (a moment) or 'when' (a predicate, with 'within')")
    if "when" in raw and not there("within"):
        bad("when", "'when' needs 'within': how long it is waited for, at most")
    if "within" in raw and "when" not in raw:
        bad("within", "'within' belongs to 'when', which this step has not")
    if momentary is True:
        for key in ("for", "until", "flap", "onset", "heal"):
            if key in raw:
                bad(key, f"'{kind}' is over at once: it takes no '{key}'")
    elif momentary is False and not there("for"):
        more = " beside 'until'" if "until" in raw else ""
        context.report.add(
            (*loc, kind), f"'{kind}' lasts: say 'for' how long{more} ('for: rest' to the end)", key=True
        )
    _together(fields, raw, bad)


def _together(fields: StepFields, raw: Mapping[str, Any], bad: Callable[[str, str], None]) -> None:
    """Modifiers that exclude or need each other."""
    for one, other in (
        ("roll", "onset"),
        ("roll", "heal"),
        ("roll", "flap"),
        ("flap", "onset"),
        ("flap", "heal"),
    ):
        if one in raw and other in raw:
            bad(other, f"'{one}' and '{other}' do not go together in one step")
    if fields.roll is not None:
        if (fields.roll.every is None) == (fields.roll.next is None):
            bad("roll", "'roll' needs either a time ('roll: 10s') or 'next' (a predicate) with 'within'")
        elif fields.roll.next is not None and fields.roll.within is None:
            bad("roll", "'roll' with 'next' needs 'within': how long it is waited for, at most")
        elif fields.roll.next is None and fields.roll.within is not None:
            bad("roll", "'within' in 'roll' belongs to 'next', which is not there")
    if fields.for_ == "rest":
        for key in ("heal", "repeat"):
            if key in raw:
                bad(key, f"'{key}' after 'for: rest': the fault never ends")
