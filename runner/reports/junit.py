"""JUnit XML from verdicts, for the test reports of build servers.

One suite a run; one case for each expectation and one for each fault's evidence. Violated is a ``failure``,
unknown an ``error``: a skipped case would pass a gate. Text from the network is escaped and rid of what XML
1.0 forbids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(verdicts: Iterable[Mapping[str, Any]], *, took_s: Sequence[float] = ()) -> str:
    """The document for runs given by their verdicts (``verdict.json``); ``took_s`` is the length of each
    run in seconds, if known.
    """
    root = ET.Element("testsuites", name="seatrial")
    for i, verdict in enumerate(verdicts):
        root.append(_suite(verdict, took_s[i] if i < len(took_s) else None))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(s.get(key, "0")) for s in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(verdict: Mapping[str, Any], took_s: float | None) -> ET.Element:
    name = _legal(verdict.get("scenario", {}).get("name") or "scenario")
    suite = ET.Element("testsuite", name=name)
    cases = [_expectation(name, e) for e in verdict.get("expectations", ())]
    cases += [_fault(name, f) for f in verdict.get("faults", ())]
    if not any(len(c) for c in cases) and (verdict.get("verdict"), verdict.get("exit_code", 0)) != (
        "held",
        0,
    ):
        cases.append(_case(name, "verdict", "error", "; ".join(verdict.get("reasons", ())) or "no verdict"))
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(c.find("failure") is not None for c in cases)))
    suite.set("errors", str(sum(c.find("error") is not None for c in cases)))
    suite.set("skipped", "0")
    suite.set("time", f"{took_s or 0:.3f}")
    properties = ET.SubElement(suite, "properties")
    for key in ("run", "seed", "verdict", "exit_code", "seatrial"):
        if verdict.get(key) is not None:
            ET.SubElement(properties, "property", name=key, value=_legal(verdict[key]))
    suite.extend(cases)
    if verdict.get("reasons"):
        ET.SubElement(suite, "system-out").text = _legal("\n".join(map(str, verdict["reasons"])))
    return suite


def _expectation(suite: str, row: Mapping[str, Any]) -> ET.Element:
    fault = {"held": "", "violated": "failure"}.get(str(row.get("verdict")), "error")
    nodes = [
        f"{name}: {node.get('verdict')}: {node.get('reason')}"
        for name, node in (row.get("nodes") or {}).items()
        if node.get("verdict") != "held"
    ]
    case = _case(f"{suite}.expectations", row["name"], fault, row.get("reason", ""), nodes)
    case.set("time", f"{row.get('recovery_s') or 0:.3f}")
    return case


def _fault(suite: str, row: Mapping[str, Any]) -> ET.Element:
    """Evidence that fails to show a fault is an error of the trial, never a failure of the network; so is
    one left behind.
    """
    problems = []
    if row.get("effective") is not True:
        problems.append(
            "it did not take effect" if row.get("effective") is False else "not proved to have taken effect"
        )
    if row.get("healed") is False:
        problems.append("it was not healed")
    elif row.get("healed") is None and not row.get("permanent"):
        problems.append("not proved to be gone")
    evidence = [
        f"{e.get('what')}: expected {e.get('expected')}, seen {e.get('seen')} (at {e.get('at_s')} s)"
        for e in row.get("evidence", ())
    ]
    name = f"{row['name']} ({row.get('kind')}) took effect and is gone"
    return _case(f"{suite}.faults", name, "error" if problems else "", "; ".join(problems), evidence)


def _case(of: str, name: str, fault: str, message: str, details: Sequence[str] = ()) -> ET.Element:
    case = ET.Element("testcase", classname=_legal(of), name=_legal(name), time="0.000")
    if fault:
        kind = "violated" if fault == "failure" else "unknown"
        inner = ET.SubElement(case, fault, message=_legal(message), type=kind)
        inner.text = _legal("\n".join([str(message), *details]))
    return case


def _legal(value: object) -> str:
    """The value as text of XML 1.0, without the characters that may not stand there even when escaped."""
    return _FORBIDDEN.sub("", str(value))
