"""Starting a program: fork, enter its namespace, wait at the gate if held, exec. Only the mechanism."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from faults.agent.syscalls import setns


class Limits:
    """What the agent raised for itself and its children shall not inherit."""

    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    nice: int | None = None


class Child(NamedTuple):
    """A process on its way to exec.

    ``status`` becomes readable when it got there: end of file is success, text is what went wrong. Where it
    is held it goes on at the first byte written to ``gate`` and exits if that is closed.
    """

    pid: int
    pidfd: int
    status: int
    gate: int | None


class Stdio(NamedTuple):
    """Paths that become standard input, output and error; None is /dev/null. Output is appended to."""

    stdin: str | None = None
    stdout: str | None = None
    stderr: str | None = None


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str | None,
    stdio: Stdio | tuple[int, int],
    namespace: int | None,
    held: bool = False,
    keep: int | None = None,
) -> Child:
    """Fork a session leader that runs ``argv``. Raises OSError (fork).

    ``stdio`` may be two descriptors for the outputs. ``keep`` is a descriptor that the program inherits.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    waits, gate = os.pipe2(os.O_CLOEXEC) if held else (None, None)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        if gate is not None:
            os.close(gate)
        _become(argv, env, cwd, stdio, namespace, waits, keep, tell)
    os.close(tell)
    if waits is not None:
        os.close(waits)
    return Child(pid, os.pidfd_open(pid), told, gate)


def _become(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    stdio: Stdio | tuple[int, int],
    namespace: int | None,
    waits: int | None,
    keep: int | None,
    tell: int,
) -> NoReturn:
    what = "start"
    try:
        os.setsid()
        if namespace is not None:
            setns(namespace)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):  # Python ignores the first two
            signal.signal(number, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_NOFILE, Limits.files)
        if Limits.nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, Limits.nice)
        what = "open the files of"
        _open(stdio)
        if cwd:
            what = f"enter {cwd} for"
            os.chdir(cwd)
        if keep is not None:
            os.set_inheritable(keep, True)
        if waits is not None and not os.read(waits, 1):
            os._exit(0)
        what = "run"
        os.execvpe(argv[0], list(argv), dict(env))
    except BaseException as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        with contextlib.suppress(OSError):
            os.write(tell, f"cannot {what} {argv[0]}: {reason}".encode()[:4000])
    os._exit(127)


def _open(stdio: Stdio | tuple[int, int]) -> None:
    if not isinstance(stdio, Stdio):
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(stdio[0], 1)
        os.dup2(stdio[1], 2)
        return
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, flags in ((0, stdio.stdin, os.O_RDONLY), (1, stdio.stdout, append)):
        os.dup2(os.open(path or os.devnull, flags, 0o644), number)
    if stdio.stderr == stdio.stdout:
        os.dup2(1, 2)
    else:
        os.dup2(os.open(stdio.stderr or os.devnull, append, 0o644), 2)


def result_of(status: int) -> str | None:
    """What the status pipe of a child says once it is readable: None when it runs, else what went wrong."""
    said = b""
    while block := os.read(status, 4096):
        said += block
    return said.decode(errors="replace") or None
