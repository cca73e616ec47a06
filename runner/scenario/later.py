"""What the scenario language has and this version does not: named, so that it is told apart from a mistake.

An entry leaves this module when it is built; faults and predicates leave by being in their catalogues.
"""

from __future__ import annotations

FAULTS = ("link", "starve", "dns", "churn", "upgrade", "reset", "activity")
PREDICATES = (
    "no_cut_vertex",
    "fresh_final",
    "prefix_intact",
    "nothing_lost",
    "included",
    "serves",
    "probe",
    "eclipsed",
    "degree_recovers",
    "matches_model",
)
DRIVERS = ("attach", "docker", "ssh", "kubernetes")
DRIVER_KEYS = ("context", "namespace", "project", "inventory", "terraform", "consul")
"""Keys of ``network`` that belong to drivers of a later version."""
PRESETS = (
    "cometbft",
    "etcd",
    "geth",
    "bitcoind",
    "spacemesh",
    "spacemesh_v1",
    "spacemesh_v2",
    "beacon",
    "tendermint_like",
    "prometheus",
)
OBSERVE_KEYS = ("prometheus", "command", "auth")
TOP_KEYS = ("sweep", "workload")
GATE_KEYS = ("gate", "scenarios", "baseline", "pass")

NOT_BUILT = "not built yet"


def not_built(what: str) -> str:
    """The words for something that the language has and this version has not."""
    return f"{what} is {NOT_BUILT}"
