"""Reads a mapping of the document into a model and says what is wrong with it in a person's words.

Belongs here: how pydantic's errors become problems, and how the values of a model are found again in the
document. What a valid scenario is belongs to the models and to the modules that check across them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from faults.fields import Values, shown
from runner.scenario.problems import Loc, Report, misspelt, near, nearest_or_all

Model = TypeVar("Model", bound=BaseModel)


class Fields(Values):
    """Base of the mappings of the language; built when first needed, since one file needs few of them."""

    model_config = ConfigDict(defer_build=True)


LEGACY = re.compile(r"(?:yes|no|on|off|y|n)\Z", re.IGNORECASE)
_EXPECTED = {
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def fill(cls: type[Model], raw: Any, loc: Loc, report: Report, *, what: str = "") -> Model | None:
    """The model that ``raw`` describes; every problem goes to ``report``.

    Keys whose values are wrong are left out and the rest is read again, so that one mistake does not hide
    what follows from the rest; None where that leaves a required one missing.
    """
    try:
        made = cls.model_validate(raw)
    except ValidationError as error:
        wrong = _report_errors(cls, error, raw, loc, report, what)
        if not isinstance(raw, dict):
            return None
        try:
            return cls.model_validate({k: v for k, v in raw.items() if k not in wrong})
        except ValidationError:
            return None
    for where, said in _lenient(made, raw, loc):
        report.add(where, said)
    return made


def _report_errors(
    cls: type[BaseModel], error: ValidationError, raw: Any, loc: Loc, report: Report, what: str
) -> set[str]:
    wrong: set[str] = set()
    by_place: dict[tuple[Loc, bool], list[str]] = {}
    for e in error.errors(include_url=False):
        if e["loc"] and isinstance(e["loc"][0], str):
            wrong.add(e["loc"][0])
        within = _fit(raw, e["loc"])
        key = False
        if e["type"] == "extra_forbidden":
            name = str(e["loc"][-1])
            known = _allowed(cls, e["loc"][:-1])
            said, key = (
                f"unknown key '{name}'" + (f" in {what}" if what else "") + nearest_or_all(name, known),
                True,
            )
        elif e["type"] == "missing":
            if isinstance(raw, dict) and misspelt(str(e["loc"][-1]), raw, _allowed(cls, e["loc"][:-1])):
                continue
            lacking = f"'{e['loc'][-1]}' is missing"
            if isinstance(e["loc"][-1], int):
                lacking = f"the list is too short: item {e['loc'][-1] + 1} is missing"
            said = lacking + (f" in {what}" if what else "")
        else:
            said = _worded(e)
            inner = _at(raw, within)
            if isinstance(inner, dict) and e["type"] in inner:
                within, key = (*within, e["type"]), True
        by_place.setdefault((loc + within, key), []).append(said)
    for (where, key), messages in by_place.items():
        report.add(where, "; or ".join(dict.fromkeys(messages)), key=key)
    return wrong


def _worded(e: Any) -> str:
    """One error in words: what is there and what was expected."""
    kind, value, context = e["type"], e.get("input"), e.get("ctx") or {}
    if kind in _EXPECTED:
        expected = _EXPECTED[kind]
        hint = ""
        if expected == "true or false" and isinstance(value, str) and LEGACY.match(value):
            hint = " (yes, no, on and off are plain text)"
        elif expected == "text" and isinstance(value, int | float):
            hint = " (put it in quotes)"
        return f"{shown(value)} is not {expected}{hint}"
    if kind == "literal_error":
        choices = re.findall(r"'([^']+)'", str(context.get("expected", "")))
        if len(choices) == 1:
            return f"{shown(value)} cannot stand here: write '{choices[0]}'"
        hint = near(value, choices) if isinstance(value, str) else ""
        return f"{shown(value)} is not one of {', '.join(choices) or context.get('expected')}{hint}"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        sign = {"greater_than": ">", "greater_than_equal": ">=", "less_than": "<", "less_than_equal": "<="}[
            kind
        ]
        limit = next((context[k] for k in ("gt", "ge", "lt", "le") if k in context), "")
        return f"{shown(value)} must be {sign} {limit}"
    if kind in ("too_short", "string_too_short"):
        return "this is empty"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} is not written as {context.get('pattern')}"
    message: str = e["msg"]
    return message.removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _fit(raw: Any, steps: tuple[Any, ...]) -> Loc:
    """The part of pydantic's way that is in the document: names of union members and short forms' fields are
    not.
    """
    here, out = raw, []
    for part in steps:
        if (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        ):
            out.append(part)
            here = here[part]
    return tuple(out)


def _at(raw: Any, loc: Loc) -> Any:
    for part in loc:
        raw = raw[part]
    return raw


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation speaks of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in typing.get_args(annotation) for m in models_in(a)]


def keys_of(cls: type[BaseModel]) -> list[str]:
    """The keys of a model as they are written."""
    return [f.alias or n for n, f in cls.model_fields.items()]


def _allowed(cls: type[BaseModel], steps: tuple[Any, ...]) -> list[str]:
    """The keys that may stand at the end of pydantic's way."""
    at = [cls]
    for part in steps:
        inner = [
            m
            for c in at
            for n, f in c.model_fields.items()
            if part in (n, f.alias)
            for m in models_in(f.annotation)
        ]
        at = inner or at
    return list(dict.fromkeys(k for c in at for k in keys_of(c)))


def fields_of(model: BaseModel, raw: Any, loc: Loc) -> Iterator[tuple[str, Any, Any, Loc]]:
    """``(field, value, raw value, way)`` of every field that was given; short forms stand at the model's own
    place.
    """
    short = getattr(type(model), "short", None)
    for name, info in type(model).model_fields.items():
        if name not in model.model_fields_set:
            continue
        key = info.alias or name
        value = getattr(model, name)
        if isinstance(raw, Mapping):
            for written in (key, name):
                if written in raw:
                    yield name, value, raw[written], (*loc, written)
                    break
        elif short in (key, name) or (short is None and len(model.model_fields_set) == 1):
            yield name, value, raw, loc


def _lenient(model: BaseModel, raw: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """What pydantic let pass although it is written as something else: text for yes/no or for a number."""
    for _, value, written, where in fields_of(model, raw, loc):
        if isinstance(value, bool) and not isinstance(written, bool):
            hint = " (yes, no, on and off are plain text)" if isinstance(written, str) else ""
            yield where, f"{shown(written)} is not true or false{hint}"
        elif isinstance(value, int | float) and isinstance(written, str) and not isinstance(value, bool):
            if re.fullmatch(r"[-+]?\d+(?:\.\d+)?", written):
                yield where, f"{shown(written)} is text: write the number without quotes"
        elif isinstance(value, BaseModel):
            yield from _lenient(value, written, where)
