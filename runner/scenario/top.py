"""The top level of a scenario: its plain fields and limits.

Belongs here: which keys there are. What stands behind them is read by the modules named after it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from faults.fields import NUMBER, DurationField, problem, shown
from runner.scenario.reading import Fields

TOP_KEYS = (
    "seatrial",
    "name",
    "about",
    "seed",
    "parameters",
    "sweep",
    "network",
    "workload",
    "define",
    "timeline",
    "expect",
    "abort",
    "limits",
)
_TITLE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def _percent(value: Any) -> float:
    if isinstance(value, str) and (m := re.fullmatch(rf"({NUMBER})%", value)) and 0 < float(m[1]) <= 100:
        return float(m[1]) / 100
    raise problem("percent", "{v} is not a share of the nodes: write 40%", v=shown(value))


class LimitFields(Fields):
    """What a run must not exceed.

    ``hit``: the share of nodes hit at once; more is refused before anything starts. ``time``: the whole run.
    ``blind``: how long nothing may be seen (60s). ``lose_quorum: true`` allows kills that leave no majority.
    """

    hit: (
        Annotated[
            float,
            BeforeValidator(_percent),
            WithJsonSchema({"type": "string", "pattern": f"^{NUMBER}%$", "examples": ["40%"]}),
        ]
        | None
    ) = None
    time: DurationField | None = None
    blind: DurationField | None = None
    lose_quorum: bool = False


class TopFields(Fields):
    """The plain fields of the top level."""

    name: Annotated[str, Field(pattern=f"^{_TITLE}$")] | None = None
    about: str = ""
    seed: Annotated[int, Field(ge=0)] | None = None
    limits: LimitFields | None = None
