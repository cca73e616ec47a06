"""A peer that was lost is never dialled again, by nobody."""

from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.config import Config
from runner.devnet.core import Core
from runner.devnet.events import Now


@bug(
    name="forgets-peers",
    about="A peer that was lost is never dialled again.",
    caught_by="scenarios/devnet/halves.yaml",
    expectation="after split: connected",
    reason_has="components of",
)
class ForgetsPeers(Core):
    """Dials only those with whom it never had a link."""

    def __init__(self, config: Config, records: Iterable[Sequence[Any]] = ()) -> None:
        self._had: set[str | None] = set()
        super().__init__(config, records)

    def missing(self, now: Now) -> list[str]:
        """Leaves out whoever was a peer once."""
        self._had.update(link.name for link in self.ups())
        return [name for name in super().missing(now) if name not in self._had]
