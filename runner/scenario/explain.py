"""What a fault, a predicate, a value or a part of the language is and takes, told from the classes
themselves.

``explain`` gives plain data for machines, ``text`` the same for people. Nothing is written here that a
class's docstring and fields say already; what has no class (values) is described by one line and
examples.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

import faults.fault
import runner.predicates.predicate
from faults.fields import Targets
from runner.scenario import later
from runner.scenario.expectations import AbortFields, ExpectationFields
from runner.scenario.groups import GroupFields, ListFields, ReadyFields
from runner.scenario.network import NetworkFields, ObserveFields, SetupFields
from runner.scenario.predicates import IsFields
from runner.scenario.problems import nearest_or_all
from runner.scenario.steps import FlapFields, RepeatFields, RollFields, SpreadFields, StepFields
from runner.scenario.top import LimitFields

_PARTS: Mapping[str, type[BaseModel]] = {
    "abort": AbortFields,
    "expect": ExpectationFields,
    "flap": FlapFields,
    "heal": SpreadFields,
    "is": IsFields,
    "limits": LimitFields,
    "lists": ListFields,
    "network": NetworkFields,
    "nodes": GroupFields,
    "observe": ObserveFields,
    "onset": SpreadFields,
    "ready": ReadyFields,
    "repeat": RepeatFields,
    "roll": RollFields,
    "setup": SetupFields,
    "step": StepFields,
    "targets": Targets,
}
_VALUES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "duration": (
        "A length of time: a number with its unit, or protocol time in units of network.units.",
        ("500ms", "10s", "2m", "1h", "2 layers", "1 epoch"),
    ),
    "moment": (
        "A point of the timeline: time since the steady state, a step's start or end, or a boundary "
        "of a protocol unit.",
        ("10s", "split + 5s", "end of split + 10s", "next epoch - 2 layers", "epoch 3"),
    ),
    "amount": (
        "How many of a set: a count, a share (to the nearest), or a word: minority (most under "
        "half), majority (least "
        "over half), f (most whose loss leaves a quorum), f+1; in sides also rest.",
        ("3", "30%", "minority", "majority", "f", "f+1"),
    ),
    "bound": (
        "A fact compared with a value; a yes/no fact is its bare name.",
        ("height >= 100", "clock_error < 50ms", "components == 2", "synced"),
    ),
    "offset": (
        ("A clock's error with sign and unit; a range is drawn for each target."),
        ("+30s", "-200ms", "-2s..+2s"),
    ),
    "drift": (
        ("A clock's drift with sign and unit; a range is drawn for each target."),
        ("+500ppm", "-100ppm..+100ppm"),
    ),
    "parameters": (
        "Values put in as $name anywhere in the scenario; --param NAME=VALUE gives another one. $$ "
        "is a dollar.",
        ("parameters: {lasting: 30s}", "for: $lasting"),
    ),
    "commands": (
        "What the words of 'run', 'env', 'files', 'lists', 'ready' and 'setup' may name: of the node itself "
        "its name, address, index (from 1), offset (from 0), zone, stake, data folder and ports by name; the "
        "run directory; what 'save' kept; the group's lists; and another node's, by its name. "
        "$$ is a dollar.",
        (
            "$name $address $index $offset $zone $stake $data $run $port_rpc",
            "run: [mynode, --listen, $address:7000, --data, $data, --peers, $peers]",
            "$n1.address",
        ),
    ),
    "facts": (
        "What is known of each node and may be asked for in bounds and predicates. Without any cooperation: "
        "its connections (degree, and of the whole graph components, diameter, edge_connectivity) and "
        "restarts. From what it answers ('observe'): numbers, yes/no and texts under the names that the "
        "scenario gives; where height, head or finalized is among them also height, lag, finality_age and "
        "fork_depth. Points (a height with its hash: head, finalized) come from presets; a hash of your own "
        "mapping is compared by height with {agree: {fact: hash, per: height}}. The graph 'overlay' (the "
        "default) is the TCP connections that the kernel knows of, as far as their ends reach each other, "
        "'sockets' is all of them, 'reach' is who reaches whom: ask for the last one where nodes talk over "
        "UDP.",
        ("height >= 100", "degree >= 2", "components == 2", "{connected: {graph: reach}}"),
    ),
    "define": (
        "Names for predicates that are said more than once.",
        ("define: {healthy: [connected, {agree: head}]}", "that: healthy"),
    ),
}
_EXAMPLES: Mapping[str, str] = {
    "clock": "{at: 10s, for: 20s, clock: {pick: minority, offset: +30s}}",
    "cut": "{at: 10s, for: 20s, cut: {from: n1, to: n2}}",
    "eclipse": "{at: 10s, for: 60s, eclipse: {of: n7, peers: [n1, n2]}}",
    "isolate": "{at: 10s, for: 20s, isolate: {pick: 1}}",
    "kill": "{at: 10s, for: 20s, kill: {pick: minority}}",
    "partition": "{at: 10s, for: 20s, partition: {sides: {small: 30%, big: rest}}, name: split}",
    "pause": "{at: 10s, for: 20s, pause: {pick: 20%}}",
    "restart": "{at: 10s, restart: nodes, roll: 10s}",
    "start": "{at: 10s, start: joiners}",
}
_ASKED: Mapping[str, str] = {
    "agree": "{after: split, within: 15s, that: {agree: head}}",
    "connected": "{after: split, within: 15s, that: connected}",
    "degree_recovers": "{after: split, within: 30s, that: {degree_recovers: {to: 80%}}}",
    "eclipsed": "{always: {not: {eclipsed: {of: n3, peers: [n1, n2]}}}}",
    "fresh_final": "{after: split, within: 30s, that: fresh_final}",
    "isolated": "{during: split, that: {not: isolated}}",
    "log": "{always: {not: {log: panic}}}",
    "matches_model": "{during: split, within: 2s, that: matches_model}",
    "never_back": "{always: {never_back: finalized}}",
    "no_conflict": "{always: {no_conflict: finalized}}",
    "no_crash": "{always: no_crash}",
    "no_cut_vertex": "{before: faults, that: no_cut_vertex}",
    "prefix_intact": "{after: split, within: 15s, that: prefix_intact}",
    "progress": "{after: split, within: 15s, that: {progress: height}}",
    "stalled": "{during: split, within: 3s, that: {stalled: finalized}}",
    "up": "{after: split, within: 5s, that: up}",
}
_INNER = {"Targets": "a name, a list of names, or target fields (see 'targets')"}


class UnknownTopic(ValueError):
    """There is nothing to explain by that name; the message names the nearest topic."""


def topics() -> dict[str, dict[str, str]]:
    """All topics by kind, each with its first sentence."""
    return {
        "faults": {k: _first(_doc(c)) for k, c in faults.fault.catalogue().items()},
        "predicates": {k: _first(_doc(c)) for k, c in runner.predicates.predicate.catalogue().items()},
        "parts": {k: _first(_doc(c)) for k, c in _PARTS.items()},
        "values": {k: _first(about) for k, (about, _) in _VALUES.items()},
        "networks": {"devnet": "The built-in network: a small real chain with switchable known bugs."},
    }


def explain(topic: str) -> dict[str, Any]:
    """What ``topic`` is and takes, as plain data.

    ``{"topic", "kind", "about", "short", "fields": [{"name", "takes", "required", "default"}],
    "example"}``; for values ``examples``; for ``devnet`` ``bugs`` (each with name, about, caught_by,
    expectation, reason_has). Raises UnknownTopic.
    """
    kinds = faults.fault.catalogue()
    names = runner.predicates.predicate.catalogue()
    if topic == "devnet":
        return _devnet()
    if topic in kinds:
        kind = kinds[topic]
        out = _model(topic, "fault", kind, kind.short)
        return {**out, "momentary": kind.momentary, "example": _EXAMPLES.get(topic, "")}
    if topic in names:
        predicate = names[topic]
        return {
            **_model(topic, "predicate", predicate, predicate.short),
            "example": _ASKED.get(topic, ""),
        }
    if topic in _PARTS:
        return _model(topic, "part", _PARTS[topic], getattr(_PARTS[topic], "short", None))
    if topic in _VALUES:
        about, examples = _VALUES[topic]
        return {"topic": topic, "kind": "value", "about": about, "examples": list(examples)}
    if topic in later.FAULTS or topic in later.PREDICATES:
        raise UnknownTopic(later.not_built(f"'{topic}'"))
    known = [*kinds, *names, *_PARTS, *_VALUES, "devnet"]
    raise UnknownTopic(f"there is no topic '{topic}'{nearest_or_all(topic, known)}")


def _devnet() -> dict[str, Any]:
    from runner.devnet.bugs import catalogue

    told = ("name", "about", "caught_by", "expectation", "reason_has")
    bugs = [{key: getattr(bug, key) for key in told} for bug in catalogue().values()]
    about = topics()["networks"]["devnet"] + "\n\nSwitch a bug on with --set 'network.nodes.bugs=[NAME]'."
    return {"topic": "devnet", "kind": "network", "about": about, "bugs": bugs}


def _model(topic: str, kind: str, cls: type[BaseModel], short: str | None) -> dict[str, Any]:
    described = cls.model_json_schema(by_alias=True)
    defs = described.get("$defs", {})
    required = set(described.get("required", ()))
    fields = [
        {
            "name": name,
            "takes": _takes(field, defs),
            "required": name in required,
            "default": field.get("default"),
        }
        for name, field in described.get("properties", {}).items()
    ]
    own = [f for f in fields if f["name"] not in Targets.model_fields or cls is Targets]
    targets = [f["name"] for f in fields if f not in own]
    out = {"topic": topic, "kind": kind, "about": _doc(cls), "short": short, "fields": own}
    return {**out, "targets": targets} if targets else out


def _takes(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    """What may be written for a field, in a few words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return _INNER.get(name, _first(defs.get(name, {}).get("description", "a mapping")).rstrip("."))
    if "examples" in field:
        return f"such as {' or '.join(map(str, field['examples']))}"
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "const" in field:
        return str(field["const"])
    if "anyOf" in field:
        parts = [_takes(f, defs) for f in field["anyOf"] if f.get("type") != "null"]
        if _INNER["Targets"] in parts:
            return _INNER["Targets"]
        return " or ".join(dict.fromkeys(p for p in parts if p))
    return _plainly(field, defs)


