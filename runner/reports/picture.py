"""A picture of a run as SVG: faults as bars, components and height over time, expectations in windows.

A pure function of the journal's events and the verdict; no scripts, nothing loaded from elsewhere, readable
on light and dark ground.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from runner.reports.scene import Scene
from runner.reports.wording import clean, fit, length

WIDTH = 880
LEFT, RIGHT = 150, 18
LANE, GAP, PLOT = 22, 14, 84
MOST_FAULTS, MOST_EXPECTATIONS, MOST_CURVES = 12, 14, 40
BEFORE_S = 2.0
"""How much of the time before the steady state is shown."""

STYLE = """
:root{--ink:#1c2733;--soft:#66758a;--line:#d5dde6;--fault:#e8a33d;--force:#c9760a;--held:#2e8b57;
--violated:#c93434;--unknown:#a07d12;--curve:#2f6db3;--ground:#ffffff}
@media(prefers-color-scheme:dark){:root{--ink:#e4eaf1;--soft:#9aa9bb;--line:#37424f;--fault:#8a6224;
--force:#f0ab4a;--held:#58c28a;--violated:#f07070;--unknown:#dcb84a;--curve:#74aef0;--ground:#12181f}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}
.soft{fill:var(--soft)}.small{font-size:10.5px}.name{font-size:15px;font-weight:600}
.line{stroke:var(--line);stroke-width:1}
.zero{stroke:var(--soft);stroke-width:1;stroke-dasharray:3 3}
.curve{fill:none;stroke:var(--curve);stroke-width:1.3;stroke-linejoin:round}
.band{fill:var(--curve);opacity:.25}
.fault{fill:var(--fault)}.force{fill:var(--force)}.ground{fill:var(--ground)}
.held{fill:var(--held)}.violated{fill:var(--violated)}
.unknown,.inconclusive{fill:var(--unknown)}.window{opacity:.28}
""".replace("\n", "")


@dataclass
class _Series:
    """What is drawn over time, on the timeline (s): components, and each node's height."""

    components: list[tuple[float, int]] = field(default_factory=list)
    heights: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    end_s: float = 0.0


@dataclass
class _Sheet:
    """The drawing: elements so far, and how times become columns."""

    start_s: float
    end_s: float
    y: float = 0.0
    parts: list[str] = field(default_factory=list)

    def x(self, at_s: float) -> float:
        """The column of an instant, kept inside."""
        share = (at_s - self.start_s) / max(self.end_s - self.start_s, 1e-9)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> None:
        """Words at a point; anything in them is only text."""
        tail = f' class="{kind}"' if kind else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{tail}>{_escaped(words)}</text>'
        )

    def bar(self, start_s: float, end_s: float, y: float, height: float, kind: str, title: str = "") -> None:
        """A bar between two instants, at least a hair wide; ``title`` shows when it is pointed at."""
        left = self.x(start_s)
        wide = max(self.x(end_s) - left, 1.5)
        inner = f"<title>{_escaped(title)}</title>" if title else ""
        self.parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{height:g}" rx="2" '
            f'class="{kind}">{inner}</rect>'
        )

    def label(self, words: str, y: float) -> None:
        """The name of a lane, on the left."""
        self.text(LEFT - 10, y, fit(clean(words), 22), "", "end")


def picture(events: Iterable[Mapping[str, Any]], verdict: Mapping[str, Any]) -> str:
    """The SVG document of a run."""
    series = _series(events)
    faults, expectations = verdict.get("faults") or [], verdict.get("expectations") or []
    end = max(
        [series.end_s, 1.0, *(s["healed_s"] for f in faults for s in f["intervals"] if s.get("healed_s"))]
    )
    sheet = _Sheet(-BEFORE_S, end)
    _heading(sheet, verdict)
    _faults(sheet, faults)
    _plot(sheet, "components", _components_drawer(series))
    _plot(sheet, "height", _heights_drawer(series))
    _expectations(sheet, expectations, faults)
    _axis(sheet)
    body = "\n".join(sheet.parts)
    label = _escaped(f"{_name(verdict)}: {verdict.get('verdict')}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {sheet.y:.0f}" width="{WIDTH}" '
        f'height="{sheet.y:.0f}" role="img" aria-label="{label}">\n<style>{STYLE}</style>\n'
        f'<rect width="100%" height="100%" rx="6" class="ground"/>\n{body}\n</svg>\n'
    )


def _escaped(words: str) -> str:
    return escape(clean(words).encode("utf-8", "replace").decode(), {'"': "&quot;"})


def _name(verdict: Mapping[str, Any]) -> str:
    return str((verdict.get("scenario") or {}).get("name", ""))


def _series(events: Iterable[Mapping[str, Any]]) -> _Series:
    """Fold the journal and note what changes over time from the steady state on."""
    everything = list(events)
    zero = next((float(e["zero"]) for e in everything if e["event"] == "steady"), 0.0)
    scene, out = Scene(), _Series()
    for event in everything:
        scene.feed(event)
        at = scene.now - zero
        if event["event"] in ("sample", "model"):
            parts = scene.components()
            if parts is not None and (not out.components or out.components[-1][1] != len(parts)):
                out.components.append((at, len(parts)))
        if event["event"] == "sample":
            for name, view in event.get("nodes", {}).items():
                height = (view.get("facts") or {}).get("height")
                if isinstance(height, int | float):
                    out.heights.setdefault(name, []).append((at, float(height)))
        if event["event"] in ("sample", "heal"):
            out.end_s = max(out.end_s, at)
    return out


def _heading(sheet: _Sheet, verdict: Mapping[str, Any]) -> None:
    word = str(verdict.get("verdict", ""))
    sheet.text(16, 26, fit(_name(verdict), 60), "name")
    sheet.text(WIDTH - RIGHT, 26, word.upper(), f"name {_tone(word)}", "end")
    reason = next(iter(verdict.get("reasons") or ()), "")
    sheet.text(16, 44, fit(str(reason), 130), "soft small")
    sheet.y = 60


def _tone(word: str) -> str:
    return word if word in ("held", "violated", "inconclusive", "unknown") else "soft"


def _faults(sheet: _Sheet, faults: Sequence[Mapping[str, Any]]) -> None:
    """A lane a fault.

    Pale from its commanded start to its commanded end, full between the proofs of effect and of heal.
    """
    for fault in faults[:MOST_FAULTS]:
        sheet.label(_fault_label(fault), sheet.y + 14)
        for span in fault.get("intervals") or ():
            start = span.get("started_s")
            if start is None:
                continue
            end = _first(span.get("ended_s"), sheet.end_s)
            sheet.bar(
                start,
                end,
                sheet.y + 4,
                13,
                "fault",
                f"{fault['name']}: commanded {length(start)} to {length(end)}",
            )
            if span.get("effective_s") is not None:
                healed = _first(span.get("healed_s"), end if fault.get("permanent") else None)
                until = _first(healed, end)
                sheet.bar(span["effective_s"], until, sheet.y + 7, 7, "force", "proved in force")
        if fault.get("effective") is not True or fault.get("healed") is False:
            word = "not healed" if fault.get("healed") is False else "not proved"
            last = _first((fault.get("intervals") or [{}])[-1].get("ended_s"), sheet.end_s)
            near = sheet.x(last)
            at_end = near > WIDTH - 120
            sheet.text(
                near - 6 if at_end else near + 6,
                sheet.y + 14,
                word,
                "violated small",
                "end" if at_end else "start",
            )
        sheet.y += LANE
    if len(faults) > MOST_FAULTS:
        sheet.text(LEFT, sheet.y + 12, f"… and {len(faults) - MOST_FAULTS} more faults", "soft small")
        sheet.y += LANE
    sheet.y += GAP if faults else 0


def _fault_label(fault: Mapping[str, Any]) -> str:
    name, kind = str(fault["name"]), str(fault["kind"])
    return name if name.startswith(kind) else f"{name} ({kind})"


def _first(*values: float | None) -> float:
    """The first that is there, else 0."""
    return next((v for v in values if v is not None), 0.0)


Drawer = Callable[[_Sheet, float], str]


def _plot(sheet: _Sheet, name: str, draw: Drawer | None) -> None:
    """A plot with its scale's ends on the left; left out where nothing was recorded."""
    if draw is None:
        return
    bottom = sheet.y + PLOT
    sheet.parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom:.1f}" y2="{bottom:.1f}" class="line"/>'
    )
    sheet.label(name, sheet.y + PLOT / 2 + 4)
    sheet.parts.append(draw(sheet, sheet.y))
    sheet.y = bottom + GAP


