"""The keeper against real processes: what they see, what follows them, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clock_lab import (
    HOUR,
    SECOND,
    Node,
    compiled,
    end,
    members,
    needs_clock,
    start,
    true_ns,
    untouched,
    waited,
)

from faults.agent.clock import Keeper, Refusal
from faults.agent.clock.line import Line
from faults.agent.clock.target import Target, recipe

pytestmark = [needs_clock, pytest.mark.lab]
FREEZE = -(1 << 32)
COARSE = 20_000_000  # the coarse clocks stand still between ticks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clock")


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    keeper = Keeper()
    yield keeper
    keeper.close()


@pytest.fixture
def run() -> Iterator[object]:
    nodes: list[Node] = []

    def launch(*argv: str, **env: str) -> Node:
        nodes.append(start(argv, env))
        return nodes[-1]

    yield launch
    for node in nodes:
        end(node)


def assert_all_clocks(answer: list[int], line: Line) -> None:
    """The answer of ``shows`` fits the line, in every way of asking."""
    before, real, coarse, tai, mono, day, seconds, after, sane = answer
    low, high = sorted((line.fake(before), line.fake(after)))
    assert low <= real <= high
    assert low - COARSE <= coarse <= high
    assert low <= tai - round((tai - real) / SECOND) * SECOND <= high
    assert low - 1000 <= day <= high
    assert (low - COARSE) // SECOND <= seconds <= high // SECOND
    assert -SECOND // 10 < mono <= 0
    assert sane == 1


LINES = {
    "ahead": Line(offset_ns=HOUR),
    "behind": Line(offset_ns=-7 * SECOND - 3),
    "drift": Line(rate_q32=round(0.25 * 2**32), ref_ns=true_ns()),
    "freeze": Line(rate_q32=FREEZE, ref_ns=true_ns(), offset_ns=-SECOND),
    "strobe": Line(strobe_half_ns=SECOND * 100, strobe_ns=HOUR, ref_ns=true_ns() - SECOND * 150),
}


@pytest.mark.parametrize("options", [(), ("-static",)], ids=["dynamic", "static"])
@pytest.mark.parametrize("name", LINES)
def test_every_way_of_asking_for_the_time_is_bent_and_made_true_again(
    folder: Path, keeper: Keeper, run, name: str, options: tuple[str, ...]
) -> None:
    line = LINES[name]
    node = run(compiled(folder, "shows", *options))
    assert_all_clocks(node.ask(), Line())
    done = keeper.set("a", node.inode, line.describe())
    assert done["pids"] == [node.pid]
    assert done["problems"] == []
    ((pid, seen),), ((_, expected),) = done["offset_ns"], done["expected_ns"]
    assert pid == node.pid
    assert abs(seen - expected) < 100_000
    for _ in range(3):
        assert_all_clocks(node.ask(), line)
    healed = keeper.set("a", node.inode, None)
    assert healed["restored"] is True
    assert healed["pids"] == [node.pid]
    assert untouched(node.pid)
    assert_all_clocks(node.ask(), Line())


def test_a_musl_program_is_bent(folder: Path, keeper: Keeper, run) -> None:
    node = run(compiled(folder, "shows", "-static", compiler="musl-gcc"))
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    assert_all_clocks(node.ask(), Line(HOUR))


def test_an_update_takes_hold_at_once_and_the_ring_may_go_round(folder: Path, keeper: Keeper, run) -> None:
    node = run(compiled(folder, "shows"))
    for i in range(11):
        keeper.set("a", node.inode, {"offset_ns": i * HOUR})
        assert_all_clocks(node.ask(), Line(i * HOUR))


INTERPRETERS = {
    "python": ["python3", "-uc", "import sys,time\nfor l in sys.stdin: print(time.time_ns())"],
    "perl": ["perl", "-e", '$|=1; use Time::HiRes; while(<STDIN>){printf "%d\\n", Time::HiRes::time()*1e9}'],
    "node": ["node", "-e", "process.stdin.on('data',()=>console.log(Date.now()+'000000'))"],
}


@pytest.mark.parametrize("language", INTERPRETERS)
def test_interpreters_are_bent(keeper: Keeper, run, language: str) -> None:
    argv = INTERPRETERS[language]
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    node = run(*argv)
    assert abs(node.ask("\n")[0] - true_ns()) < SECOND
    assert keeper.set("a", node.inode, {"offset_ns": HOUR})["problems"] == []
    assert abs(node.ask("\n")[0] - true_ns() - HOUR) < SECOND
    assert keeper.set("a", node.inode, None)["restored"]
    assert abs(node.ask("\n")[0] - true_ns()) < SECOND
    assert untouched(node.pid)


def test_go_is_bent(tmp_path: Path, keeper: Keeper, run) -> None:
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not os.path.exists(go):
        pytest.skip("go is not installed")
    source = tmp_path / "main.go"
    source.write_text(
        'package main\nimport ("bufio";"fmt";"os";"time")\n'
        "func main() { in := bufio.NewScanner(os.Stdin)\n"
        "for in.Scan() { fmt.Println(time.Now().UnixNano()) } }\n"
    )
    env = {"GOCACHE": str(tmp_path / "cache")} if "HOME" not in os.environ else {}
    env |= os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GO111MODULE": "off"}
    subprocess.run([go, "build", "-o", tmp_path / "main", source], check=True, env=env, cwd=tmp_path)
    node = run(str(tmp_path / "main"))
    assert keeper.set("a", node.inode, {"offset_ns": HOUR})["problems"] == []
    assert abs(node.ask("\n")[0] - true_ns() - HOUR) < SECOND
    assert keeper.set("a", node.inode, None)["restored"]
    assert untouched(node.pid)


# -- following


def test_forks_and_execs_come_under_the_line_and_updates_reach_them(
    folder: Path, keeper: Keeper, run
) -> None:
    node = run(compiled(folder, "shows"))
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    assert_all_clocks(node.ask("f"), Line(HOUR))
    node.say("e")
    assert_all_clocks(node.ask(), Line(HOUR))
    keeper.set("a", node.inode, {"offset_ns": 2 * HOUR})
    assert_all_clocks(node.ask(), Line(2 * HOUR))
    assert_all_clocks(node.ask("f"), Line(2 * HOUR))
    node.say("e")
    assert_all_clocks(node.ask("f"), Line(2 * HOUR))
    assert keeper.set("a", node.inode, None)["restored"]
    assert_all_clocks(node.ask("f"), Line())
    node.say("e")
    assert_all_clocks(node.ask(), Line())


def test_a_shell_that_runs_date_all_the_time_never_sees_the_true_time(keeper: Keeper, run) -> None:
    node = run("sh", "-c", "echo 1; while read x; do for i in 1 2 3 4 5; do date +%s%N; done; done")
    node.line()
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    for _ in range(8):
        node.say("\n")
        for _ in range(5):
            assert abs(int(node.line()) - true_ns() - HOUR) < 5 * SECOND
    assert keeper.set("a", node.inode, None)["restored"]
    node.say("\n")
    assert abs(int(node.line()) - true_ns()) < 5 * SECOND


def test_a_process_that_stands_at_its_exec_is_not_taken_for_one_that_sees_the_true_time(
    keeper: Keeper, run
) -> None:
    node = run("sh", "-c", "echo 1; while :; do /bin/true; done")
    node.line()
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    rows = [row for _ in range(150) for row in keeper.measure("a", node.inode)]
    assert len(rows) >= 150
    assert [r for r in rows if abs(r["offset_ns"] - HOUR) > SECOND] == []


DAEMONS = """
import os, sys, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
    os.wait()
