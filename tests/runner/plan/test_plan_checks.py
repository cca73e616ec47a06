"""What is refused and what is doubted."""

import pytest
from plan_scenarios import CONNECTED, FREE, components, duration, expect, plan, progress, step

from faults.fields import Targets
from faults.model import NetworkModel
from runner.plan.changes import holds_quorum, phases
from runner.plan.make import activate
from runner.plan.model import PlanError
from runner.plan.windows import trial_windows
from runner.scenario.model import All, Is, Limits, Not

SPLIT = step("split", "partition", "halves", "10s", "20s", line=4)


def refused(*steps, **rest):
    with pytest.raises(PlanError) as error:
        plan(*steps, **rest)
    return [(p.step, p.line, p.text) for p in error.value.problems]


def test_two_strobes_on_one_node_are_refused():
    one = step("s", "clock", {"of": "n1", "strobe": "200ms", "every": "100ms"}, "10s", "20s")
    two = step("t", "clock", {"of": ["n1", "n2"], "strobe": "50ms", "every": "1s"}, "20s", "20s", line=9)
    assert refused(one, two) == [("t", 9, "two strobes at once on n1, with 's'")]
    apart = step("t", "clock", {"of": "n1", "strobe": "50ms", "every": "1s"}, "30s", "20s")
    assert plan(one, apart).trials


def test_more_nodes_than_the_limit_are_refused_at_their_worst_instant():
    steps = [
        step("a", "pause", ["n1", "n2"], "10s", "20s"),
        step("b", "isolate", ["n3", "n4"], "20s", "20s", line=3),
    ]
    [(name, line, text)] = refused(*steps, limits=Limits(hit=0.4))
    assert (name, line) == ("b", 3)
    assert "at 20s it hits with a 4 of 9 nodes (44.4%)" in text
    assert plan(*steps, limits=Limits(hit=0.45)).trials
    assert plan(
        step("p", "partition", {"sides": ["30%", "rest"]}, "1s", "5s"), limits=Limits(hit=0.34)
    ).trials
    assert refused(step("r", "restart", "nodes", "1s"), limits=Limits(hit=0.5))
    assert plan(step("r", "restart", "nodes", "1s", roll="5s"), limits=Limits(hit=0.2)).trials


def test_killing_half_of_the_network_needs_leave():
    kill = step("k", "kill", {"pick": 5}, "10s", "5s", line=6)
    [(name, line, text)] = refused(kill)
    assert (name, line) == ("k", 6)
    assert "leaves 4 of 9 nodes running, no majority" in text
    assert plan(kill, limits=FREE).trials
    assert plan(step("k", "kill", {"pick": "minority"}, "10s", "5s")).trials
    two = [step("a", "kill", ["n1", "n4"], "10s", "20s"), step("b", "kill", ["n2", "n3", "n5"], "20s", "5s")]
    assert "leaves with a 4 of 9" in refused(*two)[0][2]
    assert refused(step("k", "kill", "n1", "1s", "5s"), stakes=[10] + [1] * 8)


def test_killing_a_quorum_is_told():
    told = "k: no quorum runs while it lasts (6 of 9)"
    kill = step("k", "kill", {"pick": "f+1"}, "10s", "5s")
    assert told in plan(kill).warnings
    assert told not in plan(kill, limits=FREE).warnings
    assert not plan(step("k", "kill", {"pick": "f"}, "10s", "5s")).warnings
    assert not plan(step("k", "kill", {"pick": 3}, "10s", "5s"), quorum=0.5).warnings


def test_a_fault_that_begins_while_recovery_is_awaited_is_told():
    after = expect("after", "split", CONNECTED, "15s", "3s", line=8)
    crash = step("crash", "kill", "n1", "end of split + 10s", "5s")
    [text] = plan(SPLIT, crash, expectations=[after]).warnings
    assert "awaited from 30s to 48s" in text
    assert "'crash' begins in that time, at 40s" in text
    assert "despite: crash" in text
    despite = expect("after", "split", CONNECTED, "15s", despite=("crash",))
    assert not plan(SPLIT, crash, expectations=[despite]).warnings
    for at in ("48s", "29s"):
        assert not plan(SPLIT, step("crash", "kill", "n1", at, "5s"), expectations=[after]).warnings