def _components_drawer(series: _Series) -> Drawer | None:
    if not series.components:
        return None
    most = max(n for _, n in series.components)
    steps = [*series.components, (series.end_s, series.components[-1][1])]

    def draw(sheet: _Sheet, top: float) -> str:
        def y(value: float) -> float:
            return top + 10 + (PLOT - 18) * (1 - (value - 1) / max(most - 1, 1))

        points, level = [], steps[0][1]
        for at, value in steps:
            points += [(sheet.x(at), y(level)), (sheet.x(at), y(value))]
            level = value
        sheet.text(LEFT - 10, y(1) + 4, "1", "soft small", "end")
        if most > 1:
            sheet.text(LEFT - 10, y(most) + 4, str(most), "soft small", "end")
        return f'<polyline class="curve" points="{_points(points)}"/>'

    return draw


def _heights_drawer(series: _Series) -> Drawer | None:
    curves = {n: c for n, c in series.heights.items() if c}
    if not curves:
        return None
    low = min(v for c in curves.values() for _, v in c)
    high = max(v for c in curves.values() for _, v in c)

    def draw(sheet: _Sheet, top: float) -> str:
        def y(value: float) -> float:
            return top + 4 + (PLOT - 8) * (1 - (value - low) / max(high - low, 1e-9))

        sheet.text(LEFT - 10, y(low) + 3, f"{low:g}", "soft small", "end")
        sheet.text(LEFT - 10, y(high) + 9, f"{high:g}", "soft small", "end")
        if len(curves) <= MOST_CURVES:
            return "".join(
                f'<polyline class="curve" opacity=".7" points="{_points(_stairs(c, sheet.x, y))}">'
                f"<title>{_escaped(name)}</title></polyline>"
                for name, c in curves.items()
            )
        upper, lower = _envelope(curves)
        outline = [*_stairs(upper, sheet.x, y), *reversed(_stairs(lower, sheet.x, y))]
        return f'<polygon class="band" points="{_points(outline)}"/>'

    return draw