print("ready", flush=True)
sys.stdin.read()
"""


def test_double_forked_children_are_found_and_restored(keeper: Keeper, run) -> None:
    node = run("python3", "-c", DAEMONS)
    assert node.line() == "ready"
    everybody = sorted(members(node.inode))
    assert len(everybody) == 4
    try:
        done = keeper.set("a", node.inode, {"offset_ns": HOUR})
        assert sorted(done["pids"]) == everybody
        assert {p for p, ns in done["offset_ns"] if abs(ns - HOUR) < 100_000} == set(everybody)
        rows = keeper.measure("a")
        assert sorted(r["pid"] for r in rows if r["covered"]) == everybody
        assert sorted(keeper.set("a", node.inode, None)["pids"]) == everybody
        assert all(untouched(p) for p in everybody)
    finally:
        for pid in everybody:
            os.kill(pid, signal.SIGKILL)


def test_an_adopted_process_wakes_up_in_the_other_time(folder: Path, keeper: Keeper) -> None:
    """As the agent starts a node: fork, wait at a gate, exec."""
    program = compiled(folder, "shows")
    gate, out = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(gate[1])
        os.read(gate[0], 1)
        os.dup2(out[1], 1)
        os.execv("/bin/sh", ["sh", "-c", f"echo t | {program}; echo t | {program}"])
    os.close(gate[0])
    os.close(out[1])
    line = Line(offset_ns=-HOUR)
    done = keeper.adopt("a", pid, line.describe())
    assert done["pids"] == [pid]
    assert done["problems"] == []
    os.close(gate[1])
    with os.fdopen(out[0]) as text:
        for _ in range(2):
            assert_all_clocks([int(word) for word in text.readline().split()], line)
    assert os.waitpid(pid, 0) == (pid, 0)


def test_a_process_adopted_for_good_is_restored_with_its_node(keeper: Keeper, folder: Path, run) -> None:
    node = run(compiled(folder, "shows"))
    keeper.adopt("a", node.pid, {"offset_ns": HOUR})
    assert_all_clocks(node.ask(), Line(HOUR))
    assert keeper.set("a", node.inode, None)["pids"] == [node.pid]
    assert untouched(node.pid)


def test_two_nodes_have_clocks_of_their_own(folder: Path, keeper: Keeper, run) -> None:
    a, b = run(compiled(folder, "shows")), run(compiled(folder, "shows"))
    keeper.set("a", a.inode, {"offset_ns": HOUR})
    keeper.set("b", b.inode, {"offset_ns": -HOUR})
    assert_all_clocks(a.ask(), Line(HOUR))
    assert_all_clocks(b.ask(), Line(-HOUR))
    keeper.set("a", a.inode, None)
    assert_all_clocks(a.ask(), Line())
    assert_all_clocks(b.ask(), Line(-HOUR))


# -- signals, stops, ends


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_stop_and_continue_work_as_usual_under_the_line(folder: Path, keeper: Keeper, run) -> None:
    node = run(compiled(folder, "shows"))
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    for _ in range(3):
        os.kill(node.pid, signal.SIGSTOP)
        assert os.waitid(os.P_PID, node.pid, os.WSTOPPED) is not None
        time.sleep(0.05)
        assert state(node.pid) in "Tt"
        node.say("t")
        os.kill(node.pid, signal.SIGCONT)
        assert os.waitid(os.P_PID, node.pid, os.WCONTINUED) is not None
        assert_all_clocks([int(w) for w in node.line().split()], Line(HOUR))


def test_a_stopped_process_can_be_bent_and_restored_and_stays_stopped(
    folder: Path, keeper: Keeper, run
) -> None:
    node = run(compiled(folder, "shows"))
    os.kill(node.pid, signal.SIGSTOP)
    waited(iter(lambda: state(node.pid) in "Tt", None))
    assert keeper.set("a", node.inode, {"offset_ns": HOUR})["problems"] == []
    time.sleep(0.05)
    assert state(node.pid) in "Tt"
    os.kill(node.pid, signal.SIGCONT)
    assert_all_clocks(node.ask(), Line(HOUR))
    os.kill(node.pid, signal.SIGSTOP)
    waited(iter(lambda: state(node.pid) in "Tt", None))
    assert keeper.set("a", node.inode, None)["restored"]
    time.sleep(0.05)
    assert state(node.pid) == "T"
    assert untouched(node.pid)
    os.kill(node.pid, signal.SIGCONT)
    assert_all_clocks(node.ask(), Line())


def test_signals_and_ends_reach_the_real_parent(keeper: Keeper, run) -> None:
    code = (
        "import signal,sys,time\nsignal.signal(signal.SIGUSR1, lambda *a: print('usr1', flush=True))\n"
        "signal.signal(signal.SIGTERM, lambda *a: sys.exit(7))\nprint('ready', flush=True)\n"
        "while 1: time.sleep(60)"
    )
    node = run("python3", "-c", code)
    node.line()
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    os.kill(node.pid, signal.SIGUSR1)
    assert node.line() == "usr1"
    os.kill(node.pid, signal.SIGTERM)
    assert node.process.wait(10) == 7
    other = run("sleep", "60")
    keeper.set("b", other.inode, {"offset_ns": HOUR})
    other.process.kill()
    assert other.process.wait(10) == -signal.SIGKILL
    assert keeper.measure("b") == []


# -- what cannot be done is said


def test_a_program_that_asks_the_kernel_itself_is_reported(folder: Path, keeper: Keeper, run) -> None:
    node = run(compiled(folder, "rawly", "-static", "-nostdlib", "-fno-stack-protector"))
    done = keeper.set("a", node.inode, {"offset_ns": HOUR})
    assert len(done["problems"]) == 1
    assert "reads the true clock from the kernel" in done["problems"][0]
    (row,) = keeper.measure("a")
    assert (row["covered"], row["offset_ns"]) == (False, 0)


def test_a_foreign_patch_is_refused_and_left_alone(keeper: Keeper, run) -> None:
    node = run("sleep", "60")
    place = recipe().patches[0].at
    with Target(node.pid) as target:
        target.write(place, b"\xcc")
        done = keeper.set("a", node.inode, {"offset_ns": HOUR})
        assert len(done["problems"]) == 1
        assert f"differs from the kernel's at {place:#x}" in done["problems"][0]
        assert "(sleep)" in done["problems"][0]
        assert done["offset_ns"] == []
        assert not target.patched()
        keeper.set("a", node.inode, None)
        assert target.read(place, 1) == b"\xcc"


def test_a_debugged_process_is_refused_by_the_name_of_its_debugger(keeper: Keeper, run) -> None:
    from faults.agent.clock.stops import Tracer, seize

    node = run("sleep", "60")
    tracer = Tracer()
    assert tracer.call(lambda: seize(node.pid))
    try:
        (text,) = keeper.set("a", node.inode, {"offset_ns": HOUR})["problems"]
        assert "is being debugged already" in text
        assert not Target(node.pid).patched()
    finally:
        tracer.end()
    assert keeper.set("a", node.inode, {"offset_ns": HOUR})["problems"] == []


def test_nonsense_is_refused_and_the_keeper_lives_on(keeper: Keeper) -> None:
    with pytest.raises(Refusal, match="no field 'offset'"):
        keeper.set("a", 1, {"offset": 3})
    with pytest.raises(Refusal, match="a shares the agent's own network namespace"):
        keeper.set("a", os.stat("/proc/self/ns/net").st_ino, {"offset_ns": 3})
    assert keeper.set("a", 1, {"offset_ns": 3})["pids"] == []
    assert keeper.measure("nobody") == []
    assert keeper.adopt("a", 2**22 - 1, {"offset_ns": 3})["problems"]
    assert keeper.alive()


# -- keepers come and go


def test_after_a_keeper_was_killed_another_restores(folder: Path, run) -> None:
    node = run(compiled(folder, "shows"))
    first = Keeper()
    first.set("a", node.inode, {"offset_ns": HOUR})
    first.kill()
    waited(iter(lambda: not first.alive(), None))
    with pytest.raises(Refusal, match="keeper process is gone"):
        first.set("a", node.inode, None)
    assert first.close()["restored"] is False
    assert_all_clocks(node.ask(), Line(HOUR))
    second = Keeper()
    try:
        (row,) = second.measure("a", node.inode)
        assert abs(row["offset_ns"] - HOUR) < 100_000
        assert second.set("a", node.inode, {"offset_ns": 2 * HOUR})["problems"] == []
        assert_all_clocks(node.ask("f"), Line(2 * HOUR))
        assert second.set("a", node.inode, None)["restored"]
        assert untouched(node.pid)
    finally:
        second.close()


@pytest.mark.parametrize("jumps", [0, 1, 2])
def test_half_done_work_of_a_killed_keeper_is_completed_or_taken_out(
    folder: Path, keeper: Keeper, run, jumps: int
) -> None:
    node = run(compiled(folder, "shows"))
    with Target(node.pid) as target:
        target.write_blob(Line(5 * HOUR))
        for patch in recipe().patches[:jumps]:
            target.write(patch.at, patch.jumping)
    keeper.set("a", node.inode, {"offset_ns": HOUR})
    assert_all_clocks(node.ask(), Line(HOUR))
    with Target(node.pid) as target:
        for patch in recipe().patches[jumps:]:
            target.write(patch.at, patch.original)
    assert keeper.set("a", node.inode, None)["restored"]
    assert untouched(node.pid)


def test_closing_the_keeper_restores_everything(folder: Path, run) -> None:
    nodes = [run(compiled(folder, "shows")) for _ in range(3)]
    keeper = Keeper()
    for i, node in enumerate(nodes):
        keeper.set(f"n{i}", node.inode, {"offset_ns": HOUR})
    done = keeper.close()
    assert done["restored"]
    assert sorted(done["pids"]) == sorted(n.pid for n in nodes)
    assert all(untouched(n.pid) for n in nodes)
    assert not keeper.alive()
    assert keeper.close()["restored"]


HOLDER = """
import os, sys
from faults.agent.clock import Keeper
keeper = Keeper()
print(keeper.set("a", int(sys.argv[1]), {"offset_ns": 3600 * 10**9})["pids"], keeper.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_its_parent_dies_the_keeper_restores_and_ends(folder: Path, run, number: int) -> None:
    node = run(compiled(folder, "shows"))
    import sys

    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(node.inode)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout
    assert holder.stdin
    keeper = int(holder.stdout.readline().split()[-1])
    assert_all_clocks(node.ask(), Line(HOUR))
    holder.send_signal(number)
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    waited(iter(lambda: not os.path.exists(f"/proc/{keeper}") or state(keeper) == "Z", None))
    assert untouched(node.pid)
    assert_all_clocks(node.ask(), Line())


def test_the_keeper_sleeps_while_nothing_happens(folder: Path, keeper: Keeper, run) -> None:
    node = run(compiled(folder, "shows"))
    keeper.set("a", node.inode, {"offset_ns": HOUR})

    def switches() -> int:
        rows = Path(f"/proc/{keeper.pid}/status").read_text().splitlines()
        return sum(int(r.split()[1]) for r in rows if "ctxt_switches" in r)

    time.sleep(0.1)
    before = switches()
    for _ in range(5):
        node.ask()
    time.sleep(0.5)
    assert switches() == before
