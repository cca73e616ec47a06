"""The status API: a very small HTTP/1.1 server that keeps connections and never grows.

It knows GET and HEAD; everything else gets a proper refusal. It has an epoll of its own, which the node's
loop watches.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runner.devnet.events import Unanswered

MAX_REQUEST = 8192
MAX_CONNECTIONS = 64
MAX_UNSENT = 256 * 1024
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

Answer = Callable[[str], tuple[int, Any]]


class _Rejected(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


@dataclass
class _Client:
    sock: socket.socket
    got: bytearray = field(default_factory=bytearray)
    unsent: bytes = b""
    closing: bool = False


def _head(head: bytes) -> tuple[str, str, bool]:
    """Method, path and whether to keep the connection, from a request's head."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[1].startswith("/"):
        raise _Rejected(400)
    method, path, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise _Rejected(505)
    keep = version == "HTTP/1.1"
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise _Rejected(400)
        name, value = name.lower(), value.strip().lower()
        if name == "connection":
            keep = value != "close" and (keep or value == "keep-alive")
        elif name == "transfer-encoding" or (name == "content-length" and value != "0"):
            raise _Rejected(413)
    return method, path.partition("?")[0], keep


class StatusServer:
    """Serves ``answer(path) -> (status, JSON value)``.

    ``answer`` may raise ``Unanswered``: then the asker waits.
    """

    def __init__(self, host: str, port: int, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server((host, port), backlog=64)
        self._listener.setblocking(False)
        self.epoll = select.epoll()
        self.epoll.register(self._listener, select.EPOLLIN)
        self._clients: dict[int, _Client] = {}

    def serve(self) -> None:
        """Deals with all that is ready, without waiting."""
        for fd, event in self.epoll.poll(0):
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._clients:
                client = self._clients[fd]
                try:
                    self._talk(client, event)
                except OSError:
                    self._close(client)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._clients) >= MAX_CONNECTIONS:
            self._close(next(iter(self._clients.values())))
        self._clients[sock.fileno()] = _Client(sock)
        self.epoll.register(sock, select.EPOLLIN)

    def _close(self, client: _Client) -> None:
        self._clients.pop(client.sock.fileno(), None)
        client.sock.close()

    def _talk(self, client: _Client, event: int) -> None:
        if event & select.EPOLLIN:
            data = client.sock.recv(16384)
            if not data:
                self._close(client)
                return
            client.got += data
        elif event & (select.EPOLLHUP | select.EPOLLERR):
            self._close(client)
            return
        self._requests(client)
        self._send(client)

    def _requests(self, client: _Client) -> None:
        while not client.closing and len(client.unsent) < MAX_UNSENT:
            end = client.got.find(b"\r\n\r\n")
            if end < 0 and len(client.got) <= MAX_REQUEST:
                return
            try:
                if end < 0 or end > MAX_REQUEST:
                    raise _Rejected(431)
                head = bytes(client.got[:end])
                del client.got[: end + 4]
                method, path, keep = _head(head)
                if method not in ("GET", "HEAD"):
                    raise _Rejected(405)
                status, value = self._answer(path)
            except Unanswered:
                return
            except _Rejected as why:
                method, keep, status, value = "GET", False, why.status, {"error": _REASONS[why.status]}
                client.got.clear()
            client.closing = not keep
            client.unsent += _response(status, value, keep=keep, body=method != "HEAD")

    def _send(self, client: _Client) -> None:
        if client.unsent:
            with contextlib.suppress(BlockingIOError):
                client.unsent = client.unsent[client.sock.send(client.unsent) :]
        if client.unsent:
            self.epoll.modify(client.sock, select.EPOLLOUT)
        elif client.closing:
            self._close(client)
        else:
            self.epoll.modify(client.sock, select.EPOLLIN)


def _response(status: int, value: Any, *, keep: bool, body: bool) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(text)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + (text if body else b"")
