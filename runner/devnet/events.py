"""What happens to a node's core, and what it wants done. The core itself touches nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from runner.devnet.frames import Frame


class Now(NamedTuple):
    """The instant of an event: wall-clock seconds (may jump) and monotonic seconds (never do)."""

    wall: float
    mono: float


@dataclass(frozen=True)
class Dialled:
    """A connection that we asked for stands."""

    link: int


@dataclass(frozen=True)
class Accepted:
    """Somebody connected to us; ``link`` is a fresh number."""

    link: int


@dataclass(frozen=True)
class Received:
    """A frame came. None: something that is no frame came."""

    link: int
    frame: Frame | None


@dataclass(frozen=True)
class Closed:
    """The connection is gone, or could not be made."""

    link: int


@dataclass(frozen=True)
class Tick:
    """Time has passed. All that is due is done, and all that is to be sent is sent, on ticks."""


Event = Dialled | Accepted | Received | Closed | Tick


@dataclass(frozen=True)
class Dial:
    """Connect to an address; the link's number is ours to choose."""

    link: int
    address: str


@dataclass(frozen=True)
class Send:
    """Send a frame."""

    link: int
    frame: Frame


@dataclass(frozen=True)
class Close:
    """Close a link at once, without lingering."""

    link: int


@dataclass(frozen=True)
class Store:
    """Append a record to the disk before anything that follows is carried out."""

    record: list[Any]


@dataclass(frozen=True)
class Log:
    """One line for people."""

    text: str


Action = Dial | Send | Close | Store | Log


class Unanswered(Exception):
    """Raised by a core that does not answer the question of its status: the asker is left waiting."""
