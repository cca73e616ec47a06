"""Expressions on the network: what stands in ``that``, ``when``, ``until``, ``next`` and under ``define``.

A bound, a name, ``{name: fact}``, ``{name: {fields}}``, ``{is: …}``, ``{not: …}``, or a list of them.
Which predicates there are is the catalogue's business; whether the names in them exist is checked later.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from pydantic import Field
from pydantic_core import PydanticCustomError

from faults.fields import BoundField, Targets, parse_bound, shown
from runner.predicates.share import ShareField
from runner.scenario import later
from runner.scenario.mentions import Context, collect
from runner.scenario.model import All, Is, Named, Not, That
from runner.scenario.problems import Loc, nearest_or_all
from runner.scenario.reading import Fields, fill

MAX_LEAVES = 1000
MAX_LEVELS = 40
_BARE = re.compile(r"[a-z][a-z0-9_-]*\Z")
_COMPARES = re.compile(r".*(?:[<>]=?|[=!]=)")


class IsFields(Fields, Targets):
    """The fields of ``{is: BOUND, targets, share}``."""

    is_: BoundField = Field(alias="is")
    share: ShareField = "all"


def read_that(raw: Any, loc: Loc, context: Context) -> That | None:
    """The expression at ``loc``; None where something is wrong with it (and reported)."""
    if isinstance(raw, list):
        if not raw:
            context.report.add(loc, "an empty list says nothing: name a predicate")
            return None
        parts = [read_that(one, (*loc, i), context) for i, one in enumerate(raw)]
        return All(tuple(p for p in parts if p is not None)) if None not in parts else None
    if isinstance(raw, str):
        return _text(raw, loc, context)
    if isinstance(raw, dict):
        return _mapping(raw, loc, context)
    context.report.add(
        loc, f"{shown(raw)} is no predicate: write a bound such as 'height >= 100', a name, or {{name: …}}"
    )
    return None


def _text(raw: str, loc: Loc, context: Context) -> That | None:
    if _BARE.match(raw):
        if raw in context.defined:
            return _defined(raw, loc, context)
        if raw in context.predicates:
            return _named(raw, {}, loc, context, text=raw)
        if raw in later.PREDICATES:
            context.report.add(loc, later.not_built(f"predicate '{raw}'"))
            return None
        if not _is_fact(raw, context):
            context.report.add(loc, _unknown(raw, context))
            return None
    elif not _COMPARES.match(raw):
        context.report.add(loc, _unknown(raw, context))
        return None
    return _bound(raw, loc, context)


def _bound(raw: Any, loc: Loc, context: Context) -> That | None:
    try:
        bound = parse_bound(raw)
    except PydanticCustomError as error:
        context.report.add(loc, error.message())
        return None
    context.mention("fact", bound, loc)
    return Is(bound)


def _is_fact(name: str, context: Context) -> bool:
    """Whether a bare name asks for a fact; where the facts are not known, any name that nothing else is
    close to.
    """
    if context.facts is not None:
        return name in context.facts
    return not difflib.get_close_matches(name, [*context.predicates, *context.defined], 1, 0.8)


def _unknown(word: str, context: Context) -> str:
    known = [*context.predicates, *context.defined, *(context.facts or ()), *later.PREDICATES, "not", "is"]
    return f"'{word}' is no predicate and no fact" + nearest_or_all(word, dict.fromkeys(known))


def _defined(name: str, loc: Loc, context: Context) -> That | None:
    """A reference to ``define``; what it stands for is read where it was written, once."""
    context.used_definitions.add(name)
    if name in context.open_definitions:
        way = " → ".join([*context.open_definitions[context.open_definitions.index(name) :], name])
        context.report.add(loc, f"'{name}' is defined by itself: {way}")
        return None
    if name not in context.definitions:
        if len(context.open_definitions) >= MAX_LEVELS:
            context.report.add(loc, f"definitions stand on each other more than {MAX_LEVELS} deep")
            return None
        before, step = context.open_definitions, context.step
        context.open_definitions, context.step = (*before, name), -1
        context.definitions[name] = _whole(
            name, read_that(context.defined[name], ("define", name), context), context
        )
        context.open_definitions, context.step = before, step
    return context.definitions[name]


def _whole(name: str, inner: That | None, context: Context) -> That | None:
    if inner is None:
        return None
    made = All(inner.parts if isinstance(inner, All) and not inner.name else (inner,), name)
    leaves, levels = _size(made, {})
    if leaves > MAX_LEAVES or levels > MAX_LEVELS:
        how = (
            f"more than {MAX_LEAVES} predicates" if leaves > MAX_LEAVES else f"more than {MAX_LEVELS} levels"
        )
        context.report.add(("define", name), f"'{name}' stands for {how}", key=True)
        return None
    return made


def _size(that: That, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many predicates an expression comes to, and on how many levels; shared parts are looked at once."""
    if id(that) not in known:
        inner = that.parts if isinstance(that, All) else (that.inner,) if isinstance(that, Not) else ()
        sizes = [_size(part, known) for part in inner]
        leaves = sum(size[0] for size in sizes) if inner else 1
        known[id(that)] = leaves, 1 + max((size[1] for size in sizes), default=0)
    return known[id(that)]


