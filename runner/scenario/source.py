"""YAML 1.2 core text to plain data, with the place of every key and value.

Belongs here: what is YAML and what of it a scenario may use. What the data mean belongs to the other
modules of this package. The text is read as a stream of events and built once; anchors, aliases and tags
are refused and never expanded, so size is bounded by the text's.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.scenario.problems import Loc, Mark, Problem

MAX_BYTES = 1 << 20
MAX_NODES = 100_000
MAX_DEPTH = 40

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")


class _Loader(yaml.CSafeLoader):
    """Only its parser is used: scalars are resolved here, by the rules of YAML 1.2."""


@dataclass
class Document:
    """Plain data and where it stands: ``values`` and ``keys`` give places, ``words`` plain scalars as they
    were written where YAML makes something else than text of them, ``cut`` the comment behind a plain
    scalar on its line.
    """

    data: Any = None
    values: dict[Loc, Mark] = field(default_factory=dict)
    keys: dict[Loc, Mark] = field(default_factory=dict)
    words: dict[Loc, str] = field(default_factory=dict)
    cut: dict[Loc, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, loc: Loc, key: bool = False) -> Mark:
        """The place of the value at ``loc`` (or of its key), or of the nearest thing around it."""
        if key and loc in self.keys:
            return self.keys[loc]
        while loc not in self.values and loc:
            loc = loc[:-1]
        return self.values.get(loc, Mark("", 1, 1))


class _Stop(Exception):
    """The rest of the text is not looked at."""


@dataclass
class _Frame:
    """A list or mapping being built; ``loc`` None: nobody will see it (the value of a key given twice)."""

    into: list[Any] | dict[str, Any]
    loc: Loc | None
    is_key: bool = False
    key: str | None = None
    dropped: bool = False

    def next_loc(self) -> Loc | None:
        if self.loc is None or self.dropped:
            return None
        return (*self.loc, len(self.into) if isinstance(self.into, list) else self.key or "")


def read(text: str | bytes, file: str) -> Document:
    """Read one document; whatever is wrong with the text as YAML is in ``problems``."""
    out = Document()
    decoded = _decode(text, file, out)
    if decoded is None:
        return out
    builder = _Builder(decoded, file, out)
    try:
        for event in yaml.parse(decoded, Loader=_Loader):
            builder.take(event)
    except _Stop:
        out.data = None
    except yaml.YAMLError as error:
        out.data = None
        out.problems.append(_syntax(error, builder.lines, file))
    return out


def _decode(text: str | bytes, file: str, out: Document) -> str | None:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        out.problems.append(Problem(file, 1, 1, "the file is over 1 MiB, the most that is read"))
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8", "replace")
        lines = _BREAK.split(before)
        out.problems.append(Problem(file, len(lines), len(lines[-1]) + 1, "not UTF-8 text"))
        return None


class _Builder:
    def __init__(self, text: str, file: str, out: Document) -> None:
        self.lines = _BREAK.split(text)
        self.comments = "#" in text
        self.file = file
        self.out = out
        self.stack: list[_Frame] = []
        self.count = 0
        self.documents = 0

    def problem(self, mark: Mark, message: str) -> None:
        self.out.problems.append(Problem(mark.file, mark.line, mark.column, message))

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, {})
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, [])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            frame = self.stack.pop()
            if frame.is_key:
                self.stack[-1].key, self.stack[-1].dropped = "", True
            elif self.stack:
                self._placed(self.stack[-1])
        elif isinstance(event, yaml.AliasEvent):
            self.problem(
                self._mark(event), "anchors and aliases (& and *) are not used here: write the value out"
            )
            self._value(None, event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self.problem(self._mark(event), "one document a file: '---' begins a second one")
                raise _Stop

    def _mark(self, event: yaml.Event) -> Mark:
        start: Any = event.start_mark
        return Mark(self.file, start.line + 1, start.column + 1)

    def _checked(self, event: yaml.Event) -> Mark:
        mark = self._mark(event)
        self.count += 1
        if self.count > MAX_NODES:
            self.problem(mark, f"more than {MAX_NODES} values: too large for a scenario")
            raise _Stop
        if getattr(event, "anchor", None):
            self.problem(mark, "anchors and aliases (& and *) are not used here: write the value out")
        if getattr(event, "tag", None):
            self.problem(mark, f"tags are not used here: leave out '{event.tag}'")  # type: ignore[attr-defined]
        return mark

    def _awaits_key(self) -> bool:
        top = self.stack[-1] if self.stack else None
        return top is not None and isinstance(top.into, dict) and top.key is None

    def _open(self, event: yaml.Event, into: list[Any] | dict[str, Any]) -> None:
        mark = self._checked(event)
        if len(self.stack) >= MAX_DEPTH:
            self.problem(mark, f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        if self._awaits_key():
            self.problem(mark, "a key must be plain text, not a list or a mapping")
            self.stack.append(_Frame(into, None, is_key=True))
            return
        loc = self.stack[-1].next_loc() if self.stack else ()
        self._put(into, loc, mark)
        self.stack.append(_Frame(into, loc))

    def _scalar(self, event: Any) -> None:
        mark = self._checked(event)
        if self._awaits_key():
            self._key(self.stack[-1], event.value, mark)
            return
        if not event.implicit[0]:
            self._value(event.value, event)
            return
        value = self._resolve(event.value, mark)
        loc = self._value(value, event)
        if loc is None:
            return
        if not isinstance(value, str):
            self.out.words[loc] = event.value
        if self.comments:
            end: Any = event.end_mark
            rest = self.lines[end.line][end.column :] if end.line < len(self.lines) else ""
            if re.match(r"[ \t]+#", rest):
                self.out.cut[loc] = rest.strip()

    def _key(self, frame: _Frame, text: str, mark: Mark) -> None:
        frame.key = text
        if frame.loc is None:
            return
        loc = (*frame.loc, text)
        if text == "<<":
            self.problem(mark, "merge keys (<<) are not used here: write the values out")
            frame.dropped = True
        elif text in frame.into:
            first = self.out.keys[loc]
            self.problem(mark, f"'{text}' is given twice, first on line {first.line}")
            frame.dropped = True
        else:
            self.out.keys[loc] = mark

    def _value(self, value: Any, event: yaml.Event) -> Loc | None:
        if self._awaits_key():  # an alias as a key
            self.stack[-1].key, self.stack[-1].dropped = "", True
            return None
        loc = self.stack[-1].next_loc() if self.stack else ()
        self._put(value, loc, self._mark(event))
        if self.stack:
            self._placed(self.stack[-1])
        return loc

    def _put(self, value: Any, loc: Loc | None, mark: Mark) -> None:
        if loc is None:
            return
        self.out.values[loc] = mark
        if not self.stack:
            self.out.data = value
        elif isinstance(self.stack[-1].into, list):
            self.stack[-1].into.append(value)
        else:
            self.stack[-1].into[self.stack[-1].key or ""] = value

    def _placed(self, frame: _Frame) -> None:
        frame.key, frame.dropped = None, False

    def _resolve(self, text: str, mark: Mark) -> Any:
        if _NULL.match(text):
            return None
        if _BOOL.match(text):
            return text[0] in "tT"
        if _INT.match(text):
            if len(text) > 18:
                self.problem(mark, "the number is too large")
                return 0
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.match(text):
            number = float(text)
            if math.isinf(number):
                self.problem(mark, "the number is too large")
                return 0.0
            return number
        return text


_PLAINER = (
    ("cannot start any token", "this character cannot begin a value: put the text in quotes"),
    ("mapping values are not allowed", "a ': ' inside the text: put the text in quotes"),
    ("did not find expected ',' or ']'", "a list that began here or before is not closed by ']'"),
    ("did not find expected ',' or '}'", "a mapping that began here or before is not closed by '}'"),
    ("could not find expected ':'", "a key without ':'"),
    ("did not find expected key", "the indentation does not fit, or a key is missing"),
    ("did not find expected '-' indicator", "the indentation of the list does not fit"),
    ("unexpected end of stream", "the text ends inside quotes"),
    ("found undefined tag handle", "tags are not used here"),
)


def _syntax(error: yaml.YAMLError, lines: list[str], file: str) -> Problem:
    """A syntax error in plainer words, with what most often causes it."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        reason = getattr(error, "reason", None) or str(error).splitlines()[0]
        return _unreadable(reason, lines, file)
    line = lines[mark.line] if mark.line < len(lines) else ""
    said = str(getattr(error, "problem", "") or error)
    message = next((plain for part, plain in _PLAINER if part in said), said)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message = "a tab cannot indent: use spaces"
    elif "${" in line:
        message = "write $name, not ${name}: braces begin a mapping"
    else:
        first = getattr(error, "context_mark", None)
        around = lines[first.line if first else mark.line : mark.line + 1]
        if any(re.search(r"\s#", one) for one in around):
            message += " (a ' #' begins a comment: put text that has one in quotes)"
    return Problem(file, mark.line + 1, mark.column + 1, f"not YAML: {message}")


def _unreadable(reason: str, lines: list[str], file: str) -> Problem:
    for number, line in enumerate(lines, 1):
        if found := re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]", line):
            return Problem(
                file, number, found.start() + 1, f"a character that is no text (U+{ord(found[0]):04X})"
            )
    return Problem(file, 1, 1, f"not text: {reason}")
