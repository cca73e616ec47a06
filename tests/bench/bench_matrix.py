"""Who reaches whom among 100 nodes: the eye's sweep of one-way datagrams beside a TCP connect for every pair.

Usage: python tests/bench/bench_matrix.py [nodes]. Needs root. Aim: 100 nodes, 9900
ordered pairs, in 0.2 s or less. With cuts both wait for what does not come: a sweep 0.25 s (or as asked),
a connect its time-out.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import statistics
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "agent"))

from eye_lab import EyeClient, Lab, address

REPEATS = 7
CONNECT_TIMEOUT_S = 0.3
ABORT = struct.pack("ii", 1, 0)


def connects(lab: Lab, listening: list[socket.socket]) -> set[tuple[int, int]]:
    """Ordered pairs of which the connect failed: all connects of a node at once, in one epoll."""
    n, missing = len(lab.names), set()

    def one(i: int) -> None:
        poll, waiting = select.epoll(), {}
        for j in range(n):
            if i != j:
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
                assert sock.connect_ex((address(j), 4000)) in (0, errno.EINPROGRESS)
                poll.register(sock.fileno(), select.EPOLLOUT)
                waiting[sock.fileno()] = sock, j
        end = time.monotonic() + CONNECT_TIMEOUT_S
        while waiting and (left := end - time.monotonic()) > 0:
            for fd, events in poll.poll(left):
                sock, j = waiting.pop(fd)
                if events & select.EPOLLERR:
                    missing.add((i, j))
                sock.close()
        for sock, j in waiting.values():
            missing.add((i, j))
            sock.close()
        poll.close()

    for i in range(n):
        lab.inside(i, lambda i=i: one(i))
    for sock in listening:
        try:
            while True:
                sock.accept()[0].close()
        except BlockingIOError:
            continue
    return missing


def sweeps(eye: EyeClient, names: list[str], cut: set[tuple[int, int]], **more: float) -> float:
    """Median seconds from request to reply; every one must be exact."""
    took = []
    expected = {(names[a], names[b]) for a, b in cut}
    for _ in range(REPEATS):
        began = time.perf_counter()
        reach = eye.ask("sweep", **more)["reach"]
        took.append(time.perf_counter() - began)
        blocks = reach["blocks"]
        seen = {(a, b) for i, j in reach["cut"] for a in blocks[i] for b in blocks[j] if a != b}
        assert seen == expected, f"{len(seen ^ expected)} pairs wrong"
    return statistics.median(took)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    lab = Lab(n)
    eye = EyeClient(lab)
    listening = [lab.inside(i, lambda: socket.create_server(("", 4000), backlog=4096)) for i in range(n)]
    for sock in listening:
        sock.setblocking(False)
    healthy = sweeps(eye, lab.names, set())
    began = time.perf_counter()
    assert not connects(lab, listening)
    tcp = time.perf_counter() - began
    pairs = [(a, b) for a in range(n) for b in range(n) if a != b]
    cut = set(random.Random(1).sample(pairs, min(50, len(pairs))))
    lab.cut(*cut)
    with_cuts = sweeps(eye, lab.names, cut)
    shorter = sweeps(eye, lab.names, cut, wait=0.1)
    began = time.perf_counter()
    blamed = connects(lab, listening)
    tcp_with_cuts = time.perf_counter() - began
    print(f"{n} nodes, {len(pairs)} ordered pairs; sweeps exact in all {3 * REPEATS} runs")
    print(f"sweep, healthy                 {1000 * healthy:8.1f} ms (aim 200 ms at 100 nodes)")
    print(f"TCP connects, healthy          {1000 * tcp:8.1f} ms, ratio {tcp / healthy:.1f}")
    print(f"sweep, {len(cut)} one-way cuts         {1000 * with_cuts:8.1f} ms (0.25 s of it waiting)")
    print(f"the same, waiting 0.1 s        {1000 * shorter:8.1f} ms")
    print(
        f"TCP connects, the same cuts    {1000 * tcp_with_cuts:8.1f} ms, ratio "
        f"{tcp_with_cuts / with_cuts:.1f}, and {len(blamed - cut)} pairs blamed that are not cut"
    )
    for sock in listening:
        sock.close()
    eye.close()
    lab.close()


if __name__ == "__main__":
    main()
