"""The values of ``verdict.json`` (schema 0): what is said of a run, its expectations and its faults. To and
from JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCHEMA = 0

Outcome = Literal["held", "violated", "inconclusive"]
Answered = Literal["held", "violated", "unknown"]


class VerdictError(ValueError):
    """A document that is no verdict of a schema known here."""


@dataclass(frozen=True)
class BoundDistance:
    """How far the worst of the window was from the bound (positive: missing), in ``unit``."""

    value: float
    unit: str


@dataclass(frozen=True)
class NodeVerdict:
    """What an expectation says of one node. ``recovery_s`` counts from the end of the fault."""

    verdict: Answered
    reason: str
    recovery_s: float | None = None


@dataclass(frozen=True)
class ExpectationVerdict:
    """One expectation (one for each trial of a repeated step). Seconds count from the end of the fault it is
    about.
    """

    name: str
    phase: Literal["before", "during", "after", "always"]
    verdict: Answered
    reason: str
    within_s: float | None = None
    recovery_s: float | None = None
    flow_s: float | None = None
    bound_distance: BoundDistance | None = None
    nodes: Mapping[str, NodeVerdict] = field(default_factory=dict)
    of: str = ""
    """The trial (or ``faults``) that it is about."""
    stages: Mapping[str, float | None] = field(default_factory=dict)
    """The recovery taken apart: flow_s, peers_s, heads_s, progress_s."""


@dataclass(frozen=True)
class Interval:
    """One time that a fault was on; moments count from the steady state, ``leaked_s`` is how late it took
    hold.
    """

    started_s: float | None = None
    effective_s: float | None = None
    ended_s: float | None = None
    healed_s: float | None = None
    leaked_s: float | None = None


@dataclass(frozen=True)
class Evidence:
    """One thing that was measured of a fault. ``agrees`` is None where it could not be measured."""

    what: str
    expected: str
    seen: str
    at_s: float | None = None
    agrees: bool | None = None


@dataclass(frozen=True)
class FaultVerdict:
    """One trial: whether it took effect and is gone. ``healed`` is None where that was not measured or it
    stays for good.
    """

    name: str
    kind: str
    targets: tuple[str, ...]
    intervals: tuple[Interval, ...] = ()
    ended_by: Literal["plan", "abort", "lease", "run_end"] = "plan"
    effective: bool | None = None
    healed: bool | None = None
    evidence: tuple[Evidence, ...] = ()
    permanent: bool = False
    reason: str = ""
    """Why it is not proved, in words; empty where it is."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run."""

    seatrial: str
    run: str
    scenario: Mapping[str, Any]
    seed: int | None
    verdict: Outcome
    exit_code: int
    reasons: tuple[str, ...] = ()
    expectations: tuple[ExpectationVerdict, ...] = ()
    faults: tuple[FaultVerdict, ...] = ()
    recovery: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The verdict as plain data, in the order of the documentation."""
        plain = _rounded(asdict(self))
        order = ("seatrial", "schema", "run", "scenario", "seed", "verdict", "exit_code", "reasons")
        return {**{k: plain[k] for k in order}, **{k: v for k, v in plain.items() if k not in order}}

    def to_text(self) -> str:
        """The content of ``verdict.json``."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, data: Any) -> Verdict:
        """Read plain data; keys that are not known are passed over. Raises VerdictError."""
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, Mapping) else None
            raise VerdictError(f"this is no verdict of schema {SCHEMA} (schema: {found})")
        try:
            known = _known(cls, data)
            known["reasons"] = tuple(known.get("reasons", ()))
            known["expectations"] = tuple(map(_expectation, known.get("expectations", ())))
            known["faults"] = tuple(map(_fault, known.get("faults", ())))
            return cls(**known)
        except (TypeError, AttributeError, KeyError) as e:
            raise VerdictError(f"the verdict is damaged: {e}") from None


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k in cls.__dataclass_fields__}  # type: ignore[attr-defined]


def _expectation(data: Mapping[str, Any]) -> ExpectationVerdict:
    known = _known(ExpectationVerdict, data)
    known["nodes"] = {n: NodeVerdict(**_known(NodeVerdict, v)) for n, v in known.get("nodes", {}).items()}
    if known.get("bound_distance"):
        known["bound_distance"] = BoundDistance(**_known(BoundDistance, known["bound_distance"]))
    return ExpectationVerdict(**known)


def _fault(data: Mapping[str, Any]) -> FaultVerdict:
    known = _known(FaultVerdict, data)
    known["targets"] = tuple(known.get("targets", ()))
    known["intervals"] = tuple(Interval(**_known(Interval, i)) for i in known.get("intervals", ()))
    known["evidence"] = tuple(Evidence(**_known(Evidence, e)) for e in known.get("evidence", ()))
    return FaultVerdict(**known)


def _rounded(value: Any) -> Any:
    """Milliseconds are enough for people and make the same bytes everywhere; what is not finite is
    nothing.
    """
    if isinstance(value, float):
        return round(value, 3) + 0.0 if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value
