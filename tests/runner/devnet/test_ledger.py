"""The ledger: what is accepted, which chain is followed, what finality rules out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.devnet.frames import Block
from runner.devnet.ledger import PROPOSERS, Ledger, Orphan, Refused, proposers

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
NODES = 9


def extend(ledger: Ledger, parent: Block, layer: int, rank: int = 0) -> Block:
    block = Block(layer, parent.height + 1, parent.hash, proposers(layer, NODES)[rank])
    ledger.add(block)
    return block


def chain(ledger: Ledger, parent: Block, layers: range, rank: int = 0) -> list[Block]:
    line = []
    for layer in layers:
        parent = extend(ledger, parent, layer, rank)
        line.append(parent)
    return line


@pytest.fixture
def ledger() -> Ledger:
    return Ledger("test", NODES)


@CALM
@given(st.integers(1, 10_000), st.integers(1, 120))
def test_a_layer_has_distinct_proposers_of_the_network(layer, nodes):
    chosen = proposers(layer, nodes)
    assert len(set(chosen)) == len(chosen) == min(PROPOSERS, nodes)
    assert all(0 <= place < nodes for place in chosen)


def test_everybody_gets_a_turn():
    assert {proposers(layer, NODES)[0] for layer in range(1, 200)} == set(range(NODES))


def test_the_longest_chain_is_followed_whatever_the_order_of_arrival(ledger):
    short = chain(ledger, ledger.head, range(1, 3))
    long = chain(ledger, ledger.finalized, range(3, 7))
    assert ledger.head == long[-1]
    other = Ledger("test", NODES)
    for block in [*long, *short]:
        other.add(block)
    assert other.head == ledger.head


def test_of_two_blocks_at_one_height_the_better_placed_proposers_is_followed(ledger):
    root = ledger.head
    extend(ledger, root, 1, rank=2)
    best = extend(ledger, root, 1, rank=0)
    extend(ledger, root, 1, rank=1)
    assert ledger.head == best


def test_a_justified_block_beats_any_length(ledger):
    chosen = extend(ledger, ledger.head, 10)
    long = chain(ledger, ledger.finalized, range(1, 6))
    assert ledger.head == long[-1]
    assert ledger.justify(chosen)
    assert ledger.head == chosen
    assert not ledger.justify(long[0]), "an older layer is justified no more"


def test_finality_cuts_off_what_does_not_descend(ledger):
    fork = chain(ledger, ledger.finalized, range(1, 4), rank=1)
    main = chain(ledger, ledger.finalized, range(1, 4))
    ledger.justify(main[2])
    assert ledger.finalize(main[1]) == main[:2]
    assert ledger.finalized == main[1]
    assert not ledger.knows(fork[0].hash)
    assert ledger.knows(main[2].hash)
    with pytest.raises(Refused):
        ledger.add(Block(5, 1, ledger.final[0].hash, proposers(5, NODES)[0]))
    with pytest.raises(Orphan):
        ledger.add(Block(5, 4, fork[2].hash, proposers(5, NODES)[0]))
    assert ledger.finalize(main[0]) == [], "what is final already is not final once more"


def test_the_state_depends_on_the_finalized_chain_alone(ledger):
    other = Ledger("test", NODES)
    main = chain(ledger, ledger.finalized, range(1, 5))
    before = ledger.state
    ledger.finalize(main[3])
    for block in main:
        other.add(block)
        other.finalize(block)
    assert ledger.state == other.state != before


@pytest.mark.parametrize(
    "block",
    [
        Block(2, 3, "parent", proposers(2, NODES)[0]),
        Block(1, 2, "parent", proposers(1, NODES)[0]),
        Block(2, 2, "parent", next(n for n in range(NODES) if n not in proposers(2, NODES))),
    ],
    ids=["height", "layer", "proposer"],
)
def test_refused(ledger, block):
    parent = extend(ledger, ledger.head, 1)
    with pytest.raises(Refused):
        ledger.add(Block(block.layer, block.height, parent.hash, block.proposer))


def test_blocks_of_a_wrong_clock_are_forgotten_but_for_justified_ones(ledger):
    main = chain(ledger, ledger.head, range(1, 9))
    ledger.justify(main[4])
    assert ledger.forget_after(3) == 3
    assert ledger.head == main[4]


def test_a_range_spans_finalized_and_live_blocks(ledger):
    main = chain(ledger, ledger.head, range(1, 9))
    ledger.justify(main[4])
    ledger.finalize(main[3])
    assert ledger.line(2, 4) == main[1:5]
    assert ledger.line(7, 50) == main[6:]
    assert ledger.line(9, 50) == []


@CALM
@given(st.randoms(use_true_random=False))
def test_the_head_found_step_by_step_is_the_head_found_anew(rng):
    ledger = Ledger("test", NODES)
    blocks = [ledger.head]
    for _ in range(30):
        parent = rng.choice(blocks)
        layer = parent.layer + rng.randint(1, 3)
        block = Block(layer, parent.height + 1, parent.hash, proposers(layer, NODES)[rng.randint(0, 4)])
        if not ledger.knows(block.hash):
            ledger.add(block)
            blocks.append(block)
        if rng.random() < 0.1:
            ledger.justify(rng.choice(blocks))
        head = ledger.head
        ledger.choose()
        assert ledger.head == head
