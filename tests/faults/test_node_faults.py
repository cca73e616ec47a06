"""Kill, pause, restart, start, and the errors of clocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import effect, fault, pool
from pydantic import ValidationError

from faults.fault import ChoiceError, Chosen, Fault, Hit, catalogue
from faults.model import NetworkModel, NodeStatus, Status

NAMES = ["n1", "n2", "n3"]


def test_the_catalogue_holds_every_fault_with_a_page_and_claims():
    assert list(catalogue()) == [
        "clock", "cut", "eclipse", "isolate", "kill", "partition", "pause", "restart", "start",
    ]  # fmt: skip
    for kind, one in catalogue().items():
        assert one.__doc__
        assert one.__module__ == f"faults.{kind}"


def test_two_faults_of_one_kind_are_an_error_at_start_up():
    with pytest.raises(TypeError, match="two faults are called 'kill'"):

        class Again(Fault, kind="kill"):
            """Another."""


def test_a_killed_node_is_down_in_the_way_asked_for():
    one = fault("kill", {"of": "n2", "signal": "term", "wipe": True})
    model = effect(one, one.choose(pool(3)), NAMES)
    assert model.status_of("n2") == NodeStatus(Status.DOWN, "term", wipe=True)
    assert model.running() == ("n1", "n3")
    assert one.event(one.choose(pool(3))) is None


def test_a_paused_node_is_paused():
    one = fault("pause", ["n1", "n3"])
    assert effect(one, one.choose(pool(3)), NAMES).describe()["status"] == {
        n: {"is": "paused", "signal": "kill", "wipe": False} for n in ("n1", "n3")
    }


def test_momentary_faults_are_events_and_change_nothing():
    restart = fault("restart", {"of": "n1", "signal": "int"})
    chosen = restart.choose(pool(3))
    assert restart.momentary
    assert restart.event(chosen) == {"do": "restart", "nodes": ["n1"], "signal": "int", "wipe": False}
    assert effect(restart, chosen, NAMES) == NetworkModel(tuple(NAMES))
    start = fault("start", "miners")
    assert start.event(start.choose(pool(3, absent=frozenset(NAMES)))) == {"do": "start", "nodes": NAMES}


def test_only_start_hits_nodes_that_wait():
    with pytest.raises(ChoiceError, match="waiting to be started"):
        fault("kill", "miners").choose(pool(3, absent=frozenset(NAMES)))


def test_signals_are_known_ones():
    with pytest.raises(ValidationError, match="signal"):
        fault("kill", {"of": "n1", "signal": "nuke"})


@given(st.integers(0, 99))
def test_offsets_are_drawn_for_each_node_within_the_range(seed):
    one = fault("clock", {"offset": "-2s..+2s", "drift": "+100ppm..+200ppm"})
    chosen = one.choose(pool(5, seed))
    assert chosen == one.choose(pool(5, seed))
    assert set(chosen.draws["offset"]) == set(chosen.targets)
    assert all(-2 <= v <= 2 for v in chosen.draws["offset"].values())
    assert all(100 <= v <= 200 for v in chosen.draws["drift"].values())
    assert len(set(chosen.draws["offset"].values())) > 1


def test_the_error_of_a_clock_counts_from_its_start():
    one = fault(
        "clock", {"of": "n1", "offset": "+30s", "drift": "+500ppm", "strobe": "200ms", "every": "100ms"}
    )
    clock = effect(one, one.choose(pool(3)), NAMES, since=10.0).clocks["n1"]
    assert clock.offset_s == 30
    assert clock.drifts == ((10.0, 500.0),)
    assert clock.strobes == ((10.0, 0.2, 0.1),)
    assert clock.error_at(20) == pytest.approx(30.005)
    assert clock.error_at(10.15) == pytest.approx(30.2 + 0.15 * 500e-6)


def test_a_frozen_clock_falls_behind():
    one = fault("clock", {"of": "n1", "freeze": True})
    assert effect(one, one.choose(pool(3)), NAMES, since=10.0).clocks["n1"].error_at(15) == -5


def test_a_choice_without_draws_still_shifts_by_a_fixed_offset():
    one = fault("clock", {"of": "n1", "offset": "+30s"})
    assert one.effect(NetworkModel(("n1",)), Hit(Chosen(("n1",)), 0)).clocks["n1"].offset_s == 30


@pytest.mark.parametrize(
    "written",
    [
        {"of": "n1"},
        {"strobe": "200ms"},
        {"every": "100ms", "offset": "+1s"},
        {"strobe": "200ms", "every": "0s"},
        {"strobe": "200ms", "every": "1 layer"},
        {"offset": "30s"},
        {"freeze": False},
        "n1",
    ],
)
def test_clock_errors_that_make_no_sense_are_refused(written):
    with pytest.raises(ValidationError):
        fault("clock", written)


def test_two_strobes_on_one_node_are_in_conflict():
    strobe = fault("clock", {"of": "n1", "strobe": "200ms", "every": "100ms"})
    assert "two strobes at once on n1" in str(strobe.conflict(strobe, ["n1"]))
    assert strobe.conflict(strobe, []) is None
    assert strobe.conflict(fault("clock", {"of": "n1", "offset": "+1s"}), ["n1"]) is None
