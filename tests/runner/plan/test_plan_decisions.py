"""Open steps, early ends, batches, and choices that stay."""

import pytest
from plan_scenarios import CONDITION, FREE, plan, step, times

from faults.fault import Chosen
from runner.plan.changes import changes, fold
from runner.plan.make import activate, activate_batch, finish, opens_at, why_open
from runner.plan.model import PlanError
from runner.scenario.model import Roll


def triggered(**rest):
    return plan(
        step("some", "kill", {"pick": 1}, None, "10s", when=CONDITION, within="2m"),
        step("later", "isolate", "some", "end of some + 5s", "5s"),
        step("then", "pause", "n1", "end of later + 1s", "5s", when=CONDITION, within="9s"),
        step("fixed", "clock", {"pick": 2, "offset": "-2s..+2s"}, "10s", "5s"),
        **rest,
    )


def test_steps_that_hang_on_triggers_are_open_and_so_is_what_follows():
    one = triggered()
    assert one.open_steps == ("some", "later", "then")
    assert times(one) == {"fixed": (10, 15)}
    assert opens_at(one, "some") == 0
    assert opens_at(one, "then") is None
    assert "at most 2m" in why_open(one, "some")
    assert why_open(one, "later") == "some"


def test_activating_adds_the_trials_and_what_hung_on_them():
    one = activate(triggered(), "some", 33.3)
    assert times(one) == {"some": (33.3, 43.3), "later": (48.3, 53.3), "fixed": (10, 15)}
    assert one.open_steps == ("then",)
    assert opens_at(one, "then") == 54.3
    trials = {t.name: t for t in one.trials}
    assert trials["later"].chosen.targets == trials["some"].chosen.targets
    assert activate(one, "then", 60).open_steps == ()
    with pytest.raises(KeyError):
        activate(one, "some", 40)


def test_where_is_decided_by_the_facts_of_that_moment():
    one = plan(
        step("headless", "isolate", {"where": "leader"}, "10s", "5s"),
        step("x", "kill", "headless", "headless + 1s", "2s"),
    )
    assert one.open_steps == ("headless", "x")
    assert opens_at(one, "headless") == 10
    assert why_open(one, "headless") == "facts of the nodes"
    facts = {"n1": {"leader": False}, "n4": {"leader": True}}
    done = activate(one, "headless", 10, facts=facts)
    assert [(t.name, t.chosen.targets) for t in done.trials] == [("headless", ("n4",)), ("x", ("n4",))]
    assert activate(one, "headless", 10).open_steps == ("headless", "x")
    with pytest.raises(PlanError, match="nobody fits"):
        activate(one, "headless", 10, facts={"n1": {"leader": False}})


def test_protocol_time_is_open_until_genesis_is_known():
    one = plan(step("edge", "partition", "halves", "next epoch - 1 layer", "2 layers"))
    assert one.open_steps == ("edge",)
    assert opens_at(one, "edge") is None
    at = opens_at(one, "edge", genesis_s=-20)
    assert at == 25
    assert times(activate(one, "edge", at)) == {"edge": (25, 55)}


def test_an_early_end_moves_what_follows_but_nothing_that_began():
    one = plan(
        step("some", "kill", "n1", "10s", "60s", until=CONDITION),
        step("early", "pause", "n2", "end of some - 10s", "5s"),
        step("next", "isolate", {"pick": 1}, "end of some + 20s", "5s"),
        step("other", "clock", {"pick": 1, "offset": "+1s"}, "90s", "5s"),
    )
    assert times(one) == {"some": (10, 70), "early": (60, 65), "next": (90, 95), "other": (90, 95)}
    sooner = finish(one, "some", 30)
    assert times(sooner) == {"some": (10, 30), "early": (30, 35), "next": (50, 55), "other": (90, 95)}
    later = finish(one, "some", 62)
    assert times(later) == {"some": (10, 62), "early": (60, 65), "next": (82, 87), "other": (90, 95)}
    assert [t.chosen for t in sooner.trials] == [t.chosen for t in one.trials]
    assert "n1" in fold(sooner, 30).running()
    assert "n1" not in fold(one, 30).running()


def test_an_early_end_begins_the_heal():
    one = plan(
        step(
            "s",
            "isolate",
            ["n1", "n2", "n3"],
            "10s",
            "40s",
            onset=("20s", "listed"),
            heal=("10s", "listed"),
            until=CONDITION,
        )
    )
    done = finish(one, "s", 25)
    assert [(s.start_s, s.end_s, set(s.units)) for s in done.trials[0].spans] == [
        (10, 25, {"n1"}),
        (20, 30, {"n2"}),
    ]
    assert (done.trials[0].heals_s, done.trials[0].end_s) == (25, 30)
    flap = finish(plan(step("f", "isolate", "n1", "10s", "40s", flap=("4s", "2s"), until=CONDITION)), "f", 15)
    assert [(s.start_s, s.end_s) for s in flap.trials[0].spans] == [(10, 12), (14, 15)]
    permanent = finish(plan(step("p", "isolate", "n1", "10s", "rest", until=CONDITION)), "p", 15)
    assert times(permanent) == {"p": (10, 15)}


