"""How late 100 changes in 10 s begin while the runner is busy: sent ahead, beside each sent when due.

Usage: bench_start.py. Aimed at: p99 at most 5 ms, and no drift (the last as punctual as the first).
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "agent"))

from agent_client import Agent, node

COUNT, SPAN_S = 100, 10.0
NAMES = [f"n{i}" for i in range(100)]


def state(i: int) -> dict[str, Any]:
    """Every other change cuts the halves."""
    if i % 2:
        return {}
    return {"cuts": {"blocks": [NAMES[:50], NAMES[50:]], "cut": [[0, 1], [1, 0]]}}


def busy(stop: threading.Event) -> None:
    """Hold the interpreter's lock as a runner at work does."""
    while not stop.is_set():
        sum(range(20000))


def ahead(agent: Agent) -> list[float]:
    """All changes sent at once."""
    start = agent.ask("hello")["now"] + 0.5
    moments = [start + SPAN_S * i / COUNT for i in range(COUNT)]
    changes = [{"at": at, "key": str(i), "state": state(i)} for i, at in enumerate(moments)]
    agent.ask("reconcile", generation=1, changes=changes)
    return [
        began["at"] - began["asked"] for began in (agent.event("began", key=str(i)) for i in range(COUNT))
    ]


def when_due(agent: Agent) -> list[float]:
    """Each change sent by the runner at its moment."""
    offset = agent.ask("hello")["now"] - time.monotonic()
    start = time.monotonic() + 0.5
    late = []
    for i in range(COUNT):
        at = start + SPAN_S * i / COUNT
        time.sleep(max(0.0, at - time.monotonic()))
        agent.ask("reconcile", generation=i + 2, changes=[{"at": 0, "key": f"d{i}", "state": state(i)}])
        late.append(agent.event("began", key=f"d{i}")["at"] - offset - at)
    return late


def told(late: list[float]) -> tuple[float, str]:
    """p99 in ms, and a line of figures."""
    ms = sorted(x * 1e3 for x in late)
    p99 = ms[int(len(ms) * 0.99) - 1]
    drift = (statistics.median(late[-20:]) - statistics.median(late[:20])) * 1e3
    return (
        p99,
        f"median {statistics.median(ms):.2f}, p99 {p99:.2f}, worst {ms[-1]:.2f} ms, drift {drift:+.2f} ms",
    )


def main() -> None:
    """Print both ways and their ratio."""
    with Agent() as agent:
        agent.ask("create", nodes=[node(n) for n in NAMES])
        agent.ask("renew", lease=600)
        stop = threading.Event()
        threads = [threading.Thread(target=busy, args=(stop,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            ours, line = told(ahead(agent))
            print(f"sent ahead: {line}")
            theirs, line = told(when_due(agent))
            print(f"sent when due: {line}; ratio of p99 {ours / theirs:.3f}")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        agent.ask("bye")


if __name__ == "__main__":
    main()
