"""The ground that pictures are drawn on: an SVG sheet with a time axis, bars and text, light or dark.

What is drawn belongs to ``picture``. No scripts, nothing loaded from elsewhere; all words are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from runner.reports.wording import clean, fit

WIDTH = 880
LEFT, RIGHT = 150, 18

# Colours stand in plain rules, not in variables: viewers that are no browsers know neither those nor media.
_LIGHT = {
    "ink": "#1c2733", "soft": "#66758a", "line": "#d5dde6", "fault": "#f0c88a", "force": "#c9760a",
    "held": "#2e8b57", "violated": "#c93434", "unknown": "#a07d12", "curve": "#2f6db3", "ground": "#ffffff",
}  # fmt: skip
_DARK = {
    "ink": "#e4eaf1", "soft": "#9aa9bb", "line": "#37424f", "fault": "#6d4e1e", "force": "#f0ab4a",
    "held": "#58c28a", "violated": "#f07070", "unknown": "#dcb84a", "curve": "#74aef0", "ground": "#12181f",
}  # fmt: skip


def _colours(of: Mapping[str, str]) -> str:
    """The rules that give every class its colour."""
    filled = ("soft", "fault", "force", "held", "violated", "unknown", "ground")
    rules = [f"text{{fill:{of['ink']}}}", *(f".{kind}{{fill:{of[kind]}}}" for kind in filled)]
    rules += [f".inconclusive{{fill:{of['unknown']}}}", f".band{{fill:{of['curve']}}}"]
    rules += [
        f".line{{stroke:{of['line']}}}",
        f".zero{{stroke:{of['soft']}}}",
        f".curve{{stroke:{of['curve']}}}",
    ]
    return "".join(rules)


STYLE = (
    "text{font:12px system-ui,sans-serif}.small{font-size:10.5px}.name{font-size:15px;font-weight:600}"
    ".line,.zero{stroke-width:1}.zero{stroke-dasharray:3 3}.band{opacity:.25}.window{opacity:.28}"
    ".curve{fill:none;stroke-width:1.3;stroke-linejoin:round}"
    f"{_colours(_LIGHT)}@media(prefers-color-scheme:dark){{{_colours(_DARK)}}}"
)


@dataclass
class Sheet:
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
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{tail}>{escaped(words)}</text>'
        )

    def bar(self, start_s: float, end_s: float, y: float, height: float, kind: str, title: str = "") -> None:
        """A bar between two instants, at least a hair wide; ``title`` shows when it is pointed at."""
        left = self.x(start_s)
        wide = max(self.x(end_s) - left, 1.5)
        inner = f"<title>{escaped(title)}</title>" if title else ""
        self.parts.append(
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{height:g}" rx="2" '
            f'class="{kind}">{inner}</rect>'
        )

    def label(self, words: str, y: float) -> None:
        """The name of a lane, on the left."""
        self.text(LEFT - 10, y, fit(clean(words), 22), "", "end")

    def beside(self, at_s: float, y: float, words: str, kind: str) -> None:
        """Words right of an instant, or left of it near the right edge."""
        late = self.x(at_s) > WIDTH - RIGHT - 8 * len(words)
        self.text(self.x(at_s) + (-6 if late else 7), y, words, kind, "end" if late else "start")

    def axis(self) -> None:
        """Marks at round seconds, the steady state dashed through everything."""
        self.y += 8
        span = self.end_s - self.start_s
        every = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if span / s <= 12), 3600)
        at = 0
        while at <= self.end_s:
            x = self.x(at)
            self.parts.append(
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{self.y:.1f}" y2="{self.y + 4:.1f}" class="line"/>'
            )
            self.text(x, self.y + 16, f"{at} s", "soft small", "middle")
            at += every
        zero = self.x(0)
        self.parts.insert(
            0, f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="56" y2="{self.y:.1f}" class="zero"/>'
        )
        self.y += 26

    def document(self, label: str) -> str:
        """The whole SVG document; ``label`` is what it is to those who cannot see it."""
        body = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.y:.0f}" width="{WIDTH}" '
            f'height="{self.y:.0f}" role="img" aria-label="{escaped(label)}">\n<style>{STYLE}</style>\n'
            f'<rect width="100%" height="100%" rx="6" class="ground"/>\n{body}\n</svg>\n'
        )


def escaped(words: str) -> str:
    """Words as they may stand in an SVG document, in text and in attributes."""
    return escape(clean(words).encode("utf-8", "replace").decode(), {'"': "&quot;"})
