"""The run directory and the verdict in it."""

import json
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.records.directory import DirectoryError, RunDirectory
from runner.records.verdict import (
    BoundDistance,
    Evidence,
    ExpectationVerdict,
    FaultVerdict,
    Interval,
    NodeVerdict,
    Verdict,
    VerdictError,
)

MOMENT = time.strptime("2026-11-24 10:15:00", "%Y-%m-%d %H:%M:%S")


def test_two_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    first, second = (RunDirectory.create(tmp_path / "runs", "my net/x", moment=MOMENT) for _ in range(2))
    assert first.path.name == "20261124-101500-my-net-x"
    assert second.path.name == "20261124-101500-my-net-x-2"
    assert first.logs.is_dir()


@pytest.mark.parametrize("name", ["..", "", "/", "../../x", "a" * 300])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path, name):
    made = RunDirectory.create(tmp_path, name, moment=MOMENT)
    assert made.path.parent == tmp_path


def test_a_place_where_none_can_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryError, match="no run directory can be made there"):
        RunDirectory.create(tmp_path / "file", "x")


def test_files_are_written_in_one_step(tmp_path):
    made = RunDirectory.create(tmp_path, "x")
    made.write_verdict(VERDICT)
    made.write_junit("<testsuites/>")
    made.write_plan({"seed": 1})
    assert Verdict.from_json(json.loads(made.verdict.read_text())) == VERDICT
    assert sorted(p.name for p in made.path.iterdir()) == ["junit.xml", "logs", "plan.json", "verdict.json"]


def test_the_scenario_is_written_as_resolved(tmp_path):
    import yaml

    class Scenario:
        resolved = {"seatrial": 1, "expect": ({"always": "no_crash"},), "about": "ü: x #y"}  # noqa: RUF012

    made = RunDirectory.create(tmp_path, "x")
    made.write_scenario(Scenario())
    assert yaml.safe_load(made.scenario.read_text())["expect"] == [{"always": "no_crash"}]


VERDICT = Verdict(
    "0.1",
    "r",
    {"name": "s", "sha256": "0"},
    7,
    "violated",
    1,
    ("why",),
    (
        ExpectationVerdict(
            "e", "after", "violated", "r", 5.0, None, 0.5, BoundDistance(2.0, "nodes"),
            {"n1": NodeVerdict("held", "x", 1.0)},
        ),
    ),
    (
        FaultVerdict(
            "split", "partition", ("n1",), (Interval(1.0, 1.1, 2.0, 2.1, 0.1),), "plan", True, None,
            (Evidence("a", "b", "c", 1.0, True),),
        ),
    ),
    {"faulted": None, "bystanders": None},
)  # fmt: skip


def test_a_verdict_is_what_it_was_after_json():
    assert Verdict.from_json(json.loads(VERDICT.to_text())) == VERDICT
    assert list(VERDICT.to_json())[:4] == ["seatrial", "schema", "run", "scenario"]


def test_unknown_keys_are_passed_over_and_other_schemas_refused():
    data = json.loads(VERDICT.to_text())
    assert Verdict.from_json({**data, "later": 1}) == VERDICT
    with pytest.raises(VerdictError, match="schema 0"):
        Verdict.from_json({**data, "schema": 1})
    with pytest.raises(VerdictError):
        Verdict.from_json({"schema": 0})
    with pytest.raises(VerdictError):
        Verdict.from_json([])


@given(st.floats())
def test_times_are_finite_and_in_milliseconds(value):
    e = ExpectationVerdict("e", "after", "held", "r", recovery_s=value)
    text = Verdict("0", "r", {}, None, "held", 0, expectations=(e,)).to_text()
    json.loads(text, parse_constant=lambda c: pytest.fail(c))


def test_records_import_nothing_heavy():
    code = (
        "import sys, runner.records.journal, runner.records.directory, runner.records.verdict as v;"
        "print([m for m in ('pydantic', 'networkx', 'yaml', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_predicates_import_no_graph_library():
    code = (
        "import sys; from runner.predicates.predicate import catalogue; catalogue();"
        "print([m for m in ('networkx', 'rustworkx', 'numpy') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
