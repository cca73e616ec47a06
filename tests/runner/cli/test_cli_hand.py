"""Work by hand: what is asked over the control socket, with a made-up network behind it; and ``heal``."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.cli import byhand, heal
from runner.engine.control import ControlServer


@pytest.fixture
def live(folder):
    """A control socket that notes what it is asked, and runs commands here instead of in a node."""
    run = folder / "runs" / "20261124-100000-pair"
    run.mkdir(parents=True)
    asked, children = [], {}

    def put(event):
        message = event["message"]
        asked.append(message)
        threading.Thread(target=answer, args=(message, event["reply"])).start()

    def answer(message, reply):
        if message["do"] == "exec" and message["node"] == "n9":
            reply({"error": "there is no node 'n9'"})
        elif message["do"] == "exec":
            with (
                open(message["stdin"], "rb") as given,
                open(message["stdout"], "wb") as out,
                open(message["stderr"], "wb") as err,
            ):
                child = subprocess.Popen(message["argv"], stdin=given, stdout=out, stderr=err)
            children[child.pid] = child
            reply({"pid": child.pid})
        elif message["do"] == "wait":
            reply({"code": children[message["pid"]].wait()})
        elif message["do"] == "inject":
            reply({"trial": "injected-1", "targets": ["n1", "n2", "n3"], "ends_s": 9.0})
        else:
            reply({})

    server = ControlServer(run, put)
    yield asked
    server.close()


def test_exec_passes_everything_on(program, live):
    code = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.stderr.write('oh'); sys.exit(7)"
    done = program("exec", "n1", "--", sys.executable, "-c", code, input="hello")
    assert (done.returncode, done.stdout, done.stderr) == (7, "HELLO", "oh")
    assert live[0]["node"] == "n1"
    assert not list(Path("runs").glob("*/exec-*")), "the pipes are gone"


def test_exec_with_much_output_and_no_input(program, live):
    code = "print('x' * 300000)"
    done = program("exec", "n1", "--", sys.executable, "-c", code, stdin=subprocess.DEVNULL)
    assert len(done.stdout) == 300001


def test_exec_of_a_command_that_is_killed(program, live):
    done = program("exec", "n1", "--", "sh", "-c", "kill -9 $$", stdin=subprocess.DEVNULL)
    assert done.returncode == 137


def test_exec_passes_options_to_the_command(program, live):
    done = program("exec", "n1", "--", "echo", "--json", "-q", stdin=subprocess.DEVNULL)
    assert done.stdout == "--json -q\n"


def test_exec_in_a_node_that_is_not_there(program, live):
    done = program("exec", "n9", "--", "true", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr) == (4, "seatrial: there is no node 'n9'\n")
    assert not list(Path("runs").glob("*/exec-*"))


def test_inject(call, live):
    done = call("inject", "partition=halves", "for=10s")
    assert done.stdout == "injected injected-1: n1–n3\n"
    assert live[0] == {"do": "inject", "step": {"partition": "halves", "for": "10s"}, "seed": None}
    assert json.loads(call("inject", "kill=n1", "for=1s", "--json").stdout)["trial"] == "injected-1"


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["kill={of: n1}", "for=5s"], {"kill": {"of": "n1"}, "for": "5s"}),
        (
            ["{for: 10s, clock: {of: n2, offset: +30s}}"],
            {"for": "10s", "clock": {"of": "n2", "offset": "+30s"}},
        ),
    ],
)
def test_steps_are_written_as_on_a_timeline(words, step):
    assert byhand.step_of(words) == step


@pytest.mark.parametrize("words", [["partition"], ["{"], ["a: [", "b"], ["=x"]])
def test_what_is_no_step_is_bad_input(call, live, words):
    done = call("inject", *words)
    assert done.exit_code == 2
    assert live == []


def test_down(call, live):
    assert call("down").exit_code == 0
    assert live == [{"do": "down"}]


def test_a_socket_that_a_killed_runner_left_is_passed_over(call, live, folder):
    left = folder / "runs" / "20261124-110000-killed"
    left.mkdir()
    with socket.socket(socket.AF_UNIX) as link:
        link.bind(os.path.relpath(left / "control.sock"))
    assert call("down").exit_code == 0
    assert live == [{"do": "down"}]
    (left / "journal.jsonl").write_text("")
    (folder / "runs/20261124-100000-pair/journal.jsonl").write_text("")
    listed = call("list", "runs").stdout
    assert listed.count("(its network is up)") == 1


def test_nothing_is_live(call):
    for command in (["down"], ["inject", "kill=n1"], ["exec", "n1", "true"], ["down", "--run", "nowhere"]):
        done = call(*command)
        assert done.exit_code == 4
        assert "no live network" in done.stderr


def test_up_has_no_timeline_and_stays(call, engine):
    done = call("up", "good.yaml", "--seed", 5)
    assert done.exit_code == 0
    scenario, options = engine.asked[0]
    assert (scenario.timeline, scenario.expect, options.keep, options.seed) == ((), (), "always", 5)
    assert "the trial is over" not in done.stderr


# --- heal


@pytest.fixture
def agent(folder, monkeypatch):
    """Start programs whose command line looks like an agent's, of this test alone."""
    mark = folder / "faults" / "agent" / "__main__.py"
    mark.parent.mkdir(parents=True)
    mark.write_text("import signal, sys\nprint('ready', flush=True)\nsignal.pause()\n")
    monkeypatch.setattr(heal, "MARK", str(mark).encode())
    started = []

    def start(*, orphan):
        """The pid of an agent whose parent is this program, or is gone."""
        if not orphan:
            child = subprocess.Popen([sys.executable, str(mark)], stdout=subprocess.PIPE, text=True)
            child.stdout.readline()
            started.append(child.pid)
            return child.pid
        code = "import subprocess as s, sys; print(s.Popen([sys.executable, sys.argv[1]], stdout=-3).pid)"
        pipe = subprocess.run(
            [sys.executable, "-c", code, str(mark)], stdout=subprocess.PIPE, text=True, check=True
        )
        started.append(int(pipe.stdout.split()[0]))
        return started[-1]

    yield start
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_heal_finds_nothing(call, agent):
    done = call("heal")
    assert done.exit_code == 0
    assert "nothing to heal" in done.stdout


def test_heal_leaves_running_trials_alone(call, agent):
    pid = agent(orphan=False)
    done = call("heal")
    assert f"agent {pid} belongs to a trial that is running" in done.stdout
    assert heal._stat(pid) is not None, "it runs on, and is no zombie"


def test_heal_names_runs_that_ended_without_a_verdict(call, folder, agent):
    for name, last in (("dead", "sample"), ("over", "end")):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        events = [{"t": 0, "event": "run", "schema": 0}, {"t": 1, "event": last}]
        (run / "journal.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    (folder / "runs" / "empty").mkdir()
    (folder / "runs" / "empty" / "journal.jsonl").write_text("")
    found = json.loads(call("heal", "--json").stdout)
    assert found["unfinished"] == ["runs/dead", "runs/empty"]
    with (folder / "runs/dead/journal.jsonl").open("a"):
        assert json.loads(call("heal", "--json").stdout)["unfinished"] == ["runs/empty"], "somebody writes it"


def test_heal_ends_an_agent_whose_runner_is_gone(call, agent):
    pid = agent(orphan=True)
    parent = heal._stat(pid)[0]
    if heal._is_runner(parent):
        pytest.skip("orphans are given to a python program here")
    found = json.loads(call("heal", "--json").stdout)
    assert [a["pid"] for a in found["ended"]] == [pid]
    assert heal._stat(pid) is None
