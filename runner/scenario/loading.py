"""A scenario file to a scenario, or to every problem that it has. The order of the checks stands here, and
the top level of the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

import faults.fault
import runner.predicates.predicate
from faults.fields import NUMBER, Duration, DurationField, Values, problem, shown
from runner.scenario import later, overrides, parameters, source
from runner.scenario.choices import check_choices
from runner.scenario.expectations import Expected, named, read_abort, read_expectation
from runner.scenario.mentions import Context
from runner.scenario.model import Abort, Limits, Scenario
from runner.scenario.names import Names, check_definitions, check_mentions, gather, name_steps
from runner.scenario.network import Read, read_network
from runner.scenario.predicates import read_that
from runner.scenario.problems import Loc, Mark, Problem, Report, in_order, misspelt, nearest_or_all
from runner.scenario.reading import fill
from runner.scenario.steps import Draft, read_step
from runner.scenario.times import check_phases, check_times

TOP_KEYS = (
    "seatrial",
    "name",
    "about",
    "seed",
    "parameters",
    "sweep",
    "network",
    "workload",
    "define",
    "timeline",
    "expect",
    "abort",
    "limits",
)
_RESOLVED = "resolved"
_TITLE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


def _percent(value: Any) -> float:
    if isinstance(value, str) and (m := re.fullmatch(rf"({NUMBER})%", value)) and 0 < float(m[1]) <= 100:
        return float(m[1]) / 100
    raise problem("percent", "{v} is not a share of the nodes: write 40%", v=shown(value))


class LimitFields(Values):
    """What a run must not exceed."""

    hit: (
        Annotated[
            float,
            BeforeValidator(_percent),
            WithJsonSchema({"type": "string", "pattern": f"^{NUMBER}%$", "examples": ["40%"]}),
        ]
        | None
    ) = None
    time: DurationField | None = None
    blind: DurationField | None = None
    lose_quorum: bool = False


class TopFields(Values):
    """The plain fields of the top level."""

    name: Annotated[str, Field(pattern=f"^{_TITLE}$")] | None = None
    about: str = ""
    seed: Annotated[int, Field(ge=0)] | None = None
    limits: LimitFields | None = None


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
    if not isinstance(data, dict) or not isinstance(data.get(_RESOLVED), dict):
        return {}
    origin: Mapping[str, Any] = data.pop(_RESOLVED)
    if isinstance(origin.get("folder"), str):
        whole.folder = Path(origin["folder"])
    return origin


def _check(
    whole: overrides.Assembly, params: Mapping[str, Any], origin: Mapping[str, Any], sha256: str
) -> tuple[Scenario | None, list[Problem]]:
    document = whole.document
    report = Report(document.where, found=document.problems)
    report.settled.update(Mark(p.file, p.line, p.column) for p in document.problems)
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
    return _Checker(whole, data, report, dict(put.values), origin, sha256).scenario(), report.found


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
        elif isinstance(value, dict | list) and key not in _FOREIGN:
            _nothing_there(value, where, report)


class _Checker:
    """Reads the parts of a substituted document in their order, then checks across them."""

    def __init__(
        self,
        whole: overrides.Assembly,
        data: dict[str, Any],
        report: Report,
        values: dict[str, Any],
        origin: Mapping[str, Any],
        sha256: str,
    ) -> None:
        self.whole, self.data, self.report, self.values = whole, data, report, values
        self.origin, self.sha256 = origin, sha256
        define = data.get("define")
        self.context = Context(
            report,
            faults.fault.catalogue(),
            runner.predicates.predicate.catalogue(),
            defined=define if isinstance(define, dict) else {},
            words=whole.document.words,
            cut=whole.document.cut,
            folder=whole.folder,
        )

    def scenario(self) -> Scenario | None:
        """The whole scenario; None where a part is missing, which has been reported."""
        top = self._top()
        read = read_network(self.data.get("network"), ("network",), self.context)
        self.context.facts = read.facts
        names = gather(read.groups, read.complete, read.units or {}, self.context)
        self._define()
        drafts = self._timeline(names)
        expected = self._list("expect", self._expectation)
        aborts = self._list("abort", lambda raw, loc: read_abort(raw, loc, self.context))
        limits = self._limits(top)
        check_definitions(self.context)
        check_mentions(names, self.context)
        check_times(drafts, names, limits, self.context)
        check_phases(expected, names, self.context)
        check_choices(drafts, read, names, self.context)
        if self.report.found or read.network is None:
            return None
        return self._made(top, read, drafts, expected, aborts, limits)

    def _top(self) -> TopFields | None:
        version = self.data.get("seatrial")
        if "seatrial" not in self.data and not misspelt("seatrial", self.data, TOP_KEYS):
            self.report.add((), "'seatrial: 1' is missing: it says which language this is")
        elif "seatrial" in self.data and (version != 1 or isinstance(version, bool)):
            self.report.add(
                ("seatrial",),
                f"{shown(version)} is no version of the language that is known: write seatrial: 1",
            )
        if "network" not in self.data and not misspelt("network", self.data, TOP_KEYS):
            self.report.add(
                (), "'network' is missing: write network: {driver: local, nodes: {count: 9, use: devnet}}"
            )
        for key in self.data:
            if key in later.TOP_KEYS or key in later.GATE_KEYS:
                self.report.add((key,), later.not_built(f"'{key}'"), key=True)
            elif key not in TOP_KEYS:
                self.report.add((key,), f"unknown key '{key}'{nearest_or_all(key, TOP_KEYS)}", key=True)
        self.context.free_text(("about",))
        plain = {k: v for k, v in self.data.items() if k in TopFields.model_fields}
        return fill(TopFields, plain, (), self.report)

    def _define(self) -> None:
        raw = self.data.get("define")
        if raw is not None and not isinstance(raw, dict):
            self.report.add(("define",), "definitions are a mapping: {healthy: [connected, {agree: head}]}")
        for name in self.context.defined:
            used = name in self.context.used_definitions
            read_that(name, ("define", name), self.context)
            if not used:
                self.context.used_definitions.discard(name)

    def _timeline(self, names: Names) -> list[Draft]:
        called = name_steps(self.data.get("timeline"), names, self.context)
        lines = self.origin.get("lines", {}).get("timeline", []) if self.origin else []

        def one(raw: Any, loc: Loc) -> Draft | None:
            index = int(loc[1]) if len(loc) > 1 else 0
            line = lines[index] if index < len(lines) else self.report.where(loc, False).line
            return read_step(raw, loc, called[index], index, self.context, line)

        drafts = self._list("timeline", one)
        for draft in drafts:
            names.steps.setdefault(draft.name, draft)
        return drafts

    def _expectation(self, raw: Any, loc: Loc) -> Expected | None:
        lines = self.origin.get("lines", {}).get("expect", []) if self.origin else []
        index = int(loc[1])
        line = lines[index] if index < len(lines) else self.report.where(loc, False).line
        return read_expectation(raw, loc, self.context, line)

    def _list(self, key: str, read: Any) -> list[Any]:
        raw = self.data.get(key)
        if raw is None:
            return []
        if not isinstance(raw, list):
            self.report.add((key,), f"'{key}' is a list: every item begins with '- '")
            return []
        made = (read(one, (key, i)) for i, one in enumerate(raw))
        return [m for m in made if m is not None]

    def _limits(self, top: TopFields | None) -> Limits:
        fields = top.limits if top is not None else None
        if fields is None:
            return Limits()
        for key in ("time", "blind"):
            value = getattr(fields, key)
            if isinstance(value, Duration):
                self.context.mention("duration", value, ("limits", key))
        return Limits(fields.hit, fields.time, fields.blind, fields.lose_quorum)

    def _made(
        self,
        top: TopFields | None,
        read: Read,
        drafts: list[Draft],
        expected: list[Expected],
        aborts: list[Abort],
        limits: Limits,
    ) -> Scenario | None:
        assert read.network is not None
        if top is None:
            return None
        file = str(self.origin.get("file", self.whole.file))
        name = top.name or _title(file)
        steps = tuple(d.step for d in drafts if d.step is not None)
        values = dict(self.origin.get("parameters", self.values))
        folder = str(self.whole.folder.absolute())
        sha256 = str(self.origin.get("sha256", self.sha256))
        data = {k: v for k, v in self.data.items() if k != "parameters"}
        data["network"] = parameters.with_words(data["network"], ("network",), self.whole.document.words)
        resolved = {
            **{k: parameters.escaped(v, k == "network") for k, v in data.items()},
            "name": name,
            _RESOLVED: {
                "file": file,
                "folder": folder,
                "sha256": sha256,
                "parameters": values,
                "lines": {
                    "timeline": [s.line for s in steps],
                    "expect": [e.made.line for e in expected if e.made],
                },
            },
        }
        return Scenario(
            name=name,
            network=read.network,
            timeline=steps,
            expect=named(expected),
            about=top.about,
            seed=top.seed,
            abort=tuple(aborts),
            limits=limits,
            parameters=values,
            resolved=resolved,
            sha256=sha256,
            folder=folder,
            file=file,
        )


def _title(file: str) -> str:
    """A name from a file's: what stands before the ending, as far as it can be part of a path."""
    stem = Path(file).name.split(".")[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "scenario"
