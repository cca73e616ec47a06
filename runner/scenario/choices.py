"""Whom steps would hit, as far as a file can tell: empty selections, more than there are, a node on no side
or on two.

The faults' own choice is asked, with the nodes that the file describes and a fixed seed. Only what does
not hang on the draw is a problem here; the rest is the plan's business.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from faults.fault import ChoiceError, NodeInfo, Pool, Undecided
from runner.scenario.mentions import Context
from runner.scenario.names import Names
from runner.scenario.network import Read
from runner.scenario.problems import Loc
from runner.scenario.steps import Draft


def check_choices(drafts: Sequence[Draft], read: Read, names: Names, context: Context) -> None:
    """Ask every fault whom it would hit, on the nodes as described."""
    if not read.complete or any(g.made is None for g in read.groups):
        return
    nodes = tuple(_infos(read))
    wrong = {m.step for m in context.mentions if m.kind == "target" and _hangs_on_steps(m.value, names)}
    absent = frozenset(m for g in read.groups if g.made and g.made.waits for m in g.members)
    started = _any_start(drafts)
    seen: dict[tuple[str, str], str | None] = {}
    for draft in drafts:
        if draft.step is None or draft.index in wrong:
            continue
        key = (draft.kind, repr(draft.step.fault))
        if key not in seen:
            pool = Pool(
                nodes=nodes,
                rng=random.Random(0),
                quorum=read.quorum,
                absent=frozenset() if started else absent,
                units=names.units,
            )
            seen[key] = _why_not(draft, pool)
        message = seen[key]
        if message is not None:
            loc = _place(draft)
            if not context.report.found_at(loc) and not _names_unknown(draft, names, context):
                context.report.add(loc, message)


def _why_not(draft: Draft, pool: Pool) -> str | None:
    assert draft.step is not None
    try:
        draft.step.fault.choose(pool)
    except ChoiceError as error:
        return str(error)
    except Undecided:
        return None
    return None


def _any_start(drafts: Sequence[Draft]) -> bool:
    return any(d.kind == "start" for d in drafts)


def _hangs_on_steps(word: Any, names: Names) -> bool:
    return isinstance(word, str) and word.split(".")[0] in names.steps


def _names_unknown(draft: Draft, names: Names, context: Context) -> bool:
    """Whether the step names somebody who is not there, which has been reported already."""
    known = {"nodes", *names.groups, *names.nodes}
    return any(
        m.step == draft.index
        and m.kind == "target"
        and isinstance(m.value, str)
        and m.value not in known
        and "*" not in m.value
        for m in context.mentions
    )


def _place(draft: Draft) -> Loc:
    """Where the choice was written: at ``pick`` where that is the fault's own, else at the fault."""
    raw = draft.raw.get(draft.kind)
    where = (*draft.loc, draft.kind)
    if isinstance(raw, Mapping):
        for key in ("pick", "sides", "of"):
            if key in raw:
                return (*where, key)
    return where


def _infos(read: Read) -> list[NodeInfo]:
    out: list[NodeInfo] = []
    for group in read.groups:
        if group.made is None:
            continue
        for name, zone, stake in zip(group.made.members, group.made.zones, group.made.stakes, strict=True):
            out.append(NodeInfo(name=name, group=group.name, index=len(out) + 1, zone=zone, stake=stake))
    return out
