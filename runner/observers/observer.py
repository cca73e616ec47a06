"""How a network is asked for facts: what to fetch from each node, and how its answer is read.

A preset is one module of this package that declares an ``Observer``; ``observer_for`` finds it by name or
makes one from a scenario's own mapping of facts. Reading is pure: bytes in, facts out.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """What one answer says.

    ``facts`` maps a fact to a number, a yes/no, a text or a point ``[height, hash]``. ``points`` maps a
    fact to points of the recent past, oldest first. ``wall_s`` is what the node's own clock showed while
    it answered, if it says so.
    """

    facts: Facts
    points: Mapping[str, list[list[Any]]] = field(default_factory=dict)
    wall_s: float | None = None


@dataclass(frozen=True)
class Observer:
    """One GET a sample and node: ``port``, ``path``; ``read`` turns the body into a reading (ValueError:
    it makes no sense).
    """

    name: str
    port: int
    path: str
    read: Callable[[str], Reading]
    facts: tuple[str, ...] = ()
    about: str = ""


_presets: dict[str, Observer] = {}


def declare(observer: Observer) -> Observer:
    """Add a preset to the catalogue."""
    _presets[observer.name] = observer
    return observer


def catalogue() -> Mapping[str, Observer]:
    """Every preset by name."""
    import runner.observers as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"runner.observers.{module.name}")
    return MappingProxyType(dict(sorted(_presets.items())))


def from_mapping(path: str, port: int, facts: Mapping[str, str]) -> Observer:
    """An observer made of a path to fetch and, for each fact, where it stands in the JSON answer
    (``result.height``, ``peers.0``).
    """
    return Observer("http", port, path, lambda body: _mapped(body, facts), tuple(facts))


def _mapped(body: str, facts: Mapping[str, str]) -> Reading:
    document = json.loads(body)
    out = {}
    for fact, path in facts.items():
        value = _at(document, path)
        if value is not None:
            out[fact] = _plain(value)
    return Reading(out)


def _at(document: Any, path: str) -> Any:
    value = document
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _plain(value: Any) -> Any:
    """Numbers that JSON carries as text (as many chains do) become numbers; lists and mappings become
    their length.
    """
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    return len(value) if isinstance(value, list | dict) else value
