"""What the language can say, on a live network: times, triggers, rolls, flaps, repeats, aborts, joiners."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.lab]

SLEEPERS = "{names: s, count: 5, run: [sleep, 1000]%s}"


def sleepers(more: str = "") -> str:
    """Five nodes that do nothing: enough where only processes and links matter, and ready at once."""
    return SLEEPERS % more


def spans(live, trial: str) -> list[tuple[float, float | None, list | None]]:
    """What a trial came to in the end, from the steady state."""
    zero = live.events("steady")[0]["zero"]
    last = [e for e in live.events("step") if e["trial"] == trial][-1]
    return [(a - zero, None if b is None else b - zero, units) for a, b, units in last["spans"]]


def fault(ended, name: str) -> dict:
    return next(f for f in ended.verdict["faults"] if f["name"] == name)


def proved(ended) -> bool:
    return all(f["effective"] is True and f["healed"] is True for f in ended.verdict["faults"])


def test_for_rest_lasts_until_the_last_window_and_is_healed(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: rest, isolate: s1, name: alone}\n"
            "  - {at: 1s, for: 500ms, kill: s2, name: crash}\n"
            "expect:\n  - {after: crash, within: 1s, hold: 500ms, that: {up: {of: s2}}}\n",
            network=sleepers(),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    assert spans(live, "alone")[0][1] is None
    assert fault(ended, "alone")["ended_by"] == "run_end"
    assert fault(ended, "alone")["healed"] is True
    assert live.events("end")[0]["t"] - live.events("steady")[0]["zero"] < 8


def test_until_ends_a_fault_early_and_for_is_the_most(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n"
            '  - {at: 500ms, for: 20s, until: {is: "height >= 6", share: any}, pause: n1, name: early}\n'
            '  - {at: 500ms, for: 1s, until: {is: "height >= 99999", share: any}, clock: {of: n2, offset: +1s}, name: late}\n'
            "expect: []\n"
        ),
        "--json",
    )
    ended = live.end(60)
    assert ended.code == 0, str(ended)
    assert spans(live, "early")[0][1] < 8
    assert abs(spans(live, "late")[0][1] - 1.5) < 0.01
    assert [e["step"] for e in live.events("trigger")] == ["early"]
    assert proved(ended)


def test_when_starts_a_step_and_where_chooses_then(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n"
            '  - {when: {is: "height >= 4", share: any}, within: 20s, for: 1s, kill: n1, name: crash}\n'
            "  - {at: end of crash + 2s, for: 1s, pause: {where: height >= 4, but: n1, pick: 1}, name: asleep}\n"
            "expect:\n  - {after: asleep, within: 4s, hold: 500ms, that: connected}\n"
        ),
        "--json",
    )
    ended = live.end(60)
    assert ended.code == 0, str(ended)
    met = live.events("trigger")[0]
    assert (met["step"], met["met"]) == ("crash", True)
    begun = next(e for e in live.events("step") if e["step"] == "crash")
    assert begun["start"] >= met["t"]
    zero = live.events("steady")[0]["zero"]
    height = max(
        s["nodes"][n]["facts"]["height"]
        for s in live.events("sample")
        if s["t"] <= begun["start"]
        for n in s["nodes"]
        if "height" in s["nodes"][n].get("facts", {})
    )
    assert height >= 4
    asleep = live.events("step")[-1]
    assert asleep["targets"][0] in ("n2", "n3", "n4")
    assert asleep["start"] - begun["end"] >= 2.0 - 0.001
    assert zero < begun["start"]


def test_a_trigger_that_is_never_met_is_inconclusive_and_says_so(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {when: height >= 99999, within: 1s, for: 1s, kill: n1, name: crash}\n"
            "expect:\n  - {after: crash, within: 1s, that: up}\n"
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 3, str(ended)
    assert any("'crash' was never started" in r and "height" in r for r in ended.verdict["reasons"])
    assert live.events("trigger")[0]["met"] is False


def test_an_abort_condition_heals_at_once_and_is_4(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 60s, isolate: n1, name: alone}\n"
            'abort: [{when: {is: "height >= 3", share: any}, hold: 500ms}]\n'
            "expect:\n  - {after: alone, within: 1s, that: up}\n"
        ),
        "--json",
    )
    ended = live.end(30)
    assert ended.code == 4, str(ended)
    assert ended.verdict["verdict"] == "inconclusive"
    assert any("aborted" in r and "height" in r for r in ended.verdict["reasons"]), ended.verdict["reasons"]
    assert fault(ended, "alone")["ended_by"] == "abort"
    assert fault(ended, "alone")["healed"] is True


def test_a_roll_takes_one_after_another(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 500ms, roll: 1s, kill: {of: [s1, s2, s3]}, name: rolling}\n"
            "expect: []\n",
            network=sleepers(),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    times = sorted(spans(live, "rolling"))
    assert [round(t[0], 2) for t in times] == [0.5, 1.5, 2.5]
    assert len({tuple(t[2]) for t in times}) == 3
    for a, b, (unit,) in times:
        down = next(e for e in live.events("down") if e["node"] == unit)
        up = next(e for e in live.events("started") if e["node"] == unit and e["why"] == "heal")
        zero = live.events("steady")[0]["zero"]
        assert a <= down["t"] - zero <= a + 0.4
        assert b <= up["t"] - zero <= b + 0.5


def test_a_roll_waits_for_the_last_one_to_be_well(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, restart: {of: [n1, n2, n3]}, roll: {next: synced, within: 10s}, name: rolling}\n"
            "expect:\n  - {after: rolling, within: 5s, hold: 500ms, that: connected}\n"
        ),
        "--json",
    )
    ended = live.end(60)
    assert ended.code == 0, str(ended)
    restarted = [e["node"] for e in live.events("started") if e["why"] != "first"]
    assert sorted(restarted) == ["n1", "n2", "n3"]
    assert proved(ended)


def test_a_roll_that_waits_in_vain_stops_there(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n"
            "  - {at: 500ms, restart: nodes, roll: {next: height >= 99999, within: 2s}, name: rolling}\n"
            "expect: []\n"
        ),
        "--json",
    )
    ended = live.end(60)
    assert ended.code == 3, str(ended)
    assert any("'rolling' stopped at" in r for r in ended.verdict["reasons"]), ended.verdict["reasons"]
    assert len([e for e in live.events("started") if e["why"] != "first"]) == 1


def test_onset_and_heal_spread_the_targets(trial, scenario):
    live = trial(
        scenario(
            "limits: {lose_quorum: true}\n"
            "timeline:\n  - {at: 500ms, for: 3s, onset: {over: 1s, order: listed},"
            " heal: {over: 1s, order: reverse}, pause: nodes, name: asleep}\n"
            "expect: []\n",
            network=sleepers(),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    paused = [e["node"] for e in live.events("paused")]
    resumed = [e["node"] for e in live.events("resumed")]
    assert paused == ["s1", "s2", "s3", "s4", "s5"]
    assert resumed == paused[::-1]
    times = [e["t"] for e in live.events("paused")]
    assert times[-1] - times[0] > 0.6
    assert proved(ended)


def test_a_flap_is_one_fault_with_many_intervals(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 6s, flap: {every: 2s, for: 1s}, isolate: s1, name: wire}\n"
            "expect: []\n",
            network=sleepers(),
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    times = fault(ended, "wire")["intervals"]
    assert [round(i["started_s"], 1) for i in times] == [0.5, 2.5, 4.5]
    assert [round(i["ended_s"], 1) for i in times] == [1.5, 3.5, 5.5]
    assert all(i["leaked_s"] < 0.5 for i in times)


def test_a_repeat_with_redraw_hits_others_and_is_judged_each_time(trial, scenario):
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 500ms, repeat: {times: 4, every: 3s, redraw: true},"
            " kill: {pick: 1}, name: crash}\n"
            "expect:\n  - {after: crash, within: 1s, hold: 1s, that: up}\n",
            network=sleepers(),
        ),
        "--json",
    )
    ended = live.end()
    assert [f["name"] for f in ended.verdict["faults"]] == [f"crash.{i}" for i in range(1, 5)]
    assert proved(ended), ended.verdict["faults"]
    assert len({tuple(f["targets"]) for f in ended.verdict["faults"]}) > 1
    assert len(ended.verdict["expectations"]) == 4
    assert {e["verdict"] for e in ended.verdict["expectations"]} == {"held"}, ended.verdict["reasons"]
    assert ended.code == 0


def test_joiners_wait_for_their_start(trial, scenario):
    network = (
        "\n    - {group: old, names: o, count: 3, use: devnet, layer: 500ms}"
        "\n    - {group: new, names: j, count: 1, use: devnet, layer: 500ms, waits: true}"
    )
    live = trial(
        scenario(
            "timeline:\n  - {at: 1500ms, start: new, name: join}\n"
            "expect:\n  - {before: faults, hold: 1s, that: {connected: {of: old}}}\n"
            "  - {after: join, within: 8s, hold: 1s, that: [connected, {is: synced, of: new}]}\n",
            network=network,
        ),
        "--json",
    )
    ended = live.end(60)
    assert ended.code == 0, str(ended)
    first = next(e for e in live.events("started") if e["node"] == "j1")
    assert first["t"] >= live.events("steady")[0]["zero"] + 1.5 - 0.001
    assert fault(ended, "join")["effective"] is True


def test_a_supervisor_starts_again_what_ends(trial, scenario):
    network = '{names: s, count: 3, run: [sh, -c, "sleep 1.5; exit 3"], restarts: always}'
    live = trial(
        scenario(
            "timeline:\n  - {at: 200ms, for: 3s, kill: s1, name: gone}\n"
            "expect:\n  - {always: no_crash}\n  - {after: gone, within: 2s, hold: 500ms, that: up}\n",
            network=network,
        ),
        "--json",
    )
    ended = live.end()
    again = [e for e in live.events("started") if e["why"] == "supervisor"]
    assert {"s2", "s3"} <= {e["node"] for e in again}
    assert fault(ended, "gone")["effective"] is True, "a node that is down stays down"
    assert ended.code == 1, str(ended)
    assert any("exit code 3" in r for r in ended.verdict["reasons"]), ended.verdict["reasons"]


def test_a_kill_with_wipe_takes_the_data_along(trial, scenario):
    script = "ls $data/seen >/dev/null 2>&1 && echo kept || echo empty; touch $data/seen; exec sleep 1000"
    words = script.replace("$data", "$HOME")
    live = trial(
        scenario(
            "timeline:\n  - {at: 500ms, for: 500ms, kill: {of: s1, wipe: true}, name: wiped}\n"
            "  - {at: 500ms, for: 500ms, kill: s2, name: crash}\nexpect: []\nlimits: {lose_quorum: true}\n",
            network=f'{{names: s, count: 3, run: [sh, -c, "{words.replace("$", "$$")}"]}}',
        ),
        "--json",
    )
    ended = live.end()
    assert ended.code == 0, str(ended)
    logs: dict[str, list[str]] = {
        n: (live.directory / "logs" / f"{n}.log").read_text().split() for n in ("s1", "s2", "s3")
    }
    assert logs == {"s1": ["empty", "empty"], "s2": ["empty", "kept"], "s3": ["empty"]}


@pytest.mark.parametrize("how", ["limits", "option"])
def test_a_run_that_takes_too_long_is_ended(trial, scenario, how):
    rest = (
        "timeline:\n  - {at: 500ms, for: 1s, isolate: s1, name: alone}\n"
        "expect:\n  - {after: alone, within: 60s, hold: 1s, that: up}\n"
    )
    limits = "limits: {time: 3s}\n" if how == "limits" else ""
    more = ["--timeout", "3s"] if how == "option" else []
    live = trial(scenario(limits + rest, network=sleepers()), "--json", *more)
    ended = live.end(20)
    assert ended.code == 4, str(ended)
    assert any("3 s" in r for r in ended.verdict["reasons"])
    assert live.events("end")[0]["why"] == "timeout"
    assert fault(ended, "alone")["healed"] is True


def test_set_up_commands_save_lists_and_files(trial, tmp_path: Path):
    (tmp_path / "shared.txt").write_text("from the folder\n")
    path = tmp_path / "setup.yaml"
    path.write_text(
        "seatrial: 1\nname: setup\nseed: 1\nnetwork:\n  driver: local\n"
        "  setup:\n"
        "    - {run: [sh, -c, 'echo key-of-$name'], save: key, of: nodes}\n"
        "    - {copy: shared.txt, to: $data/copied.txt, of: nodes}\n"
        "  nodes:\n    names: s\n    count: 3\n"
        "    lists: {everybody: {of: nodes, each: $name/$key@$address}}\n"
        "    run: [sh, -c, 'echo $key $s2.key $everybody; cat $data/copied.txt; exec sleep 1000']\n"
        "timeline:\n  - {at: 500ms, for: 500ms, kill: s1}\nexpect: []\n"
    )
    live = trial(path, "--json")
    ended = live.end()
    assert ended.code == 0, str(ended)
    said = (live.directory / "logs" / "s1.log").read_text().splitlines()
    everybody = ",".join(f"s{i}/key-of-s{i}@10.77.0.{i}" for i in (1, 2, 3))
    assert said[0] == f"key-of-s1 key-of-s2 {everybody}"
    assert said[1] == "from the folder"
    assert len(said) == 4, "and again after the kill"
