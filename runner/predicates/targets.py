"""Whom a predicate judges: target fields resolved against the nodes, groups and steps of a run. No drawing
happens here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from faults.fault import NodeInfo
from faults.fields import Bound, Targets, problem


@dataclass(frozen=True)
class Roster:
    """The nodes of a run in order, and whom each step (``STEP``, ``STEP.SIDE``, ``STEP.2``, ``STEP.2.SIDE``)
    hit so far.
    """

    nodes: tuple[NodeInfo, ...]
    hits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All nodes' names in the network's order."""
        return tuple(n.name for n in self.nodes)

    def named(self, name: str) -> frozenset[str]:
        """The nodes that ``name`` stands for: a step, a step's side, a group, ``nodes``, a glob or a node."""
        if name == "nodes":
            return frozenset(self.names)
        if name in self.hits:
            return frozenset(self.hits[name])
        group = frozenset(n.name for n in self.nodes if n.group == name)
        if group:
            return group
        return frozenset(n for n in self.names if fnmatch.fnmatchcase(n, name))

    def select(
        self, targets: Targets, complies: Callable[[str, Bound], bool] | None = None
    ) -> tuple[str, ...]:
        """The nodes the fields leave over, in the network's order. ``complies`` answers ``where`` for one
        node.

        ``pick`` draws, and judging draws nothing: it is refused when a predicate is read and ignored here.
        """
        chosen = set(self.names) if targets.of is None else self._union(targets.of)
        for info in self.nodes:
            wrong = (
                (targets.zone is not None and info.zone not in targets.zone)
                or (targets.host is not None and info.host not in targets.host)
                or any(info.labels.get(k) != v for k, v in (targets.label or {}).items())
                or (targets.where is not None and not (complies and complies(info.name, targets.where)))
            )
            if wrong:
                chosen.discard(info.name)
        chosen -= self._union(targets.but or ())
        return tuple(n for n in self.names if n in chosen)

    def _union(self, names: Iterable[str]) -> set[str]:
        return {node for name in names for node in self.named(name)}


def refuse_pick(targets: Targets) -> None:
    """Raises a problem where ``pick`` or ``by`` is set: a predicate judges all its targets."""
    if targets.pick is not None or targets.by is not None:
        raise problem(
            "pick", "'pick' draws nodes, and a predicate judges all its targets: say how many with 'share'"
        )


def narrows(targets: Targets) -> bool:
    """Whether the fields say anything (otherwise: all nodes that the model says should be running)."""
    return any(getattr(targets, name) is not None for name in Targets.model_fields)
