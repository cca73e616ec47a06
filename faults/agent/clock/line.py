"""The error of a clock as a line over true time: its parameters, their evaluation, and the block that the
blob reads.

Pure; the blob computes the same with machine integers, and a test holds the two together.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from .refusal import Refusal

SECOND = 1_000_000_000
BLOCK = struct.Struct("<IIqqqqqqq")
_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True)
class Line:
    """``fake = x + ((x - ref) * rate >> 32) + (odd half period of x - ref ? strobe : 0) + offset``; x in
    ns of CLOCK_REALTIME.

    ``rate_q32`` is a signed fraction of 2^32 (500 ppm are 2147484; freeze is -2^32); the shift rounds
    down. The half period that contains ``ref_ns`` is even, on both sides of it; ``strobe_half_ns`` 0 means
    no strobe.
    """

    offset_ns: int = 0
    rate_q32: int = 0
    ref_ns: int = 0
    strobe_half_ns: int = 0
    strobe_ns: int = 0

    @classmethod
    def read(cls, values: Mapping[str, object]) -> Line:
        """From the protocol's dictionary; what is left out is 0. Raises Refusal naming the field that is
        wrong.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise Refusal(f"a clock line has no field {min(unknown)!r}")
        numbers: dict[str, int] = {}
        for name, value in values.items():
            if not isinstance(value, int) or isinstance(value, bool) or value not in _INT64:
                raise Refusal(f"{name} of a clock line must be a whole number of 64 bits, not {value!r}")
            numbers[name] = value
        if numbers.get("strobe_half_ns", 0) < 0:
            raise Refusal("strobe_half_ns of a clock line must not be negative")
        return cls(**numbers)

    def describe(self) -> dict[str, int]:
        """The protocol's dictionary."""
        return asdict(self)

    def correction(self, elapsed: int) -> int:
        """What rate and strobe add, ns, ``elapsed`` ns after the reference (negative: before it)."""
        added = (elapsed * self.rate_q32) >> 32
        if self.strobe_half_ns and (abs(elapsed) // self.strobe_half_ns) & 1:
            added += self.strobe_ns
        return added

    def fake(self, true_ns: int) -> int:
        """What the clock shows, ns, when CLOCK_REALTIME is truly ``true_ns``."""
        return true_ns + self.correction(true_ns - self.ref_ns) + self.offset_ns

    def error(self, true_ns: int) -> int:
        """How far ahead of the truth the clock is, ns, at ``true_ns``."""
        return self.fake(true_ns) - true_ns

    def pack(self, tai_ahead_ns: int = 0) -> bytes:
        """The 64 bytes of a block of the blob's ring; ``tai_ahead_ns`` is CLOCK_TAI - CLOCK_REALTIME."""
        curved = 1 if self.rate_q32 or (self.strobe_half_ns and self.strobe_ns) else 0
        seconds, rest = divmod(self.offset_ns, SECOND)
        half = self.strobe_half_ns
        return BLOCK.pack(
            curved, 0, seconds, rest, self.ref_ns, self.rate_q32, half, self.strobe_ns, tai_ahead_ns
        )

    @classmethod
    def unpack(cls, block: bytes) -> Line:
        """The line of a block; the inverse of ``pack``."""
        _, _, seconds, rest, ref, rate, half, strobe, _ = BLOCK.unpack(block)
        return cls(seconds * SECOND + rest, rate, ref, half, strobe)
