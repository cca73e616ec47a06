"""The line: reading it, packing it, and its evaluation against the machine code that targets run."""

from __future__ import annotations

import ctypes
import mmap
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from faults.agent.clock.blob import CODE, SYMBOLS
from faults.agent.clock.line import SECOND, Line
from faults.agent.clock.refusal import Refusal

YEAR = 365 * 86400 * SECOND
NOW = 56 * YEAR

lines = st.builds(
    Line,
    offset_ns=st.integers(-YEAR, YEAR),
    rate_q32=st.one_of(st.just(0), st.just(-(1 << 32)), st.integers(-(1 << 32), 1 << 32)),
    ref_ns=st.integers(NOW - YEAR, NOW + YEAR),
    strobe_half_ns=st.one_of(st.just(0), st.integers(1, 10 * SECOND)),
    strobe_ns=st.integers(-YEAR, YEAR),
)


class Blob:
    """The blob in this process's memory, its original functions replaced by one that answers a fixed time."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.memory[: len(CODE)] = CODE
        self.now = 2048
        # mov rax, address; mov rcx, [rax]; mov [rsi], rcx; mov rcx, [rax + 8]; mov [rsi + 8], rcx;
        # xor eax, eax; ret
        body = b"\x48\xb8" + struct.pack("<Q", self.base + self.now)
        body += b"\x48\x8b\x08\x48\x89\x0e\x48\x8b\x48\x08\x48\x89\x4e\x08\x31\xc0\xc3"
        place = SYMBOLS["original_clock_gettime"]
        self.memory[place : place + len(body)] = body
        self.clock = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)(
            self.base + SYMBOLS["stub_clock_gettime"]
        )
        self.day = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(
            self.base + SYMBOLS["stub_gettimeofday"]
        )
        self.time = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self.base + SYMBOLS["stub_time"])

    def put(self, line: Line, now: int, tai: int = 0, slot: int = 0) -> None:
        ring = SYMBOLS["ring"] + 64 * slot
        self.memory[ring : ring + 64] = line.pack(tai)
        self.memory[SYMBOLS["index"]] = slot
        self.memory[self.now : self.now + 16] = struct.pack("<qq", *divmod(now, SECOND))

    def ask(self, clock: int) -> tuple[int, int]:
        out = (ctypes.c_int64 * 2)(-1, -1)
        assert self.clock(clock, ctypes.addressof(out)) == 0
        return out[0], out[1]


@pytest.fixture(scope="module")
def blob() -> Blob:
    return Blob()


@settings(max_examples=400, deadline=None)
@given(line=lines, now=st.integers(NOW - YEAR, NOW + YEAR), slot=st.integers(0, 3))
@example(line=Line(offset_ns=-1), now=NOW, slot=0)
@example(line=Line(rate_q32=-(1 << 32), ref_ns=NOW), now=NOW + 1, slot=1)
@example(line=Line(strobe_half_ns=SECOND, strobe_ns=-SECOND, ref_ns=NOW), now=NOW - SECOND, slot=2)
def test_the_blob_computes_what_python_computes(blob: Blob, line: Line, now: int, slot: int) -> None:
    blob.put(line, now, slot=slot)
    want = divmod(line.fake(now), SECOND)
    assert blob.ask(0) == want
    assert blob.ask(5) == want
    pair = (ctypes.c_int64 * 2)()
    assert blob.day(ctypes.addressof(pair), None) == 0
    assert (pair[0], pair[1]) == (want[0], want[1] // 1000)
    stored = ctypes.c_int64()
    assert blob.time(ctypes.addressof(stored)) == stored.value == want[0]


@settings(deadline=None)
@given(line=lines, now=st.integers(NOW - YEAR, NOW + YEAR), tai=st.sampled_from([0, 37 * SECOND]))
def test_tai_is_bent_by_as_much_as_realtime(blob: Blob, line: Line, now: int, tai: int) -> None:
    blob.put(line, now + tai, tai)
    assert blob.ask(11) == divmod(now + tai + line.error(now), SECOND)


@pytest.mark.parametrize("clock", [1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 16, -1, -6])
def test_other_clocks_are_true(blob: Blob, clock: int) -> None:
    blob.put(Line(offset_ns=5 * SECOND), NOW)
    assert blob.ask(clock) == divmod(NOW, SECOND)


@given(line=lines)
def test_a_block_says_which_line_it_was(line: Line) -> None:
    assert Line.unpack(line.pack()) == line


@given(line=lines)
def test_the_dictionary_says_which_line_it_was(line: Line) -> None:
    assert Line.read(line.describe()) == line


def test_the_first_half_period_is_without_the_strobe_on_both_sides() -> None:
    line = Line(strobe_half_ns=10, strobe_ns=5, ref_ns=100)
    assert [line.error(100 + d) for d in (0, 9, 10, 19, 20)] == [0, 0, 5, 5, 0]
    assert [line.error(100 - d) for d in (9, 10, 19, 20)] == [0, 5, 5, 0]


def test_freezing_shows_the_reference_for_ever() -> None:
    line = Line(rate_q32=-(1 << 32), ref_ns=NOW, offset_ns=7)
    assert {line.fake(NOW + d) for d in (0, 1, SECOND, YEAR)} == {NOW + 7}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"offset": 3}, "has no field 'offset'"),
        ({"offset_ns": 1.5}, "offset_ns of a clock line must be a whole number"),
        ({"offset_ns": True}, "must be a whole number"),
        ({"ref_ns": 1 << 63}, "ref_ns of a clock line must be a whole number of 64 bits"),
        ({"strobe_half_ns": -1}, "must not be negative"),
    ],
)
def test_a_bad_line_is_refused_in_words(values: dict[str, object], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        Line.read(values)
