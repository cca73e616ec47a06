"""Every shipped scenario holds on the healthy built-in network."""

import pytest

from tests.system.conftest import SCENARIOS

pytestmark = [pytest.mark.system, pytest.mark.lab]


@pytest.mark.parametrize("name", sorted(p.stem for p in SCENARIOS.glob("*.yaml")))
def test_holds_as_it_stands(run, name):
    ended = run(SCENARIOS / f"{name}.yaml")
    assert ended.code == 0, str(ended)
    assert ended.verdict["verdict"] == "held"
    assert all(f["effective"] is True and f["healed"] is True for f in ended.verdict["faults"])
