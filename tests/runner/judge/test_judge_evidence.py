"""Proof that a fault took effect and is gone: every kind of evidence, for and against and missing."""

import pytest
from written import Journal, World, names, scenario

from runner.judge.judge import judge

N = names(4)
SIDES = [["n1", "n2"], ["n3", "n4"]]
CUT = {"cuts": {"blocks": SIDES, "cut": [[0, 1], [1, 0]]}}
PAIRS = [("n1", "n3"), ("n3", "n1")]


def plain(until=30.0, **rest):
    return Journal(World(list(N)), until=until, **rest)


def fault(journal, name="split"):
    verdict = judge(scenario(), journal.events())
    return next(f for f in verdict.faults if f.name == name), verdict


def commanded(journal, start=10.0, end=20.0):
    """A partition of which only the command is known."""
    journal.step("split", "partition", start, end, sides={"a": SIDES[0], "b": SIDES[1]})
    return journal.model(start, CUT).model(end, {})


def test_heartbeats_prove_and_date_a_cut():
    found, verdict = fault(commanded(plain()).beats(PAIRS, (10.04, False), (20.06, True)))
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    interval = found.intervals[0]
    assert (interval.started_s, interval.effective_s, interval.ended_s) == (5.0, pytest.approx(5.04), 15.0)
    assert interval.healed_s == pytest.approx(15.06)
    assert interval.leaked_s == pytest.approx(0.04)


def test_packets_that_pass_while_cut_disprove_it_from_when_to_when():
    journal = commanded(plain()).beats(
        PAIRS[:1], (10.04, False), (12.31, True), (14.02, False), (20.05, True)
    )
    found, verdict = fault(journal)
    assert found.effective is False
    assert (
        "packets passed n1→n3 from 7.31 s to 9.02 s while 'split' should have been in force" in found.reason
    )
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)
    assert "'split' was not in force" in verdict.reasons[0]


def test_a_cut_that_never_took_effect_is_disproved():
    found, _ = fault(commanded(plain()).beats(PAIRS))
    assert found.effective is False
    assert "packets passed" in found.reason


def test_a_little_time_around_commanded_changes_is_no_disproof():
    found, _ = fault(commanded(plain()).beats(PAIRS, (10.12, False), (19.9, True)))
    assert found.effective is True


def test_without_any_measurement_there_is_no_evidence():
    found, verdict = fault(commanded(plain()))
    assert (found.effective, found.healed) == (None, None)
    assert verdict.exit_code == 3
    assert "no evidence of 'split': no heartbeat, sweep or connection crossed the cut" in verdict.reasons[0]


def test_pairs_that_were_unreachable_before_are_left_out_and_listed():
    journal = commanded(plain()).beats(PAIRS, (10.04, False), (20.06, True))
    journal.add("beat", 1.0, pair=["n2", "n4"], through=False, since=1.0)
    found, _ = fault(journal)
    assert found.effective is True
    assert any("unreachable before: n2→n4" in e.seen for e in found.evidence)
    alone = commanded(plain()).add("beat", 1.0, pair=["n2", "n4"], through=False, since=1.0)
    assert fault(alone)[0].effective is None


def test_a_direction_that_nobody_watched_is_not_proved():
    found, verdict = fault(commanded(plain()).beats(PAIRS[:1], (10.04, False), (20.06, True)))
    assert found.effective is None
    assert found.reason == "no heartbeat and no sweep showed n3, n4 cut from n1, n2"
    assert verdict.exit_code == 3


def test_a_sweep_inside_the_phase_disproves_and_one_at_its_edge_does_not():
    whole = {"blocks": [list(N)], "cut": []}
    inside = (
        commanded(plain())
        .beats(PAIRS, (10.04, False), (20.06, True))
        .add("sweep", 15.0, at=15.0, reach=whole)
    )
    found, _ = fault(inside)
    assert found.effective is False
    assert "at 10.00 s packets passed n1→n3" in found.reason
    edge = (
        commanded(plain())
        .beats(PAIRS, (10.04, False), (20.06, True))
        .add("sweep", 19.8, at=19.8, reach=whole)
    )
    assert fault(edge)[0].effective is True


def test_a_sweep_alone_is_evidence():
    journal = commanded(plain()).add("sweep", 15.0, at=15.0, reach=CUT["cuts"])
    found, _ = fault(journal)
    assert found.effective is True
    assert found.healed is None


