"""The picture of a run: a legal, script-free SVG whose bars stand where the verdict says."""

import copy
import re
from xml.etree import ElementTree as ET

from written_run import NAMES, all_at, sample

from runner.reports.picture import picture, window

SVG = "{http://www.w3.org/2000/svg}"


def drawn(run, verdict):
    text = picture(run, verdict)
    return text, ET.fromstring(text)


def bars(root, kind):
    return [r for r in root.iter(f"{SVG}rect") if kind in (r.get("class") or "").split()]


def test_golden(run, held, snapshot):
    assert picture(run, held) == snapshot


def test_bars_stand_where_the_faults_were(run, held):
    _, root = drawn(run, held)
    commanded = [(float(r.get("x")), float(r.get("width"))) for r in bars(root, "fault")]
    proved = bars(root, "force")
    assert len(commanded) == len(proved) == 3
    (split_x, split_w), (crash_x, crash_w), _ = commanded
    assert abs(split_w / crash_w - 10 / 4) < 0.05
    assert split_x < crash_x


def test_no_scripts_nothing_from_elsewhere_and_text_stays_text(run, violated):
    violated["scenario"]["name"] = '<script>alert(1)</script> & "x"'
    violated["expectations"][0]["name"] = "<b>"
    violated["faults"][0]["name"] = "\x1b<i>"
    text, root = drawn(run, violated)
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "style", "rect", "text", "title", "line", "polyline", "polygon",
    }  # fmt: skip
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "prefers-color-scheme" in text


def test_components_over_time_are_drawn(run, held):
    _, root = drawn(run, held)
    curve = root.find(f".//{SVG}polyline")
    heights = {p.split(",")[1] for p in curve.get("points").split()}
    assert len(heights) == 2, "one component, two, and one again"


def test_verdicts_have_their_colours(run, violated):
    _, root = drawn(run, violated)
    assert len([r for r in bars(root, "window") if "violated" in r.get("class")]) == 1
    assert len([r for r in bars(root, "window") if "unknown" in r.get("class")]) == 1


def test_many_nodes_become_a_band(run, held):
    names = [f"m{i}" for i in range(60)]
    run.insert(-3, sample(35.0, 9, dict.fromkeys(names, 5)))
    run.insert(-3, sample(35.5, 10, {n: 6 + i % 3 for i, n in enumerate(names)}))
    _, root = drawn(run, held)
    assert root.find(f".//{SVG}polygon") is not None


def test_any_number_of_lanes(run, held):
    held["faults"] = [{**copy.deepcopy(held["faults"][0]), "name": f"f{i}"} for i in range(50)]
    held["expectations"] = [{**held["expectations"][0], "name": f"e{i}"} for i in range(50)]
    _, root = drawn(run, held)
    assert float(root.get("height")) < 1000


def test_a_run_that_never_became_steady(held):
    held.update(faults=[], expectations=[], verdict="inconclusive")
    ET.fromstring(picture([], held))
    ET.fromstring(picture([{"t": 0, "event": "run", "nodes": NAMES}, sample(1, 1, all_at(1))], held))


def test_windows(held):
    faults, rows = held["faults"], {r["name"]: r for r in held["expectations"]}
    assert window(rows["before-faults"], faults, -2.0, 40.0) == (-2.0, 0.0)
    assert window(rows["during-split"], faults, -2.0, 40.0) == (10.02, 20.0)
    assert window(rows["after-split"], faults, -2.0, 40.0) == (20.0, 35.0)
    assert window(rows["after-crash"], faults, -2.0, 40.0) == (32.0, 40.0)
    assert window(rows["always"], faults, -2.0, 40.0) == (0.0, 40.0)
