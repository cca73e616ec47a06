"""Partitions: the network cut into sides, by shape or by listed sides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from faults.fault import ChoiceError, Chosen, Fault, Hit, Pool, in_order
from faults.fields import AMOUNT, NAME, Amount, SetField, Targets, as_targets, parse_amount, problem
from faults.model import NetworkModel
from faults.select import by_stake, deal, describe, how_many, select

Shape = Literal["halves", "thirds", "minority", "bridge", "majorities_ring", "random", "zones"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BRIDGE = "bridge"
RING = "ring"


def _side(value: Any, as_set: ValidatorFunctionWrapHandler) -> Any:
    """An amount where it reads as one, else a set of nodes."""
    if isinstance(value, Amount) or not isinstance(value, str | list | tuple | dict | Targets):
        return parse_amount(value)
    if isinstance(value, str) and (value[:1].isdigit() or re.fullmatch(AMOUNT, value)):
        return parse_amount(value)
    return as_set(as_targets(value))


def _sides(value: Any) -> Any:
    if isinstance(value, list | tuple):
        value = dict(zip(LETTERS, value, strict=False))
    if not isinstance(value, dict) or len(value) < 2:
        raise problem("sides", "sides are at least two: write [30%, rest] or {{small: 30%, big: rest}}")
    return value


class _SideSchema:
    """The JSON Schema of a side: an amount or a set of nodes."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        names = {"type": "array", "items": {"type": "string"}}
        return {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}, names, handler(core)]}