def test_bytes_that_move_across_the_cut_disprove_it():
    journal = commanded(plain()).beats(PAIRS, (10.04, False), (20.06, True))
    journal.add(
        "streams", 19.9, **{"trial": "split", "moved": [["n2", "n4"]], "idle": 3, "from": 11.0, "to": 19.8}
    )
    found, _ = fault(journal)
    assert found.effective is False
    assert "bytes moved on n2–n4 from 6.00 s to 14.80 s" in found.reason


def test_what_lapsed_behind_our_back_is_reported_from_to():
    journal = commanded(plain()).beats(PAIRS, (10.04, False), (20.06, True))
    journal.add(
        "lapsed", 14.0, what="cuts", node=None, detail="the table is gone", **{"from": 13.0, "to": 14.0}
    )
    found, _ = fault(journal)
    assert found.effective is False
    assert "gone from 8.00 s to 9.00 s (the table is gone)" in found.reason


def test_a_lapse_after_the_fault_says_nothing_of_it():
    journal = commanded(plain()).beats(PAIRS, (10.04, False), (20.06, True))
    journal.add("lapsed", 25.0, what="cuts", node=None, **{"from": 24.0, "to": 25.0})
    assert fault(journal)[0].effective is True


def test_pairs_that_stay_silent_are_not_healed():
    found, verdict = fault(commanded(plain()).beats(PAIRS, (10.04, False)))
    assert (found.effective, found.healed) == (True, False)
    assert "n1→n3, n3→n1 still silent" in found.reason
    assert verdict.exit_code == 5


def test_an_end_too_close_to_the_end_of_the_run_is_not_known_to_be_gone():
    found, verdict = fault(commanded(plain(until=20.5)).beats(PAIRS, (10.04, False)))
    assert (found.effective, found.healed) == (True, None)
    assert "too soon to see it gone" in found.reason
    assert verdict.exit_code == 3


def test_a_permanent_fault_needs_no_healing():
    journal = plain().step("split", "partition", 10, None, sides={"a": SIDES[0], "b": SIDES[1]})
    journal.model(10.0, CUT).beats(PAIRS, (10.04, False))
    found, verdict = fault(journal)
    assert (found.effective, found.permanent, found.ended_by) == (True, True, "run_end")
    assert found.healed is None
    assert verdict.exit_code == 0


def test_each_flap_is_an_interval_of_its_own():
    journal = plain()
    spans = [[10, 12, None], [14, 16, None], [18, 20, None]]
    journal.step("flapping", "cut", 10, 20, targets=["n1"], sides={"to": ["n3"]}, spans=spans)
    changes = []
    for start, end, _ in spans:
        journal.model(start, CUT).model(end, {})
        changes += [(start + 0.04, False), (end + 0.05, True)]
    found, _ = fault(journal.beats(PAIRS, *changes), "flapping")
    assert found.effective is True
    assert [round(i.effective_s, 2) for i in found.intervals] == [5.04, 9.04, 13.04]
    broken = [c for c in changes if not 13 < c[0] < 17]
    journal = plain().step("flapping", "cut", 10, 20, targets=["n1"], sides={"to": ["n3"]}, spans=spans)
    for start, end, _ in spans:
        journal.model(start, CUT).model(end, {})
    found, _ = fault(journal.beats(PAIRS, *broken), "flapping")
    assert found.effective is False
    assert "from 9.00 s to 11.00 s" in found.reason


def test_the_end_of_one_of_two_overlapping_cuts_leaves_the_other():
    journal = commanded(plain(until=40)).step(
        "second", "partition", 15, 30, sides={"a": SIDES[0], "b": SIDES[1]}
    )
    journal.extra = [e for e in journal.extra if not (e["event"] == "model" and e["asked"] == 20.0)]
    journal.model(15.0, CUT).model(20.0, CUT).model(30.0, {}).beats(PAIRS, (10.04, False), (30.05, True))
    verdict = judge(scenario(), journal.events())
    assert [f.effective for f in verdict.faults] == [True, True]


def test_kill_is_proved_by_processes_gone_and_started_again():
    found, verdict = fault(plain().kill(10, 20, ["n1", "n2"]), "crash")
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    assert found.intervals[0].effective_s == pytest.approx(5.03)
    assert found.intervals[0].healed_s == pytest.approx(15.1)


def test_kill_without_its_report_has_no_evidence():
    journal = plain().kill(10, 20, ["n1", "n2"])
    journal.extra = [e for e in journal.extra if (e["event"], e.get("node")) != ("down", "n2")]
    found, _ = fault(journal, "crash")
    assert found.effective is None
    assert "that n2 was down was not reported" in found.reason


