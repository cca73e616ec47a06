"""What a person sees while a trial runs.

The live view on a terminal, plain lines elsewhere, nothing if quiet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner.cli import console
from runner.reports.progress import Narrator

Listener = Callable[[Mapping[str, Any]], None]


@contextmanager
def showing(quiet: bool, *, color: bool = True, live: bool = True) -> Iterator[Listener]:
    """A listener that shows the engine's events on standard error; without ``live`` always as plain lines.

    A mistake in showing never disturbs a trial: after the first one nothing more is shown, and it is said.
    """
    if quiet:
        yield lambda event: None
    elif live and console.is_terminal(sys.stderr):
        from runner.reports.live import LiveView

        with LiveView(sys.stderr, color=color) as view:
            yield _guarded(view.feed)
    else:
        yield _guarded(_lines(color))


def _lines(color: bool) -> Listener:
    narrator, paint = Narrator(), console.paint(sys.stderr, wanted=color)

    def tell(event: Mapping[str, Any]) -> None:
        for line in narrator.feed(event):
            console.note(line.show(paint))

    return tell


def _guarded(show: Listener) -> Listener:
    broken = False

    def listen(event: Mapping[str, Any]) -> None:
        nonlocal broken
        if broken:
            return
        try:
            show(event)
        except Exception as error:
            broken = True
            console.note(f"seatrial: progress cannot be shown any more ({type(error).__name__}: {error})")

    return listen
