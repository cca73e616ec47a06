"""A scenario file to a scenario, or to every problem that it has: text, parameters and overrides, then the
checks.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.scenario import later, overrides, parameters, source
from runner.scenario.checking import RESOLVED, Checker
from runner.scenario.model import Scenario
from runner.scenario.problems import Loc, Mark, Problem, Report, in_order


@dataclass(frozen=True)
class Loaded:
    """What became of a file: the scenario, or all its problems in the order of the file."""

    scenario: Scenario | None
    problems: list[Problem]


def load(
    path_or_text: str | Path | bytes | Mapping[str, Any],
    *,
    sets: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    network: str | Path | None = None,
    file: str | None = None,
) -> Loaded:
    """Read a scenario and check all of it.

    ``path_or_text`` is a path, the text itself (bytes, or a string of more than one line or a JSON
    mapping), or data such as ``Scenario.resolved``. ``sets`` are ``PATH=VALUE``; ``params`` maps a
    parameter to its value as text; ``network`` is the file of another network. ``file`` is the name shown
    in problems for a text, and where its relative paths start. Never raises for anything that a file may
    contain.
    """
    problems: list[Problem] = []
    raw, shown_as, folder = _bytes(path_or_text, file, problems)
    if raw is None:
        return Loaded(None, problems)
    document = source.read(raw, shown_as)
    whole = overrides.assemble(
        document,
        file=shown_as,
        folder=folder,
        sets=sets,
        network=str(network) if network is not None else None,
    )
    origin = _origin(whole)
    scenario, found = _check(whole, params or {}, origin, hashlib.sha256(raw).hexdigest())
    if not isinstance(path_or_text, Mapping) and document.data is None and not found:
        found = [Problem(shown_as, 1, 1, "the file is empty: a scenario begins with 'seatrial: 1'")]
    ordered = in_order(found, shown_as)
    return Loaded(None if ordered else scenario, ordered)


def _bytes(
    given: str | Path | bytes | Mapping[str, Any], file: str | None, problems: list[Problem]
) -> tuple[bytes | None, str, Path]:
    """The text, the name that problems show, and the folder where relative paths start."""
    if isinstance(given, Mapping):
        given = json.dumps(given)
    if isinstance(given, str) and not ("\n" in given or given.lstrip().startswith("{") or not given.strip()):
        given = Path(given)
    if isinstance(given, Path):
        shown_as = file or str(given)
        return overrides.read_file(given, shown_as, problems), shown_as, given.parent
    name = file or "scenario"
    folder = Path(file).parent if file else Path()
    return (given if isinstance(given, bytes) else given.encode("utf-8", "surrogatepass")), name, folder


def _origin(whole: overrides.Assembly) -> Mapping[str, Any]:
    """What a resolved document says of the file that it came from; taken out of the document."""
    data = whole.document.data
    if not isinstance(data, dict) or not isinstance(data.get(RESOLVED), dict):
        return {}
    origin: Mapping[str, Any] = data.pop(RESOLVED)
    if isinstance(origin.get("folder"), str):
        whole.folder = Path(origin["folder"])
    return origin


def _check(
    whole: overrides.Assembly, params: Mapping[str, Any], origin: Mapping[str, Any], sha256: str
) -> tuple[Scenario | None, list[Problem]]:
    document = whole.document
    report = Report(document.where, found=document.problems)
    report.settled.update(Mark(p.file, p.line, p.column) for p in document.problems)
    report.places.update(report.settled)
    if not isinstance(document.data, dict):
        if document.data is not None:
            report.add((), "a scenario is a mapping: 'seatrial: 1', 'network: …', 'timeline: …', 'expect: …'")
        return None, report.found
    if any(k in document.data for k in later.GATE_KEYS) and "timeline" not in document.data:
        key = next(k for k in document.data if k in later.GATE_KEYS)
        report.add((key,), f"gate files are {later.NOT_BUILT}", key=True)
        return None, report.found
    if document.problems and document.data == {}:
        return None, report.found
    put = _substitute(whole, params, report)
    data = put.document(document.data)
    report.note = lambda loc: f" (the value of ${put.came_from[loc]})" if loc in put.came_from else ""
    _never_used(whole, put, report)
    _nothing_there(data, (), report)
    return Checker(whole, data, report, dict(put.values), origin, sha256).scenario(), report.found


def _substitute(
    whole: overrides.Assembly, params: Mapping[str, Any], report: Report
) -> parameters.Substitution:
    raw = whole.document.data.get("parameters")
    if raw is not None and not isinstance(raw, dict):
        report.add(("parameters",), "parameters are a mapping: {lasting: 30s}")
    values, marks = overrides.parameters_of(whole, params)
    for name, value in values.items():
        mark = marks[name]
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", name):
            report.add(
                ("parameters", name),
                f"'{name}' is no name: small letters, digits, _ and -, a letter first",
                key=True,
            )
        elif name in parameters.NODE_FACTS or name.startswith("port_"):
            report.add(("parameters", name), f"'${name}' is already a fact of a node", key=True)
        if isinstance(value, dict):
            report.found.append(
                Problem(
                    mark.file, mark.line, mark.column, f"a parameter is one value, not a mapping: '{name}'"
                )
            )
        elif isinstance(value, str) and re.search(r"\$[a-z{]", value.replace("$$", "")):
            report.found.append(
                Problem(
                    mark.file,
                    mark.line,
                    mark.column,
                    f"parameter '{name}' cannot stand on another one: write its value",
                )
            )
    put = {k: _plain_dollars(v) for k, v in values.items() if v is not None}
    return parameters.Substitution(put, report, _written(whole, params, values))


def _plain_dollars(value: Any) -> Any:
    return value.replace("$$", "$") if isinstance(value, str) else value


def _written(
    whole: overrides.Assembly, params: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, str]:
    """The parameters' values as text, before YAML made numbers of them."""
    own = {name: whole.document.words.get(("parameters", name)) for name in values}
    return {n: w for n, w in {**own, **params}.items() if n in values and isinstance(w, str)}


def _never_used(whole: overrides.Assembly, put: parameters.Substitution, report: Report) -> None:
    """A parameter that nothing uses; not asked where its user may have been swapped or overridden away."""
    if whole.swapped or whole.overridden:
        return
    for name in put.values:
        if name not in put.used:
            report.add(("parameters", name), f"parameter '{name}' is never used", key=True)


_FOREIGN = frozenset({"activity", "probe", "workload", "sweep"})


def _nothing_there(data: Any, loc: Loc, report: Report) -> None:
    """Keys and items without a value: YAML reads nothing there, and nothing is never meant."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        where = (*loc, key)
        if value is None and not report.found_at(where):
            what = f"'{key}' has no value" if isinstance(key, str) else "an item without a value"
            report.add(where, what, key=True)
            report.settled.update((report.where(where, False), report.where(where, True)))
        elif isinstance(value, dict | list) and key not in _FOREIGN:
            _nothing_there(value, where, report)