def test_what_the_run_itself_decides_is_told_as_well():
    one = plan(
        SPLIT,
        step("x", "kill", "n1", None, "5s", when=All(())),
        expectations=[expect("after", "split", CONNECTED, "15s")],
    )
    assert "'x' begins in that time, at 40s" in activate(one, "x", 40).warnings[-1]


def test_a_step_after_the_end_of_the_run_is_refused():
    [(name, _, text)] = refused(step("x", "kill", "n1", "100s", "5s"), limits=Limits(time=duration("1m")))
    assert name == "x"
    assert "when the run is over (limits: time: 1m)" in text


def test_steps_that_wait_for_each_other_are_refused():
    found = refused(step("a", "kill", "n1", "end of b", "5s"), step("b", "kill", "n2", "a + 5s", "5s"))
    assert [p[0] for p in found] == ["a", "b"]
    assert "it begins when 'b' begins when 'a' does" in found[0][2]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [step("x", "cut", {"from": "split.a", "to": "split.b"}, "15s", "5s")],
            "x: it changes nothing: what it does is done",
        ),
        (
            [step("k", "kill", "n1", "12s", "9s"), step("x", "kill", "n1", "14s", "5s")],
            "x: it changes nothing: what it does is",
        ),
        (
            [step("k", "kill", "n1", "12s", "9s"), step("x", "pause", "n1", "14s", "5s")],
            "x: it changes nothing",
        ),
        (
            [step("k", "kill", "n1", "12s", "9s"), step("x", "restart", "n1", "14s")],
            "none of its nodes runs at that time",
        ),
        (
            [step("x", "clock", {"of": "n1", "offset": "+0s"}, "15s", "5s")],
            "x: it changes nothing: its effect is none",
        ),
        ([step("x", "start", "n1", "15s")], "all of its nodes run already"),
        ([step("x", "kill", "j1", "15s", "5s")], "its nodes have not been started"),
    ],
)
def test_faults_that_change_nothing_are_told(steps, said):
    warnings = plan(SPLIT, *steps, waits=["j1"]).warnings
    assert len(warnings) == 1
    assert said in warnings[0]


def test_faults_that_change_something_are_not_told():
    others = [
        step("x", "cut", {"from": "split.a", "to": "split.b"}, "25s", "15s"),
        step("k", "kill", "n1", "12s", "9s"),
        step("r", "restart", ["n1", "n2"], "14s"),
        step("j", "start", "j1", "15s"),
    ]
    assert plan(SPLIT, *others, waits=["j1"]).warnings == ()


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            step("x", "cut", {"from": "n1", "to": "n2"}, "1s", "400ms"),
            "lasts 0.4s, too short to prove that it took effect",
        ),
        (step("x", "kill", "n1", "1s", "200ms"), "lasts 0.2s"),
        (step("x", "pause", "n1", "1s", "200ms"), "lasts 0.2s"),
        (step("x", "isolate", "n1", "1s", "9s", flap=("2s", "200ms")), "lasts 0.2s"),
        (
            step("x", "isolate", "n1", "1s", "9s", flap=("2s", "1800ms")),
            "pauses for 0.2s, too short to prove that it was gone",
        ),
    ],
)
def test_times_too_short_for_evidence_are_told(one, said):
    assert [said in w for w in plan(one).warnings] == [True]


def test_times_long_enough_are_not_told():
    assert plan(step("x", "cut", {"from": "n1", "to": "n2"}, "1s", "500ms")).warnings == ()
    assert plan(step("x", "kill", "n1", "1s", "300ms")).warnings == ()
    assert plan(step("x", "isolate", "n1", "1s", "9s", flap=("600ms", "300ms"))).warnings == ()


@pytest.mark.parametrize(
    ("expectation", "said"),
    [
        (expect("during", "split", progress(), "2s"), "nobody has a quorum from 10s to 30s (split)"),
        (
            expect("during", "split", All((CONNECTED, components(2))), "2s"),
            "the network is in 2 parts from 10s to 30s",
        ),
        (expect("during", "split", components(3), "2s"), "expects 'components == 3', but there are 2"),
        (
            expect("during", "split", components(2), "20s"),
            "leaves nothing of 'split', whose heal begins at 30s",
        ),
        (expect("always", "", CONNECTED), "always expects 'connected', but the network is in 2 parts"),
    ],
)
def test_expectations_that_cannot_be_met_are_told(expectation, said):
    warnings = plan(SPLIT, expectations=[expectation]).warnings
    assert [said in w for w in warnings] == [True], warnings


