"""Programs whose clocks the tests bend, each in a network namespace of its own: a node."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.agent.clock import available
from faults.agent.clock.refusal import Gone
from faults.agent.clock.target import Target

SOURCES = Path(__file__).parent / "clock_targets"
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
_libc = ctypes.CDLL(None)

needs_clock = pytest.mark.skipif(not available()[0], reason=f"clocks cannot be bent here: {available()[1]}")


def true_ns() -> int:
    """CLOCK_REALTIME by system call, in ns."""
    pair = (ctypes.c_int64 * 2)()
    _libc.syscall(228, 0, ctypes.byref(pair))
    return pair[0] * SECOND + pair[1]


def compiled(folder: Path, name: str, *options: str, compiler: str = "gcc") -> str:
    """Path of the C program ``name`` of clock_targets, compiled into ``folder``."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    out = folder / f"{name}-{compiler}{''.join(options)}".replace("/", "_")
    subprocess.run(
        [compiler, "-O2", "-pthread", "-o", str(out), str(SOURCES / f"{name}.c"), *options], check=True
    )
    return str(out)


@dataclass
class Node:
    """A running program: its process, and the inode of its network namespace."""

    process: subprocess.Popen[bytes]
    inode: int
    held: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def say(self, text: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().decode().strip()

    def ask(self, text: str = "t") -> list[int]:
        """Send a command of ``shows`` and read the numbers of its answer."""
        self.say(text)
        return [int(word) for word in self.line().split()]

    def finish(self) -> str:
        """End of input; the last line that the program prints."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        rest = self.process.stdout.read().decode()
        assert self.process.wait(20) == 0, rest
        return rest.strip().splitlines()[-1]


def start(argv: Sequence[str], env: dict[str, str] | None = None) -> Node:
    """Run a program in a new network namespace (and user namespace, for those who are not root)."""
    how = ["unshare", "-n", "--"] if os.geteuid() == 0 else ["unshare", "-Urn", "--"]
    process = subprocess.Popen(
        [*how, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **(env or {})}
    )
    return Node(process, settled(process))


def settled(process: subprocess.Popen[bytes]) -> int:
    """Inode of the namespace, once ``unshare`` has become the program."""
    for _ in range(2000):
        try:
            inode = os.stat(f"/proc/{process.pid}/ns/net").st_ino
            name = Path(f"/proc/{process.pid}/comm").read_text().strip()
        except OSError:
            pytest.skip("network namespaces are not allowed here")
        if inode != os.stat("/proc/self/ns/net").st_ino and name != "unshare":
            return inode
        time.sleep(0.002)
    raise AssertionError("the program did not start")


def end(node: Node) -> None:
    """Kill what still runs and close the pipes."""
    if node.process.poll() is None:
        node.process.kill()
    node.process.wait()
    for pipe in (node.process.stdin, node.process.stdout):
        if pipe and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def members(inode: int) -> list[int]:
    """Processes in the network namespace."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}/ns/net").st_ino == inode:
                    found.append(int(name))
            except OSError:
                pass
    return found


def untouched(pid: int) -> bool:
    """Whether the process's vDSO is byte for byte the kernel's, untraced; or it has ended."""
    try:
        with Target(pid) as target:
            same = target.untouched()
        return same and "TracerPid:\t0" in Path(f"/proc/{pid}/status").read_text()
    except (Gone, FileNotFoundError, ProcessLookupError):
        return True


def waited(until: Iterator[bool], seconds: float = 10.0) -> None:
    """Wait for the condition to say True."""
    limit = time.monotonic() + seconds
    while not next(until):
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.005)
