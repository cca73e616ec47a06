"""The agent's process.

Its children first, then its limits, then the server. What is forked early carries nothing of what comes
later.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import traceback

from faults.agent.clocks import start_keeper
from faults.agent.spawn import Limits

_NICE = -10
"""Changes begin at their moment on a machine whose cores are busy with nodes."""
_BROKEN = 70


def serve(rootless: bool) -> int:
    """Run the agent to its end; returns its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keeper, no_keeper = start_keeper()
    eye, no_eye = _start_eye()
    _raise_limits()
    from faults.agent.server import Server

    try:
        server = Server(rootless=rootless, keeper=keeper, no_keeper=no_keeper, eye=eye, no_eye=no_eye)
        gc.collect()
        gc.freeze()
        server.run()
    except Exception:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
        return _BROKEN
    return 0


def _start_eye() -> tuple[int | None, str]:
    try:
        from faults.agent import eye
    except ImportError as problem:
        return None, str(problem)
    ours, theirs = socket.socketpair()
    try:
        eye.start(theirs)
    except Exception as problem:
        ours.close()
        return None, str(problem)
    finally:
        theirs.close()
    return ours.detach(), ""


def _raise_limits() -> None:
    """As many open files as allowed (a namespace is one), and a start ahead of the nodes.

    Neither is inherited by them.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    Limits.files = (soft, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with contextlib.suppress(OSError):
        before = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, min(before, _NICE))
        Limits.nice = before
