"""The run directory: where everything of one run lies, made once, readable by anybody."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from runner.records.verdict import Verdict


class DirectoryError(Exception):
    """A run directory that cannot be made or written; the message is meant for people."""


class Resolved(Protocol):
    """What a scenario must have to be written down."""

    @property
    def resolved(self) -> Mapping[str, Any]:
        """The document with parameters and overrides put in."""


class RunDirectory:
    """The paths of one run, and the writing of its small files."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, out: Path | str, name: str, *, moment: time.struct_time | None = None) -> RunDirectory:
        """Make ``OUT/<time>-<name>``, with a number behind it where that exists. ``moment``: local time,
        default now.

        Raises DirectoryError where the folder cannot be made.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S", moment or time.localtime())
        base = f"{stamp}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', name).strip('-.')[:80] or 'run'}"
        folder = Path(out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(1, 1000):
                path = folder / (base if number == 1 else f"{base}-{number}")
                try:
                    path.mkdir()
                except FileExistsError:
                    if not path.exists() and not path.is_symlink():
                        raise
                    continue
                (path / "logs").mkdir()
                return cls(path)
        except OSError as e:
            where = e.filename or folder
            raise DirectoryError(f"{where}: no run directory can be made there: {e.strerror}") from None
        raise DirectoryError(f"{folder}: a thousand runs called {base} are there already")

    @property
    def journal(self) -> Path:
        """The events of the run, one a line."""
        return self.path / "journal.jsonl"

    @property
    def scenario(self) -> Path:
        """The scenario as it was resolved."""
        return self.path / "scenario.yaml"

    @property
    def plan(self) -> Path:
        """The plan in words and numbers."""
        return self.path / "plan.json"

    @property
    def verdict(self) -> Path:
        """The verdict for machines."""
        return self.path / "verdict.json"

    @property
    def junit(self) -> Path:
        """The verdict for build servers."""
        return self.path / "junit.xml"

    @property
    def logs(self) -> Path:
        """The folder of the nodes' logs."""
        return self.path / "logs"

    def write_scenario(self, scenario: Resolved) -> None:
        """Write the scenario as resolved."""
        import yaml

        text = yaml.safe_dump(_plain(scenario.resolved), sort_keys=False, allow_unicode=True, width=110)
        self.write(self.scenario, text)

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write the plan as plain data."""
        self.write(self.plan, json.dumps(plan, indent=2, ensure_ascii=False) + "\n")

    def write_verdict(self, verdict: Verdict) -> None:
        """Write the verdict; a reader sees the old one or the new one, never half of it."""
        self.write(self.verdict, verdict.to_text())

    def write_junit(self, text: str) -> None:
        """Write the JUnit document."""
        self.write(self.junit, text)

    def write(self, path: Path, text: str) -> None:
        """Write a file of the directory in one step. Raises DirectoryError."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
        except OSError as e:
            draft.unlink(missing_ok=True)
            raise DirectoryError(f"{path}: cannot be written: {e.strerror}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
