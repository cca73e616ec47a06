"""Exit codes and what is said where a run cannot be: one clear message, never a traceback."""

from __future__ import annotations

import pytest

from tests.system.conftest import seatrial

pytestmark = [pytest.mark.system, pytest.mark.lab]

KILL = "timeline:\n  - {at: 500ms, for: 500ms, kill: s1, name: crash}\n"
PROGRAM = "{names: s, count: 3, run: [%s]%s}"


def program(words: str, more: str = "") -> str:
    return PROGRAM % (words, more)


BAD = {
    "no such file": None,
    "not YAML": "seatrial: [1\n",
    "an unknown fault": "timeline:\n  - {at: 1s, for: 1s, explode: n1}\n",
    "an unknown node": "timeline:\n  - {at: 1s, for: 1s, kill: n9}\n",
    "a refused plan": "timeline:\n  - {at: 1s, for: 1s, kill: {pick: 3}}\n",
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_2_and_nothing_was_started(scenario, tmp_path, what):
    path = tmp_path / "none.yaml" if BAD[what] is None else scenario(BAD[what])
    ended = seatrial("run", str(path), "--out", str(tmp_path / "runs"))
    assert ended.code == 2, str(ended)
    assert not (tmp_path / "runs").exists()
    assert ended.err.strip()
    assert "Traceback" not in ended.err
    assert path.name in ended.err


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (program("/nowhere/to-be-found"), ["s1", "/nowhere/to-be-found"]),
        (program("sh, -c, 'echo cannot find my keys; exit 3'", ", ready: {port: 99, within: 5s}"), ["s1", "my keys", ".log"]),
        (program("true"), ["s1 ended by itself", "before the steady state", ".log"]),
        (program("sleep, 60", ", ready: {port: 99, within: 1s}"), ["s1", "1s", "99", ".log"]),
        (program("sleep, 60", ", ready: {log: ready, within: 1s}"), ["s1", "ready", ".log"]),
    ],
    ids=["no program", "ends at once", "dead unasked", "never listens", "never logs"],
)  # fmt: skip
def test_a_network_that_cannot_be_started_is_4(trial, scenario, network, said):
    live = trial(scenario(KILL + "expect: []\n", network=network))
    ended = live.end(30)
    assert ended.code == 4, str(ended)
    assert "Traceback" not in ended.err
    text = ended.out + ended.err
    for word in said:
        assert word in text
    assert live.events("healed")[0]["left"] == []
    assert (live.directory / "verdict.json").exists()


def test_a_steady_state_that_never_comes_is_inconclusive(trial, scenario):
    rest = (
        KILL.replace("s1", "n1")
        + "expect:\n  - {before: faults, within: 2s, hold: 1s, that: height > 9999}\n"
    )
    live = trial(scenario(rest), "--json")
    ended = live.end(30)
    assert ended.code == 3, str(ended)
    assert any("steady state was not reached" in r and "height" in r for r in ended.verdict["reasons"])
    assert live.events("step") == []


@pytest.mark.parametrize(
    ("that", "code", "verdict"), [("connected", 0, "held"), ("height > 9999", 1, "violated")], ids=["0", "1"]
)
def test_held_and_violated(run, scenario, that, code, verdict):
    rest = (
        KILL.replace("s1", "n1") + f"expect:\n  - {{after: crash, within: 3s, hold: 500ms, that: {that}}}\n"
    )
    ended = run(scenario(rest))
    assert ended.code == code, str(ended)
    assert ended.verdict["verdict"] == verdict
    assert ended.verdict["exit_code"] == code
    assert ended.verdict["reasons"]


def test_of_several_files_the_worst_counts(scenario, tmp_path):
    short = KILL.replace("s1", "n1")
    good = scenario(short + "expect: []\n", name="good")
    bad = scenario(short + "expect:\n  - {always: height > 9999}\n", name="bad")
    ended = seatrial("run", str(bad), str(good), "--out", str(tmp_path / "runs"), "--jobs", "2", "--json")
    assert ended.code == 1, str(ended)
    assert [v["verdict"] for v in ended.verdict] == ["violated", "held"]
