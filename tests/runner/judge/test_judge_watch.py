"""The watch of a run that goes on: the steady state, triggers, what is still missing — and the same answers
as afterwards.
"""

import pytest
from written import Journal, World, chain, expect, names, scenario, that

from runner.judge.judge import judge
from runner.judge.live import Watch
from runner.predicates.predicate import Answer

N = names(4)


def following(expectations, journal, *, until=1e9):
    watch = Watch(scenario(*expectations))
    for event in journal.events():
        if event["t"] <= until:
            watch.feed(event)
            yield event["t"], watch


def test_the_steady_state_is_reached_once_all_have_held_long_enough():
    world = World(list(N), edges=lambda t: [] if t < 4 else [(a, b) for a in N for b in N if a < b])
    journal = Journal(world, until=20, zero=None)
    before = [expect("before", "connected", of="faults", hold="5s")]
    reached = [t for t, w in following(before, journal) if w.steady(t).reached]
    assert reached[0] == 9.0
    why = [w.steady(t).reason for t, w in following(before, journal, until=5.0)]
    assert "held for 1.0 s of 5 s" in why[-1]
    assert "do not connect" in why[3]


def test_the_default_hold_is_the_larger_of_three_seconds_and_three_intervals():
    def at(pace):
        journal = Journal(World(list(N), lambda t, n: chain(t / pace)), until=40, zero=None)
        return next(
            (t, w.steady(t).learnt)
            for t, w in following([expect("before", "height >= 0", of="faults")], journal)
            if t > 20 and w.steady(t).reached
        )[1]

    assert at(0.5) == {"hold_s": 3.0, "interval_s": pytest.approx(0.5, abs=0.05)}
    assert at(4)["hold_s"] == pytest.approx(12.0, abs=1)


def test_a_steady_state_that_cannot_be_reached_any_more_fails():
    world = World(list(N), edges=lambda t: [("n1", "n2")])
    before = [expect("before", "connected", of="faults", within="8s")]
    failed = [
        (t, w.steady(t))
        for t, w in following(before, Journal(world, until=20, zero=None))
        if w.steady(t).failed
    ]
    assert failed[0][0] == 9.5
    assert "not within 8 s: n3, n4 do not connect" in failed[0][1].reason


def test_without_expectations_every_node_must_answer():
    world = World(list(N), lambda t, n: "refused" if n == "n4" and t < 6 else chain(t))
    reached = [t for t, w in following([], Journal(world, until=10, zero=None)) if w.steady(t).reached]
    assert reached[0] == 6.0


def test_a_trigger_counts_from_when_watching_began():
    journal = Journal(World(list(N)), until=30)
    progress = that({"progress": {"fact": "height", "gain": 5}})
    held = [
        t
        for t, w in following([], journal)
        if t > 10 and w.evaluate(progress, since=5.0).answer is Answer.HELD
    ]
    assert held[0] == 15.0, "5 blocks after 5 s on the timeline, which is 10 s on the run's clock"


def test_a_log_trigger_fires_on_the_line_and_not_on_an_older_one():
    journal = Journal(World(list(N)), until=20).add("log", 7.0, node="n1", pattern="x", text="x")
    line = that({"log": "x"})
    *_, (_, watch) = following([], journal)
    assert watch.evaluate(line, since=0.0).answer is Answer.HELD
    assert watch.evaluate(line, since=3.0).answer is Answer.VIOLATED


def test_nothing_is_known_before_the_first_sample():
    watch = Watch(scenario())
    assert watch.evaluate(that("connected")).answer is Answer.UNKNOWN
    assert watch.steady(0.0).reached is False
    assert watch.facts() == {}


def test_patterns_are_all_that_logs_must_be_watched_for():
    watch = Watch(
        scenario(expect("always", {"not": {"log": "a.b"}}), expect("always", {"log": {"match": "c+"}}))
    )
    assert watch.patterns() == {"a.b": r"a\.b", "c+": "c+"}


def test_what_is_missing_for_recovery():
    world = World(list(N))
    world.edges = lambda t: [("n1", "n2"), ("n3", "n4")] if 10 <= t < 24 else world.mesh(t)
    journal = Journal(world, until=40).split(10, 20, [["n1", "n2"], ["n3", "n4"]])
    after = expect("after", "connected", of="split", within="10s", hold="3s")
    states = {t: w.pending(t) for t, w in following([after], journal)}
    assert states[15.0] == []
    (open_now,) = states[22.0]
    assert (open_now.state, open_now.left_s) == ("open", pytest.approx(11, abs=0.1))
    assert "n3, n4 do not connect" in open_now.reason
    (held,) = states[27.0]
    assert (held.state, held.answer) == ("held", Answer.HELD)


def test_the_watch_and_the_judge_agree():
    world = World(list(N))
    world.edges = lambda t: [("n1", "n2"), ("n3", "n4")] if 10 <= t < 24 else world.mesh(t)
    journal = Journal(world, until=40).split(10, 20, [["n1", "n2"], ["n3", "n4"]])
    after = expect("after", "connected", of="split", within="10s", hold="3s")
    *_, (t, watch) = following([after], journal)
    verdict = judge(scenario(after), journal.events())
    assert watch.pending(t)[0].state == verdict.expectations[0].verdict == "held"
