"""Whom earlier steps hit, as the selectors of other steps and of predicates ask for it (``STEP``,
``STEP.SIDE``). Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from faults.fault import ChoiceError, Undecided
from runner.plan.model import Trial
from runner.scenario.model import Scenario


class Hits(Mapping[str, tuple[str, ...]]):
    """Whom other steps hit, as selectors ask for it: the trial that is on, or the last before, at the
    asking step's start.
    """

    def __init__(self, scenario: Scenario, trials: Sequence[Trial], asking: str, at_s: float) -> None:
        self._trials, self._at_s = trials, at_s
        self._steps = {s.name for s in scenario.timeline if s.name != asking}

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and word.split(".")[0] in self._steps

    def __iter__(self) -> Iterator[str]:
        return iter(self._steps)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, word: str) -> tuple[str, ...]:
        step, *rest = word.split(".")
        trials = [t for t in self._trials if t.step == step]
        if not trials:
            raise Undecided(word)
        if rest and rest[0].isdigit():
            trials = [t for t in trials if t.name == f"{step}.{rest[0]}"]
            rest = rest[1:]
        if not trials:
            raise ChoiceError(f"'{word}': there is no such trial")
        begun = [t for t in trials if t.start_s <= self._at_s]
        chosen = (begun[-1] if begun else trials[0]).chosen
        if not rest:
            return chosen.targets
        side = ".".join(rest)
        if side not in chosen.sides:
            sides = ", ".join(chosen.sides) or "none"
            raise ChoiceError(f"'{word}': step {step} has no side '{side}' (its sides: {sides})")
        return chosen.sides[side]
