"""Cut links: between two sets of nodes, one way or both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import Field, model_validator

from faults.fault import ChoiceError, Chosen, Fault, Hit, Pool, Unit
from faults.fields import SetField
from faults.model import NetworkModel
from faults.select import describe, select


class Cut(Fault, kind="cut"):
    """Every link from ``from`` to ``to`` is cut in that direction, or every link ``between`` two sets in
    both.

    Each set is a name, a list or a mapping of target fields. Sides: ``from`` and ``to``, or ``a`` and
    ``b``. Under ``onset`` and ``heal`` links come in and go out one by one, with ``between`` both
    directions of a link together.
    """

    from_: SetField | None = Field(default=None, alias="from")
    to: SetField | None = None
    between: tuple[SetField, SetField] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Cut:
        if self.between is not None:
            if self.from_ is not None or self.to is not None:
                raise ValueError("give 'from' and 'to' (one way) or 'between' (both), not all of them")
        elif self.from_ is None or self.to is None:
            raise ValueError("give both 'from' and 'to' (one way), or 'between: [X, Y]' (both)")
        return self

    def choose(self, pool: Pool) -> Chosen:
        """Both sets; the targets are all their members that lose a link."""
        names, first, second = self._sets()
        one, two = (select(s, pool, avoid_busy=s.pick is not None) for s in (first, second))
        if one == two and len(one) == 1:
            raise ChoiceError(
                f"{describe(first)} and {describe(second)} are one node, which has no link to itself"
            )
        hit = {*one, *two}
        return Chosen(tuple(n for n in pool.names if n in hit), {names[0]: one, names[1]: two})

    def _sets(self) -> tuple[tuple[str, str], SetField, SetField]:
        if self.between is not None:
            return ("a", "b"), *self.between
        assert self.from_ is not None
        assert self.to is not None
        return ("from", "to"), self.from_, self.to

    def units(self, chosen: Chosen) -> Sequence[Unit]:
        """The links, as (from, to); with ``between`` one for each pair."""
        one, two = chosen.sides.values()
        links: dict[Unit, None] = {}
        for a in one:
            for b in two:
                if a != b and not (self.between is not None and (b, a) in links):
                    links[(a, b)] = None
        return tuple(links)

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """The links that are in now are cut."""
        one, two = hit.chosen.sides.values()
        rules: Iterable[tuple[Iterable[str], Iterable[str]]] = [(one, two)]
        if hit.units is not None:
            by_source: dict[str, list[str]] = {}
            for unit in sorted(u for u in hit.units if isinstance(u, tuple)):
                by_source.setdefault(unit[0], []).append(unit[1])
            rules = [([a], b) for a, b in by_source.items()]
        for sources, targets in rules:
            model = model.with_cut(sources, targets)
            if self.between is not None:
                model = model.with_cut(targets, sources)
        return model

    def harmed(self, chosen: Chosen) -> tuple[str, ...]:
        """The smaller of the two sets."""
        return min(chosen.sides.values(), key=len)

    def side_names(self) -> frozenset[str]:
        """The two sets."""
        return frozenset({"a", "b"} if self.between is not None else {"from", "to"})

    def claims(self) -> frozenset[str]:
        """Packets must stop."""
        return frozenset({"cut"})
