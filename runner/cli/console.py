"""The way out to a person: what is printed where, colours, errors of one line, and exit codes.

Results go to standard output, progress and problems to standard error. A reader that went away (``| head``)
never ends a trial: what cannot be written is dropped, and where a full disk is to blame it is said.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn, TextIO

import typer

from runner.reports.wording import Paint, clean

HELD, VIOLATED, BAD_INPUT, INCONCLUSIVE, ABORTED, NOT_HEALED = 0, 1, 2, 3, 4, 5
SEVERITY = (NOT_HEALED, ABORTED, VIOLATED, INCONCLUSIVE, HELD)
"""Of several runs the exit code is the first of these that any of them ended with."""


def worst(codes: Iterable[int]) -> int:
    """The exit code of several runs; bad input of some, or an unknown code, counts as could-not-run."""
    codes = list(codes)
    if codes and all(code == BAD_INPUT for code in codes):
        return BAD_INPUT
    known = {code if code in SEVERITY else ABORTED for code in codes}
    return next((code for code in SEVERITY if code in known), HELD)


def out(text: str = "", end: str = "\n") -> None:
    """Write to standard output."""
    _write(sys.stdout, text + end)


def note(text: str = "", end: str = "\n") -> None:
    """Write to standard error: progress, warnings."""
    _write(sys.stderr, text + end)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """End the command with one line on standard error."""
    note(f"seatrial: {clean(message)}")
    raise typer.Exit(code)


def paint(stream: TextIO, *, wanted: bool = True) -> Paint:
    """Colours for the stream: only on a terminal that is not ``dumb``, and never with NO_COLOR."""
    return Paint(wanted and is_terminal(stream) and not os.environ.get("NO_COLOR"))


def is_terminal(stream: TextIO) -> bool:
    """Whether a person looks at the stream and it can move its cursor."""
    with suppress(ValueError):
        return stream.isatty() and os.environ.get("TERM", "") != "dumb"
    return False


def size() -> tuple[int, int]:
    """Columns and lines of the terminal; 80 × 24 where there is none."""
    import shutil

    columns, lines = shutil.get_terminal_size((80, 24))
    return min(max(columns, 60), 120), max(lines, 16)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "replace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _let_go(stream)
    except OSError as error:
        _lose(stream, error)


def settle(stream: TextIO) -> bool:
    """Flush at the very end; a reader that is gone is no error. Answers whether all could be written."""
    try:
        stream.flush()
    except BrokenPipeError:
        _let_go(stream)
    except OSError as error:
        _lose(stream, error)
    except ValueError:  # closed already
        pass
    return stream not in _lost


_lost: list[TextIO] = []


def _lose(stream: TextIO, error: OSError) -> None:
    """What was to be written there is lost, which is said once."""
    _let_go(stream)
    if stream not in _lost:
        _lost.append(stream)
        if stream is sys.stdout:
            note(f"seatrial: standard output cannot be written: {error.strerror}")


def fill_streams() -> None:
    """Give the process its three standard streams where it was started without: else the next files that are
    opened would take their places.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)
    os.close(opened)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


def _let_go(stream: TextIO) -> None:
    """Point the stream at nothing, so that neither we nor the interpreter's last flush fails again."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
