"""Many small HTTP requests at once, over connections that are opened inside the nodes' namespaces and kept.

A node that cannot be asked is a fact: ``refused``, ``timeout``, ``reset``, ``unreachable``, or what is wrong
with its answer.
"""

from __future__ import annotations

import errno
import json
import select
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from faults.agent.eye.answer import Answer, Malformed
from faults.agent.eye.loop import Loop
from faults.agent.eye.namespaces import Node, Nodes, Refused

STUCK_S = 5.0
"""A connection that owes an answer for longer is given up; until then the same question is not sent twice."""
_MOST_CONNECTIONS = 32  # to one place
_WHY = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
}


@dataclass(frozen=True)
class Question:
    """A request in bytes, and where it goes: a node, a host as seen from inside it, a port."""

    node: str
    host: str
    port: int
    data: bytes

    @property
    def place(self) -> tuple[str, str, int]:
        """Node, host and port."""
        return self.node, self.host, self.port


def question(described: Mapping[str, Any]) -> Question:
    """Read ``{"node", "port", "path", "host", "post", "headers"}``; ``post`` is JSON to be sent.

    Raises Refused.
    """
    node, port, path = str(described["node"]), described["port"], str(described.get("path") or "/")
    host = str(described.get("host") or "127.0.0.1")
    if not isinstance(port, int) or not 0 < port < 65536:
        raise Refused(f"node {node}: {port!r} is not a port")
    if not path.startswith("/") or any(c <= " " or c > "~" for c in path):
        raise Refused(f"node {node}: {path!r} is not a path")
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        raise Refused(f"node {node}: the host must be an address, not {host!r}") from None
    lines = {"Host": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "Accept": "*/*"}
    body = b""
    if "post" in described:
        body = json.dumps(described["post"]).encode()
        lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines |= {str(k): str(v) for k, v in (described.get("headers") or {}).items()}
    head = "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    if not head.isascii() or head.count("\n") != len(lines) or head.count("\r") != len(lines):
        raise Refused(f"node {node}: headers must be plain text of one line")
    method = "POST" if "post" in described else "GET"
    return Question(node, host, port, f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)


@dataclass(frozen=True)
class Outcome:
    """What became of a question, and when it was known (monotonic s): a status with a body, or 0 and why."""

    at: float
    status: int = 0
    body: bytes = b""
    why: str = ""

    def describe(self) -> dict[str, Any]:
        """As in the protocol's reply."""
        if self.status:
            return {"status": self.status, "body": self.body.decode("utf-8", "replace"), "at": self.at}
        return {"status": 0, "why": self.why, "at": self.at}


class Exchange:
    """A question that was asked. ``done`` is called once; ``expire`` ends the waiting."""

    __slots__ = ("asked", "done", "question")

    def __init__(self, asked: Question, done: Callable[[Outcome], None]) -> None:
        self.question = asked
        self.asked = monotonic()
        self.done: Callable[[Outcome], None] | None = done

    def settle(self, outcome: Outcome) -> None:
        """Call ``done``, if nobody has yet."""
        done, self.done = self.done, None
        if done is not None:
            done(outcome)

    def expire(self) -> None:
        """Nobody waits any longer: ``timeout``."""
        self.settle(Outcome(monotonic(), why="timeout"))


