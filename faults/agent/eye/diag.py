"""The kernel's table of TCP sockets, asked for over a SOCK_DIAG netlink socket. Wire format only.

One question in the older form of the request brings IPv4 and IPv6 sockets alike; with it comes tcp_info.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Mapping

from faults.agent.eye.namespaces import Node, Nodes, Refused

NETLINK_SOCK_DIAG = 4
ESTABLISHED, LISTEN = 1, 10
_GETSOCK = 18  # TCPDIAG_GETSOCK: sockets of both families
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_INFO = 2  # INET_DIAG_INFO
_HEAD = struct.Struct("=IH10x")  # nlmsghdr: length, type
_SOCKET = struct.Struct("=xBxx2s2s16s16s32x")  # inet_diag_msg: state, ports, addresses
_ATTRIBUTE = struct.Struct("=HH")
_ACKED = struct.Struct("=I60xQ")  # tcp_info from tcpi_last_ack_recv (ms) to tcpi_bytes_acked
_ACKED_AT = 56
_INFO_LEAST = 4 + _ACKED_AT + _ACKED.size
_ASK = struct.pack("=IHHII", 76, _GETSOCK, _REQUEST_DUMP, 1, 0) + struct.pack(
    "=BBBB48xII", socket.AF_INET, 0, 0, 1 << (_INFO - 1), 1 << ESTABLISHED | 1 << LISTEN, 0
)

End = tuple[int, bytes, int, bytes]
"""One end of a connection: own node's index, own port, peer's index, peer's port (ports as on the wire)."""


def keys_of(node: Node) -> tuple[bytes, ...]:
    """The 16 bytes with which the kernel writes the node's address.

    As IPv4 and as IPv4 inside IPv6, or as IPv6.
    """
    if node.family == socket.AF_INET6:
        return (socket.inet_pton(socket.AF_INET6, node.address),)
    four = socket.inet_aton(node.address)
    return four + bytes(12), bytes(10) + b"\xff\xff" + four


def opened(nodes: Nodes, node: Node) -> socket.socket:
    """A diagnostic socket in the node's namespace, to be kept."""
    sock = nodes.open(node, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
    sock.setblocking(True)  # the kernel answers within the call
    sock.settimeout(2)
    return sock


def dump(
    sock: socket.socket,
    buffer: bytearray,
    own: int,
    index: Mapping[bytes, int],
    ends: dict[End, tuple[int, int]],
    listening: set[int],
) -> None:
    """Read the table of one namespace into ``ends`` and ``listening``.

    ``own`` is the index of the node whose namespace it is, ``index`` maps address bytes to indexes. An end
    gets (milliseconds since the last acknowledgement arrived, bytes acknowledged); only connections from the
    node's own address to another node's are kept. Raises Refused when the kernel does not answer.
    """
    try:
        sock.send(_ASK)
        while not _read(buffer, sock.recv_into(buffer), own, index, ends, listening):
            pass
    except OSError as error:
        raise Refused(
            f"the kernel's socket table cannot be read: {error.strerror or error}", "failed"
        ) from None


def _read(
    buffer: bytearray,
    length: int,
    own: int,
    index: Mapping[bytes, int],
    ends: dict[End, tuple[int, int]],
    listening: set[int],
) -> bool:
    head, fields, node = _HEAD.unpack_from, _SOCKET.unpack_from, index.get
    offset, info = 0, 0
    while offset < length:
        size, kind = head(buffer, offset)
        if kind == _DONE:
            return True
        if kind == _ERROR:
            code = -struct.unpack_from("=i", buffer, offset + 16)[0]
            raise OSError(code or errno.EIO, os.strerror(code or errno.EIO))
        state, port, peer_port, source, target = fields(buffer, offset + 16)
        if state == LISTEN:
            listening.add(int.from_bytes(port, "big"))
        else:
            peer = node(target)
            if peer is not None and peer != own and node(source) == own:
                info = _info(buffer, offset, size, info)
                ends[own, port, peer, peer_port] = (
                    _ACKED.unpack_from(buffer, offset + info + _ACKED_AT) if info else (0, 0)
                )
        offset += size + 3 & ~3
    return False


def _info(buffer: bytearray, offset: int, size: int, guess: int) -> int:
    """Where tcp_info lies in the message at ``offset``, seen from there; 0 if there is none.

    Tried first: ``guess``.
    """
    unpack = _ATTRIBUTE.unpack_from
    if guess and guess + _INFO_LEAST <= size + 4:
        length, kind = unpack(buffer, offset + guess - 4)
        if kind == _INFO and length >= _INFO_LEAST:
            return guess
    place = 16 + 72
    while place + 4 <= size:
        length, kind = unpack(buffer, offset + place)
        if kind == _INFO and length >= _INFO_LEAST:
            return place + 4
        if length < 4:
            break
        place += length + 3 & ~3
    return 0
