"""The timeline never drifts: every change is asked for at its planned instant, whatever the one before
took.
"""

from __future__ import annotations

import itertools

import pytest

pytestmark = [pytest.mark.system, pytest.mark.lab]

STUBBORN = "{names: s, count: 5, run: [sh, -c, \"trap '' TERM; while :; do sleep 0.2; done\"]}"


def planned_changes(events: list[dict]) -> list[float]:
    """The instants at which something begins or ends, from the steps as journalled."""
    last = {e["trial"]: e for e in events if e["event"] == "step"}
    found = {t for e in last.values() for s in e["spans"] for t in (s[0], s[1]) if t is not None}
    return sorted(found)


def asked(events: list[dict]) -> list[float]:
    return [e["asked"] for e in events if e["event"] == "model" and not e["key"].startswith("heal")]


def test_every_change_is_asked_for_at_its_planned_instant(trial, scenario):
    steps = "".join(
        f"  - {{at: {100 + 100 * i}ms, for: {250 + 30 * i}ms, {kind}: {who}, name: f{i}}}\n"
        for i, (kind, who) in enumerate(
            itertools.islice(itertools.cycle([("pause", "n1"), ("kill", "n2"), ("isolate", "n3")]), 24)
        )
        if i % 3 != 1 or i < 3
    )
    live = trial(scenario("timeline:\n" + steps + "expect: []\n"), "--json")
    live.end()
    events = live.events()
    want, got = planned_changes(events), asked(events)
    assert len(want) > 20
    assert len(got) == len(want)
    assert all(abs(a - b) < 2e-6 for a, b in zip(want, got, strict=True))
    zero = events[[e["event"] for e in events].index("steady")]["zero"]
    first = next(e for e in events if e["event"] == "step" and e["trial"] == "f0")
    assert abs(first["start"] - zero - 0.1) < 1e-6


def test_an_event_does_not_wait_for_the_one_before(trial, scenario):
    """Two nodes do not listen to SIGTERM: they are ended seconds later, while all other events come in
    time.
    """
    live = trial(
        scenario(
            "limits: {lose_quorum: true}\n"
            "timeline:\n"
            "  - {at: 500ms, for: 4s, kill: {of: [s1, s2], signal: term}, name: slow}\n"
            "  - {at: 1s, for: 1s, pause: s3, name: asleep}\n"
            "  - {at: 1s, for: 1s, isolate: s4, name: alone}\n"
            "expect: []\n",
            network=STUBBORN,
        ),
        "--json",
    )
    ended = live.end()
    events = live.events()
    gone = [e for e in events if e["event"] == "down"]
    assert {e["node"] for e in gone} == {"s1", "s2"}, "SIGKILL follows in the end"
    assert all(e["leaked_s"] > 1.5 for e in gone), "the kill took longer than the next event's time"
    want, got = planned_changes(events), asked(events)
    assert len(want) == 4
    assert all(abs(a - b) < 2e-6 for a, b in zip(want, got, strict=True))
    paused = next(e for e in events if e["event"] == "paused")
    assert paused["t"] < min(e["t"] for e in gone), "it did not wait"
    found = {f["name"]: f for f in ended.verdict["faults"]}
    assert found["asleep"]["effective"] is True
    assert found["alone"]["effective"] is True
    assert found["slow"]["effective"] is not True, "that is no kill"
    assert found["slow"]["healed"] is True
    assert ended.code == 3
