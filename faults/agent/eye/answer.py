"""Reading an HTTP/1.1 answer.

Strict, incremental, bounded, and no more of HTTP than many small requests need. Pure.
"""

from __future__ import annotations

import re

MOST_BODY = 1 << 20
MOST_HEAD = 1 << 15
_MOST_SIZE = 1024  # of the line that gives a chunk's size

_STATUS = re.compile(rb"http/1\.([01]) (\d{3})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*(?=\r\n)")
_CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r]*?)[ \t]*(?=\r\n)")
_CONNECTION = re.compile(rb"\r\nconnection:[ \t]*([^\r]*?)[ \t]*(?=\r\n)")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


class Malformed(Exception):
    """What came is not an answer, or one that is too large; the text says which."""


class Answer:
    """One answer, fed with bytes until ``feed`` says that it is complete.

    Then ``status``, ``body`` and ``keep`` hold. ``keep`` is whether the connection can be used again.
    """

    __slots__ = ("_body", "_chunked", "_data", "_in_body", "_left", "_size", "body", "keep", "status")

    def __init__(self) -> None:
        self._data = b""
        self._body: list[bytes] = []
        self._in_body = False
        self._chunked = False
        self._size = 0
        self._left: int | None = None  # bytes of the body still to come; None: until the end of the stream
        self.status = 0
        self.body = b""
        self.keep = False

    @property
    def begun(self) -> bool:
        """Whether anything has come."""
        return self._in_body or bool(self._data)

    def feed(self, data: bytes) -> bool:
        """Take what came next; True when the answer is complete. Raises Malformed."""
        self._data = self._data + data if self._data else data
        while not self._in_body:
            if not self._head():
                return False
        if self._chunked:
            return self._chunks()
        if self._left is None:
            self._body.append(self._data)
            self._size += len(self._data)
            self._data = b""
            self._bounded(self._size)
            return False
        if len(self._data) < self._left:
            return False
        if len(self._data) > self._left:
            raise Malformed("more came than was announced")
        return self._complete(self._data)

    def end(self) -> bool:
        """The stream ended; True when that completes the answer."""
        if self._in_body and not self._chunked and self._left is None:
            return self._complete(b"".join(self._body))
        return False

    def _complete(self, body: bytes) -> bool:
        self.body, self._data = body, b""
        return True

    def _bounded(self, size: int) -> None:
        if size > MOST_BODY:
            raise Malformed("too large")

    def _head(self) -> bool:
        """Read the head off the data, if it is all there. An interim answer (1xx) is thrown away."""
        stop = self._data.find(b"\r\n\r\n", 0, MOST_HEAD)
        if stop < 0:
            if len(self._data) >= MOST_HEAD or not b"HTTP/1.".startswith(self._data[:7]):
                raise Malformed("not an answer")
            return False
        head, self._data = self._data[: stop + 2].lower(), self._data[stop + 4 :]
        line = _STATUS.match(head)
        if line is None:
            raise Malformed("not an answer")
        self.status = int(line[2])
        if self.status < 200:
            if self.status == 101:
                raise Malformed("not an answer")
            return bool(self._data)
        self._framing(head, line[1] == b"1")
        self._in_body = True
        return True

    def _framing(self, head: bytes, newer: bool) -> None:
        lengths, codings = set(_LENGTH.findall(head)), _CODING.findall(head)
        if head.count(b"\r\ncontent-length") > len(lengths) or len(lengths) > 1 or (lengths and codings):
            raise Malformed("ambiguous length")
        connection = b",".join(_CONNECTION.findall(head))
        self.keep = b"close" not in connection if newer else b"keep-alive" in connection
        if self.status in (204, 304):
            self._left = 0
        elif codings:
            if codings != [b"chunked"]:
                raise Malformed("unknown transfer coding")
            self._chunked = True
        elif lengths:
            self._left = int(lengths.pop())
            self._bounded(self._left)
        else:
            self.keep = False

    def _chunks(self) -> bool:
        """Move whole chunks from the data to the body; True after the last one and its trailer."""
        data, place = self._data, 0
        while (size := _CHUNK.match(data, place)) is not None:
            length, start = int(size[1], 16), size.end()
            self._bounded(self._size + length)
            if length == 0:
                self._data = data[place:]
                return self._trailer(start - place)
            if len(data) < start + length + 2:
                break
            if data[start + length : start + length + 2] != b"\r\n":
                raise Malformed("a chunk longer than its size")
            self._body.append(data[start : start + length])
            self._size += length
            place = start + length + 2
        self._data = data = data[place:]
        if size is None and (b"\n" in data[:_MOST_SIZE] or len(data) >= _MOST_SIZE):
            raise Malformed("a chunk without a size")
        return False

    def _trailer(self, start: int) -> bool:
        rest = self._data[start:]
        stop = 2 if rest.startswith(b"\r\n") else rest.find(b"\r\n\r\n") + 4
        if stop == 3:  # neither
            if len(rest) > MOST_HEAD:
                raise Malformed("too large")
            return False
        if len(rest) > stop:
            raise Malformed("more came than was announced")
        return self._complete(b"".join(self._body))