def test_a_supervisor_that_starts_a_killed_node_disproves_it():
    found, _ = fault(
        plain().kill(10, 20, ["n1"]).add("started", 13.0, node="n1", pid=9, why="supervisor"), "crash"
    )
    assert found.effective is False
    assert (
        "n1 was started again (supervisor) at 8.00 s while 'crash' should have been in force" in found.reason
    )


def test_a_node_that_is_not_started_again_is_not_healed():
    journal = plain().kill(10, 20, ["n1"])
    journal.extra = [e for e in journal.extra if e["event"] != "started"]
    found, verdict = fault(journal, "crash")
    assert found.healed is False
    assert verdict.exit_code == 5


def test_pause_is_proved_by_stopped_and_resumed():
    def journal():
        made = plain().step("nap", "pause", 10, 20, targets=["n1"], claims=("paused",))
        made.model(10.0, {"status": {"n1": {"is": "paused"}}}).model(20.0, {})
        return made.add("paused", 10.02, node="n1", pids=[4], leaked_s=0.02)

    found, _ = fault(journal().add("resumed", 20.02, node="n1", pids=[4]), "nap")
    assert (found.effective, found.healed) == (True, True)
    found, _ = fault(journal().add("resumed", 14.0, node="n1", pids=[4]), "nap")
    assert found.effective is False


def clocked(offset_ns, *, restored=True, checks=(), condition=None):
    journal = plain().step("ahead", "clock", 10, 20, targets=["n1"], claims=("clock",))
    state = condition or {"offset_s": 30.0, "drifts": [], "strobes": [], "frozen_since": None}
    journal.model(10.0, {"clocks": {"n1": state}}).model(20.0, {})
    if offset_ns is not None:
        journal.add(
            "clock", 10.02, node="n1", pids=[4], offset_ns=[[4, offset_ns]], expected_ns=30e9, problems=[]
        )
    for t, check in checks:
        journal.add("clock_check", t, nodes={"n1": [check]})
    return journal.add(
        "clock", 20.02, node="n1", pids=[4], offset_ns=[[4, 0]], expected_ns=0, restored=restored
    )


def test_clocks_are_proved_by_what_processes_see():
    found, verdict = fault(clocked(30_000_001_000), "ahead")
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    found, _ = fault(clocked(29_000_000_000), "ahead")
    assert found.effective is False
    assert "n1's process 4 is +29.000 s off" in found.reason
    found, _ = fault(clocked(None), "ahead")
    assert found.effective is None
    found, verdict = fault(clocked(30_000_000_000, restored=False), "ahead")
    assert (found.healed, verdict.exit_code) == (False, 5)


def test_a_process_that_does_not_see_the_clock_error_disproves_it():
    check = {"pid": 9, "offset_ns": 0, "error_ns": 50, "covered": False, "why": "it makes raw system calls"}
    found, _ = fault(clocked(30_000_000_000, checks=[(15.0, check)]), "ahead")
    assert found.effective is False
    assert "n1's process 9 does not see it: it makes raw system calls" in found.reason


def test_drift_and_freeze_are_compared_with_their_line():
    drift = {"offset_s": 0.0, "drifts": [[10.0, 1000.0]], "strobes": [], "frozen_since": None}
    check = {"pid": 4, "offset_ns": 5_000_000, "error_ns": 50, "covered": True}
    found, _ = fault(clocked(0, condition=drift, checks=[(15.0, check)]), "ahead")
    assert found.effective is True
    found, _ = fault(
        clocked(0, condition=drift, checks=[(15.0, {**check, "offset_ns": 50_000_000})]), "ahead"
    )
    assert found.effective is False
    frozen = {"offset_s": 0.0, "drifts": [], "strobes": [], "frozen_since": 10.0}
    found, _ = fault(
        clocked(-20_000_000, condition=frozen, checks=[(15.0, {**check, "offset_ns": -5e9})]), "ahead"
    )
    assert found.effective is True


def test_restart_and_start_are_proved_by_processes():
    journal = plain().step("rude", "restart", 10, 10, targets=["n1"], claims=("restarted",))
    journal.add("exited", 10.01, node="n1", pid=4, code=-9, expected=True)
    assert fault(journal, "rude")[0].effective is None
    journal.add("started", 10.3, node="n1", pid=5, why="restart")
    found, verdict = fault(journal, "rude")
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    joined = plain().step("join", "start", 10, 10, targets=["n4"], claims=("started",))
    joined.add("started", 10.2, node="n4", pid=5, why="first")
    assert fault(joined, "join")[0].effective is True


