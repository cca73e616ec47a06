"""Commands run in this process with an engine of the test's own, or as programs of their own."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from good_file import GOOD, ROOT
from typer.testing import CliRunner

from runner.cli import trial
from runner.cli.main import app


def verdict_of(word, code, *, seed=7, recovery=1.0):
    row = {"name": "after split", "phase": "after", "of": "split", "verdict": word, "reason": "because"}
    row |= {"within_s": 5.0, "recovery_s": recovery if word == "held" else None, "nodes": {}}
    if word == "inconclusive":
        row["verdict"] = "unknown"
    return {
        "seatrial": "0",
        "schema": 0,
        "run": "r",
        "scenario": {"name": "pair", "sha256": "0"},
        "seed": seed,
        "verdict": word,
        "exit_code": code,
        "reasons": [] if word == "held" else ["because"],
        "expectations": [row],
        "faults": [],
        "recovery": {},
        "versions": {},
    }


class FakeEngine:
    """Ends each run as it is told, and notes how it was asked.

    A run is ``(verdict, exit code)``, or ``(None, exception to raise)``.
    """

    def __init__(self):
        self.runs = []
        self.asked = []
        self.why = "plan"

    def __call__(self, scenario, options, listener):
        self.asked.append((scenario, options))
        word, code = self.runs[len(self.asked) - 1] if self.runs else ("held", 0)
        if isinstance(code, BaseException):
            raise code
        folder = options.out / f"run-{len(self.asked)}"
        folder.mkdir(parents=True)
        events = [
            {"t": 0.0, "event": "run", "schema": 0, "seed": 7, "scenario": {"name": "pair"}, "nodes": []},
            {"t": 1.0, "event": "steady", "zero": 1.0, "learnt": {}},
            {"t": 9.0, "event": "end", "why": self.why, "detail": "", "kept": False},
        ]
        for event in events:
            listener(event)
        (folder / "journal.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
        if word is not None:
            verdict = verdict_of(word, code, recovery=float(len(self.asked)))
            (folder / "verdict.json").write_text(json.dumps(verdict))
        return SimpleNamespace(exit_code=code, message="", directory=folder, problems=())


@pytest.fixture
def engine(monkeypatch):
    fake = FakeEngine()
    monkeypatch.setattr(trial, "engine", fake)
    return fake


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


@pytest.fixture
def call(folder):
    runner = CliRunner()

    def invoke(*arguments, **options):
        return runner.invoke(app, list(map(str, arguments)), **options)

    return invoke


@pytest.fixture
def program(folder):
    """Run ``seatrial`` as a program of its own."""

    def run(*arguments, **options):
        env = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
        command = [sys.executable, "-m", "runner.cli.main", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, env=env, timeout=60, check=False, **options
        )

    return run
