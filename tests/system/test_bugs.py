"""The proof that the oracle can fail a network: every known bug is caught by its scenario, for the reason
it names.
"""

import shutil

import pytest

from runner.devnet import bugs
from tests.system.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.lab]
KNOWN = {b["name"]: b for b in bugs.as_json()["bugs"]}


def test_there_are_at_least_ten():
    assert len(KNOWN) >= 10


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_is_caught(run, name):
    bug = KNOWN[name]
    ended = run(ROOT / bug["caught_by"], "--set", f"network.nodes.bugs=[{name}]")
    assert ended.code == 1, str(ended)
    assert any(bug["reason_has"] in reason for reason in ended.verdict["reasons"]), ended.verdict["reasons"]


def test_a_bug_in_a_folder_of_ones_own_is_caught_as_well(run, tmp_path):
    name = "hangs" if "hangs" in KNOWN else sorted(KNOWN)[0]
    module = next(p for p in (ROOT / "runner/devnet/bugs").glob("*.py") if f'"{name}"' in p.read_text())
    own = tmp_path / "bugs"
    own.mkdir()
    text = module.read_text().replace(f'"{name}"', '"my-own"')
    (own / "my_own.py").write_text(text)
    shutil.rmtree(own / "__pycache__", ignore_errors=True)
    ended = run(
        ROOT / KNOWN[name]["caught_by"],
        "--set", f"network.nodes.bugs_path={own}",
        "--set", "network.nodes.bugs=[my-own]",
    )  # fmt: skip
    assert ended.code == 1, str(ended)