def test_a_fault_that_claims_nothing_has_no_evidence():
    found, verdict = fault(plain().step("odd", "odd", 10, 20, claims=()), "odd")
    assert found.effective is None
    assert verdict.exit_code == 3


def test_a_lease_that_ran_out_ended_the_fault():
    journal = commanded(plain(until=30)).beats(PAIRS, (10.04, False), (15.06, True))
    journal.add("lease", 15.0)
    found, _ = fault(journal)
    assert found.ended_by == "lease"


def test_the_end_of_a_cut_under_another_shows_when_that_one_ends():
    def journal(*back):
        made = commanded(plain(until=40)).step(
            "second", "partition", 15, 30, sides={"a": SIDES[0], "b": SIDES[1]}
        )
        made.extra = [e for e in made.extra if not (e["event"] == "model" and e["asked"] == 20.0)]
        made.model(15.0, CUT).model(20.0, CUT).model(30.0, {})
        return made.beats(PAIRS, (10.04, False), *back)

    found, verdict = fault(journal((30.05, True)))
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    found, verdict = fault(journal())
    assert (found.healed, verdict.exit_code) == (False, 5)


def napping(**after):
    """A pause that ends while the node is killed; ``after`` is the event that follows the end of the kill."""
    made = plain().step("nap", "pause", 8, 12, targets=["n1"], claims=("paused",)).kill(10, 20, ["n1"])
    made.model(8.0, {"status": {"n1": {"is": "paused"}}})
    made.add("paused", 8.02, node="n1", pids=[4], leaked_s=0.02)
    down = {"status": {"n1": {"is": "down", "signal": "kill", "wipe": False}}}
    return made.model(12.0, down)


def test_the_end_of_a_pause_under_a_kill_shows_when_the_node_runs_again():
    found, verdict = fault(napping(), "nap")
    assert (found.effective, found.healed, verdict.exit_code) == (True, True, 0)
    assert found.intervals[0].healed_s == pytest.approx(15.1)
    journal = napping()
    journal.extra = [e for e in journal.extra if e["event"] != "started"]
    assert fault(journal, "nap")[0].healed is False


def test_who_had_ended_by_itself_was_not_killed():
    def journal(expected):
        made = plain().kill(10, 20, ["n1"])
        made.extra = [
            e | ({"gone": []} if e["event"] == "down" else {}) for e in made.extra if e["event"] != "exited"
        ]
        return made.add("exited", 8.0, node="n1", pid=7, code=1, expected=expected)

    found, verdict = fault(journal(False), "crash")
    assert (found.effective, verdict.exit_code) == (None, 3)
    assert found.reason == "n1 had no process that could be ended"
    assert fault(journal(True), "crash")[0].effective is True


def test_a_fault_without_an_end_is_in_force_until_everything_is_healed():
    journal = plain().kill(10, 30, ["n1"])
    journal.extra = [
        e | ({"end": None, "spans": [[10, None, None]], "permanent": True} if e["event"] == "step" else {})
        for e in journal.extra
        if e["event"] != "started"
    ]
    # The last healing starts the node again, some time before the run is over.
    journal.add("started", 30.02, node="n1", pid=8, why="heal")
    events = [e | ({"t": 31.0} if e["event"] in ("healed", "end") else {}) for e in journal.events()]
    verdict = judge(scenario(), events)
    assert [(f.name, f.effective) for f in verdict.faults] == [("crash", True)]
    assert verdict.exit_code == 0


def test_a_clock_that_nobody_could_read_is_not_proved():
    def journal(*checks):
        made = clocked(None, checks=checks).kill(8, 15, ["n1"])
        made.extra = [e for e in made.extra if not (e["event"] == "model" and e["asked"] in (10.0, 15.0))]
        clock = {"clocks": {"n1": {"offset_s": 30.0, "drifts": [], "strobes": [], "frozen_since": None}}}
        down = {"status": {"n1": {"is": "down", "signal": "kill", "wipe": False}}}
        return made.model(10.0, {**clock, **down}).model(15.0, clock)

    # The node was down when the clock fault began, and is started into it.
    found, verdict = fault(journal(), "ahead")
    assert (found.effective, verdict.exit_code) == (None, 3)
    assert found.reason == "the clock of n1 was not measured"
    seen = {"pid": 8, "offset_ns": 30_000_000_000, "error_ns": 50, "covered": True}
    assert fault(journal((17.0, seen)), "ahead")[0].effective is True
    assert fault(journal((17.0, {**seen, "offset_ns": 0})), "ahead")[0].effective is False
