"""Predicates on who is joined to whom: the observed graph (overlay, reach or sockets) against itself, its baseline or the model."""

from __future__ import annotations

from typing import Literal

from runner.predicates.scoped import Scoped
from runner.predicates.share import PercentField
from runner.predicates.targets import TargetsField

Graph = Literal["overlay", "reach", "sockets"]


class Connected(Scoped, name="connected"):
    """All targets (or a ``share`` of them) lie in one component of the graph; paths may lead through other nodes."""

    graph: Graph = "overlay"


class Isolated(Scoped, name="isolated"):
    """The targets have no connection to anybody."""

    graph: Graph = "overlay"


class MatchesModel(Scoped, name="matches_model"):
    """Who reaches whom is what the model says, both ways: what is cut is cut, and nothing else.

    With ``graph: overlay`` or ``sockets``: no connection crosses a cut, and each component of the model is one of the graph.
    """

    graph: Graph = "reach"


class DegreeRecovers(Scoped, name="degree_recovers"):
    """Each target has its connections back: at least ``to`` (default 75%) of those it had in the steady state."""

    to: PercentField = 0.75
    graph: Graph = "overlay"


class NoCutVertex(Scoped, name="no_cut_vertex"):
    """No single target's loss would split the graph of those that should be running."""

    graph: Graph = "overlay"


class Eclipsed(Scoped, name="eclipsed"):
    """The connections of each target lead to ``peers`` alone, or a share of them ``above`` the given one.

    A target without any connection is not eclipsed.
    """

    peers: TargetsField
    above: PercentField | None = None
    graph: Graph = "overlay"