class _SidesSchema:
    """The JSON Schema of sides: a list, or a mapping of names."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        mapping = {**handler(core), "minProperties": 2}
        patterns = mapping.get("patternProperties", {})
        side: Any = mapping.get("additionalProperties") or next(iter(patterns.values()), {})
        return {"anyOf": [mapping, {"type": "array", "items": side, "minItems": 2, "maxItems": len(LETTERS)}]}


if TYPE_CHECKING:
    Sides = dict[str, Amount | Targets]
else:
    Side = Annotated[
        Targets, WrapValidator(_side), PlainSerializer(str, return_type=str, when_used="json"), _SideSchema()
    ]
    SideName = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
    Sides = Annotated[dict[SideName, Side], BeforeValidator(_sides), _SidesSchema()]


class Partition(Fault, Targets, kind="partition", short="shape"):
    """The nodes are parted into sides that do not reach each other; within a side all goes on as before.

    Shapes: ``halves`` (a, b), ``thirds`` (a, b, c), ``minority`` (small: most under half; big), ``zones``
    (one side a zone, named as it), ``random`` (a, b, of random size), ``bridge`` (a, b, and ``over``, who
    sees both: side ``bridge``), ``majorities_ring`` (each sees a majority, no two the same). Or ``sides:
    [30%, rest]`` (a, b, …), ``sides: {small: 30%, big: rest}``, where a side is an amount, ``rest``, a
    name, a list or a mapping of target fields. ``by: stake`` weighs instead of counting.

    Nodes outside ``of`` follow ``others``: they join the last side (``rest``), all sides in proportion
    (``spread``), or see everybody (``bridge``; in a ring always). Under ``onset`` and ``heal`` a node that
    has come in does not reach the other sides.
    """

    shape: Shape | None = None
    sides: Sides | None = None
    over: SetField | None = None
    others: Literal["rest", "spread", "bridge"] = "rest"

    @model_validator(mode="after")
    def _one_form(self) -> Partition:
        if (self.shape is None) == (self.sides is None):
            raise ValueError("give a shape (halves, thirds, …) or 'sides', one of both")
        if self.over is not None and self.shape != "bridge":
            raise ValueError("'over' names the bridge of shape 'bridge'; this partition has none")
        if self.sides is not None:
            rests = [
                name for name, side in self.sides.items() if isinstance(side, Amount) and side.kind == "rest"
            ]
            if len(rests) > 1:
                raise ValueError(f"only one side can be the rest, not {' and '.join(rests)}")
            if BRIDGE in self.sides:
                raise ValueError("'bridge' is what nodes on no side are called; give the side another name")
        return self

    def choose(self, pool: Pool) -> Chosen:
        """The sides; the targets are all nodes on a side. Being hit by another partition is no obstacle."""
        base = select(self, pool, avoid_busy=self.pick is not None)
        if self.shape == "majorities_ring":
            return self._ring(base, pool)
        bridge: tuple[str, ...] = ()
        if self.shape == "bridge":
            bridge = self._bridge(base, pool)
            base = tuple(n for n in base if n not in bridge)
        sides = self._listed(base, pool) if self.sides is not None else self._shaped(base, pool)
        for name, members in sides.items():
            if not members:
                raise ChoiceError(f"side '{name}' would be empty ({len(base)} nodes to part)")
        placed = {n for members in sides.values() for n in members} | set(bridge)
        outside = [n for n in pool.names if n not in placed]
        bridge += self._place(outside, sides, pool)
        ordered = {name: in_order(members, pool) for name, members in sides.items()}
        if bridge:
            ordered[BRIDGE] = in_order(bridge, pool)
        return Chosen(in_order((n for name in sides for n in ordered[name]), pool), ordered)

    def _bridge(self, base: Sequence[str], pool: Pool) -> tuple[str, ...]:
        if self.over is not None:
            return select(self.over, pool, avoid_busy=False)
        return (pool.rng.choice(base),)

    def _shaped(self, base: Sequence[str], pool: Pool) -> dict[str, list[str]]:
        weights = self._weights(pool)
        if self.shape == "minority":
            small = self._amount(Amount("minority"), base, base, pool)
            return {"small": small, "big": [n for n in base if n not in small]}
        if self.shape == "zones":
            return _zones(base, pool)
        if self.shape == "random":
            order = list(base)
            pool.rng.shuffle(order)
            at = pool.rng.randint(1, len(order) - 1) if len(order) > 1 else 0
            return {"a": order[:at], "b": order[at:]}
        count = 3 if self.shape == "thirds" else 2
        dealt = deal(base, [Fraction(1, count)] * count, pool.rng, weights)
        return dict(zip(LETTERS, dealt, strict=False))

    def _listed(self, base: Sequence[str], pool: Pool) -> dict[str, list[str]]:
        """Sets first, then amounts from what is left, then the rest. Amounts are measured on all of
        ``base``.
        """
        assert self.sides is not None
        sets = {
            name: list(select(s, pool, avoid_busy=False))
            for name, s in self.sides.items()
            if isinstance(s, Targets)
        }
        taken: dict[str, str] = {}
        for name, members in sets.items():
            for node in members:
                if node in taken:
                    raise ChoiceError(f"{node} would be on two sides, '{taken[node]}' and '{name}'")
                taken[node] = name
        amounts = {name: a for name, a in self.sides.items() if isinstance(a, Amount) and a.kind != "rest"}
        shares = [Fraction(str(a.value)) / 100 for a in amounts.values() if a.kind == "percent"]
        left = [n for n in base if n not in taken]
        if not sets and len(shares) == len(self.sides) and sum(shares) == 1:
            return dict(zip(self.sides, deal(base, shares, pool.rng, self._weights(pool)), strict=True))
        drawn: dict[str, list[str]] = {}
        for name, amount in amounts.items():
            drawn[name] = self._amount(amount, base, left, pool)
            left = [n for n in left if n not in drawn[name]]
        rest = next((name for name in self.sides if name not in sets and name not in amounts), None)
        if rest is None and left and amounts:
            raise ChoiceError(f"{len(left)} of {len(base)} nodes would be on no side: make one side 'rest'")
        return {
            name: sets.get(name) or drawn.get(name) or (left if name == rest else []) for name in self.sides
        }

    def _amount(self, amount: Amount, base: Sequence[str], left: Sequence[str], pool: Pool) -> list[str]:
        infos = {n.name: n for n in pool.nodes}
        order = list(left)
        pool.rng.shuffle(order)
        if self.by == "stake" and amount.kind != "count":
            return by_stake(amount, [infos[n] for n in order], sum(infos[n].stake for n in base), pool.quorum)
        count = how_many(amount, len(base), pool.quorum)
        if count > len(order):
            raise ChoiceError(
                f"a side of {amount} needs {count} nodes, and only {len(order)} of {describe(self)} are left"
            )
        return order[:count]

    def _place(self, outside: Sequence[str], sides: dict[str, list[str]], pool: Pool) -> tuple[str, ...]:
        """Put the nodes outside ``of`` where ``others`` says; returns those that see everybody."""
        if self.others == "bridge" or not outside:
            return tuple(outside)
        if self.others == "rest":
            sides[list(sides)[-1]] = [*sides[list(sides)[-1]], *outside]
            return ()
        whole = sum(len(members) for members in sides.values())
        parts = [Fraction(len(members), whole) for members in sides.values()]
        for name, more in zip(list(sides), deal(outside, parts, pool.rng), strict=True):
            sides[name] = [*sides[name], *more]
        return ()

    def _weights(self, pool: Pool) -> Mapping[str, float] | None:
        return {n.name: n.stake for n in pool.nodes} if self.by == "stake" else None

    def _ring(self, base: Sequence[str], pool: Pool) -> Chosen:
        """Side ``ring`` holds the seeded order in which each node sees as many neighbours left and right as
        make a majority.
        """
        if len(base) < 4:
            raise ChoiceError(f"a ring of majorities needs at least 4 nodes, not {len(base)}")
        order = list(base)
        pool.rng.shuffle(order)
        sides = {RING: tuple(order)}
        outside = tuple(n for n in pool.names if n not in set(base))
        return Chosen(in_order(base, pool), sides | ({BRIDGE: outside} if outside else {}))

    def effect(self, model: NetworkModel, hit: Hit) -> NetworkModel:
        """Nodes that are in are cut from all other sides, whether or not those have come in."""
        sides = hit.chosen.sides
        if RING in sides:
            return _cut_ring(model, sides[RING], hit)
        placed = {name: members for name, members in sides.items() if name != BRIDGE}
        for name, members in placed.items():
            mine = [n for n in members if hit.includes(n)]
            theirs = [n for other, far in placed.items() if other != name for n in far]
            model = model.with_cut(mine, theirs)
            if hit.units is not None:
                model = model.with_cut(theirs, mine)
        return model

    def harmed(self, chosen: Chosen) -> tuple[str, ...]:
        """All nodes but those of the largest side; in a ring everybody."""
        if RING in chosen.sides:
            return chosen.targets
        sides = [members for name, members in chosen.sides.items() if name != BRIDGE]
        largest = max(sides, key=len)
        return tuple(n for n in chosen.targets if n not in set(largest))

    def side_names(self) -> frozenset[str] | None:
        """The sides, and the bridge; those of zones are known once nodes are."""
        if self.shape == "zones":
            return None
        named: Sequence[str] = list(self.sides or ())
        if self.shape is not None:
            named = {"thirds": "abc", "minority": ["small", "big"], "majorities_ring": [RING]}.get(
                self.shape, "ab"
            )
        return frozenset(named) | {BRIDGE}

    def claims(self) -> frozenset[str]:
        """Packets must stop."""
        return frozenset({"cut"})


def _zones(base: Sequence[str], pool: Pool) -> dict[str, list[str]]:
    zone = {n.name: n.zone for n in pool.nodes}
    sides: dict[str, list[str]] = {}
    for node in base:
        if not zone[node]:
            raise ChoiceError(f"{node} is in no zone")
        sides.setdefault(zone[node], []).append(node)
    if len(sides) < 2:
        raise ChoiceError(f"all nodes are in one zone, {next(iter(sides))}")
    return sides


def _cut_ring(model: NetworkModel, order: Sequence[str], hit: Hit) -> NetworkModel:
    size = len(order)
    reach = (size // 2 + 1) // 2  # neighbours on each side: 2 * reach + 1 is the least odd majority
    for i, node in enumerate(order):
        if hit.includes(node):
            far = [order[(i + d) % size] for d in range(reach + 1, size - reach)]
            model = model.with_cut([node], far)
            if hit.units is not None:
                model = model.with_cut(far, [node])
    return model
