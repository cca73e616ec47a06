"""The contract of a driver: where nodes live, how they are started, and the link to the agent of their
host.

A driver knows its nodes before anything runs (``nodes``), makes and starts them (``open``, ``start``),
and takes everything away (``close``). All faults and all observation go through ``link``, never through
the driver. What belongs here is what a driver must promise; how one place does it belongs in its own
module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from faults.fault import NodeInfo
from runner.networks.link import AgentLink

Report = Callable[[str], None]
"""Takes one line about progress, for people."""

Meanwhile = Callable[[], None]


def nothing() -> None:
    """What is done meanwhile where nobody asks for anything."""


class NetworkError(Exception):
    """The network could not be made, started or reached; the message says which node, why, and what to
    look at.
    """


class Driver(Protocol):
    """A place where nodes live."""

    nodes: Sequence[NodeInfo]
    """Every node, in the network's order. Addresses are filled in by ``open``."""

    link: AgentLink
    """The agent of the nodes' host; there after ``open``."""

    def open(self, folder: Path, *, on_event: Callable[[Mapping[str, Any]], None]) -> None:
        """Start the agent and make the nodes' places; nothing of the network runs yet.

        ``folder`` is the run directory (data folders and logs go there). Raises NetworkError.
        """

    def start(self, report: Report, meanwhile: Meanwhile = nothing) -> None:
        """Set-up commands, then every group in turn, each when the one before is ready. Raises NetworkError.

        ``meanwhile`` is called again and again while something is waited for; what it raises ends the start.
        """

    def close(self) -> list[str]:
        """End everything that ``open`` and ``start`` made; what could not be taken away, in words. Never
        raises.
        """
