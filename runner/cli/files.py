"""Commands about scenario files that start nothing: ``check``, ``plan``, ``schema``, ``init``, ``list``."""

from __future__ import annotations

import json as jsonlib
import random
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli import console, source
from runner.cli.options import File, Files, JsonFlag, NetworkFile, Params, Seed, Sets
from runner.reports.wording import clean

if TYPE_CHECKING:
    from runner.plan.model import Plan
    from runner.scenario.model import Scenario

CHECK_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial check scenarios/devnet/*.yaml\n"
    "  seatrial check halves.yaml --param lasting=60s\n\n"
    "\b\nEvery problem is one line, file:line:column: what is wrong; exit code 2 if there is any."
)
PLAN_EPILOG = (
    "\b\nExamples:\n  seatrial plan halves.yaml --seed 7\n  seatrial plan halves.yaml --svg plan.svg"
)
SCHEMA_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial schema > seatrial.schema.json\n\n"
    "\b\nEditors that know YAML use it when a file begins with\n"
    "  # yaml-language-server: $schema=./seatrial.schema.json"
)
INIT_EPILOG = "\b\nExamples:\n  seatrial init my.yaml && seatrial run my.yaml"
LIST_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial list           the scenarios that come along\n"
    "  seatrial list runs      what is in a folder of runs"
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=CHECK_EPILOG, short_help="Check scenario files; start nothing.")(check)
    app.command(epilog=PLAN_EPILOG, short_help="Show who would be hit when; start nothing.")(plan)
    app.command(epilog=SCHEMA_EPILOG)(schema)
    app.command(epilog=INIT_EPILOG)(init)
    app.command("list", epilog=LIST_EPILOG, short_help="List scenarios, or a folder of runs.")(list_)


def check(
    files: Files,
    network: NetworkFile = None,
    param: Params = [],  # noqa: B006 - typer copies it
    sets: Sets = [],  # noqa: B006
    json: JsonFlag = False,
) -> None:
    """Check scenario files and start nothing: every problem of every file at once."""
    scenarios, problems = source.read(files, network=network, params=param, sets=sets)
    problems += [p for file, scenario in scenarios.items() for p in source.unplannable(file, scenario)]
    if json:
        rows = [asdict(p) for p in problems]
        console.out(jsonlib.dumps({"problems": rows}, indent=2, ensure_ascii=False))
    else:
        for problem in problems:
            console.note(clean(str(problem)))
        bad = {p.file for p in problems}
        for file, scenario in scenarios.items():
            if str(file) not in bad:
                console.out(f"{file}: ok ({_size(scenario)})")
    raise typer.Exit(console.BAD_INPUT if problems else console.HELD)


def _size(scenario: Scenario) -> str:
    from runner.reports.wording import count

    nodes = sum(len(g.members) for g in scenario.network.groups)
    return ", ".join(
        (
            count(nodes, "node"),
            count(len(scenario.timeline), "fault"),
            count(len(scenario.expect), "expectation"),
        )
    )


def plan(
    file: File,
    seed: Seed = None,
    network: NetworkFile = None,
    param: Params = [],  # noqa: B006
    sets: Sets = [],  # noqa: B006
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Also write a picture of the timeline there.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show who would be hit when, and what is predicted; start nothing."""
    scenario = source.load([file], network=network, params=param, sets=sets)[0]
    planned = planned_of(file, scenario, seed)
    from runner.plan import picture

    if svg is not None:
        try:
            svg.write_text(picture.svg(planned), encoding="utf-8")
        except OSError as error:
            console.fail(f"{svg}: {error.strerror}", console.ABORTED)
    if json:
        console.out(jsonlib.dumps(picture.as_json(planned), indent=2, ensure_ascii=False))
    else:
        console.out(picture.text(planned, width=console.size()[0]), end="")


def planned_of(file: Path, scenario: Scenario, seed: int | None) -> Plan:
    """The plan of a scenario; a plan that is refused ends the command with its problems and exit code 2."""
    from runner.networks.local import describe_nodes
    from runner.plan.make import make

    drawn = seed if seed is not None else scenario.seed
    if drawn is None:
        drawn = random.SystemRandom().randrange(1, 2**31)
    source.refuse_unplannable([(file, scenario)], drawn)
    return make(scenario, describe_nodes(scenario.network), drawn)


def schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from runner.scenario import json_schema

    console.out(jsonlib.dumps(json_schema.schema(), indent=2, ensure_ascii=False))


def init(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="The file to write; '-' for standard output.")
    ] = Path("scenario.yaml"),
) -> None:
    """Write a commented first scenario. A file that exists is never overwritten."""
    from runner.scenario import first

    text = first.text()
    if str(file) == "-":
        console.out(text, end="")
        return
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        console.fail(f"{file} exists already and is left as it is; name another file, or '-' to see it")
    except OSError as error:
        console.fail(f"{file}: {error.strerror}")
    console.out(
        f"{file} written: 'seatrial plan {file}' shows what it would do, 'seatrial run {file}' does it"
    )


def list_(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="A folder of scenarios or of runs.", show_default=False),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """List scenarios with their sentence, and runs with their verdicts."""
    where = folder or shipped()
    if where is None or not where.is_dir():
        console.fail(f"{folder}: no such folder" if folder else "no scenarios come with this installation")
    scenarios = [_scenario_row(p) for p in sorted(where.rglob("*.yaml")) if not _inside_run(p, where)]
    runs = [_run_row(j.parent) for j in sorted(where.glob("*/journal.jsonl"))]
    if json:
        console.out(jsonlib.dumps({"scenarios": scenarios, "runs": runs}, indent=2, ensure_ascii=False))
        return
    for row in scenarios:
        console.out(f"{row['file']}\n    {clean(row['about']) or '(no sentence about it)'}")
    for row in runs:
        seed = "" if row["seed"] is None else f", seed {row['seed']}"
        live = " (its network is up)" if row["live"] else ""
        console.out(f"{row['run']}: {row['verdict'] or 'no verdict'}{seed}{live}")
    if not scenarios and not runs:
        console.out(f"{where}: neither scenarios nor runs")


def shipped() -> Path | None:
    """The folder of the scenarios that come along; None where they were not installed."""
    import runner

    folder = Path(runner.__file__).resolve().parent.parent / "scenarios"
    return folder if folder.is_dir() else None


def _inside_run(file: Path, top: Path) -> bool:
    """Whether a file lies in a run directory below ``top``.

    A run keeps its scenario, which is not one of the folder's.
    """
    return any((p / "journal.jsonl").exists() for p in file.parents if p == top or top in p.parents)


def _scenario_row(file: Path) -> dict[str, Any]:
    """Name and sentence of a scenario file, read as plainly as possible.

    A file with mistakes is listed too.
    """
    from runner.scenario.source import read

    data: Any = None
    with suppress(OSError):
        data = read(file.read_bytes(), str(file)).data
    data = data if isinstance(data, dict) else {}
    about = " ".join(str(data.get("about") or "").split())
    return {"file": str(file), "name": str(data.get("name") or file.stem), "about": about}


def _run_row(run: Path) -> dict[str, Any]:
    from runner.engine.control import listens

    verdict = source.verdict_of(run) or {}
    name = (verdict.get("scenario") or {}).get("name")
    return {
        "run": str(run),
        "scenario": name,
        "verdict": verdict.get("verdict"),
        "seed": verdict.get("seed"),
        "exit_code": verdict.get("exit_code"),
        "live": listens(run),
    }
