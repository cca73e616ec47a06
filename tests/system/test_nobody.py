"""As somebody without rights and without a home, from files that can only be read."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import public
from tests.system.conftest import ROOT, Ended, host_state

pytestmark = [pytest.mark.system, pytest.mark.lab, pytest.mark.root]


def can_run(path: str) -> bool:
    """Whether nobody can execute it."""
    script = "import os, sys; os.setuid(65534); sys.exit(not os.access(sys.argv[1], os.X_OK))"
    return subprocess.run([sys.executable, "-c", script, path], check=False).returncode == 0


@pytest.fixture(scope="module")
def interpreter() -> list[str]:
    """A Python of this version that nobody can start, with the packages that are installed here."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for path in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if Path(path).exists() and can_run(os.path.realpath(path)):
            return [path]
    pytest.skip(f"user nobody can start no {version} here")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of nobody's own in a place that it can reach."""
    path = Path("/tmp") / f"seatrial-nobody-{os.getpid()}-{time.monotonic_ns()}"
    path.mkdir(mode=0o755)
    shutil.chown(path, "nobody")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def checkout(place: Path) -> Path:
    """A copy of the tree that root owns and nobody may only read."""
    copy = place / "checkout"
    copy.mkdir(mode=0o755)
    for part in ("runner", "faults", "scenarios"):
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX,a-w", str(copy)], check=True)
    return copy


def as_nobody(interpreter: list[str], checkout: Path, *words: str) -> subprocess.Popen[str]:
    nobody = pwd.getpwnam("nobody")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{checkout}:{public.packages()}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(
        [*interpreter, "-m", "runner.cli.main", *words],
        cwd=checkout,
        env=environment,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def end(process: subprocess.Popen[str], within_s: float = 90) -> Ended:
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=15)
    return Ended(process.returncode, out, err)


def test_the_first_trial_holds_as_nobody_from_a_checkout_that_is_read_only(interpreter, checkout, place):
    before = host_state()
    out = place / "runs"
    words = ["run", "scenarios/devnet/first.yaml", "--json", "--out", str(out)]
    ended = end(as_nobody(interpreter, checkout, *words))
    assert ended.code == 0, str(ended)
    verdict = ended.verdict
    assert {f["kind"] for f in verdict["faults"]} == {"partition", "kill", "clock"}
    assert all(f["effective"] is True and f["healed"] is True for f in verdict["faults"])
    assert host_state() == before
    assert (next(out.iterdir()) / "verdict.json").stat().st_uid == pwd.getpwnam("nobody").pw_uid


def test_programs_of_ones_own_run_as_nobody(interpreter, checkout, place):
    scenario = place / "own.yaml"
    scenario.write_text(
        "seatrial: 1\nname: own\nseed: 1\nnetwork:\n  driver: local\n"
        '  nodes: {names: s, count: 3, run: [sh, -c, "while :; do date +%s; sleep 0.2; done"]}\n'
        "timeline:\n  - {at: 500ms, for: 2s, clock: {of: s1, offset: +1h}, name: ahead}\n"
        "  - {at: 500ms, for: 1s, pause: s2, name: asleep}\n  - {at: 500ms, for: 1s, kill: s3, name: gone}\n"
        "expect:\n  - {after: faults, within: 1s, hold: 500ms, that: up}\n"
    )
    ended = end(as_nobody(interpreter, checkout, "run", str(scenario), "--json", "--out", str(place / "o")))
    assert ended.code == 0, str(ended)


def test_a_folder_that_is_not_ones_own_is_an_error_and_no_traceback(interpreter, checkout, place):
    words = ["run", "scenarios/devnet/first.yaml", "--json"]
    ended = end(as_nobody(interpreter, checkout, *words))
    assert ended.code in (2, 4), str(ended)
    assert "Traceback" not in ended.err
    assert "runs" in ended.err


def test_a_checkout_uses_its_own_agent_and_no_other_that_is_installed(tmp_path):
    shutil.copytree(ROOT / "faults", tmp_path / "faults", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "faults/agent/boot.py").write_text("def boot(agent):\n    print('of this checkout')\n")
    words = [sys.executable, "-E", "-s", str(tmp_path / "faults/agent/__main__.py")]
    done = subprocess.run(
        words, text=True, capture_output=True, stdin=subprocess.DEVNULL, cwd="/", check=False
    )
    assert done.stdout == "of this checkout\n", done.stderr