@pytest.mark.parametrize(
    "expectation",
    [
        expect("during", "split", components(2), "2s"),
        expect("during", "split", Not(progress()), "2s"),
        expect("during", "split", progress({"fact": "finalized", "share": "any"}), "2s"),
        expect("after", "split", All((CONNECTED, progress())), "15s"),
        expect("before", "faults", CONNECTED),
        expect("during", "split", progress(), "20s", name="empty"),
    ],
)
def test_expectations_that_can_be_met_are_not_told(expectation):
    warnings = plan(SPLIT, expectations=[expectation]).warnings
    assert not [w for w in warnings if "expects" in w]


def test_progress_is_asked_of_those_who_can_decide():
    lopsided = step("split", "partition", {"sides": {"small": "20%", "big": "rest"}}, "10s", "20s")
    fine = expect("during", "split", progress({"fact": "finalized", "of": "split.big"}), "2s")
    assert plan(lopsided, expectations=[fine]).warnings == ()
    wrong = expect("during", "split", progress({"fact": "finalized", "of": "split.small"}), "2s")
    assert "cannot have a quorum" in plan(lopsided, expectations=[wrong]).warnings[0]
    killed = step("k", "kill", {"pick": "f+1"}, "10s", "5s")
    during = expect("during", "k", progress(), "1s")
    assert "nobody has a quorum" in plan(killed, expectations=[during], limits=FREE).warnings[0]
    assert plan(step("k", "kill", {"pick": "f"}, "10s", "5s"), expectations=[during]).warnings == ()


def test_recovery_that_another_fault_forbids_is_told():
    ring = step("long", "partition", "halves", "20s", "100s")
    warnings = plan(SPLIT, ring, expectations=[expect("after", "split", CONNECTED, "15s")]).warnings
    assert ["the network is in 2 parts from 30s to 120s (long)" in w for w in warnings] == [True]


def test_recovery_that_is_possible_in_a_part_of_the_window_is_not_told():
    long = step("long", "partition", "halves", "20s", "15s")
    assert plan(SPLIT, long, expectations=[expect("after", "split", CONNECTED, "15s")]).warnings == ()


def test_the_parts_of_some_nodes_are_not_those_of_the_network():
    of_a_side = Is(components(1).bound, Targets(of=("split.a",)))
    assert plan(SPLIT, expectations=[expect("during", "split", of_a_side, "2s")]).warnings == ()


def test_windows():
    one = plan(
        SPLIT,
        step("s", "isolate", ["n1", "n2"], "40s", "20s", heal="5s", repeat=(2, "50s", False)),
        step("p", "pause", "n3", "200s", "rest"),
    )

    def found(*args):
        return [(w.trial, w.opens_s, w.closes_s) for w in trial_windows(one, expect(*args))]

    assert found("during", "s", CONNECTED, "2s") == [("s.1", 42, 60), ("s.2", 92, 110)]
    assert found("during", "s.2", CONNECTED) == [("s.2", 90, 110)]
    assert found("after", "s.1", CONNECTED, "10s", "5s") == [("s.1", 65, 80)]
    assert found("after", "faults", CONNECTED, "10s") == [("", 115, 128)]
    assert found("during", "p", CONNECTED) == [("p", 200, None)]
    assert found("after", "p", CONNECTED, "1s") == []
    assert found("always", "", CONNECTED) == [("", 0, None)]


def test_phases_tell_components_and_quorum_by_stake():
    one = plan(
        step("split", "partition", {"sides": {"x": ["n1", "n2"], "y": "rest"}}, "10s", "10s"),
        step("k", "kill", "n1", "15s", "10s"),
        count=5,
        stakes=[50, 10, 10, 10, 10],
        limits=FREE,
    )
    told = [
        (p.start_s, p.end_s, p.active, [len(c) for c in p.components], [len(c) for c in p.quorate])
        for p in phases(one)
    ]
    assert told == [
        (0, 10, (), [5], [5]),
        (10, 15, ("split",), [3, 2], []),
        (15, 20, ("split", "k"), [3, 1], []),
        (20, 25, ("k",), [4], []),
        (25, None, (), [5], [5]),
    ]
    assert phases(one)[0].model == NetworkModel(tuple(f"n{i}" for i in range(1, 6)))


def test_two_thirds_means_two_thirds():
    one = plan(SPLIT)
    assert not holds_quorum(6, 9, one)
    assert holds_quorum(6.1, 9, one)
    assert holds_quorum(7, 9, one)
