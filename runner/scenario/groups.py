"""Groups of nodes: what is written once for many, dealt out to the members.

Belongs here: the fields of a group, its members' names, stakes and zones. Starting them is a driver's
business.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from faults.fields import Duration, DurationField, NamesField, Targets, shown
from runner.scenario import later
from runner.scenario.mentions import Context, collect
from runner.scenario.model import Group, Ready
from runner.scenario.parameters import listed, plain
from runner.scenario.problems import Loc, misspelt, nearest_or_all
from runner.scenario.reading import Fields, fill, keys_of
from runner.scenario.steps import NameField
from runner.scenario.words import PortField, Word, as_words

MAX_NODES = 10_000
_WORDS = ("run", "env", "files", "lists", "version", "bugs_path")


class ReadyFields(Fields):
    """When a node counts as started: one of a port that listens, a URL that answers, a line in its log.

    ``port: 2379`` is listened at; ``http: http://$address:8080/health`` answers 200 to 399; ``log`` is a text
    that a line has. Nodes of a group that are not ready ``within`` end the run.
    """

    port: PortField | None = None
    http: Word | None = None
    log: Annotated[Word, Field(min_length=1)] | None = None
    within: DurationField = Duration(60)


class ListFields(Fields, Targets):
    """A comma-joined list for commands: one part for each node it is ``of``.

    ``lists: {peers: {of: nodes, each: $address:7000}}`` makes ``$peers``; in ``each`` the names are those of
    the node in the list.
    """

    each: Annotated[Word, Field(min_length=1)]


class GroupFields(Fields):
    """A group of nodes: how many, what they run or use, what they are given.

    ``count: 3`` makes n1, n2, n3 (``names: m``: m1, m2, m3); ``group`` names the group where there are
    several. ``run`` is a command as a list of words, started in the scenario file's folder, its output in
    ``logs/NODE.log``; ``env`` is added to its environment. Both may use the names of 'commands'. ``ports``
    gives ports names. ``restarts: always`` starts a process again that ends by itself. ``stake`` and
    ``zones`` are one value, a list dealt in turn, or so many of each (``{40: 1, 10: 3}``). ``waits: true``:
    not started with the others but by the fault 'start'. ``use: devnet`` is the built-in network instead of
    a command: ``layer`` is the time of a block, ``bugs`` are its known bugs, ``bugs_path`` is a folder with
    more.
    """

    short: ClassVar[str | None] = None
    group: NameField | None = None
    names: NameField | None = None
    count: Annotated[int, Field(ge=1, le=MAX_NODES)] | None = None
    use: Literal["devnet"] | None = None
    layer: DurationField | None = None
    bugs: NamesField | None = None
    bugs_path: str | None = None
    run: Annotated[list[Word], Field(min_length=1)] | None = None
    env: dict[str, Word] | None = None
    files: dict[str, Word] | None = None
    lists: dict[NameField, ListFields] | None = None
    ports: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], PortField] | None = None
    ready: ReadyFields | None = None
    restarts: Literal["never", "always"] = "never"
    stake: float | list[float] | dict[str, int] | None = None
    zones: str | list[str] | dict[str, int] | None = None
    version: NameField | None = None
    waits: bool = False

    @model_validator(mode="after")
    def _names_of_many(self) -> GroupFields:
        if self.names is not None and self.count is None:
            raise ValueError("'names' is a prefix for many: add 'count'")
        return self


@dataclass(frozen=True)
class Grouped:
    """A group that was read: its name and members as far as they can be told; ``made`` None where it is not
    usable.
    """

    loc: Loc
    name: str
    members: tuple[str, ...]
    use: str | None
    layer: Duration | None
    made: Group | None
    named: bool = True
    sure: bool = True
    """Whether the members are those that the author meant; not where what they follow from is wrong."""


def read_groups(raw: Any, loc: Loc, driver: str | None, context: Context) -> tuple[tuple[Grouped, ...], bool]:
    """The groups, and whether all of them could be read (so that every node is known)."""
    if raw is not None and not isinstance(raw, dict | list):
        context.report.add(
            loc, f"{shown(raw)} is no group: write {{count: 9, use: devnet}} or a list of groups"
        )
        return (), False
    if isinstance(raw, list) and not raw:
        context.report.add(loc, "no nodes at all: name at least one group")
    out = []
    complete = raw is not None
    for index, one in enumerate(listed(raw)):
        where = (*loc, index) if isinstance(raw, list) else loc
        group = _read_group(one, where, driver, context)
        if group is None or not group.sure:
            complete = False
        if group is not None:
            out.append(group)
    return tuple(out), complete


def _read_group(raw: Any, loc: Loc, driver: str | None, context: Context) -> Grouped | None:
    if not isinstance(raw, dict):
        context.report.add(
            loc, f"{shown(raw)} is no group: write {{group: miners, names: m, count: 4, use: devnet}}"
        )
        return None
    found = {"find", "zone", "versions", "stake"} if driver in later.DRIVERS else set()
    for key in ("find", "zone"):
        if key in raw and driver not in later.DRIVERS:
            what = f"'{key}' (nodes that are found, not started)"
            context.report.add((*loc, key), later.not_built(what), key=True)
            found.add(key)
    if "versions" in raw and driver not in later.DRIVERS:
        context.report.add((*loc, "versions"), later.not_built("'versions' (for upgrades)"), key=True)
        found.add("versions")
    given = as_words({k: v for k, v in raw.items() if k not in found}, loc, _WORDS, context)
    if isinstance(given.get("ready"), dict):
        given["ready"] = as_words(given["ready"], (*loc, "ready"), ("http", "log"), context)
    fields = fill(GroupFields, given, loc, context.report, what="a group of nodes")
    if fields is None:
        return None
    collect(fields, given, loc, context)
    if driver in later.DRIVERS:
        return Grouped(loc, fields.group or "nodes", (), fields.use, None, None, fields.group is not None)
    _what_runs(fields, given, loc, context)
    members = _members(fields)
    made = _make(fields, given, loc, members, context)
    sure = all(
        (key not in raw and not misspelt(key, raw, keys_of(GroupFields)))
        or (key in raw and getattr(fields, key) is not None)
        for key in ("group", "names", "count")
    )
    named = fields.group is not None
    return Grouped(loc, fields.group or "nodes", members, fields.use, fields.layer, made, named, sure)


def _members(fields: GroupFields) -> tuple[str, ...]:
    if fields.count is None:
        return (fields.group or "n1",)
    prefix = fields.names or "n"
    return tuple(f"{prefix}{i}" for i in range(1, fields.count + 1))


def _what_runs(fields: GroupFields, raw: Mapping[str, Any], loc: Loc, context: Context) -> None:
    def bad(key: str, message: str) -> None:
        context.report.add((*loc, key), message, key=True)

    if fields.use is None and fields.run is None and "use" not in raw and "run" not in raw:
        context.report.add(loc, "a group needs 'use: devnet' or 'run' (a command)")
    if fields.use is not None:
        for key in ("run", "ready", "files", "lists", "env", "ports"):
            if key in raw:
                bad(key, f"'{key}' is for commands; 'use: {fields.use}' brings its own")
    else:
        for key in ("bugs", "bugs_path", "layer"):
            if key in raw and "use" not in raw:
                bad(key, f"'{key}' is for 'use: devnet'")
    if fields.layer is not None and (fields.layer.is_protocol or not 0.05 <= fields.layer.seconds() <= 3600):
        bad("layer", f"a layer lasts 50ms to 1h, not {fields.layer}")
    ready = fields.ready
    if ready is not None and sum(x is not None for x in (ready.port, ready.http, ready.log)) != 1:
        bad("ready", "'ready' needs exactly one of port, http and log")
    for name in fields.files or {}:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            context.report.add(
                (*loc, "files", name),
                f"'{name}' must lie in the data folder: a plain relative path",
                key=True,
            )
    if fields.bugs or fields.bugs_path:
        _bugs(fields, raw.get("bugs"), loc, context)


def _bugs(fields: GroupFields, raw: Any, loc: Loc, context: Context) -> None:
    """Names of bugs that nobody knows. With a folder of more the names are the folder's, which is not run
    here.
    """
    folder = bugs_folder(fields.bugs_path, loc, context)
    if folder is not None:
        if not folder.is_dir():
            context.report.add((*loc, "bugs_path"), f"'{fields.bugs_path}' is no folder")
        return
    try:
        from runner.devnet.bugs import catalogue  # type: ignore[attr-defined,unused-ignore]
    except ImportError:
        return
    known = sorted(catalogue())
    for index, bug in enumerate(fields.bugs or ()):
        if bug not in known:
            where = (*loc, "bugs", index) if isinstance(raw, list) else (*loc, "bugs")
            context.report.add(where, f"the built-in network has no bug '{bug}'" + nearest_or_all(bug, known))


def bugs_folder(path: str | None, loc: Loc, context: Context) -> Path | None:
    """The folder that ``bugs_path`` names: from the folder of the file, or, in an override, from where one
    stands.
    """
    if path is None:
        return None
    given = context.report.where((*loc, "bugs_path"), False)
    base = Path(os.getcwd()) if given.file.startswith("--") else context.folder
    return (base / path).resolve()


def _make(
    fields: GroupFields, raw: Mapping[str, Any], loc: Loc, members: tuple[str, ...], context: Context
) -> Group | None:
    stakes = _dealt_stakes(fields.stake, members, (*loc, "stake"), context)
    zones = _dealt_zones(fields.zones, members, (*loc, "zones"), context)
    folder = bugs_folder(fields.bugs_path, loc, context)
    lists = {
        name: {
            "of": Targets(**{k: getattr(one, k) for k in one.model_fields_set if k in Targets.model_fields}),
            "each": one.each,
        }
        for name, one in (fields.lists or {}).items()
    }
    ready = fields.ready
    if stakes is None or zones is None:
        return None
    return Group(
        name=fields.group or "nodes",
        members=members,
        use=fields.use,
        run=tuple(fields.run or ()),
        bugs=fields.bugs or (),
        bugs_path=str(folder) if folder is not None else None,
        env=fields.env or {},
        files=fields.files or {},
        lists=lists,
        ports=fields.ports or {},
        ready=None if ready is None else Ready(ready.port, ready.http, ready.log, ready.within),
        restarts=fields.restarts,
        stakes=stakes,
        zones=zones,
        version=fields.version,
        waits=fields.waits,
        options={"layer": fields.layer} if fields.layer is not None else {},
    )


def _dealt_stakes(
    stake: float | list[float] | dict[str, int] | None, members: tuple[str, ...], loc: Loc, context: Context
) -> tuple[float, ...] | None:
    """One stake for each member: the same, dealt in turn, or so many of each (``{40: 1, 10: 3}``)."""
    if stake is None:
        return (1.0,) * len(members)
    if isinstance(stake, dict):
        odd = [k for k in stake if not re.fullmatch(r"\d+(?:\.\d+)?", k)]
        if odd:
            context.report.add(
                (*loc, odd[0]), f"'{odd[0]}' is no stake: write {{40: 1, 10: 3}}, so many of each", key=True
            )
            return None
        dealt = _counted({float(k): v for k, v in stake.items()}, members, loc, context)
    else:
        dealt = _in_turn(listed(stake), members, loc, context)
    if dealt is not None and any(not 0 < s < 1e15 for s in dealt):
        context.report.add(loc, "every stake must be more than 0")
        return None
    return None if dealt is None else tuple(float(s) for s in dealt)


def _dealt_zones(
    zones: str | list[str] | dict[str, int] | None, members: tuple[str, ...], loc: Loc, context: Context
) -> tuple[str, ...] | None:
    if zones is None:
        return ("",) * len(members)
    if isinstance(zones, dict):
        return _counted(zones, members, loc, context)
    return _in_turn(listed(zones), members, loc, context)


def _in_turn(
    values: list[Any], members: tuple[str, ...], loc: Loc, context: Context
) -> tuple[Any, ...] | None:
    if not values:
        context.report.add(loc, "an empty list cannot be dealt out")
        return None
    return tuple(values[i % len(values)] for i in range(len(members)))


def _counted(
    counts: Mapping[Any, int], members: tuple[str, ...], loc: Loc, context: Context
) -> tuple[Any, ...] | None:
    total = sum(counts.values())
    if total != len(members) or any(c < 1 for c in counts.values()):
        shares = ", ".join(f"{plain(k)}: {v}" for k, v in counts.items())
        context.report.add(loc, f"{{{shares}}} deals out {total}, and the group has {len(members)}")
        return None
    return tuple(k for k, count in counts.items() for _ in range(count))
