"""Nothing outlives the agent, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from agent_client import AGENT, Agent, node
from witness import alive, family, host_pid, wait_for

pytestmark = pytest.mark.lab


def all_gone(pids: set[int]) -> bool:
    return wait_for(lambda: not any(map(alive, pids)), 5)


def busy(agent: Agent) -> set[int]:
    """An agent with nodes whose children hid themselves, one of them paused; returns all its processes."""
    script = "(setsid sleep 1001 &) ; exec sleep 1000"
    agent.ask("create", nodes=[node("a", "sh", "-c", script), node("b", "sh", "-c", script)])
    agent.ask("start", nodes=["a", "b"])
    agent.ask("exec", argv=["sleep", "1002"])
    assert wait_for(lambda: sum(len(agent.members(n)) for n in "ab") == 4)
    agent.change(1, {"status": {"b": {"is": "paused", "signal": "kill", "wipe": False}}})
    agent.event("paused", node="b")
    everybody = family(agent)
    assert len(everybody) >= 8
    return everybody


def test_end_of_input_ends_everything(anyones: Agent) -> None:
    everybody = busy(anyones)
    anyones.close()
    assert all_gone(everybody)
    assert anyones.process.returncode == 0


def test_end_of_input_ends_everything_even_if_the_agent_stands_still(agent: Agent) -> None:
    everybody = busy(agent)
    os.kill(host_pid(agent, agent.ask("hello")["pid"]), signal.SIGSTOP)
    agent.process.stdin.close()
    assert all_gone(everybody)


def test_killing_the_agent_ends_everything(anyones: Agent) -> None:
    everybody = busy(anyones)
    os.kill(host_pid(anyones, anyones.ask("hello")["pid"]), signal.SIGKILL)
    assert all_gone(everybody)


def test_killing_the_outer_process_ends_everything(anyones: Agent) -> None:
    everybody = busy(anyones)
    anyones.process.kill()
    assert all_gone(everybody)


def test_killing_the_runner_ends_everything(tmp_path: Path) -> None:
    """A program that starts an agent with a node and is killed with SIGKILL."""
    found = tmp_path / "found"
    program = f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from agent_client import Agent, node
        from witness import family
        agent = Agent()
        agent.ask("create", nodes=[node("a")])
        agent.ask("start", nodes=["a"])
        open({str(found)!r}, "w").write(" ".join(map(str, family(agent))))
        print("ready", flush=True)
        time.sleep(1000)
    """
    runner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert runner.stdout
    assert runner.stdout.readline() == b"ready\n"
    everybody = set(map(int, found.read_text().split()))
    assert all(map(alive, everybody))
    runner.kill()
    runner.wait()
    runner.stdout.close()
    assert all_gone(everybody)


def test_bye_heals_ends_and_says_what_is_left(anyones: Agent) -> None:
    everybody = busy(anyones)
    assert anyones.ask("bye") == {"left": []}
    assert anyones.event("began", key="bye")["problems"] == []
    assert anyones.process.wait(5) == 0
    assert all_gone(everybody)


def test_an_interrupt_from_the_terminal_is_the_runners_alone(agent: Agent) -> None:
    """Ctrl-C goes to the foreground group of a session; the agent's processes belong to others."""
    everybody = busy(agent)
    mine = os.getsid(0)
    assert mine not in {os.getsid(p) for p in everybody}


def test_where_namespaces_are_forbidden_one_line_says_what_to_do() -> None:
    """An ordinary user inside a user namespace that allows no further ones."""
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set -all --inh-caps -all"
    inner = f"{forbid} {sys.executable} -I -S {AGENT}"
    said = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", inner],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert said.returncode == 69, said
    assert said.stderr.count("\n") == 1
    assert "sysctl user.max_user_namespaces" in said.stderr
