"""``seatrial explain``: what the faults, the predicates and the built-in network are and take."""

from __future__ import annotations

import inspect
import json as jsonlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import console
from runner.cli.options import JsonFlag

if TYPE_CHECKING:
    from pydantic import BaseModel

TARGET_FIELDS = ("of", "zone", "host", "label", "where", "but", "pick", "by")
TARGETS_ABOUT = (
    "Whom something concerns. The same fields in every fault and predicate, narrowing in this order; "
    "without any of them: all nodes."
)
EPILOG = (
    "\b\nExamples:\n"
    "  seatrial explain                    everything there is, a line each\n"
    "  seatrial explain partition          a fault, its fields, its short form\n"
    "  seatrial explain targets            how nodes are chosen\n"
    "  seatrial explain devnet --json      the built-in network's known bugs"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG)(explain)


def explain(
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="[TOPIC]", help="A fault, a predicate, 'targets' or 'devnet'.", show_default=False
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Explain a fault, a predicate, the choice of targets or the built-in network."""
    if topic is None:
        everything = _everything()
        console.out(
            jsonlib.dumps(everything, indent=2, ensure_ascii=False) if json else _listed(everything),
            end="\n" if json else "",
        )
        return
    if topic == "devnet":
        page: Mapping[str, Any] = _devnet()
    else:
        page = _page(topic)
    if json:
        console.out(jsonlib.dumps(page, indent=2, ensure_ascii=False))
    else:
        console.out(_devnet_text(page) if topic == "devnet" else _text(page), end="")


def _catalogues() -> dict[str, Mapping[str, type[BaseModel]]]:
    from faults import fault
    from runner.predicates import predicate

    return {"fault": fault.catalogue(), "predicate": predicate.catalogue()}


def _everything() -> dict[str, Any]:
    found = _catalogues()
    return {
        f"{kind}s": [{"name": name, "about": _first_sentence(cls)} for name, cls in entries.items()]
        for kind, entries in found.items()
    } | {
        "more": [
            {"name": "targets", "about": "How the nodes that something concerns are chosen."},
            {"name": "devnet", "about": "The built-in network and its known bugs."},
        ]
    }


def _listed(everything: Mapping[str, Any]) -> str:
    wide = max(len(e["name"]) for entries in everything.values() for e in entries)
    lines = []
    for title, entries in everything.items():
        lines.append(f"{title}:")
        lines += _columns([(e["name"], e["about"]) for e in entries], wide)
        lines.append("")
    lines.append("'seatrial explain NAME' tells more of each.")
    return "\n".join(lines) + "\n"


def _page(topic: str) -> dict[str, Any]:
    from faults.fields import Targets

    if topic == "targets":
        return _described("targets", "targets", Targets, about=TARGETS_ABOUT)
    found = _catalogues()
    for kind, entries in found.items():
        if topic in entries:
            return _described(kind, topic, entries[topic])
    from difflib import get_close_matches

    known = [*found["fault"], *found["predicate"], "targets", "devnet"]
    near = get_close_matches(topic, known, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    console.fail(f"nothing is called '{topic}'{hint} ('seatrial explain' lists everything)")


def _described(kind: str, name: str, cls: type[BaseModel], *, about: str = "") -> dict[str, Any]:
    """A page as plain data.

    ``kind``, ``name``, ``about``, ``short`` (the field that a plain value fills), ``fields``.
    """
    schema = cls.model_json_schema()
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    definitions = schema.get("$defs", {})
    fields = []
    for key, value in properties.items():
        if kind != "targets" and key in TARGET_FIELDS and _takes_targets(cls):
            continue
        entry: dict[str, Any] = {
            "name": key,
            "takes": _takes(value, definitions),
            "required": key in required,
        }
        if value.get("default") is not None:
            entry["default"] = value["default"]
        if value.get("description"):
            entry["about"] = value["description"]
        fields.append(entry)
    out: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "about": about or inspect.cleandoc(cls.__doc__ or ""),
        "short": getattr(cls, "short", None),
        "fields": fields,
        "targets": kind == "targets" or _takes_targets(cls),
    }
    if kind == "fault":
        out["momentary"] = bool(getattr(cls, "momentary", False))
    return out


def _takes_targets(cls: type[BaseModel]) -> bool:
    from faults.fields import Targets

    return issubclass(cls, Targets)


def _takes(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a field takes, in words: its choices, an example of its form, or its type."""
    if "$ref" in schema:
        target = str(schema["$ref"]).rsplit("/", 1)[-1]
        return "nodes" if target == "Targets" else _takes(definitions.get(target, {}), {})
    if "anyOf" in schema:
        words = [w for s in schema["anyOf"] if (w := _takes(s, definitions)) and s.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if schema.get("examples"):
        return f"such as {schema['examples'][0]}"
    named = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}
    named |= {"array": "a list", "object": "a mapping"}
    return named.get(str(schema.get("type")), "")


def _text(page: Mapping[str, Any]) -> str:
    what = "momentary fault" if page.get("momentary") else page["kind"]
    lines = [f"{page['name']} ({what})" if page["kind"] != "targets" else "targets", "", page["about"], ""]
    rows = []
    for field in page["fields"]:
        star = "*" if field["name"] == page["short"] else ""
        default = f" (default {field['default']})" if "default" in field else ""
        words = f"{field['takes']}{default}{' (required)' if field['required'] else ''}"
        rows.append((field["name"] + star, f"{words}. {field['about']}" if field.get("about") else words))
    if page["targets"] and page["kind"] != "targets":
        rows.append((" ".join(TARGET_FIELDS[:4]) + " …", "whom it concerns: 'seatrial explain targets'"))
    if rows:
        lines += ["Fields:", *_columns(rows, min(max(len(r[0]) for r in rows), 22))]
    if page["short"]:
        lines += ["", f"* short form: '{page['name']}: VALUE' gives '{page['short']}' that value."]
    if page["kind"] == "fault":
        lines += ["", _example(page)]
    return "\n".join(lines) + "\n"


def _example(page: Mapping[str, Any]) -> str:
    lasting = "" if page["momentary"] else "for: 10s, "
    value = f"{{{page['fields'][0]['name']}: …}}" if page["fields"] and not page["short"] else "…"
    return f"On a timeline: - {{at: 10s, {lasting}{page['name']}: {value}}}"


def _columns(rows: list[tuple[str, str]], wide: int) -> list[str]:
    import textwrap

    lines = []
    for left, right in rows:
        broken = textwrap.wrap(right, max(92 - wide, 30)) or [""]
        lines.append(f"  {left:<{wide}}  {broken[0]}".rstrip())
        lines += [f"  {'':<{wide}}  {part}" for part in broken[1:]]
    return lines


def _first_sentence(cls: type) -> str:
    text = " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())
    return text.split(". ")[0].rstrip(".") + "." if text else ""


def _devnet() -> dict[str, Any]:
    """``{"about", "bugs": [{"name", "about", "caught_by", "expectation", "reason_has"}]}``."""
    from runner.devnet import bugs

    return bugs.as_json()


def _devnet_text(page: Mapping[str, Any]) -> str:
    import textwrap

    lines = [
        "devnet: the built-in network, a small chain of real processes talking over TCP.",
        "Its known bugs ('bugs: [NAME]' in a group) prove that a trial can fail a network:",
        "",
    ]
    for bug in page["bugs"]:
        lines += [
            f"  {bug['name']}",
            *textwrap.wrap(bug["about"], 74, initial_indent="    ", subsequent_indent="    "),
        ]
        lines.append(f"    caught by {bug['caught_by']} ({bug['expectation']}: …{bug['reason_has']}…)")
    return "\n".join(lines) + "\n"
