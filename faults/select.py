"""Who is hit: target fields, a pool of nodes and a seeded generator to names. No fault's own logic belongs
here.

The fields narrow in the order of, zone, host, label, where, but, pick. Nodes that an overlapping step of
the same kind already hits, and nodes that have not been started, are left out unless they are named one by
one (or by a step that hit them).
"""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from faults.fault import ChoiceError, NodeInfo, Pool, Undecided
from faults.fields import Amount, Bound, Duration, Targets


def select(wanted: Targets, pool: Pool, *, avoid_busy: bool = True) -> tuple[str, ...]:
    """The names that ``wanted`` means, in the network's order; never empty.

    ``avoid_busy`` False is for sets that are not hit themselves (``peers``, a side), where being hit
    already is no obstacle. Raises ChoiceError (nobody, more than there are, an unknown name) and Undecided
    (``where`` without facts).
    """
    named, of = _named(wanted.of or ("nodes",), pool)
    nodes = [n for n in pool.nodes if n.name in of and _fits(n, wanted)]
    if wanted.where is not None:
        if not pool.facts:
            raise Undecided(str(wanted.where))
        nodes = [n for n in nodes if _holds(wanted.where, pool.facts.get(n.name, {}), pool.units)]
    if wanted.but:
        out = _named(wanted.but, pool)[1]
        nodes = [n for n in nodes if n.name not in out]
    if not nodes:
        raise ChoiceError(f"{describe(wanted)}: nobody fits")
    nodes = [n for n in nodes if n.name in named or n.name not in pool.absent]
    if not nodes:
        raise ChoiceError(f"{describe(wanted)}: all of them are still waiting to be started")
    busy = pool.busy if avoid_busy else frozenset()
    if wanted.pick is None:
        left = [n for n in nodes if n.name in named or n.name not in busy]
        if not left:
            raise ChoiceError(
                f"{describe(wanted)}: an overlapping step of the same kind hits all of them already"
            )
        return tuple(n.name for n in left)
    return _pick(wanted, nodes, named, busy, pool)


def _pick(
    wanted: Targets, nodes: Sequence[NodeInfo], named: frozenset[str], busy: frozenset[str], pool: Pool
) -> tuple[str, ...]:
    """Draw ``pick`` of the nodes: those free first, then those busy but named. Amounts are measured on all
    of them.
    """
    assert wanted.pick is not None
    free = [n for n in nodes if n.name not in busy]
    taken = [n for n in nodes if n.name in busy and n.name in named]
    pool.rng.shuffle(free)
    pool.rng.shuffle(taken)
    candidates = free + taken
    if wanted.by == "stake" and wanted.pick.kind != "count":
        chosen = by_stake(wanted.pick, candidates, sum(n.stake for n in nodes), pool.quorum)
    else:
        count = how_many(wanted.pick, len(nodes), pool.quorum)
        if count > len(nodes):
            raise ChoiceError(f"{describe(wanted)}: there are only {len(nodes)} to pick from")
        if count > len(candidates):
            raise ChoiceError(
                f"{describe(wanted)}: of {len(nodes)}, only {len(candidates)} are not hit already "
                "by an overlapping step of the same kind"
            )
        chosen = [n.name for n in candidates[:count]]
    if not chosen:
        raise ChoiceError(f"{describe(wanted)}: {wanted.pick} of {len(nodes)} is nobody")
    if len(chosen) == len(nodes) > 1:
        raise ChoiceError(
            f"{describe(wanted)}: that is all {len(nodes)} of them: leave 'pick' out to mean all"
        )
    kept = set(chosen)
    return tuple(n.name for n in nodes if n.name in kept)


