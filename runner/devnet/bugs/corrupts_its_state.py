"""A restarted node computes another state from the same blocks."""

from collections.abc import Iterable, Sequence
from typing import Any

from runner.devnet.bugs import bug
from runner.devnet.core import Core


@bug(
    name="corrupts-its-state",
    about="After a restart the state is computed from the wrong beginning: same chain, another state.",
    caught_by="scenarios/devnet/rolling.yaml",
    expectation="after rolling: {agree: state}",
    reason_has="state differs",
)
class CorruptsItsState(Core):
    """Applies one block too many."""

    def restore(self, records: Iterable[Sequence[Any]]) -> None:
        """Begins from a state that depends on who it is."""
        kept = list(records)
        if any(record[0] == "b" for record in kept):
            self.ledger.state = f"{self.config.number:016x}"
        super().restore(kept)
