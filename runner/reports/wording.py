"""How numbers, times, lists of nodes and verdicts are written for people, and in which colours.

Everything that comes from outside (reasons, log lines, names that a driver found) passes ``clean`` before
it reaches a terminal: control characters could move the cursor or forge a verdict. What is written about
(verdicts, progress) belongs to the other modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
TONES = {"held": "green", "violated": "red", "inconclusive": "yellow", "unknown": "yellow"}
"""The colour of each verdict."""


@dataclass(frozen=True)
class Paint:
    """Colours for a terminal, or none: ``Paint(on=False)`` returns every text as it is."""

    on: bool = False

    def __call__(self, text: str, *styles: str) -> str:
        """The text in the named styles (bold, dim, red, green, yellow, cyan)."""
        if not self.on or not styles:
            return text
        return f"\x1b[{';'.join(_STYLES[s] for s in styles)}m{text}\x1b[0m"

    def verdict(self, word: str) -> str:
        """A verdict in its colour."""
        tone = TONES.get(word.lower())
        return self(word, "bold", tone) if tone else word


def clean(text: object) -> str:
    """The text on one line, without control and direction characters."""
    return _CONTROL.sub("", str(text).replace("\n", " ").replace("\t", " "))


def fit(text: str, width: int) -> str:
    """The text cut to ``width`` characters, the last one an ellipsis if something was cut."""
    return text if len(text) <= width else text[: max(width - 1, 0)].rstrip() + "…"


def wrap(text: str, width: int, *, lines: int) -> list[str]:
    """The text broken at spaces into at most ``lines`` lines of ``width`` characters; the rest becomes an
    ellipsis.
    """
    import textwrap

    broken = textwrap.wrap(clean(text), width, break_long_words=True, break_on_hyphens=False)
    if len(broken) <= lines:
        return broken
    return [*broken[: lines - 1], fit(" ".join(broken[lines - 1 :]), width)]


def moment(seconds: float | None) -> str:
    """An instant of the timeline: ``+10.02 s``; a dash where there is none."""
    return "–" if seconds is None else f"{seconds:+.2f} s"


def length(seconds: float | None) -> str:
    """A length of time: ``20 ms``, ``2.4 s``, ``3 m 20 s``; a dash where there is none."""
    if seconds is None:
        return "–"
    if seconds and abs(seconds) < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 119.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s"


def count(number: int, noun: str) -> str:
    """``1 node``, ``4 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def names(nodes: Iterable[str], most: int = 6) -> str:
    """Names in a row, runs of numbers joined (``n1–n4 n7``); beyond ``most`` words only how many there
    are.
    """
    words = _runs([clean(n) for n in nodes])
    if not words:
        return "nobody"
    if len(words) <= most:
        return " ".join(words)
    shown = words[: most - 1]
    return f"{' '.join(shown)} … ({sum(_weight(w) for w in words)} in all)"


def _runs(nodes: Sequence[str]) -> list[str]:
    """Three or more names that count up by one become ``first–last``."""
    out: list[str] = []
    i = 0
    while i < len(nodes):
        j = i
        while j + 1 < len(nodes) and _follows(nodes[j], nodes[j + 1]):
            j += 1
        out += [f"{nodes[i]}–{nodes[j]}"] if j - i >= 2 else list(nodes[i : j + 1])
        i = j + 1
    return out


def _follows(a: str, b: str) -> bool:
    first, second = re.fullmatch(r"(.*?)(\d+)", a), re.fullmatch(r"(.*?)(\d+)", b)
    return bool(first and second and first[1] == second[1] and int(second[2]) == int(first[2]) + 1)


def _weight(word: str) -> int:
    """How many nodes a word of ``_runs`` stands for."""
    ends = re.fullmatch(r"(.*?)(\d+)–(.*?)(\d+)", word)
    return int(ends[4]) - int(ends[2]) + 1 if ends else 1
