"""The handle that the agent holds on its keeper process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Mapping
from typing import Any

from .refusal import Refusal


class Keeper:
    """Forks the keeper process. Create it early, before threads and large data are there; ``pid`` is the
    process.

    Every method blocks until the keeper has done it, and raises Refusal where the request makes no sense,
    this machine cannot bend clocks, or the keeper is gone (``alive`` tells). What concerns single
    processes is in ``problems``, each with pid and name. Results of ``set``, ``adopt`` and ``close``::

        {"pids": [pid], "offset_ns": [[pid, measured]], "expected_ns": [[pid, at that instant]],
         "problems": [text], "restored": bool, "took_s": seconds}
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        parent = os.pidfd_open(os.getpid())
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                from .keeper import run

                run(theirs, parent)
                code = 0
            finally:
                os._exit(code)
        theirs.close()
        os.close(parent)
        self._socket: socket.socket | None = ours
        self._answers = ours.makefile("rb")
        self._turn = threading.Lock()

    def set(self, node: str, netns_inode: int, line: Mapping[str, int] | None) -> dict[str, Any]:
        """Bring every process whose network namespace has this inode under the line, and what they fork
        and exec later.

        None restores every byte, and ends the following.
        """
        result: dict[str, Any] = self._ask(
            do="set", node=node, inode=netns_inode, line=None if line is None else dict(line)
        )
        return result

    def adopt(self, node: str, pid: int, line: Mapping[str, int]) -> dict[str, Any]:
        """Trace and patch a process that waits before its exec; its later execs and forks are patched
        before they run.

        With the node's line already in force it may be any process of the node.
        """
        result: dict[str, Any] = self._ask(do="adopt", node=node, pid=pid, line=dict(line))
        return result

    def measure(self, node: str, netns_inode: int = 0) -> list[dict[str, Any]]:
        """What each process of the node sees: ``{"pid", "offset_ns", "error_ns", "covered", "why",
        "expected_ns"}``.

        ``netns_inode`` is needed only for a node that was never set. Where not ``covered``, ``why`` says
        what the process is beyond, and the offset is 0 (true clock, known) or None (could not be read).
        """
        rows: list[dict[str, Any]] = self._ask(do="measure", node=node, inode=netns_inode)
        return rows

    def alive(self) -> bool:
        """Whether the keeper process still runs."""
        if self._socket is None:
            return False
        with contextlib.suppress(ChildProcessError):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return False

    def close(self) -> dict[str, Any]:
        """Restore everything and end the keeper. Does nothing the second time, or where the keeper is
        gone.
        """
        result: dict[str, Any] = {"pids": [], "offset_ns": [], "problems": [], "restored": True}
        if self._socket is None:
            return result
        try:
            result = self._ask(do="close")
        except Refusal as e:
            result |= {"problems": [str(e)], "restored": False}
        self._answers.close()
        self._socket.close()
        self._socket = None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        return result

    def kill(self) -> None:
        """End the keeper as a crash would: targets run on under the clock they have."""
        os.kill(self.pid, signal.SIGKILL)

    def _ask(self, **request: object) -> Any:
        with self._turn:
            if self._socket is None:
                raise Refusal("the keeper was closed")
            try:
                self._socket.sendall(json.dumps(request).encode() + b"\n")
                row = self._answers.readline()
            except OSError:
                row = b""
            if not row:
                raise Refusal("the keeper process is gone")
        answer = json.loads(row)
        if "error" in answer:
            raise Refusal(answer["error"])
        return answer["ok"]
