"""What this machine's kernel really lets a local lab do, found out by doing it in throw-away namespaces.

Run as a program (``python -m runner.cli.probes``) it enters the same namespaces as the local agent, tries
each thing once and writes one JSON object: ``{probe: {"ok": bool, "detail": text}}``. Where even the
namespaces are refused it exits with the agent's code for that and one line on standard error. Nothing here
decides what a refusal means: that is ``doctor``.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

from faults.agent import netlink, nft
from faults.agent.boot import boot
from faults.agent.lab import Lab

RTM_NEWQDISC = 36
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
Result = dict[str, "bool | str"]


def probe_all(rootless: bool) -> int:
    """Try everything and write the results; the agent's place in ``boot``."""
    results = {
        "namespaces": {"ok": True, "detail": "as an ordinary user" if rootless else "as root"},
        "links": _try(_links),
        "nftables": _try(_nftables),
        "ptrace": _try(_ptrace),
        "vdso": _try(_vdso),
        "netem": _try(_netem),
        "nfqueue": _try(_nfqueue),
    }
    sys.stdout.write(json.dumps(results) + "\n")
    sys.stdout.flush()
    return 0


def _try(probe: Callable[[], str]) -> Result:
    try:
        return {"ok": True, "detail": probe()}
    except (OSError, ValueError) as error:
        return {
            "ok": False,
            "detail": str(error.strerror if isinstance(error, OSError) and error.strerror else error),
        }


def _links() -> str:
    lab = Lab()
    try:
        places = lab.add(2)
        return f"{len(places)} nodes joined by a routed switch"
    finally:
        lab.close()


def _nftables() -> str:
    with_table = nft.Nft()
    try:
        with_table.commit([nft.table("probe"), nft.forward_chain("probe", "forward")])
        with_table.commit([nft.delete_table("probe")])
    finally:
        with_table.close()
    return "a table with a forward chain"


def _ptrace() -> str:
    with _Target() as target:
        _in_child(lambda: _seize(target.pid))
    return "a process that is no child of the tracer"


def _vdso() -> str:
    if platform.machine() != "x86_64":
        raise ValueError(f"clocks are shifted on x86-64 only, this is {platform.machine()}")
    with _Target() as target:
        _in_child(lambda: _rewrite_vdso(target.pid))
    return "written in a running process"


def _netem() -> str:
    options = struct.pack("=6I", 0, 1000, 0, 0, 0, 0)
    _qdisc("netem", options)
    return "delay, jitter, reordering"


def _nfqueue() -> str:
    number = netlink.attr(1, struct.pack(">H", 0))
    native = netlink.nest(1, netlink.attr(1, b"queue\0"), netlink.nest(2, number))
    parts = (netlink.attr(1, b"NFQUEUE\0"), netlink.attr(2, struct.pack(">I", 0)), netlink.attr(3, bytes(8)))
    compatible = netlink.nest(1, netlink.attr(1, b"target\0"), netlink.nest(2, *parts))
    problem: OSError | None = None
    for name, expression in (("native", native), ("by the NFQUEUE target", compatible)):
        with_table = nft.Nft()
        try:
            with_table.commit(
                [nft.table("probe"), nft.forward_chain("probe", "f"), nft.rule("probe", "f", expression)]
            )
            with_table.commit([nft.delete_table("probe")])
            return name
        except OSError as error:
            problem = error
        finally:
            with_table.close()
    assert problem is not None
    raise problem


def _qdisc(kind: str, options: bytes) -> None:
    """Put a queueing discipline on the loopback of this (throw-away) namespace."""
    root = 0xFFFFFFFF
    body = struct.pack("=BxxxiIII", 0, 1, 0, root, 0) + netlink.attr(1, netlink.text(kind))
    link = netlink.Netlink(buffer=1 << 16)
    try:
        link.transact([netlink.message(RTM_NEWQDISC, netlink.NEW, body + netlink.attr(2, options))])
    finally:
        link.close()


class _Target:
    """A process that sleeps until it is let go."""

    def __enter__(self) -> _Target:
        self.pid = os.fork()
        if self.pid == 0:
            while True:
                signal.pause()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # pid 1 of the namespace may have reaped it
            os.waitpid(self.pid, 0)


def _in_child(work: Callable[[], None]) -> None:
    """Do it in a process of its own, as the keeper does; raises OSError with the number it failed with."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            work()
        except OSError as error:
            code = error.errno or 255
        except ValueError:
            code = 255
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise (
            OSError(code, os.strerror(code)) if 0 < code < 255 else ValueError("it was not what was written")
        )


def _seize(pid: int) -> None:
    _trace(PTRACE_SEIZE, pid)
    _trace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WALL)
    _trace(PTRACE_DETACH, pid)


def _rewrite_vdso(pid: int) -> None:
    """Write the last byte of the stopped target's vDSO (padding) through /proc/PID/mem, and read it back."""
    _trace(PTRACE_SEIZE, pid)
    _trace(PTRACE_INTERRUPT, pid)
    os.waitpid(pid, WALL)
    with open(f"/proc/{pid}/maps") as maps:
        span = next((line.split()[0] for line in maps if line.rstrip().endswith("[vdso]")), None)
    if span is None:
        raise ValueError("no vDSO")
    last = int(span.split("-")[1], 16) - 1
    handle = os.open(f"/proc/{pid}/mem", os.O_RDWR)
    os.pwrite(handle, b"\x5a", last)
    if os.pread(handle, 1, last) != b"\x5a":
        raise ValueError("not written")
    _trace(PTRACE_DETACH, pid)


def _trace(request: int, pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(request, pid, None, None) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    boot(probe_all)
