"""A plan as an SVG picture: a lane for each fault, the windows of expectations, and the predicted parts of
the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from runner.plan import wording
from runner.plan.changes import phases
from runner.plan.model import Phase, Plan, Trial
from runner.plan.windows import trial_windows

Columns = Callable[[float], float]
"""The column of an instant."""

WIDTH, LABEL, LANE, BAR = 960, 170, 26, 16
COLOURS = {
    "cut": "#c2410c",
    "down": "#b91c1c",
    "paused": "#a16207",
    "clock": "#6d28d9",
    "restarted": "#0f766e",
    "started": "#15803d",
}
OTHER = "#475569"
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1e293b}.soft{fill:#64748b}.line{stroke:#cbd5e1}"
    ".window{fill:none;stroke:#2563eb;stroke-width:1.5}.whole{fill:#bfdbfe}.part{fill:#fed7aa}.none{fill:#fecaca}"
)


def svg(plan: Plan) -> str:
    """The plan as one SVG document, with nothing loaded from elsewhere and all text escaped."""
    expectations = [
        (e.name, [w for w in trial_windows(plan, e) if not w.empty])
        for e in plan.scenario.expect
        if e.phase in ("during", "after")
    ]
    expectations = [(name, windows) for name, windows in expectations if windows]
    ends = [e for t in plan.trials for e in (t.start_s, t.end_s) if e is not None]
    ends += [w.closes_s for _, windows in expectations for w in windows if w.closes_s is not None]
    horizon = max([1.0, *ends]) * 1.03
    steps = [s.name for s in plan.scenario.timeline if any(t.step == s.name for t in plan.trials)]
    lanes = len(steps) + len(expectations) + 1
    height = 64 + lanes * LANE + 12

    def x(at_s: float) -> float:
        return round(LABEL + min(at_s, horizon) / horizon * (WIDTH - LABEL - 16), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" '
        f"aria-label={quoteattr('Plan of ' + plan.scenario.name)}>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="22" font-weight="600">{escape(plan.scenario.name)}</text>',
        f'<text class="soft" x="{LABEL}" y="22">{len(plan.nodes)} nodes, seed {plan.seed}</text>',
        *_grid(horizon, height, x),
    ]
    y = 56
    for name in steps:
        parts.append(_label(name, y))
        for trial in plan.trials:
            if trial.step == name:
                parts += _bars(trial, y, horizon, x)
        y += LANE
    for name, windows in expectations:
        parts.append(_label(name, y, soft=True))
        for w in windows:
            left, right = x(w.opens_s), x(horizon if w.closes_s is None else w.closes_s)
            middle = y + BAR / 2
            bracket = f"M{left} {y + 3}v{BAR - 6}M{left} {middle}H{right}M{right} {y + 3}v{BAR - 6}"
            parts.append(f'<path class="window" d="{bracket}"/>')
        y += LANE
    parts.append(_label("parts of the network", y, soft=True))
    parts += _parts(phases(plan), y, horizon, x)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(horizon: float, height: int, x: Columns) -> Iterator[str]:
    step = next(s for s in wording.round_steps() if s / horizon * (WIDTH - LABEL) >= 70)
    count = 0
    while count * step <= horizon:
        at = x(count * step)
        yield f'<line class="line" x1="{at}" x2="{at}" y1="46" y2="{height - 10}"/>'
        yield f'<text class="soft" x="{at}" y="41" text-anchor="middle">{wording.time(count * step)}</text>'
        count += 1


def _label(name: str, y: int, *, soft: bool = False) -> str:
    shown = name if len(name) <= 24 else name[:23] + "…"
    return f'<text{" class=" + quoteattr("soft") if soft else ""} x="12" y="{y + 12}">{escape(shown)}</text>'


def _bars(trial: Trial, y: int, horizon: float, x: Columns) -> Iterator[str]:
    colour = next((c for claim, c in COLOURS.items() if claim in trial.fault.claims()), OTHER)
    whole = len(trial.fault.units(trial.chosen)) if any(s.units is not None for s in trial.spans) else 1
    about = escape(f"{wording.what(trial.fault)}; {wording.lasts(trial)}")
    yield f"<g><title>{about}</title>"
    for span in trial.spans:
        left = x(span.start_s)
        if trial.fault.momentary:
            yield f'<path fill="{colour}" d="M{left} {y + BAR}l-5 -{BAR}h10z"/>'
            continue
        right = x(horizon if span.end_s is None else span.end_s)
        share = 1.0 if span.units is None else max(0.15, len(span.units) / max(whole, 1))
        wide = max(1.5, round(right - left, 1))
        box = f'x="{left}" y="{y}" width="{wide}" height="{BAR}" rx="2"'
        yield f'<rect {box} fill="{colour}" opacity="{share:.2g}"/>'
    yield "</g>"


def _parts(found: Sequence[Phase], y: int, horizon: float, x: Columns) -> Iterator[str]:
    for phase in found:
        left, right = x(phase.start_s), x(horizon if phase.end_s is None else phase.end_s)
        kind = "none" if not phase.quorate else "whole" if len(phase.components) == 1 else "part"
        sizes = escape(wording.sizes(phase.components))
        quorum = "a quorum" if phase.quorate else "no quorum"
        yield (
            f'<g><title>{sizes}; {quorum}</title><rect class="{kind}" x="{left}" y="{y}" '
            f'width="{max(0.5, round(right - left - 0.5, 1))}" height="{BAR}"/>'
        )
        if right - left > 7 * len(sizes) + 4:
            yield f'<text x="{round((left + right) / 2, 1)}" y="{y + 12}" text-anchor="middle">{sizes}</text>'
        yield "</g>"
