"""Bounds ``fact op value``: on what single nodes report or what is counted for them, and on the graph as a
whole.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from faults.fields import Bound, Duration, Targets
from runner.predicates import shape
from runner.predicates.graph import UNSEEN, components, edges_of, joined, sizes
from runner.predicates.memory import is_point
from runner.predicates.predicate import Answer, Finding
from runner.predicates.share import nobody, over_nodes
from runner.predicates.view import Judged, View

GRAPH_FACTS = ("components", "diameter", "edge_connectivity")
COUNTED_FACTS = ("degree", "lag", "finality_age", "fork_depth", "restarts")
"""Facts that are counted here, whether or not a node reports them (those it reports come first, but for
``degree``).
"""

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}


def judge_bound(
    view: View, bound: Bound, targets: Targets, share: str = "all", graph: str | None = None
) -> Finding:
    """The bound at a share of the targets; bounds on the graph as a whole look at the targets among
    themselves.
    """
    if bound.fact in GRAPH_FACTS:
        return _whole(view, bound, targets, graph or _usual(view, bound.fact))
    near = joined(view, graph or "overlay") if bound.fact == "degree" else None
    if bound.fact == "degree" and near is None:
        return UNSEEN
    nodes: dict[str, Judged] = {}
    missing, unit = 0.0, ""
    for node in view.judged(targets):
        if near is not None:
            verdict, short_of = _compare(view, bound, len(near[node]))
        elif silent := view.silent(node):
            nodes[node] = silent
            continue
        else:
            verdict, short_of = _compare(view, bound, value_of(view, node, bound.fact))
        nodes[node] = verdict
        missing = max(missing, short_of)
    if isinstance(bound.value, Duration):
        unit = "s"
    return over_nodes(nodes, share, held=str(bound), distance=missing, unit=unit)


def judge_fact(view: View, node: str, bound: Bound) -> Judged:
    """The bound at one node."""
    return view.silent(node) or _compare(view, bound, value_of(view, node, bound.fact))[0]


def value_of(view: View, node: str, fact: str) -> Any:
    """What the node reports, or what is counted for it; None where neither is known."""
    reported = view.fact(node, fact)
    if reported is not None or fact not in COUNTED_FACTS:
        return reported
    t, memory = view.now.t, view.memory
    if fact == "restarts":
        return len([r for r in memory.restarts.get(node, ()) if r >= view.zero])
    if fact == "fork_depth":
        known = view.fact(node, "head") is not None
        return memory.fork_depth(node, view.since) if known else None
    if fact == "finality_age":
        series = memory.series.get("finalized", {}).get(node)
        return t - series.times[-1] if series else None
    if fact == "lag":
        own = view.fact(node, "height")
        known = isinstance(own, int | float) and view.top_height is not None
        return view.top_height - own if known else None
    return None


def _compare(view: View, bound: Bound, value: Any) -> tuple[Judged, float]:
    """The verdict on a value, and how much is missing (0 where it holds or nothing can be counted)."""
    verdict, missing = _plain(view, bound, value)
    if not bound.negated or verdict[0] is Answer.UNKNOWN:
        return verdict, missing
    opposite = Answer.VIOLATED if verdict[0] is Answer.HELD else Answer.HELD
    return (opposite, verdict[1]), 0.0


def _plain(view: View, bound: Bound, value: Any) -> tuple[Judged, float]:
    if value is None:
        return (Answer.UNKNOWN, f"does not report {bound.fact}"), 0.0
    if bound.op is None:
        if not isinstance(value, bool):
            return (Answer.UNKNOWN, f"reports {bound.fact} {shown(value)}, which is not yes or no"), 0.0
        return _judged(value, f"{bound.fact} is {'true' if value else 'false'}"), 0.0
    wanted: Any = bound.value
    if isinstance(wanted, Duration):
        try:
            wanted = wanted.seconds(view.units)
        except KeyError as e:
            return (Answer.UNKNOWN, f"the length of {e} is not known"), 0.0
    if is_point(value):
        value = str(value[1]) if isinstance(wanted, str) else value[0]
    if bound.fact == "clock_error" and isinstance(value, int | float):
        # Ahead or behind: the bound is on the size of the error.
        value = abs(value)
    if isinstance(wanted, str) and not isinstance(value, bool):
        value = str(value)
    elif isinstance(wanted, str) and wanted in ("true", "false"):
        wanted = wanted == "true"
    elif isinstance(value, str) or isinstance(value, bool) != isinstance(wanted, bool):
        return (Answer.UNKNOWN, f"reports {bound.fact} {shown(value)}, which is not a number"), 0.0
    ok = _OPERATORS[bound.op](value, wanted)
    numeric = isinstance(value, int | float) and isinstance(wanted, int | float)
    missing = abs(value - wanted) if numeric and not ok else 0.0
    return _judged(ok, f"{bound.fact} is {shown(value)}, {bound.op} {bound.value} wanted"), missing


def _judged(ok: bool, text: str) -> Judged:
    return (Answer.HELD if ok else Answer.VIOLATED), text


def shown(value: Any) -> str:
    """A fact's value in words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _usual(view: View, fact: str) -> str:
    return "reach" if fact == "components" and view.phase == "during" else "overlay"


def _whole(view: View, bound: Bound, targets: Targets, graph: str) -> Finding:
    chosen = view.judged(targets)
    if not chosen:
        return nobody()
    edges, parts = (
        (None, components(view, graph)) if bound.fact == "components" else (edges_of(view, graph), ())
    )
    if parts is None or (bound.fact != "components" and edges is None):
        return UNSEEN
    wanted = set(chosen)
    meant = sorted((p & wanted for p in parts if p & wanted), key=len, reverse=True)
    value: int | None = len(meant)
    detail = sizes(meant) if meant else ""
    if bound.fact == "diameter":
        assert edges is not None
        value = shape.diameter(edges, chosen)
        if value is None:
            return Finding(Answer.VIOLATED, "the graph is in pieces and has no diameter")
        detail = f"the diameter is {value}"
    elif bound.fact == "edge_connectivity":
        assert edges is not None
        value = shape.edge_connectivity(edges, chosen)
        detail = f"the loss of {value} connections can split the graph"
    (answer, _), missing = _compare(view, bound, value)
    if answer is Answer.VIOLATED:
        detail += f", {bound} wanted"
    return Finding(answer, detail, float(missing), bound.fact)
