"""``seatrial up``, ``inject`` and ``exec``.

Work by hand on a live network, through the control socket of its run directory.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from runner.cli import console, source
from runner.cli.options import File, JsonFlag, NetworkFile, NoColor, Params, Seed, Sets
from runner.reports.wording import clean

DOWN_EPILOG = "\b\nExamples:\n  seatrial down\n  seatrial down --run runs/20261124-101500-halves"
UP_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial up scenarios/devnet/halves.yaml\n"
    "  seatrial up my.yaml --set network.nodes.count=20\n\n"
    "\b\nThe network stays until Ctrl-C. From another terminal:\n"
    "  seatrial inject partition=halves for=10s\n"
    "  seatrial exec n1 -- ip address"
)
INJECT_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial inject partition=halves for=10s\n"
    "  seatrial inject kill=n1 for=5s\n"
    "  seatrial inject '{for: 10s, clock: {of: n2, offset: +30s}}'\n\n"
    "\b\nExit code 0 if it was injected, 2 if that is no step, 4 if there is no such network or it refuses."
)
EXEC_EPILOG = (
    "\b\nExamples:\n"
    "  seatrial exec n1 -- ip address\n"
    "  seatrial exec n1 -- ping -c 3 10.77.0.2\n\n"
    "\b\nThe command runs inside the node's network namespace; its exit code is passed on (4: no such\n"
    "network or node)."
)
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", metavar="RUN", help="The live network's run directory; without it the newest under runs/."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=UP_EPILOG, short_help="Start a network and keep it until Ctrl-C.")(up)
    app.command(epilog=INJECT_EPILOG, short_help="Inject a fault into a live network.")(inject)
    app.command(epilog=DOWN_EPILOG, short_help="End a live network.")(down)
    app.command(
        "exec",
        short_help="Run a command inside a node's network.",
        epilog=EXEC_EPILOG,
        context_settings={"ignore_unknown_options": True},
    )(exec_)


def up(
    file: File,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder in which the run directory is made.")
    ] = Path("runs"),
    seed: Seed = None,
    network: NetworkFile = None,
    param: Params = [],  # noqa: B006 - typer copies it
    sets: Sets = [],  # noqa: B006
    no_color: NoColor = False,
) -> None:
    """Start a scenario's network, without its timeline, and keep it until Ctrl-C."""
    from runner.cli.showing import showing
    from runner.cli.trial import Options, engine, no_directory
    from runner.records.directory import DirectoryError
    from runner.records.journal import JournalError

    scenario = source.load([file], network=network, params=param, sets=sets)[0]
    bare = replace(
        scenario, timeline=(), abort=(), expect=tuple(e for e in scenario.expect if e.phase == "before")
    )
    options = Options(
        out=out,
        seed=seed,
        keep="always",
        lease_s=5.0,
        timeout_s=None,
        json=False,
        quiet=False,
        color=not no_color,
    )
    try:
        with showing(bare, color=not no_color, live=False) as listener:
            outcome = engine(bare, options, _Up(listener, out))
    except (DirectoryError, JournalError) as error:
        console.fail(no_directory(error), console.ABORTED)
    for problem in outcome.problems:
        console.note(clean(problem))
    if outcome.message:
        console.note(f"seatrial: {clean(outcome.message)}")
    if not outcome.exit_code:
        console.note("the network is down")
    raise typer.Exit(outcome.exit_code)


class _Up:
    """Passes events on; in place of the end of a trial, which is none, it says what is there."""

    def __init__(self, listener: Callable[[Mapping[str, Any]], None], out: Path) -> None:
        self._listener = listener
        self._out = out
        self._run = ""
        self._nodes: list[Mapping[str, Any]] = []

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "run":
            self._nodes = event.get("nodes", [])
            self._run = str(event.get("run", ""))
        if event["event"] == "kept":
            for node in self._nodes:
                console.out(f"{node['name']}  {node.get('address', '')}")
            console.note(
                "the network is up until Ctrl-C or 'seatrial down'; see also 'seatrial inject' and 'exec'\n"
                f"logs and journal: {clean(self._out / self._run)}"
            )
        elif event["event"] != "end" or event.get("why") != "plan":
            self._listener(event)


def inject(
    words: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="A step as on a timeline.", show_default=False)
    ],
    run: RunOption = None,
    seed: Seed = None,
    json: JsonFlag = False,
) -> None:
    """Inject a fault into a live network now. It ends after its 'for', or with the network."""
    import json as jsonlib

    reply = _ask(live_run(run), {"do": "inject", "step": step_of(words), "seed": seed})
    if json:
        console.out(jsonlib.dumps(reply, ensure_ascii=False))
        return
    hit = reply.get("targets") or ()
    from runner.reports.wording import names

    console.out(f"injected {reply.get('trial', 'it')}{f': {names(hit)}' if hit else ''}")


