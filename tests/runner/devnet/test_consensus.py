"""The rules of voting, one by one, on a single core fed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.devnet.config import Config
from runner.devnet.core import Core
from runner.devnet.events import Accepted, Log, Now, Received, Send, Store, Tick
from runner.devnet.frames import Ack, Block, Frame, Hello, Vote
from runner.devnet.ledger import proposers

NAMES = ("v1", "v2", "v3", "v4")
ALL, THREE = 0b1111, 0b1110
CONFIG = Config(
    name="v1",
    address="10.0.0.1",
    peers={name: f"10.0.0.{name[1:]}" for name in NAMES[1:]},
    stakes=dict.fromkeys(NAMES, 1.0),
    genesis=1000.0,
    layer_s=1.0,
    data="",
)


class Bench:
    """A core with one peer, v2, whose clock is right. ``disk`` is what the core stored."""

    def __init__(self, *, memory: bool = True, disk: list | None = None, config: Config = CONFIG) -> None:
        self.disk = [["r", 0, 0]] if memory and disk is None else list(disk or [])
        self.core = Core(config, self.disk)
        self.t = 0.0
        self.sent: list[Frame] = []
        self.log: list[str] = []
        self.tell(Accepted(1))
        self.get(Frame(hello=Hello("v2", self.core.network, "10.0.0.2"), ping=0.0))
        self.tick()
        self.get(Frame(pong=(self.now.mono, self.now.wall)))
        self.tick()

    @property
    def now(self) -> Now:
        return Now(CONFIG.genesis + self.t, self.t)

    def tell(self, event) -> None:
        for action in self.core.handle(self.now, event):
            if isinstance(action, Store):
                self.disk.append(action.record)
            elif isinstance(action, Send):
                self.sent.append(action.frame)
            elif isinstance(action, Log):
                self.log.append(action.text)

    def get(self, frame: Frame) -> None:
        self.tell(Received(1, frame))

    def tick(self, t: float | None = None) -> None:
        self.t = self.t if t is None else t
        self.get(Frame(pong=(self.now.mono, self.now.wall)))
        self.tell(Tick())

    def block(self, layer: int, parent: Block | None = None, rank: int = 0) -> Block:
        """A block of others, shown to the core in its layer."""
        parent = parent or self.core.ledger.head
        block = Block(layer, parent.height + 1, parent.hash, proposers(layer, 4)[rank])
        self.get(Frame(blocks=[block]))
        return block

    def acks(self, block: Block, bits: int = ALL, blank: int = 0) -> None:
        self.get(Frame(acks=[Ack(block.layer, block.hash, bits, blank)]))
        self.tell(Tick())

    def votes(self, target: Block, source: Block, bits: int = ALL) -> None:
        self.get(Frame(votes=[Vote(target.layer, target.hash, source.layer, source.hash, bits)]))
        self.tell(Tick())

    @property
    def voted(self) -> list[str]:
        return [record[2] for record in self.disk if record[0] == "v"]


def other_layer(start: int) -> int:
    """The next layer in which v1 has no turn, so that only what the test shows is there."""
    return next(layer for layer in range(start, start + 500) if 0 not in proposers(layer, 4)[:2])


def test_a_vote_follows_a_quorum_of_acks_and_is_stored_before_it_is_sent():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.01)
    block = bench.block(layer)
    bench.acks(block, 0b0010)
    assert bench.voted == [], "two of four acks, its own included, are no quorum"
    order = []
    bench.get(Frame(acks=[Ack(layer, block.hash, THREE, 0)]))
    for action in bench.core.handle(bench.now, Tick()):
        if isinstance(action, Store) and action.record[0] == "v":
            order.append("stored")
        if isinstance(action, Send) and action.frame.votes:
            order.append("sent")
    assert order == ["stored", "sent"]


def test_two_thirds_are_not_enough():
    three = Config(
        name="v1", address="", peers={}, stakes=dict.fromkeys(NAMES[:3], 1.0), genesis=0, layer_s=1, data=""
    )
    core = Core(three)
    assert not core.has_quorum(0b011)
    assert core.has_quorum(0b111)
    heavy = Core(replace(three, stakes={"v1": 5.0, "v2": 1.0, "v3": 1.0}))
    assert heavy.has_quorum(0b001)
    assert not heavy.has_quorum(0b110)


def test_it_never_votes_twice_in_a_layer():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.3)
    root = bench.core.ledger.final[0]
    first, second = bench.block(layer, root, 1), bench.block(layer, root, 0)
    bench.acks(first, THREE)
    bench.acks(second, THREE)
    assert len(bench.voted) == 1


def test_it_never_votes_twice_in_a_layer_across_a_crash():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.3)
    root = bench.core.ledger.final[0]
    first = bench.block(layer, root, 1)
    bench.acks(first, THREE)
    assert bench.voted == [first.hash]
    again = Bench(disk=bench.disk)
    again.tick(layer + 0.4)
    second = again.block(layer, root, 0)
    again.acks(second, THREE)
    assert again.voted == [first.hash]


def test_it_does_not_vote_when_its_clock_has_gone_back():
    bench = Bench()
    later = other_layer(20)
    bench.tick(later + 0.1)
    bench.acks(bench.block(later), THREE)
    earlier = other_layer(5)
    assert earlier < later
    bench.tick(earlier + 0.1)
    bench.acks(bench.block(earlier, bench.core.ledger.final[0]), THREE)
    assert len(bench.voted) == 1


def test_it_does_not_vote_from_a_source_older_than_its_last():
    bench = Bench()
    a = other_layer(1)
    bench.core.voted_source = a + 1
    bench.tick(a + 5 + 0.1)
    b = other_layer(a + 5)
    bench.tick(b + 0.1)
    bench.acks(bench.block(b), THREE)
    assert bench.voted == []


def test_it_does_not_vote_for_what_leaves_the_justified_chain():
    bench = Bench()
    a, b = other_layer(1), other_layer(4)
    bench.tick(a + 0.1)
    root = bench.core.ledger.final[0]
    good, bad = bench.block(a, root, 0), bench.block(a, root, 1)
    bench.votes(good, root)
    assert bench.core.ledger.justified == good
    bench.tick(b + 0.1)
    bench.acks(bench.block(b, bad), THREE)
    assert bench.voted == []


def test_consecutive_justified_blocks_finalize_the_first():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.1)
    root = bench.core.ledger.final[0]
    first = bench.block(layer, root)
    bench.votes(first, root)
    bench.tick(layer + 1.1)
    second = bench.block(layer + 1, first)
    bench.votes(second, first, 0b0011)
    assert bench.core.ledger.finalized == root
    bench.votes(second, first, 0b0110)
    assert bench.core.ledger.finalized == first
    assert any(line.startswith("finalized 1 ") for line in bench.log)


def test_a_gap_of_a_layer_justifies_and_does_not_finalize():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.1)
    root = bench.core.ledger.final[0]
    first = bench.block(layer, root)
    bench.votes(first, root)
    bench.tick(layer + 2.1)
    third = bench.block(layer + 2, first)
    bench.votes(third, first)
    assert bench.core.ledger.justified == third
    assert bench.core.ledger.finalized == root


def test_votes_that_come_before_their_block_count_when_it_comes():
    bench = Bench()
    layer = other_layer(1)
    bench.tick(layer + 0.1)
    root = bench.core.ledger.final[0]
    block = Block(layer, 1, root.hash, proposers(layer, 4)[0])
    bench.votes(block, root)
    assert bench.core.ledger.justified == root
    bench.get(Frame(blocks=[block]))
    assert bench.core.ledger.justified == block


def test_a_block_from_the_future_is_refused_and_one_within_the_tolerance_is_not():
    bench = Bench()
    bench.tick(3.4)
    bench.block(5)
    assert any("refused block from the future" in line for line in bench.log)
    assert bench.core.ledger.head.layer < 5
    bench.tick(3.6)
    block = bench.block(4)
    assert bench.core.ledger.knows(block.hash)


class TestMemory:
    """A node that remembers nothing, be it new or wiped."""

    def show(self, bench: Bench, layer: int, blank: int) -> Block:
        bench.tick(layer + 0.1)
        block = bench.block(layer)
        bench.acks(block, THREE, blank)
        return block

    def test_it_votes_at_once_where_everybody_is_new(self):
        bench = Bench(memory=False)
        block = self.show(bench, other_layer(3), blank=THREE)
        assert bench.voted == [block.hash]

    def test_it_does_not_vote_where_others_remember(self):
        bench = Bench(memory=False)
        self.show(bench, other_layer(3), blank=0)
        assert bench.voted == []
        assert bench.core.tally(other_layer(3)).acks, "it acks all the same"

    def test_fresh_votes_of_a_third_give_it_back(self):
        bench = Bench(memory=False)
        a, b = other_layer(3), other_layer(8)
        root = bench.core.ledger.final[0]
        block = self.show(bench, a, blank=0)
        bench.votes(block, root, 0b0110)
        assert bench.voted == [block.hash]
        assert self.show(bench, b, blank=0).hash in bench.voted

    def test_votes_of_layers_before_its_return_do_not(self):
        bench = Bench(memory=False)
        layer = other_layer(3)
        bench.core.recall_after = layer
        root = bench.core.ledger.final[0]
        block = self.show(bench, layer, blank=0)
        bench.votes(block, root, 0b0110)
        assert bench.voted == []
        assert bench.core.blank

    def test_it_waits_until_its_source_is_as_new_as_theirs(self):
        bench = Bench(memory=False)
        layer = other_layer(8)
        bench.tick(layer + 0.1)
        block = bench.block(layer)
        unseen = Vote(layer, block.hash, layer - 2, "f" * 20, 0b0110)
        bench.get(Frame(votes=[unseen]))
        bench.acks(block, THREE)
        assert bench.voted == []
        assert bench.core.voted_source == layer - 2

    def test_it_is_on_disk(self):
        bench = Bench(memory=False)
        self.show(bench, other_layer(3), blank=THREE)
        assert not Core(CONFIG, bench.disk).blank
        assert Core(CONFIG, []).blank


@pytest.mark.parametrize("offset", [-30.0, -0.8, 0.8, 30.0])
def test_a_peer_with_another_clock_is_refused_and_let_in_when_it_is_right(offset):
    bench = Bench()
    assert len(bench.core.ups()) == 1
    bench.get(Frame(pong=(bench.now.mono, bench.now.wall + offset)))
    assert bench.core.ups() == []
    assert any(line.startswith("refused peer v2: its clock is") for line in bench.log)


def test_a_slow_round_trip_is_not_held_against_a_clock():
    bench = Bench()
    bench.get(Frame(pong=(bench.now.mono - 2.0, bench.now.wall - 2.0)))
    assert len(bench.core.ups()) == 1
