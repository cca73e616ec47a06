"""Programs of others as nodes: a clock that they see, faults that hit them, and the graph of their
connections.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.system.conftest import Trial

pytestmark = [pytest.mark.system, pytest.mark.lab]
HOUR = 3600.0

needs_etcd = pytest.mark.skipif(
    shutil.which("etcd") is None, reason="etcd is not installed (Debian: etcd-server)"
)

CLUSTER = """
    group: etcd
    names: e
    count: %d
    run: [etcd, --name, $name, --data-dir, $data/etcd, --logger, zap, --log-outputs, stdout,
      --listen-peer-urls, "http://$address:2380", --initial-advertise-peer-urls, "http://$address:2380",
      --listen-client-urls, "http://0.0.0.0:2379", --advertise-client-urls, "http://$address:2379",
      --initial-cluster, $cluster, --initial-cluster-state, new]
    lists: {cluster: {of: nodes, each: "$name=http://$address:2380"}}
    ready: {http: "http://$address:2379/health", within: 20s}
"""


def etcd(count: int) -> str:
    return CLUSTER % count


def log_of(live: Trial, node: str) -> str:
    return (live.directory / "logs" / f"{node}.log").read_text(errors="replace")


def skews(text: str, started: datetime, read: Callable[[str], list[datetime]]) -> list[float]:
    return [(t - started).total_seconds() for t in read(text)]


def etcd_times(text: str) -> list[datetime]:
    stamps = re.findall(r'"ts":"([^"]+)"', text)
    return [datetime.fromisoformat(s.replace("Z", "+00:00")) for s in stamps]


def date_times(text: str) -> list[datetime]:
    return [
        datetime.fromtimestamp(float(line), UTC) for line in text.split() if line.replace(".", "").isdigit()
    ]


@pytest.mark.thirdparty
@needs_etcd
def test_etcd_sees_the_skewed_clock_in_its_own_log_and_the_true_one_after(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n"
            "  - {at: 1s, for: 4s, clock: {of: e1, offset: +1h}, name: ahead}\n"
            "  - {at: 2s, for: 1s, kill: e2, name: crash}\n"
            "  - {at: 6s, for: 1s, kill: e2, name: again}\n"
            "expect:\n  - {after: ahead, within: 3s, hold: 1s, that: up}\n",
            network=etcd(3),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended) + log_of(live, "e1")[-2000:]
    began = datetime.fromisoformat(live.events("run")[0]["wall"])
    times = skews(log_of(live, "e1"), began, etcd_times)
    ahead = [t for t in times if HOUR <= t < HOUR + 60]
    assert ahead, "a line of the log bears the skewed time"
    last = max(i for i, t in enumerate(times) if t >= HOUR)
    assert min(i for i, t in enumerate(times) if t >= HOUR) > 10, "true before"
    after = times[last + 1 :]
    assert after, "lines were written after the fault"
    assert all(0 < t < 60 for t in after), "and bear the true time"
    assert all(t < 60 for t in skews(log_of(live, "e3"), began, etcd_times)), "another node never sees it"
    found = ended.verdict["faults"][0]
    assert (found["effective"], found["healed"]) == (True, True)


def test_programs_that_a_shell_starts_see_it_too(trial, scenario):
    """Every ``date`` is a new process and a new image: forks and execs are followed."""
    loop = "while :; do date +%%s.%%N; sleep 0.1; done".replace("%%", "%")
    live = trial(
        scenario(
            "timeline:\n  - {at: 1s, for: 3s, clock: {of: s1, offset: -2h}, name: behind}\n"
            "expect:\n  - {after: behind, within: 2s, hold: 1s, that: up}\n",
            network=f'{{group: shells, names: s, count: 2, run: [sh, -c, "{loop}"]}}',
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    event = live.events("run")[0]
    began = datetime.fromisoformat(event["wall"]).timestamp() - event["t"]
    zero = live.events("steady")[0]["zero"]
    times = [t.timestamp() - began - zero for t in date_times(log_of(live, "s1"))]
    states = [t < -HOUR for t in times]
    changes = [i for i in range(1, len(states)) if states[i] != states[i - 1]]
    assert len(changes) == 2, "true, behind, and true again: no process in between saw anything else"
    behind = [t + 2 * HOUR for t in times if t < -HOUR]
    assert all(0.9 <= t <= 4.1 for t in behind)
    assert len(behind) > 10
    assert not any(t.timestamp() - began - zero < -HOUR for t in date_times(log_of(live, "s2")))


@pytest.mark.thirdparty
@needs_etcd
def test_an_etcd_cluster_is_split_killed_and_paused_with_evidence(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n"
            "  - {at: 1s, for: 4s, partition: {sides: {small: [e1, e2], big: rest}}, name: split}\n"
            "  - {at: 7s, for: 2s, kill: e3, name: crash}\n"
            "  - {at: 7s, for: 2s, pause: e4, name: asleep}\n"
            "expect:\n"
            "  - {before: faults, hold: 1s, that: connected}\n"
            "  - {during: split, within: 1s, that: components == 2}\n"
            "  - {after: split, within: 8s, hold: 1s, despite: [crash, asleep], that: [connected, up]}\n"
            "  - {after: faults, within: 8s, hold: 1s, that: [connected, up]}\n",
            network=etcd(5),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    assert all(f["effective"] is True and f["healed"] is True for f in ended.verdict["faults"])
    edges = [e for s in live.events("sample") for e in s.get("graph", {}).get("sockets", [])]
    assert len({tuple(e) for e in edges}) == 10, "everybody was seen connected to everybody"


@pytest.mark.thirdparty
@needs_etcd
def test_facts_come_from_an_answer_in_json(trial, tmp_path):
    path = tmp_path / "asked.yaml"
    path.write_text(
        "seatrial: 1\nname: asked\nseed: 5\nnetwork:\n  driver: local\n"
        "  observe: {http: /health, ports: {http: 2379}, facts: {health: health}}\n"
        "  nodes:" + etcd(3) + "timeline:\n  - {at: 1s, for: 5s, isolate: e1, name: alone}\n"
        "expect:\n  - {before: faults, hold: 1s, that: 'health == true'}\n"
        "  - {after: alone, within: 8s, hold: 1s, that: 'health == true'}\n"
    )
    live = trial(path, "--json")
    ended = live.end()
    assert ended.code == 0, str(ended)
    said = [s["nodes"]["e1"]["facts"] for s in live.events("sample") if "facts" in s["nodes"].get("e1", {})]
    assert json.dumps(said[0]) == '{"health": "true"}' or said[0]["health"] in (True, "true")


def test_a_folder_with_a_strange_name(run, tmp_path):
    folder = tmp_path / "a folder, with: ünusual $names {}"
    folder.mkdir()
    path: Path = folder / "odd.yaml"
    path.write_text(
        "seatrial: 1\nname: odd\nseed: 5\nnetwork:\n  driver: local\n"
        "  nodes: {count: 3, names: s, run: [sleep, 60]}\n"
        "timeline:\n  - {at: 500ms, for: 1s, kill: s1, name: crash}\n"
        "expect:\n  - {after: crash, within: 1s, hold: 500ms, that: up}\n"
    )
    ended = run(path, "--out", str(folder / "runs"))
    assert ended.code == 0, str(ended)


def test_files_are_there_with_their_names_put_in_also_after_a_wipe(trial, scenario, tmp_path):
    (tmp_path / "conf.in").write_text("me=$name cost=$$5\n")
    path = scenario(
        "timeline:\n  - {at: 500ms, for: 500ms, kill: {of: s1, wipe: true}, name: gone}\n"
        "expect:\n  - {after: gone, within: 2s, hold: 500ms, that: up}\n",
        network="{names: s, count: 3, files: {etc/my.conf: conf.in}, "
        'run: [sh, -c, "cat $data/etc/my.conf; while :; do sleep 0.2; done"]}',
    )
    assert path.parent == tmp_path
    live = trial(path, "--json")
    ended = live.end(30)
    assert ended.code == 0, str(ended)
    log = (live.directory / "logs" / "s1.log").read_text()
    assert log == "me=s1 cost=$5\n" * 2
