"""Answers of nodes read as facts."""

import json

import pytest

from runner.observers.observer import catalogue, from_mapping


def test_the_devnets_status_becomes_facts_points_and_a_clock():
    status = {
        "height": 12,
        "head": [12, "aa"],
        "finalized": [9, "bb"],
        "recent": [[8, "cc"], [9, "bb"]],
        "peers": 4,
        "synced": True,
        "state": "x",
        "layer": 40,
        "clock": 1000.5,
    }
    reading = catalogue()["devnet"].read(json.dumps(status))
    assert reading.facts["head"] == [12, "aa"]
    assert reading.facts["synced"] is True
    assert reading.facts["state"] == [9, "x"]
    assert reading.points == {"finalized": [[8, "cc"], [9, "bb"]]}
    assert reading.wall_s == 1000.5


def test_a_mapping_reads_numbers_in_text_lengths_and_leaves_out_what_is_missing():
    observer = from_mapping(
        "/status",
        26657,
        {
            "height": "result.sync.height",
            "peers": "result.peers",
            "gone": "result.x.y",
            "first": "result.peers.0",
        },
    )
    body = json.dumps({"result": {"sync": {"height": "41"}, "peers": ["a", "b"]}})
    assert observer.read(body).facts == {"height": 41, "peers": 2, "first": "a"}


def test_an_answer_that_is_no_json_is_refused():
    with pytest.raises(ValueError):
        from_mapping("/", 80, {"height": "h"}).read("<html>")