def exec_(
    node: Annotated[str, typer.Argument(metavar="NODE", show_default=False)],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", show_default=False)],
    run: RunOption = None,
) -> None:
    """Run a command inside a node's network namespace, connected to this terminal."""
    folder = live_run(run)
    with _pipes(folder) as pipes:
        paths = {name: str(path) for name, path in pipes.items()}
        ends = _Ends(pipes)
        reply = _ask(
            folder,
            {"do": "exec", "node": node, "argv": command, "cwd": os.getcwd(), "env": {}, **paths},
        )
        ends.relay()
        code = int(_ask(folder, {"do": "wait", "pid": reply["pid"]}, within_s=None)["code"])
        ends.finish()
    raise typer.Exit(128 - code if code < 0 else code)


def down(run: RunOption = None) -> None:
    """End a live network that was started with 'up' or is kept, as Ctrl-C in its terminal does."""
    folder = live_run(run)
    _ask(folder, {"do": "down"})
    console.out(f"{folder} is ending")


def step_of(words: list[str]) -> dict[str, Any]:
    """A step from ``KEY=VALUE`` words (values in the scenario's own syntax) or one whole mapping ``{…}``."""
    from runner.scenario.source import read

    if len(words) == 1 and words[0].lstrip().startswith("{"):
        text = words[0]
    else:
        parts = []
        for key, value in source.pairs("inject", words).items():
            parts.append(f"{key}: {value}")
        text = "\n".join(parts)
    document = read(text, "step")
    for problem in document.problems:
        console.note(clean(str(problem)))
    if document.problems or not isinstance(document.data, dict):
        console.fail("that is no step: write partition=halves for=10s, or '{for: 10s, partition: halves}'")
    return document.data


def live_run(run: Path | None) -> Path:
    """The run directory of a live network.

    The one given, else the newest under ``runs`` whose control socket is listened at (a runner that was
    killed leaves its socket behind).
    """
    from runner.engine.control import listens

    if run is not None:
        return run if run.exists() else Path("runs") / run
    found = sorted(Path("runs").glob("*/control.sock"), key=lambda p: p.stat().st_mtime, reverse=True)
    live = next((p.parent for p in found if listens(p.parent)), None)
    if live is None:
        console.fail(
            "no live network under runs/: start one with 'seatrial up FILE', or name it with --run",
            console.ABORTED,
        )
    return live


def _ask(run: Path, message: Mapping[str, Any], within_s: float | None = 30.0) -> Mapping[str, Any]:
    from runner.engine.control import ControlError, request

    try:
        return request(run, message, within_s=within_s)
    except ControlError as error:
        console.fail(str(error), console.BAD_INPUT if error.refused else console.ABORTED)


@contextmanager
def _pipes(run: Path) -> Iterator[dict[str, Path]]:
    """Three named pipes in the run directory, removed afterwards."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="exec-", dir=run.resolve()))
    try:
        paths = {name: folder / name for name in ("stdin", "stdout", "stderr")}
        for path in paths.values():
            os.mkfifo(path, 0o600)
        yield paths
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Ends:
    """Our ends of the pipes.

    They are open before the command starts, so that nobody waits for the other to open.
    """

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._held = os.open(paths["stdin"], os.O_RDWR)
        self._readers = {
            name: os.open(paths[name], os.O_RDONLY | os.O_NONBLOCK) for name in ("stdout", "stderr")
        }
        self._threads: list[threading.Thread] = []

    def relay(self) -> None:
        """Begin to pass bytes on; the command has its ends open now."""
        writer = os.open(self._paths["stdin"], os.O_WRONLY)
        os.close(self._held)
        for name, fd in self._readers.items():
            os.set_blocking(fd, True)
            thread = threading.Thread(target=_copy, args=(fd, 1 if name == "stdout" else 2), daemon=True)
            thread.start()
            self._threads.append(thread)
        source_fd = sys.stdin.fileno() if sys.stdin else -1
        threading.Thread(target=_feed, args=(source_fd, writer), daemon=True).start()

    def finish(self) -> None:
        """Wait for the last output.

        A child of the command may hold the pipes longer; it is not waited for.
        """
        for thread in self._threads:
            thread.join(1.0)


def _copy(fd: int, to: int) -> None:
    with suppress(OSError):
        while data := os.read(fd, 1 << 16):
            os.write(to, data)
    os.close(fd)


def _feed(fd: int, writer: int) -> None:
    with suppress(OSError):
        while fd >= 0 and (data := os.read(fd, 1 << 16)):
            os.write(writer, data)
    os.close(writer)
