"""Faults undone behind the runner's back: no evidence, no verdict, and the reason says from when to when."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.system.conftest import Footprint, Trial, descendants, descriptors, namespace, wait_for

pytestmark = [pytest.mark.system, pytest.mark.lab, pytest.mark.root]
FROM_TO = re.compile(r"from ([\d.]+) s to ([\d.]+) s")


def fault(verdict: dict, name: str) -> dict:
    return next(f for f in verdict["faults"] if f["name"] == name)


def said_from_to(verdict: dict, name: str) -> list[tuple[float, float]]:
    """The spans that the run's reasons on a fault name."""
    reasons = [r for r in verdict["reasons"] if f"'{name}'" in r]
    return [(float(a), float(b)) for r in reasons for a, b in FROM_TO.findall(r)]


def test_rules_flushed_by_hand_are_told_from_when_to_when(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 1s, for: 5s, partition: halves, name: split}\n"
            "expect:\n  - {during: split, within: 1s, that: components == 2}\n"
            "  - {always: [{no_conflict: finalized}]}\n"
        ),
        "--json",
    )
    live.at(3.0)
    flushed = live.in_switch("nft", "flush", "ruleset")
    assert flushed.returncode == 0, flushed.stderr
    ended = live.end()
    assert ended.code == 3, str(ended)
    verdict = ended.verdict
    assert verdict["verdict"] == "inconclusive"
    assert fault(verdict, "split")["effective"] is False
    assert all(e["verdict"] != "violated" for e in verdict["expectations"])
    spans = said_from_to(verdict, "split")
    assert spans, verdict["reasons"]
    start, end = spans[0]
    assert 2.5 <= start <= 3.6
    assert 5.5 <= end <= 6.5
    assert fault(verdict, "split")["healed"] is True


def test_rules_that_come_back_are_a_gap_still(trial, scenario):
    """The element that keeps the cuts alive is taken out for a moment: the next renewal brings it back."""
    live = trial(
        scenario("timeline:\n  - {at: 1s, for: 6s, partition: halves, name: split}\nexpect: []\n"), "--json"
    )
    live.at(2.5)
    flushed = live.in_switch("nft", "flush", "set", "ip", "seatrial", "alive")
    assert flushed.returncode == 0, flushed.stderr
    ended = live.end()
    assert ended.code == 3, str(ended)
    start, end = said_from_to(ended.verdict, "split")[0]
    assert 2.0 <= start < end <= 7.1


def put_back_the_clock(pid: int) -> None:
    """Write this process's own, unchanged vDSO over that of another."""

    def where(of: int | str) -> tuple[int, int]:
        line = next(m for m in Path(f"/proc/{of}/maps").read_text().splitlines() if m.endswith("[vdso]"))
        start, end = (int(x, 16) for x in line.split()[0].split("-"))
        return start, end - start

    start, length = where("self")
    with open("/proc/self/mem", "rb", buffering=0) as ours:
        ours.seek(start)
        true = ours.read(length)
    start, _ = where(pid)
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as theirs:
        theirs.seek(start)
        assert theirs.read(length) != true, "its clock was not bent"
        theirs.seek(start)
        theirs.write(true)


@pytest.fixture
def intruder() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes to be ended with the test."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def test_a_pause_a_kill_and_a_clock_that_others_undo(trial, scenario, intruder):
    live = trial(
        scenario(
            "limits: {lose_quorum: true}\n"
            "timeline:\n"
            "  - {at: 1s, for: 4s, pause: n1, name: asleep}\n"
            "  - {at: 1s, for: 4s, kill: n2, name: gone}\n"
            "  - {at: 1s, for: 4s, clock: {of: n3, offset: +1h}, name: ahead}\n"
            "  - {at: 1s, for: 4s, clock: {of: n4, offset: -1h}, name: behind}\n"
            "expect: []\n"
        ),
        "--json",
    )
    live.wait_event("steady")
    paused, killed, bent = (live.pids_of(n)[0] for n in ("n1", "n2", "n3"))
    room, agent = namespace(killed, "net"), live.status()["agent"]
    holder = next(p for p in descendants(agent)[2:] if room in descriptors(p))
    entrance = next(
        f"/proc/{holder}/fd/{fd}"
        for fd in os.listdir(f"/proc/{holder}/fd")
        if os.path.islink(f"/proc/{holder}/fd/{fd}") and os.readlink(f"/proc/{holder}/fd/{fd}") == room
    )
    live.at(2.5)
    os.kill(paused, signal.SIGCONT)
    put_back_the_clock(bent)
    words = ["nsenter", "-t", str(holder), "-p", f"--net={entrance}", "sleep", "1.5"]
    intruder.append(subprocess.Popen(words))
    ended = live.end()
    assert ended.code == 3, str(ended)
    verdict = ended.verdict
    for name in ("asleep", "gone"):
        assert fault(verdict, name)["effective"] is False, verdict["faults"]
        start, end = said_from_to(verdict, name)[0]
        assert 2.0 <= start <= 3.3, name
        assert start < end <= 5.2, name
    assert fault(verdict, "ahead")["effective"] is False
    assert any("'ahead'" in r for r in verdict["reasons"]), verdict["reasons"]
    assert fault(verdict, "behind")["effective"] is True
    assert all(f["healed"] is not False for f in verdict["faults"])


def the_eye(live: Trial) -> int:
    """The agent's child that observes: the one that enters nodes' namespaces and traces nobody."""
    inside = descendants(live.status()["agent"])
    named = {Path(f"/proc/{p}/comm").read_text().strip(): p for p in inside}
    found = [p for name, p in named.items() if "eye" in name]
    assert found, named
    return found[0]


def test_without_an_eye_nothing_is_proved(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 2s, for: 3s, partition: halves, name: split}\n"
            "expect:\n  - {after: split, within: 2s, hold: 1s, that: connected}\n"
        ),
        "--json",
    )
    live.at(1.0)
    os.kill(the_eye(live), signal.SIGKILL)
    ended = live.end()
    assert ended.code == 3, str(ended)
    assert fault(ended.verdict, "split")["effective"] is not True
    assert all(e["verdict"] == "unknown" for e in ended.verdict["expectations"])


def test_a_run_that_sees_nothing_ends_at_its_limit(trial, scenario):
    live = trial(
        scenario(
            "limits: {blind: 2s}\ntimeline:\n  - {at: 1s, for: 60s, partition: halves, name: split}\nexpect: []\n"
        ),
        "--json",
    )
    live.at(1.5)
    os.kill(the_eye(live), signal.SIGKILL)
    ended = live.end(20)
    assert ended.code == 4, str(ended)
    assert any("nothing could be observed for 2 s" in r for r in ended.verdict["reasons"]), str(ended)


@pytest.mark.parametrize("which", ["outer", "agent"])
def test_the_agent_killed_in_the_middle(trial, scenario, which):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 30s, partition: halves, name: split}\n"
            "expect:\n  - {after: split, within: 2s, hold: 1s, that: connected}\n"
        ),
        "--json",
    )
    live.at(1.5)
    print_of = Footprint(live)
    outer, _first, agent = descendants(live.status()["agent"])[:3]
    os.kill({"outer": outer, "agent": agent}[which], signal.SIGKILL)
    ended = live.end(15)
    print_of.assert_gone(2)
    assert ended.code in (4, 5), str(ended)
    assert ended.verdict["verdict"] == "inconclusive"
    assert any("agent" in r for r in ended.verdict["reasons"]), ended.verdict["reasons"]
    assert "Traceback" not in ended.err
    assert wait_for(lambda: live.events("end"), 1, "the end")[0]["why"] == "error"
