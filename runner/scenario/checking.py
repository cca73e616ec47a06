"""A substituted document to a scenario: its parts are read in their order, then checked against each other.

Belongs here: the order of the checks. Each check is in a module of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faults.fault
import runner.predicates.predicate
from faults.fields import Duration, shown
from runner.scenario import later, overrides, parameters
from runner.scenario.choices import check_choices
from runner.scenario.expectations import Expected, named, read_abort, read_expectation
from runner.scenario.mentions import Context
from runner.scenario.model import Abort, Limits, Scenario
from runner.scenario.names import Names, check_definitions, check_mentions, gather, name_steps
from runner.scenario.network import Read, read_network
from runner.scenario.predicates import read_that
from runner.scenario.problems import Loc, Report, misspelt, nearest_or_all
from runner.scenario.reading import fill
from runner.scenario.steps import Draft, read_step
from runner.scenario.times import check_phases, check_times
from runner.scenario.top import TOP_KEYS, TopFields

RESOLVED = "resolved"
"""The key under which a resolved scenario says what file it came from."""


class Checker:
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
        if not self.report.found and (read.network is None or top is None):
            self.report.add(("network",), "the network cannot be used as it is written")
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
            RESOLVED: {
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
