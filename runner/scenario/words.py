"""Words of commands: kept as they were written, whatever YAML would make of them (``1.10``, ``0x1F``,
``true``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from runner.scenario.mentions import Context
from runner.scenario.parameters import plain
from runner.scenario.problems import Loc

Word = Annotated[str, Field(json_schema_extra={"type": ["string", "number", "boolean"]})]
PortField = Annotated[int, Field(ge=1, le=65535)]
FactName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


def as_words(raw: Mapping[str, Any], loc: Loc, keys: Sequence[str], context: Context) -> dict[str, Any]:
    """A copy of the mapping in which all plain values under ``keys`` are text, as they were written."""
    return {k: _words(v, (*loc, k), context) if k in keys else v for k, v in raw.items()}


def _words(value: Any, loc: Loc, context: Context) -> Any:
    if isinstance(value, list):
        return [_words(v, (*loc, i), context) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {k: _words(v, (*loc, k), context) for k, v in value.items()}
    context.free_text(loc)
    if isinstance(value, bool | int | float):
        return context.words.get(loc, plain(value))
    return value
