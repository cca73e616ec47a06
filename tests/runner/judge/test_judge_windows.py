"""Each rule of time and precedence on a written journal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from written import Journal, World, chain, expect, names, scenario

from runner.judge.judge import judge
from runner.records.journal import JournalError

N = names(4)
SIDES = [["n1", "n2"], ["n3", "n4"]]


def split_world(start, end, *, back=3.0, facts=None):
    """Two halves between ``start`` and ``end``; afterwards connected again ``back`` seconds later."""
    world = World(list(N), facts or (lambda t, n: chain(t)))

    def edges(t):
        return [("n1", "n2"), ("n3", "n4")] if start <= t < end + back else world.mesh(t)

    def reach(t):
        cut = [[0, 1], [1, 0]] if start <= t < end else []
        return {"blocks": SIDES, "cut": cut}

    world.edges, world.reach = edges, reach
    return world


def run(journal, *expectations):
    verdict = judge(scenario(*expectations), journal.events())
    return verdict, {e.name: e for e in verdict.expectations}


def test_a_split_that_heals_is_held_with_its_recovery_time():
    journal = Journal(split_world(10, 20), until=40).split(10, 20, SIDES)
    verdict, by = run(
        journal,
        expect("before", "connected", of="faults"),
        expect("during", "components == 2", of="split"),
        expect(
            "after",
            "connected",
            {"agree": "head"},
            {"progress": "height"},
            of="split",
            within="10s",
            hold="3s",
        ),
        expect("always", {"no_conflict": "finalized"}, {"never_back": "finalized"}, "no_crash"),
    )
    assert verdict.reasons[0].startswith("all 4 expectations held"), verdict.reasons
    assert (verdict.verdict, verdict.exit_code) == ("held", 0)
    assert by["after split"].recovery_s == pytest.approx(3.0, abs=0.5)
    assert by["after split"].flow_s == pytest.approx(0.05, abs=0.02)
    assert by["after split"].nodes["n3"].recovery_s == pytest.approx(3.0, abs=0.5)
    fault = verdict.faults[0]
    assert (fault.effective, fault.healed) == (True, True)
    assert fault.intervals[0].effective_s == pytest.approx(5.04)
    assert fault.intervals[0].healed_s == pytest.approx(15.06)


def test_not_connected_within_the_bound_is_violated_naming_nodes():
    journal = Journal(split_world(10, 20, back=100), until=40).split(10, 20, SIDES)
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert (verdict.verdict, verdict.exit_code) == ("violated", 1)
    assert "n3, n4 do not connect to the other 2: components of 2 and 2 nodes" in by["after split"].reason
    assert by["after split"].bound_distance.value == 2
    assert by["after split"].nodes["n3"].verdict == "violated"


@pytest.mark.parametrize(("back", "answer"), [(4.4, "held"), (4.9, "held"), (5.3, "violated")])
def test_within_bounds_the_start_of_the_hold_interval(back, answer):
    journal = Journal(split_world(10, 20, back=back), until=40).split(10, 20, SIDES)
    _, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == answer


def test_every_sample_of_the_hold_interval_must_hold():
    world = split_world(10, 20, back=0.5)
    steady = world.edges
    world.edges = lambda t: [] if 20 < t < 40 and int(t * 2) % 4 == 0 else steady(t)
    journal = Journal(world, until=45).split(10, 20, SIDES)
    _, by = run(journal, expect("after", "connected", of="split", within="10s", hold="3s"))
    assert by["after split"].verdict == "violated"
    assert "held for 1.0 s at most, 3 s wanted" in by["after split"].reason


def test_recovery_counts_from_the_first_interval_that_holds_not_from_the_first_good_sample():
    world = split_world(10, 20, back=0.5)
    steady = world.edges
    world.edges = lambda t: [] if 22 <= t < 24 else steady(t)
    journal = Journal(world, until=45).split(10, 20, SIDES)
    _, by = run(journal, expect("after", "connected", of="split", within="10s", hold="3s"))
    assert by["after split"].recovery_s == pytest.approx(4.0, abs=0.1)


def test_a_network_that_hangs_after_the_heal_is_violated_not_inconclusive():
    world = split_world(10, 20, facts=lambda t, n: chain(t) if t < 20 else "timeout")
    journal = Journal(world, until=40).split(10, 20, SIDES)
    verdict, by = run(journal, expect("after", {"agree": "head"}, of="split", within="5s", hold="3s"))
    assert (verdict.verdict, verdict.exit_code) == ("violated", 1)
    assert "does not answer (timeout)" in by["after split"].reason


def test_a_chain_that_stands_still_after_the_heal_is_violated():
    world = split_world(10, 20, facts=lambda t, n: chain(min(t, 20)))
    journal = Journal(world, until=40).split(10, 20, SIDES)
    _, by = run(journal, expect("after", {"progress": "height"}, of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "violated"
    assert "did not rise" in by["after split"].reason


def test_our_own_blindness_is_unknown():
    world = split_world(10, 20)
    world.missed = lambda t: t > 21
    journal = Journal(world, until=40).split(10, 20, SIDES)
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "unknown"
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)


def test_unknown_samples_that_cannot_matter_do_not_matter():
    world = split_world(10, 20, back=1.0)
    world.missed = lambda t: t == 22.0
    journal = Journal(world, until=45).split(10, 20, SIDES)
    _, by = run(journal, expect("after", "connected", of="split", within="10s", hold="3s"))
    assert by["after split"].verdict == "held"
    assert by["after split"].recovery_s == pytest.approx(2.5, abs=0.1), "not before the missed sample"


def test_missing_samples_are_forgiven_up_to_their_share():
    world = split_world(10, 20)
    world.missed = lambda t: t == 15.0
    journal = Journal(world, until=40).split(10, 20, SIDES)
    strict, lenient = (
        expect("during", "components == 2", of="split", name=n, missing=m)
        for n, m in (("strict", 0.0), ("lenient", 0.1))
    )
    _, by = run(journal, strict, lenient)
    assert by["strict"].verdict == "unknown"
    assert by["lenient"].verdict == "held"


def test_during_spans_from_effective_to_the_begin_of_the_heal():
    # Two components are seen only between the observed begin and the commanded end: more is violated.
    journal = Journal(split_world(10.0, 20.0), until=40).split(10, 20, SIDES)
    _, by = run(journal, expect("during", "components == 2", of="split"))
    assert by["during split"].verdict == "held"
    wrong = Journal(split_world(10.0, 18.0), until=40).split(10, 20, SIDES)
    _, by = run(wrong, expect("during", "components == 2", of="split"))
    assert by["during split"].verdict == "unknown", (
        "the sweeps disprove the split, so its violation does not count"
    )


def test_during_with_within_opens_later():
    facts = lambda t, n: {**chain(min(t, 13)), "finalized": [int(min(t, 13)), "x"]}  # noqa: E731
    journal = Journal(split_world(10, 20, facts=facts), until=40).split(10, 20, SIDES)
    _, by = run(
        journal,
        expect("during", {"stalled": "finalized"}, of="split", name="at once"),
        expect("during", {"stalled": "finalized"}, of="split", within="4s", name="later"),
    )
    assert by["at once"].verdict == "violated"
    assert "finalized rose by" in by["at once"].reason
    assert by["later"].verdict == "held"


def test_a_violated_safety_expectation_counts_whatever_the_evidence():
    def facts(t, n):
        return chain(t, "x" if n in ("n3", "n4") else "b", since=10)

    world = split_world(10, 20, facts=facts)
    world.reach = lambda t: None
    journal = Journal(world, until=40).split(10, 20, SIDES, watched=False)
    verdict, by = run(journal, expect("always", {"no_conflict": "finalized"}))
    assert verdict.faults[0].effective is None
    assert (verdict.verdict, verdict.exit_code) == ("violated", 1)
    assert "n1, n2 have b0010; n3, n4 have x0010" in by["always"].reason
    assert verdict.reasons[0].startswith("always: at ")


def test_a_violation_without_evidence_of_its_fault_does_not_count():
    world = split_world(10, 20, back=100)
    world.reach = lambda t: None
    journal = Journal(world, until=40).split(10, 20, SIDES, watched=False)
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "unknown"
    assert "does not count, since 'split' is not proved" in by["after split"].reason
    assert verdict.exit_code == 3


def test_a_violation_does_not_count_if_an_overlapping_fault_lacks_evidence():
    journal = Journal(split_world(10, 20, back=100), until=40).split(10, 20, SIDES)
    journal.step("nap", "pause", 22, 24, targets=["n1"], claims=("paused",))
    _, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert "since 'nap' is not proved" in by["after split"].reason
    apart = Journal(split_world(10, 20, back=100), until=45).split(10, 20, SIDES)
    apart.step("nap", "pause", 32, 34, targets=["n1"], claims=("paused",))
    _, by = run(apart, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "violated"


def test_held_with_a_fault_that_lacks_evidence_is_inconclusive():
    world = split_world(10, 20)
    world.reach = lambda t: None
    journal = Journal(world, until=40).split(10, 20, SIDES, watched=False)
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "held"
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)
    assert "there is no evidence of 'split'" in verdict.reasons[0]


def test_a_window_that_an_abort_cut_short_is_unknown_with_the_reason():
    journal = Journal(split_world(10, 20, back=100), until=23, why="interrupt").split(10, 20, SIDES)
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "unknown"
    assert "the run was interrupted before the window closed" in by["after split"].reason
    assert verdict.exit_code == 4
    assert verdict.reasons[0] == "the run was interrupted"


def test_a_fault_that_an_abort_ended_is_told_so():
    journal = Journal(split_world(10, 15), until=15, why="abort").split(10, 20, SIDES)
    journal.extra = [e for e in journal.extra if e["t"] < 15]
    journal.beats(
        [],
    ).model(15.0, {})
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s"))
    assert verdict.faults[0].ended_by == "abort"
    assert "the run was over before 'split' had ended" in by["after split"].reason
    assert verdict.exit_code == 4


def test_a_run_that_was_killed_is_broken_off():
    journal = Journal(split_world(10, 20), until=15, ends=False).split(10, 20, SIDES)
    journal.extra = [e for e in journal.extra if e["t"] < 15]
    verdict, _ = run(journal, expect("after", "connected", of="split", within="5s"))
    assert verdict.exit_code == 4
    assert "the runner ended in the middle of the run" in verdict.reasons


def test_what_could_not_be_healed_comes_first():
    journal = Journal(split_world(10, 20, back=100), until=40, left=["rule 7 of table seatrial"]).split(
        10, 20, SIDES
    )
    verdict, _ = run(journal, expect("after", "connected", of="split", within="5s"))
    assert verdict.exit_code == 5
    assert verdict.reasons[0] == "could not be healed: rule 7 of table seatrial"


def test_a_steady_state_that_was_never_reached_is_inconclusive():
    world = World(list(N), edges=lambda t: [("n1", "n2")])
    journal = Journal(world, until=30, zero=None, why="abort")
    verdict, by = run(journal, expect("before", "connected", of="faults"), expect("always", "no_crash"))
    assert by["before faults"].verdict == "unknown"
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 3)


def test_a_trigger_that_was_never_met_is_inconclusive_not_aborted():
    journal = Journal(World(list(N)), until=30, why="abort").add(
        "trigger", 28.0, step="x", when="no", met=False
    )
    verdict, _ = run(journal, expect("always", "no_crash"))
    assert verdict.exit_code == 3


def test_before_says_why_there_was_no_steady_state():
    world = World(list(N), edges=lambda t: [("n1", "n2")])
    _, by = run(Journal(world, until=30), expect("before", "connected", of="faults"))
    assert by["before faults"].verdict == "unknown"
    assert "no steady state" in by["before faults"].reason


def test_after_kill_opens_when_the_node_is_started_again():
    def facts(t, n):
        return "refused" if n == "n1" and 10 <= t < 22 else chain(t)

    journal = Journal(World(list(N), facts), until=40).kill(10, 20, ["n1"])
    for event in journal.extra:
        if event["event"] == "started":
            event["t"] = 21.0
    _, by = run(journal, expect("after", {"agree": "head"}, of="crash", within="5s"))
    assert by["after crash"].recovery_s == pytest.approx(1.0, abs=0.1)


def test_after_faults_opens_at_the_last_end():
    journal = Journal(split_world(20, 30), until=50).kill(10, 12, ["n1"]).split(20, 30, SIDES)
    _, by = run(journal, expect("after", "connected", of="faults", within="10s"))
    assert by["after faults"].recovery_s == pytest.approx(3.0, abs=0.5)


def test_each_trial_of_a_repeated_step_is_judged():
    world = split_world(10, 14, back=1)
    other = split_world(25, 29, back=100)
    first, second = world.edges, other.edges
    world.edges = lambda t: first(t) if t < 25 else second(t)
    ranges = [(10, 14), (25, 29)]
    world.reach = lambda t: {
        "blocks": SIDES,
        "cut": [[0, 1], [1, 0]] if any(a <= t < b for a, b in ranges) else [],
    }
    journal = Journal(world, until=45)
    for i, (a, b) in enumerate(ranges, 1):
        journal.step("split", "partition", a, b, sides={"a": SIDES[0], "b": SIDES[1]}, trial=f"split.{i}")
        journal.model(a, {"cuts": {"blocks": SIDES, "cut": [[0, 1], [1, 0]]}}).model(b, {})
    journal.beats([("n1", "n3"), ("n3", "n1")], (10.04, False), (14.05, True), (25.04, False), (29.05, True))
    verdict, by = run(journal, expect("after", "connected", of="split", within="5s", hold="2s"))
    assert by["after split (split.1)"].verdict == "held"
    assert by["after split (split.2)"].verdict == "violated"
    assert verdict.exit_code == 1


def test_a_step_that_was_never_started_leaves_its_expectations_unknown():
    _, by = run(Journal(World(list(N)), until=20), expect("after", "connected", of="split", within="5s"))
    assert by["after split"].reason == "'split' was never started"


def test_always_begins_at_the_steady_state():
    world = World(list(N), edges=lambda t: [] if t < 4 else [(a, b) for a in N for b in N if a < b])
    _, by = run(Journal(world, until=20), expect("always", "connected"))
    assert by["always"].verdict == "held"


def test_a_crash_after_the_last_sample_counts_too():
    journal = Journal(World(list(N)), until=20.4).add(
        "exited", 20.3, node="n2", pid=3, code=-11, expected=False
    )
    _, by = run(journal, expect("always", "no_crash"))
    assert by["always"].reason.endswith("n2 ended by itself at 15.3 s (signal 11)")


def test_what_accumulates_survives_a_missed_sample_but_not_a_blind_end():
    world = World(list(N), missed=lambda t: t == 12.0)
    _, by = run(Journal(world, until=20), expect("always", {"no_conflict": "finalized"}))
    assert by["always"].verdict == "held"
    blind = World(list(N), missed=lambda t: t > 12.0)
    _, by = run(Journal(blind, until=20), expect("always", {"no_conflict": "finalized"}))
    assert by["always"].verdict == "unknown"
    assert "nothing was observed from" in by["always"].reason


def test_a_gap_without_a_word_is_a_gap_in_which_nothing_was_seen():
    journal = Journal(World(list(N)), until=20)
    events = [e for e in journal.events() if not (e["event"] == "sample" and 10 < e["t"] < 14)]
    verdict = judge(scenario(expect("always", "connected")), events)
    assert verdict.expectations[0].verdict == "unknown"


def test_a_log_line_may_come_until_the_window_closes():
    journal = Journal(split_world(10, 20), until=40).split(10, 20, SIDES)
    journal.add("log", 19.0, node="n1", pattern="alone", text="now alone")
    _, by = run(
        journal,
        expect("during", {"log": "alone"}, of="split", name="said"),
        expect("during", {"log": "nobody"}, of="split", name="unsaid"),
        expect("always", {"not": {"log": "alone"}}, name="never"),
    )
    assert by["said"].verdict == "held"
    assert by["unsaid"].verdict == "violated"
    assert "n1 logged 'now alone' at 14.0 s" in by["never"].reason


def test_a_node_that_the_model_has_down_is_neutral_and_counts_once_it_should_be_back():
    def facts(t, n):
        return "refused" if n == "n1" and t >= 10 else chain(t)

    journal = Journal(World(list(N), facts), until=50).kill(10, 20, ["n1"])
    _, by = run(
        journal,
        expect("during", "lag <= 1", of="crash"),
        expect("after", "lag <= 1", of="crash", within="5s"),
        expect("always", "lag <= 1"),
    )
    assert by["during crash"].verdict == "held"
    assert by["after crash"].verdict == "violated"
    assert by["always"].verdict == "violated", "ten seconds after the heal at the latest"


def test_a_node_that_comes_back_is_neutral_until_it_answers_where_nothing_sets_a_deadline():
    def facts(t, n):
        return "refused" if n == "n1" and 10 <= t < 23 else chain(t)

    journal = Journal(World(list(N), facts), until=40).kill(10, 20, ["n1"])
    _, by = run(journal, expect("after", "lag <= 1", of="crash", within="5s"), expect("always", "lag <= 1"))
    assert by["always"].verdict == "held"
    assert by["after crash"].recovery_s == pytest.approx(2.9, abs=0.1)


def test_faulted_and_bystanders_recover_apart():
    def facts(t, n):
        return "refused" if n == "n1" and 10 <= t < 24 else chain(t)

    journal = Journal(World(list(N), facts), until=45).kill(10, 20, ["n1"])
    verdict, by = run(journal, expect("after", "height >= 3", of="crash", within="8s"))
    assert by["after crash"].nodes["n2"].recovery_s == pytest.approx(0.4, abs=0.1)
    assert verdict.recovery["faulted"]["max_s"] == pytest.approx(3.9, abs=0.1)
    assert verdict.recovery["bystanders"] == {
        "median_s": pytest.approx(0.4),
        "max_s": pytest.approx(0.4),
        "nodes": 3,
    }


def test_recovery_is_taken_apart():
    def facts(t, n):
        return chain(t if t < 10 or t > 27 else 10)

    journal = Journal(split_world(10, 20, back=4, facts=facts), until=45).split(10, 20, SIDES)
    _, by = run(journal, expect("after", "connected", of="split", within="20s", hold="3s"))
    stages = by["after split"].stages
    assert stages["flow_s"] < 0.1 < stages["peers_s"] < stages["progress_s"]


SAME = """
import sys
sys.path.insert(0, sys.argv[1])
from test_judge_windows import SIDES, Journal, expect, judge, scenario, split_world

