"""Milliseconds to apply and revert half/half of N nodes, beside ``nft -f`` in every node, and mixed packets.

A packet is *mixed* if it still got through on one pair after one sent earlier on another was dropped. Usage:
bench_partition.py [N …] (default 100 1000). Needs root. Aimed at: 2 ms for 100, 10 ms for 1000, none mixed.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from faults.agent.cuts import Cuts
from faults.agent.lab import Lab, Place
from faults.agent.syscalls import CLONE_NEWNET, setns, unshare

ROUNDS = 15


def sockets(lab: Lab, places: list[Place]) -> list[socket.socket]:
    """A UDP socket in each of these places."""
    made = []
    for place in places:
        setns(place.namespace)
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.bind((place.address, 5))
        one.setblocking(False)
        made.append(one)
    setns(lab.switch)
    return made


def mixed_packets(lab: Lab, cut, heal) -> int:
    """Send in turn across the border while it closes; count what passes after the first was dropped."""
    half = len(lab.places) // 2
    count = min(half, 20)
    left, right = lab.places[:count], lab.places[half : half + count]
    senders, receivers = sockets(lab, left), sockets(lab, right)
    sent = 0
    done = threading.Event()

    def send() -> None:
        nonlocal sent
        while not done.is_set() or sent % count:
            i = sent % count
            senders[i].sendto(sent.to_bytes(4, "big"), (right[i].address, 5))
            sent += 1

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.02)
    cut()
    done.set()
    thread.join()
    time.sleep(0.05)
    arrived = set()
    for one in receivers:
        while True:
            try:
                arrived.add(int.from_bytes(one.recv(16), "big"))
            except BlockingIOError:
                break
    heal()
    for one in (*senders, *receivers):
        one.close()
    missing = sorted(set(range(sent)) - arrived)
    return sum(1 for n in arrived if missing and n > missing[0])


def ours(lab: Lab) -> tuple[float, float, int]:
    """Median milliseconds to apply and to revert, and mixed packets in all rounds."""
    names = {f"n{p.index}": p.address for p in lab.places}
    listed = list(names)
    halves = [listed[: len(listed) // 2], listed[len(listed) // 2 :]]
    cuts = Cuts()
    cuts.renew(600, time.monotonic())
    apply, revert = [], []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        cuts.commit(cuts.prepare(halves, [[0, 1], [1, 0]], names), time.monotonic())
        between = time.perf_counter()
        cuts.commit(cuts.prepare([], [], names), time.monotonic())
        apply.append(between - before)
        revert.append(time.perf_counter() - between)
    mixed = 0
    for _ in range(5):
        mixed += mixed_packets(
            lab,
            lambda: cuts.commit(cuts.prepare(halves, [[0, 1], [1, 0]], names), time.monotonic()),
            lambda: cuts.commit(cuts.prepare([], [], names), time.monotonic()),
        )
    cuts.close()
    return statistics.median(apply) * 1e3, statistics.median(revert) * 1e3, mixed


def per_node(lab: Lab) -> tuple[float, float]:
    """The same with the nft program in every node's own namespace, milliseconds."""
    half = len(lab.places) // 2
    sides = [", ".join(p.address for p in lab.places[:half]), ", ".join(p.address for p in lab.places[half:])]
    before = time.perf_counter()
    for i, place in enumerate(lab.places):
        rules = (
            "table ip bench { chain i { type filter hook input priority 0; "
            f"ip saddr {{ {sides[i < half]} }} drop; }}; }}\n"
        )
        nft(lab, place, rules)
    between = time.perf_counter()
    for place in lab.places:
        nft(lab, place, "delete table ip bench\n")
    return (between - before) * 1e3, (time.perf_counter() - between) * 1e3


def nft(lab: Lab, place: Place, text: str) -> None:
    """One run of ``nft -f`` in a place."""
    setns(place.namespace)
    try:
        subprocess.run(["nft", "-f", "-"], input=text.encode(), check=True)
    finally:
        setns(lab.switch)


def main() -> None:
    """Print one line for each size."""
    if os.geteuid() != 0:
        sys.exit("bench_partition: needs root")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for count in map(int, sys.argv[1:] or ("100", "1000")):
        unshare(CLONE_NEWNET)
        lab = Lab()
        lab.add(count)
        apply, revert, mixed = ours(lab)
        line = f"half/half of {count}: apply {apply:.2f} ms, revert {revert:.2f} ms, mixed packets {mixed}"
        if shutil.which("nft"):
            theirs = per_node(lab)
            line += (
                f"; nft -f in every node {theirs[0]:.0f}/{theirs[1]:.0f} ms, ratio {apply / theirs[0]:.4f}"
            )
        else:
            line += "; no nft here to compare with"
        print(line)
        lab.close()


if __name__ == "__main__":
    main()