class Connection:
    """One connection to a place.

    At most one question is under way; another may wait behind the same one, unanswered.
    """

    def __init__(self, fetcher: Fetcher, place: tuple[str, str, int]) -> None:
        self._fetcher, self.place = fetcher, place
        self.sock: socket.socket | None = None
        self._connected = False
        self._used = False  # an answer has come over it
        self.current: Exchange | None = None
        self.next: Exchange | None = None
        self._out = b""
        self._answer = Answer()
        self._port = 0

    def ask(self, node: Node, exchange: Exchange) -> None:
        """Send the question; only on a connection without a current one."""
        self.current = exchange
        self._out, self._answer = exchange.question.data, Answer()
        if self.sock is None:
            self._connect(node)
        else:
            self._send()

    def _connect(self, node: Node) -> None:
        _, host, port = self.place
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = self.sock = self._fetcher.nodes.open(node, family, socket.SOCK_STREAM)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = sock.connect_ex((host, port))
        except (OSError, Refused) as error:
            self.fail(_WHY.get(getattr(error, "errno", None) or 0, "unreachable"))
            return
        if code not in (0, errno.EINPROGRESS):
            self.fail(_WHY.get(code, "unreachable"))
            return
        self._port = sock.getsockname()[1]
        if not host.startswith("127."):
            self._fetcher.nodes.own.add((self.place[0], self._port))
        self._fetcher.loop.watch(sock.fileno(), select.EPOLLOUT, self._ready)

    def _ready(self, events: int) -> None:
        if self.sock is None:
            return
        if not self._connected:
            if not events & (select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP):
                return
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.fail(_WHY.get(code, "unreachable"))
                return
            self._connected = True
            self._fetcher.loop.change(self.sock.fileno(), select.EPOLLIN)
            self._send()
        elif events & ~select.EPOLLOUT:
            self._receive()
        elif self._out:
            self._send()

    def _send(self) -> None:
        if self.sock is None or not self._connected:
            return
        had = len(self._out)
        try:
            self._out = self._out[self.sock.send(self._out) :]
        except BlockingIOError:
            pass
        except OSError as error:
            self._broken(_WHY.get(error.errno or 0, "reset"))
            return
        if self._out or had != len(self.current.question.data if self.current else b""):
            more = select.EPOLLOUT if self._out else 0
            self._fetcher.loop.change(self.sock.fileno(), select.EPOLLIN | more)

    def _receive(self) -> None:
        assert self.sock is not None
        try:
            data = self.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            self._broken(_WHY.get(error.errno or 0, "reset"))
            return
        exchange = self.current
        if exchange is None:  # between questions only the end of the stream is in order
            self.close()
            return
        try:
            complete = self._answer.feed(data) if data else self._answer.end()
        except Malformed as error:
            self.fail(str(error))
            return
        if complete:
            self._used, self.current = True, None
            answer, following, self.next = self._answer, self.next, None
            if not answer.keep or not data or self._out:
                self.close()
            exchange.settle(Outcome(monotonic(), answer.status, answer.body))
            if following is not None:
                self._fetcher.again(following)
        elif not data:
            self._broken("reset")

    def _broken(self, why: str) -> None:
        """The stream ended early.

        On a used connection the node may have restarted: ask once more, on a new one.
        """
        if self._used and not self._answer.begun and self.current is not None:
            exchange, self.current = self.current, None
            following, self.next = self.next, None
            self.close()
            self._fetcher.again(exchange)
            if following is not None:
                self._fetcher.again(following)
        else:
            self.fail(why)

    def fail(self, why: str) -> None:
        """Close, and give the reason to whoever waits; who waited behind is asked anew."""
        exchange, self.current = self.current, None
        following, self.next = self.next, None
        self.close()
        if exchange is not None:
            exchange.settle(Outcome(monotonic(), why=why))
        if following is not None:
            self._fetcher.again(following)

    def close(self) -> None:
        """Close the connection and forget it."""
        if self.sock is not None:
            self._fetcher.loop.forget(self.sock.fileno())
            self.sock.close()
            self.sock = None
        self._fetcher.nodes.own.discard((self.place[0], self._port))
        self._fetcher.forget(self)

    def owes(self, asked: Question) -> bool:
        """Whether this very question is still unanswered here though nobody waits.

        And nothing waits behind it.
        """
        current = self.current
        return (
            current is not None
            and current.done is None
            and (self.next is None or self.next.done is None)
            and self._connected
            and current.question == asked
        )

    @property
    def lost(self) -> bool:
        """Whether nobody waits for the question under way, and it is of no use to wait on."""
        current = self.current
        return (
            current is not None
            and current.done is None
            and (self.next is None or self.next.done is None)
            and (not self._connected or monotonic() - current.asked >= STUCK_S)
        )


class Fetcher:
    """Asks, and keeps the connections."""

    def __init__(self, loop: Loop, nodes: Nodes) -> None:
        self.loop, self.nodes = loop, nodes
        self._kept: dict[tuple[str, str, int], list[Connection]] = {}
        nodes.on_change(self._replaced)

    def ask(self, asked: Question, done: Callable[[Outcome], None]) -> Exchange:
        """Ask; ``done`` is called with the outcome, perhaps at once.

        The caller keeps the time (``Exchange.expire``).
        """
        exchange = Exchange(asked, done)
        self.again(exchange)
        return exchange

    def again(self, exchange: Exchange) -> None:
        """Send the exchange's question over a connection that is free, or a new one."""
        if exchange.done is None:
            return
        try:
            node = self.nodes.get(exchange.question.node)
        except Refused:
            exchange.settle(Outcome(monotonic(), why="unreachable"))
            return
        place = exchange.question.place
        kept = self._kept.setdefault(place, [])
        for connection in [c for c in kept if c.lost]:
            connection.close()
        for connection in kept:
            if connection.current is None:
                connection.ask(node, exchange)
                return
            if connection.owes(exchange.question):
                connection.next = exchange
                return
        if len(kept) >= _MOST_CONNECTIONS:
            exchange.settle(Outcome(monotonic(), why="timeout"))
            return
        connection = Connection(self, place)
        kept.append(connection)
        connection.ask(node, exchange)

    def forget(self, connection: Connection) -> None:
        """A connection was closed."""
        kept = self._kept.get(connection.place, [])
        if connection in kept:
            kept.remove(connection)

    def _replaced(self, names: frozenset[str]) -> None:
        for place, kept in list(self._kept.items()):
            if place[0] in names:
                for connection in list(kept):
                    if connection.next is not None:
                        connection.next.settle(Outcome(monotonic(), why="reset"))
                    connection.fail("reset")

    def fetch(
        self, asked: Mapping[str, Question], timeout: float, done: Callable[[dict[str, Outcome]], None]
    ) -> None:
        """Ask all at once and call ``done`` with the outcome of each.

        At the latest after ``timeout`` seconds.
        """
        outcomes: dict[str, Outcome] = {}
        exchanges: list[Exchange] = []

        def settled(key: str) -> Callable[[Outcome], None]:
            def settle(outcome: Outcome) -> None:
                outcomes[key] = outcome
                if len(outcomes) == len(asked):
                    timer.cancel()
                    done({k: outcomes[k] for k in asked})

            return settle

        def over() -> None:
            for exchange in exchanges:
                exchange.expire()

        timer = self.loop.at(monotonic() + timeout, over)
        if not asked:
            timer.cancel()
            done({})
        exchanges += [self.ask(q, settled(key)) for key, q in asked.items()]

    def close(self) -> None:
        """Close all connections."""
        self._replaced(frozenset(place[0] for place in self._kept))
