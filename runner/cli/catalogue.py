"""``seatrial explain``: what faults, predicates, parts and values of the language are, and the devnet."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from runner.cli import console
from runner.cli.options import JsonFlag

EPILOG = (
    "\b\nExamples:\n"
    "  seatrial explain                    everything there is, a line each\n"
    "  seatrial explain partition          a fault, its fields, its short form\n"
    "  seatrial explain targets            how nodes are chosen\n"
    "  seatrial explain devnet --json      the built-in network's known bugs"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG, short_help="Explain a fault, a predicate, a value, the devnet.")(explain)


def explain(
    topic: Annotated[
        str | None,
        typer.Argument(metavar="[TOPIC]", help="A fault, a predicate, a part, a value, or 'devnet'."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Explain a fault, a predicate, a part or value of the language, or the built-in network."""
    from runner.scenario import explain as explaining

    try:
        found = explaining.topics() if topic is None else explaining.explain(topic)
    except explaining.UnknownTopic as error:
        console.fail(f"{error}; 'seatrial explain' lists everything")
    if json:
        console.out(jsonlib.dumps(found, indent=2, ensure_ascii=False))
    else:
        console.out(_fitted(explaining.text(found), console.size()[0]), end="")


def _fitted(text: str, width: int) -> str:
    """The text with long lines broken, continued below the column where their words begin."""
    import re
    import textwrap

    out: list[str] = []
    for line in text.replace("``", "'").splitlines():
        if len(line) <= width:
            out.append(line)
            continue
        head = re.match(r"( *\S+ {2,})\S|( *)", line)
        indent = len(head[1] or head[2] or "") if head else 0
        lead = line[:indent]
        out += textwrap.wrap(
            line[indent:],
            width,
            initial_indent=lead,
            subsequent_indent=" " * min(indent, width // 2),
            break_on_hyphens=False,
        )
    return "\n".join(out) + "\n"
