"""The eye.

The process that observes nodes — heartbeats, sweeps, socket tables, answers, log lines — and changes nothing.
The agent forks it and talks to it over one end of a unix stream socket pair, JSON lines both ways; the end of
the stream ends it. It runs in one thread, so that what it sees has one order. Standard library only, and
nothing of the rest of the agent.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import traceback

from faults.agent.eye.loop import Loop
from faults.agent.eye.requests import Eye

__all__ = ["serve", "start"]


def start(connection: socket.socket) -> int:
    """Fork the eye and return its pid; ``connection`` is its end, closed here in the calling process.

    The new process keeps none of the caller's other descriptors, except standard error, and none of its
    signal handlers.
    """
    parent = os.pidfd_open(os.getpid())
    pid = os.fork()
    if pid:
        os.close(parent)
        connection.close()
        return pid
    code = 1
    try:
        _settle_in({connection.fileno(), parent})
        serve(connection, parent)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def serve(connection: socket.socket, parent: int | None = None) -> None:
    """Observe until the stream ends. The calling thread visits other network namespaces meanwhile.

    ``parent``, a pidfd, ends it too: a process that was forked without need may still hold the other end of
    the stream.
    """
    loop = Loop()
    eye = Eye(loop, connection)
    if parent is not None:
        loop.watch(parent, select.EPOLLIN, lambda _: loop.stop())
    try:
        loop.run()
    finally:
        eye.close()
        connection.close()
        loop.close()


def _settle_in(kept: set[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(null, standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(
        OSError
    ):  # heartbeats must leave in time on a busy machine; not ours to ask everywhere
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write("seatrial-eye")
    gc.freeze()
