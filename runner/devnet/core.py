"""A whole node without its sockets, disk and clock: ``handle(now, event)`` gives what is to be done.

Here is what goes over the links: blocks, acks and votes that the other end lacks, the head, and ranges of the
chain for those behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.config import Config
from runner.devnet.consensus import Consensus
from runner.devnet.events import Accepted, Action, Closed, Dialled, Event, Log, Now, Received, Send
from runner.devnet.frames import BATCH, Ack, Block, Frame, Vote
from runner.devnet.ledger import Orphan, Refused
from runner.devnet.peering import PING_S, Link

SYNC_S = 2.0
RECENT = 16


class Core(Consensus):
    """A node.

    ``records`` is what its disk holds, in the order written. Pure: no input or output, no clock, no chance
    but its name.
    """

    def __init__(self, config: Config, records: Iterable[Sequence[Any]] = ()) -> None:
        super().__init__(config)
        self.syncing: int | None = None
        self.sync_until = 0.0
        self.sync_from = 0
        self.learn(dict(config.peers), store=False)
        self.restore(records)
        self.out.clear()

    # -- the disk --

    def restore(self, records: Iterable[Sequence[Any]]) -> None:
        """Takes up where the disk left off. A record that makes no sense is passed over."""
        for record in records:
            try:
                self._recall(record)
            except (Refused, ValueError, TypeError, IndexError, KeyError):
                continue

    def _recall(self, record: Sequence[Any]) -> None:
        kind = record[0]
        if kind == "b":
            block = Block(*record[1:5])
            if not self.ledger.knows(block.hash):
                self.ledger.add(block)
        elif kind == "v":
            self.voted, self.voted_source = max(self.voted, record[1]), max(self.voted_source, record[3])
            self.blank = False
        elif kind == "c":
            link = Vote(record[1], record[2], record[3], record[4], int(record[5], 16))
            self.certify(link, store=False)
        elif kind == "p":
            self.learn(record[1], store=False)
        elif kind == "r":
            self.voted, self.voted_source = max(self.voted, record[1]), max(self.voted_source, record[2])
            self.blank = False

    # -- events --

    def handle(self, now: Now, event: Event) -> list[Action]:
        """What follows from an event, in the order in which it is to be carried out."""
        if isinstance(event, Accepted):
            self.on_accepted(event.link, now)
        elif isinstance(event, Dialled | Closed | Received):
            link = self.links.get(event.link)
            if link is not None:
                self._on_link(link, event, now)
        else:
            self.tend(now)
            self.decide(now)
            self.catch_up(now)
            # All are pinged together, so that all answers come together: wake-ups are what a node costs.
            pinging = any(now.mono - link.pinged >= PING_S for link in self.links.values() if link.greeted)
            for link in list(self.links.values()):
                self.flush(link, now, pinging=pinging)
        out, self.out = self.out, []
        return out

    def _on_link(self, link: Link, event: Dialled | Closed | Received, now: Now) -> None:
        if isinstance(event, Dialled):
            self.on_dialled(link, now)
        elif isinstance(event, Closed):
            self.on_closed(link, now)
        elif event.frame is None:
            self.drop(link, now, why="it sent something malformed")
        else:
            link.heard = now.mono
            self.on_frame(link, event.frame, now)

    def on_frame(self, link: Link, frame: Frame, now: Now) -> None:
        """Everything that a peer sent at one tick."""
        if frame.full:
            self.learn(frame.peers)
            self.drop(link, now, quiet=True)
            return
        if frame.hello and not link.greeted and not self.on_hello(link, frame.hello, now):
            return
        if not link.greeted:
            self.drop(link, now, quiet=True)
            return
        if frame.ping is not None:
            link.pongs.append(frame.ping)
        if frame.pong is not None:
            self.on_pong(link, frame.pong, now)
            if link.id not in self.links:
                return
        self.learn(frame.peers)
        if frame.head is not None:
            link.head = frame.head
            link.has[frame.head[1]] = None
        if frame.range is not None:
            self.on_range(link, frame.range, now)
        self.on_blocks(link, frame.blocks, now)
        for ack in frame.acks:
            self.merge_ack(ack, link, now)
        for vote in frame.votes:
            self.merge_vote(vote, link, now)
        if frame.want is not None:
            link.wanted = frame.want

    def on_up(self, link: Link, now: Now) -> None:
        """A link has come up: what is remembered of before no longer holds."""
        link.version = -1
        if self.recall_after is None:
            self.recall_after = self.layer + 1

    # -- blocks and ranges --

    def on_blocks(self, link: Link, blocks: list[Block], now: Now) -> None:
        """New blocks. One that does not fit yet shows that the other end has a chain that we lack."""
        for block in blocks:
            link.has[block.hash] = None
            try:
                self.accept(block, link.name or "?", now)
            except Orphan:
                link.head = (block.height, block.hash)

    def on_range(self, link: Link, blocks: list[Block], now: Now) -> None:
        """The part of a chain that we asked for.

        Where it does not fit, we ask again from further down, or no more.
        """
        if link.id != self.syncing:
            return
        self.syncing = None
        asked, taken, fits = self.sync_from, 0, bool(blocks)
        self.sync_from = 0
        for block in blocks:
            link.has[block.hash] = None
            known = self.ledger.knows(block.hash)
            try:
                fits = self.accept(block, link.name or "?", now, synced=True)
            except Orphan:
                fits = False
            if not fits:
                break
            taken += not known
        if taken:
            self.out.append(Log(f"took {taken} blocks up to {blocks[-1].height} from {link.name}"))
        if fits:
            self.sync_from = blocks[-1].height + 1
        elif asked <= self.ledger.finalized.height + 1:
            link.head = None

    def behind(self) -> list[Link]:
        """Links whose head we do not know and might want."""
        ledger = self.ledger
        return [
            link
            for link in self.links.values()
            if link.up
            and link.head is not None
            and link.head[0] > ledger.finalized.height
            and not ledger.knows(link.head[1])
        ]

    def catch_up(self, now: Now) -> None:
        """Asks one peer at a time for the part of its chain that we lack."""
        if self.syncing is not None and self.syncing in self.links and now.mono < self.sync_until:
            return
        self.syncing = None
        found = self.behind()
        if not found:
            self.sync_from = 0
            return
        link = max(found, key=lambda one: (one.head or (0, ""))[0])
        floor = self.ledger.finalized.height + 1
        goal = (link.head or (0, ""))[0]
        self.sync_from = self.sync_from if floor < self.sync_from <= goal else floor
        self.syncing, self.sync_until = link.id, now.mono + SYNC_S
        self.out.append(Send(link.id, Frame(want=self.sync_from)))

    # -- sending --

    def flush(self, link: Link, now: Now, *, pinging: bool) -> None:
        """Sends what the other end lacks, all in one frame."""
        if not link.greeted or link.id not in self.links:
            return
        frame = Frame()
        if pinging and now.mono - link.pinged >= PING_S / 2:
            frame.ping = link.pinged = now.mono
        if link.pongs:
            frame.pong = (link.pongs[-1], now.wall)
            link.pongs.clear()
        if link.up:
            self._add_news(link, frame)
        if not frame.empty():
            self.out.append(Send(link.id, frame))

    def _add_news(self, link: Link, frame: Frame) -> None:
        if link.told < len(self.learnt):
            frame.peers = {name: self.addresses[name] for name in self.learnt[link.told :]}
            link.told = len(self.learnt)
        if link.wanted is not None:
            frame.range = self.ledger.line(link.wanted, BATCH)
            frame.votes = [vote for vote in (self.final_link, self.best_link) if vote is not None]
            link.wanted = None
        if link.version == self.version:
            return
        first, link.version = link.version < 0, self.version
        if first and not frame.votes:
            frame.votes = [vote for vote in (self.final_link, self.best_link) if vote is not None]
        fresh = [block for name, block in self.recent.items() if name not in link.has]
        frame.blocks = fresh
        link.has.update(dict.fromkeys(block.hash for block in fresh))
        head = self.ledger.head
        if head.hash not in link.has and link.told_head != head.hash:
            link.told_head = head.hash
            frame.head = (head.height, head.hash)
        self._add_tallies(link, frame)

    def _add_tallies(self, link: Link, frame: Frame) -> None:
        for layer, tally in self.tallies.items():
            if layer < self.layer - 1:
                continue  # it had its time; what came of it goes out as the newest links
            for target, sets in tally.acks.items():
                had = link.known.get(("a", layer, target), (0, 0))
                news = sets[0] & ~had[0] and not self._is_enough(had[0])
                if news or (sets[1] & ~had[1] and not self._is_enough(had[1])):
                    frame.acks.append(Ack(layer, target, *sets))
                    link.known["a", layer, target] = (had[0] | sets[0], had[1] | sets[1])
            for key, bits in tally.votes.items():
                seen = link.known.get(("v", layer, *key), (0, 0))[0]
                if bits & ~seen and not self._is_enough(seen):
                    frame.votes.append(Vote(layer, *key, bits))
                    link.known["v", layer, *key] = (seen | bits, 0)

    def _is_enough(self, bits: int) -> bool:
        """Whether a neighbour needs to hear no more of these; a bug's idea of a quorum must not starve it."""
        return 3 * self.config.weight(bits) > 2 * self.config.total

    # -- what it says of itself --

    def synced(self) -> bool:
        """Whether it has peers and knows of no better chain than its own."""
        height = self.ledger.head.height
        return bool(self.ups()) and not any((link.head or (0, ""))[0] > height for link in self.behind())

    def facts(self, now: Now) -> dict[str, Any]:
        """The answer of the status API. May raise ``Unanswered`` in a node that is broken in that way."""
        ledger = self.ledger
        final = ledger.final[-RECENT:]
        return {
            "height": ledger.head.height,
            "head": [ledger.head.height, ledger.head.hash],
            "finalized": [final[-1].height, final[-1].hash],
            "recent": [[block.height, block.hash] for block in final],
            "peers": len(self.ups()),
            "synced": self.synced(),
            "state": ledger.state,
            "layer": self.config.layer_at(now.wall),
            "clock": now.wall,
        }

    def peer_facts(self) -> list[dict[str, Any]]:
        """The answer of ``/peers``."""
        return [
            {"name": link.name, "outbound": link.outbound, "clock_offset_s": round(link.offset or 0.0, 4)}
            for link in self.ups()
        ]

    # -- when to come back --

    def due_s(self, now: Now) -> float:
        """Seconds until something is due; never many, since the wall clock may jump."""
        config = self.config
        layer_s = config.layer_s
        start = config.start_of(self.layer)
        phase = (now.wall - start) / layer_s
        slot = (int(phase / 0.1) + 1) * 0.1 if phase < 0.5 else 1.0
        waiting = self.ledger.head.layer < self.layer or self.acked != self.layer
        next_slot = (slot if waiting else 1.0) - phase
        return min(0.25, max(0.002, next_slot * layer_s))
