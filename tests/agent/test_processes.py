"""What happens to processes: started, ended, paused, let go, restarted; hidden children too."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from agent_client import Agent, Refused, node
from witness import host_pid, wait_for

pytestmark = pytest.mark.lab

HIDING = "(setsid sleep 1001 &) ; (setsid sh -c 'sleep 1002 & sleep 1003' &) ; exec sleep 1000"
"""Leaves three children behind that belong to other sessions and to nobody's process tree."""


def status(**nodes: str) -> dict:
    return {"status": {n: {"is": s, "signal": "kill", "wipe": False} for n, s in nodes.items()}}


def running(agent: Agent, *nodes: dict) -> dict[str, int]:
    agent.ask("create", nodes=list(nodes))
    started = agent.ask("start", nodes=[n["name"] for n in nodes])
    assert started["errors"] == {}
    for n in nodes:
        assert agent.event("started", node=n["name"])["why"] == "first"
    return started["pids"]


def hiding(agent: Agent) -> int:
    """Start node ``a`` and wait until all of its children are there; returns its pid."""
    pid = running(agent, node("a", "sh", "-c", HIDING), node("b"))["a"]
    assert wait_for(lambda: [m["comm"] for m in agent.members("a")].count("sleep") == 4)
    return pid


def test_kill_reaches_children_that_hid_themselves(anyones: Agent) -> None:
    pid = hiding(anyones)
    before = {m["pid"] for m in anyones.members("a")}
    theirs = [host_pid(anyones, p) for p in before]
    anyones.change(1, status(a="down"))
    down = anyones.event("down", node="a")
    assert set(down["gone"]) == before
    assert 0 <= down["leaked_s"] < 5
    assert not [p for p in theirs if Path(f"/proc/{p}/ns/net").exists()]
    assert anyones.members("a") == []
    assert len(anyones.members("b")) == 1
    exited = anyones.event("exited", node="a", pid=pid)
    assert exited["code"] == -signal.SIGKILL
    assert exited["expected"] is True
    anyones.change(2)
    again = anyones.event("started", node="a", why="heal")
    assert again["pid"] != pid


def test_pause_reaches_children_that_hid_themselves(anyones: Agent) -> None:
    hiding(anyones)
    everybody = {m["pid"] for m in anyones.members("a")}
    anyones.change(1, status(a="paused"))
    assert set(anyones.event("paused", node="a")["pids"]) == everybody
    assert {m["state"] for m in anyones.members("a")} == {"T"}
    assert {m["state"] for m in anyones.members("b")} == {"S"}
    anyones.change(2)
    assert set(anyones.event("resumed", node="a")["pids"]) == everybody
    assert {m["state"] for m in anyones.members("a")} == {"S"}


def test_the_worse_of_two_conditions_and_what_is_left_when_it_ends(agent: Agent) -> None:
    running(agent, node("a"))
    agent.change(1, status(a="paused"))
    agent.event("paused", node="a")
    agent.change(2, status(a="down"))
    agent.event("down", node="a")
    agent.change(3, status(a="paused"))
    agent.event("started", node="a", why="heal")
    assert wait_for(lambda: [m["state"] for m in agent.members("a")] == ["T"])
    agent.change(4)
    agent.event("resumed", node="a")
    assert wait_for(lambda: [(m["state"], m["comm"]) for m in agent.members("a")] == [("S", "sleep")])


def test_a_node_started_while_down_waits_for_the_heal(agent: Agent) -> None:
    agent.ask("create", nodes=[node("a")])
    agent.change(1, status(a="down"))
    assert agent.ask("start", nodes=["a"]) == {"pids": {}, "errors": {}}
    assert agent.members("a") == []
    agent.change(2)
    agent.event("started", node="a", why="heal")


def test_a_node_that_was_never_started_stays_so_when_down_ends(agent: Agent) -> None:
    agent.ask("create", nodes=[node("a")])
    agent.change(1, status(a="down"))
    agent.event("down", node="a")
    agent.change(2)
    agent.listen(0.2)
    assert not [e for e in agent.events if e["event"] == "started"]


