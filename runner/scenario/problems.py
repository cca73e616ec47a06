"""What can be wrong with a scenario, said to people: a problem, where it is, the nearest valid name.

Belongs here: the values and words that every checker uses. What is checked belongs elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

MANY = 200
"""More names than these are not all compared with a mistaken one."""

Loc = tuple[str | int, ...]
"""The way to a value in the document: keys and list indexes."""


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file; ``line`` 0 where the file is no file (``--set PATH``) or could not be read."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True)
class Problem:
    """One mistake: ``file:line:column: message``. ``line`` and ``column`` count from 1; 0 where there is no
    line.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


@dataclass
class Report:
    """Collects problems; ``where`` turns a way in the document into a place (of the key, if asked)."""

    where: Callable[[Loc, bool], Mark]
    note: Callable[[Loc], str] = lambda loc: ""
    found: list[Problem] = field(default_factory=list)
    places: set[Mark] = field(default_factory=set)
    """Where something is wrong."""
    settled: set[Mark] = field(default_factory=set)
    """Places of which nothing more is said, since what stands there is not what was meant."""

    def add(self, loc: Loc, message: str, *, key: bool = False, settle: bool = False) -> None:
        """Note a problem of the value at ``loc``, or of its key; ``settle``: nothing more is said of it."""
        mark = self.where(loc, key)
        if mark in self.settled:
            return
        if settle:
            self.settled.add(mark)
        self.places.add(mark)
        self.found.append(Problem(mark.file, mark.line, mark.column, message + self.note(loc)))

    def found_at(self, loc: Loc) -> bool:
        """Whether something has been said about the key or the value at ``loc``."""
        return not self.places.isdisjoint((self.where(loc, True), self.where(loc, False)))


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where something known is close to the word, else nothing."""
    names = list(known)
    if len(names) > MANY:
        names = [name for name in names if name[:1] == word[:1]][:MANY]
    hit = difflib.get_close_matches(str(word), names, 1, 0.6)
    return f"; did you mean '{hit[0]}'?" if hit else ""


def misspelt(key: str, written: Iterable[str], known: Iterable[str]) -> bool:
    """Whether an unknown key was written that seems to mean ``key``, which then is not missing as well."""
    names = list(known)
    return any(w not in names and difflib.get_close_matches(w, names, 1, 0.6) == [key] for w in written)


def nearest_or_all(word: str, known: Iterable[str]) -> str:
    """The nearest valid name, or all of them where none is close and they are few."""
    names = list(known)
    hint = near(word, names)
    if not hint and 0 < len(names) <= 12:
        return f" (there is: {', '.join(names)})"
    return hint


def in_order(problems: Iterable[Problem], main: str) -> list[Problem]:
    """Each once, those of the main file first, then by file and place."""
    return sorted(
        dict.fromkeys(problems), key=lambda p: (p.file != main, p.file, p.line, p.column, p.message)
    )
