"""``up``, ``exec``, ``inject`` and ``down``, each a process of its own, as from several terminals."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import COMMAND, ROOT, Footprint, Trial, descendants, seatrial, wait_for

pytestmark = [pytest.mark.system, pytest.mark.lab]

CRASH = "timeline:\n  - {at: 500ms, for: 500ms, kill: n1, name: crash}\n"
TEXT = """seatrial: 1
name: hand
seed: 5
network:
  driver: local
  nodes: {count: 4, use: devnet, layer: 500ms}
timeline:
  - {at: 1s, for: 60s, kill: n1}
expect: []
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """A network that stays."""
    folder = tmp_path_factory.mktemp("hand")
    (folder / "hand.yaml").write_text(TEXT)
    words = [*COMMAND, "up", str(folder / "hand.yaml"), "--out", str(folder / "runs")]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=ROOT, text=True, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL)
    live = Trial(process, folder / "runs")
    live.wait_event("kept")
    yield live
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=20)


def at_node(
    live: Trial, node: str, *words: str, given: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "exec", node, "--run", str(live.directory), "--", *words],
        cwd=ROOT,
        text=True,
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_exec_is_inside_the_node(up):
    address = up.status()["nodes"]["n2"]["address"]
    program = (
        "import socket as s; a = s.socket(type=2); a.connect(('10.77.0.1', 9)); print(a.getsockname()[0])"
    )
    done = at_node(up, "n2", "python3", "-c", program)
    assert (done.returncode, done.stdout.strip()) == (0, address), done


def test_exec_passes_code_input_and_both_outputs_on(up):
    done = at_node(up, "n1", "sh", "-c", "cat; echo wrong >&2; exit 7", given="line\n" * 3000)
    assert done.returncode == 7
    assert done.stdout == "line\n" * 3000
    assert done.stderr.endswith("wrong\n")
    assert at_node(up, "n1", "sh", "-c", "kill -9 $$").returncode == 137
    assert not list(up.directory.glob("exec-*")), "the pipes are removed"


def test_exec_of_nothing_and_nobody(up):
    for words in (("n9", "true"), ("n1", "/no/such/program")):
        done = at_node(up, words[0], *words[1:])
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert words[0] in done.stderr or words[1] in done.stderr


def test_a_partition_injected_is_in_force_and_heals(up):
    done = seatrial("inject", "partition=halves", "for=6s", "--run", str(up.directory), "--json")
    assert done.code == 0, str(done)
    name = done.verdict["trial"]
    step = up.wait_event("step", trial=name)
    across = next((a, b) for a in step["sides"]["a"] for b in step["sides"]["b"])
    wait_for(lambda: [e for e in up.events("model") if e["state"].get("cuts")], 5, "a model with cuts")
    addresses = {n: found["address"] for n, found in up.status()["nodes"].items()}
    probe = "import socket, sys; socket.create_connection((sys.argv[1], 7000), 0.7)"
    assert at_node(up, across[0], "python3", "-c", probe, addresses[across[1]]).returncode != 0
    wait_for(lambda: [0] if not up.status()["state"].get("cuts") else [], 20, "the heal")
    time.sleep(0.2)
    assert at_node(up, across[0], "python3", "-c", probe, addresses[across[1]]).returncode == 0
    silent = [b for b in up.events("beat") if b["through"] is False and set(b["pair"]) == set(across)]
    assert silent, "the heartbeats saw it"
    assert up.events("beat")[-1]["through"] is True


def test_kill_and_clock_by_hand(up):
    for words in (["kill={of: n3}", "for=1s"], ["{for: 1s, clock: {of: n4, offset: +30s}}"]):
        done = seatrial("inject", *words, "--run", str(up.directory), "--json")
        assert done.code == 0, str(done)
    up.wait_event("down", 5, node="n3")
    up.wait_event("clock", 5, node="n4", restored=True)
    up.wait_event("started", 5, node="n3", why="heal")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["kill=n9", "for=1s"], "n9"), (["kill=n1"], "for"), (["explode=n1", "for=1s"], "explode")],
)
def test_what_cannot_be_injected_is_said(up, words, said):
    done = seatrial("inject", *words, "--run", str(up.directory))
    assert done.code == 2, str(done)
    assert said in done.err
    assert "Traceback" not in done.err
    assert up.process.poll() is None


def test_the_timeline_of_the_file_is_not_followed(up):
    assert all(e["step"].startswith("injected") for e in up.events("step"))


def test_down_ends_it(up):
    footprint = Footprint(up)
    assert len(descendants(up.status()["agent"])) > 4
    done = seatrial("down", "--run", str(up.directory))
    assert done.code == 0, str(done)
    up.process.communicate(timeout=15)
    assert up.process.returncode == 0
    footprint.assert_gone(1.0)
    again = seatrial("down", "--run", str(up.directory))
    assert again.code == 4
    assert "no live network" in again.err


def test_a_run_is_kept_on_violation_until_a_signal(trial, scenario):
    rest = CRASH + "expect:\n  - {always: height > 9999}\n"
    live = trial(scenario(rest), "--keep-on-violation", "--json")
    live.wait_event("kept")
    time.sleep(1.0)
    assert live.process.poll() is None
    footprint = Footprint(live)
    assert at_node(live, "n1", "true").returncode == 0
    live.process.terminate()
    ended = live.end(15)
    assert ended.code == 1, str(ended)
    footprint.assert_gone(1.0)


def test_a_run_that_held_is_not_kept_on_violation(trial, scenario):
    assert trial(scenario(CRASH + "expect: []\n"), "--keep-on-violation").end(20).code == 0


def test_two_networks_at_once_do_not_see_each_other(trial, scenario):
    rest = (
        "timeline:\n  - {at: 500ms, for: 2s, partition: halves, name: split}\n"
        "expect:\n  - {always: {no_conflict: finalized}}\n"
    )
    both = [trial(scenario(rest, name=name), "--json") for name in ("one", "two")]
    for live in both:
        ended = live.end()
        assert ended.code == 0, str(ended)


def test_the_newest_live_network_is_found_without_being_named(up_in: Path):
    """``--run`` may be left out: that is tried in a folder of its own."""
    folder = up_in
    done = subprocess.run(
        [*COMMAND, "exec", "n1", "--", "true"], cwd=folder, env=environment(), timeout=30, check=False
    )
    assert done.returncode == 0


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def up_in(tmp_path: Path) -> Iterator[Path]:
    """A folder in which ``seatrial up`` was started without ``--out``."""
    (tmp_path / "hand.yaml").write_text(TEXT)
    process = subprocess.Popen(
        [*COMMAND, "up", "hand.yaml"], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    Trial(process, tmp_path / "runs").wait_event("kept")
    yield tmp_path
    process.terminate()
    process.wait(15)
