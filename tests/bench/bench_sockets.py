"""The observed peer graph of 100 nodes with 8 peers each: the eye beside one ``ss`` per node.

Usage: python tests/bench/bench_sockets.py [nodes]. Needs root and ``ss``. Aim: 100 nodes in 10 ms or less.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "agent"))

from eye_lab import EyeClient, Lab, address

REPEATS = 11


def ss_graph(lab: Lab) -> set[tuple[str, str]]:
    """Edges as one ``ss`` in every namespace tells them."""
    number = {address(i): i for i in range(len(lab.names))}
    found = set()
    for i in range(len(lab.names)):
        out = lab.inside(
            i,
            lambda: subprocess.run(
                ["ss", "-tniH", "state", "established"], capture_output=True, text=True, check=True
            ),
        )
        for line in out.stdout.splitlines():
            if not line.startswith(("\t", " ")):
                peer = number[line.split()[3].rpartition(":")[0]]
                found.add((lab.names[min(i, peer)], lab.names[max(i, peer)]))
    return found


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    lab = Lab(n)
    eye = EyeClient(lab)
    listening = [lab.inside(i, lambda: socket.create_server(("", 4000), backlog=64)) for i in range(n)]
    kept = []
    for i in range(n):
        for step in (1, 2, 3, 4):
            to = (i + step) % n
            kept.append(lab.inside(i, lambda to=to: socket.create_connection((address(to), 4000))))
            kept.append(listening[to].accept()[0])
    truth = {
        (lab.names[min(i, j)], lab.names[max(i, j)])
        for i in range(n)
        for j in ((i + s) % n for s in (1, 2, 3, 4))
    }
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        seen = eye.ask("sockets")
        took.append(time.perf_counter() - began)
        assert {(a, b) for a, b, _, _ in seen["edges"]} == truth
        assert not seen["half"]
    began = time.perf_counter()
    assert ss_graph(lab) == truth
    ss = time.perf_counter() - began
    ours = statistics.median(took)
    print(f"{n} nodes, 8 peers each, {len(truth)} edges, both exact")
    print(f"eye, request to reply   {1000 * ours:8.1f} ms (median of {REPEATS}, aim 10 ms at 100 nodes)")
    print(f"ss, one per namespace   {1000 * ss:8.1f} ms")
    print(f"ratio                   {ss / ours:8.1f}")
    for sock in kept + listening:
        sock.close()
    eye.close()
    lab.close()


if __name__ == "__main__":
    main()
