"""``seatrial heal``: what runs left behind on this machine, and putting it away.

On the local driver nothing outlives the agent: namespaces, rules, clocks and processes are its own or die
with it. So what can be left is an agent whose runner is gone (it ends by itself, at the latest with its
lease) and a run without a verdict.
"""

from __future__ import annotations

import json as jsonlib
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from runner.cli import console
from runner.cli.options import JsonFlag

EPILOG = (
    "\b\nExamples:\n"
    "  seatrial heal                end agents whose runner is gone; say what was found\n"
    "  seatrial heal --out ci-runs  look for unfinished runs there"
)
MARK = os.path.join("faults", "agent", "__main__.py").encode()
TERM_WITHIN_S = 8.0
KILL_WITHIN_S = 3.0


@dataclass(frozen=True)
class Agent:
    """A local agent's outermost process. ``runner`` is the runner's pid, None where it is gone."""

    pid: int
    started: int
    runner: int | None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EPILOG, short_help="Put away what ended runs left behind.")(heal)


def heal(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of run directories to look through.")
    ] = Path("runs"),
    json: JsonFlag = False,
) -> None:
    """Put away what ended runs left behind on this machine, and say what was found.

    Agents of trials that are running are left alone.
    """
    found = agents()
    left = [a for a in found if a.runner is None and not end(a)]
    ended = [a for a in found if a.runner is None and a not in left]
    running = [a for a in found if a.runner is not None]
    dead = unfinished(out)
    if json:
        console.out(
            jsonlib.dumps(
                {
                    "ended": [asdict(a) for a in ended],
                    "left": [asdict(a) for a in left],
                    "running": [asdict(a) for a in running],
                    "unfinished": [str(d) for d in dead],
                },
                indent=2,
            )
        )
    else:
        for line in _words(ended, left, running, dead):
            console.out(line)
    raise typer.Exit(console.NOT_HEALED if left else console.HELD)


def _words(ended: list[Agent], left: list[Agent], running: list[Agent], dead: list[Path]) -> list[str]:
    lines = [f"ended agent {a.pid}, whose runner was gone, and with it its network" for a in ended]
    lines += [f"agent {a.pid}, whose runner is gone, could not be ended" for a in left]
    lines += [
        f"agent {a.pid} belongs to a trial that is running (runner {a.runner}): left alone" for a in running
    ]
    lines += [f"{d}: ended without a verdict ('seatrial judge {d}' judges what was recorded)" for d in dead]
    if not ended and not left:
        lines.append(
            "nothing to heal: no agent without a runner, and nothing of the local driver outlives its agent"
        )
    return lines


def agents() -> list[Agent]:
    """Local agents of ours that are running, outermost processes only, as far as this user may see them."""
    seen: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdigit() else 0
        if MARK in _cmdline(pid) and _is_ours(entry) and (stat := _stat(pid)) is not None:
            seen[pid] = stat
    outer = [(pid, stat) for pid, stat in seen.items() if stat[0] not in seen]
    return sorted(
        (Agent(pid, started, parent if _is_runner(parent) else None) for pid, (parent, started) in outer),
        key=lambda a: a.pid,
    )


def end(agent: Agent) -> bool:
    """End an agent.

    Ask, wait, kill. True once it is gone. The pid is checked to be the same process still.
    """
    for number, within_s in ((signal.SIGTERM, TERM_WITHIN_S), (signal.SIGKILL, KILL_WITHIN_S)):
        with suppress(ProcessLookupError):
            try:
                descriptor = os.pidfd_open(agent.pid)
            except ProcessLookupError:
                return True
            try:
                stat = _stat(agent.pid)
                if stat is None or stat[1] != agent.started:
                    return True
                signal.pidfd_send_signal(descriptor, number)
            except PermissionError:
                return False
            finally:
                os.close(descriptor)
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            stat = _stat(agent.pid)
            if stat is None or stat[1] != agent.started:
                return True
            time.sleep(0.05)
    return False


def unfinished(folder: Path) -> list[Path]:
    """Run directories whose journal has no end and that no living network serves."""
    dead = []
    for journal in sorted(folder.glob("*/journal.jsonl")):
        if (journal.parent / "verdict.json").exists() or _is_live(journal.parent):
            continue
        if not _ended(journal):
            dead.append(journal.parent)
    return dead


def _ended(journal: Path) -> bool:
    """Whether a run's journal tells of its end; one that cannot be read does not."""
    from runner.records.journal import JournalError, Reader

    try:
        return any(e["event"] == "end" for e in Reader(journal).events())
    except JournalError:
        return False


def _is_live(run: Path) -> bool:
    """Whether somebody writes the run's journal now."""
    target = str((run / "journal.jsonl").resolve())
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            for fd in (entry / "fd").iterdir():
                with suppress(OSError):
                    if os.readlink(fd) == target:
                        return True
    return False


def _is_ours(entry: Path) -> bool:
    with suppress(OSError):
        return os.geteuid() == 0 or entry.stat().st_uid == os.geteuid()
    return False


def _is_runner(pid: int) -> bool:
    """Whether the parent of an agent is a runner, rather than the init process that an orphan is given to."""
    if pid <= 1:
        return False
    words = _cmdline(pid).split(b"\0")
    return b"python" in os.path.basename(words[0]) or any(b"seatrial" in w for w in words[:2])


def _cmdline(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _stat(pid: int) -> tuple[int, int] | None:
    """Parent and start time (ticks) of a process; None where it is gone or a zombie."""
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else (int(fields[1]), int(fields[19]))
    return None