def _plainly(field: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    kind = field.get("type")
    if kind == "array":
        inner = field.get("items") or (field.get("prefixItems") or [{}])[0]
        return f"a list ({_takes(inner, defs)})"
    if kind == "object":
        inner = field.get("additionalProperties")
        return f"a mapping ({_takes(inner, defs)})" if isinstance(inner, dict) else "a mapping"
    words = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
    if isinstance(kind, list):
        return "text"
    return words.get(str(kind), "what must hold" if field.get("title") == "that" else "")


def _doc(cls: type) -> str:
    """The docstring, each paragraph on one line: where lines break is the business of who shows them."""
    about = inspect.cleandoc(cls.__doc__ or "")
    return "\n\n".join(" ".join(part.split()) for part in about.split("\n\n"))


def _first(about: str) -> str:
    """The first sentence."""
    flat = " ".join(about.split("\n\n")[0].split())
    end = flat.find(". ")
    return flat if end < 0 else flat[: end + 1]


def text(described: Mapping[str, Any]) -> str:
    """An explanation (or all topics) for people."""
    if "topic" not in described:
        return _topics_text(described)
    lines = [f"{described['topic']} ({described['kind']})", "", described["about"]]
    if described.get("examples"):
        lines.append("")
    for example in described.get("examples", ()):
        lines.append(f"  {example}")
    if described.get("fields"):
        lines += ["", "Fields:"]
        width = max(len(f["name"]) for f in described["fields"])
        for field in described["fields"]:
            short = "short form" if field["name"] == described.get("short") else ""
            notes = [note for note in (_note(field), short) if note]
            more = f" ({', '.join(notes)})" if notes else ""
            lines.append(f"  {field['name']:<{width}}  {field['takes']}{more}")
    if described.get("targets"):
        short = " (short form: of)" if described.get("short") == "of" else ""
        lines += ["", f"Targets: {' '.join(described['targets'])}{short}; see 'targets'"]
    if described.get("example"):
        lines += ["", "Example:", f"  - {described['example']}"]
    for bug in described.get("bugs", ()):
        lines += [
            "",
            f"  {bug['name']}: {bug['about']}",
            (f"    caught by {bug['caught_by']} ({bug['expectation']})"),
        ]
    return "\n".join(lines) + "\n"


def _note(field: Mapping[str, Any]) -> str:
    if field["required"]:
        return "required"
    default = field["default"]
    if default in (None, "", False):
        return ""
    if isinstance(default, dict):  # a duration
        default = f"{default['value']:g}{default['unit']}"
    elif isinstance(default, float) and "%" in field["takes"]:
        default = f"{100 * default:g}%"
    return f"default {default}"


def _topics_text(described: Mapping[str, Any]) -> str:
    lines = []
    for kind, names in described.items():
        lines.append(f"{kind}:")
        width = max(map(len, names), default=0)
        lines += [f"  {name:<{width}}  {about}" for name, about in names.items()]
    return "\n".join(lines) + "\n"
