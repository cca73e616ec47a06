"""The status server, asked over real sockets by friends and others."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.devnet.events import Unanswered
from runner.devnet.status import MAX_CONNECTIONS, MAX_REQUEST, StatusServer


def answer(path: str) -> tuple[int, object]:
    if path == "/silent":
        raise Unanswered
    return (200, {"path": path}) if path == "/status" else (404, {"error": "no"})


class Served:
    """A server that a thread serves, at ``address``."""

    def __init__(self) -> None:
        self.server = StatusServer("127.0.0.1", 0, answer)
        self.address = self.server._listener.getsockname()
        self._on = True
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def _loop(self) -> None:
        while self._on:
            if select.select([self.server.epoll], [], [], 0.02)[0]:
                self.server.serve()

    def close(self) -> None:
        self._on = False
        self._thread.join()
        for client in list(self.server._clients.values()):
            client.sock.close()
        self.server.epoll.close()
        self.server._listener.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=5)

    def talk(self, request: bytes) -> bytes:
        """All that comes until the server closes."""
        with self.connect() as sock:
            sock.sendall(request)
            return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    one = Served()
    yield one
    one.close()


def read_one(sock: socket.socket) -> tuple[int, object]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    head, _, _ = data.partition(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    return int(head.split()[1]), json.loads(body)


def test_a_connection_is_kept_and_requests_may_come_in_pieces_or_at_once(served):
    with served.connect() as sock:
        for piece in (b"GET /sta", b"tus?x=1 HTTP/1.1\r\nHost: a", b"\r\n\r\n"):
            sock.sendall(piece)
        assert read_one(sock) == (200, {"path": "/status"})
        sock.sendall(b"GET /status HTTP/1.1\r\n\r\nGET /none HTTP/1.1\r\n\r\n")
        assert read_one(sock) == (200, {"path": "/status"})
        assert read_one(sock) == (404, {"error": "no"})


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /status HTTP/1.0\r\n\r\n", 200),
        (b"GET /status HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
        (b"POST /status HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"POST /status HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"GET /status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET /status HTTP/3\r\n\r\n", 505),
        (b"GET status HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /status HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"\x00\xff\xfe\r\n\r\n", 400),
        (b"GET /" + b"a" * (MAX_REQUEST + 1), 431),
    ],
)
def test_refusals_are_proper_answers(served, request_bytes, status):
    assert served.talk(request_bytes).startswith(f"HTTP/1.1 {status} ".encode())


def test_head_has_no_body(served):
    assert served.talk(b"HEAD /status HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n")


def test_an_unanswered_question_leaves_the_others_alone(served):
    with served.connect() as waiting, served.connect() as other:
        waiting.sendall(b"GET /silent HTTP/1.1\r\n\r\n")
        other.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        assert read_one(other)[0] == 200
        waiting.settimeout(0.2)
        with pytest.raises(TimeoutError):
            waiting.recv(1)


def test_idle_connections_make_room_for_new_ones(served):
    idle = [served.connect() for _ in range(MAX_CONNECTIONS + 10)]
    try:
        assert served.talk(b"GET /status HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert len(served.server._clients) <= MAX_CONNECTIONS
    finally:
        for sock in idle:
            sock.close()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300))
def test_noise_harms_nobody(served, noise):
    with served.connect() as sock:
        sock.sendall(noise)
    assert served.talk(b"GET /status HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
