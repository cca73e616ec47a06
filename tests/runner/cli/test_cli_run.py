"""``seatrial run``: what the engine is asked for, what is printed where, which exit code."""

import json
from xml.etree import ElementTree as ET

import pytest

from runner.records.directory import DirectoryError


@pytest.mark.parametrize(
    ("word", "code"), [("held", 0), ("violated", 1), ("inconclusive", 3), ("inconclusive", 4), ("held", 5)]
)
def test_exit_codes(call, engine, word, code):
    engine.runs = [(word, code)]
    done = call("run", "good.yaml")
    assert done.exit_code == code
    assert f"pair: {word.upper()}" in done.stdout


def test_options_reach_the_engine(call, engine):
    done = call(
        "run", "good.yaml", "--out", "elsewhere", "--seed", 11, "--lease", "45s", "--timeout", "2m",
        "--keep-on-violation", "--set", "network.nodes.count=6",
    )  # fmt: skip
    assert done.exit_code == 0
    scenario, options = engine.asked[0]
    assert len(scenario.network.groups[0].members) == 6
    assert (options.seed, options.lease_s, options.timeout_s, options.keep) == (
        11,
        45.0,
        120.0,
        "on_violation",
    )
    assert (options.out / "run-1" / "journal.jsonl").exists()


def test_progress_goes_to_standard_error_and_the_summary_to_standard_output(call, engine):
    done = call("run", "good.yaml")
    assert "steady state: the timeline begins" in done.stderr
    assert "steady state: the timeline begins" not in done.stdout
    assert "run: runs/run-1" in done.stdout


def test_json_is_the_verdict_and_nothing_else(call, engine):
    engine.runs = [("violated", 1)]
    done = call("run", "good.yaml", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["verdict"] == "violated"


def test_what_was_found_while_taking_down_is_in_the_verdict(call, engine):
    engine.runs = [("held", 5)]
    assert json.loads(call("run", "good.yaml", "--json", "-q").stdout)["exit_code"] == 5


def test_quiet(call, engine):
    done = call("run", "good.yaml", "--quiet")
    assert done.stdout == "pair: HELD (seed 7, recovered after 1.0 s; runs/run-1)\n"
    assert done.stderr == ""


def test_reports_lie_in_the_run_directory(call, engine, folder):
    call("run", "good.yaml", "--junit", "all.xml")
    assert ET.parse(folder / "runs/run-1/junit.xml").getroot().get("tests") == "1"
    assert (folder / "runs/run-1/picture.svg").read_text().startswith("<svg")
    assert ET.parse(folder / "all.xml").getroot().get("tests") == "1"
    for file in ("runs/run-1/junit.xml", "all.xml"):
        assert ET.parse(folder / file).getroot()[0].get("time") == "9.000"


def test_a_run_without_a_verdict_is_an_error_in_junit(call, engine, folder):
    engine.runs = [(None, 4)]
    assert call("run", "good.yaml", "--junit", "all.xml").exit_code == 4
    assert ET.parse(folder / "all.xml").getroot().get("errors") == "1"


def test_repeat_counts_and_takes_the_worst_code(call, engine):
    engine.runs = [("held", 0), ("inconclusive", 3), ("held", 0), ("violated", 1)]
    done = call("run", "good.yaml", "--repeat", 4)
    assert done.exit_code == 1
    assert "4 runs: 2 held, 1 violated, 1 inconclusive" in done.stdout
    assert "recovered after 1.0 s / 2.0 s / 3.0 s (least / median / most)" in done.stdout


def test_several_as_json_are_a_list(call, engine):
    done = call("run", "good.yaml", "good.yaml", "--json")
    assert [v["verdict"] for v in json.loads(done.stdout)] == ["held", "held"]


def test_fail_fast(call, engine):
    engine.runs = [("held", 0), ("violated", 1), ("held", 0)]
    done = call("run", "good.yaml", "--repeat", 3, "--fail-fast")
    assert len(engine.asked) == 2
    assert "1 more not started" in done.stderr


def test_an_interrupted_trial_is_the_last(call, engine):
    engine.runs, engine.why = [("inconclusive", 4)] * 3, "interrupt"
    assert call("run", "good.yaml", "--repeat", 3).exit_code == 4
    assert len(engine.asked) == 1


def test_bad_files_start_nothing_and_say_everything(call, engine, folder):
    (folder / "bad.yaml").write_text(
        "seatrial: 1\nname: x\nnetwork: {driver: local, nodes: {count: no, use: devnet}}\n"
    )
    (folder / "worse.yaml").write_text("timeline: [\n")
    done = call("run", "good.yaml", "bad.yaml", "worse.yaml", "missing.yaml")
    assert done.exit_code == 2
    assert engine.asked == []
    assert not (folder / "runs").exists()
    lines = done.stderr.splitlines()
    assert any(line.startswith("bad.yaml:3:") for line in lines)
    assert any(line.startswith("worse.yaml:") for line in lines)
    assert any(line.startswith("missing.yaml") and "cannot be read" in line for line in lines)
    assert "Traceback" not in done.output


def test_a_plan_that_is_refused_starts_nothing(call, engine, folder):
    text = (folder / "good.yaml").read_text().replace("timeline:", "limits: {hit: 10%}\ntimeline:")
    (folder / "limited.yaml").write_text(text)
    done = call("run", "limited.yaml")
    assert done.exit_code == 2
    assert done.stderr.startswith("limited.yaml:7:1: ")
    assert engine.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--lease", "5"), ("--timeout", "2 layers"), ("--lease", "0s"), ("--param", "x"), ("--set", "count"),
        ("--param", "nobody=3"), ("--set", "network.nodes.colour=red"), ("--network", "missing.yaml"),
        ("--keep", "--repeat", "2"),
    ],
)  # fmt: skip
def test_bad_options_are_bad_input(call, engine, arguments):
    done = call("run", "good.yaml", *arguments)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1
    assert engine.asked == []


