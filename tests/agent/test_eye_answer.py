import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.agent.eye.answer import MOST_BODY, Answer, Malformed

PLAIN = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN


def read(data, cuts=()):
    """Feed the data cut at these places; nothing but the last piece completes the answer."""
    answer = Answer()
    places = [0, *sorted({c % len(data) for c in cuts} - {0}), len(data)]
    for begin, end in itertools.pairwise(places):
        assert answer.feed(data[begin:end]) is (end == len(data))
    return answer


@pytest.mark.parametrize(("data", "status"), [(PLAIN, 200), (CHUNKED, 201), (INTERIM, 200)])
@given(cuts=st.lists(st.integers(1, 200), max_size=8))
def test_an_answer_in_pieces_is_the_same_answer(data, status, cuts):
    answer = read(data, cuts)
    assert (answer.status, answer.body, answer.keep) == (status, b"hello", True)


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
    ],
)
def test_whether_the_connection_can_be_used_again(head, keep):
    assert read(head + b"content-length: 1\r\n\r\nx").keep is keep


def test_without_a_length_the_end_of_the_stream_is_the_end():
    answer = Answer()
    assert not answer.feed(b"HTTP/1.0 200 OK\r\n\r\nsome")
    assert not answer.feed(b" text")
    assert answer.end()
    assert answer.body == b"some text"


def test_the_end_of_the_stream_in_the_middle_completes_nothing():
    answer = Answer()
    assert not answer.feed(PLAIN[:-1])
    assert not answer.end()


def test_no_content_has_no_body():
    assert read(b"HTTP/1.1 204 No Content\r\n\r\n").body == b""


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "not an answer"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "not an answer"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "not an answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10000, "not an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "ambiguous length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab", "ambiguous length"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "ambiguous length",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "unknown transfer coding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "a chunk without a size"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "a chunk longer than its size",
        ),
        (PLAIN + b"more", "more came than was announced"),
        (CHUNKED + b"more", "more came than was announced"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST_BODY + 1), "too large"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (MOST_BODY + 1), "too large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (MOST_BODY + 1), "too large"),
    ],
)
def test_what_is_not_an_answer_says_why(data, why):
    with pytest.raises(Malformed, match=why):
        Answer().feed(data)
