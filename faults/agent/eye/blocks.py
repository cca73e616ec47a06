"""A reachability matrix written as blocks of nodes that fare alike. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any


def compress(names: Sequence[str], missing: Collection[tuple[int, int]]) -> dict[str, Any]:
    """``{"blocks": [[names]], "cut".

    [[i, j]]}`` of a matrix given by the ordered pairs of indexes that do not reach. Nodes with equal rows and
    columns form a block; (i, i) is in ``cut`` when the members of block i do not reach each other. Exact: a
    pair is missing if and only if its blocks are in ``cut``. Blocks come in the order of their first node.

    Whether a node "reaches itself" decides with whom its row can be equal. Said yes to all, equal nodes reach
    each other; said no, equal nodes are cut from each other. A node cannot have company both ways: a common
    friend of one kind would have to be reached and not reached by the other. So those left alone by the first
    question are asked the second.
    """
    rows, columns = [0] * len(names), [0] * len(names)
    for a, b in missing:
        rows[a] |= 1 << b
        columns[b] |= 1 << a
    together: dict[Hashable, list[int]] = {}
    for i in range(len(names)):
        together.setdefault((rows[i], columns[i]), []).append(i)
    groups = [g for g in together.values() if len(g) > 1]
    apart: dict[Hashable, list[int]] = {}
    for (i,) in (g for g in together.values() if len(g) == 1):
        apart.setdefault((rows[i] | 1 << i, columns[i] | 1 << i), []).append(i)
    groups += apart.values()
    groups.sort()
    block_of = {i: number for number, group in enumerate(groups) for i in group}
    cut = {(block_of[a], block_of[b]) for a, b in missing}
    return {"blocks": [[names[i] for i in g] for g in groups], "cut": [list(c) for c in sorted(cut)]}
