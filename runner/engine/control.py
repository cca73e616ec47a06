"""The control socket of a live network: ``control.sock`` in the run directory, one JSON request and one
reply a connection.

``{"do": "status"}``, ``{"do": "exec", "node", "argv", "stdin", "stdout", "stderr"}`` (paths of fifos),
``{"do": "wait", "pid"}``, ``{"do": "inject", "step": {…}, "seed"}``, ``{"do": "down"}``. Requests are
handled by the run's own loop, one after another; the socket is the owner's alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAME = "control.sock"
WITHIN_S = 30.0
Handler = Callable[[Mapping[str, Any], Callable[[Mapping[str, Any]], None]], None]


class ControlError(Exception):
    """No live network answers there, or it ``refused`` what was asked; the message is for people."""

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


def request(run: Path, message: Mapping[str, Any], *, within_s: float | None = WITHIN_S) -> Mapping[str, Any]:
    """Ask the live network of a run directory. Raises ControlError."""
    try:
        with _at(run) as address, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(within_s)
            link.connect(address)
            link.sendall(json.dumps(message).encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                more = link.recv(1 << 16)
                if not more:
                    break
                data += more
    except TimeoutError:
        raise ControlError(f"the network of {run} did not answer within {within_s} s") from None
    except OSError as error:
        raise ControlError(f"no live network in {run}: {error.strerror or error}") from None
    reply: Mapping[str, Any] = json.loads(data or b'{"error": "the network ended"}')
    if "error" in reply:
        raise ControlError(str(reply["error"]), refused=bool(reply.get("refused")))
    return reply


def listens(run: Path) -> bool:
    """Whether a live network listens in a run directory; a killed runner leaves its socket behind."""
    try:
        with _at(run) as address, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(1.0)
            link.connect(address)
    except OSError:
        return False
    return True


class _at:
    """A short name for a socket's path: addresses of sockets hold 107 bytes, run directories may be
    longer.
    """

    def __init__(self, run: Path) -> None:
        self._run = run

    def __enter__(self) -> str:
        self._fd = os.open(self._run, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._fd}/{NAME}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class ControlServer:
    """Listens in a thread and hands each request, with a function for its reply, to ``put`` (the run's
    queue).
    """

    def __init__(self, run: Path, put: Callable[[Mapping[str, Any]], None]) -> None:
        self._put = put
        self._path = run / NAME
        self._socket = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        before = os.umask(0o077)
        try:
            with _at(run) as address:
                self._socket.bind(address)
        finally:
            os.umask(before)
        self._socket.listen(8)
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(link,), daemon=True).start()

    def _one(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            link.settimeout(WITHIN_S)
            data = b""
            while not data.endswith(b"\n") and len(data) < 1 << 20:
                more = link.recv(1 << 16)
                if not more:
                    return
                data += more
            try:
                message = json.loads(data)
                if not isinstance(message, dict):
                    raise ValueError("not a mapping")
            except ValueError as error:
                link.sendall(json.dumps({"error": f"not a request: {error}"}).encode() + b"\n")
                return
            box: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
            self._put({"event": "control", "message": message, "reply": box.put})
            reply = box.get()
            link.sendall(json.dumps(reply).encode() + b"\n")
