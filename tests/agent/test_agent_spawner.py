"""Nodes that a warm program forks behave like those that the agent starts itself."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from agent_client import Agent, Refused
from witness import others_python, wait_for

pytestmark = pytest.mark.lab

SPAWNER = Path(__file__).with_name("tiny_spawner.py")


def warm(agent: Agent, *names: str, tmp_path: Path, **config: Any) -> None:
    argv = [others_python(), "-I", "-S", str(SPAWNER)]
    agent.ask("spawner", name="tiny", argv=argv, env={}, log=str(tmp_path / "spawner.log"))
    described = [
        {"name": n, "spawner": "tiny", "log": str(tmp_path / f"{n}.log"), "config": config} for n in names
    ]
    agent.ask("create", nodes=described)


def down(*names: str) -> dict:
    return {"status": {n: {"is": "down", "signal": "kill", "wipe": False} for n in names}}


def test_forked_nodes_live_die_and_live_again(agent: Agent, tmp_path: Path) -> None:
    names = [f"n{i}" for i in range(10)]
    warm(agent, *names, tmp_path=tmp_path)
    started = agent.ask("start", nodes=names)
    assert sorted(started["pids"]) == names
    assert started["errors"] == {}
    assert all([m["pid"] for m in agent.members(n)] == [started["pids"][n]] for n in names)
    log = tmp_path / "n3.log"
    assert wait_for(lambda: log.exists() and log.read_text().startswith("n3 10.77.0.4"))
    agent.change(1, down("n3"))
    exited = agent.event("exited", node="n3")
    assert (exited["code"], exited["expected"]) == (-signal.SIGKILL, True)
    assert agent.event("down", node="n3")["gone"] == [started["pids"]["n3"]]
    agent.change(2)
    agent.event("started", node="n3", why="heal")
    assert wait_for(lambda: log.read_text().count("n3 10.77.0.4") == 2)


def test_a_forked_node_that_is_paused_before_it_begins_stands_at_the_gate(
    agent: Agent, tmp_path: Path
) -> None:
    warm(agent, "a", tmp_path=tmp_path)
    agent.change(1, {"status": {"a": {"is": "paused", "signal": "kill", "wipe": False}}})
    agent.ask("start", nodes=["a"])
    agent.listen(0.2)
    assert [m["state"] for m in agent.members("a")] == ["T"]
    assert not (tmp_path / "a.log").exists() or not (tmp_path / "a.log").read_text()
    agent.change(2)
    assert wait_for(lambda: (tmp_path / "a.log").exists() and (tmp_path / "a.log").read_text() != "")


def test_the_end_of_a_forked_node_has_its_code(agent: Agent, tmp_path: Path) -> None:
    warm(agent, "a", tmp_path=tmp_path, sleep=0.1)
    agent.ask("start", nodes=["a"])
    exited = agent.event("exited", node="a")
    assert (exited["code"], exited["expected"]) == (5, False)


def test_a_spawners_refusal_is_the_nodes_error(agent: Agent, tmp_path: Path) -> None:
    warm(agent, "a", tmp_path=tmp_path, refuse=True)
    assert agent.ask("start", nodes=["a"])["errors"] == {"a": "a: not this one"}


def test_a_spawner_that_dies_is_told_and_its_nodes_are_still_minded(agent: Agent, tmp_path: Path) -> None:
    warm(agent, "a", tmp_path=tmp_path)
    pid = agent.ask("start", nodes=["a"])["pids"]["a"]
    deadly = {"name": "b", "spawner": "tiny", "config": {"die": True}}
    agent.ask("create", nodes=[deadly])
    errors = agent.ask("start", nodes=["b"])["errors"]
    assert "the spawner tiny ended" in errors["b"]
    assert "tiny has ended" in agent.event("problem")["text"]
    assert [m["pid"] for m in agent.members("a")] == [pid]
    agent.change(1, down("a"))
    assert agent.event("exited", node="a")["code"] is None
    agent.event("down", node="a")
    agent.change(2)
    assert "no spawner 'tiny'" in agent.event("problem", node="a")["text"]
    assert agent.ask("bye") == {"left": []}


def test_a_spawner_that_cannot_be_run_is_said_so(agent: Agent) -> None:
    with pytest.raises(Refused, match="cannot run /no/such: No such file"):
        agent.ask("spawner", name="x", argv=["/no/such"], env={})