world = split_world(10, 18, back=100)
journal = Journal(world, until=40).split(10, 20, SIDES)
after = expect("after", "connected", {"agree": "head"}, of="split", within="5s")
print(judge(scenario(after, expect("always", "degree >= 2")), journal.events()).to_text())
"""


def test_judging_the_same_journal_gives_the_same_bytes_in_any_process():
    here = Path(__file__).parent
    paths = {"PYTHONPATH": f"{here}:{here.parent / 'predicates'}"}
    texts = {
        subprocess.run(
            [sys.executable, "-c", SAME, str(here)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **paths, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
    assert "packets passed n1→n3, n1→n4, n2→n3" in texts.pop()


def test_damaged_events_are_named_and_never_a_traceback():
    events = Journal(split_world(10, 20), until=30).split(10, 20, SIDES).events()
    complaints = []
    for i, event in enumerate(events[:40]):
        for key in list(event):
            broken = [*events[:i], {k: v for k, v in event.items() if k != key}, *events[i + 1 :]]
            if key in ("event", "t"):
                continue  # the reader refuses these
            try:
                judge(scenario(expect("always", "connected")), broken)
            except JournalError as error:
                complaints.append((i + 1, str(error)))
    assert complaints
    assert all(f"event {i} " in text for i, text in complaints)


def test_a_window_with_nobody_to_judge_is_unknown_not_violated():
    # n1 is killed for good, and nothing is asked of anybody else.
    journal = Journal(split_world(10, 20), until=40).split(10, 20, SIDES)
    dead = {"status": {"n1": {"is": "down", "signal": "kill", "wipe": False}}}
    for event in journal.extra:
        if event["event"] == "model":
            event["state"] = {**event["state"], **dead}
    _, by = run(journal, expect("after", {"up": {"of": "n2"}}, of="split", within="5s", hold="3s"))
    assert by["after split"].verdict == "held"
    _, by = run(
        journal,
        expect("after", {"agree": {"fact": "head", "of": "n1"}}, of="split", within="5s", hold="3s"),
    )
    assert by["after split"].verdict == "unknown"
    assert "nobody to judge" in by["after split"].reason
