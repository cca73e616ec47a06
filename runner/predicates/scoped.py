"""The base of predicates that judge a set of nodes: target fields and ``share``."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from faults.fields import Targets
from runner.predicates.predicate import Predicate
from runner.predicates.share import ShareField
from runner.predicates.targets import refuse_pick
from runner.predicates.view import View


class Scoped(Predicate, Targets):
    """A predicate with target fields (default: nodes that the model says should be running) and ``share``."""

    share: ShareField = "all"

    @model_validator(mode="after")
    def _no_pick(self) -> Self:
        refuse_pick(self)
        return self

    def judged(self, view: View) -> tuple[str, ...]:
        """Whom it judges at this instant."""
        return view.judged(self)
