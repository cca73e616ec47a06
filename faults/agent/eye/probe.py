"""Whether a TCP port can be reached from a node: one connect from inside its namespace, closed at once."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections.abc import Callable
from time import monotonic
from typing import Any

from faults.agent.eye.loop import Loop
from faults.agent.eye.namespaces import Node, Nodes, Refused

_WHY = {errno.ECONNREFUSED: "refused", errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout"}
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset, so that the program sees no session of ours


def probe(
    loop: Loop,
    nodes: Nodes,
    node: Node,
    to: tuple[str, int],
    timeout: float,
    done: Callable[[dict[str, Any]], None],
) -> None:
    """Connect from ``node`` to ``to`` (address, port); calls ``done`` with ``{"open", "why"}``.

    Raises Refused.
    """
    try:
        family = socket.AF_INET6 if ":" in to[0] else socket.AF_INET
        sock = nodes.open(node, family, socket.SOCK_STREAM)
    except OSError as error:
        raise Refused(f"node {node.name}: {error.strerror}", "failed") from None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    code = sock.connect_ex(to)
    if code not in (0, errno.EINPROGRESS):
        sock.close()
        done({"open": False, "why": _WHY.get(code, "unreachable")})
        return
    own = node.name, sock.getsockname()[1]
    nodes.own.add(own)

    def end(why: str | None) -> None:
        timer.cancel()
        loop.forget(sock.fileno())
        sock.close()
        nodes.own.discard(own)
        done({"open": why is None, "why": why})

    def ready(events: int) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code or events & (select.EPOLLOUT | select.EPOLLHUP):
            end(_WHY.get(code, "unreachable") if code else None)

    timer = loop.at(monotonic() + timeout, lambda: end("timeout"))
    loop.watch(sock.fileno(), select.EPOLLOUT, ready)
