"""Who belongs to a node: every process whose network namespace is the node's, double-forked ones included.

Left out are our own processes (the session of the agent: the eye visits the nodes' namespaces) and what was
started beside the nodes by hand.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import NamedTuple


class Member(NamedTuple):
    """A process: ``state`` is the letter of proc(5), R S D T t …"""

    pid: int
    state: str
    comm: str

    @property
    def stopped(self) -> bool:
        """Whether it does not run: stopped by a signal, or by a tracer."""
        return self.state in "Tt"


class Foreign:
    """Sessions whose processes are never members: the agent's, and those of programs started by hand."""

    def __init__(self) -> None:
        self.sessions = {os.getsid(0)}


def lives(pid: int) -> bool:
    """Whether a process has not ended yet; one that only waits to be reaped has."""
    try:
        os.stat(f"/proc/{pid}/ns/net")
    except OSError:
        return False
    return True


def members(inodes: Collection[int], foreign: Foreign) -> dict[int, list[Member]]:
    """The live processes in each of the given network namespaces (by inode), in one pass over /proc."""
    found: dict[int, list[Member]] = {inode: [] for inode in inodes}
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            inode = os.stat(f"/proc/{name}/ns/net").st_ino  # a zombie has none: it is gone already
            if inode not in found or os.getsid(int(name)) in foreign.sessions:
                continue
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                stat = file.read(512)
        except OSError:
            continue
        end = stat.rindex(b")")
        comm = stat[stat.index(b"(") + 1 : end].decode(errors="replace")
        state = chr(stat[end + 2])
        if state not in "ZX":
            found[inode].append(Member(int(name), state, comm))
    return found
