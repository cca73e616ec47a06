"""Moments, spans and changes: exact, and independent of each other's lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_scenarios import FREE, plan, step, times

from faults.fields import parse_moment
from faults.model import Status
from runner.plan.changes import changes, fold, phases
from runner.plan.model import PlanError
from runner.plan.times import boundary


def test_moments_hang_on_starts_and_ends():
    one = plan(
        step("split", "partition", "halves", "10s", "20s"),
        step("crash", "kill", "n1", "end of split + 10s", "5s"),
        step("skew", "clock", {"of": "split.a", "offset": "+1s"}, "split + 500ms", "1 layer"),
        step("early", "pause", "n2", "end of crash - 2s", "2m"),
    )
    assert times(one) == {"split": (10, 30), "crash": (40, 45), "skew": (10.5, 25.5), "early": (43, 163)}
    assert one.open_steps == ()


def test_steps_may_be_listed_in_any_order():
    one = plan(
        step("late", "kill", "n1", "end of split + 10s", "5s"),
        step("split", "partition", "halves", "10s", "20s"),
    )
    assert times(one)["late"] == (40, 45)
    assert [t.name for t in one.trials] == ["late", "split"]


def test_an_event_starts_where_the_scenario_says_whatever_lasts_how_long():
    steps = [
        step(f"s{i}", "cut", {"from": "n1", "to": f"n{i % 8 + 2}"}, f"{i * 100}ms", f"{50 + i}ms")
        for i in range(100)
    ]
    found = changes(plan(*steps))
    starts = [c.at_s for c in found if c.starts]
    assert starts == [round(i * 0.1, 6) for i in range(100)]


@pytest.mark.parametrize(
    ("moment", "genesis", "expected"),
    [
        ("next epoch", -50, 10),
        ("next epoch", -60, 0),
        ("next epoch", -61, 59),
        ("next epoch - 2 layers", -50, 40),
        ("next epoch - 2 layers", -10, 20),
        ("next epoch + 5s", -58, 7),
        ("epoch 3", -50, 130),
        ("epoch 3 + 1 layer", -50, 145),
        ("next epoch", 30, 30),
    ],
)
def test_boundaries_of_protocol_time(moment, genesis, expected):
    assert boundary(parse_moment(moment), {"layer": 15, "epoch": 60}, genesis) == expected


def spans(one, name=None):
    trial = next(t for t in one.trials if name in (None, t.name))
    return [(s.start_s, s.end_s, None if s.units is None else sorted(s.units)) for s in trial.spans]


def test_a_flap_is_on_and_off_within_its_time():
    one = plan(step("f", "isolate", "n1", "10s", "10s", flap=("4s", "1s")))
    assert spans(one) == [(10, 11, None), (14, 15, None), (18, 19, None)]
    assert times(one)["f"] == (10, 20)
    assert spans(plan(step("f", "isolate", "n1", "10s", "9s", flap=("4s", "2s"))))[-1] == (18, 19, None)


def test_onset_and_heal_spread_the_targets():
    one = plan(
        step(
            "s", "isolate", ["n1", "n2", "n3"], "10s", "40s", onset=("20s", "listed"), heal=("10s", "reverse")
        )
    )
    assert spans(one) == [(10, 60, ["n1"]), (20, 55, ["n2"]), (30, 50, ["n3"])]
    trial = one.trials[0]
    assert (trial.start_s, trial.heals_s, trial.end_s) == (10, 50, 60)
    assert [len(c.model.components()) for c in changes(one)] == [2, 3, 4, 3, 2, 1]


@given(st.integers(0, 50))
def test_random_orders_are_by_the_seed(seed):
    def once():
        return plan(step("s", "isolate", {"pick": 5}, "10s", "40s", onset="20s", heal="20s"), seed=seed)

    one = once()
    assert one == once()
    starts = [s.start_s for s in one.trials[0].spans]
    assert starts == sorted(starts) == [10, 15, 20, 25, 30]
    assert sorted(s.end_s for s in one.trials[0].spans) == [50, 55, 60, 65, 70]


def test_links_come_in_one_by_one():
    one = plan(step("s", "cut", {"between": [["n1", "n2"], "n3"]}, "10s", "10s", onset=("4s", "listed")))
    assert spans(one) == [(10, 20, [("n1", "n3")]), (14, 20, [("n2", "n3")])]
    model = fold(one, 12)
    assert model.is_cut("n3", "n1")
    assert not model.is_cut("n2", "n3")


def test_a_spread_over_very_many_links_comes_in_steps():
    one = plan(step("s", "cut", {"between": ["nodes", "nodes"]}, "10s", "60s", onset="20s"), count=60)
    assert len({s.start_s for s in one.trials[0].spans}) == 200
    assert sum(len(s.units) for s in one.trials[0].spans) == 60 * 59 / 2


def test_a_roll_hits_one_after_another():
    one = plan(step("r", "pause", ["n1", "n2", "n3"], "10s", "4s", roll="10s"))
    assert spans(one) == [(10, 14, ["n1"]), (20, 24, ["n2"]), (30, 34, ["n3"])]
    assert times(one)["r"] == (10, 34)
    restart = plan(step("r", "restart", "nodes", "10s", roll="10s"), count=3)
    assert [c.events[0]["nodes"] for c in changes(restart)] == [["n1"], ["n2"], ["n3"]]
    assert times(restart)["r"] == (10, 30)


def test_drift_counts_from_when_each_node_came_in():
    one = plan(
        step("d", "clock", {"of": ["n1", "n2"], "drift": "+500ppm"}, "10s", "40s", onset=("20s", "listed"))
    )
    clocks = fold(one, 40).clocks
    assert clocks["n1"].drifts == ((10.0, 500.0),)
    assert clocks["n2"].drifts == ((30.0, 500.0),)


def test_repeats_are_trials_of_their_own():
    steady = plan(step("s", "partition", "halves", "10s", "20s", repeat=(3, "80s", False)))
    assert times(steady) == {"s.1": (10, 30), "s.2": (90, 110), "s.3": (170, 190)}
    assert len({str(t.chosen) for t in steady.trials}) == 1
    redrawn = plan(step("s", "partition", "halves", "10s", "20s", repeat=(5, "80s", True)))
    assert len({str(t.chosen) for t in redrawn.trials}) > 1
    assert redrawn.trials[0].chosen == steady.trials[0].chosen


def test_moments_and_selectors_may_name_one_trial():
    one = plan(
        step("s", "partition", "halves", "10s", "20s", repeat=(3, "80s", True)),
        step("x", "kill", {"of": "s.2.a", "pick": 1}, "s.2 + 5s", "5s"),
        step("y", "kill", {"of": "s.a", "pick": 1}, "end of s.1 + 1s", "5s"),
        step("z", "kill", "n1", "end of s + 1s", "5s"),
        step("w", "pause", "s.a", "s.2 + 5s", "5s"),
    )
    assert one.trials[-1].chosen.targets == one.trials[1].chosen.sides["a"] != one.trials[0].chosen.sides["a"]
    assert times(one)["x"] == (95, 100)
    assert times(one)["y"] == (31, 36)
    assert times(one)["z"] == (191, 196)
    trials = {t.name: t for t in one.trials}
    assert set(trials["x"].chosen.targets) <= set(trials["s.2"].chosen.sides["a"])
    assert set(trials["y"].chosen.targets) <= set(trials["s.1"].chosen.sides["a"])


def test_for_rest_lasts_to_the_end():
    one = plan(step("s", "kill", "n1", "10s", "rest"), step("t", "kill", "n2", "20s", "5s"))
    assert one.trials[0].permanent
    assert fold(one, 1e9).running() == tuple(f"n{i}" for i in range(2, 10))
    assert phases(one)[-1].end_s is None


def test_equal_instants_are_one_change_and_an_end_is_no_longer_on():
    one = plan(step("a", "kill", "n1", "10s", "10s"), step("b", "pause", "n2", "end of a", "10s"))
    found = changes(one)
    assert [(c.at_s, c.starts, c.ends) for c in found] == [
        (10, ("a",), ()),
        (20, ("b",), ("a",)),
        (30, (), ("b",)),
    ]
    assert found[1].model.status_of("n1").status is Status.RUNNING
    assert [c.at_s for c in changes(one, after_s=10)] == [20, 30]
    assert len({c.key for c in found}) == 3


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 20), st.sampled_from(["isolate", "pause", "kill"])),
        max_size=6,
    )
)
def test_the_model_is_the_fold_of_what_is_on(drawn):
    steps = [
        step(f"s{i}", kind, f"n{i + 1}", f"{at}s", f"{length}s") for i, (at, length, kind) in enumerate(drawn)
    ]
    one = plan(*steps, limits=FREE)
    for change in changes(one):
        on = {f"n{i + 1}" for i, (at, length, _) in enumerate(drawn) if at <= change.at_s < at + length}
        told = change.model.describe()
        alone = {c for b in change.model.components(change.model.nodes) if len(b) == 1 for c in b}
        assert set(told.get("status", {})) | {n for n in alone if "cuts" in told} == on
        assert change.model == fold(one, change.at_s)


def test_nodes_that_wait_are_there_once_they_are_started():
    one = plan(
        step("go", "start", "joiners", "20s"),
        step("split", "partition", "halves", "10s", "20s"),
        step("lonely", "isolate", "joiners", "30s", "5s"),
        waits=["j1", "j2"],
    )
    assert "j1" not in fold(one, 19).nodes
    assert "j1" in fold(one, 20).running()
    assert changes(one)[1].events == ({"do": "start", "nodes": ["j1", "j2"]},)
    split = next(t for t in one.trials if t.name == "split")
    assert {"j1", "j2"} <= set(split.chosen.sides["b"])
    assert fold(one, 25).is_cut("j1", split.chosen.sides["a"][0])


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (step("x", "kill", "n1", "y - 5s", "5s"), "5s before the steady state"),
        (step("x", "kill", "n1", "end of z + 1s", "5s"), "lasts to the end of the run"),
        (step("x", "kill", "n1", "1s", "3 slots"), "no unit 'slots'"),
        (step("x", "kill", "n1", "next slot", "3s"), "no unit 'slot'"),
        (step("x", "kill", "n1", "1s", "0s"), "above zero"),
        (step("x", "kill", "n1", "1s", "rest", flap=("4s", "2s")), "needs a 'for' that ends"),
        (step("x", "kill", "n1", "1s", "9s", flap=("4s", "5s")), "cannot be on for 5s"),
        (step("x", "kill", "n1", "1s", "9s", flap=("4s", "2s"), heal="2s"), "does not go together"),
        (step("x", "kill", "n1", "1s", "9s", roll="4s", heal="2s"), "does not go together"),
        (step("x", "kill", "n1", "1s", "9s", onset="9s"), "takes as long"),
        (step("x", "kill", "n1", "1s", "9s", repeat=(2, "5s", False)), "each trial lasts longer"),
        (step("x", "restart", "n1", "1s", flap=("4s", "2s")), "is momentary"),
        (step("x", "kill", "n11", "1s", "9s"), "no node, group"),
        (step("x", "kill", "y.c", "1s", "9s"), "no side 'c'"),
    ],
)
def test_what_can_never_be_is_refused(one, said):
    with pytest.raises(PlanError, match=said) as refused:
        plan(step("y", "partition", "halves", "0s", "5s"), step("z", "pause", "n9", "0s", "rest"), one)
    assert [p.step for p in refused.value.problems] == ["x"]


def test_all_problems_are_told_at_once_with_their_lines():
    with pytest.raises(PlanError) as refused:
        plan(step("b", "kill", "n11", "1s", "9s", line=7), step("a", "kill", "n1", "1s", "3 slots", line=5))
    assert [(p.step, p.line) for p in refused.value.problems] == [("a", 5), ("b", 7)]
