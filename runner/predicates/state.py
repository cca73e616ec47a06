"""Predicates on what nodes say of their chain: agreement, progress, safety. Points ``[height, hash]`` compare by height."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from faults.fields import problem
from runner.predicates.scoped import Scoped
from runner.predicates.share import PercentField

FactField = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Agree(Scoped, name="agree", short="fact"):
    """All targets (or a ``share`` of them) have the same value of ``fact``.

    Points are compared by height: nobody is more than ``lag`` heights (default 1) behind the highest, and at no height do two
    of them have different hashes. ``per`` names the fact that counts (``layer``) for a fact that is not a point.
    """

    fact: FactField
    lag: Annotated[int, Field(ge=0)] | None = None
    per: FactField | None = None


class Progress(Scoped, name="progress", short="fact"):
    """``fact`` rose at each target lately (in the larger of 3 s and three block intervals).

    ``rate: 50%`` asks for that share of the speed of the steady state; ``gain: 5`` for so much since the window opened.
    """

    fact: FactField
    rate: PercentField | None = None
    gain: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.rate is not None and self.gain is not None:
            raise problem("measure", "progress is measured by 'rate' or by 'gain', not by both")
        return self

    def is_cumulative(self) -> bool:
        """With ``gain`` the end of a window answers for all of it."""
        return self.gain is not None


class Stalled(Scoped, name="stalled", short="fact"):
    """``fact`` rose by at most ``gain`` (default 0) at each target: in ``during`` since the window opened, else lately."""

    fact: FactField
    gain: Annotated[int, Field(ge=0)] = 0


class NoConflict(Scoped, name="no_conflict", short="fact"):
    """No two targets ever had different hashes at the same height, as long as the run has lasted."""

    cumulative: ClassVar[bool] = True
    fact: FactField


class NeverBack(Scoped, name="never_back", short="fact"):
    """``fact`` never fell at a target, nor did its hash at a height change. A disk wiped by a fault starts anew."""

    cumulative: ClassVar[bool] = True
    fact: FactField


class FreshFinal(Scoped, name="fresh_final"):
    """Each target has finalized something newer than all that existed when the window opened."""

    fact: FactField = "finalized"


class PrefixIntact(Scoped, name="prefix_intact"):
    """What had been finalized when the window opened is finalized still, with the same hashes, at each target."""

    fact: FactField = "finalized"
