"""The JSON Schema: right files are valid by it, wrong ones mostly not."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from scenario_texts import scenario

from runner.scenario import first, load
from runner.scenario.json_schema import schema
from runner.scenario.source import read

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator():
    return Draft202012Validator(schema())


def test_it_is_a_schema():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.stem)
def test_what_is_accepted_is_valid(sample, validator):
    assert load(sample).scenario is not None
    assert [e.message for e in validator.iter_errors(read(sample.read_bytes(), "x").data)] == []


def test_the_first_scenario_is_valid(validator):
    assert list(validator.iter_errors(read(first.text(), "x").data)) == []


@pytest.mark.parametrize(
    "text",
    [
        scenario(more="sed: 7\n"),
        scenario(step="{at: 1s, kill: n1}"),
        scenario(step="{at: 1s, for: 5, kill: n1}"),
        scenario(step="{at: 1s, for: 5s, kil: n1}"),
        scenario(step="{at: 1s, for: 5s, kill: n1, pause: n2}"),
        scenario(step="{at: 1s, for: 5s, restart: n1}"),
        scenario(step="{at: 1s, for: 5s, clock: {offset: 30s}}"),
        scenario(expect="{after: x, that: connected}"),
        scenario(expect="{after: x, within: 5s, that: {agre: head}}"),
        scenario(network="network: {driver: lokal, nodes: {count: 3}}\n"),
    ],
)
def test_what_is_wrong_in_itself_is_not_valid(text, validator):
    assert load(text, file="x").scenario is None
    assert list(validator.iter_errors(read(text, "x").data))
