"""What a person sees while a trial runs.

The live view on a terminal, plain lines elsewhere, nothing if quiet.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from runner.cli import console
from runner.reports.progress import Narrator

if TYPE_CHECKING:
    from runner.scenario.model import Scenario

Listener = Callable[[Mapping[str, Any]], None]


@contextmanager
def showing(
    scenario: Scenario, *, quiet: bool = False, color: bool = True, live: bool = True
) -> Iterator[Listener]:
    """A listener that shows the engine's events on standard error; without ``live`` always as plain lines.

    A mistake in showing never disturbs a trial: after the first one nothing more is shown, and it is said.
    """
    if quiet:
        yield lambda event: None
    elif live and console.is_terminal(sys.stderr):
        from runner.reports.live import LiveView

        with LiveView(sys.stderr, color=color) as view:
            yield _guarded(_with_standing(scenario, view.feed))
    else:
        yield _guarded(_with_standing(scenario, _lines(color)))


def _with_standing(scenario: Scenario, show: Listener) -> Listener:
    """The same listener, told now and then how the expectations stand."""
    from runner.reports.standing import Standing

    standing = Standing(scenario)

    def listen(event: Mapping[str, Any]) -> None:
        show(event)
        if (stands := standing.feed(event)) is not None:
            show(stands)

    return listen


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
