"""The chain as one node knows it: the finalized line, the blocks above it, the newest justified block, the
head.

Fork choice: the longest chain over the newest justified block; ties go to the better-ranked proposer, then to
the greater hash. It looks at nothing but blocks and that one justified block, so nodes that know the same
agree. Who may vote for what is decided in ``consensus``.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from runner.devnet.frames import Block

PROPOSERS = 5


class Refused(Exception):
    """A block that cannot be accepted; the message says why."""


class Orphan(Refused):
    """A block whose parent is not known (yet)."""


@lru_cache(maxsize=256)
def proposers(layer: int, nodes: int) -> tuple[int, ...]:
    """The places of those who may propose in a layer, best first: one, and four should it be silent."""
    chosen: list[int] = []
    turn = 0
    while len(chosen) < min(PROPOSERS, nodes):
        digest = hashlib.sha256(f"{layer}/{turn}".encode()).digest()
        for at in range(0, 32, 4):
            place = int.from_bytes(digest[at : at + 4], "big") % nodes
            if place not in chosen and len(chosen) < PROPOSERS:
                chosen.append(place)
        turn += 1
    return tuple(chosen)


def _next_state(state: str, block: Block) -> str:
    return hashlib.sha256(f"{state}|{block.layer}|{block.proposer}".encode()).hexdigest()[:16]


class Ledger:
    """One node's chain. ``final`` is the finalized line by height, ``live`` all accepted blocks above it."""

    def __init__(self, network: str, nodes: int) -> None:
        self.nodes = nodes
        genesis = Block(0, 0, network, 0)
        self.final: list[Block] = [genesis]
        self.places: dict[str, int] = {genesis.hash: 0}
        self.live: dict[str, Block] = {}
        self.justified = genesis
        self.head = genesis
        self.state = _next_state("", genesis)

    @property
    def finalized(self) -> Block:
        """The last finalized block."""
        return self.final[-1]

    def knows(self, name: str) -> bool:
        """Whether the block is in the chain or in the tree above it."""
        return name in self.live or name in self.places

    def get(self, name: str) -> Block | None:
        """A known block by its hash."""
        if name in self.live:
            return self.live[name]
        place = self.places.get(name)
        return None if place is None else self.final[place]

    def rank(self, block: Block) -> int:
        """The proposer's place in the layer's order; ``PROPOSERS`` for someone who may not propose."""
        order = proposers(block.layer, self.nodes)
        return order.index(block.proposer) if block.proposer in order else PROPOSERS

    def _key(self, block: Block) -> tuple[int, int, str]:
        return (block.height, -self.rank(block), block.hash)

    def add(self, block: Block) -> None:
        """Takes a block in. Raises ``Orphan`` or ``Refused``; the clock is not looked at."""
        parent = self.get(block.parent)
        if parent is None:
            if block.height <= self.finalized.height:
                raise Refused("it leaves the finalized chain")
            raise Orphan("its parent is not known")
        if parent.height < self.finalized.height:
            raise Refused("it leaves the finalized chain")
        if block.height != parent.height + 1 or block.layer <= parent.layer:
            raise Refused("its height or layer does not follow its parent's")
        if self.rank(block) >= PROPOSERS:
            raise Refused("its proposer had no turn")
        self.live[block.hash] = block
        if self._key(block) > self._key(self.head) and self.descends(block, self.justified):
            self.head = block

    def descends(self, block: Block, ancestor: Block) -> bool:
        """Whether ``ancestor`` is ``block`` or lies below it."""
        at: Block | None = block
        while at is not None and at.height > ancestor.height:
            if at.hash == self.head.hash and ancestor.hash == self.justified.hash:
                return True  # by construction: spares the long walk in a long split
            at = self.get(at.parent)
        return at is not None and at.hash == ancestor.hash

    def justify(self, block: Block) -> bool:
        """Makes a later block the root of the fork choice.

        False if it is not later or leaves the finalized chain.
        """
        if block.layer <= self.justified.layer or not self.descends(block, self.finalized):
            return False
        self.justified = block
        self.choose()
        return True

    def finalize(self, block: Block) -> list[Block]:
        """Appends the line up to ``block`` to the finalized chain, and forgets what that rules out.

        Empty if it would conflict.
        """
        line: list[Block] = []
        at: Block | None = block
        while at is not None and at.height > self.finalized.height:
            line.append(at)
            at = self.get(at.parent)
        if at is None or at.hash != self.finalized.hash:
            return []
        for step in reversed(line):
            self.places[step.hash] = step.height
            self.final.append(step)
            self.state = _next_state(self.state, step)
        kept = {block.hash}
        live: dict[str, Block] = {}
        for other in sorted(self.live.values(), key=lambda one: one.height):
            if other.parent in kept:
                kept.add(other.hash)
                live[other.hash] = other
        self.live = live
        if self.justified.hash not in kept:
            self.justified = block
        self.choose()
        return line[::-1]

    def choose(self) -> None:
        """Finds the head anew."""
        over = {self.justified.hash}
        best = self.justified
        for block in sorted(self.live.values(), key=lambda one: one.height):
            if block.parent in over:
                over.add(block.hash)
                if self._key(block) > self._key(best):
                    best = block
        self.head = best

    def forget_after(self, layer: int) -> int:
        """Drops blocks of later layers that are not justified: the clock they came from was wrong.

        Returns how many.
        """
        spared: set[str] = set()
        at: Block | None = self.justified
        while at is not None and at.hash in self.live:
            spared.add(at.hash)
            at = self.live.get(at.parent)
        gone = {name for name, block in self.live.items() if block.layer > layer and name not in spared}
        if gone:
            self.live = {name: block for name, block in self.live.items() if name not in gone}
            self.choose()
        return len(gone)

    def line(self, start: int, count: int) -> list[Block]:
        """At most ``count`` blocks of the head's chain from height ``start`` on."""
        upper: list[Block] = []
        at: Block | None = self.head
        while at is not None and at.height > self.finalized.height and at.height >= start:
            upper.append(at)
            at = self.live.get(at.parent)
        return [*self.final[max(start, 0) : start + count], *reversed(upper)][:count]