def test_only_the_trial_that_is_named_ends_early():
    one = plan(step("s", "isolate", "n1", "10s", "20s", repeat=(2, "80s", False), until=CONDITION))
    assert times(finish(one, "s.1", 15)) == {"s.1": (10, 15), "s.2": (90, 110)}


def rolling(**rest):
    return plan(
        step("r", "restart", "nodes", "10s", roll=Roll(next=CONDITION, batch=2)),
        step("after", "kill", "n1", "end of r + 20s", "5s"),
        count=5,
        **rest,
    )


def test_a_roll_that_waits_starts_its_batches_when_told():
    one = rolling()
    assert one.open_steps == ("after",)
    assert one.trials[0].pending == (("n3", "n4"), ("n5",))
    two = activate_batch(one, "r", 14.5)
    three = activate_batch(two, "r", 17.25)
    assert [c.events[0]["nodes"] for c in changes(three) if c.events] == [["n1", "n2"], ["n3", "n4"], ["n5"]]
    assert times(three) == {"r": (10, 17.25), "after": (37.25, 42.25)}
    assert [c.ends for c in changes(two) if "r" in c.ends] == []
    with pytest.raises(KeyError):
        activate_batch(three, "r", 20)


def test_a_rolling_fault_that_lasts_ends_with_its_last_batch():
    one = plan(step("r", "pause", ["n1", "n2"], "10s", "4s", roll=Roll(next=CONDITION)))
    assert times(activate_batch(one, "r", 20)) == {"r": (10, 24)}
    stopped = finish(one, "r", 12)
    assert times(stopped) == {"r": (10, 12)}
    assert stopped.trials[0].pending == ()


def test_editing_one_step_leaves_the_choices_of_others_alone():
    def chosen(**crash):
        one = plan(
            step("split", "partition", "halves", "10s", "20s"),
            step("crash", "kill", {"pick": 2} | crash, "40s", "5s"),
            step("skew", "clock", {"pick": 3, "offset": "-2s..+2s"}, "60s", "5s"),
        )
        return {t.name: t.chosen for t in one.trials}

    one, two = chosen(), chosen(pick=1)
    assert one["split"] == two["split"]
    assert one["skew"] == two["skew"]
    assert one["crash"] != two["crash"]


def test_choices_of_a_former_run_are_reused():
    former = {"split": Chosen(("n1", "n2", "n3"), {"a": ("n1",), "b": ("n2", "n3")}), "skew": Chosen(("n9",))}
    one = plan(
        step("split", "partition", "halves", "10s", "20s"),
        step("skew", "clock", {"pick": 1, "offset": "+1s"}, "40s", "5s"),
        step("x", "kill", {"of": "split.a"}, "60s", "5s"),
        choices=former,
    )
    assert [t.chosen.targets for t in one.trials] == [("n1", "n2", "n3"), ("n9",), ("n1",)]
    assert fold(one, 41).clocks["n9"].offset_s == 1
    with pytest.raises(PlanError, match="the former run hit n77"):
        plan(step("skew", "kill", "n1", "1s", "5s"), choices={"skew": Chosen(("n77",))})


def test_a_reused_choice_lets_a_step_with_where_be_planned():
    one = plan(step("x", "isolate", {"where": "leader"}, "10s", "5s"), choices={"x": Chosen(("n4",))})
    assert one.open_steps == ()
    assert one.trials[0].chosen.targets == ("n4",)


def test_draws_that_were_not_kept_are_drawn_again_by_the_seed():
    written = step("skew", "clock", {"pick": 3, "offset": "-2s..+2s"}, "10s", "5s")
    first = plan(written)
    bare = {t.name: Chosen(t.chosen.targets, t.chosen.sides) for t in first.trials}
    assert plan(written, choices=bare).trials == first.trials


def test_busy_nodes_are_avoided_by_an_overlapping_step_of_the_kind():
    for seed in range(12):
        one = plan(
            step("a", "kill", {"pick": 4}, "10s", "20s"),
            step("b", "kill", {"pick": 4}, "15s", "20s"),
            step("c", "kill", {"pick": 4}, "60s", "20s"),
            step("d", "pause", {"pick": 8}, "15s", "20s"),
            seed=seed,
            limits=FREE,
        )
        a, b, _, d = (set(t.chosen.targets) for t in one.trials)
        assert not a & b
        assert len(d) == 8
    with pytest.raises(PlanError, match="only 5 are not hit already"):
        plan(
            step("a", "kill", {"pick": 4}, "10s", "20s"),
            step("b", "kill", {"pick": 6}, "15s", "20s"),
            limits=FREE,
        )
