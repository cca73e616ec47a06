"""The eye's end of the stream to the agent: JSON lines, read and written without ever waiting."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable
from typing import Any

from faults.agent.eye.loop import Loop

_MUCH = 4 << 20
_TOO_MUCH = 256 << 20


class Link:
    """Calls ``take`` with every line that comes, and ``ended`` when the stream ends."""

    def __init__(
        self, loop: Loop, sock: socket.socket, take: Callable[[bytes], None], ended: Callable[[], None]
    ) -> None:
        self._loop, self._sock, self._take, self._ended = loop, sock, take, ended
        self._in: list[bytes] = []
        self._out = bytearray()
        sock.setblocking(False)
        loop.watch(sock.fileno(), select.EPOLLIN, self._ready)

    @property
    def behind(self) -> bool:
        """Whether much is waiting to be taken by the agent."""
        return len(self._out) > _MUCH

    def send(self, message: dict[str, Any]) -> None:
        """Send one object, now or as soon as the agent takes it."""
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        had = bool(self._out)
        self._out += data
        if len(self._out) > _TOO_MUCH:
            self._ended()
        elif not had:
            self._flush()
            if self._out:
                self._loop.change(self._sock.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _flush(self) -> None:
        try:
            while self._out:
                with memoryview(self._out) as view:
                    sent = self._sock.send(view[: 1 << 18])
                del self._out[:sent]
        except BlockingIOError:
            return
        except OSError:
            self._ended()

    def _ready(self, events: int) -> None:
        if events & select.EPOLLOUT and self._out:
            self._flush()
            if not self._out:
                self._loop.change(self._sock.fileno(), select.EPOLLIN)
        if events & ~select.EPOLLOUT:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        if b"\n" not in data:
            self._in.append(data)
            return
        *lines, rest = (b"".join(self._in) + data).split(b"\n")
        self._in = [rest] if rest else []
        for line in lines:
            if line.strip():
                self._take(line)
