"""``judge`` and ``replay``: everything comes from the run directory."""

import json

import pytest
from good_file import GOOD

from runner.records.directory import RunDirectory
from runner.scenario import load


@pytest.fixture
def recorded(folder):
    """A run whose journal says that the split never took hold, with its scenario."""
    scenario = load(folder / "good.yaml").scenario
    directory = RunDirectory.create(folder / "runs", "pair")
    directory.write_scenario(scenario)
    nodes = [{"name": f"n{i}", "group": "nodes", "index": i, "stake": 1.0} for i in range(1, 5)]
    step = {"step": "split", "trial": "split", "kind": "partition", "targets": ["n1", "n2", "n3", "n4"]}
    step |= {"sides": {"a": ["n1", "n4"], "b": ["n2", "n3"]}, "claims": ["cut"], "start": 3.0, "end": 7.0}
    step |= {"spans": [[3.0, 7.0, None]], "permanent": False, "draws": {}}
    run = {
        "schema": 0,
        "seatrial": "0",
        "run": "pair",
        "scenario": {"name": "pair", "sha256": "0"},
        "seed": 41,
    }
    events = [
        {"t": 0.0, "event": "run", **run, "nodes": nodes, "quorum": 0.667, "units": {}, "versions": {}},
        {"t": 1.0, "event": "steady", "zero": 1.0, "learnt": {}},
        {"t": 1.0, "event": "step", **step},
        {"t": 4.0, "event": "end", "why": "interrupt", "detail": "Ctrl-C", "kept": False},
    ]
    directory.journal.write_text("".join(json.dumps(e) + "\n" for e in events))
    return directory.path


def test_judge_from_the_journal_alone(call, recorded):
    before = sorted(p.name for p in recorded.iterdir())
    done = call("judge", recorded)
    assert done.exit_code == 4
    assert "pair: INCONCLUSIVE" in done.stdout
    assert json.loads(call("judge", recorded.name, "--json").stdout)["seed"] == 41
    assert sorted(p.name for p in recorded.iterdir()) == before, "the run directory is left as it is"


def test_judge_by_other_expectations(call, recorded, folder):
    (folder / "other.yaml").write_text(
        GOOD.replace("{after: split, within: 5s, that: connected}", "{always: up}")
    )
    names = [
        e["name"]
        for e in json.loads(call("judge", recorded, "--scenario", "other.yaml", "--json").stdout)[
            "expectations"
        ]
    ]
    assert names == ["always"]


def test_judge_what_is_no_run(call, recorded, folder):
    assert call("judge", "nowhere").exit_code == 2
    (recorded / "journal.jsonl").write_text("no journal\nat all\n")
    done = call("judge", recorded)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1


def test_replay_hits_the_same(call, recorded, engine):
    done = call("replay", recorded, "--out", "again", "--quiet")
    assert done.exit_code == 0
    scenario, options = engine.asked[0]
    assert scenario.name == "pair"
    assert options.seed == 41
    assert options.choices["split"].targets == ("n1", "n2", "n3", "n4")
    assert options.choices["split"].sides == {"a": ("n1", "n4"), "b": ("n2", "n3")}
