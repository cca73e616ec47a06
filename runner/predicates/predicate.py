"""The contract of a predicate, the snapshot it looks at, and the catalogue of all there are.

A predicate is a pure function of snapshots and of the model: held, violated or unknown, the reason in words
and the distance to the bound. Declaring the class registers it. Nothing here reads a clock or a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import model_validator

from faults.fields import Values

if TYPE_CHECKING:
    from runner.predicates.view import View

_names: dict[str, type[Predicate]] = {}


class Answer(Enum):
    """The three answers. Unknown never passes."""

    HELD = "held"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """An answer with its reason in words; ``distance`` is how far from the bound (positive: missing), in
    ``unit``.

    ``nodes`` gives the answer and the reason for single nodes where the predicate judges nodes one by one.
    """

    answer: Answer
    reason: str
    distance: float | None = None
    unit: str = ""
    nodes: Mapping[str, tuple[Answer, str]] = field(default_factory=dict)
    neutral: bool = False
    """There was nobody to judge (the model has all of them down): such a sample counts neither way; answer is
    unknown.
    """


Point = tuple[int, str]


@dataclass(frozen=True)
class NodeView:
    """A node at one instant. ``answers`` is None where our own eye failed; ``why`` says why it does not
    answer.

    ``status`` is the model's: running, paused, down, or ``starting`` (it should run, but a fault or a restart
    has just ended and it has not answered since).
    """

    name: str
    status: str = "running"
    answers: bool | None = True
    facts: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The network at one instant ``t`` (seconds on the run's clock), rebuilt from the journal.

    ``overlay`` and ``sockets`` are sets of edges (a, b) with a before b in the network's order; ``reach`` is
    observed: blocks and the ordered pairs of block indexes that are cut; ``model`` is the state that was in
    force (``NetworkModel.describe()``). Each is None where nothing is known.
    """

    t: float
    nodes: Mapping[str, NodeView]
    overlay: frozenset[tuple[str, str]] | None = None
    sockets: frozenset[tuple[str, str]] | None = None
    reach: tuple[tuple[frozenset[str], ...], frozenset[tuple[int, int]]] | None = None
    model: Mapping[str, Any] = field(default_factory=dict)


class Predicate(Values):
    """Base of all named predicates: ``class Agree(Predicate, Targets, name="agree", short="fact")``."""

    name: ClassVar[str] = ""
    short: ClassVar[str | None] = None
    cumulative: ClassVar[bool] = False
    """Looks at everything since its window opened, so that the last sample of the window answers for all of
    it.
    """

    def judge(self, view: View) -> Finding:
        """The answer at the view's instant. Pure; never raises for what a network may say."""
        raise NotImplementedError(self.name)

    def is_cumulative(self) -> bool:
        """Whether the last sample of a window answers for all of it (some predicates: depending on their
        fields).
        """
        return self.cumulative

    def __init_subclass__(cls, name: str = "", short: str | None = None, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if name:
            if name in _names and _names[name].__module__ != cls.__module__:
                raise TypeError(f"two predicates are called {name!r}")
            cls.name, cls.short = name, short
            _names[name] = cls

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return value
        if value is None:
            return {}
        return value if cls.short is None else {cls.short: value}


Window = Sequence[Snapshot]


def catalogue() -> Mapping[str, type[Predicate]]:
    """Every predicate by its name, sorted. Importing the modules of this package registers them."""
    import runner.predicates as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"runner.predicates.{module.name}")
    return MappingProxyType(dict(sorted(_names.items())))
