"""Ready checks: when a started node counts as there. A listening port, an answering URL, or a line in its
log.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from faults.fields import Duration
from runner.networks.base import Meanwhile, NetworkError, nothing
from runner.networks.description import Group, Ready

if TYPE_CHECKING:
    from runner.networks.local import LocalDriver

POLL_S = 0.05
ABSENT_S = 1.0
DEVNET_READY = Ready(port=7001, within=Duration(30))


def wait_ready(driver: LocalDriver, group: Group, meanwhile: Meanwhile = nothing) -> None:
    """Wait until every member is ready. Raises NetworkError that names who is not, and why."""
    ready = group.ready or (DEVNET_READY if group.use == "devnet" else None)
    if ready is None:
        return
    deadline = time.monotonic() + ready.within.seconds()
    waiting = list(group.members)
    absent_since: dict[str, float] = {}
    while waiting:
        meanwhile()
        waiting = _not_ready(driver, ready, waiting)
        if waiting and time.monotonic() > deadline:
            raise NetworkError(
                f"{', '.join(waiting[:5])}{' …' if len(waiting) > 5 else ''} not ready within "
                f"{ready.within}: "
                f"{_missing(ready)}; see {driver.log_of(waiting[0])}"
            )
        if waiting:
            _refuse_dead(driver, waiting, absent_since)
            time.sleep(POLL_S)


def _not_ready(driver: LocalDriver, ready: Ready, names: list[str]) -> list[str]:
    if ready.port is not None:
        listening = driver.link.request("sockets", eye=True, nodes=names)["listening"]
        return [n for n in names if ready.port not in listening.get(n, ())]
    if ready.log is not None:
        return [n for n in names if not _logged(driver, n, ready.log)]
    url = urlsplit(ready.http or "")
    addresses = {n.name: n.address for n in driver.nodes}
    gets = [
        {
            "key": n,
            "node": n,
            "port": url.port or 80,
            "path": url.path or "/",
            "host": addresses[n] if "$" in (url.hostname or "") else (url.hostname or "127.0.0.1"),
        }
        for n in names
    ]
    answers = driver.link.request("fetch", eye=True, gets=gets, timeout=1.0)
    return [n for n in names if not 200 <= answers[n]["status"] < 400]


def _logged(driver: LocalDriver, name: str, text: str) -> bool:
    log = driver.log_of(name)
    return log.exists() and text in log.read_text(errors="replace")


def _missing(ready: Ready) -> str:
    if ready.port is not None:
        return f"nothing listens on port {ready.port}"
    return f"'{ready.log}' is not in the log" if ready.log is not None else f"{ready.http} does not answer"


def _refuse_dead(driver: LocalDriver, names: list[str], absent_since: dict[str, float]) -> None:
    """Stop waiting for a node that has no process for longer than a start can take to become visible."""
    members = driver.link.request("members", nodes=names)
    for name in names:
        if members.get(name):
            absent_since.pop(name, None)
        elif time.monotonic() - absent_since.setdefault(name, time.monotonic()) > ABSENT_S:
            log = driver.log_of(name)
            tail = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
            said = f": {tail[0][:300]}" if tail else ""
            raise NetworkError(f"{name} ended before it was ready{said}; see {log}")