def _stairs(
    curve: Sequence[tuple[float, float]], x: Callable[[float], float], y: Callable[[float], float]
) -> list[tuple[float, float]]:
    """A curve that holds each value until the next one."""
    out: list[tuple[float, float]] = []
    for at, value in curve:
        if out:
            out.append((x(at), out[-1][1]))
        out.append((x(at), y(value)))
    return out


def _envelope(
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """The largest and the least of all curves at every instant at which one changes."""
    changes = sorted((at, name, value) for name, c in curves.items() for at, value in c)
    known: dict[str, float] = {}
    upper: list[tuple[float, float]] = []
    lower: list[tuple[float, float]] = []
    for i, (at, name, value) in enumerate(changes):
        known[name] = value
        if i + 1 == len(changes) or changes[i + 1][0] != at:
            upper.append((at, max(known.values())))
            lower.append((at, min(known.values())))
    return upper, lower


def _points(points: Iterable[tuple[float, float]]) -> str:
    """Points as SVG wants them, without those that repeat the one before."""
    out: list[str] = []
    for x, y in points:
        word = f"{x:.1f},{y:.1f}"
        if not out or out[-1] != word:
            out.append(word)
    return " ".join(out)


def _expectations(
    sheet: _Sheet, rows: Sequence[Mapping[str, Any]], faults: Sequence[Mapping[str, Any]]
) -> None:
    """A lane an expectation.

    Its window, pale, in the colour of its verdict, and a full mark where it came true.
    """
    for row in rows[:MOST_EXPECTATIONS]:
        tone = _tone(str(row.get("verdict")))
        start, end = window(row, faults, sheet.start_s, sheet.end_s)
        sheet.label(str(row["name"]), sheet.y + 14)
        sheet.bar(
            start,
            end,
            sheet.y + 5,
            11,
            f"window {tone}",
            f"{row['name']}: {row.get('verdict')}: {row.get('reason')}",
        )
        recovery = row.get("recovery_s")
        if recovery is not None and row.get("phase") == "after":
            sheet.bar(start + recovery, start + recovery, sheet.y + 3, 15, tone)
            words = f"recovered after {length(recovery)}"
        else:
            words = str(row.get("verdict"))
        late = sheet.x(start) > WIDTH - 190
        sheet.text(
            sheet.x(start) - 6 if late else sheet.x(start) + 7,
            sheet.y + 14,
            words,
            "small",
            "end" if late else "start",
        )
        sheet.y += LANE
    if len(rows) > MOST_EXPECTATIONS:
        sheet.text(
            LEFT, sheet.y + 12, f"… and {len(rows) - MOST_EXPECTATIONS} more expectations", "soft small"
        )
        sheet.y += LANE


def window(
    row: Mapping[str, Any], faults: Sequence[Mapping[str, Any]], start_s: float, end_s: float
) -> tuple[float, float]:
    """Where an expectation's window lies on the timeline (s): from its phase and its fault's intervals."""
    phase, of = row.get("phase"), row.get("of") or ""
    if phase == "before":
        return start_s, 0.0
    if phase == "always":
        return 0.0, end_s
    about = [f for f in faults if of in ("", "faults", f["name"], str(f["name"]).split(".")[0])]
    spans = [s for f in about for s in f.get("intervals") or ()]
    ends = [s["ended_s"] for s in spans if s.get("ended_s") is not None]
    if phase == "after":
        opens = max(ends, default=0.0)
        return opens, min(opens + _first(row.get("within_s"), 3.0), end_s)
    starts = [_first(s.get("effective_s"), s.get("started_s")) for s in spans]
    return min(starts, default=0.0), max(ends, default=end_s)


def _axis(sheet: _Sheet) -> None:
    """Marks at round seconds, the steady state dashed through everything."""
    sheet.y += 8
    span = sheet.end_s - sheet.start_s
    every = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span / s <= 12), 3600)
    at = 0
    while at <= sheet.end_s:
        x = sheet.x(at)
        sheet.parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{sheet.y:.1f}" y2="{sheet.y + 4:.1f}" class="line"/>'
        )
        sheet.text(x, sheet.y + 16, f"{at} s", "soft small", "middle")
        at += every
    zero = sheet.x(0)
    sheet.parts.insert(0, f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="56" y2="{sheet.y:.1f}" class="zero"/>')
    sheet.y += 26
