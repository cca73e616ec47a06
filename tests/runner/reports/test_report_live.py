"""The live view: what it shows at each moment, within the terminal, and that it comes and goes cleanly."""

import io
import os
import pty

import pytest
from written_run import ZERO, event

from runner.reports.live import LiveView, frame
from runner.reports.progress import Narrator
from runner.reports.wording import Paint


def seen(events, until, *, width=80, height=24, now=None):
    narrator, said = Narrator(), []
    for e in events:
        if e["t"] <= ZERO + until:
            said += narrator.feed(e)
    at = ZERO + until if now is None else now
    return frame(narrator.scene, said, now=at, width=width, height=height, paint=Paint())


@pytest.mark.parametrize("until", [-3.9, -3.3, -1.0, 5.0, 12.0, 25.0, 29.0, 33.0, 40.0])
def test_always_fits(run, until):
    for width, height in ((80, 22), (60, 10), (120, 24), (60, 3)):
        lines = seen(run, until, width=width, height=height)
        assert len(lines) <= height
        assert max(map(len, lines)) <= width


def test_golden_in_the_middle_of_the_split(run, snapshot):
    assert "\n".join(seen(run, 12.0)) == snapshot


def test_phases(run):
    assert "starting nodes" in seen(run, -3.4)[0]
    assert "waiting for the steady state" in seen(run, -1.0)[0]
    assert "no fault" in seen(run, 5.0)[0]
    assert "halves: split" in seen(run, 12.0)[0]
    assert "crash + skew" in seen(run, 29.0)[0]
    assert "ended" in seen(run, 40.0)[0]


def test_nodes_and_components(run):
    text = "\n".join(seen(run, 29.0))
    assert "5 running" in text
    assert "1 down (n2)" in text
    assert "1 skewed (n5)" in text
    assert "1 not answering (n5)" in text, "n2 is down by our own hand, that it is silent is no news"
    assert "components  2 (3 + 3)" in "\n".join(seen(run, 12.0))


def test_the_marker_moves(run):
    def column(until):
        return next(line for line in seen(run, until) if line.startswith(" split")).index("│")

    assert column(2.0) < column(6.0) < column(26.0)


def test_what_is_missing_for_recovery(run):
    rows = [
        {"name": "after-split", "answer": "violated", "reason": "n4 is 3 behind", "settled": False,
         "closes": ZERO + 35.0, "opens": ZERO + 20.0, "recovery_s": None},
        {"name": "during-split", "answer": "held", "reason": "", "settled": True, "recovery_s": None},
    ]  # fmt: skip
    events = [e for e in run if e["t"] <= ZERO + 22] + [event(ZERO + 22.0, "standing", expectations=rows)]
    text = "\n".join(seen(events, 22.0))
    assert "waiting     after-split: n4 is 3 behind (13.0 s left)" in text
    assert "expected    1 held so far" in text


def test_comes_and_goes(run, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    reading, writing = pty.openpty()
    with os.fdopen(writing, "w") as stream:
        with LiveView(stream) as view:
            for e in run[:16]:
                view.feed(e)
            view._live.refresh()
        stream.flush()
        text = ""
        while "\x1b[?25h" not in text:
            text += os.read(reading, 1 << 16).decode()
    os.close(reading)
    assert "halves" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is hidden and shown again"


def test_no_color(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    stream = io.StringIO()
    with LiveView(stream) as view:
        view.feed(run[0])
        view._live.refresh()
    assert "\x1b[3" not in stream.getvalue()
