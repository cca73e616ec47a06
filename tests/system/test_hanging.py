"""A network that does not answer any more has not recovered: that is a fact and no lack of one."""

import os
import signal

import pytest

pytestmark = [pytest.mark.system, pytest.mark.lab]

REST = """
timeline:
  - {at: 1s, for: 7s, partition: halves, name: split}
expect:
  - {after: split, within: 3s, hold: 1s, that: [connected, {progress: height}]}
"""


def test_a_network_that_hangs_after_the_heal_is_violated(run, scenario):
    network = "{count: 4, use: devnet, layer: 500ms, bugs: [hangs-after-heal]}"
    ended = run(scenario(REST, network=network))
    assert ended.code == 1, str(ended)
    only = ended.verdict["expectations"][0]
    assert only["verdict"] == "violated"
    assert ended.verdict["faults"][0]["effective"] is True
    assert ended.verdict["faults"][0]["healed"] is True


def test_a_program_that_stands_still_is_violated(trial, scenario):
    """The same of any program: it is stopped by somebody else, for good, once the fault is over."""
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 1s, partition: halves, name: split}\n"
            "expect:\n  - {after: split, within: 2s, hold: 1s, that: [connected, {agree: head}]}\n"
        ),
        "--json",
    )
    live.at(1.3)
    for pid in live.pids_of("n1", "n2", "n3", "n4"):
        os.kill(pid, signal.SIGSTOP)
    ended = live.end()
    assert ended.code == 1, str(ended)
    assert ended.verdict["expectations"][0]["verdict"] == "violated"
