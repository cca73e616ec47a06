"""However a run is ended before its time, it heals, says so, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.system.conftest import Footprint, Trial, descendants

pytestmark = [pytest.mark.system, pytest.mark.lab]

ALL_AT_ONCE = """
limits: {lose_quorum: true}
timeline:
  - {at: 500ms, for: 60s, partition: {sides: {left: [n1, n2], right: rest}}, name: split}
  - {at: 500ms, for: 60s, kill: n2, name: gone}
  - {at: 500ms, for: 60s, pause: n3, name: asleep}
  - {at: 500ms, for: 60s, clock: {of: n4, offset: +1h}, name: ahead}
expect:
  - {during: split, within: 1s, that: components >= 2}
  - {after: split, within: 3s, hold: 1s, that: connected}
  - {always: [{no_conflict: finalized}]}
"""
FIRST_SECONDS = 2.5
"""Time enough for a run to heal, take its last look and end."""


def in_force(live: Trial) -> Footprint:
    """Wait until all faults are in force; what there is then."""
    for name in ("down", "paused", "clock"):
        live.wait_event(name)
    footprint = Footprint(live)
    assert len(footprint.processes) > 6
    return footprint


@pytest.mark.root
@pytest.mark.parametrize("victim", ["runner", "outer", "agent", "first"])
def test_killed_in_the_middle_nothing_is_left_within_the_lease(trial, scenario, victim):
    live = trial(scenario(ALL_AT_ONCE))
    footprint = in_force(live)
    outer, first, agent = descendants(live.status()["agent"])[:3]
    victims = {"runner": live.process.pid, "outer": outer, "first": first, "agent": agent}
    os.kill(victims[victim], signal.SIGKILL)
    live.process.communicate(timeout=20)
    footprint.assert_gone(5.0)
    if victim == "runner":
        judged = live.judge()
        assert judged.code in (3, 4), str(judged)
        assert "runner ended" in " ".join(judged.verdict["reasons"]), judged.verdict["reasons"]


@pytest.mark.root
def test_the_runner_and_the_outer_process_killed_together(trial, scenario):
    live = trial(scenario(ALL_AT_ONCE))
    footprint = in_force(live)
    for pid in (live.process.pid, live.status()["agent"]):
        os.kill(pid, signal.SIGKILL)
    live.process.communicate(timeout=20)
    footprint.assert_gone(5.0)


@pytest.mark.root
def test_a_runner_that_is_stopped_loses_its_lease_and_the_network_heals(trial, scenario):
    """A stopped runner cannot renew: the faults are gone when the lease is, and the run says so when it
    goes on.
    """
    live = trial(scenario(ALL_AT_ONCE), "--json", "--lease", "2s")
    in_force(live)
    paused = live.pids_of("n3")[0]
    assert "elements" in cuts_of(live)
    os.kill(live.process.pid, signal.SIGSTOP)
    try:
        time.sleep(3.5)
        state = Path(f"/proc/{paused}/stat").read_text().rsplit(")", 1)[1].split()[0]
        cuts = cuts_of(live)
    finally:
        os.kill(live.process.pid, signal.SIGCONT)
    assert state != "T", "the paused node goes on"
    assert "elements" not in cuts, cuts
    ended = live.end(60)
    assert ended.code in (3, 4), str(ended)
    assert any("lease" in r for r in ended.verdict["reasons"]), ended.verdict["reasons"]


def cuts_of(live: Trial) -> str:
    """The set of cuts, without the help of a runner that stands still."""
    where = ["nsenter", "-t", str(live.known_agent), "-n", "nft", "list", "set", "ip", "seatrial", "cut"]
    return subprocess.run(where, text=True, capture_output=True, check=False).stdout


SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def ended_well(live: Trial, footprint: Footprint, sent: float, *, started: bool) -> None:
    ended = live.end(20)
    took = time.monotonic() - sent
    footprint.assert_gone(1.0)
    assert ended.code == 4, str(ended)
    assert took < FIRST_SECONDS * 2, "somebody waits for it"
    assert "Traceback" not in ended.err
    verdict = json.loads((live.directory / "verdict.json").read_text())
    assert verdict["verdict"] == "inconclusive"
    assert verdict["exit_code"] == 4
    assert any("interrupted" in r for r in verdict["reasons"]), verdict["reasons"]
    assert all(e["verdict"] != "violated" for e in verdict["expectations"])
    assert all(f["healed"] is not False for f in verdict["faults"])
    if started:
        assert [e["left"] for e in live.events("healed")] == [[]]
        assert all(f["effective"] is True for f in verdict["faults"]), verdict["faults"]
        assert {f["ended_by"] for f in verdict["faults"]} == {"abort"}
    assert live.events("end")[0]["why"] == "interrupt"
    assert (live.directory / "junit.xml").exists()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda s: s.name)
def test_during_a_fault(trial, scenario, number):
    live = trial(scenario(ALL_AT_ONCE), "--json")
    footprint = in_force(live)
    live.at(2.0)
    os.kill(live.process.pid, number)
    ended_well(live, footprint, time.monotonic(), started=True)


def test_before_the_steady_state(trial, scenario):
    rest = (
        "timeline:\n  - {at: 1s, for: 1s, kill: n1}\nexpect:\n  - {before: faults, that: height > 100000}\n"
    )
    live = trial(scenario(rest), "--json")
    live.wait_event("sample")
    footprint = Footprint(live)
    os.kill(live.process.pid, signal.SIGINT)
    ended_well(live, footprint, time.monotonic(), started=False)


def test_while_it_starts(trial, scenario):
    """A node that is never ready holds the start up; the signal must not have to wait for it."""
    network = "{names: s, count: 3, run: [sleep, 100], ready: {port: 99, within: 60s}}"
    rest = "timeline:\n  - {at: 1s, for: 1s, kill: s1}\nexpect: []\n"
    live = trial(scenario(rest, network=network), "--json")
    live.wait_event("started")
    time.sleep(0.3)
    footprint = Footprint(live)
    os.kill(live.process.pid, signal.SIGTERM)
    ended_well(live, footprint, time.monotonic(), started=False)


def test_as_soon_as_there_is_a_run_directory(trial, scenario):
    live = trial(scenario(ALL_AT_ONCE), "--json")
    assert live.directory
    os.kill(live.process.pid, signal.SIGTERM)
    ended = live.end(20)
    assert ended.code == 4, str(ended)
    assert "Traceback" not in ended.err


def test_in_the_last_window(trial, scenario):
    rest = (
        "timeline:\n  - {at: 500ms, for: 1s, kill: n1, name: crash}\n"
        "expect:\n  - {after: crash, within: 60s, hold: 1s, that: connected}\n  - {always: up}\n"
    )
    live = trial(scenario(rest), "--json")
    live.at(3.5)
    footprint = Footprint(live)
    os.kill(live.process.pid, signal.SIGINT)
    ended = live.end(20)
    footprint.assert_gone(1.0)
    assert ended.code == 4, str(ended)
    assert ended.verdict["faults"][0]["effective"] is True
    assert ended.verdict["faults"][0]["healed"] is True


def test_twice_is_at_once(trial, scenario):
    live = trial(scenario(ALL_AT_ONCE), "--json")
    footprint = in_force(live)
    for _ in range(2):
        os.kill(live.process.pid, signal.SIGINT)
        time.sleep(0.05)
    ended = live.end(10)
    footprint.assert_gone(1.0)
    assert ended.code in (4, 5), str(ended)
    assert ended.verdict["verdict"] == "inconclusive"
    assert "Traceback" not in ended.err


def test_ctrl_c_in_a_terminal_reaches_the_runner_alone(trial, scenario):
    """The whole process group gets the signal there; agent and nodes are in sessions of their own."""
    live = trial(scenario(ALL_AT_ONCE), "--json", own_group=True)
    footprint = in_force(live)
    inside = descendants(live.status()["agent"])
    assert all(os.getpgid(p) != os.getpgid(live.process.pid) for p in inside)
    os.killpg(live.process.pid, signal.SIGINT)
    ended_well(live, footprint, time.monotonic(), started=True)
