"""Puts a scenario's document together: the file, the file its ``network`` names, and what ``--network``,
``--param`` and ``--set`` change.

Every value keeps the place that it came from, so a problem of a network's file carries that file's name
and a problem of an override carries ``--set PATH``. Substitution of ``$name`` is the business of
``parameters``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.fields import NAME
from runner.scenario.problems import Loc, Mark, Problem, near
from runner.scenario.source import MAX_BYTES, Document, read


@dataclass
class Assembly:
    """The document so far. ``folder`` is where relative paths of the network start; ``swapped`` that its
    network is not its own.
    """

    document: Document
    file: str
    folder: Path
    swapped: bool = False
    network_file: str = ""
    overridden: list[Loc] = field(default_factory=list)

    def problem(self, mark: Mark, message: str) -> None:
        """Note a problem at a place."""
        self.document.problems.append(Problem(mark.file, mark.line, mark.column, message))


def assemble(
    document: Document, *, file: str, folder: Path, sets: Sequence[str], network: str | None
) -> Assembly:
    """The whole document, with the network's file read in and the overrides carried out."""
    whole = Assembly(document, file, folder)
    if not isinstance(document.data, dict):
        return whole
    if network is not None:
        whole.swapped = True
        _network_file(whole, Path(network), Mark("--network"))
    for one in sets:
        _override(whole, one)
    _named_network(whole)
    return whole


def read_file(path: Path, shown: str, problems: list[Problem], at: Mark | None = None) -> bytes | None:
    """The bytes of a file, or a problem (at the place that named it); never more than a little over the
    limit.
    """
    place = at or Mark(shown)
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        what = f"'{shown}' cannot be read" if at else "cannot be read"
        problems.append(
            Problem(place.file, place.line, place.column, f"{what}: {error.strerror or type(error).__name__}")
        )
    except ValueError:
        problems.append(Problem(place.file, place.line, place.column, f"'{shown}' is no name of a file"))
    return None


def _named_network(whole: Assembly) -> None:
    """Read the file that ``network`` names, if it names one."""
    data = whole.document.data
    if isinstance(data, dict) and isinstance(data.get("network"), str):
        name = data["network"]
        if "$" not in name:
            _network_file(whole, whole.folder / name, whole.document.where(("network",)), name)


def _network_file(whole: Assembly, path: Path, at: Mark, shown: str | None = None) -> None:
    name = str(path)
    raw = read_file(path, shown or name, whole.document.problems, at)
    inner = read(raw, name) if raw is not None else Document()
    if raw is not None and not inner.problems and not isinstance(inner.data, dict):
        inner.problems.append(Problem(name, 1, 1, "a network is a mapping: driver, nodes, …"))
    whole.document.problems.extend(inner.problems)
    _graft(whole.document, ("network",), inner)
    whole.document.keys.setdefault(("network",), at)
    whole.folder = path.parent
    whole.network_file = name
    if not isinstance(inner.data, dict) or inner.problems:
        whole.document.data.pop("network", None)
        whole.document.data["network"] = None


def _graft(document: Document, loc: Loc, inner: Document) -> None:
    """Put another document's data and places at ``loc``, whose parent exists."""
    _forget(document, loc)
    parent = document.data
    for part in loc[:-1]:
        parent = parent[part]
    if isinstance(parent, list) and loc[-1] == len(parent):
        parent.append(inner.data)
    else:
        parent[loc[-1]] = inner.data
    document.values.update({loc + where: mark for where, mark in inner.values.items()})
    document.keys.update({loc + where: mark for where, mark in inner.keys.items()})
    document.words.update({loc + where: word for where, word in inner.words.items()})
    document.cut.update({loc + where: text for where, text in inner.cut.items()})


def _forget(document: Document, loc: Loc) -> None:
    size = len(loc)
    all_places: tuple[dict[Loc, Any], ...] = (document.values, document.keys, document.words, document.cut)
    for places in all_places:
        for known in [k for k in places if k[:size] == loc]:
            del places[known]


