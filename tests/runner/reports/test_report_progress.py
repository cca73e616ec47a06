"""A run told in lines: what is said, when, and how little."""

import pytest
from written_run import ZERO, event

from runner.reports.progress import Narrator
from runner.reports.wording import Paint


def told(events):
    narrator = Narrator()
    return [line.show(Paint()) for e in events for line in narrator.feed(e)]


def test_whole_run(run, snapshot):
    assert "\n".join(told(run)) == snapshot


def test_in_force_only_when_every_watched_pair_is_silent(run):
    silent = [e for e in run if e["event"] == "beat" and not e["through"]]
    lines = told([e for e in run if e is not silent[-1]])
    assert not any("split in force" in line for line in lines)
    assert any("split in force (proved: 4 of 4 watched pairs cut)" in line for line in told(run))


def test_a_cut_that_is_not_complete_is_said(run):
    for e in run:
        if e["event"] == "sweep":
            e["reach"] = {"blocks": [["n1", "n2", "n3"], ["n4", "n5"], ["n6"]], "cut": [[0, 1], [1, 0]]}
    assert any("12 of 18 pairs that should be cut are cut" in line for line in told(run))


def test_healed_is_not_said_while_another_fault_goes_on(run):
    """A node that two faults hold down is not expected to start when one of them ends."""
    from written_run import model, step

    down = {"status": {"n2": {"is": "down", "signal": "kill", "wipe": False}}}
    events = [*run[:12], step(ZERO, "longer", "kill", ["n2"], 26.0, 40.0, ["down"])]
    events += [model(26.0, down, "x"), model(28.0, down, "y"), model(32.0, down, "z")]
    events.append(event(ZERO + 32.5, "started", node="n2", pid=9, why="heal"))
    assert not any("crash healed" in line for line in told(events))


def test_setup_is_heard_of_now_and_then_only():
    names = [f"n{i}" for i in range(200)]
    events = [event(0.0, "run", scenario={"name": "big"}, seed=1, nodes=[{"name": n} for n in names])]
    events += [event(0.1 * i, "started", node=n, pid=i, why="first") for i, n in enumerate(names)]
    lines = told(events)
    assert 3 <= len(lines) <= 7
    assert lines[-1].endswith("all 200 nodes started; waiting for the steady state")


def test_who_is_isolated_is_said_beside_those_who_are_not():
    from written_run import NAMES, model, step

    alone = step(ZERO, "alone", "isolate", ["n2"], 5.0, 9.0, ["cut"], sides={"rest": ["n1", *NAMES[2:]]})
    start = event(0.0, "run", scenario={"name": "x"}, seed=1, nodes=[{"name": n} for n in NAMES])
    lines = told([start, event(ZERO, "steady", zero=ZERO), alone, model(5.0, {}, "x")])
    assert any(line.endswith("alone: isolate n2: rest = n1 n3–n6") for line in lines)


def test_waiting_says_why_nobody_answers():
    start = event(0.0, "run", scenario={"name": "x"}, seed=1, nodes=[{"name": "n1"}])
    silent = {"n1": {"answers": False, "why": "refused"}}
    samples = [event(float(t), "sample", n=t, key=True, nodes=silent) for t in range(1, 9)]
    started = event(0.1, "started", node="n1", pid=1, why="first")
    assert any("0 of 1 node answer (n1: refused)" in line for line in told([start, started, *samples]))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (event(9, "exited", node="n3", pid=1, code=-11, expected=False), "n3 ended by itself, by signal 11"),
        (event(9, "exited", node="n3", pid=1, code=3, expected=False), "n3 ended by itself, with code 3"),
        (
            event(9, "lapsed", what="cuts", node=None, **{"from": 8.0, "to": None}, detail="rules gone"),
            "lapsed: cuts",
        ),
        (event(9, "trigger", step="late", when="x", met=False), "late: its condition was not met in time"),
        (event(9, "heal", why="interrupt"), "healing everything (interrupt)"),
        (event(9, "healed", left=["qdisc on eth0"]), "NOT HEALED: qdisc on eth0"),
        (
            event(9, "end", why="error", detail="the agent ended", kept=False),
            "ended early (error): the agent ended",
        ),
        (event(9, "missed", why="eye gone"), "a sample was missed: eye gone"),
        (event(9, "kept", verdict="violated", reasons=["because"]), "verdict: violated"),
        (event(9, "log", node="n1", pattern="panic", text="panic: \x1b[31mx"), "n1: panic: [31mx"),
        (
            event(
                9,
                "standing",
                expectations=[
                    {
                        "name": "after-split",
                        "answer": "held",
                        "settled": True,
                        "reason": "",
                        "recovery_s": 2.4,
                    }
                ],
            ),
            "after-split held: recovered after 2.4 s",
        ),
    ],
)
def test_notable_events(given, said):
    assert said in "\n".join(told([given]))


def test_what_is_expected_is_not_told():
    quiet = [
        event(1, "exited", node="n1", pid=1, code=-9, expected=True),
        event(2, "heal", why="plan"),
        event(3, "healed", left=[]),
        event(4, "something-of-a-later-version", detail=1),
    ]
    assert told(quiet) == []
