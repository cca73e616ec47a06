"""CPU of ``seatrial --help`` and ``seatrial check`` beside ``python -c pass`` in the same run: medians of 11.

Aimed at: help at most 0.2 s and check at most 0.4 s above the bare interpreter.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMES = 11
LIMITS_S = {"--help": 0.2, "check": 0.4}


def cpu_s(*arguments: str) -> float:
    """User and system time of one process and its children, in seconds."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, cwd=ROOT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{arguments} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print a line for each command: median CPU, above the baseline, ratio to it."""
    cli = ("-m", "runner.cli.main")
    commands = {
        "python -c pass": ("-c", "pass"),
        "--help": (*cli, "--help"),
        "check": (*cli, "check", "scenarios/devnet/first.yaml"),
    }
    samples: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(TIMES):  # in turn, so that the machine's mood hits all alike
        for name, arguments in commands.items():
            samples[name].append(cpu_s(*arguments))
    base = statistics.median(samples["python -c pass"])
    print(f"{'python -c pass':<16} {base * 1000:7.0f} ms")
    for name, limit in LIMITS_S.items():
        value = statistics.median(samples[name])
        word = "ok" if value - base <= limit else "OVER"
        print(
            f"{name:<16} {value * 1000:7.0f} ms  {(value - base) * 1000:+7.0f} ms  "
            f"x{value / base:.1f}  limit +{limit * 1000:.0f} ms  {word}"
        )


if __name__ == "__main__":
    main()
