"""The command as a whole: help is light, mistakes are one line, nothing shows a traceback."""

import json
import os
import subprocess
import sys

import pytest
from good_file import ROOT

from runner import __version__
from runner.cli import console
from runner.cli.main import app

HEAVY = {"networkx", "pydantic", "yaml", "rich", "numpy", "kubernetes"}
COMMANDS = (
    *("run", "check", "plan", "schema", "init", "list", "explain", "judge", "replay"),
    *("up", "inject", "down", "exec", "heal", "doctor"),
)


def test_help_imports_nothing_heavy(program):
    code = (
        "import atexit, sys, json\n"
        "atexit.register(lambda: print('MODULES', json.dumps(sorted(sys.modules))))\n"
        "from runner.cli.main import main\n"
        "main(['--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TERMINAL_WIDTH": "80"},
        check=False,
    )
    assert done.returncode == 0
    modules = json.loads(done.stdout.split("MODULES", 1)[1])
    assert not HEAVY & {m.split(".")[0] for m in modules}


def test_check_leaves_the_rest_unloaded():
    code = (
        "import atexit, sys\n"
        "heavy = {'networkx', 'rich', 'numpy', 'rustworkx'}\n"
        "atexit.register(lambda: print('HEAVY', *heavy.intersection(sys.modules)))\n"
        "from runner.cli.main import main\n"
        "main(['check', 'scenarios/devnet/first.yaml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("HEAVY", 1)[1].split() == []


def test_every_command_has_help_with_an_example(call):
    listed = call("--help").output
    for command in COMMANDS:
        assert f"\n  {command} " in listed
        done = call(command, "--help")
        assert done.exit_code == 0
        assert "Examples:" in done.output
        assert f"  seatrial {command}" in done.output
        assert max(map(len, done.output.splitlines())) <= 100
    assert {c.name or c.callback.__name__ for c in app.registered_commands} == set(COMMANDS)


def test_summaries_of_commands_are_whole(call):
    assert not [line for line in call("--help").output.splitlines()[1:] if line.endswith("...")]


def test_version(program):
    assert program("--version").stdout == f"seatrial {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["run"], ["run", "good.yaml", "--jobs", "0"], ["check", "--what", "x"]]
)
def test_a_mistake_on_the_command_line_is_bad_input(program, arguments):
    done = program(*arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_unexpected_exceptions_are_one_line(program):
    code = (
        "from runner.cli import files, main\n"
        "import runner.scenario\n"
        "def broken(*a, **k): raise RuntimeError('over\\x1b[2Jboard')\n"
        "runner.scenario.load = broken\n"
        "main.main(['check', 'good.yaml'])"
    )
    command = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    quiet = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert quiet.returncode == 4
    assert quiet.stderr == (
        "seatrial: RuntimeError: over[2Jboard (this should not happen; SEATRIAL_DEBUG=1 shows where)\n"
    )
    loud = subprocess.run(
        command, capture_output=True, text=True, env={**env, "SEATRIAL_DEBUG": "1"}, check=False
    )
    assert loud.returncode == 4
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize("arguments", [("explain",), ("schema",), ("--help",)])
def test_a_reader_that_goes_away_is_no_error(program, folder, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    child = subprocess.run(
        [sys.executable, "-m", "runner.cli.main", *arguments],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    os.close(writing)
    assert child.stderr == ""


def command_line(*arguments):
    return [sys.executable, "-m", "runner.cli.main", *arguments]


def test_closed_standard_streams_are_no_error(program, folder):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    closing = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    assert subprocess.run([*closing, *command_line("explain")], env=env, check=False).returncode == 0
    assert (
        subprocess.run([*closing, *command_line("explain", "nosuch")], env=env, check=False).returncode == 2
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_an_output_that_cannot_be_written_is_said_in_one_line(program, folder):
    with open("/dev/full", "w") as full:
        child = subprocess.run(
            command_line("explain"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert child.stderr == "seatrial: standard output cannot be written: No space left on device\n"
    assert child.returncode == 4


def test_order_of_exit_codes():
    assert console.worst([0, 3, 1, 4, 5]) == 5
    assert console.worst([0, 3, 1, 4]) == 4
    assert console.worst([0, 3, 1]) == 1
    assert console.worst([0, 3]) == 3
    assert console.worst([0, 0]) == 0
    assert console.worst([2, 2]) == 2
    assert console.worst([2, 0]) == 4
    assert console.worst([-9]) == 4


@pytest.mark.parametrize(
    ("environment", "wanted", "coloured"),
    [({}, True, True), ({"NO_COLOR": "1"}, True, False), ({"TERM": "dumb"}, True, False), ({}, False, False)],
)
def test_colours(monkeypatch, environment, wanted, coloured):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    class Terminal:
        def isatty(self):
            return True

    assert console.paint(Terminal(), wanted=wanted).on is coloured


def test_no_colours_off_a_terminal(call):
    assert "\x1b" not in call("explain").output
