"""Values that scenario text is made of: durations, moments, amounts, bounds, quantities and target fields.

Each has one regular expression, used for reading and in the JSON Schema alike. A value knows how to write
itself back (``str``). Nothing here knows a network: protocol time becomes seconds, and amounts become
counts, elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

NAME = r"[a-z][a-z0-9_-]*"
NUMBER = r"\d+(?:\.\d+)?"
CLOCK_UNITS: Mapping[str, float] = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
ENGLISH = r"secs?|seconds?|mins?|minutes?|hours?|hrs?|millis|milliseconds?|msecs?"
"""Words for units of the clock that are not how a duration is written."""

DURATION = rf"{NUMBER}(?:ms|s|m|h| ?[a-z][a-z_]+)"
MOMENT = (
    rf"(?:{DURATION}|(?:next [a-z]+|[a-z]+ \d+|end of {NAME}(?:\.\d+)?|{NAME}(?:\.\d+)?)"
    rf"(?: [+-] {DURATION})?)"
)
AMOUNT = rf"(?:\d+|{NUMBER}%|minority|majority|f|f\+1|rest)"
BOUND = r"[a-z][a-z0-9_]*(?: *(?:>=|<=|==|!=|>|<) *[^\s<>=!].*)?"


def problem(code: str, message: str, **context: Any) -> PydanticCustomError:
    """A problem of one value, in words that name what was expected."""
    return PydanticCustomError(code, message, context)


@dataclass(frozen=True)
class Duration:
    """A length of time: ``value`` in ``unit`` (ms, s, m, h, or a unit of the network's protocol such as
    ``layer``).
    """

    value: float
    unit: str = "s"

    @property
    def is_protocol(self) -> bool:
        """Whether the unit belongs to the network's protocol."""
        return self.unit not in CLOCK_UNITS

    def seconds(self, units: Mapping[str, float] | None = None) -> float:
        """Length in seconds; ``units`` gives the length in seconds of each protocol unit.

        Raises KeyError with the unit's name where the unit is not known.
        """
        if self.unit in CLOCK_UNITS:
            return self.value * CLOCK_UNITS[self.unit]
        known = units or {}
        for name in (self.unit, self.unit.removesuffix("s")):
            if name in known:
                return self.value * known[name]
        raise KeyError(self.unit)

    def __str__(self) -> str:
        number = f"{self.value:.12g}"
        return f"{number} {self.unit}" if self.is_protocol else f"{number}{self.unit}"


@dataclass(frozen=True)
class Moment:
    """A point of the timeline: an anchor and a signed distance from it.

    ``anchor`` is ``steady`` (t = 0), ``start`` or ``end`` (of step ``name``), ``next`` (boundary of unit
    ``name``) or ``nth`` (boundary ``number`` of unit ``name``).
    """

    anchor: Literal["steady", "start", "end", "next", "nth"]
    name: str = ""
    number: int = 0
    plus: Duration = Duration(0)
    sign: Literal[1, -1] = 1

    def __str__(self) -> str:
        if self.anchor == "steady":
            return str(self.plus)
        base = {"start": self.name, "end": f"end of {self.name}", "next": f"next {self.name}"}.get(
            self.anchor, f"{self.name} {self.number}"
        )
        return base if not self.plus.value else f"{base} {'+' if self.sign > 0 else '-'} {self.plus}"


@dataclass(frozen=True)
class Amount:
    """How many of a set: a count, a share of it, or a word that hangs on its size or on the quorum."""

    kind: Literal["count", "percent", "minority", "majority", "f", "f+1", "rest"]
    value: float = 0

    def __str__(self) -> str:
        if self.kind == "count":
            return f"{self.value:g}"
        return f"{self.value:g}%" if self.kind == "percent" else self.kind


Operator = Literal[">", ">=", "<", "<=", "==", "!="]


@dataclass(frozen=True)
class Bound:
    """``fact op value``; a bare fact has ``op`` None and asks whether the fact is true.

    ``value`` is a number (int or float), a Duration, or text.
    """

    fact: str
    op: Operator | None = None
    value: int | float | str | Duration | None = None
    negated: bool = False

    def __str__(self) -> str:
        text = self.fact if self.op is None else f"{self.fact} {self.op} {self.value}"
        return f"not {text}" if self.negated else text


