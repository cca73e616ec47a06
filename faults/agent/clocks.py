"""The clocks of nodes: which line holds for which node, and the keeper that makes processes see it.

The keeper is a process of its own (``faults.agent.clock``), since all ptrace must happen in one that does nothing else.
Where it does not come up every clock condition is a problem that says so; the rest of the agent works.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Protocol

from faults.agent.clockline import Line, compile_line, shown
from faults.agent.nodes import Emit, Node, Nodes


class Keeper(Protocol):
    """What ``faults.agent.clock.Keeper`` offers."""

    def set(self, node: str, netns_inode: int, line: Mapping[str, int] | None) -> dict[str, Any]:
        """Bring every process of the node under the line; None restores."""

    def adopt(self, node: str, pid: int, line: Mapping[str, int]) -> Any:
        """Trace a held process, to patch it at exec."""

    def measure(self, node: str) -> list[dict[str, Any]]:
        """What each process of the node sees now."""

    def close(self) -> None:
        """End the keeper."""


def start_keeper() -> tuple[Keeper | None, str]:
    """Fork the keeper; (None, why) where it cannot be had."""
    try:
        from faults.agent.clock import Keeper as Made

        return Made(), ""
    except Exception as problem:
        return None, f"clocks cannot be bent here: {problem}"


class Clocks:
    """The lines that hold now, by node."""

    def __init__(self, keeper: Keeper | None, why_not: str, emit: Emit) -> None:
        self._keeper = keeper
        self._why_not = why_not
        self._emit = emit
        self._conditions: dict[str, Mapping[str, Any]] = {}
        self._lines: dict[str, Line] = {}

    def holds(self, node: str) -> bool:
        """Whether new processes of this node must be held at exec."""
        return node in self._lines and self._keeper is not None

    def adopt(self, node: str, pid: int) -> None:
        """Have the keeper take a held process in hand."""
        if self._keeper is None:
            return
        try:
            self._keeper.adopt(node, pid, self._lines[node])
        except Exception as problem:
            self._emit(
                "problem", text=f"the clock of a new process of {node} was not bent: {problem}", node=node
            )

    def want(self, conditions: Mapping[str, Mapping[str, Any]], nodes: Nodes) -> list[str]:
        """Make these clock conditions hold (nodes not named: none); returns the problems in words."""
        problems: list[str] = []
        ahead = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        for name, node in nodes.all.items():
            new = conditions.get(name)
            if new == self._conditions.get(name):
                continue
            try:
                line = compile_line(new, ahead) if new else None
                self._set(node, line, new)
            except Exception as problem:
                problems.append(f"the clock of {name}: {problem}")
                continue
            if new:
                self._conditions[name] = new
            else:
                self._conditions.pop(name, None)
        return problems

    def _set(self, node: Node, line: Line | None, condition: Mapping[str, Any] | None) -> None:
        if self._keeper is None:
            raise RuntimeError(self._why_not)
        if line is None and node.name not in self._lines:
            return
        if line is not None:
            self._lines[node.name] = line
        result = self._keeper.set(node.name, node.place.inode, line)
        if line is None:
            del self._lines[node.name]
        self._report(node, line, result)

    def _report(self, node: Node, line: Line | None, result: Mapping[str, Any]) -> None:
        assert self._keeper is not None
        problems = [str(p) for p in result.get("problems") or ()]
        measured = self._keeper.measure(node.name)
        seen_at = time.clock_gettime_ns(time.CLOCK_REALTIME)
        self._emit(
            "clock",
            node=node.name,
            pids=[m["pid"] for m in measured],
            offset_ns=[[m["pid"], m.get("offset_ns")] for m in measured],
            expected_ns=shown(line, seen_at) - seen_at if line else 0,
            restored=line is None and not problems,
            problems=problems,
        )

    def measure(self, names: list[str]) -> dict[str, list[dict[str, Any]]]:
        """What each process of each node sees now; raises RuntimeError where there is no keeper."""
        if self._keeper is None:
            raise RuntimeError(self._why_not)
        return {name: self._keeper.measure(name) for name in names}

    def close(self) -> None:
        """End the keeper."""
        if self._keeper is not None:
            self._keeper.close()
