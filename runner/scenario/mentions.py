"""What a scenario's values speak of: names of nodes and steps, moments, durations, facts. Collected while
reading, checked at the end.

Belongs here: finding them in any fault, predicate or modifier by the types of its fields. Whether what
they name exists is decided in ``names`` and ``times``, when the whole scenario has been read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from faults.fault import Fault
from faults.fields import Bound, Duration, Moment, Targets
from runner.predicates.predicate import Predicate
from runner.scenario.model import That
from runner.scenario.problems import Loc, Report
from runner.scenario.reading import fields_of

MentionKind = Literal["target", "step", "moment", "duration", "fact"]
_NAME_FIELDS = ("of", "but")
_FACT_FIELDS = ("fact", "per")


@dataclass(frozen=True)
class Mention:
    """Something named at ``loc``; ``step`` is the index of the step that speaks, -1 elsewhere."""

    kind: MentionKind
    value: Any
    loc: Loc
    step: int = -1


@dataclass
class Context:
    """What reading the parts of a scenario needs: where problems go, the catalogues, what is defined, what
    was mentioned.
    """

    report: Report
    faults: Mapping[str, type[Fault]]
    predicates: Mapping[str, type[Predicate]]
    defined: Mapping[str, Any] = field(default_factory=dict)
    used_definitions: set[str] = field(default_factory=set)
    definitions: dict[str, That | None] = field(default_factory=dict)
    """What has been read of ``defined``."""
    mentions: list[Mention] = field(default_factory=list)
    words: Mapping[Loc, str] = field(default_factory=dict)
    cut: Mapping[Loc, str] = field(default_factory=dict)
    facts: frozenset[str] | None = None
    """The facts that may be asked for; None where the network's observer is not known."""
    folder: Path = Path()
    """Where relative paths start."""
    step: int = -1
    open_definitions: tuple[str, ...] = ()

    def mention(self, kind: MentionKind, value: Any, loc: Loc) -> None:
        """Note something that must be checked when everything is known."""
        self.mentions.append(Mention(kind, value, loc, self.step))

    def free_text(self, loc: Loc) -> None:
        """Refuse text that YAML cut at a `` #``, which reads like a part of it."""
        if loc in self.cut:
            self.report.add(
                loc,
                f"the text ends before '{self.cut[loc][:30]}', which is a comment: put the text in quotes, "
                "or the comment on a line of its own",
            )


def collect(model: BaseModel, raw: Any, loc: Loc, context: Context) -> None:
    """Note everything that a model's values speak of."""
    for name, value, written, where in fields_of(model, raw, loc):
        if isinstance(model, Targets) and name in _NAME_FIELDS and value is not None:
            _names(value, written, where, context)
        elif name in _FACT_FIELDS and isinstance(value, str) and isinstance(model, Predicate):
            context.mention("fact", value, where)
        else:
            _value(value, written, where, context)


def _names(value: tuple[str, ...], written: Any, loc: Loc, context: Context) -> None:
    for index, one in enumerate(value):
        context.mention("target", one, (*loc, index) if isinstance(written, list) else loc)


def _value(value: Any, written: Any, loc: Loc, context: Context) -> None:
    if isinstance(value, Duration):
        context.mention("duration", value, loc)
    elif isinstance(value, Moment):
        context.mention("moment", value, loc)
    elif isinstance(value, Bound):
        context.mention("fact", value, loc)
    elif isinstance(value, Targets) and not isinstance(written, dict):
        _names(value.of or (), written, loc, context)
    elif isinstance(value, BaseModel):
        collect(value, written, loc, context)
    elif isinstance(value, tuple | list) and isinstance(written, list):
        for index, (one, raw) in enumerate(zip(value, written, strict=False)):
            _value(one, raw, (*loc, index), context)
    elif isinstance(value, Mapping) and isinstance(written, list):
        for index, (one, raw) in enumerate(zip(value.values(), written, strict=False)):
            _value(one, raw, (*loc, index), context)
    elif isinstance(value, Mapping) and isinstance(written, dict):
        for key, one in value.items():
            if key in written:
                _value(one, written[key], (*loc, key), context)
