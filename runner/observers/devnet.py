"""Facts of the built-in network, from ``GET /status``."""

from __future__ import annotations

import json

from runner.observers.observer import Observer, Reading, declare

_PLAIN = ("height", "peers", "synced", "layer")


def read(body: str) -> Reading:
    """Facts height, head, finalized, peers, synced, state, layer; the finalized points of the recent
    past; the node's clock.
    """
    status = json.loads(body)
    facts = {name: status[name] for name in _PLAIN if name in status}
    for name in ("head", "finalized"):
        if status.get(name):
            facts[name] = [int(status[name][0]), str(status[name][1])]
    if "state" in status and "finalized" in facts:
        # The state follows finality: at which height it stands is part of it, or nodes that are asked a
        # moment apart would seem to differ.
        facts["state"] = [facts["finalized"][0], str(status["state"])]
    recent = [[int(h), str(x)] for h, x in status.get("recent", ())]
    clock = status.get("clock")
    return Reading(
        facts, {"finalized": recent} if recent else {}, float(clock) if clock is not None else None
    )


DEVNET = declare(
    Observer(
        "devnet",
        7001,
        "/status",
        read,
        ("height", "head", "finalized", "peers", "synced", "state", "layer", "clock_error"),
        "The built-in network's status page.",
    )
)