def _mapping(raw: dict[str, Any], loc: Loc, context: Context) -> That | None:
    if "is" in raw:
        fields = fill(IsFields, raw, loc, context.report, what="'is'")
        if fields is None:
            return None
        collect(fields, raw, loc, context)
        if fields.pick is not None or fields.by is not None:
            context.report.add(
                (*loc, "pick" if "pick" in raw else "by"),
                "a predicate judges all its targets: say how many with 'share' instead of 'pick'",
                key=True,
            )
        targets = Targets(
            **{n: getattr(fields, n) for n in fields.model_fields_set if n in Targets.model_fields}
        )
        return Is(fields.is_, targets, fields.share)
    if len(raw) != 1:
        _not_one(raw, loc, context)
        return None
    ((name, inner),) = raw.items()
    where = (*loc, name)
    if name == "not":
        part = read_that(inner, where, context)
        return None if part is None else Not(part)
    if name in context.defined:
        context.used_definitions.add(name)
        context.report.add(where, f"'{name}' is a definition and takes no fields: write it alone", key=True)
        return None
    if name in context.predicates:
        return _named(name, inner, where, context, text=_as_written(name, inner))
    if name in later.PREDICATES:
        context.report.add(where, later.not_built(f"predicate '{name}'"), key=True)
        return None
    if _BARE.match(name) and name in (context.facts or ()):
        message = f"'{name}' is a fact: write a bound, '{name} >= 3', or {{is: {name} >= 3, of: …}}"
    else:
        message = _unknown(name, context)
    context.report.add(where, message, key=True)
    return None


def _not_one(raw: dict[str, Any], loc: Loc, context: Context) -> None:
    known = [k for k in raw if k in context.predicates or k in later.PREDICATES or k in ("not", "is")]
    if not raw:
        context.report.add(loc, "an empty mapping names no predicate")
    elif len(known) > 1:
        context.report.add(
            (*loc, known[1]),
            f"one predicate an item, not {' and '.join(known)}: make a list of them",
            key=True,
        )
    elif known:
        other = next(k for k in raw if k != known[0])
        context.report.add(
            (*loc, other),
            f"'{other}' stands beside '{known[0]}': its fields go inside, {{{known[0]}: {{…}}}}",
            key=True,
        )
    else:
        first = next(iter(raw))
        context.report.add((*loc, first), _unknown(first, context), key=True)


def _named(name: str, raw: Any, loc: Loc, context: Context, *, text: str) -> That | None:
    cls = context.predicates[name]
    if raw is None or not (isinstance(raw, dict) or cls.short):
        context.report.add(loc, f"'{name}' takes a mapping of fields, or nothing: write '{name}' alone")
        return None
    made = fill(cls, raw, loc, context.report, what=f"'{name}'")
    if made is None:
        return None
    collect(made, raw, loc, context)
    if name == "log":
        context.free_text((*loc, "match") if isinstance(raw, dict) else loc)
        context.free_text((*loc, "text"))
    return Named(made, text)


def _as_written(name: str, raw: Any) -> str:
    """A predicate in one line, as its author wrote it."""
    return f"{name}: {flow(raw)}"


def flow(raw: Any) -> str:
    """Plain data as one line of flow YAML, for people."""
    if isinstance(raw, dict):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in raw.items()) + "}"
    if isinstance(raw, list):
        return "[" + ", ".join(flow(v) for v in raw) + "]"
    if isinstance(raw, bool):
        return "true" if raw else "false"
    return str(raw)
