"""What a predicate is shown: the present snapshot, the past, who is meant, and since when its window is
open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from faults.fields import Bound, Targets
from runner.predicates.memory import Memory, is_point
from runner.predicates.predicate import Answer, Finding, NodeView, Snapshot
from runner.predicates.share import over_nodes
from runner.predicates.targets import Roster, narrows

Judged = tuple[Answer, str]

NO_ANSWER = "does not answer"


@dataclass(frozen=True)
class View:
    """The network as seen at one instant from within a window.

    ``since`` is when the window opened (for a trigger: when watching began), ``zero`` the timeline's zero,
    both on the run's clock; ``begun`` is when the fault began that the window belongs to; ``lately_s`` is how
    far back *lately* reaches: the larger of 3 s and three block intervals.
    """

    now: Snapshot
    memory: Memory
    roster: Roster
    phase: str = "always"
    since: float = 0.0
    begun: float = 0.0
    zero: float = 0.0
    lately_s: float = 3.0
    units: Mapping[str, float] = field(default_factory=dict)

    def running(self) -> tuple[str, ...]:
        """Nodes that should be running now, in the network's order."""
        return self._running

    @cached_property
    def _running(self) -> tuple[str, ...]:
        return tuple(n for n in self.roster.names if self.is_running(n))

    @cached_property
    def top_height(self) -> float | None:
        """The highest ``height`` of all that should be running; None where nobody reports one."""
        heights = [self.fact(n, "height") for n in self._running]
        return max((h for h in heights if isinstance(h, int | float)), default=None)

    def is_running(self, node: str) -> bool:
        """Whether the node is to be judged: it should be running, and where nothing sets a deadline it has
        come back first.
        """
        seen = self.now.nodes.get(node)
        if seen is None:
            return True
        if seen.status == "starting":
            return self.phase in ("after", "before")
        return seen.status == "running"

    def chosen(self, targets: Targets) -> tuple[str, ...]:
        """Whom the target fields name; without any: those that should be running."""
        if not narrows(targets):
            return self.running()
        return self.roster.select(targets, self._complies)

    def judged(self, targets: Targets) -> tuple[str, ...]:
        """Of the chosen those that should be running: a node that the model has down or paused is neutral."""
        return tuple(n for n in self.chosen(targets) if self.is_running(n))

    def node(self, name: str) -> NodeView:
        """The node's view; one that was never observed is unknown."""
        return self.now.nodes.get(name) or NodeView(name, answers=None)

    def silent(self, name: str) -> Judged | None:
        """Why nothing can be asked of the node: it does not answer (against it), or our own eye failed; None
        if it answers.
        """
        seen = self.node(name)
        if seen.answers:
            return None
        if seen.answers is None:
            return Answer.UNKNOWN, "was not observed"
        return Answer.VIOLATED, NO_ANSWER + (f" ({seen.why})" if seen.why else "")

    def each(
        self,
        targets: Targets,
        share: str,
        judge: Callable[[str], Judged],
        *,
        held: str,
        distance: float | None = None,
        unit: str = "",
    ) -> Finding:
        """Judge the targets one by one; silent ones by their silence."""
        nodes = {n: self.silent(n) or judge(n) for n in self.judged(targets)}
        return over_nodes(nodes, share, held=held, distance=distance, unit=unit)

    def at(self, t: float) -> str:
        """An instant in words, on the timeline."""
        return f"{t - self.zero:.1f} s"

    def fact(self, node: str, name: str) -> Any:
        """What the node reports for ``name``; None where it does not. ``height`` falls back on the head's."""
        facts = self.node(node).facts
        value = facts.get(name)
        if value is None and name == "height" and is_point(facts.get("head")):
            return facts["head"][0]
        return value

    def _complies(self, node: str, where: Bound) -> bool:
        from runner.predicates.bounds import judge_fact

        return judge_fact(self, node, where)[0] is Answer.HELD
