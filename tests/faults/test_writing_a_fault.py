"""The example of docs/writing-a-fault.md, put into files as it says, tested, and planned from a scenario."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "writing-a-fault.md"

PLAN = """
from pathlib import Path
from runner.networks.local import describe_nodes
from runner.plan.changes import fold
from runner.plan.make import make
from runner.plan.picture import text
from runner.scenario.loading import load


def test_the_scenario_is_read_and_planned():
    loaded = load(Path(__file__).with_name("deaf.yaml"))
    assert loaded.scenario is not None, loaded.problems
    plan = make(loaded.scenario, describe_nodes(loaded.scenario.network), 1)
    [deaf] = plan.trials[0].chosen.targets
    model = fold(plan, 5)
    assert all(model.is_cut(n, deaf) and not model.is_cut(deaf, n) for n in model.nodes if n != deaf)
    assert "deaf: deafen {pick: 1}" in text(plan)
"""


def test_the_example_works_as_written(tmp_path):
    module, test, scenario = re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    own = tmp_path / "faults"
    own.mkdir()
    (own / "deafen.py").write_text(module)
    (tmp_path / "deaf.yaml").write_text(scenario)
    (tmp_path / "test_deafen.py").write_text(test)
    (tmp_path / "test_deaf_plan.py").write_text(PLAN)
    (tmp_path / "conftest.py").write_text(f"import faults\nfaults.__path__.append({str(own)!r})\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "faults")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
