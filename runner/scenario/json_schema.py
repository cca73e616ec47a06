"""The JSON Schema (draft 2020-12) of a scenario, for editors: made of the models that read one and of the
catalogues.

It knows what the models know; what holds between the parts of a scenario (names, times, who is hit) only
``load`` checks.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import faults.fault
import runner.predicates.predicate
from faults.fields import BOUND
from runner.scenario.expectations import PHASES, AbortFields, ExpectationFields
from runner.scenario.network import NetworkFields, ObserveFields
from runner.scenario.predicates import IsFields
from runner.scenario.steps import FlapFields, RollFields, SpreadFields, StepFields
from runner.scenario.top import TOP_KEYS, TopFields

Schema = dict[str, Any]
_THAT: Schema = {"$ref": "#/$defs/that"}
_PARAMETER: Schema = {"type": "string", "pattern": r"\$[a-z]"}
_NOT_READ = ("sweep", "workload")


def schema() -> Schema:
    """The whole schema. Every scenario that ``load`` accepts is valid by it."""
    kinds = faults.fault.catalogue()
    names = runner.predicates.predicate.catalogue()
    models: list[type[BaseModel]] = [
        StepFields,
        ExpectationFields,
        AbortFields,
        NetworkFields,
        TopFields,
        IsFields,
        *kinds.values(),
        *names.values(),
    ]
    refs, generated = models_json_schema(
        [(m, "validation") for m in models], by_alias=True, ref_template="#/$defs/{model}"
    )
    defs: Schema = generated["$defs"]
    key = {m: refs[(m, "validation")]["$ref"].rsplit("/", 1)[1] for m in models}
    _short_forms(defs, kinds, names, key)
    defs["that"] = _that(names, key)
    defs["step"] = _step(defs.pop(key[StepFields]), kinds, key)
    defs["expectation"] = _expectation(defs.pop(key[ExpectationFields]))
    top = defs.pop(key[TopFields])
    out = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Seatrial scenario",
        "type": "object",
        "required": ["seatrial", "network"],
        "additionalProperties": False,
        "properties": _top(top, key),
        "$defs": defs,
    }
    cleaned: Schema = _with_parameters(_cleaned(out))
    return cleaned


def _top(top: Schema, key: dict[type[BaseModel], str]) -> Schema:
    own = {
        "seatrial": {"const": 1},
        "parameters": {"type": "object", "additionalProperties": {"not": {"type": "object"}}},
        "network": {"anyOf": [{"type": "string"}, {"$ref": f"#/$defs/{key[NetworkFields]}"}]},
        "define": {"type": "object", "additionalProperties": _THAT},
        "timeline": {"type": "array", "items": {"$ref": "#/$defs/step"}},
        "expect": {"type": "array", "items": {"$ref": "#/$defs/expectation"}},
        "abort": {"type": "array", "items": {"$ref": f"#/$defs/{key[AbortFields]}"}},
    }
    properties = {**top["properties"], **own}
    return {k: properties[k] for k in TOP_KEYS if k not in _NOT_READ}


def _short_forms(defs: Schema, kinds: Any, names: Any, key: dict[type[BaseModel], str]) -> None:
    """Let a model with a short form be written as the value of that field alone."""
    shorts = [(cls.short, key[cls]) for cls in (*kinds.values(), *names.values()) if cls.short]
    shorts += [(m.short, m.__name__) for m in (RollFields, SpreadFields, FlapFields, ObserveFields)]
    for field, name in shorts:
        if name in defs and field in defs[name].get("properties", {}):
            defs[name] = {"anyOf": [dict(defs[name]["properties"][field]), defs[name]]}
            if "description" in defs[name]["anyOf"][1]:
                defs[name]["description"] = defs[name]["anyOf"][1].pop("description")


def _that(names: Any, key: dict[type[BaseModel], str]) -> Schema:
    """A bound, a name, a mapping with one predicate, ``is``, ``not``, or a list of them."""
    one: list[Schema] = [
        _text(names),
        {"$ref": f"#/$defs/{key[IsFields]}"},
        _only("not", _THAT),
        *(_only(name, {"$ref": f"#/$defs/{key[cls]}"}) for name, cls in names.items()),
        {"type": "array", "items": _THAT, "minItems": 1},
    ]
    return {"description": "What must hold: a bound, a predicate, or a list of them (all).", "anyOf": one}


def _text(names: Any) -> Schema:
    """A predicate's name, a definition's, or a bound."""
    return {
        "type": "string",
        "anyOf": [{"enum": sorted(names)}, {"pattern": rf"^(?:{BOUND}|[a-z][a-z0-9_-]*)$"}],
    }


def _only(name: str, value: Schema) -> Schema:
    return {"type": "object", "required": [name], "additionalProperties": False, "properties": {name: value}}


def _step(fields: Schema, kinds: Any, key: dict[type[BaseModel], str]) -> Schema:
    """The fields of a step, and exactly one fault; momentary ones have no ``for``, the others need it."""
    properties = dict(fields["properties"])
    choices = []
    for kind, cls in kinds.items():
        properties[kind] = {"$ref": f"#/$defs/{key[cls]}"}
        choice: Schema = {"required": [kind] if cls.momentary else [kind, "for"]}
        if cls.momentary:
            choice["properties"] = {"for": False, "until": False}
        choices.append(choice)
    return {
        "description": fields.get("description", ""),
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "oneOf": choices,
        "anyOf": [{"required": ["at"]}, {"required": ["when", "within"]}],
    }


def _expectation(fields: Schema) -> Schema:
    """The fields of an expectation, with exactly one phase."""
    needs = {"before": ["that"], "during": ["that"], "after": ["that", "within"], "always": []}
    return {**fields, "oneOf": [{"required": [phase, *needs[phase]]} for phase in PHASES]}


def _cleaned(node: Any) -> Any:
    """Without what helps nobody: generated titles, empty defaults, the null that stands for "left out"."""
    if isinstance(node, list):
        return [_cleaned(n) for n in node]
    if not isinstance(node, dict):
        return node
    if node.get("title") == "that" and not node.keys() & {"type", "anyOf"}:
        return _THAT
    out = {}
    for name, value in node.items():
        if (name == "title" and isinstance(value, str) and "$defs" not in node) or (
            name == "default" and value is None
        ):
            continue
        if name == "properties" and isinstance(value, dict):
            out[name] = {k: _cleaned(v) for k, v in value.items()}
            continue
        out[name] = _cleaned(value)
    either = out.get("anyOf")
    if isinstance(either, list):
        left = [e for e in either if e != {"type": "null"}]
        if len(left) == 1 and len(left) < len(either):
            del out["anyOf"]
            out = {**left[0], **out}
        else:
            out["anyOf"] = left
    return out


def _with_parameters(node: Any) -> Any:
    """Let ``$name`` stand wherever a value of another kind than free text is expected."""
    if isinstance(node, list):
        return [_with_parameters(n) for n in node]
    if not isinstance(node, dict):
        return node
    out = {
        k: {n: _with_parameters(v) for n, v in value.items()}
        if k in ("properties", "$defs") and isinstance(value, dict)
        else _with_parameters(value)
        for k, value in node.items()
    }
    plain = out.get("type") in ("integer", "number", "boolean") or out.keys() & {"pattern", "enum", "const"}
    if plain and out != _PARAMETER and "anyOf" not in out and out.get("const") != 1:
        described = {k: out.pop(k) for k in ("description", "default") if k in out}
        return {**described, "anyOf": [out, _PARAMETER]}
    return out
