"""The eye's samples as journal events: only what changed, and edges only where both ends reach each other."""

import json

import pytest

from runner.engine.sampler import Sampler
from runner.observers.observer import catalogue

NAMES = ("n1", "n2", "n3")


def status(height, finalized=((1, "a"),), clock=100.0):
    h, x = finalized[-1]
    return json.dumps(
        {"height": height, "head": [height, "h"], "finalized": [h, x], "recent": finalized, "clock": clock}
    )


def sample(bodies, edges=(), reach=None, answers=None):
    return {
        "answers": answers or dict.fromkeys(NAMES, True),
        "bodies": bodies,
        "stamps": dict.fromkeys(bodies, 50.0),
        "sockets": {"edges": [list(e) for e in edges]},
        "reach": reach,
    }


@pytest.fixture
def sampler():
    return Sampler(NAMES, catalogue()["devnet"])


def take(sampler, event, t=1.0, beats=None):
    return sampler.take(event, t, lambda at: at + 49.0, beats)


def test_only_what_changed_is_written_until_the_next_key_frame(sampler):
    first = take(sampler, sample({n: status(5) for n in NAMES}), t=1.0)
    assert first["key"]
    assert first["nodes"]["n1"]["facts"]["height"] == 5
    second = take(sampler, sample({"n1": status(6)}), t=1.5)
    assert not second["key"]
    assert second["nodes"] == {"n1": {"facts": {"height": 6, "head": [6, "h"]}}}
    again = take(sampler, sample({}), t=62.0)
    assert again["key"]
    assert again["nodes"]["n2"]["facts"]["height"] == 5


def test_the_clock_error_is_the_nodes_clock_against_the_true_one_at_the_answer(sampler):
    out = take(sampler, sample({"n1": status(1, clock=100.5)}))
    assert out["nodes"]["n1"]["facts"]["clock_error"] == 1.5


def test_finalized_points_are_written_once_each_even_if_several_came_between_samples(sampler):
    take(sampler, sample({"n1": status(3, ((1, "a"), (2, "b")))}))
    out = take(sampler, sample({"n1": status(5, ((1, "a"), (2, "b"), (3, "c"), (4, "d")))}))
    assert out["nodes"]["n1"]["points"] == {"finalized": [[3, "c"], [4, "d"]]}


def test_a_node_that_does_not_answer_is_a_fact_with_its_reason(sampler):
    take(sampler, sample({n: status(1) for n in NAMES}))
    out = take(sampler, sample({}, answers={"n1": True, "n2": "timeout", "n3": True}))
    assert out["nodes"]["n2"] == {"answers": False, "why": "timeout"}


def test_an_answer_without_sense_counts_as_none(sampler):
    out = take(sampler, sample({"n1": "no json"}))
    assert out["nodes"]["n1"]["answers"] is False


def test_a_connection_whose_ends_were_just_probed_apart_is_no_edge_of_the_overlay(sampler):
    reach = {"blocks": [["n1"], ["n2", "n3"]], "cut": [[0, 1]]}
    out = take(sampler, sample({}, edges=[("n1", "n2", 10, 0), ("n2", "n3", 9000, 0)], reach=reach))
    assert out["graph"] == {"overlay": [["n2", "n3"]], "sockets": [["n1", "n2"], ["n2", "n3"]]}


def test_without_a_probe_a_connection_that_acknowledged_lately_counts(sampler):
    out = take(sampler, sample({}, edges=[("n1", "n2", 10, 0), ("n2", "n3", 9000, 0)]))
    assert out["graph"]["overlay"] == [["n1", "n2"]]


def test_what_a_node_said_counts_for_one_sample_that_it_misses_and_no_longer(sampler):
    take(sampler, sample({n: status(5) for n in NAMES}), t=1.0)
    others = {"n1": True, "n3": True}
    assert "n2" not in take(sampler, sample({}, answers=others), t=1.5)["nodes"]
    late = take(sampler, sample({}, answers=others), t=2.0)["nodes"]
    assert late == {"n2": {"answers": None, "why": "has not answered yet"}}
    assert take(sampler, sample({}, answers=others), t=2.5)["nodes"] == {}
    silent = take(sampler, sample({}, answers={**others, "n2": "timeout"}), t=3.0)["nodes"]
    assert silent == {"n2": {"answers": False, "why": "timeout"}}
    assert take(sampler, sample({}), t=3.5)["nodes"]["n2"]["answers"] is True


def test_where_nothing_can_be_asked_a_running_process_is_the_answer():
    sampler = Sampler(NAMES, None)
    nothing = {**sample({}), "answers": {}}
    runs = {"n1": True, "n2": False}
    out = sampler.take(nothing, 1.0, lambda at: at, None, runs)["nodes"]
    assert out["n1"] == {"answers": True}
    assert out["n2"] == {"answers": False, "why": "no process of it runs"}
    assert "n3" not in out, "it was never started"
