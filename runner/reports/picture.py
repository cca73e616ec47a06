"""A picture of a run as SVG: faults as bars, components and height over time, expectations in windows.

A pure function of the journal's events and the verdict; no scripts, nothing loaded from elsewhere, readable
on light and dark ground.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.reports.canvas import LEFT, RIGHT, WIDTH, Sheet, escaped
from runner.reports.scene import Scene
from runner.reports.wording import fit, length

LANE, GAP, PLOT = 22, 14, 84
MOST_FAULTS, MOST_EXPECTATIONS, MOST_CURVES = 12, 14, 40
BEFORE_S = 2.0
"""How much of the time before the steady state is shown."""


_Curve = list[tuple[float, float]]


@dataclass
class _Series:
    """What is drawn over time, on the timeline (s): components, and each node's height."""

    components: _Curve = field(default_factory=list)
    heights: dict[str, _Curve] = field(default_factory=dict)
    end_s: float = 0.0


def picture(events: Iterable[Mapping[str, Any]], verdict: Mapping[str, Any]) -> str:
    """The SVG document of a run."""
    series = _series(events)
    faults, expectations = verdict.get("faults") or [], verdict.get("expectations") or []
    end = max(
        [series.end_s, 1.0, *(s["healed_s"] for f in faults for s in f["intervals"] if s.get("healed_s"))]
    )
    sheet = Sheet(-BEFORE_S, end)
    _heading(sheet, verdict)
    _faults(sheet, faults)
    _plot(sheet, "components", _components_drawer(series))
    _plot(sheet, "height", _heights_drawer(series))
    _expectations(sheet, expectations, faults)
    sheet.axis()
    return sheet.document(f"{_name(verdict)}: {verdict.get('verdict')}")


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
    out.components = _from_start(out.components)
    out.heights = {name: _from_start(curve) for name, curve in out.heights.items()}
    return out


def _from_start(curve: _Curve) -> _Curve:
    """The part of a curve that is shown, beginning with the value that holds where the picture begins."""
    before = [value for at, value in curve if at < -BEFORE_S]
    shown = [(at, value) for at, value in curve if at >= -BEFORE_S]
    return [(-BEFORE_S, before[-1]), *shown] if before else shown


def _heading(sheet: Sheet, verdict: Mapping[str, Any]) -> None:
    word = str(verdict.get("verdict", ""))
    sheet.text(16, 26, fit(_name(verdict), 60), "name")
    sheet.text(WIDTH - RIGHT, 26, word.upper(), f"name {_tone(word)}", "end")
    reason = next(iter(verdict.get("reasons") or ()), "")
    sheet.text(16, 44, fit(str(reason), 130), "soft small")
    sheet.y = 60


def _tone(word: str) -> str:
    return word if word in ("held", "violated", "inconclusive", "unknown") else "soft"


def _faults(sheet: Sheet, faults: Sequence[Mapping[str, Any]]) -> None:
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
            sheet.beside(last, sheet.y + 14, word, "violated small")
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


Drawer = Callable[[Sheet, float], str]


def _plot(sheet: Sheet, name: str, draw: Drawer | None) -> None:
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

    def draw(sheet: Sheet, top: float) -> str:
        def y(value: float) -> float:
            return top + 10 + (PLOT - 18) * (1 - (value - 1) / max(most - 1, 1))

        points, level = [], steps[0][1]
        for at, value in steps:
            points += [(sheet.x(at), y(level)), (sheet.x(at), y(value))]
            level = value
        sheet.text(LEFT - 10, y(1) + 4, "1", "soft small", "end")
        if most > 1:
            sheet.text(LEFT - 10, y(most) + 4, f"{most:g}", "soft small", "end")
        return f'<polyline class="curve" points="{_points(points)}"/>'

    return draw


def _heights_drawer(series: _Series) -> Drawer | None:
    curves = {n: c for n, c in series.heights.items() if c}
    if not curves:
        return None
    low = min(v for c in curves.values() for _, v in c)
    high = max(v for c in curves.values() for _, v in c)

    def draw(sheet: Sheet, top: float) -> str:
        def y(value: float) -> float:
            return top + 4 + (PLOT - 8) * (1 - (value - low) / max(high - low, 1e-9))

        sheet.text(LEFT - 10, y(low) + 3, f"{low:g}", "soft small", "end")
        sheet.text(LEFT - 10, y(high) + 9, f"{high:g}", "soft small", "end")
        if len(curves) <= MOST_CURVES:
            return "".join(
                f'<polyline class="curve" opacity=".7" points="{_points(_stairs(c, sheet.x, y))}">'
                f"<title>{escaped(name)}</title></polyline>"
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
    sheet: Sheet, rows: Sequence[Mapping[str, Any]], faults: Sequence[Mapping[str, Any]]
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
        recovery, words, at = row.get("recovery_s"), str(row.get("verdict")), start
        if recovery is not None and row.get("phase") == "after":
            words, at = f"recovered after {length(recovery)}", start + recovery
            sheet.bar(at, at, sheet.y + 3, 15, tone)
        sheet.beside(at, sheet.y + 14, words, "small")
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
    return min(starts, default=0.0) + _first(row.get("within_s")), max(ends, default=end_s)
