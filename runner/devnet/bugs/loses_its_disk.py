"""What is on disk is not read after a restart."""

from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="loses-its-disk",
    about="After a restart a node begins with an empty chain; when all do, what was final is gone.",
    caught_by="scenarios/devnet/blackout.yaml",
    expectation="always: {no_conflict: finalized}",
    reason_has="conflict in finalized",
)
class LosesItsDisk(Core):
    """Writes, and never reads."""

    def restore(self, records: Iterable[Sequence[Any]]) -> None:
        """Takes up nothing."""
