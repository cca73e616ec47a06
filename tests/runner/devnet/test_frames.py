"""The wire: what goes out comes back, and nothing that comes in can do more than be refused."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runner.devnet.frames import (
    MAX_FRAME,
    Ack,
    Block,
    Frame,
    Hello,
    Malformed,
    Splitter,
    Vote,
    decode,
    encode,
)

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
texts = st.text("abcdef0123456789", min_size=1, max_size=20)
whole = st.integers(0, 2**53 - 1)
bits = st.integers(0, 2**128)
blocks = st.lists(st.builds(Block, whole, whole, texts, whole), max_size=5)
frames = st.builds(
    Frame,
    hello=st.none() | st.builds(Hello, texts, texts, texts),
    ping=st.none() | st.floats(0, 1e9),
    pong=st.none() | st.tuples(st.floats(0, 1e9), st.floats(0, 1e10)),
    peers=st.dictionaries(texts, texts, max_size=4),
    blocks=blocks,
    acks=st.lists(st.builds(Ack, whole, texts, bits, bits), max_size=4),
    votes=st.lists(st.builds(Vote, whole, texts, whole, texts, bits), max_size=4),
    head=st.none() | st.tuples(whole, texts),
    want=st.none() | whole,
    range=st.none() | blocks,
    full=st.booleans(),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ["hello", "ping", "pong", "peers", "blocks", "acks", "votes", "head", "want", "range", "full"]


@CALM
@given(st.lists(frames, max_size=4), st.randoms(use_true_random=False))
def test_round_trip_whatever_the_pieces(sent, rng):
    stream = b"".join(encode(frame) for frame in sent)
    splitter, got = Splitter(), []
    while stream:
        size = rng.randint(1, len(stream))
        got += splitter.feed(stream[:size])
        stream = stream[size:]
    assert got == sent


@CALM
@given(st.dictionaries(st.sampled_from(FIELDS), values))
@example({"blocks": [[1, 2, "x"]]})
@example({"acks": [[1, "x", "-1", "0"]]})
@example({"acks": [[1, "x", "zz", "0"]]})
@example({"ping": float("inf")})
@example({"head": [True, "x"]})
@example({"peers": {"": ""}})
def test_strange_fields_are_refused_or_read(given_fields):
    try:
        frame = decode(json.dumps(given_fields).encode())
    except Malformed:
        return
    assert decode(encode(frame)[4:]) == frame


@CALM
@given(st.binary(max_size=200))
def test_noise_is_refused_or_waited_out(noise):
    with contextlib.suppress(Malformed):
        Splitter().feed(noise)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"\xff", b"[" * 100_000, b"9" * 5000, b'{"want": 1e400}', b'{"want": -1}', b"null"]
)
def test_refused(body):
    with pytest.raises(Malformed):
        decode(body)


def test_a_length_beyond_all_bounds_is_refused_before_it_is_waited_for():
    with pytest.raises(Malformed):
        Splitter().feed((MAX_FRAME + 1).to_bytes(4, "big"))


def test_an_unknown_field_is_passed_over():
    assert decode(b'{"later": 1, "want": 3}') == Frame(want=3)
