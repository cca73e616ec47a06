"""Nodes and pools to choose from, and faults read as a scenario would write them."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from faults.fault import Chosen, Fault, Hit, NodeInfo, Pool, catalogue
from faults.model import NetworkModel

ZONES = ("eu", "us", "ap")


def nodes(
    count: int, stakes: Sequence[float] | None = None, groups: Mapping[str, int] | None = None
) -> tuple[NodeInfo, ...]:
    """``count`` nodes n1… in zones dealt in turn; ``groups`` gives sizes in order (default: one group,
    ``miners``).
    """
    group = [g for g, size in (groups or {"miners": count}).items() for _ in range(size)]
    return tuple(
        NodeInfo(
            f"n{i + 1}",
            group[i],
            i + 1,
            zone=ZONES[i % 3],
            host=f"h{i % 2}",
            stake=stakes[i] if stakes else 1.0,
            labels={"tier": "front" if i < 2 else "back"},
        )
        for i in range(count)
    )


def pool(of: int | tuple[NodeInfo, ...] = 10, seed: int = 1, **rest: Any) -> Pool:
    """A pool of that many nodes (or of these), with a generator of that seed."""
    return Pool(nodes(of) if isinstance(of, int) else of, random.Random(seed), **rest)


def fault(kind: str, written: Any) -> Fault:
    """A fault as a scenario writes it."""
    return catalogue()[kind].model_validate(written)


def effect(one: Fault, chosen: Chosen, names: Sequence[str], since: float = 0.0) -> NetworkModel:
    """The healthy network under one fault."""
    return one.effect(NetworkModel(tuple(names)), Hit(chosen, since))


def parts(model: NetworkModel) -> list[list[str]]:
    """The components as sorted lists."""
    return [sorted(c, key=model.nodes.index) for c in model.components()]
