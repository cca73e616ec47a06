"""The cuts between nodes: one table in the switch, replaced as a whole in one transaction.

The ruleset never changes, only what is in its sets::

    set alive { type nf_proto; flags timeout; }     # one element, renewed by the lease
    map block { type ipv4_addr : mark; }            # the block of each node
    set cut   { type mark . ipv4_addr; }            # a block, and a node that it must not reach
    chain forward {
        meta nfproto != @alive accept               # nobody renews: everything passes again, without us
        meta mark set ip saddr map @block
        meta mark . ip daddr @cut drop
    }

So a thousand nodes in two halves are two thousand elements. A transaction flips all sets at one instant. A
packet that is being looked at in that very instant could see its block before and the cut after; block
numbers are therefore never used twice, so that such a packet matches nothing old or new.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence

from faults.agent import nft

TABLE = "seatrial"
_ALIVE, _BLOCK, _CUT = ("alive", 1), ("block", 2), ("cut", 3)
_PROTOCOL = bytes([nft.NFPROTO_IPV4])
_SOURCE, _TARGET = 12, 16
_LAST_BLOCK = 0x7FFF_0000


class Prepared:
    """A transaction made ahead of its time, and what the sets hold once it is committed."""

    __slots__ = ("batch", "blocks", "pairs")

    def __init__(self, batch: bytes, blocks: dict[bytes, bytes], pairs: frozenset[bytes]) -> None:
        self.batch = batch
        self.blocks = blocks
        self.pairs = pairs


class Cuts:
    """The table of cuts in the network namespace where this was made."""

    def __init__(self) -> None:
        self._nft = nft.Nft()
        self._next_block = 1
        self._held = Prepared(b"", {}, frozenset())
        self._rules: list[bytes] = []
        self._generation = -1
        self._alive_until = 0.0
        self._damaged: str | None = None
        self._install(0.0)

    @property
    def cutting(self) -> bool:
        """Whether anything is to be cut now."""
        return bool(self._held.pairs)

    def _install(self, now: float) -> None:
        """Make our table anew, empty but for what is left of the lease."""
        left = self._alive_until - now
        life = nft.elements(TABLE, _ALIVE[0], [_PROTOCOL], timeout_ms=int(left * 1000)) if left > 0 else []
        self._nft.commit([nft.table(TABLE), nft.delete_table(TABLE), *_ruleset(), *life])
        self._rules = self._nft.rules(TABLE)
        self._generation = self._nft.generation()
        self._held = Prepared(b"", {}, frozenset())
        self._damaged = None

    def prepare(
        self, blocks: Sequence[Sequence[str]], cut: Sequence[Sequence[int]], addresses: Mapping[str, str]
    ) -> Prepared:
        """Make the transaction that replaces all cuts; ``blocks`` and ``cut`` as in the protocol's STATE.

        Raises KeyError for a name without address and IndexError for a block that is not listed.
        """
        if self._next_block + len(blocks) > _LAST_BLOCK:
            self._next_block = 1
        first, self._next_block = self._next_block, self._next_block + len(blocks)
        marks = {i: struct.pack("=I", first + i) for i in sorted({i for i, _ in cut})}
        place = {
            i: [socket.inet_aton(addresses[name]) for name in blocks[i]]
            for i in {i for pair in cut for i in pair}
        }
        members = {address: mark for i, mark in marks.items() for address in place[i]}
        pairs = frozenset(marks[i] + address for i, j in cut for address in place[j])
        commands = [nft.flush(TABLE, _CUT[0]), nft.flush(TABLE, _BLOCK[0])]
        commands += nft.elements(TABLE, _BLOCK[0], members)
        commands += nft.elements(TABLE, _CUT[0], sorted(pairs))
        return Prepared(nft.prepare(commands), members, pairs)

    def commit(self, prepared: Prepared, now: float) -> None:
        """Put a prepared transaction into force. Damage known or met is undone first, as this is a new order.

        ``now`` is the agent's monotonic time in seconds. Raises OSError; then the former cuts are as they
        were.
        """
        if self._damaged:
            self._install(now)
        try:
            self._nft.commit_prepared(prepared.batch)
        except FileNotFoundError:
            self._install(now)
            self._nft.commit_prepared(prepared.batch)
        self._generation += 1
        self._held = prepared

    def renew(self, seconds: float, now: float) -> float | None:
        """Let the cuts stay in force for ``seconds`` from ``now``.

        Returns since when they had not been in force because nobody had renewed, or None. Raises OSError
        (FileNotFoundError where our table is gone, which ``check`` reports).
        """
        lapsed = self._alive_until if self._alive_until and self._alive_until < now else None
        life = nft.elements(TABLE, _ALIVE[0], [_PROTOCOL], timeout_ms=max(1, int(seconds * 1000)))
        self._nft.commit([nft.flush(TABLE, _ALIVE[0]), *life])
        self._generation += 1
        self._alive_until = now + seconds
        return lapsed

    def check(self) -> str | None:
        """What of ours is not there as we set it, in words, or None.

        Cheap unless others changed something.
        """
        generation = self._nft.generation()
        if generation == self._generation:
            return self._damaged
        self._damaged = self._missing()
        if not self._damaged:
            self._generation = generation
        return self._damaged

    def _missing(self) -> str | None:
        if not self._nft.has_table(TABLE):
            return f"the table {TABLE} is gone from the switch"
        if self._nft.rules(TABLE) != self._rules:
            return "the rules that cut were changed by someone else"
        try:
            if self._nft.contents(TABLE, _CUT[0]).keys() != self._held.pairs:
                return "the set of cuts was changed by someone else"
            if self._nft.contents(TABLE, _BLOCK[0]) != self._held.blocks:
                return "the map of nodes to blocks was changed by someone else"
            if self._alive_until and not self._nft.contents(TABLE, _ALIVE[0]):
                return "the element that keeps the cuts alive is gone"
        except FileNotFoundError:
            return "a set of ours is gone"
        return None

    def remove(self) -> None:
        """Delete the table; nothing happens where it is gone."""
        self._nft.commit([nft.table(TABLE), nft.delete_table(TABLE)])

    def close(self) -> None:
        """Close the socket; what is in force stays until its lease ends."""
        self._nft.close()


def _ruleset() -> list[bytes]:
    mark = (nft.TYPE_MARK, 4)
    first, second = nft.REG32_00, nft.REG32_01
    return [
        nft.table(TABLE),
        nft.new_set(TABLE, *_ALIVE, (nft.TYPE_NFPROTO, 1), flags=nft.SET_TIMEOUT),
        nft.new_set(TABLE, *_BLOCK, (nft.TYPE_IPV4, 4), data=mark),
        nft.new_set(TABLE, *_CUT, (nft.TYPE_MARK << 6 | nft.TYPE_IPV4, 8)),
        nft.forward_chain(TABLE, "forward"),
        nft.rule(
            TABLE,
            "forward",
            nft.load_protocol(first),
            nft.lookup(*_ALIVE, first, missing=True),
            nft.verdict(nft.ACCEPT),
        ),
        nft.rule(
            TABLE,
            "forward",
            nft.load_network(_SOURCE, 4, first),
            nft.lookup(*_BLOCK, first, into=first),
            nft.set_mark(first),
        ),
        nft.rule(
            TABLE,
            "forward",
            nft.load_mark(first),
            nft.load_network(_TARGET, 4, second),
            nft.lookup(*_CUT, first),
            nft.verdict(nft.DROP),
        ),
    ]
