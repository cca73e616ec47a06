"""``seatrial run``: trials of scenario files, one or many, with what a person sees meanwhile."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from runner.cli import console, source
from runner.cli.options import Files, JsonFlag, NetworkFile, NoColor, Params, Quiet, Seed, Sets
from runner.reports.wording import clean

if TYPE_CHECKING:
    from runner.engine.run import Outcome
    from runner.scenario.model import Scenario

EPILOG = (
    "\b\nExamples:\n"
    "  seatrial run halves.yaml\n"
    "  seatrial run halves.yaml --seed 7 --set network.nodes.count=20\n"
    "  seatrial run scenarios/devnet/*.yaml --jobs 2 --junit report.xml\n"
    "  seatrial run halves.yaml --repeat 30 --fail-fast --json > runs.json\n\n"
    "\b\nExit codes: 0 held, 1 violated, 2 bad input (nothing was started), 3 inconclusive,\n"
    "4 aborted or could not run, 5 something could not be healed; of several runs the first\n"
    "that applies of 5, 4, 1, 3, 0."
)


@dataclass(frozen=True)
class Options:
    """How trials are run, as given on the command line; times in seconds."""

    out: Path
    seed: int | None
    keep: Literal["never", "always", "on_violation"]
    lease_s: float
    timeout_s: float | None
    json: bool
    quiet: bool
    color: bool
    choices: Any = None


@dataclass(frozen=True)
class Done:
    """One trial that is over.

    Its label for tables, exit code, verdict (content of verdict.json) and a message if any.
    """

    label: str
    exit_code: int
    verdict: dict[str, Any] | None
    directory: Path | None
    message: str = ""
    interrupted: bool = False


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG, short_help="Run trials of scenario files.")(run)


def run(
    files: Files,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder in which run directories are made.")
    ] = Path("runs"),
    seed: Seed = None,
    network: NetworkFile = None,
    param: Params = [],  # noqa: B006 - typer copies it
    sets: Sets = [],  # noqa: B006
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the network running when the trial is over, until Ctrl-C.")
    ] = False,
    keep_on_violation: Annotated[
        bool, typer.Option("--keep-on-violation", help="The same, only if an expectation was violated.")
    ] = False,
    repeat: Annotated[
        int,
        typer.Option(
            "--repeat",
            metavar="N",
            min=1,
            help="Run each file N times (a seed that is given stays the same).",
        ),
    ] = 1,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Trials at the same time.")] = 1,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Start no further trial after one that did not hold.")
    ] = False,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="Heal and end a trial that takes longer."),
    ] = None,
    lease: Annotated[
        str,
        typer.Option(
            "--lease",
            metavar="DURATION",
            help="Faults heal by themselves when the runner is gone for so long.",
        ),
    ] = "5s",
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="Also write a JUnit report of all trials there."),
    ] = None,
    json: JsonFlag = False,
    quiet: Quiet = False,
    no_color: NoColor = False,
) -> None:
    """Run trials: start the network, inject what the timeline says, judge, heal.

    Progress goes to standard error, the summary (or --json: the content of verdict.json) to standard output.
    """
    options = Options(
        out=out,
        seed=seed,
        keep="always" if keep else "on_violation" if keep_on_violation else "never",
        lease_s=_lease(lease),
        timeout_s=None if timeout is None else source.seconds("--timeout", timeout),
        json=json,
        quiet=quiet,
        color=not no_color,
    )
    scenarios = source.load(files, network=network, params=param, sets=sets)
    source.refuse_unplannable(zip(files, scenarios, strict=True), seed)
    if options.keep != "never" and len(files) * repeat > 1:
        console.fail("--keep and --keep-on-violation are for a single trial")
    work = [(file, scenario) for file, scenario in zip(files, scenarios, strict=True) for _ in range(repeat)]
    if jobs > 1 and len(work) > 1:
        from runner.cli import parallel

        extra = [*(["--network", str(network)] if network else [])]
        extra += [w for p in param for w in ("--param", p)] + [w for s in sets for w in ("--set", s)]
        done = parallel.run_all([f for f, _ in work], options, extra, jobs=jobs, fail_fast=fail_fast)
    else:
        done = _one_by_one([(str(f), s) for f, s in work], options, fail_fast=fail_fast)
    if junit is not None:
        _write_junit(junit, done, out)
    finish(done, options)


def finish(done: list[Done], options: Options) -> NoReturn:
    """Report on the trials that are over, and end the command with their exit code."""
    _report(done, options)
    raise typer.Exit(console.worst(d.exit_code for d in done))


def _lease(text: str) -> float:
    seconds = source.seconds("--lease", text)
    if seconds < 1:
        console.fail(f"--lease: '{text}' is shorter than a busy machine may pause a runner: at least 1s")
    return seconds


def engine(scenario: Scenario, options: Options, listener: Callable[[Mapping[str, Any]], None]) -> Outcome:
    """The engine's ``run_scenario``, loaded when it is needed; tests put another in its place."""
    from runner.engine.run import Options as HowToRun
    from runner.engine.run import run_scenario

    how = HowToRun(
        seed=options.seed,
        choices=options.choices,
        lease_s=options.lease_s,
        keep=options.keep,
        timeout_s=options.timeout_s,
    )
    return run_scenario(scenario, out=options.out, options=how, listener=listener)


