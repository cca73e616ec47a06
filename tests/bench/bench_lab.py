"""Seconds until a lab of N namespaces stands, beside ``ip -batch`` making the same links and routes.

Usage: bench_lab.py [N …]   (default 100 1000). Needs root. Aimed at: 0.15 s for 100, 1.6 s for 1000.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "agent"))

from agent_client import Agent, node

from faults.agent.lab import address


def ours(count: int) -> float:
    """The whole of ``create``, as the runner sees it."""
    with Agent() as agent:
        agent.ask("hello")
        nodes = [node(f"n{i}") for i in range(count)]
        before = time.perf_counter()
        agent.ask("create", nodes=nodes, patience=60)
        return time.perf_counter() - before


def by_ip(count: int) -> float:
    """The same with named namespaces and three batches of the ip program, in a namespace of its own."""
    names = [f"stbench{i}" for i in range(1, count + 1)]
    first, inside, last = [], {}, []
    for i, name in enumerate(names, 1):
        hardware = f"02:00:00:00:{i >> 8:02x}:{i & 255:02x}"
        first += [
            f"link add v{i} type veth peer name eth0 address {hardware} netns {name}",
            f"link set v{i} address 02:fe:00:00:00:01 up",
        ]
        inside[name] = [
            "link set lo up",
            "link set eth0 up",
            f"addr add {address(i)}/32 dev eth0",
            "neigh add 169.254.1.1 lladdr 02:fe:00:00:00:01 dev eth0 nud permanent",
            "route add 169.254.1.1 dev eth0 scope link",
            "route add default via 169.254.1.1",
        ]
        last += [
            f"route add {address(i)}/32 dev v{i} scope link",
            f"neigh add {address(i)} lladdr {hardware} dev v{i} nud permanent",
        ]
    subprocess.run(["ip", "netns", "add", "stbenchswitch"], check=True)
    try:
        before = time.perf_counter()
        batch([f"netns add {n}" for n in names])
        batch(first, "stbenchswitch")
        for name, lines in inside.items():
            batch(lines, name)
        batch(last, "stbenchswitch")
        return time.perf_counter() - before
    finally:
        every = "".join(f"netns del {n}\n" for n in [*names, "stbenchswitch"])
        subprocess.run(["ip", "-force", "-batch", "-"], input=every.encode(), check=False)


def batch(lines: list[str], namespace: str | None = None) -> None:
    """One run of ``ip -batch``, inside a namespace or here."""
    command = ["ip", *(["-n", namespace] if namespace else []), "-batch", "-"]
    subprocess.run(command, input="\n".join(lines).encode(), check=True)


def main() -> None:
    """Print one line for each size."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        sys.exit("bench_lab: needs root and the program ip")
    for count in map(int, sys.argv[1:] or ("100", "1000")):
        rounds = 5 if count <= 200 else 2
        mine = statistics.median(ours(count) for _ in range(rounds))
        theirs = statistics.median(by_ip(count) for _ in range(1 if count > 200 else 3))
        print(f"lab of {count}: {mine:.3f} s; ip -batch {theirs:.3f} s; ratio {mine / theirs:.3f}")


if __name__ == "__main__":
    main()
