"""Explanations: every topic has one, from its class, and its example is right."""

from __future__ import annotations

import json
import re

import pytest
from scenario_texts import scenario

import faults.fault
from runner.scenario import load
from runner.scenario.explain import UnknownTopic, explain, text, topics

ALL = [name for names in topics().values() for name in names]


@pytest.mark.parametrize("topic", ALL)
def test_every_topic_is_explained(topic):
    told = explain(topic)
    assert told["about"]
    assert json.loads(json.dumps(told)) == told
    assert told["about"].split(".")[0] in text(told)


@pytest.mark.parametrize("kind", faults.fault.catalogue())
def test_examples_are_right(kind):
    example = explain(kind)["example"]
    late = (
        "network:\n  driver: local\n  nodes:\n    - {count: 9, use: devnet}\n"
        "    - {group: joiners, use: devnet, waits: true}\n"
    )
    assert [str(p) for p in load(scenario(step=example, network=late), file="x.yaml").problems] == []


@pytest.mark.parametrize("kind", topics()["predicates"])
def test_examples_of_predicates_are_right(kind):
    step = "{at: 10s, for: 20s, partition: halves, name: split}"
    given = scenario(step=step, expect=explain(kind)["example"])
    assert [str(p) for p in load(given, file="x.yaml").problems] == []


def test_defaults_and_sets_are_written_as_in_a_scenario():
    assert "default 75%" in text(explain("degree_recovers"))
    assert "(default 60s)" in text(explain("ready"))
    assert "  from     a name, a list of names, or target fields" in text(explain("cut"))


def test_paragraphs_are_left_to_be_broken_by_who_shows_them():
    about = text(explain("agree")).splitlines()[4]
    assert about.startswith("Points are compared by height")
    assert about.endswith("not a point.")


def test_all_names_of_commands_are_told():
    from runner.networks import commands

    told = text(explain("commands"))
    names = set(re.findall(r"\$(\w+)", commands.__doc__.splitlines()[0])) - {"port_NAME"}
    assert len(names) == 8
    assert all(f"${name}" in told for name in names)


def test_a_fault_names_its_fields_and_its_short_form():
    told = explain("kill")
    assert told["short"] == "of"
    assert [f["name"] for f in told["fields"]] == ["signal", "wipe"]
    assert "pick" in told["targets"]


def test_the_bugs_of_the_built_in_network_are_listed():
    for bug in explain("devnet")["bugs"]:
        assert set(bug) == {"name", "about", "caught_by", "expectation", "reason_has"}


def test_an_unknown_topic_is_told_from_one_that_is_not_built():
    with pytest.raises(UnknownTopic, match="did you mean 'kill'"):
        explain("kil")
    with pytest.raises(UnknownTopic, match="not built yet"):
        explain("churn")


def test_the_list_of_topics():
    listed = text(topics())
    assert "partition" in listed
    assert "never_back" in listed
