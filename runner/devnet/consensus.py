"""Who proposes, who votes for what, and what is final.

The rules are those of Casper FFG (Buterin, Griffith 2017) with a checkpoint in every layer, preceded by a
round without promises:

1. A proposer of the layer offers a block on its head. Everybody *acks* the best block of the layer; acks bind
   nobody.
2. Who sees acks of more than two thirds for a block of the layer *votes*: a link from its newest justified
   block (the source) to that block (the target), the vote on disk first. It votes at most once a layer, in
   growing layers, with sources that never get older.
3. A link with votes of more than two thirds justifies its target; if source and target are in consecutive
   layers the source is final.

Why two conflicting blocks are never final. Say s (layer f) is final by the link s→t (layer f+1), and c is the
justified block of the lowest layer ≥ f that does not descend from s. Any two quorums share more than a third,
so some node voted in both; one vote a layer rules out f and f+1 for c. The link to c starts at a block below
f (otherwise c would descend from s, or not be the lowest). So that node voted s→t in layer f+1 and later, in
c's layer, from a source older than s: forbidden by rule 2. Because of the round of acks, nobody binds himself
on a side of a split or with a clock that has no quorum, and so nobody is locked after it.

A node without memory (a first start, or a disk that was lost) does not vote until it has seen fresh votes of
nodes with a third of the stake: each quorum it may have been in has one of those, whose source is at least as
new as any that it forgot. Only where more than two thirds say in one layer that they remember nothing does it
begin without: that is a first start (or the loss of more than a third of all disks at once, beyond what any
quorum bears).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.devnet.config import Config
from runner.devnet.events import Log, Now, Store
from runner.devnet.frames import Ack, Block, Vote
from runner.devnet.ledger import Ledger, Orphan, Refused
from runner.devnet.peering import Link, Peering

KEEP_LAYERS = 4
SETS_A_LAYER = 32
PENDING = 16
SLOT = 0.1
VoteKey = tuple[str, int, str]


@dataclass
class Tally:
    """Acks and votes of one layer: target → (bits, blank bits); (target, source layer, source) → bits."""

    acks: dict[str, tuple[int, int]] = field(default_factory=dict)
    votes: dict[VoteKey, int] = field(default_factory=dict)


class Consensus(Peering):
    """The part of the core that decides. It changes tallies and the ledger; sending them is the core's."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        first = ",".join(f"{name}={config.stakes[name]}" for name in config.names)
        self.network = f"{config.genesis:.3f}/{config.layer_s}/{first}"[:120]
        self.ledger = Ledger(self.network, len(config.names))
        self.tallies: dict[int, Tally] = {}
        self.pending: dict[str, Vote] = {}
        self.best_link: Vote | None = None
        self.final_link: Vote | None = None
        self.recent: dict[str, Block] = {}
        self.version = 0
        self.layer = 0
        self.proposed = self.acked = -1
        self.voted = 0
        self.voted_source = 0
        self.blank = True
        self.recall_after: int | None = None
        self.recalled = 0
        self.recalled_source = 0
        self.mine = 1 << config.number
        self.everybody = (1 << len(config.names)) - 1

    # -- rules that a known bug may break --

    def has_quorum(self, bits: int) -> bool:
        """More than two thirds of the stake."""
        return 3 * self.config.weight(bits) > 2 * self.config.total

    def is_future(self, layer: int, now: Now) -> bool:
        """Whether a layer begins later than our clock and the tolerance allow."""
        return self.config.start_of(layer) > now.wall + self.config.tolerance_s

    def may_vote(self, target: Block, source: Block) -> bool:
        """Rule 2, as far as this node's own past goes."""
        return target.layer > self.voted and source.layer >= self.voted_source

    def candidates(self) -> list[Block]:
        """Blocks of this layer (or the one before) that have acks of a quorum."""
        found = []
        for layer in (self.layer - 1, self.layer):
            for name, (bits, _) in self.tally(layer).acks.items():
                block = self.ledger.live.get(name)
                if block is not None and block.layer == layer and self.has_quorum(bits):
                    found.append(block)
        return found

    def tally(self, layer: int) -> Tally:
        """The tally of a layer, empty at first."""
        return self.tallies.setdefault(layer, Tally())

    # -- blocks --

    def accept(self, block: Block, sender: str, now: Now, *, synced: bool = False) -> bool:
        """Takes in a block from a peer or of our own.

        Raises ``Orphan``; all other refusals are logged and answer False.
        """
        if self.ledger.knows(block.hash):
            return True
        if self.is_future(block.layer, now):
            ahead = self.config.start_of(block.layer) - now.wall
            self.out.append(
                Log(f"refused block from the future: layer {block.layer} of {sender}, {ahead:.1f} s ahead")
            )
            return False
        try:
            self.ledger.add(block)
        except Orphan:
            raise
        except Refused as why:
            if not synced:
                self.out.append(
                    Log(f"refused block {block.hash[:8]} of layer {block.layer} from {sender}: {why}")
                )
            return False
        self.out.append(Store(["b", block.layer, block.height, block.parent, block.proposer]))
        self.log_accepted(block, sender, now, synced=synced)
        if block.layer >= self.layer - KEEP_LAYERS and not synced:
            self.recent[block.hash] = block
        self.version += 1
        waiting = self.pending.pop(block.hash, None)
        if waiting is not None:
            self.certify(waiting)
        return True

    def log_accepted(self, block: Block, sender: str, now: Now, *, synced: bool) -> None:
        """The line for a block that came in; synced ones are summed up by the core."""
        if not synced:
            self.out.append(
                Log(f"block {block.height} {block.hash[:8]} of layer {block.layer} from {sender}")
            )

    def propose(self, now: Now, phase: float) -> None:
        """Offers a block if it is our turn and nobody better-placed has."""
        ledger = self.ledger
        if self.proposed == self.layer or ledger.head.layer >= self.layer or self.layer < 1:
            return
        block = Block(self.layer, ledger.head.height + 1, ledger.head.hash, self.config.number)
        if phase >= SLOT * ledger.rank(block) and ledger.rank(block) * SLOT < 0.5:
            self.proposed = self.layer
            self.accept(block, "ourselves", now)

    # -- acks and votes --

    def ack(self, phase: float) -> None:
        """Acks the head if it is of this layer and those before its proposer had their chance."""
        head = self.ledger.head
        if self.acked == self.layer or head.layer != self.layer:
            return
        rank = self.ledger.rank(head)
        if rank and phase < SLOT * (rank + 1):
            return
        self.acked = self.layer
        bits, blank = self.tally(self.layer).acks.get(head.hash, (0, 0))
        self.tally(self.layer).acks[head.hash] = (bits | self.mine, blank | (self.mine if self.blank else 0))
        self.version += 1

    def vote(self) -> None:
        """Votes, bindingly, where there is a quorum of acks; on disk before it can be sent."""
        source = self.ledger.justified
        for target in self.candidates():
            if not self.remembers(target) or not self.may_vote(target, source):
                continue
            if target.hash == source.hash or not self.ledger.descends(target, source):
                continue
            self.voted, self.voted_source = target.layer, source.layer
            self.out.append(Store(["v", target.layer, target.hash, source.layer, source.hash]))
            key = (target.hash, source.layer, source.hash)
            votes = self.tally(target.layer).votes
            votes[key] = votes.get(key, 0) | self.mine
            self.version += 1
            self.certify(Vote(target.layer, *key, votes[key]))

    def remembers(self, target: Block) -> bool:
        """Whether this node may vote as far as its memory goes; it may have to be regained first."""
        if not self.blank:
            return True
        _, blank = self.tally(target.layer).acks.get(target.hash, (0, 0))
        if 3 * self.config.weight(self.recalled) < self.config.total and not self.has_quorum(blank):
            return False
        self.blank = False
        self.voted = max(self.voted, self.recall_after or 0)
        self.voted_source = max(self.voted_source, self.recalled_source)
        self.out.append(Store(["r", self.voted, self.voted_source]))
        return True

    def merge_ack(self, ack: Ack, link: Link, now: Now) -> None:
        """Takes in acks from a peer."""
        if not self.layer - KEEP_LAYERS <= ack.layer or self.is_future(ack.layer, now):
            return
        acks = self.tally(ack.layer).acks
        if ack.target not in acks and len(acks) >= SETS_A_LAYER:
            return
        bits, blank = acks.get(ack.target, (0, 0))
        got, got_blank = ack.bits & self.everybody, ack.blank & ack.bits & self.everybody
        if (bits | got, blank | got_blank) != (bits, blank):
            acks[ack.target] = (bits | got, blank | got_blank)
            self.version += 1
        key = ("a", ack.layer, ack.target)
        had, had_blank = link.known.get(key, (0, 0))
        link.known[key] = (had | got, had_blank | got_blank)

    def merge_vote(self, vote: Vote, link: Link, now: Now) -> None:
        """Takes in votes from a peer; a whole quorum also from layers long past."""
        if self.is_future(vote.layer, now):
            return
        got = vote.bits & self.everybody
        if vote.layer < self.layer - KEEP_LAYERS:
            if self.has_quorum(got):
                self.certify(vote._replace(bits=got))
            return
        key: VoteKey = (vote.target, vote.source_layer, vote.source)
        votes = self.tally(vote.layer).votes
        if key not in votes and len(votes) >= SETS_A_LAYER:
            return
        before = votes.get(key, 0)
        if before | got != before:
            votes[key] = before | got
            self.version += 1
            if self.recall_after is not None and vote.layer > self.recall_after:
                self.recalled |= votes[key] & ~self.mine
                self.recalled_source = max(self.recalled_source, vote.source_layer)
            self.certify(Vote(vote.layer, *key, votes[key]))
        known = ("v", vote.layer, *key)
        link.known[known] = (link.known.get(known, (0, 0))[0] | got, 0)

    def certify(self, link: Vote, *, store: bool = True) -> None:
        """Draws the conclusions from a link that may have a quorum."""
        if not self.has_quorum(link.bits):
            return
        ledger = self.ledger
        target, source = ledger.get(link.target), ledger.get(link.source)
        if target is None or source is None:
            if link.layer > ledger.justified.layer and (
                len(self.pending) < PENDING or link.target in self.pending
            ):
                self.pending[link.target] = link
            return
        if target.layer != link.layer or source.layer != link.source_layer or target.layer <= source.layer:
            return
        fresh = ledger.justify(target)
        finalizes = target.layer == source.layer + 1 and source.height > ledger.finalized.height
        if not fresh and not finalizes:
            return
        if store:
            self.out.append(
                Store(["c", link.layer, link.target, link.source_layer, link.source, f"{link.bits:x}"])
            )
        if fresh:
            self.best_link = link
        if finalizes:
            self.settle(source, link)
        self.version += 1

    def settle(self, block: Block, link: Vote) -> None:
        """Makes a block final."""
        if self.ledger.finalize(block):
            self.final_link = link
            final = self.ledger.finalized
            self.out.append(Log(f"finalized {final.height} {final.hash[:8]} of layer {final.layer}"))
        else:
            self.out.append(
                Log(f"refused finality of {block.height} {block.hash[:8]}: it conflicts with what is final")
            )

    # -- time --

    def decide(self, now: Now) -> None:
        """All that is due in the layer that our clock shows."""
        layer = self.config.layer_at(now.wall)
        if layer != self.layer:
            self.turn(layer)
        phase = (now.wall - self.config.start_of(layer)) / self.config.layer_s
        if layer < 1:
            return
        self.propose(now, phase)
        self.ack(phase)
        self.vote()

    def turn(self, layer: int) -> None:
        """Another layer has begun; the clock may also have gone back."""
        if layer < self.layer - 1:
            gone = self.ledger.forget_after(layer + 1)
            self.out.append(
                Log(f"the clock went back {self.layer - layer} layers; forgot {gone} blocks from the future")
            )
        self.layer = layer
        for old in [at for at in self.tallies if not layer - KEEP_LAYERS <= at <= layer + KEEP_LAYERS]:
            del self.tallies[old]
        self.recent = {
            name: b
            for name, b in self.recent.items()
            if layer - KEEP_LAYERS <= b.layer <= layer + KEEP_LAYERS
        }
        for link in self.links.values():
            link.known = {key: bits for key, bits in link.known.items() if key[1] in self.tallies}
            if len(link.has) > 512:
                link.has.clear()
