"""Changes sent ahead: generations, moments, and the lease they live under."""

from __future__ import annotations

import pytest
from agent_client import Agent, Refused, node
from witness import Lab, cuts

pytestmark = pytest.mark.lab

DOWN = {"status": {"a": {"is": "down", "signal": "kill", "wipe": False}}}


@pytest.fixture
def ready(agent: Agent) -> Agent:
    agent.ask("create", nodes=[node("a"), node("b")])
    agent.ask("start", nodes=["a", "b"])
    agent.ask("renew", lease=30)
    return agent


def test_an_older_or_equal_generation_is_refused_and_changes_nothing(ready: Agent) -> None:
    ready.change(5)
    for generation in (5, 4, 0):
        with pytest.raises(Refused, match="is not newer than 5") as refused:
            ready.ask("reconcile", generation=generation, changes=[{"at": 0, "state": DOWN}])
        assert refused.value.kind == "refused"
    ready.listen(0.2)
    assert len(ready.members("a")) == 1


def test_changes_begin_in_order_none_before_its_moment(ready: Agent) -> None:
    start = ready.ask("hello")["now"]
    changes = [
        {"at": start + s, "key": str(s), "state": DOWN if i % 2 else {}}
        for i, s in enumerate((0.1, 0.2, 0.3))
    ]
    ready.ask("reconcile", generation=1, changes=changes[::-1])
    began = [ready.event("began", key=c["key"]) for c in changes]
    assert [b["asked"] for b in began] == [c["at"] for c in changes]
    assert all(b["asked"] <= b["at"] <= b["done"] for b in began)
    assert sorted(b["at"] for b in began) == [b["at"] for b in began]


def test_a_newer_generation_replaces_what_has_not_begun(ready: Agent) -> None:
    start = ready.ask("hello")["now"]
    ready.ask("reconcile", generation=1, changes=[{"at": start + 0.3, "key": "old", "state": DOWN}])
    ready.ask("reconcile", generation=2, changes=[{"at": 0, "key": "abort", "state": {}}])
    ready.event("began", key="abort")
    ready.listen(0.6)
    assert not [e for e in ready.events if e["event"] == "began"]
    assert len(ready.members("a")) == 1


def test_a_change_that_cannot_be_read_leaves_the_former_ones(ready: Agent) -> None:
    start = ready.ask("hello")["now"]
    ready.ask("reconcile", generation=1, changes=[{"at": start + 0.3, "key": "kept", "state": {}}])
    bad = [
        ({"status": {"z": {"is": "down"}}}, "no node 'z'"),
        ({"status": {"a": {"is": "tired"}}}, "'down' or 'paused'"),
        ({"status": {"a": {"is": "down", "signal": "nudge"}}}, "no signal 'nudge'"),
        ({"cuts": {"blocks": [["z"]], "cut": [[0, 0]]}}, "no node 'z'"),
        ({"cuts": {"blocks": [["a"]], "cut": [[0, 1]]}}, "not listed"),
        ({"clocks": {"z": {}}}, "no node 'z'"),
    ]
    for state, said in bad:
        with pytest.raises(Refused, match=said):
            ready.ask("reconcile", generation=2, changes=[{"at": 0, "state": state}])
    with pytest.raises(Refused, match="no event 'dance'"):
        ready.ask("reconcile", generation=2, changes=[{"at": 0, "events": [{"do": "dance", "nodes": ["a"]}]}])
    with pytest.raises(Refused, match="'at' is missing"):
        ready.ask("reconcile", generation=2, changes=[{"state": {}}])
    ready.event("began", key="kept")


def test_a_lease_that_runs_out_heals_and_begins_nothing_more(lab: Lab) -> None:
    agent = lab.agent
    start = agent.ask("hello")["now"]
    until = agent.ask("renew", lease=0.5)["until"]
    assert start + 0.4 < until < start + 1.5
    state = cuts([lab.names[:3], lab.names[3:]], (0, 1), (1, 0)) | {
        "status": {"n1": {"is": "down", "signal": "kill", "wipe": False}}
    }
    later = {"at": start + 1.2, "key": "never", "state": state}
    agent.ask("reconcile", generation=1, changes=[{"at": 0, "key": "now", "state": state}, later])
    agent.event("began", key="now")
    lease = agent.event("lease")
    assert lease["at"] >= until
    assert lease["left"] == []
    assert agent.event("began", key="lease")
    agent.event("started", node="n1", why="heal")
    assert lab.reach(lab.everything()) == lab.everything()
    agent.listen(1.0)
    assert not [e for e in agent.events if e["event"] in ("began", "lapsed")]
    agent.ask("renew", lease=30)  # it goes on from here as if nothing had been
    agent.change(2, cuts([["n1"], ["n2"]], (0, 1)))
    assert ("n1", "n2") not in lab.reach()


def test_a_renewed_lease_keeps_what_holds(lab: Lab) -> None:
    lab.agent.ask("renew", lease=0.5)
    lab.agent.change(1, cuts([["n1"], ["n2"]], (0, 1)))
    for _ in range(6):
        lab.agent.listen(0.2)
        lab.agent.ask("renew", lease=0.5)
    assert lab.reach() == lab.everything() - {("n1", "n2")}
    assert not [e for e in lab.agent.events if e["event"] in ("lease", "lapsed")]


def test_conditions_that_nobody_leased_end_by_themselves(ready: Agent) -> None:
    """A runner that reconciles and never renews gets the shortest lease, not for ever."""
    with Agent() as agent:
        agent.ask("create", nodes=[node("a"), node("b")])
        agent.change(1, cuts([["a"], ["b"]], (0, 1)))
        agent.event("lease", within=8)


def test_nonsense_is_answered_in_words(agent: Agent) -> None:
    with pytest.raises(Refused, match="no request 'dance'") as refused:
        agent.ask("dance")
    assert refused.value.kind == "missing"
    with pytest.raises(Refused, match="'generation' is missing"):
        agent.ask("reconcile")
    with pytest.raises(Refused, match="at most an hour"):
        agent.ask("renew", lease=-1)
    agent.process.stdin.write(b"no json\n[1]\n{}\n\n")
    agent.process.stdin.flush()
    for _ in range(3):
        agent.event("problem")
    assert agent.ask("hello")["version"] == 1
