"""The live view of a run on a terminal: phase, timeline, nodes, components, what is missing, last events.

Drawing is ``frame``, a pure function of the scene that gives at most as many lines as the terminal has;
``LiveView`` keeps it on the screen with rich, at most four times a second. Events are only folded in when
they come, so a busy journal costs little.

Beside the journal's events it understands ``standing``, which is never journalled: what the judge says now of
each expectation (see the module ``standing``).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from runner.reports.progress import Line, Narrator
from runner.reports.scene import Scene
from runner.reports.wording import Paint, clean, count, fit, length, names

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

Event = Mapping[str, Any]
REFRESH_HZ = 2.0
KEPT_LINES = 60
MOST_LANES = 5
MOST_MISSING = 4


def frame(
    scene: Scene, said: Sequence[Line], *, now: float, width: int, height: int, paint: Paint
) -> list[str]:
    """The view as lines of at most ``width`` visible columns, at most ``height`` of them.

    ``now`` is on the run's clock.
    """
    top = [
        _title(scene, now, width, paint),
        *_timeline(scene, now, width, paint),
        *_nodes(scene, width, paint),
    ]
    top += _missing(scene, width, paint)
    room = max(height - len(top) - 1, 0)
    last = (
        [paint(" " + fit(line.show(Paint()), width - 2), *_tone(line)) for line in list(said)[-room:]]
        if room
        else []
    )
    return [*top[:height], *([""] if last and len(top) < height else []), *last]


def _tone(line: Line) -> tuple[str, ...]:
    return {"good": ("green",), "bad": ("red",), "warn": ("yellow",)}.get(line.tone, ())


def _title(scene: Scene, now: float, width: int, paint: Paint) -> str:
    name = clean(scene.run.get("scenario", {}).get("name", ""))
    at = scene.timeline(now)
    clock = f"{now:.0f} s" if at is None else f"{at:+.1f} s"
    if at is not None and scene.zero is not None and scene.until is not None and scene.until > now:
        clock += f" of {scene.until - scene.zero:.0f} s"
    right = f"seed {scene.run.get('seed', '–')}  {clock}"
    left = fit(f"{name}: {scene.phase()}", width - len(right) - 2)
    return paint(f"{left:<{width - len(right)}}", "bold") + paint(right, "cyan")


def _timeline(scene: Scene, now: float, width: int, paint: Paint) -> list[str]:
    """A lane for each trial that is known, with a marker for now; nothing before the steady state."""
    steps = [s for s in scene.steps.values() if s.get("start") is not None]
    if scene.zero is None or not steps:
        return []
    zero = scene.zero
    last = max([now, *(s["end"] if s.get("end") is not None else s["start"] + 5 for s in steps)])
    until = max(last + 1, scene.until or 0.0)
    wide = min(max(len(str(s["trial"])) for s in steps), 16)
    columns = width - wide - 4
    scale = columns / max(until - zero, 1e-9)
    marker = min(int((now - zero) * scale), columns - 1)
    shown = sorted(steps, key=lambda s: (s.get("end") is not None and s["end"] < now, s["start"]))[
        :MOST_LANES
    ]
    lines = []
    for step in sorted(shown, key=lambda s: s["start"]):
        start = int((step["start"] - zero) * scale)
        end = columns if step.get("end") is None else int((step["end"] - zero) * scale)
        cells = ["━" if start <= i < max(end, start + 1) else "·" for i in range(columns)]
        if 0 <= marker < columns:
            cells[marker] = "▼" if start <= marker < end else "│"
        style = (
            ("yellow",)
            if step["start"] <= now and (step.get("end") is None or now < step["end"])
            else ("dim",)
        )
        lines.append(f" {fit(clean(step['trial']), wide):<{wide}}  {paint(''.join(cells), *style)}")
    if len(steps) > len(shown):
        lines.append(paint(f" … and {count(len(steps) - len(shown), 'more fault')}", "dim"))
    return lines


def _nodes(scene: Scene, width: int, paint: Paint) -> list[str]:
    """How many nodes are in which state, naming those that are not well; the components; heights."""
    status = {n: scene.status(n) for n in scene.names}
    groups = [
        ("paused", [n for n in scene.names if status[n] == "paused"], "yellow"),
        ("down", [n for n in scene.names if status[n] == "down"], "yellow"),
        ("skewed", [n for n in scene.names if scene.skewed(n)], "yellow"),
        (
            "not answering",
            [n for n in scene.names if status[n] == "running" and scene.answers.get(n) is False],
            "red",
        ),
    ]
    running = sum(s == "running" for s in status.values())
    parts = [paint(f"{running} running", "green")]
    room = width - 22
    for word, of, tone in groups:
        if of and room > 12:
            text = fit(f"{len(of)} {word} ({names(of, 3)})", room)
            room -= len(text) + 3
            parts.append(paint(text, tone))
    lines = [" nodes       " + "   ".join(parts)]
    parts_found = scene.components()
    if parts_found is not None:
        sizes = " + ".join(str(len(p)) for p in parts_found[:8]) + (" + …" if len(parts_found) > 8 else "")
        lines.append(
            f" components  {len(parts_found)} ({sizes})"
            if len(parts_found) > 1
            else f" components  {len(parts_found)}"
        )
    heights = [f["height"] for f in scene.facts.values() if isinstance(f.get("height"), int | float)]
    if heights:
        lines.append(f" height      {min(heights):g} to {max(heights):g}")
    return [line if paint.on else fit(line, width) for line in lines]


def _missing(scene: Scene, width: int, paint: Paint) -> list[str]:
    """What the expectations that are open and do not hold now are waiting for."""
    open_ = [r for r in scene.standing if not r.get("settled") and r.get("answer") != "held"]
    settled = [r for r in scene.standing if r.get("settled")]
    lines = []
    for row in open_[:MOST_MISSING]:
        left = "" if row.get("closes") is None else f" ({length(max(row['closes'] - scene.now, 0))} left)"
        text = f" waiting     {clean(row['name'])}: {clean(row.get('reason', ''))}"
        lines.append(paint(fit(text, width - len(left)) + left, "yellow"))
    if len(open_) > MOST_MISSING:
        lines.append(paint(f"             … and {len(open_) - MOST_MISSING} more", "dim"))
    if settled:
        answers = [str(r["answer"]) for r in settled]
        words = [f"{answers.count(a)} {a}" for a in ("held", "violated", "unknown") if a in answers]
        lines.append(f" expected    {', '.join(words)} so far")
    return lines


class LiveView:
    """Keeps the view on a terminal while it is entered.

    ``feed`` takes events from any thread; the view goes at the end.
    """

    def __init__(self, stream: TextIO, *, color: bool = True) -> None:
        self._stream, self._color = stream, color
        self._narrator = Narrator()
        self._said: deque[Line] = deque(maxlen=KEPT_LINES)
        self._lock = threading.Lock()
        self._fed_at = time.monotonic()
        self._live: Live
        self._console: Console

    def __enter__(self) -> LiveView:
        import os

        from rich.console import Console
        from rich.live import Live

        plain = not self._color or bool(os.environ.get("NO_COLOR"))
        self._console = Console(file=self._stream, no_color=plain, highlight=False)
        self._paint = Paint(not plain)
        self._live = Live(
            get_renderable=self._draw,
            console=self._console,
            refresh_per_second=REFRESH_HZ,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def feed(self, event: Event) -> None:
        """Take in one event; it is seen with the next refresh."""
        with self._lock:
            self._said.extend(self._narrator.feed(event))
            self._fed_at = time.monotonic()

    def _draw(self) -> Any:
        from rich.text import Text

        size = self._console.size
        with self._lock:
            now = self._narrator.scene.now + (time.monotonic() - self._fed_at)
            lines = frame(
                self._narrator.scene,
                self._said,
                now=now,
                width=min(size.width - 1, 120),
                height=min(size.height - 2, 24),
                paint=self._paint,
            )
        return Text.from_ansi("\n".join(lines), no_wrap=True)
