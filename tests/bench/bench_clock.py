"""Bent clocks: time to install, cost of a call, error; beside the unbent program and libfaketime.

Run as ``python tests/bench/bench_clock.py``. Aims: install ≤ 2 ms, a call ≤ 5 ns dearer, error ≤ 100 ns.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / "agent"), str(Path(__file__).parents[2])]

from clock_lab import HOUR, compiled, end, start, true_ns  # noqa: E402

from faults.agent.clock import Keeper  # noqa: E402

DRIFT = {"rate_q32": round(200e-6 * 2**32), "ref_ns": true_ns()}
LINES = {
    "offset": {"offset_ns": HOUR},
    "offset and drift": {"offset_ns": HOUR} | DRIFT,
    "strobe": {"strobe_ns": HOUR, "strobe_half_ns": 10**12, "ref_ns": true_ns() - 1500 * 10**9},
}


def costs(folder: Path, keeper: Keeper) -> None:
    """Cost of a call and error, per kind of line, against the same process before."""
    node = start([compiled(folder, "costs")])
    try:
        cost, bias = node.ask()
        print(f"{'a call, unbent (baseline)':32} {cost / 1000:8.1f} ns")
        for name, line in LINES.items():
            keeper.set("a", node.inode, line)
            bent, offset = node.ask()
            text = f"{'a call, ' + name:32} {bent / 1000:8.1f} ns"
            text += f"  {(bent - cost) / 1000:+6.1f} ns  × {bent / cost:.2f}"
            if "drift" not in name:
                text += f"   error of the offset {offset - bias - HOUR:+d} ns"
            print(text)
        keeper.set("a", node.inode, None)
        again, _ = node.ask()
        print(f"{'a call, restored':32} {again / 1000:8.1f} ns  × {again / cost:.2f}")
    finally:
        end(node)


def libfaketime(folder: Path) -> None:
    """The same program under libfaketime, whose baseline is the unbent call above."""
    if shutil.which("faketime") is None:
        print("libfaketime: not compared, the program faketime is missing (apt-get install faketime)")
        return
    with subprocess.Popen(
        ["faketime", "-f", "+3600s", compiled(folder, "costs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        out, _ = process.communicate(b"t")
    cost, _ = map(int, out.split())
    print(f"{'a call, libfaketime +3600s':32} {cost / 1000:8.1f} ns")


def installs(keeper: Keeper, argv: list[str], what: str, rounds: int = 50) -> None:
    """Request to answer, with the search for processes and the measuring; and the keeper's part of it."""
    node = start(argv)
    try:
        time.sleep(0.3)
        whole: dict[str, list[float]] = {"install": [], "update": [], "restore": []}
        for _ in range(rounds):
            for step, line in (("install", HOUR), ("update", 0), ("restore", None)):
                begin = time.perf_counter()
                keeper.set("a", node.inode, None if line is None else {"offset_ns": line})
                whole[step].append(time.perf_counter() - begin)
        for step, took in whole.items():
            ranked = sorted(took)
            print(
                f"{step + ', ' + what:32} {statistics.median(took) * 1e3:8.2f} ms median"
                f"  {ranked[int(len(ranked) * 0.95)] * 1e3:6.2f} ms p95"
            )
    finally:
        end(node)


def execs(keeper: Keeper) -> None:
    """What following costs a shell that does nothing but run programs."""
    node = start(["sh", "-c", "while read x; do for i in $(seq 100); do /bin/true; done; echo done; done"])
    try:
        took = [1e9, 1e9]
        for _ in range(5):  # in turn, and the least of each: whatever else the machine does hits both
            for i, line in enumerate((None, {"offset_ns": HOUR})):
                keeper.set("a", node.inode, line)
                begin = time.perf_counter()
                node.say("x\n")
                node.line()
                took[i] = min(took[i], (time.perf_counter() - begin) / 100)
        print(f"{'fork + exec (baseline)':32} {took[0] * 1e3:8.2f} ms")
        print(f"{'fork + exec, followed':32} {took[1] * 1e3:8.2f} ms  × {took[1] / took[0]:.2f}")
    finally:
        keeper.set("a", node.inode, None)
        end(node)


def main() -> None:
    """All of it."""
    keeper = Keeper()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            costs(folder, keeper)
            libfaketime(folder)
            installs(keeper, ["sleep", "60"], "one thread asleep")
            installs(keeper, [compiled(folder, "hammer"), "8", "0"], "8 threads hammering")
            execs(keeper)
    finally:
        keeper.close()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