def perform(label: str, scenario: Scenario, options: Options) -> Done:
    """Run one trial here, with a live view or progress lines on standard error.

    Its JUnit report and picture are written too.
    """
    from runner.cli.showing import showing
    from runner.records.directory import DirectoryError
    from runner.records.journal import JournalError

    try:
        with showing(scenario, quiet=options.quiet, color=options.color) as listener:
            outcome = engine(scenario, options, listener)
    except (DirectoryError, JournalError) as error:
        return Done(label, console.ABORTED, None, None, no_directory(error))
    for problem in outcome.problems:
        console.note(clean(problem))
    if outcome.directory is None:
        return Done(label, outcome.exit_code, None, None, outcome.message)
    verdict = source.verdict_of(outcome.directory)
    events: list[dict[str, Any]] = []
    if verdict is not None:
        verdict["exit_code"] = outcome.exit_code  # what was found while taking down counts too
        events = _leave_reports(outcome.directory, verdict)
    interrupted = any(e["event"] == "end" and e.get("why") == "interrupt" for e in events)
    return Done(label, outcome.exit_code, verdict, outcome.directory, outcome.message, interrupted)


def no_directory(error: Exception) -> str:
    """Why no run directory could be made, and what to do about it."""
    return f"{error}; choose another folder with --out"


def _one_by_one(work: list[tuple[str, Scenario]], options: Options, *, fail_fast: bool) -> list[Done]:
    done: list[Done] = []
    for number, (label, scenario) in enumerate(work, 1):
        if len(work) > 1 and not options.quiet:
            console.note(f"--- {label} ({number} of {len(work)})")
        done.append(perform(label, scenario, options))
        if done[-1].exit_code and fail_fast and number < len(work):
            console.note(f"seatrial: {len(work) - number} more not started (--fail-fast)")
            break
        if done[-1].interrupted:
            break
    return done


def _report(done: list[Done], options: Options) -> None:
    """What goes to standard output at the end."""
    from runner.reports import summary

    if options.json:
        found = [d.verdict for d in done]
        one = found[0] if len(found) == 1 else found
        console.out(jsonlib.dumps(one, indent=2, ensure_ascii=False))
        for d in done:
            if d.verdict is None:
                console.note(f"seatrial: {d.label}: {clean(d.message)}")
        return
    paint = console.paint(sys.stdout, wanted=options.color)
    if len(done) > 1:
        rows = [(d.label, d.verdict, d.exit_code, d.message) for d in done]
        console.out(summary.of_many(rows, paint=paint), end="")
        return
    only = done[0]
    if only.verdict is None:
        console.note(f"seatrial: {clean(only.message) or 'there is no verdict'}")
        return
    if options.quiet:
        console.out(summary.one_line(only.verdict, str(only.directory), paint))
        return
    width, height = console.size()
    console.out()
    console.out(
        summary.summary(only.verdict, directory=str(only.directory), width=width, height=height, paint=paint),
        end="",
    )
    told = " ".join(map(str, only.verdict.get("reasons", ())))
    if only.message and only.message not in told and only.exit_code in (console.ABORTED, console.NOT_HEALED):
        console.note(f"seatrial: {clean(only.message)}")


def _leave_reports(directory: Path, verdict: dict[str, Any]) -> list[dict[str, Any]]:
    """Write junit.xml and picture.svg into the run directory; returns the run's events.

    A verdict is not lost because a report cannot be written.
    """
    from runner.reports.junit import junit
    from runner.reports.picture import picture

    events = source.events_of(directory)
    try:
        (directory / "junit.xml").write_text(junit([verdict], took_s=[_took(events)]), encoding="utf-8")
        (directory / "picture.svg").write_text(picture(events, verdict), encoding="utf-8")
    except Exception as error:
        console.note(f"seatrial: a report could not be written: {clean(str(error))}")
    return events


def _took(events: list[dict[str, Any]]) -> float:
    """How long a run took, in seconds."""
    return float(events[-1]["t"]) if events else 0.0


def _write_junit(file: Path, done: list[Done], out: Path) -> None:
    from runner.reports.junit import junit

    verdicts = [d.verdict or _without(d) for d in done]
    folders = [d.directory or out / str(v.get("run", "")) for d, v in zip(done, verdicts, strict=True)]
    took = [_took(source.events_of(f)) if (f / "journal.jsonl").is_file() else 0.0 for f in folders]
    try:
        file.write_text(junit(verdicts, took_s=took), encoding="utf-8")
    except OSError as error:
        console.note(f"seatrial: {file} could not be written: {error.strerror}")


def _without(done: Done) -> dict[str, Any]:
    """What stands in a JUnit report for a trial that came to no verdict: an error, never a pass."""
    return {
        "scenario": {"name": Path(done.label).stem},
        "verdict": "inconclusive",
        "exit_code": done.exit_code,
        "reasons": [done.message or "the trial came to no verdict"],
    }
