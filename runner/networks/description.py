"""A network as described: its groups of nodes, their commands, what is done before the first start, how
facts are asked for.

Plain values that scenario files are turned into and drivers work from; nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from faults.fields import Duration, Targets


@dataclass(frozen=True)
class Ready:
    """When a node counts as started: a listening port, an answering URL, or a line in its log. Exactly
    one is set.
    """

    port: int | None = None
    http: str | None = None
    log: str | None = None
    within: Duration = Duration(60)


@dataclass(frozen=True)
class Group:
    """A group of nodes as written. ``name`` is the group's (``nodes`` where none was given); ``members``
    the nodes' names in order.
    """

    name: str
    members: tuple[str, ...]
    use: str | None = None
    run: tuple[str, ...] = ()
    bugs: tuple[str, ...] = ()
    bugs_path: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """list name → {"of": Targets, "each": text}"""
    ports: Mapping[str, int] = field(default_factory=dict)
    ready: Ready | None = None
    restarts: Literal["never", "always"] = "never"
    stakes: tuple[float, ...] = ()
    """One for each member."""
    zones: tuple[str, ...] = ()
    """One for each member, empty text where none."""
    version: str | None = None
    waits: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the built-in network (``use: devnet``), such as its layer time."""


@dataclass(frozen=True)
class Setup:
    """A command (``run``, its output kept under ``save``) or a copy (``copy`` to ``to``); with
    ``targets`` once for each of them.
    """

    run: tuple[str, ...] = ()
    save: str | None = None
    copy: str | None = None
    to: str | None = None
    targets: Targets | None = None


@dataclass(frozen=True)
class Observe:
    """How facts are asked for. ``use`` names a preset (``devnet``); else ``http`` (path) with ``facts``
    (fact → path in the JSON answer).
    """

    use: str | None = None
    http: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    every: Duration | None = None


@dataclass(frozen=True)
class Network:
    """Where nodes live and what they are. ``quorum`` is the share (0..1) *more than* which decides;
    ``units`` in seconds.
    """

    driver: str
    groups: tuple[Group, ...]
    setup: tuple[Setup, ...] = ()
    observe: Observe = field(default_factory=Observe)
    units: Mapping[str, float] = field(default_factory=dict)
    quorum: float = 2 / 3
