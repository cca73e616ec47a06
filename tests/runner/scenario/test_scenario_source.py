"""Text that is no YAML, too much of it, or made to harm: problems with a place, never a traceback."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_texts import scenario

from runner.scenario import Loaded, load
from runner.scenario.source import MAX_DEPTH, read

SAMPLES = [p.read_text() for p in sorted((Path(__file__).parent / "samples").glob("*.yaml"))]


def said(text, **options):
    raw = text.encode() if isinstance(text, str) else text
    loaded = load(raw, file="x.yaml", **options)
    assert loaded.scenario is None
    assert all(p.line >= 1 and p.column >= 1 for p in loaded.problems)
    return [str(p) for p in loaded.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1,\nb: }", "x.yaml:2:4: not YAML"),
        ("a: 'x\nb: 1\n", "x.yaml:3:1: not YAML: the text ends inside quotes"),
        ("a:\n\tb: 1\n", "x.yaml:2:1: not YAML: a tab cannot indent: use spaces"),
        ("a: b: c\n", "x.yaml:1:5: not YAML: a ': ' inside the text: put the text in quotes"),
        ("a: {for: ${x}}\n", "x.yaml:1:11: not YAML: write $name, not ${name}"),
        ("a: @x\n", "x.yaml:1:4: not YAML: this character cannot begin a value"),
        ("a: [x #, y]\nb: 1\n", "x.yaml:2:1: not YAML"),
        ("a: \0\n", "x.yaml:1:4: a character that is no text (U+0000)"),
        ("seed: 99999999999999999999\n", "x.yaml:1:7: the number is too large"),
        ("seed: 1e999\n", "x.yaml:1:7: the number is too large"),
        ("? [a]\n: b\n", "x.yaml:1:3: a key must be plain text"),
    ],
)
def test_text_that_is_no_yaml(text, expected):
    assert any(line.startswith(expected) for line in said(text)), said(text)


def test_bytes_that_are_no_text():
    assert said(b"seatrial: 1\nname: \xff\n") == ["x.yaml:2:7: not UTF-8 text"]
    assert said("seatrial: 1\n".encode("utf-16")) == ["x.yaml:1:1: not UTF-8 text"]


def test_a_mark_of_the_byte_order_is_no_text():
    assert load(b"\xef\xbb\xbf" + scenario().encode(), file="x.yaml").problems == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + "x" * (1 << 20), "over 1 MiB"),
        ("[" * 100_000, "maximum nesting depth"),
        ("a: " + "{a: " * 500, f"nested deeper than {MAX_DEPTH} levels"),
        ("a: [" + "1," * 200_000 + "]", "more than 100000 values"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "anchors and aliases"),
        ("a: &a {b: *a}\n", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [x]\n", "tags are not used"),
    ],
    ids=["bytes", "depth", "mappings", "values", "aliases", "itself", "tag"],
)
def test_bombs(text, expected):
    assert any(expected in line for line in said(text))


def test_definitions_that_double_each_time():
    names = "abcdefghijklmnopqrstuvwxyz"
    doubled = ", ".join(f"{x}{x}: [{y}{y}, {y}{y}]" for x, y in pairwise(names))
    text = scenario(more=f"define: {{{doubled}, zz: connected}}\n", expect="{before: faults, that: aa}")
    assert any("stands for more than" in line for line in said(text))


@pytest.mark.parametrize("forward", [True, False])
def test_definitions_that_stand_on_each_other_without_end(forward):
    lines = [f"d{i}: d{i - 1}" for i in range(1, 2000)]
    defined = ", ".join(["d0: connected", *lines] if forward else [*reversed(lines), "d0: connected"])
    text = scenario(more=f"define: {{{defined}}}\n", expect="{before: faults, that: d1999}")
    assert any("levels" in line or "deep" in line for line in said(text))


@pytest.mark.parametrize("forward", [True, False])
def test_steps_that_wait_for_each_other_in_a_long_row(forward):
    lines = [f"{{at: end of k{i - 1}, for: 1s, kill: n1, name: k{i}}}" for i in range(1, 2000)]
    first = "{at: 1s, for: 1s, kill: n1, name: k0}"
    steps = [first, *lines] if forward else [*reversed(lines), first]
    assert load(scenario(step="\n".join(steps)), file="x.yaml").problems == []


def test_no_place_is_lost():
    document = read("a: {b: [1, x]}\nc:\n  - d\n", "x.yaml")
    marks = {loc: (mark.line, mark.column) for loc, mark in document.values.items()}
    assert marks == {
        (): (1, 1),
        ("a",): (1, 4),
        ("a", "b"): (1, 8),
        ("a", "b", 0): (1, 9),
        ("a", "b", 1): (1, 12),
        ("c",): (3, 3),
        ("c", 0): (3, 5),
    }
    assert document.words == {("a", "b", 0): "1"}


def test_two_thousand_steps_are_read():
    steps = "\n".join(f"{{at: {i}s, for: 5s, kill: {{pick: 1}}}}" for i in range(2000))
    assert load(scenario(step=steps), file="x.yaml").problems == []


WORDS = st.sampled_from(
    [
        ("seatrial:"),
        "network:",
        "nodes:",
        "{count:",
        "3}",
        "timeline:",
        "expect:",
        "-",
        "[",
        "]",
        "{",
        "}",
        "'",
        '"',
        "#",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "$x",
        "${x}",
        "$$",
        ":",
        ",",
        "at:",
        "for:",
        "10s",
        "split",
        "partition",
        "halves",
        "kill",
        "{pick:",
        "1}",
        "before:",
        "faults",
        "that:",
        "connected",
        "define:",
        "parameters:",
        "\n",
        "\t",
        "\n",
        "",
        "-5",
        "1e3",
        "~",
        "yes",
    ]
)


@given(st.lists(WORDS, max_size=40).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_words_in_any_order_give_problems_or_a_scenario(text):
    assert isinstance(load(text + "\n", file="x.yaml"), Loaded)


@given(st.binary(max_size=60))
@settings(max_examples=80, deadline=None)
def test_any_bytes_give_problems_or_a_scenario(raw):
    assert isinstance(load(raw, file="x.yaml"), Loaded)


PIECES = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "5s",
    "x",
    "0",
    "-1",
    "$x",
    "'",
    "\n",
    "nodes",
    "rest",
    "{a: {b: c}}",
    "[[]]",
    "1.5",
    "true",
]


@given(st.integers(0, len(SAMPLES) - 1), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_right_files_with_something_changed_give_problems_or_a_scenario(which, seed):
    rng = random.Random(seed)
    text = SAMPLES[which]
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text))
        how = rng.random()
        if how < 0.4:
            text = text[:at] + rng.choice(PIECES) + text[at + rng.randrange(8) :]
        elif how < 0.7:
            words = text.split(" ")
            words[rng.randrange(len(words))] = rng.choice(PIECES)
            text = " ".join(words)
        else:
            lines = text.split("\n")
            lines.insert(rng.randrange(len(lines)), lines[rng.randrange(len(lines))])
            text = "\n".join(lines)
    loaded = load(text + "\n", file="tests/runner/scenario/samples/x.yaml")
    assert (loaded.scenario is None) == bool(loaded.problems)


def _change(value, rng):
    """The data with one value somewhere replaced by another kind."""
    odd = [
        None,
        0,
        -1,
        1.5,
        True,
        "",
        "x",
        "$x",
        [],
        {},
        [[]],
        {"a": 1},
        ["x", 3],
        "n1",
        "5s",
        "1 epoch",
        "end of x",
    ]
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {
                (rng.choice(["x", "of", "for", "name", ""]) if k == key else k): v for k, v in value.items()
            }
        return {k: _change(v, rng) if k == key else v for k, v in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [_change(v, rng) if i == at else v for i, v in enumerate(value)]
    return rng.choice(odd)


@given(st.integers(0, len(SAMPLES) - 1), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_right_data_with_another_kind_of_value_give_problems_or_a_scenario(which, seed):
    rng = random.Random(seed)
    data = read(SAMPLES[which], "x").data
    for _ in range(rng.randint(1, 3)):
        data = _change(data, rng)
    if isinstance(data, dict):
        loaded = load(data, file="tests/runner/scenario/samples/x.yaml")
        assert (loaded.scenario is None) == bool(loaded.problems)
