"""Many datagrams in one system call: sendmmsg and recvmmsg by way of ctypes, for datagrams of eight bytes.

A datagram carries one unsigned 64-bit number in the machine's order. What the numbers mean is the caller's
affair.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

_libc = ctypes.CDLL(None, use_errno=True)
_MOST = 1024  # the kernel takes no more in one call
_BATCH = 256
SIZE = 8


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vector", ctypes.c_void_p),
        ("vector_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint32))


def _address(host: str, port: int) -> bytes:
    if ":" in host:
        return struct.pack("=H", socket.AF_INET6) + struct.pack(
            "!HI16sI", port, 0, socket.inet_pton(socket.AF_INET6, host), 0
        )
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, socket.inet_aton(host))


class Sender:
    """Sends one number from any of n sockets to the n - 1 others; the message headers are made once."""

    def __init__(self, hosts: Sequence[str], port: int) -> None:
        self._n = n = len(hosts)
        self._value = ctypes.c_uint64()
        self._vector = _Iovec(ctypes.addressof(self._value), SIZE)
        raw = [_address(h, port) for h in hosts]
        self._names = [ctypes.create_string_buffer(r, len(r)) for r in raw]
        # The list stands there twice, so that "all after i, round to all before i" is one slice of it.
        self._messages = (_Message * (2 * n))()
        for k in range(2 * n):
            message = self._messages[k].header
            message.name = ctypes.addressof(self._names[k % n])
            message.name_length = len(raw[k % n])
            message.vector, message.vector_length = ctypes.addressof(self._vector), 1

    def to_others(self, fd: int, i: int, value: int) -> list[tuple[int, int]]:
        """Send ``value`` from socket ``fd`` of place ``i`` to all other places.

        Returns (place, errno) of those to which it could not be sent.
        """
        self._value.value = value
        failed, done = [], 0
        while done < self._n - 1:
            many = min(_MOST, self._n - 1 - done)
            start = ctypes.byref(self._messages, (i + 1 + done) * ctypes.sizeof(_Message))
            sent = _libc.sendmmsg(fd, start, many, socket.MSG_DONTWAIT)
            if sent > 0:
                done += sent
            else:
                failed.append(((i + 1 + done) % self._n, ctypes.get_errno()))
                done += 1
        return failed


class Receiver:
    """Takes what has arrived at a socket, without waiting."""

    def __init__(self) -> None:
        self._bytes = ctypes.create_string_buffer(SIZE * _BATCH)
        self._view = memoryview(self._bytes).cast("B").cast("Q")
        self._vectors = (_Iovec * _BATCH)()
        self._messages = (_Message * _BATCH)()
        for k in range(_BATCH):
            self._vectors[k].base, self._vectors[k].length = ctypes.addressof(self._bytes) + SIZE * k, SIZE
            self._messages[k].header.vector = ctypes.addressof(self._vectors) + k * ctypes.sizeof(_Iovec)
            self._messages[k].header.vector_length = 1

    def take(self, fd: int) -> list[int]:
        """All numbers that are waiting at ``fd``.

        A stray datagram of another length gives a number of no meaning.
        """
        out: list[int] = []
        while True:
            # A shorter datagram must not leave an older number standing in its place.
            ctypes.memset(self._bytes, 0, len(self._bytes))
            got = _libc.recvmmsg(fd, self._messages, _BATCH, socket.MSG_DONTWAIT, None)
            if got <= 0:
                return out
            out += self._view[:got].tolist()
            if got < _BATCH:
                return out