@dataclass(frozen=True)
class Range:
    """A quantity drawn evenly between ``low`` and ``high`` (both in the quantity's unit); equal ends are
    one value.
    """

    low: float
    high: float

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to draw."""
        return self.low == self.high


def parse_duration(value: Any) -> Duration:
    """Read ``500ms``, ``10s``, ``2m``, ``1h``, ``2 layers``; raises a problem that says how to write it."""
    if isinstance(value, Duration):
        return value
    if isinstance(value, str):
        if m := re.fullmatch(rf"({NUMBER})(ms|s|m|h)", value):
            return Duration(float(m[1]), m[2])
        m = re.fullmatch(rf"({NUMBER}) ([a-z][a-z_]*)", value)
        if m is not None and not re.fullmatch(ENGLISH, m[2]):
            if m[2] in {"block", "blocks", "height", "heights"}:
                raise problem(
                    "counted",
                    "{v} counts blocks, and a halted chain never gets there: write a time, "
                    "or 'until: height >= N' beside 'for'",
                    v=repr(value),
                )
            if m[2] not in {"ms", "s", "m", "h"}:
                return Duration(float(m[1]), m[2])
    hint = ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        hint = f" (did you mean {value:g}s?)"
    elif isinstance(value, str) and (m := re.fullmatch(rf"({NUMBER}) ?({ENGLISH})", value)):
        hint = f" (did you mean {m[1]}{'ms' if m[2].startswith(('milli', 'ms')) else m[2][0]}?)"
    raise problem(
        "duration",
        "{v} is not a time: write 500ms, 10s, 2m, 1h or protocol time such as '2 layers'{hint}",
        v=shown(value),
        hint=hint,
    )


def parse_moment(value: Any) -> Moment:
    """Read a duration since the steady state, ``STEP``, ``end of STEP``, ``next epoch`` or ``epoch 3``,
    with ± a duration.
    """
    if isinstance(value, Moment):
        return value
    if isinstance(value, str):
        m = re.fullmatch(rf"(.+?) ([+-]) ({NUMBER}(?:ms|s|m|h| [a-z][a-z_]*))", value)
        base, sign, plus = (m[1], m[2], parse_duration(m[3])) if m else (value, "+", Duration(0))
        s: Literal[1, -1] = 1 if sign == "+" else -1
        if n := re.fullmatch(rf"end of ({NAME}(?:\.\d+)?)", base):
            return Moment("end", n[1], plus=plus, sign=s)
        if n := re.fullmatch(r"next ([a-z]+)", base):
            return Moment("next", n[1], plus=plus, sign=s)
        if n := re.fullmatch(r"([a-z]+) (\d+)", base):
            return Moment("nth", n[1], int(n[2]), plus=plus, sign=s)
        if re.fullmatch(rf"{NAME}(?:\.\d+)?", base):
            return Moment("start", base, plus=plus, sign=s)
        if m is None and re.match(r"\d", base):
            return Moment("steady", plus=parse_duration(base))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return Moment("steady", plus=parse_duration(value))
    raise problem(
        "moment",
        "{v} is not a moment: write 10s (since the steady state), split + 5s, end of split + 10s, "
        "next epoch or epoch 3",
        v=shown(value),
    )


def parse_amount(value: Any) -> Amount:
    """Read ``3``, ``30%``, ``minority``, ``majority``, ``f``, ``f+1`` (``rest`` only where sides are
    listed).
    """
    if isinstance(value, Amount):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Amount("count", value)
    if isinstance(value, str):
        if m := re.fullmatch(rf"({NUMBER})%", value):
            if float(m[1]) > 100:
                raise problem("amount", "{v} is more than all of them", v=repr(value))
            return Amount("percent", float(m[1]))
        if value in ("minority", "majority", "f", "f+1", "rest"):
            return Amount(value)  # type: ignore[arg-type]
    raise problem(
        "amount", "{v} is not an amount: write 3, 30%, minority, majority, f or f+1", v=shown(value)
    )


def parse_bound(value: Any) -> Bound:
    """Read ``height >= 100``, ``finality_age > 10m``, ``synced``, ``{not: synced}``."""
    if isinstance(value, Bound):
        return value
    if isinstance(value, dict) and list(value) == ["not"]:
        inner = parse_bound(value["not"])
        return Bound(inner.fact, inner.op, inner.value, not inner.negated)
    if isinstance(value, str):
        if m := re.fullmatch(r"([a-z][a-z0-9_]*) *(>=|<=|==|!=|>|<) *([^\s<>=!].*)", value):
            return Bound(m[1], m[2], _bound_value(m[3].strip()))  # type: ignore[arg-type]
        if re.fullmatch(r"[a-z][a-z0-9_]*", value):
            return Bound(value)
    raise problem(
        "bound",
        "{v} is not a bound: write 'height >= 100', 'finality_age > 10m' or a yes/no fact by its name",
        v=shown(value),
    )


def _bound_value(text: str) -> int | float | str | Duration:
    if re.fullmatch(r"[-+]?\d+", text):
        return int(text)
    if re.fullmatch(r"[-+]?\d+\.\d+", text):
        return float(text)
    if re.fullmatch(rf"{NUMBER}(?:ms|s|m|h)", text) or re.fullmatch(rf"{NUMBER} [a-z][a-z_]*", text):
        return parse_duration(text)
    return text


def _ranged(one: str, read: Callable[[str], float], code: str, how: str) -> Callable[[Any], Range]:
    def parse(value: Any) -> Range:
        if isinstance(value, Range):
            return value
        if isinstance(value, str):
            if re.fullmatch(one, value):
                return Range(read(value), read(value))
            ends = value.split("..")
            if len(ends) == 2 and all(re.fullmatch(one, e) for e in ends):
                low, high = (read(e) for e in ends)
                if low > high:
                    raise problem(code, "{v} is empty: the lower end comes first", v=repr(value))
                return Range(low, high)
        raise problem(code, "{v} is not " + how, v=shown(value))

    return parse


OFFSET = rf"[-+]{NUMBER}(?:ms|s|m|h)"
DRIFT = rf"[-+]{NUMBER}ppm"


def _signed_seconds(text: str) -> float:
    m = re.fullmatch(rf"([-+])({NUMBER})(ms|s|m|h)", text)
    assert m
    return (1 if m[1] == "+" else -1) * float(m[2]) * CLOCK_UNITS[m[3]]


parse_offset = _ranged(
    OFFSET,
    _signed_seconds,
    "offset",
    "a clock offset: write it with sign and unit, +30s, -200ms or a range -2s..+2s",
)
parse_drift = _ranged(
    DRIFT,
    lambda t: float(t.removesuffix("ppm")),
    "drift",
    "a drift: write it with sign and unit, +500ppm or a range",
)


def shown(value: Any) -> str:
    """A value as a person wrote it, short enough for a message."""
    if value is None:
        return "nothing"
    text = (
        {True: "true", False: "false"}[value]
        if isinstance(value, bool)
        else (
            f"'{value}'"
            if isinstance(value, str)
            else f"{value}"
            if isinstance(value, int | float)
            else "a mapping"
            if isinstance(value, dict)
            else "a list"
            if isinstance(value, list)
            else str(value)
        )
    )
    return text if len(text) <= 60 else text[:57] + ("...'" if text.startswith("'") else "...")


def _field(parse: Callable[[Any], Any], schema: dict[str, Any]) -> Any:
    return (BeforeValidator(parse), WithJsonSchema(schema))


def _pattern(expression: str, example: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{expression}$", "examples": [example]}


DurationField = Annotated[Duration, *_field(parse_duration, _pattern(DURATION, "10s"))]
MomentField = Annotated[Moment, *_field(parse_moment, _pattern(MOMENT, "end of split + 10s"))]
AmountField = Annotated[
    Amount, *_field(parse_amount, {"anyOf": [{"type": "integer", "minimum": 0}, _pattern(AMOUNT, "30%")]})
]
BoundField = Annotated[
    Bound,
    *_field(
        parse_bound,
        {
            "anyOf": [
                _pattern(BOUND, "height >= 100"),
                {
                    "type": "object",
                    "required": ["not"],
                    "additionalProperties": False,
                    "properties": {"not": _pattern(BOUND, "leader")},
                },
            ]
        },
    ),
]
OffsetField = Annotated[Range, *_field(parse_offset, _pattern(rf"{OFFSET}(?:\.\.{OFFSET})?", "+30s"))]
DriftField = Annotated[Range, *_field(parse_drift, _pattern(rf"{DRIFT}(?:\.\.{DRIFT})?", "+500ppm"))]


parse_strobe = _ranged(
    NUMBER + "(?:ms|s|m|h)",
    lambda t: _signed_seconds("+" + t),
    "strobe",
    "a strobe: write how far the clock jumps, 200ms or a range 100ms..300ms",
)
StrobeField = Annotated[
    Range, *_field(parse_strobe, _pattern(rf"{NUMBER}(?:ms|s|m|h)(?:\.\.{NUMBER}(?:ms|s|m|h))?", "200ms"))
]


def as_list(value: Any) -> Any:
    """One item needs no brackets."""
    return list(value) if isinstance(value, list | tuple) else [value]


NamesField = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda v: tuple(as_list(v))),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Values(BaseModel):
    """Base of all that is read from scenario text: frozen, no unknown keys, aliases as written."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True
    )


