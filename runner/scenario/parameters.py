"""``$name`` in a scenario: parameters are put in anywhere, and a node's own facts are left for its commands.

``$$`` is a dollar. What a reference may name is decided here; what the values mean is decided by the schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from runner.scenario.problems import Loc, Report, nearest_or_all

NODE_FACTS = ("name", "address", "index", "offset", "zone", "stake", "data", "run")
_REFERENCE = re.compile(r"\$(?:(\$)|(\{)|([a-z][a-z0-9_-]*)(?:\.[a-z][a-z0-9_]*)?)?")
_COMMANDS = frozenset({"run", "env", "files", "lists", "ready", "versions", "setup", "observe"})
_LEFT_ALONE = frozenset({"parameters", "sweep"})


@dataclass
class Substitution:
    """Puts ``values`` in; afterwards ``used`` names the parameters that were, and ``came_from`` says which
    one a value came from.
    """

    values: Mapping[str, Any]
    report: Report
    texts: Mapping[str, str] = field(default_factory=dict)
    """The values as they were written, for texts and commands."""
    used: set[str] = field(default_factory=set)
    came_from: dict[Loc, str] = field(default_factory=dict)
    command_names: set[str] = field(default_factory=set)

    def document(self, data: Any) -> Any:
        """A copy of the whole document with everything put in."""
        if not isinstance(data, dict):
            return data
        self.command_names = _names_in_commands(data.get("network"))
        return {
            k: v if k in _LEFT_ALONE else self._put(v, (k,), k == "network", False) for k, v in data.items()
        }

    def _put(self, value: Any, loc: Loc, network: bool, command: bool) -> Any:
        if isinstance(value, dict):
            return {
                k: self._put(v, (*loc, k), network, command or (network and k in _COMMANDS))
                for k, v in value.items()
            }
        if isinstance(value, list):
            return [self._put(v, (*loc, i), network, command) for i, v in enumerate(value)]
        if isinstance(value, str) and "$" in value:
            return self._text(value, loc, network, command)
        return value

    def _text(self, text: str, loc: Loc, network: bool, command: bool) -> Any:
        whole = _REFERENCE.fullmatch(text)
        if whole and whole[3] in self.values and whole[0] == f"${whole[3]}":
            self.used.add(whole[3])
            self.came_from[loc] = whole[3]
            value = self.values[whole[3]]
            return self._written(whole[3]).replace("$", "$$") if command else value

        def put(match: re.Match[str]) -> str:
            dollar, brace, name = match[1], match[2], match[3]
            if dollar:
                return "$$" if command else "$"
            if brace:
                self.report.add(loc, "write $name, not ${name}: YAML cannot read braces there", settle=True)
                return match[0]
            if not name:
                self.report.add(loc, "a '$' that names nothing: write $$ for a dollar", settle=True)
                return match[0]
            return self._named(match[0], name, loc, network, command)

        return _REFERENCE.sub(put, text)

    def _written(self, name: str) -> str:
        value = self.values[name]
        return value if isinstance(value, str) else self.texts.get(name) or plain(value)

    def _named(self, written: str, name: str, loc: Loc, network: bool, command: bool) -> str:
        """One reference inside a text; a name may end at a ``-`` where the longer one is not known."""
        rest = written[1 + len(name) :]
        short = name
        while short not in self.values and "-" in short:
            short = short.rpartition("-")[0]
        if short in self.values:
            self.used.add(short)
            self.came_from[loc] = short
            shown = self._written(short)
            return (shown.replace("$", "$$") if command else shown) + name[len(short) :] + rest
        if network:
            own = {n for n in self.command_names if name == n or name.startswith(n + "-")}
            if not (own or name.startswith("port_")):
                self.report.add(
                    loc,
                    f"'${name}' is neither a parameter nor a fact of a node"
                    + nearest_or_all(name, sorted({*self.values, *self.command_names})),
                    settle=True,
                )
            return written
        hint = nearest_or_all(name, self.values)
        self.report.add(loc, f"there is no parameter '{name}'{hint}", settle=True)
        return written


def _names_in_commands(network: Any) -> set[str]:
    """What a command may name beside parameters: facts of a node, what ``save`` keeps, ``lists``, other
    nodes.
    """
    names = set(NODE_FACTS)
    if not isinstance(network, dict):
        return names
    for step in listed(network.get("setup")):
        if isinstance(step, dict) and isinstance(step.get("save"), str):
            names.add(step["save"])
    for group in listed(network.get("nodes")):
        if not isinstance(group, dict):
            continue
        if isinstance(group.get("lists"), dict):
            names.update(group["lists"])
        count = group.get("count")
        prefix = group.get("names", "n")
        if isinstance(count, int) and 0 < count <= 100_000 and isinstance(prefix, str):
            names.update(f"{prefix}{i}" for i in range(1, count + 1))
        elif isinstance(group.get("group"), str):
            names.add(group["group"])
    return names


_WORDS = frozenset({"run", "env", "files", "copy", "to", "each", "http", "log", "version"})


def with_words(data: Any, loc: Loc, words: Mapping[Loc, str], inside: bool = False) -> Any:
    """A network in which the words of commands are text as they were written, whatever YAML made of them."""
    if isinstance(data, dict):
        return {k: with_words(v, (*loc, k), words, inside or k in _WORDS) for k, v in data.items()}
    if isinstance(data, list):
        return [with_words(v, (*loc, i), words, inside) for i, v in enumerate(data)]
    if inside and isinstance(data, bool | int | float):
        return words.get(loc, plain(data))
    return data


def listed(value: Any) -> list[Any]:
    """One item needs no brackets; nothing is no item."""
    return value if isinstance(value, list) else [] if value is None else [value]


def plain(value: Any) -> str:
    """A value as it stands in a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def mentioned(data: Any, names: Mapping[str, Any]) -> set[str]:
    """Which of the names occur as ``$name`` anywhere in the data."""
    found: set[str] = set()
    stack = [v for k, v in data.items() if k not in _LEFT_ALONE] if isinstance(data, dict) else []
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, str) and "$" in value:
            for match in _REFERENCE.finditer(value):
                name = match[3]
                while name and name not in names and "-" in name:
                    name = name.rpartition("-")[0]
                if name in names:
                    found.add(name)
    return found


def escaped(data: Any, network: bool = False, command: bool = False) -> Any:
    """The substituted document in a form that reads as itself again: a dollar is written ``$$`` (commands
    keep theirs).
    """
    if isinstance(data, dict):
        return {
            k: escaped(v, network or k == "network", command or (network and k in _COMMANDS))
            for k, v in data.items()
        }
    if isinstance(data, list):
        return [escaped(v, network, command) for v in data]
    if isinstance(data, str) and not command:
        return data.replace("$", "$$")
    return data