def test_a_gentle_signal_lets_a_node_finish(agent: Agent, tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"
    ready = tmp_path / "ready"
    script = f"trap 'echo done > {farewell}; exit 7' TERM; echo > {ready}; while true; do sleep 0.01; done"
    running(agent, node("a", "sh", "-c", script))
    assert wait_for(ready.exists)
    state = {"status": {"a": {"is": "down", "signal": "term", "wipe": False}}}
    agent.change(1, state)
    agent.event("down", node="a")
    assert farewell.read_text() == "done\n"
    assert agent.event("exited", node="a")["code"] == 7


def test_a_node_deaf_to_a_gentle_signal_is_killed_when_its_time_is_up(agent: Agent, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    running(agent, node("a", "sh", "-c", f"trap '' TERM; echo > {ready}; while true; do sleep 0.01; done"))
    assert wait_for(ready.exists)
    agent.ask("stop", nodes=["a"], signal="term", within=0.2)
    assert agent.members("a") == []
    assert agent.event("exited", node="a")["code"] == -signal.SIGKILL


def test_wipe_empties_the_data_folder_and_nothing_else(agent: Agent, tmp_path: Path) -> None:
    data, outside = tmp_path / "data", tmp_path / "outside"
    (data / "deep" / "deeper").mkdir(parents=True)
    (data / "deep" / "deeper" / "file").write_text("x")
    outside.mkdir()
    (outside / "kept").write_text("x")
    (data / "link").symlink_to(outside)
    running(agent, node("a", data=str(data)))
    agent.change(1, {"status": {"a": {"is": "down", "signal": "kill", "wipe": True}}})
    agent.event("down", node="a")
    assert list(data.iterdir()) == []
    assert (outside / "kept").exists()


def test_restart_is_another_process_whatever_the_policy(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    pids = running(agent, node("a", data=str(tmp_path)), node("b"))
    event = {"do": "restart", "nodes": ["a"], "signal": "term", "wipe": True}
    agent.change(1, events=[event])
    assert agent.event("exited", node="a") | {"at": 0} == {
        "event": "exited",
        "at": 0,
        "node": "a",
        "pid": pids["a"],
        "code": -signal.SIGTERM,
        "expected": True,
    }
    assert agent.event("started", node="a", why="restart")["pid"] != pids["a"]
    assert list(tmp_path.iterdir()) == []
    assert [m["pid"] for m in agent.members("b")] == [pids["b"]]


def test_a_crash_is_told_and_followed_by_the_policy(agent: Agent) -> None:
    pids = running(agent, node("a", restarts="always"), node("b"))
    for name, pid in pids.items():
        os.kill(host_pid(agent, pid), signal.SIGSEGV)
        exited = agent.event("exited", node=name)
        assert (exited["code"], exited["expected"]) == (-signal.SIGSEGV, False)
    assert agent.event("started", node="a")["why"] == "supervisor"
    agent.listen(0.3)
    assert agent.members("b") == []


def test_no_policy_starts_a_node_that_is_down(agent: Agent) -> None:
    running(agent, node("a", restarts="always"))
    agent.change(1, status(a="down"))
    agent.event("down", node="a")
    agent.listen(0.4)
    assert agent.members("a") == []


def test_stop_is_for_good(agent: Agent) -> None:
    running(agent, node("a", restarts="always"), node("b"))
    assert agent.ask("stop", nodes=["a"], signal="term", within=5) == {}
    agent.listen(0.3)
    assert agent.members("a") == []
    assert len(agent.members("b")) == 1


def test_a_program_that_cannot_be_run_is_said_so(agent: Agent) -> None:
    nodes = [
        node("a", "/no/such/program"),
        node("b", cwd="/no/such/folder"),
        node("c", log="/no/such/log"),
        node("d"),
    ]
    agent.ask("create", nodes=nodes)
    started = agent.ask("start", nodes=["a", "b", "c", "d"])
    assert list(started["pids"]) == ["d"]
    assert started["errors"] == {
        "a": "cannot run /no/such/program: No such file or directory",
        "b": "cannot enter /no/such/folder for sleep: No such file or directory",
        "c": "cannot open the files of sleep: No such file or directory",
    }
    assert not [e for e in agent.events if e["event"] == "exited"]


def test_a_node_gets_its_environment_folder_and_log(agent: Agent, tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import os, sys; print(os.environ['X'], os.getcwd(), os.getsid(0) == os.getpid());"
        "print('e', file=sys.stderr)"
    )
    agent.ask(
        "create",
        nodes=[node("a", sys.executable, "-c", code, env={"X": "y"}, cwd=str(tmp_path), log=str(log))],
    )
    assert list(agent.ask("start", nodes=["a"])["pids"]) == ["a"]
    assert agent.event("exited", node="a")["code"] == 0
    assert sorted(log.read_text().splitlines()) == ["e", f"y {tmp_path} True"]


def test_a_short_life_is_told_from_its_start_to_its_end(agent: Agent) -> None:
    agent.ask("create", nodes=[node(f"n{i}", "true") for i in range(20)])
    assert len(agent.ask("start", nodes=[f"n{i}" for i in range(20)])["pids"]) == 20
    for i in range(20):
        exited = agent.event("exited", node=f"n{i}")
        assert (exited["code"], exited["expected"]) == (0, False)
        assert agent.event("started", node=f"n{i}")["at"] <= exited["at"]


def test_starting_what_runs_already_is_an_error_of_that_node_alone(agent: Agent) -> None:
    running(agent, node("a"))
    assert agent.ask("start", nodes=["a"])["errors"] == {"a": "a runs already"}


def test_a_paused_process_let_go_by_others_is_reported_and_left_so(agent: Agent) -> None:
    pid = running(agent, node("a"))["a"]
    agent.change(1, status(a="paused"))
    agent.event("paused", node="a")
    settled = agent.ask("hello")["now"]
    os.kill(host_pid(agent, pid), signal.SIGCONT)
    lapsed = agent.event("lapsed", what="paused", node="a")
    assert lapsed["to"] is None
    assert settled - 0.5 < lapsed["from"] < settled + 2
    assert str(pid) in lapsed["detail"]
    agent.listen(0.4)
    assert agent.members("a")[0]["state"] == "S"
    agent.change(2)
    assert agent.event("lapsed", what="paused", node="a")["to"] is not None


def test_a_process_that_appears_while_down_is_reported_and_left(agent: Agent) -> None:
    running(agent, node("a"))
    agent.change(1, status(a="down"))
    agent.event("down", node="a")
    settled = agent.ask("hello")["now"]
    agent.ask("exec", node="a", argv=["setsid", "-f", "sleep", "1000"])
    lapsed = agent.event("lapsed", what="down", node="a")
    assert lapsed["to"] is None
    assert settled - 0.5 < lapsed["from"] < settled + 2
    assert "sleep" in lapsed["detail"]
    agent.listen(0.4)
    assert len(agent.members("a")) == 1
    assert not [e for e in agent.events if e["event"] == "lapsed"]
    agent.change(2)
    assert agent.event("lapsed", what="down", node="a")["to"] is not None


def test_programs_by_hand_are_no_members(agent: Agent, tmp_path: Path) -> None:
    running(agent, node("a"))
    out = tmp_path / "out"
    pid = agent.ask("exec", node="a", argv=["sh", "-c", "echo hi; sleep 1000"], stdout=str(out))["pid"]
    assert wait_for(lambda: out.exists() and out.read_text() == "hi\n")
    assert [m["comm"] for m in agent.members("a")] == ["sleep"]
    agent.change(1, status(a="down"))
    agent.event("down", node="a")
    agent.listen(0.4)
    assert not [e for e in agent.events if e["event"] in ("lapsed", "exec-exit")]
    os.kill(host_pid(agent, pid), signal.SIGTERM)
    assert agent.event("exec-exit", pid=pid)["code"] == -signal.SIGTERM


def test_a_command_gives_its_output_and_code(agent: Agent, tmp_path: Path) -> None:
    agent.ask("create", nodes=[node("a")])
    log = tmp_path / "log"
    said = agent.ask("command", argv=["sh", "-c", "echo out; echo err >&2; exit 3"], log=str(log))
    assert said == {"code": 3, "out": "out\n"}
    assert sorted(log.read_text().splitlines()) == ["err", "out"]
    much = agent.ask("command", argv=["sh", "-c", "head -c 300000 /dev/zero"], node="a")
    assert len(much["out"]) == 64 << 10
    with pytest.raises(Refused, match=r"sleep did not end within 0\.2 s"):
        agent.ask("command", argv=["sleep", "1000"], timeout=0.2)
    with pytest.raises(Refused, match="cannot run /no/such: No such file"):
        agent.ask("command", argv=["/no/such"])
    with pytest.raises(Refused, match="cannot run /no/such: No such file"):
        agent.ask("exec", argv=["/no/such"])
    with pytest.raises(Refused, match="no node 'z'"):
        agent.ask("exec", argv=["true"], node="z")
