"""What commands read.

Scenario files, durations of options, run directories. Everything wrong is said at once, exit code 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from runner.cli import console
from runner.reports.wording import clean

if TYPE_CHECKING:
    from runner.scenario import Problem
    from runner.scenario.model import Scenario


def load(
    files: Sequence[Path],
    *,
    network: Path | None = None,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> list[Scenario]:
    """Read scenario files, in the order given (a file may come more than once).

    Every problem of every file is printed, one a line, and the command ends with exit code 2.
    """
    found, problems = read(files, network=network, params=params, sets=sets)
    for problem in problems:
        console.note(clean(str(problem)))
    if problems:
        raise typer.Exit(console.BAD_INPUT)
    return [found[file] for file in files]


def read(
    files: Sequence[Path], *, network: Path | None, params: Sequence[str], sets: Sequence[str]
) -> tuple[dict[Path, Scenario], list[Problem]]:
    """The scenarios of files without a problem, and the problems of all others; each file is read once."""
    from runner.scenario import load

    values = pairs("--param", params)
    pairs("--set", sets)
    found: dict[Path, Scenario] = {}
    problems: list[Problem] = []
    for file in dict.fromkeys(files):
        loaded = load(file, params=values, sets=sets, network=network)
        problems += loaded.problems
        if loaded.scenario is not None:
            found[file] = loaded.scenario
    return found, problems


def unplannable(file: Path, scenario: Scenario, seed: int | None = None) -> list[Problem]:
    """Why it could not be planned: selections that hit nobody, impossible times, limits broken."""
    from runner.networks.local import describe_nodes
    from runner.plan.make import make
    from runner.plan.model import PlanError
    from runner.scenario import Problem

    drawn = seed if seed is not None else scenario.seed or 0
    try:
        make(scenario, describe_nodes(scenario.network), drawn)
    except PlanError as error:
        return [Problem(str(file), p.line, 1 if p.line else 0, str(p)) for p in error.problems]
    return []


def refuse_unplannable(scenarios: Iterable[tuple[Path, Scenario]], seed: int | None) -> None:
    """End the command with exit code 2, before anything is started, where a plan would be refused."""
    problems = [p for file, scenario in dict(scenarios).items() for p in unplannable(file, scenario, seed)]
    for problem in problems:
        console.note(clean(str(problem)))
    if problems:
        raise typer.Exit(console.BAD_INPUT)


def pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping; the last of several values of one name counts."""
    out = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            console.fail(f"{option} {text}: expected {'PATH' if option == '--set' else 'NAME'}=VALUE")
        out[name.strip()] = value
    return out


def seconds(option: str, text: str) -> float:
    """A duration of an option (``500ms``, ``10s``, ``2m``) in seconds."""
    from pydantic_core import PydanticCustomError

    from faults.fields import parse_duration

    try:
        duration = parse_duration(text)
    except PydanticCustomError as error:
        console.fail(f"{option}: {error.message()}")
    if duration.is_protocol or duration.seconds() <= 0:
        console.fail(f"{option}: '{text}' must be a time of the clock, such as 500ms, 10s or 2m")
    return duration.seconds()


def run_folder(run: Path) -> Path:
    """A run directory by its path, or by its name under ``runs``.

    Ends with exit code 2 where there is none.
    """
    for folder in (run, Path("runs") / run):
        if (folder / "journal.jsonl").is_file():
            return folder
    if run.name in ("journal.jsonl", "verdict.json") and (run.parent / "journal.jsonl").is_file():
        return run.parent
    console.fail(f"{run}: not a run directory (there is no journal.jsonl in it)")


def verdict_of(folder: Path) -> dict[str, Any] | None:
    """The verdict that lies in a run directory; None where there is none (yet), or none that can be read."""
    try:
        verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return verdict if isinstance(verdict, dict) else None


def events_of(folder: Path) -> list[dict[str, Any]]:
    """The events of a run's journal; a last line that was cut off (a run that was killed) is left out.

    A journal that is damaged ends the command with exit code 2.
    """
    from runner.records.journal import JournalError, Reader

    try:
        return list(Reader(folder / "journal.jsonl").events())
    except JournalError as error:
        console.fail(str(error))
