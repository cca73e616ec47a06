"""What runner and agent cost while they watch a hundred nodes twice a second, beside one busy core and
beside the nodes themselves.

Aimed at: at most 5 % of a core and 150 MB, the nodes' own processes left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODES = 100
WATCH_S = 20.0
TICK = os.sysconf("SC_CLK_TCK")
SCENARIO = f"""
seatrial: 1
name: watch
network:
  driver: local
  nodes: {{count: {NODES}, use: devnet, layer: 2s}}
timeline:
  - {{at: 60s, for: 5s, partition: halves}}
"""


def below(pid: int) -> list[int]:
    """The process and all its descendants."""
    out, queue = [], [pid]
    while queue:
        one = queue.pop()
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        out.append(one)
        queue += map(int, children)
    return out


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def pss_mb(pid: int) -> float:
    """Memory of a process, shared pages counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Start a trial of a hundred nodes, watch the watchers, end it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "watch.yaml"
        file.write_text(SCENARIO)
        words = [sys.executable, "-m", "runner.cli.main", "run", str(file), "--out", folder, "--quiet"]
        trial = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(8)
            everyone = below(trial.pid)
            nodes = {p for p in everyone if b"devnet.spawner" in Path(f"/proc/{p}/cmdline").read_bytes()}
            ours = [p for p in everyone if p not in nodes]
            began, before = time.monotonic(), {p: cpu_s(p) for p in everyone}
            time.sleep(WATCH_S)
            lasted = time.monotonic() - began
            used = {p: (cpu_s(p) - before[p]) / lasted for p in everyone}
            watchers, watched = sum(used[p] for p in ours), sum(used[p] for p in nodes)
            memory = sum(pss_mb(p) for p in ours)
            print(
                f"{NODES} nodes at 2 Hz: runner and agent {watchers:.1%} of a core, {memory:.0f} MB in "
                f"{len(ours)} processes; the nodes themselves {watched:.1%}, ratio {watchers / watched:.2f}"
            )
            for pid in sorted(ours, key=lambda p: -used[p])[:4]:
                command = Path(f"/proc/{pid}/cmdline").read_bytes()[-60:]
                print(f"  {used[pid]:6.2%}  {pss_mb(pid):5.0f} MB  {command!r}")
        finally:
            trial.terminate()
            trial.wait(30)


if __name__ == "__main__":
    main()
