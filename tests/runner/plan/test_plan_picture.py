"""A plan as people and machines see it."""

import json
import xml.dom.minidom
from dataclasses import replace
from pathlib import Path

import pytest
from plan_scenarios import CONDITION, CONNECTED, FREE, components, expect, plan, progress, step

from faults.fault import NodeInfo
from runner.plan import wording
from runner.plan.make import make
from runner.plan.picture import as_json, svg, text
from runner.scenario.model import All, Roll

SCENARIOS = Path(__file__).parents[3] / "scenarios" / "devnet"


def everything():
    return plan(
        step("split", "partition", {"sides": {"small": "30%", "big": "rest"}}, "10s", "20s"),
        step("ahead", "clock", {"of": "split.small", "offset": "-2s..+2s"}, "split + 5s", "10s"),
        step("crash", "kill", {"pick": "minority", "signal": "term"}, "end of split + 30s", "5s"),
        step("swizzle", "isolate", {"pick": 3}, "80s", "1 layer", onset="10s", heal=("10s", "reverse")),
        step("wire", "cut", {"between": ["n1", {"zone": "us"}]}, "2m", "20s", flap=("4s", "1s")),
        step("again", "pause", {"pick": 1}, "150s", "5s", repeat=(3, "20s", True)),
        step("rolling", "restart", "miners", "220s", roll=Roll(next=CONDITION, batch=2)),
        step("joins", "start", "joiners", "230s"),
        step("head", "isolate", {"where": "leader"}, "240s", "5s"),
        step("edge", "pause", "n1", "next epoch", "1 epoch"),
        step("gone", "kill", "n9", "250s", "rest"),
        expectations=[
            expect("before", "faults", CONNECTED),
            expect("during", "split", All((components(2), progress())), "2s"),
            expect("after", "split", CONNECTED, "15s", "3s"),
            expect("after", "crash", CONNECTED, "10s"),
            expect("always", "", CONNECTED),
        ],
        limits=FREE,
        waits=["j1", "j2"],
    )


def test_the_text_of_a_plan(snapshot):
    shown = text(everything())
    assert shown == snapshot
    assert max(map(len, shown.splitlines())) <= 100


def test_the_picture_of_a_plan(snapshot):
    drawn = svg(everything())
    xml.dom.minidom.parseString(drawn)
    assert drawn == snapshot


def test_the_data_of_a_plan(snapshot):
    data = as_json(
        plan(
            step("split", "partition", "halves", "10s", "20s"),
            step("k", "kill", "n1", "15s", "5s"),
            count=4,
            limits=FREE,
        )
    )
    assert json.loads(json.dumps(data)) == data
    assert data == snapshot


def test_what_comes_from_the_file_is_escaped():
    one = plan(step("x", "kill", "n1", "1s", "5s"), count=4)
    odd = make(replace(one.scenario, name="<b>&"), [NodeInfo(f"n{i}", "<i>", i) for i in range(1, 5)], 1)
    assert "&lt;b&gt;&amp;" in svg(odd)
    xml.dom.minidom.parseString(svg(odd))


def test_a_plan_without_faults_is_told_too():
    empty = plan()
    assert "9 nodes, seed 7" in text(empty)
    assert svg(empty).endswith("</svg>\n")
    assert as_json(empty)["trials"] == []


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_text_fits(width):
    assert max(map(len, text(everything(), width).splitlines())) <= width


def test_times_and_names_in_words():
    assert [wording.time(t) for t in (0, 1.5, 119, 120, 125.5, 3600, 7321)] == [
        "0s",
        "1.5s",
        "119s",
        "2m",
        "2m5.5s",
        "1h",
        "2h2m1s",
    ]
    assert wording.names(["n1", "n2", "n3", "n5", "boot", "v1", "v2"]) == "n1…n3, n5, boot, v1, v2"
    assert wording.sizes([frozenset("abcd"), frozenset("e"), frozenset("f"), frozenset("g")]) == "4, 3×1"


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_ready_scenario_is_planned_without_a_doubt(file):
    from runner.networks.local import describe_nodes
    from runner.scenario.loading import load

    loaded = load(file)
    assert loaded.scenario is not None, loaded.problems
    one = make(loaded.scenario, describe_nodes(loaded.scenario.network), 7)
    assert one.warnings == ()
    assert max(map(len, text(one).splitlines())) <= 100
    xml.dom.minidom.parseString(svg(one))


def test_planning_needs_no_graph_library():
    import subprocess
    import sys

    code = (
        "import sys; import runner.plan.make, runner.plan.changes, runner.plan.picture;"
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
