"""Predicates on processes and their logs."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from faults.fields import problem
from runner.predicates.predicate import Answer, Finding
from runner.predicates.scoped import Scoped
from runner.predicates.share import ShareField, over_nodes
from runner.predicates.view import Judged, View


def _expression(value: Any) -> Any:
    if isinstance(value, str):
        try:
            re.compile(value)
        except re.error as e:
            raise problem("regex", "{v} is not a regular expression: {e}", v=repr(value), e=str(e)) from None
    return value


class Up(Scoped, name="up"):
    """The targets run and answer. Nodes named by target fields count as not up while a fault has them
    down.
    """

    def judge(self, view: View) -> Finding:
        """Each target: it answers, and no fault has it down."""

        def one(node: str) -> Judged:
            if not view.is_running(node):
                return Answer.VIOLATED, f"is {view.node(node).status}"
            return view.silent(node) or (Answer.HELD, "answers")

        nodes = {n: one(n) for n in view.chosen(self)}
        missing = float(sum(a is Answer.VIOLATED for a, _ in nodes.values()))
        return over_nodes(nodes, self.share, held="up", distance=missing, unit="nodes")


class NoCrash(Scoped, name="no_crash"):
    """No process of a target ended that no fault ended."""

    cumulative: ClassVar[bool] = True

    def judge(self, view: View) -> Finding:
        """The first unexpected end of each target."""
        nodes: dict[str, Judged] = dict.fromkeys(view.roster.select(self), (Answer.HELD, "did not crash"))
        crashes = [c for c in view.memory.crashes if c[0] >= view.since and c[1] in nodes]
        for t, node, how in reversed(crashes):
            nodes[node] = (Answer.VIOLATED, f"ended by itself at {view.at(t)} ({how})")
        return over_nodes(
            nodes, self.share, held="nobody crashed", distance=float(len(crashes)), unit="crashes"
        )


class Log(Scoped, name="log", short="text"):
    """A line with ``text``, or one that the expression ``match`` finds, was logged since the window opened.

    By one target at least (``share: any``, unlike elsewhere), so that ``not`` means: by nobody.
    """

    cumulative: ClassVar[bool] = True
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    match: Annotated[str, BeforeValidator(_expression), Field(min_length=1, max_length=500)] | None = None
    share: ShareField = "any"

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        if (self.text is None) == (self.match is None):
            raise problem("log", "log takes a text, or 'match' with a regular expression: one of them")
        return self

    @property
    def pattern(self) -> str:
        """The declared text or expression, as it stands in ``log`` events of the journal."""
        return self.text if self.text is not None else str(self.match)

    @property
    def expression(self) -> str:
        """The regular expression to watch logs for."""
        return re.escape(self.text) if self.text is not None else str(self.match)

    def judge(self, view: View) -> Finding:
        """Which targets logged the pattern since the window opened."""
        nodes: dict[str, Judged] = dict.fromkeys(
            view.roster.select(self), (Answer.VIOLATED, f"did not log {self.pattern!r}")
        )
        held = ""
        for line in view.memory.lines:
            if line.pattern == self.pattern and line.t >= view.since and line.node in nodes:
                held = held or f"{line.node} logged {line.text[:120]!r} at {view.at(line.t)}"
                nodes[line.node] = (Answer.HELD, f"logged it at {view.at(line.t)}")
        return over_nodes(nodes, self.share, held=held)
