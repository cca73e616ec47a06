"""``seatrial judge`` and ``seatrial replay``.

A run that is over, judged again or repeated with the same choices.
"""

from __future__ import annotations

import json as jsonlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import console, source
from runner.cli.options import JsonFlag, NoColor, Quiet, RunFolder

if TYPE_CHECKING:
    from runner.scenario.model import Scenario

JUDGE_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial judge runs/20261124-101500-halves\n"
    "  seatrial judge runs/20261124-101500-halves --scenario stricter.yaml --json\n\n"
    "\b\nExit codes are those of 'seatrial run'. The journal is the only input: expectations\n"
    "about what was not recorded are unknown. The run directory is left as it is."
)
REPLAY_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial replay runs/20261124-101500-halves\n\n"
    "\b\nThe same scenario, seed and choices on a new network; what the network does may differ."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=JUDGE_EPILOG)(judge)
    app.command(epilog=REPLAY_EPILOG, short_help="Run a trial again, hitting the same nodes.")(replay)


def judge(
    run: RunFolder,
    scenario: Annotated[
        Path | None,
        typer.Option("--scenario", metavar="FILE", help="Judge by the expectations of this file instead."),
    ] = None,
    json: JsonFlag = False,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> None:
    """Judge a run again from its journal alone."""
    from runner.judge.judge import judge as judged
    from runner.records.journal import JournalError
    from runner.reports import summary

    folder = source.run_folder(run)
    events = source.events_of(folder)
    chosen = source.load([scenario])[0] if scenario else scenario_of(folder)
    try:
        verdict = judged(chosen, events).to_json()
    except JournalError as error:
        console.fail(f"{folder / 'journal.jsonl'}: {error}")
    if json:
        console.out(jsonlib.dumps(verdict, indent=2, ensure_ascii=False))
    else:
        paint = console.paint(sys.stdout, wanted=not no_color)
        width, height = console.size()
        if quiet:
            console.out(summary.one_line(verdict, str(folder), paint))
        else:
            text = summary.summary(verdict, directory=str(folder), width=width, height=height, paint=paint)
            console.out(text, end="")
    raise typer.Exit(int(verdict["exit_code"]))


def replay(
    run: RunFolder,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder in which run directories are made.")
    ] = Path("runs"),
    json: JsonFlag = False,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> None:
    """Run a trial again: the same scenario, the same seed, the same nodes hit."""
    from runner.cli.trial import Options, finish, perform

    folder = source.run_folder(run)
    events = source.events_of(folder)
    options = Options(
        out=out,
        seed=next((int(e["seed"]) for e in events if e["event"] == "run"), None),
        keep="never",
        lease_s=5.0,
        timeout_s=None,
        json=json,
        quiet=quiet,
        color=not no_color,
        choices=choices_of(events),
    )
    finish([perform(str(run), scenario_of(folder), options)], options)


def scenario_of(folder: Path) -> Scenario:
    """The scenario that lies in a run directory, as it was resolved."""
    from runner.records.directory import RunDirectory

    return source.load([RunDirectory(folder).scenario])[0]


def choices_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Whom each trial hit, from the journal: trial name → ``faults.fault.Chosen``."""
    from faults.fault import Chosen

    return {
        str(e["trial"]): Chosen(
            tuple(e["targets"]),
            sides={k: tuple(v) for k, v in (e.get("sides") or {}).items()},
            draws=e.get("draws") or {},
        )
        for e in events
        if e["event"] == "step"
    }