def value_of(text: str, place: str) -> Document:
    """The value that an option gives, read as the file is; every place in it is the option's."""
    inner = read(text, place)
    mark = Mark(place)
    inner.values = dict.fromkeys(inner.values, mark)
    inner.values[()] = mark
    inner.keys = dict.fromkeys(inner.keys, mark)
    inner.cut = {}
    inner.problems = [Problem(place, 0, 0, p.message) for p in inner.problems]
    return inner


def _override(whole: Assembly, text: str) -> None:
    """Carry out one ``PATH=VALUE``."""
    path, equals, value = text.partition("=")
    place = f"--set {path.strip()}"
    if not equals or not path.strip():
        whole.problem(Mark(f"--set {text}"), "write PATH=VALUE, such as network.nodes.count=20")
        return
    inner = value_of(value, place)
    whole.document.problems.extend(inner.problems)
    if inner.problems:
        return
    parts = path.strip().split(".")
    if len(parts) > 1 and parts[0] == "network":
        _named_network(whole)
    for way in _each(whole.document.data, parts):
        loc = _way(whole, way, Mark(place))
        if loc is not None:
            _graft(whole.document, loc, inner)
            whole.document.keys[loc] = Mark(place)
            whole.overridden.append(loc)


def _each(data: Any, parts: list[str]) -> list[list[str]]:
    """The paths that an override's path stands for: a name where a list stands goes on in each of its items
    (``network.nodes.bugs`` for every group).
    """
    here = data
    for number, part in enumerate(parts):
        if isinstance(here, list):
            if here and re.fullmatch(NAME, part):
                items = range(len(here))
                return [
                    [*parts[:number], str(i), *rest] for i in items for rest in _each(here[i], parts[number:])
                ]
            here = here[int(part)] if part.isdigit() and int(part) < len(here) else None
        else:
            here = here.get(part) if isinstance(here, dict) else None
    return [parts]


def _way(whole: Assembly, parts: list[str], at: Mark) -> Loc | None:
    """The way of an override's path, with mappings made where keys are missing; None (and a problem) if it
    leads nowhere.
    """
    here: Any = whole.document.data
    loc: Loc = ()
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        shown = ".".join(parts[:number]) or "the scenario"
        if isinstance(here, list):
            if not part.isdigit() or int(part) > len(here) or (int(part) == len(here) and not last):
                have = f"0 to {len(here) - 1}" if here else "none"
                whole.problem(at, f"'{shown}' is a list: '{part}' is none of its indexes ({have})")
                return None
            loc = (*loc, int(part))
            here = here[int(part)] if int(part) < len(here) else None
        elif isinstance(here, dict):
            loc = (*loc, part)
            if here.get(part) is None and not last:
                here[part] = {}
                whole.document.values[loc] = whole.document.keys[loc] = at
            here = here.get(part)
        else:
            whole.problem(at, f"'{shown}' is no mapping and no list, so it has no '{part}'")
            return None
    return loc


def parameters_of(whole: Assembly, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Mark]]:
    """The parameters' values, those given on the command line put in, and where each value stands."""
    data = whole.document.data
    raw = data.get("parameters") if isinstance(data, dict) else None
    values = dict(raw) if isinstance(raw, dict) else {}
    marks = {name: whole.document.where(("parameters", name)) for name in values}
    for name, text in given.items():
        place = f"--param {name}"
        if name not in values:
            whole.problem(Mark(place), f"the scenario has no parameter '{name}'{near(name, values)}")
            continue
        if isinstance(text, str):
            inner = value_of(text, place)
            whole.document.problems.extend(inner.problems)
            if inner.data is None and not inner.problems:
                whole.problem(Mark(place), "no value: write NAME=VALUE")
            text = inner.data
        if text is not None:
            values[name], marks[name] = text, Mark(place)
    return values, marks
