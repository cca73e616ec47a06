"""How many of the targets must comply: ``all any most 80% 3`` or ``exactly 1``. Reading it, and the verdict
over single nodes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from faults.fields import NUMBER, problem, shown
from runner.predicates.predicate import Answer, Finding

SHARE = rf"(?:all|any|most|{NUMBER}%|\d+|exactly \d+)"


@dataclass(frozen=True)
class Share:
    """A demand on a number of nodes: at least ``least(n)`` of n, or exactly that many."""

    kind: Literal["all", "any", "most", "percent", "count", "exactly"]
    value: float = 0

    def least(self, total: int) -> int:
        """How many of ``total`` nodes must comply."""
        wanted = {
            "all": total,
            "any": 1,
            "most": total // 2 + 1,
            "percent": math.ceil(total * self.value / 100 - 1e-9),
        }
        return wanted.get(self.kind, int(self.value))

    def accepts(self, complying: int, total: int) -> bool:
        """Whether ``complying`` of ``total`` nodes are enough (or, for exactly, the right number)."""
        least = self.least(total)
        return complying == least if self.kind == "exactly" else complying >= least

    def __str__(self) -> str:
        if self.kind == "percent":
            return f"{self.value:g}%"
        if self.kind in ("count", "exactly"):
            return f"{'exactly ' if self.kind == 'exactly' else ''}{self.value:g}"
        return self.kind


def parse_share(text: str) -> Share:
    """Read a share; the text must match ``SHARE``. Raises ValueError otherwise."""
    if text in ("all", "any", "most"):
        return Share(text)  # type: ignore[arg-type]
    if m := re.fullmatch(rf"({NUMBER})%", text):
        if float(m[1]) <= 100:
            return Share("percent", float(m[1]))
    elif m := re.fullmatch(r"(exactly )?(\d+)", text):
        return Share("exactly" if m[1] else "count", int(m[2]))
    raise ValueError(f"{text!r} is not a share")


def share_text(value: Any) -> str:
    """A share as written, checked; raises a problem that says how to write it."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(text, str):
        try:
            parse_share(text)
        except ValueError:
            pass
        else:
            return text
    raise problem("share", "{v} is not a share: write all, any, most, 80%, 3 or 'exactly 1'", v=shown(value))


def percent(value: Any) -> float:
    """Read ``50%`` as 0.5."""
    if isinstance(value, float):
        return value
    if isinstance(value, str) and (m := re.fullmatch(rf"({NUMBER})%", value)):
        return float(m[1]) / 100
    raise problem("percent", "{v} is not a share of something: write 50%", v=shown(value))


ShareField = Annotated[
    str,
    BeforeValidator(share_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{SHARE}$", "examples": ["80%"]},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]
PercentField = Annotated[
    float,
    BeforeValidator(percent),
    WithJsonSchema({"type": "string", "pattern": f"^{NUMBER}%$", "examples": ["50%"]}),
]


def over_nodes(
    nodes: Mapping[str, tuple[Answer, str]],
    share: str,
    *,
    held: str,
    distance: float | None = None,
    unit: str = "",
) -> Finding:
    """The answer over single nodes: evaluated with every unknown node as complying and as not; agreement is
    the answer.

    ``held`` is the reason when it holds; otherwise the reasons of the nodes that do not comply are named.
    """
    if not nodes:
        return nobody()
    demand = parse_share(share)
    yes = sum(a is Answer.HELD for a, _ in nodes.values())
    unknown = sum(a is Answer.UNKNOWN for a, _ in nodes.values())
    outcomes = {demand.accepts(yes + k, len(nodes)) for k in range(unknown + 1)}
    if len(outcomes) == 2:
        answer, blamed = Answer.UNKNOWN, Answer.UNKNOWN
    elif outcomes == {True}:
        return Finding(Answer.HELD, _counted(held, yes, len(nodes), demand), distance, unit, nodes)
    else:
        answer, blamed = Answer.VIOLATED, Answer.VIOLATED
    if demand.kind == "exactly" and yes > demand.value:
        blamed = Answer.HELD
    why = grouped({n: r for n, (a, r) in nodes.items() if a is blamed})
    if demand.kind != "all" and answer is Answer.VIOLATED:
        why = f"{yes} of {len(nodes)} comply, {demand} wanted" + (f": {why}" if why else "")
    return Finding(answer, why, distance, unit, nodes)


def _counted(text: str, yes: int, total: int, demand: Share) -> str:
    return text if demand.kind in ("all", "any") else f"{text} at {yes} of {total}"


def nobody() -> Finding:
    """The finding of an instant at which there is nobody to judge."""
    return Finding(Answer.UNKNOWN, "nobody to judge: the model has all targets down or paused", neutral=True)


def grouped(reasons: Mapping[str, str], most: int = 4) -> str:
    """Nodes with the same reason named together: ``n1, n2: no answer (timeout); n5: height 3``."""
    by_reason: dict[str, list[str]] = {}
    for node, reason in reasons.items():
        by_reason.setdefault(reason, []).append(node)
    # The words after a colon are the same for one and for many, so that they can be looked for.
    parts = [f"{names(m)}{':' if len(m) > 1 else ''} {r}" for r, m in list(by_reason.items())[:most]]
    if len(by_reason) > most:
        parts.append(f"and {sum(map(len, list(by_reason.values())[most:]))} more")
    return "; ".join(parts)


def names(members: list[str] | tuple[str, ...], most: int = 8) -> str:
    """``n1, n2, n3``, cut short after ``most``: ``n1, n2 and 30 more``."""
    if len(members) <= most:
        return ", ".join(members)
    return f"{', '.join(members[: most - 1])} and {len(members) - most + 1} more"