def test_a_folder_that_cannot_be_written(call, engine):
    engine.runs = [(None, DirectoryError("/proc/x: no run directory can be made there"))] * 2
    done = call("run", "good.yaml")
    assert done.exit_code == 4
    assert "no run directory can be made there; choose another folder with --out" in done.stderr
    assert call("up", "good.yaml").stderr == done.stderr


def test_a_mistake_in_showing_does_not_disturb_the_trial(call, engine, monkeypatch):
    from runner.reports import progress

    def broken(self, event):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(progress.Narrator, "feed", broken)
    done = call("run", "good.yaml")
    assert done.exit_code == 0
    assert done.stderr.count("progress cannot be shown any more") == 1


def test_jobs_run_as_processes_of_their_own(call, engine, monkeypatch):
    """The children are stood in for by a program that answers like one and shows what it was given."""
    import sys

    from runner.cli import parallel

    real = parallel._argv

    def argv(file, options, extra):
        asked = real(file, options, extra)
        assert asked[:5] == [sys.executable, "-m", "runner.cli.main", "run", "good.yaml"]
        code = "import json, sys; print(json.dumps({'verdict': 'violated', 'seed': 3, 'expectations': [],"
        code += "'reasons': [' '.join(sys.argv[1:])]})); sys.exit(1)"
        return [sys.executable, "-c", code, *asked[5:]]

    monkeypatch.setattr(parallel, "_argv", argv)
    done = call("run", "good.yaml", "--repeat", 3, "--jobs", 2, "--set", "network.nodes.count=6", "--seed", 3)
    assert done.exit_code == 1
    assert "3 runs: 3 violated" in done.stdout
    assert "--quiet --out runs --lease 5.000s --set network.nodes.count=6" in done.stdout
    assert engine.asked == []


def test_a_child_that_is_killed_counts_as_could_not_run(call, engine, monkeypatch):
    import sys

    from runner.cli import parallel

    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(parallel, "_argv", lambda *_: [sys.executable, "-c", code])
    done = call("run", "good.yaml", "--repeat", 2, "--jobs", 2)
    assert done.exit_code == 4
    assert "ended by signal 9" in done.stdout


def test_fail_fast_with_jobs_starts_no_more(call, engine, monkeypatch):
    import sys

    from runner.cli import parallel

    monkeypatch.setattr(parallel, "_argv", lambda *_: [sys.executable, "-c", "raise SystemExit(1)"])
    done = call("run", "good.yaml", "--repeat", 12, "--jobs", 2, "--fail-fast")
    assert "of 12 trials were not started" in done.stderr
