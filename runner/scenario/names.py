"""Names across a scenario: nodes, groups, steps, sides, definitions, units, facts. What is spoken of must
exist, and nothing twice.

Belongs here: whose name is whose. When things happen is checked in ``times``, who would be hit in
``choices``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.fields import CLOCK_UNITS, NAME, Bound, Duration, Moment
from runner.scenario import later
from runner.scenario.expectations import is_trial
from runner.scenario.groups import Grouped
from runner.scenario.mentions import Context, Mention
from runner.scenario.problems import Loc, near, nearest_or_all
from runner.scenario.steps import Draft

RESERVED = frozenset({"nodes", "faults", "rest", "next", "end"})
AMOUNTS = frozenset({"minority", "majority", "f"})
TIME_FACTS = frozenset({"clock_error", "finality_age"})
COUNT_FACTS = frozenset(
    {
        "height",
        "lag",
        "degree",
        "components",
        "diameter",
        "edge_connectivity",
        "restarts",
        "peers",
        "fork_depth",
    }
)


@dataclass
class Names:
    """Who there is. ``complete`` says that every node is known, so that another name is a mistake."""

    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nodes: frozenset[str] = frozenset()
    complete: bool = False
    steps: dict[str, Draft] = field(default_factory=dict)
    units: Mapping[str, float] = field(default_factory=dict)

    def all(self) -> list[str]:
        """Everything that a target may name, for suggestions."""
        return ["nodes", *self.groups, *sorted(self.nodes), *self.steps]


def gather(groups: Sequence[Grouped], complete: bool, units: Mapping[str, float], context: Context) -> Names:
    """The nodes and groups, each name once; clashes are problems."""
    names = Names(units=units, complete=complete)
    seen: dict[str, str] = {}
    by_group: dict[str, tuple[str, ...]] = {}
    for group in groups:
        where = (*group.loc, "group") if group.named else group.loc
        if group.named:
            _claim(group.name, "group", where, seen, names, context)
        by_group[group.name] = (*by_group.get(group.name, ()), *group.members)
        clash = [m for m in group.members if m in seen and not (group.named and m == group.name)]
        if clash:
            more = f" and {len(clash) - 1} more" if len(clash) > 1 else ""
            context.report.add(
                (*group.loc, "names"),
                f"node '{clash[0]}'{more} would have the name of a {seen[clash[0]]}: give 'names' a "
                "prefix of its own",
            )
        elif group.members and (group.members[0] in RESERVED | AMOUNTS or group.members[0] in CLOCK_UNITS):
            context.report.add((*group.loc, "names"), f"'{group.members[0]}' is a word of the language")
        seen.update({m: "node" for m in group.members if m not in seen})
    names.groups = by_group
    names.nodes = frozenset(m for members in by_group.values() for m in members)
    return names


def _claim(name: str, what: str, loc: Loc, seen: dict[str, str], names: Names, context: Context) -> bool:
    if name in RESERVED or name in AMOUNTS or name in CLOCK_UNITS or name in _unit_words(names.units):
        context.report.add(loc, f"'{name}' is a word of the language and cannot name a {what}")
        return False
    if name in seen:
        context.report.add(
            loc, f"'{name}' is already the name of a {seen[name]}: nodes, groups and steps share one space"
        )
        return False
    seen[name] = what
    return True


def _unit_words(units: Mapping[str, float]) -> set[str]:
    return {w for u in units for w in (u, u + "s")}


def name_steps(raw: Any, names: Names, context: Context) -> list[str]:
    """A name for every item of the timeline: its own, or one made from its fault and place (``kill-3``)."""
    items = raw if isinstance(raw, list) else []
    seen = dict.fromkeys(names.nodes, "node") | {g: "group" for g in names.groups if g != "nodes"}
    own: dict[int, str] = {}
    for index, item in enumerate(items):
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(name, str) and re.fullmatch(NAME, name):
            _claim(name, "step", ("timeline", index, "name"), seen, names, context)
            own[index] = name
    out = []
    for index, item in enumerate(items):
        if index in own:
            out.append(own[index])
            continue
        kind = (
            next((k for k in item if k in context.faults or k in later.FAULTS), "step")
            if isinstance(item, dict)
            else "step"
        )
        name = base = f"{kind}-{index + 1}"
        number = 2
        while name in seen:
            name, number = f"{base}-{number}", number + 1
        seen[name] = "step"
        out.append(name)
    return out


def check_mentions(names: Names, context: Context) -> None:
    """Hold everything that was mentioned against what there is."""
    checks = {"target": _target, "step": _step, "moment": _moment, "duration": _duration, "fact": _fact}
    for mention in context.mentions:
        checks[mention.kind](mention, names, context)


def _target(mention: Mention, names: Names, context: Context) -> None:
    word = mention.value
    if not isinstance(word, str):
        context.report.add(mention.loc, f"{word!r} is not a name")
    elif word == "nodes" or word in names.groups or word in names.nodes:
        return
    elif "*" in word or "?" in word:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*\*|\*", word):
            context.report.add(
                mention.loc, f"'{word}': a pattern is the beginning of names and a '*', such as v*"
            )
        elif names.complete and not fnmatch.filter(names.nodes, word):
            context.report.add(mention.loc, f"no node's name begins with '{word[:-1]}'")
    elif word.split(".")[0] in names.steps:
        _part_of_step(word, mention, names, context)
    elif word in ("rest", "faults"):
        context.report.add(
            mention.loc,
            f"'{word}' is no set of nodes here: STEP.{word} is, where a step has that side"
            if word == "rest"
            else "'faults' is no set of nodes: name the step",
        )
    elif names.complete:
        context.report.add(mention.loc, f"there is no node, group or step '{word}'{near(word, names.all())}")


def _part_of_step(word: str, mention: Mention, names: Names, context: Context) -> None:
    """``STEP``, ``STEP.SIDE``, ``STEP.2`` and ``STEP.2.SIDE``."""
    name, *rest = word.split(".")
    draft = names.steps[name]
    if draft.index == mention.step and mention.step >= 0:
        context.report.add(mention.loc, f"step '{name}' cannot choose by whom it hits itself")
        return
    if rest and rest[0].isdigit():
        _trial(draft, int(rest.pop(0)), mention.loc, context)
    if not rest or draft.step is None:
        return
    sides = draft.step.fault.side_names()
    if len(rest) > 1 or (sides is not None and rest[0] not in sides):
        side = ".".join(rest)
        hint = nearest_or_all(side, sorted(sides)) if sides else f": '{draft.kind}' has none"
        context.report.add(mention.loc, f"step '{name}' has no side '{side}'{hint}")


def _trial(draft: Draft, number: int, loc: Loc, context: Context) -> None:
    if draft.step is None:
        return
    repeat = draft.step.repeat
    if repeat is None:
        context.report.add(loc, f"step '{draft.name}' is not repeated, so it has no trial {number}")
    elif not 1 <= number <= repeat.times:
        context.report.add(loc, f"step '{draft.name}' has trials 1 to {repeat.times}, not {number}")


def _named_step(word: str, loc: Loc, names: Names, context: Context) -> Draft | None:
    name, trial = is_trial(word)
    draft = names.steps.get(name)
    if draft is None:
        context.report.add(
            loc, f"there is no step '{name}'" + nearest_or_all(name, named_ones(names.steps.values()))
        )
    elif trial is not None:
        _trial(draft, trial, loc, context)
    return draft


def named_ones(drafts: Iterable[Draft]) -> list[str]:
    """The steps that the author named, first of all; those made up where there are no others."""
    drafts = list(drafts)
    return [d.name for d in drafts if "name" in d.raw] or [d.name for d in drafts]


def _step(mention: Mention, names: Names, context: Context) -> None:
    word = mention.value
    if word == "faults":
        if not names.steps:
            context.report.add(mention.loc, "there are no faults: the timeline is empty")
        return
    _named_step(word, mention.loc, names, context)


def _moment(mention: Mention, names: Names, context: Context) -> None:
    moment: Moment = mention.value
    _duration(Mention("duration", moment.plus, mention.loc), names, context)
    if moment.anchor in ("next", "nth"):
        if moment.name not in names.units:
            hint = near(moment.name, names.units) or (
                f" (there is: {', '.join(names.units)})" if names.units else ": network.units names them"
            )
            context.report.add(mention.loc, f"the network has no unit '{moment.name}'{hint}")
    elif moment.anchor in ("start", "end"):
        draft = _named_step(moment.name, mention.loc, names, context)
        if draft is not None and draft.index == mention.step and mention.step >= 0:
            context.report.add(mention.loc, f"step '{draft.name}' cannot begin by its own time")


def _duration(mention: Mention, names: Names, context: Context) -> None:
    duration: Duration = mention.value
    if not duration.is_protocol:
        return
    if duration.unit not in names.units and duration.unit.removesuffix("s") not in names.units:
        known = sorted(_unit_words(names.units) | set(CLOCK_UNITS))
        hint = near(duration.unit, known) or f" (there is: {', '.join([*CLOCK_UNITS, *names.units])})"
        context.report.add(mention.loc, f"'{duration}': there is no unit '{duration.unit}'{hint}")


def _fact(mention: Mention, names: Names, context: Context) -> None:
    bound = mention.value if isinstance(mention.value, Bound) else Bound(mention.value)
    fact, value = bound.fact, bound.value
    if isinstance(value, Duration):
        _duration(Mention("duration", value, mention.loc), names, context)
    if context.facts is not None and fact not in context.facts:
        if fact in names.units and not isinstance(mention.value, Bound):
            return  # counted per unit of the protocol
        known = sorted(context.facts)
        hint = near(fact, known) or f" (there is: {', '.join(known)})"
        context.report.add(mention.loc, f"nothing observes a fact '{fact}'{hint}")
        return
    if bound.op is None:
        return
    if fact in TIME_FACTS and not isinstance(value, Duration):
        context.report.add(
            mention.loc, f"'{fact}' is a time: compare it with one, such as '{fact} {bound.op} 50ms'"
        )
    elif fact in COUNT_FACTS and not isinstance(value, int | float):
        context.report.add(
            mention.loc, f"'{fact}' is a number, and '{value}' is none: write '{fact} {bound.op} 3'"
        )


def check_definitions(context: Context) -> None:
    """``define`` shares its space with predicates and facts; one that nobody uses is a mistake."""
    for name in context.defined:
        where = ("define", name)
        if not re.fullmatch(NAME, name):
            context.report.add(
                where, f"'{name}' is no name: small letters, digits, _ and -, a letter first", key=True
            )
        elif name in context.predicates or name in later.PREDICATES or name in ("not", "is"):
            context.report.add(where, f"'{name}' is already the name of a predicate", key=True)
        elif name in (context.facts or ()) or name in COUNT_FACTS | TIME_FACTS:
            context.report.add(where, f"'{name}' is already the name of a fact", key=True)
        elif name not in context.used_definitions:
            context.report.add(where, f"'{name}' is defined and never used", key=True)
