"""The messages between nodes: length-prefixed JSON, checked field by field, so that nothing malformed gets
past this room.

One frame holds everything that a node has for one peer at one tick.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

MAX_FRAME = 256 * 1024
MAX_ITEMS = 512
BATCH = 200
_LENGTH = struct.Struct(">I")
_MAX_INT = 1 << 53


class Malformed(ValueError):
    """What came is not a message of this network."""


@dataclass(frozen=True)
class Block:
    """A block. Its hash names the whole chain below it; ``proposer`` is a place in the network's order."""

    layer: int
    height: int
    parent: str
    proposer: int

    @cached_property
    def hash(self) -> str:
        """Twenty hex digits over the block's fields."""
        text = f"{self.layer}:{self.height}:{self.parent}:{self.proposer}"
        return hashlib.sha256(text.encode()).hexdigest()[:20]


class Ack(NamedTuple):
    """Who would follow ``target`` in ``layer``, without any promise.

    ``blank``: those of them that remember no vote of their own.
    """

    layer: int
    target: str
    bits: int
    blank: int


class Vote(NamedTuple):
    """Who voted, bindingly, for the link from the justified block ``source`` to ``target``."""

    layer: int
    target: str
    source_layer: int
    source: str
    bits: int


@dataclass(frozen=True)
class Hello:
    """The first message of both ends.

    ``network`` names the genesis, ``address`` is where the sender listens.
    """

    name: str
    network: str
    address: str


@dataclass
class Frame:
    """Everything for one peer at one tick; what is absent is left out on the wire.

    ``want`` asks for the sender's chain from a height on; ``range`` answers it. ``full`` turns a newcomer
    away.
    """

    hello: Hello | None = None
    ping: float | None = None
    pong: tuple[float, float] | None = None
    peers: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    head: tuple[int, str] | None = None
    want: int | None = None
    range: list[Block] | None = None
    full: bool = False

    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not _plain(self)


def _plain(frame: Frame) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if frame.hello:
        out["hello"] = [frame.hello.name, frame.hello.network, frame.hello.address]
    if frame.ping is not None:
        out["ping"] = frame.ping
    if frame.pong is not None:
        out["pong"] = frame.pong
    if frame.peers:
        out["peers"] = frame.peers
    if frame.blocks:
        out["blocks"] = [[b.layer, b.height, b.parent, b.proposer] for b in frame.blocks]
    if frame.acks:
        out["acks"] = [[a.layer, a.target, f"{a.bits:x}", f"{a.blank:x}"] for a in frame.acks]
    if frame.votes:
        out["votes"] = [[v.layer, v.target, v.source_layer, v.source, f"{v.bits:x}"] for v in frame.votes]
    if frame.head is not None:
        out["head"] = frame.head
    if frame.want is not None:
        out["want"] = frame.want
    if frame.range is not None:
        out["range"] = [[b.layer, b.height, b.parent, b.proposer] for b in frame.range]
    if frame.full:
        out["full"] = True
    return out


def encode(frame: Frame) -> bytes:
    """The bytes of a frame, length first."""
    body = json.dumps(_plain(frame), separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


def _int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_INT:
        raise Malformed("not a whole number")
    return value


def _float(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > 1e15:
        raise Malformed("not a number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= 128 or not value.isprintable():
        raise Malformed("not a text")
    return value


def _bits(value: Any) -> int:
    if type(value) is not str or not 0 < len(value) <= 1024 or not value.isalnum():
        raise Malformed("not a bitmap")
    return int(value, 16)


def _list(value: Any, width: int | None = None) -> list[Any]:
    if type(value) is not list or len(value) > MAX_ITEMS or (width is not None and len(value) != width):
        raise Malformed("not a list of the right length")
    return value


def block(row: Any) -> Block:
    """A block from ``[layer, height, parent, proposer]``."""
    layer, height, parent, proposer = _list(row, 4)
    return Block(_int(layer), _int(height), _text(parent), _int(proposer))


def ack(row: Any) -> Ack:
    """An ack set from ``[layer, target, bits, blank]``."""
    layer, target, bits, blank = _list(row, 4)
    return Ack(_int(layer), _text(target), _bits(bits), _bits(blank))


def vote(row: Any) -> Vote:
    """A vote set from ``[layer, target, source layer, source, bits]``."""
    layer, target, source_layer, source, bits = _list(row, 5)
    return Vote(_int(layer), _text(target), _int(source_layer), _text(source), _bits(bits))


def _read(given: dict[str, Any]) -> Frame:
    frame = Frame()
    if "hello" in given:
        frame.hello = Hello(*(_text(part) for part in _list(given["hello"], 3)))
    if "ping" in given:
        frame.ping = _float(given["ping"])
    if "pong" in given:
        echo, wall = _list(given["pong"], 2)
        frame.pong = (_float(echo), _float(wall))
    if "peers" in given:
        peers = given["peers"]
        if type(peers) is not dict or len(peers) > 4096:
            raise Malformed("not a list of peers")
        frame.peers = {_text(name): _text(address) for name, address in peers.items()}
    frame.blocks = [block(row) for row in _list(given.get("blocks", []))]
    frame.acks = [ack(row) for row in _list(given.get("acks", []))]
    frame.votes = [vote(row) for row in _list(given.get("votes", []))]
    if "head" in given:
        height, name = _list(given["head"], 2)
        frame.head = (_int(height), _text(name))
    if "want" in given:
        frame.want = _int(given["want"])
    if "range" in given:
        frame.range = [block(row) for row in _list(given["range"])]
    frame.full = given.get("full") is True
    return frame


def decode(body: bytes) -> Frame:
    """A frame from its bytes without the length. Raises ``Malformed``."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if type(given) is not dict:
        raise Malformed("not a mapping")
    try:
        return _read(given)
    except Malformed:
        raise
    except ValueError as wrong:
        raise Malformed(str(wrong)) from None


class Splitter:
    """Cuts a byte stream into frames.

    ``feed`` raises ``Malformed`` on a length beyond ``MAX_FRAME`` and on bad bodies.
    """

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete with ``data``."""
        held = self._held
        held += data
        frames: list[Frame] = []
        at = 0
        while len(held) - at >= 4:
            (length,) = _LENGTH.unpack_from(held, at)
            if length > MAX_FRAME:
                raise Malformed("a frame beyond all bounds")
            if len(held) - at - 4 < length:
                break
            frames.append(decode(bytes(held[at + 4 : at + 4 + length])))
            at += 4 + length
        del held[:at]
        return frames
