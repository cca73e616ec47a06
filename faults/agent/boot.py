"""From the runner's child to an agent that nothing can outlive.

Three processes. The *outer* one is what the runner started: it makes the namespaces and waits. *Pid 1* of the
new pid namespace only reaps, and ends when the agent ends, when the outer process ends, or when the runner's
end of the input is closed and the agent does not notice; the kernel then ends every process of the namespace,
and with the last of them go network namespaces, links and rules. The *agent* itself is pid 1's child in a
session of its own, so that Ctrl-C reaches the runner alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from faults.agent import syscalls
from faults.agent.syscalls import CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER

FORBIDDEN = 69
"""Exit code where this machine does not allow the namespaces that a lab needs."""

_ALL = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET
_PATIENCE_S = 1.0
"""How long after the end of the input pid 1 waits for the agent to end by itself."""


class Forbidden(Exception):
    """The machine does not let us make namespaces; the message says why and what to do."""


def boot(agent: Callable[[bool], int]) -> NoReturn:
    """Run ``agent(rootless)`` inside new namespaces and exit with its result.

    Exits with ``FORBIDDEN`` and one line on standard error where the machine does not allow it.
    """
    with contextlib.suppress(OSError):
        os.setsid()
    try:
        rootless = _enter()
    except Forbidden as why:
        sys.stderr.write(f"seatrial: {why}\n")
        sys.stderr.flush()
        os._exit(FORBIDDEN)
    alive, ours = os.pipe2(os.O_CLOEXEC)
    first = os.fork()
    if first == 0:
        os.close(ours)
        _first_process(agent, rootless, alive)
    os.close(alive)
    # Only pid 1 and the agent may hold the runner's pipes: their end is how the runner learns of ours.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os._exit(_code(os.waitpid(first, 0)[1]))


def _enter() -> bool:
    """Make the namespaces; returns whether a user namespace was needed. Raises Forbidden."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            syscalls.unshare(_ALL)
            return False
        except OSError as problem:
            if problem.errno != errno.EPERM:
                raise Forbidden(remedy(problem)) from None
    try:
        syscalls.unshare(CLONE_NEWUSER | _ALL)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as problem:
        raise Forbidden(remedy(problem)) from None
    return True


def remedy(problem: OSError) -> str:
    """Why namespaces are refused on this machine, in one line with what to do about it."""
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids ordinary users to make user namespaces; run as root, or: "
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return (
            "this kernel forbids ordinary users to make user namespaces; run as root, or: "
            "sudo sysctl kernel.unprivileged_userns_clone=1"
        )
    if problem.errno == errno.ENOSPC or _read("/proc/sys/user/max_user_namespaces") == "0":
        return (
            "no more user namespaces are allowed here; run as root, or: "
            "sudo sysctl user.max_user_namespaces=10000"
        )
    return (
        f"namespaces cannot be made here ({problem.strerror or problem}); in a container start it with "
        "--privileged (or --cap-add SYS_ADMIN --security-opt seccomp=unconfined), elsewhere run as root"
    )


def _first_process(agent: Callable[[bool], int], rootless: bool, alive: int) -> NoReturn:
    """Pid 1.

    Start the agent, reap, and end as soon as the agent, the outer process or the runner has ended.
    """
    syscalls.die_with_parent(signal.SIGKILL)
    hung_up = select.poll()
    hung_up.register(alive, 0)
    if hung_up.poll(0):
        os._exit(1)  # the outer process was gone before the kernel knew what to do about it
    try:
        syscalls.mount("none", "/", "none", syscalls.MS_REC | syscalls.MS_PRIVATE)
        quiet = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", quiet)
    except OSError as problem:
        sys.stderr.write(f"seatrial: {remedy(problem)}\n")
        os._exit(FORBIDDEN)
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(wake)
        os.close(woken)
        os.setsid()
        os._exit(agent(rootless))
    os._exit(_reap(child, wake, alive))


def _reap(child: int, wake: int, alive: int) -> int:
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(alive, 0)
    poll.register(0, select.POLLRDHUP)
    deadline_ms: int | None = None
    while True:
        ready = dict(poll.poll(deadline_ms))
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if pid == child:
                return _code(status)
            if pid == 0:
                break
        if alive in ready or (not ready and deadline_ms is not None):
            return 1
        if 0 in ready:
            poll.unregister(0)
            deadline_ms = int(_PATIENCE_S * 1000)
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _write(path: str, value: str) -> None:
    handle = os.open(path, os.O_WRONLY)
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
