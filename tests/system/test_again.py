"""Judged again, replayed, drawn anew: what the journal, the seed and the choices promise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.conftest import Trial, seatrial

pytestmark = [pytest.mark.system, pytest.mark.lab]

TEXT = """seatrial: 1
name: drawn
seed: 5
network:
  driver: local
  nodes: {count: 7, use: devnet, layer: 500ms}
timeline:
  - {at: 500ms, for: 1s, partition: halves, name: split}
  - {at: 500ms, for: 1s, clock: {pick: 3, offset: -9s..+9s}, name: off}
  - {at: 2s, for: 500ms, kill: {pick: 2}, name: crash}
expect:
  - {after: faults, within: 4s, hold: 500ms, that: connected}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A run that is over: the scenario file and the run directory."""
    folder = tmp_path_factory.mktemp("again")
    path = folder / "drawn.yaml"
    path.write_text(TEXT)
    ended = seatrial("run", str(path), "--out", str(folder / "runs"), "--json", within_s=60)
    assert ended.code == 0, str(ended)
    return path, next((folder / "runs").iterdir())


def events(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]


def choices(run: Path) -> dict[str, tuple]:
    found = {}
    for e in events(run):
        if e["event"] == "step":
            found[e["trial"]] = (e["targets"], e["sides"], e["draws"], e["claims"])
    return found


def test_judging_again_gives_the_same_bytes_from_the_journal_alone(first, tmp_path):
    _, run = first
    alone = tmp_path / run.name
    alone.mkdir()
    for name in ("journal.jsonl", "scenario.yaml"):
        shutil.copy(run / name, alone / name)
    ended = seatrial("judge", str(alone), "--json")
    assert ended.code == 0, str(ended)
    assert ended.out.encode() == (run / "verdict.json").read_bytes()
    assert sorted(p.name for p in alone.iterdir()) == ["journal.jsonl", "scenario.yaml"], (
        "it is left as it is"
    )


def test_other_expectations_give_another_verdict(first, tmp_path):
    _, run = first
    stricter = tmp_path / "stricter.yaml"
    stricter.write_text(TEXT.replace("that: connected", "that: height > 100000"))
    ended = seatrial("judge", str(run), "--scenario", str(stricter), "--json")
    assert ended.code == 1, str(ended)
    unseen = tmp_path / "unseen.yaml"
    unseen.write_text(TEXT.replace("that: connected", "that: temperature > 3"))
    ended = seatrial("judge", str(run), "--scenario", str(unseen), "--json")
    assert ended.code in (2, 3), str(ended)


def test_a_journal_that_was_cut_off_is_not_a_verdict(first, tmp_path):
    _, run = first
    half = tmp_path / "half"
    shutil.copytree(run, half)
    text = (run / "journal.jsonl").read_bytes()
    (half / "journal.jsonl").write_bytes(text[: len(text) // 2])
    ended = seatrial("judge", str(half), "--json")
    assert ended.code in (3, 4), str(ended)
    assert "Traceback" not in ended.err
    assert ended.verdict["verdict"] == "inconclusive"


def test_a_replay_makes_the_same_choices(first, tmp_path):
    _, run = first
    ended = seatrial("replay", str(run), "--out", str(tmp_path / "again"), "--json")
    assert ended.code == 0, str(ended)
    again = next((tmp_path / "again").iterdir())
    assert choices(again) == choices(run)
    assert set(choices(run)) == {"split", "off", "crash"}
    assert ended.verdict["seed"] == 5


def plan(path: Path, *more: str) -> dict:
    ended = seatrial("plan", str(path), "--json", *more)
    assert ended.code == 0, str(ended)
    return json.loads(ended.out)


def test_the_same_seed_makes_the_same_plan_and_another_one_another(first):
    path, run = first
    assert plan(path) == plan(path)
    assert plan(path, "--seed", "6") == plan(path, "--seed", "6")
    assert json.dumps(plan(path, "--seed", "6")).replace('"seed": 6', "") != json.dumps(plan(path)).replace(
        '"seed": 5', ""
    )
    planned = json.loads((run / "plan.json").read_text())
    hit = {t["name"]: t["targets"] for t in planned["trials"]}
    assert hit == {name: found[0] for name, found in choices(run).items()}, "and it is what was done"


def test_without_a_seed_one_is_drawn_shown_and_kept(trial, scenario, tmp_path):
    rest = "timeline:\n  - {at: 500ms, for: 500ms, kill: {pick: 1}, name: crash}\nexpect: []\n"
    path = scenario(rest)
    path.write_text(path.read_text().replace("seed: 5\n", ""))
    live: Trial = trial(path)
    ended = live.end()
    assert ended.code == 0, str(ended)
    seed = live.events("run")[0]["seed"]
    assert f"seed {seed}" in ended.out
    drawn = plan(path, "--seed", str(seed))
    assert {t["name"]: t["targets"] for t in drawn["trials"]} == {
        name: found[0] for name, found in choices(live.directory).items()
    }
