"""Clock conditions through the whole agent: seen by running, new and restarted processes, then taken back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from agent_client import Agent, node
from witness import others_python, started_as, wait_for

pytestmark = pytest.mark.lab

NS = 10**9


@pytest.fixture(params=["root", "nobody"])
def bending(request: pytest.FixtureRequest):
    with started_as(request.param) as agent:
        if not agent.ask("hello")["capabilities"]["vdso"]:
            pytest.skip("clocks cannot be bent on this machine")
        yield agent


def clocks(**conditions: dict) -> dict:
    whole = {"offset_s": 0.0, "drifts": [], "strobes": [], "frozen_since": None}
    return {"clocks": {n: whole | c for n, c in conditions.items()}}


def seen(agent: Agent, name: str) -> dict[int, int]:
    """What each process of a node sees, in ns, by pid."""
    return {row["pid"]: row["offset_ns"] for row in agent.ask("clock", nodes=[name])[name]}


def program() -> list[str]:
    return [others_python(), "-I", "-S", "-c", "import time; time.sleep(1000)"]


def test_running_new_and_restarted_processes_are_under_the_condition(bending: Agent) -> None:
    agent = bending
    agent.ask("renew", lease=60)
    agent.ask("create", nodes=[node("a", *program()), node("b", *program())])
    first = agent.ask("start", nodes=["a", "b"])["pids"]
    began = agent.change(1, clocks(a={"offset_s": 30.0}))
    assert began["problems"] == []
    event = agent.event("clock", node="a")
    assert event["problems"] == []
    assert event["expected_ns"] == 30 * NS
    assert [pid for pid, _ in event["offset_ns"]] == [first["a"]]
    assert abs(event["offset_ns"][0][1] - 30 * NS) < NS // 100
    assert abs(seen(agent, "a")[first["a"]] - 30 * NS) < NS // 100
    agent.change(2, clocks(a={"offset_s": 30.0}), events=[{"do": "restart", "nodes": ["a"]}])
    again = agent.event("started", node="a", why="restart")["pid"]
    assert abs(seen(agent, "a")[again] - 30 * NS) < NS // 100
    agent.change(3)
    event = agent.event("clock", node="a")
    assert (event["restored"], event["problems"], event["expected_ns"]) == (True, [], 0)
    assert abs(seen(agent, "a")[again]) < NS // 100
    assert not [e for e in agent.events if e["event"] == "problem"]


def test_the_first_instruction_of_a_program_sees_the_bent_clock(agent: Agent, tmp_path: Path) -> None:
    """Held at exec: even a program that ends at once never sees the true time."""
    if not agent.ask("hello")["capabilities"]["vdso"]:
        pytest.skip("clocks cannot be bent on this machine")
    log = tmp_path / "log"
    code = "import time; print(time.time_ns())"
    agent.ask("create", nodes=[node("a", sys.executable, "-I", "-S", "-c", code, log=str(log))])
    agent.change(1, clocks(a={"offset_s": -7200.0}))
    true = agent.ask("hello")["wall_ns"]
    assert agent.ask("start", nodes=["a"])["errors"] == {}
    agent.event("exited", node="a")
    assert abs(int(log.read_text()) - true + 7200 * NS) < 30 * NS


def test_a_clock_and_a_pause_and_a_kill_at_once(agent: Agent) -> None:
    if not agent.ask("hello")["capabilities"]["vdso"]:
        pytest.skip("clocks cannot be bent on this machine")
    names = ["a", "b", "c"]
    agent.ask("create", nodes=[node(n, *program()) for n in names])
    agent.ask("start", nodes=names)
    every = clocks(**{n: {"offset_s": 5.0} for n in names})
    paused = {"a": {"is": "paused", "signal": "kill", "wipe": False}}
    down = {"b": {"is": "down", "signal": "kill", "wipe": False}}
    assert agent.change(1, every)["problems"] == []
    assert agent.change(2, every | {"status": paused | down})["problems"] == []
    agent.event("paused", node="a")
    agent.event("down", node="b")
    assert agent.event("exited", node="b")["code"] == -9
    assert agent.change(3, every)["problems"] == []
    agent.event("resumed", node="a")
    new = agent.event("started", node="b", why="heal")["pid"]
    assert wait_for(lambda: abs(seen(agent, "b").get(new, 0) - 5 * NS) < NS // 100)
    assert agent.change(4)["problems"] == []
    agent.listen(0.4)
    assert not [e for e in agent.events if e["event"] in ("problem", "lapsed")]
    assert all(abs(ns) < NS // 100 for n in names for ns in seen(agent, n).values())
    assert agent.ask("bye") == {"left": []}
