"""A warm program that forks nodes on request: ``python -m runner.devnet.spawner``, spoken to over the socket
in ``SEATRIAL_SPAWNER_FD``.

A request is a line of JSON with two descriptors attached: the network namespace that the node lives in, and a
gate that it waits at before its first step. Everything is imported before the first fork, so a node costs a
few milliseconds.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from runner.devnet.bugs import catalogue
from runner.devnet.config import BadConfig, read
from runner.devnet.node import run

CLONE_NEWNET = 0x40000000
MAX_LINE = 1 << 20
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Moves this process into a network namespace. Raises ``OSError``."""
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot enter the network namespace: {os.strerror(code)}")


def be_a_node(request: dict[str, Any], namespace: int, gate: int) -> NoReturn:
    """What the forked child does: enter, lead a session, redirect, wait at the gate, run. Never returns."""
    code = 1
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for fd, place in ((null, 0), (log, 1), (log, 2)):
            os.dup2(fd, place)
        enter(namespace)
        keep = {0, 1, 2, gate}
        for fd in sorted({null, log, namespace} - keep):
            os.close(fd)
        if os.read(gate, 1):
            os.close(gate)
            given = dict(request.get("config") or {})
            for key in ("name", "data", "address"):
                given.setdefault(key, request[key])
            code = run(read(given))
    except (BadConfig, OSError, KeyError, TypeError) as why:
        with contextlib.suppress(OSError):
            os.write(2, f"the node cannot start: {why}\n".encode())
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(2, traceback.format_exc().encode())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


class Spawner:
    """Serves one socket until its other end is closed."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._names: dict[int, str] = {}
        self._lines = b""
        self._fds: list[int] = []
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._waker.setblocking(False)

    def serve(self) -> None:
        """Forks and reports until end of file."""
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        watch = select.poll()
        watch.register(self._sock, select.POLLIN)
        watch.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in watch.poll():
                if fd == self._wake.fileno():
                    self._drain()
                elif not self._take():
                    return
            self._reap()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass

    def _take(self) -> bool:
        """Reads what there is; False at the end of file."""
        room = socket.CMSG_SPACE(64 * 4)
        try:
            data, extra, _, _ = self._sock.recvmsg(1 << 16, room, socket.MSG_CMSG_CLOEXEC)
        except InterruptedError:
            return True
        except ConnectionError:
            return False
        for level, kind, body in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(body[: len(body) - len(body) % fds.itemsize])
                self._fds += fds
        self._lines += data
        while b"\n" in self._lines:
            line, _, self._lines = self._lines.partition(b"\n")
            if line.strip():
                self._request(line)
        return bool(data) and len(self._lines) < MAX_LINE

    def _request(self, line: bytes) -> None:
        name = None
        fds, self._fds = self._fds[:2], self._fds[2:]
        try:
            request = json.loads(line)
            name = str(request["name"])
            if len(fds) != 2:
                raise ValueError("a request needs two descriptors: network namespace and gate")
            self._check(request)
            self._say({"name": name, "pid": self._fork(request, *fds)})
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as why:
            text = f"the request lacks {why}" if isinstance(why, KeyError) else str(why)
            self._say({"name": name, "error": text})
        finally:
            for fd in fds:
                os.close(fd)

    def _check(self, request: dict[str, Any]) -> None:
        """Refuses now what would otherwise end the node at once; bugs of a folder are loaded here, before the
        fork.
        """
        given = dict(request.get("config") or {})
        for key in ("name", "data", "address"):
            given.setdefault(key, request[key])
        config = read(given)
        str(request["log"])
        if config.bugs:
            known = catalogue(config.bugs_path)
            for bug in config.bugs:
                if bug not in known:
                    raise BadConfig(f"there is no bug {bug!r}; known are {', '.join(known)}")

    def _fork(self, request: dict[str, Any], namespace: int, gate: int) -> int:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._wake, self._waker, self._sock):
                end.close()
            for fd in self._fds:
                os.close(fd)
            be_a_node(request, namespace, gate)
        self._names[pid] = str(request["name"])
        return pid

    def _reap(self) -> None:
        while self._names:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            name = self._names.pop(pid, None)
            self._say({"name": name, "pid": pid, "exit": os.waitstatus_to_exitcode(status)})

    def _say(self, answer: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendall(json.dumps(answer).encode() + b"\n")


def main() -> int:
    """Runs the spawner on the descriptor that the environment names."""
    try:
        sock = socket.socket(fileno=int(os.environ["SEATRIAL_SPAWNER_FD"]))
    except (KeyError, ValueError, OSError) as why:
        print(f"SEATRIAL_SPAWNER_FD must name a unix stream socket: {why}", file=sys.stderr)
        return 2
    sock.set_inheritable(False)
    gc.collect()
    gc.freeze()
    Spawner(sock).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