def how_many(amount: Amount, size: int, quorum: float = 2 / 3) -> int:
    """How many of ``size`` an amount is: percentages to the nearest (half up), ``f`` the most whose loss
    leaves a quorum.
    """
    share = _share(quorum)
    if amount.kind == "count":
        return int(amount.value)
    if amount.kind == "percent":
        return math.floor(Fraction(str(amount.value)) * size / 100 + Fraction(1, 2))
    if amount.kind == "minority":
        return max(0, (size - 1) // 2)
    if amount.kind == "majority":
        return size // 2 + 1
    if amount.kind == "rest":
        return size
    f = max(0, math.ceil(size - size * share) - 1)
    return f + 1 if amount.kind == "f+1" else f


def by_stake(amount: Amount, order: Sequence[NodeInfo], total: float, quorum: float = 2 / 3) -> list[str]:
    """Nodes whose stake makes the amount of ``total``, taken greedily in the given (seeded) order.

    ``minority`` and ``f`` never exceed what they allow: nodes that would are passed over. ``majority`` and
    ``f+1`` are reached, then nodes that are not needed are given back. A percentage is filled from below,
    and one more node is taken if that comes nearer. Greedy, so not always the closest there is; the same
    seed gives the same nodes.
    """
    stakes = [(n.name, _exact(n.stake)) for n in order]
    whole, share = _exact(total), _share(quorum)
    if amount.kind == "percent":
        return _nearest(stakes, whole * Fraction(str(amount.value)) / 100)
    if amount.kind in ("minority", "f"):
        limit = whole / 2 if amount.kind == "minority" else whole * (1 - share)
        taken, weight = [], Fraction(0)
        for name, stake in stakes:
            if weight + stake < limit:
                taken.append(name)
                weight += stake
        return taken
    bound = whole / 2 if amount.kind == "majority" else whole * (1 - share)

    def enough(weight: Fraction) -> bool:
        return weight > bound if amount.kind == "majority" else weight >= bound

    return _least(stakes, enough)


def _nearest(stakes: Sequence[tuple[str, Fraction]], target: Fraction) -> list[str]:
    taken, weight = [], Fraction(0)
    for name, stake in stakes:
        if weight + stake <= target:
            taken.append(name)
            weight += stake
    kept = set(taken)
    over = [(stake, i) for i, (name, stake) in enumerate(stakes) if name not in kept]
    if over and weight + min(over)[0] - target < target - weight:
        taken.append(stakes[min(over)[1]][0])
    return taken


def _least(stakes: Sequence[tuple[str, Fraction]], enough: Any) -> list[str]:
    taken: list[tuple[str, Fraction]] = []
    weight = Fraction(0)
    for name, stake in stakes:
        if enough(weight):
            break
        taken.append((name, stake))
        weight += stake
    for name, stake in list(taken):
        if enough(weight - stake):
            taken.remove((name, stake))
            weight -= stake
    return [name for name, _ in taken] if enough(weight) else []


def deal(
    names: Sequence[str],
    parts: Sequence[Fraction],
    rng: random.Random,
    weights: Mapping[str, float] | None = None,
) -> list[list[str]]:
    """Deal names out to sides in the given proportions (which add up to 1), in seeded order.

    Without weights the counts are exact by largest remainders. With weights each name goes to the side that
    is furthest below its share, heaviest names first.
    """
    order = list(names)
    rng.shuffle(order)
    sides: list[list[str]] = [[] for _ in parts]
    if weights is None:
        exact = [p * len(order) for p in parts]
        counts = [math.floor(e) for e in exact]
        for i in sorted(range(len(parts)), key=lambda i: counts[i] - exact[i])[: len(order) - sum(counts)]:
            counts[i] += 1
        for i, count in enumerate(counts):
            sides[i], order = order[:count], order[count:]
        return sides
    total = sum(_exact(weights[n]) for n in order)
    have = [Fraction(0)] * len(parts)
    for name in sorted(order, key=lambda n: -weights[n]):
        i = max(range(len(parts)), key=lambda i: parts[i] * total - have[i])
        sides[i].append(name)
        have[i] += _exact(weights[name])
    return sides


def describe(wanted: Targets) -> str:
    """Target fields as a person would write them."""
    said = wanted.model_dump(exclude_none=True, exclude_defaults=True, include=set(Targets.model_fields))
    if not said:
        return "nodes"
    shown = {k: _plain(v) if isinstance(v, tuple) else str(getattr(wanted, k)) for k, v in said.items()}
    if list(shown) == ["of"]:
        return shown["of"]
    return "{" + ", ".join(f"{k}: {v}" for k, v in shown.items()) + "}"


def _plain(names: Iterable[str]) -> str:
    names = list(names)
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"


def _named(words: Sequence[str], pool: Pool) -> tuple[frozenset[str], frozenset[str]]:
    """The nodes that the words name one by one (or by a step), and all that they mean."""
    groups: dict[str, list[str]] = {}
    for n in pool.nodes:
        groups.setdefault(n.group, []).append(n.name)
    everybody = set(pool.names)
    named: set[str] = set()
    meant: set[str] = set()
    for word in words:
        if word in everybody:
            named.add(word)
        elif word in groups:
            meant.update(groups[word])
        elif word in pool.hits:
            named.update(pool.hits[word])
        elif word == "nodes":
            meant.update(everybody)
        elif word.endswith("*"):
            found = {n for n in everybody if n.startswith(word[:-1])}
            if not found:
                raise ChoiceError(f"no node's name begins with '{word[:-1]}'")
            meant.update(found)
        else:
            near = difflib.get_close_matches(word, [*everybody, *groups, *pool.hits, "nodes"], 1)
            hint = f" (nearest: {near[0]})" if near else ""
            raise ChoiceError(f"'{word}' is no node, group or earlier step{hint}")
    return frozenset(named), frozenset(named | meant)


def _fits(node: NodeInfo, wanted: Targets) -> bool:
    return (
        (wanted.zone is None or node.zone in wanted.zone)
        and (wanted.host is None or node.host in wanted.host)
        and (wanted.label is None or all(node.labels.get(k) == v for k, v in wanted.label.items()))
    )


def _holds(bound: Bound, facts: Mapping[str, Any], units: Mapping[str, float]) -> bool:
    """Whether a node's facts meet the bound; a fact that the node did not report meets neither it nor its
    opposite.
    """
    if bound.fact not in facts or facts[bound.fact] is None:
        return False
    return _compare(bound, facts[bound.fact], units) != bound.negated


def _compare(bound: Bound, fact: Any, units: Mapping[str, float]) -> bool:
    if isinstance(fact, list | tuple) and len(fact) == 2:
        fact = fact[0]  # a point: its height
    if bound.op is None:
        return bool(fact)
    value: Any = bound.value
    if isinstance(value, Duration):
        try:
            value = value.seconds(units)
        except KeyError as unknown:
            raise ChoiceError(f"the network has no unit {unknown}") from None
    if bound.op in ("==", "!="):
        same = fact == value if isinstance(value, int | float) else str(fact).lower() == str(value).lower()
        return same == (bound.op == "==")
    if not isinstance(fact, int | float) or not isinstance(value, int | float):
        raise ChoiceError(f"'{bound}' compares {fact!r} with {value!r}, which have no order")
    return {">": fact > value, ">=": fact >= value, "<": fact < value, "<=": fact <= value}[bound.op]


def _exact(number: float) -> Fraction:
    return Fraction(str(number))


def _share(quorum: float) -> Fraction:
    """2/3 as a float is not two thirds; a quorum is a small fraction."""
    return Fraction(quorum).limit_denominator(1000)
