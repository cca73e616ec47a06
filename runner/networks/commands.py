"""Commands of nodes with their substitutions: ``$name $address $index $offset $zone $stake $data $run
$port_NAME``.

Also what ``save`` kept, a group's ``lists``, and another node's values as ``$boot.id``. ``$$`` is a
dollar. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from faults.fault import NodeInfo
from faults.fields import Targets
from runner.networks.description import Group

_REFERENCE = re.compile(r"\$(?:\$|([a-z][a-z0-9_-]*)(?:\.([a-z][a-z0-9_]*))?)")


class UnknownName(ValueError):
    """A command names something that is not there; the message says what, and the nearest valid name."""


def values_of(
    node: NodeInfo, *, run: str, data: str, ports: Mapping[str, int], saved: Mapping[str, str]
) -> dict[str, str]:
    """What a node's commands may name: its own facts, its ports and what ``save`` kept for it."""
    own = {
        "name": node.name,
        "address": node.address,
        "index": str(node.index),
        "offset": str(node.index - 1),
        "zone": node.zone,
        "stake": f"{node.stake:g}",
        "data": data,
        "run": run,
    }
    return {**own, **{f"port_{k}": str(v) for k, v in ports.items()}, **saved}


def substitute(text: str, values: Mapping[str, str], others: Mapping[str, Mapping[str, str]]) -> str:
    """``text`` with its references put in; ``others`` holds every node's values. Raises UnknownName."""

    def put(match: re.Match[str]) -> str:
        name, part = match[1], match[2]
        if name is None:
            return "$"
        if part is not None and name in others:
            if part in others[name]:
                return others[name][part]
            raise UnknownName(f"'${name}.{part}' is not known{_near(part, others[name])}")
        if name in values:
            return values[name] + (f".{part}" if part is not None else "")
        raise UnknownName(f"'${name}' is not known{_near(name, [*values, *others])}")

    return _REFERENCE.sub(put, text)


def substitute_all(
    words: Sequence[str], values: Mapping[str, str], others: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Each word with its references put in. Raises UnknownName."""
    return [substitute(word, values, others) for word in words]


def lists_of(
    group: Group, everyone: Mapping[str, Mapping[str, str]], choose: Callable[[Targets], Sequence[str]]
) -> dict[str, str]:
    """The group's ``lists``: each a comma-joined text with one part for each node that it is ``of``.

    ``choose`` gives the names of the nodes that target fields mean.
    """
    return {
        name: ",".join(substitute(spec["each"], everyone[n], everyone) for n in choose(spec["of"]))
        for name, spec in group.lists.items()
    }


def _near(word: str, known: Sequence[str] | Mapping[str, str]) -> str:
    hit = difflib.get_close_matches(word, list(known), 1, 0.6)
    return f"; did you mean '${hit[0]}'?" if hit else ""