class Targets(Values):
    """Whom something concerns. The fields narrow in this order: of, zone, host, label, where, but, pick.

    ``of`` names nodes, groups, ``nodes`` (all), a step (whom it hit) or a side of one (``split.a``).
    ``where`` compares a fact (``height >= 100``) when the step is decided, ``but`` leaves out, ``pick`` draws
    an amount by the seed (``by: stake``: that share of the stake).
    """

    of: NamesField | None = None
    zone: NamesField | None = None
    host: NamesField | None = None
    label: dict[str, str] | None = None
    where: BoundField | None = None
    but: NamesField | None = None
    pick: AmountField | None = None
    by: Literal["stake"] | None = None


def as_targets(value: Any) -> Any:
    """A set of nodes where a second one is needed: a name and a list are short for ``of``."""
    if isinstance(value, str) or (
        isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value)
    ):
        return Targets(of=tuple(as_list(value)))
    if isinstance(value, dict | Targets):
        return value
    raise problem(
        "set",
        "{v} is not a set of nodes: write a name, a list of names, or {{of: …, zone: …}}",
        v=shown(value),
    )


class _SetSchema:
    """The JSON Schema of a set of nodes: a name, a list, or the mapping."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        name = {"type": "string"}
        return {"anyOf": [name, {"type": "array", "items": name}, handler(core)]}


SetField = Annotated[Targets, BeforeValidator(as_targets), _SetSchema()]
"""``peers``, ``from``, ``to``, ``between`` and a side: a name, a list of names, or a mapping of target
fields.
"""
