"""The quorum is taken of the nodes that are not known to be away, not of all."""

from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.config import Config
from runner.devnet.core import Core
from runner.devnet.events import Now
from runner.devnet.peering import Link


@bug(
    name="counts-only-the-present",
    about="Nodes whose connection was lost no longer count: two thirds of the others are enough.",
    caught_by="scenarios/devnet/thirds.yaml",
    expectation="always: {no_conflict: finalized}",
    reason_has="conflict in finalized",
)
class CountsOnlyThePresent(Core):
    """A split shrinks the electorate of each side."""

    def __init__(self, config: Config, records: Iterable[Sequence[Any]] = ()) -> None:
        self._away: set[str] = set()
        super().__init__(config, records)

    def on_up(self, link: Link, now: Now) -> None:
        """Who is back counts again."""
        super().on_up(link, now)
        self._away.discard(link.name or "")

    def on_closed(
        self, link: Link, now: Now, *, why: str = "the connection ended", quiet: bool = False
    ) -> None:
        """Who is lost counts no longer."""
        super().on_closed(link, now, why=why, quiet=quiet)
        if link.up and link.name is not None:
            self._away.add(link.name)

    def has_quorum(self, bits: int) -> bool:
        """More than two thirds of those that are not away."""
        present = self.config.total - sum(self.config.stakes[name] for name in self._away)
        return 3 * self.config.weight(bits) > 2 * present
