"""What holds from when on: changes sent ahead and begun at their moment, their lease, and what was lost.

It decides nothing about faults. It takes states, and makes cuts, processes and clocks agree with them in that
order.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from faults.agent.changes import Change, Lease, Schedule
from faults.agent.clocks import Clocks
from faults.agent.cuts import Cuts, Prepared
from faults.agent.lapses import Lapses
from faults.agent.loop import Loop, Timer, now
from faults.agent.node import DOWN, PAUSED, Emit, Want, signal_number
from faults.agent.nodes import Nodes

_TICK_S = 0.1
_LOOK_EVERY_S = 0.25
_LOOK_SHARE = 0.02
"""At most this share of a core goes into looking for processes that should not run."""
_FIRST_LEASE_S = 5.0
"""The lease that conditions get where nobody has asked for one."""
_READY_AHEAD_S = 0.05
_CUTS = "cuts"


class Timeline:
    """The changes of one agent."""

    def __init__(self, loop: Loop, emit: Emit, nodes: Nodes, clocks: Clocks) -> None:
        self._loop = loop
        self._emit = emit
        self._nodes = nodes
        self._clocks = clocks
        self._cuts, self._no_cuts = _make_cuts()
        self._schedule = Schedule()
        self._lease = Lease()
        self._moment: Timer | None = None
        self._state: Mapping[str, Any] = {}
        self._lapsed = {what: Lapses(what, emit) for what in (_CUTS, PAUSED, DOWN)}
        self._next_look = 0.0
        loop.after(_TICK_S, self._tick)

    @property
    def can_cut(self) -> bool:
        """Whether this kernel lets us cut links."""
        return self._cuts is not None

    # --- what is asked

    def reconcile(self, generation: int, changes: Iterable[Mapping[str, Any]]) -> None:
        """Replace what has not begun by these changes (STATEs and EVENTs of the protocol).

        Raises Stale, KeyError, ValueError in words; then nothing is replaced.
        """
        self._schedule.check(generation)
        read = [self._read(generation, c) for c in changes]
        self._schedule.replace(generation, read)
        if read and not self._lease.held:
            self.renew(_FIRST_LEASE_S)
        self._set_moment()

    def renew(self, seconds: float) -> float:
        """Let what holds stay for so long; returns until when (monotonic). Raises ValueError."""
        if not 0 < seconds <= 3600:
            raise ValueError("a lease lasts more than no time and at most an hour")
        instant = now()
        self._lease.renew(seconds, _boot_time())
        if self._cuts:
            try:
                since = self._cuts.renew(seconds, instant)
            except FileNotFoundError:
                since = None  # our table is gone, which the next look reports
            if since is not None and self._cuts.cutting:
                self._lapsed[_CUTS].report("nobody renewed the lease in time", since, instant)
        return instant + seconds

    def heal(self, key: str, done: Callable[[list[str]], None]) -> None:
        """From now on nothing holds; ``done`` gets what could not be undone, in words."""
        self._schedule.clear()
        self._set_moment()
        self._begin(Change(self._schedule.generation, now(), key, {}, ()), done)

    def close(self) -> None:
        """Remove our table."""
        if self._cuts:
            with contextlib.suppress(OSError):
                self._cuts.remove()
            self._cuts = None

    # --- reading ahead of time

    def _read(self, generation: int, raw: Mapping[str, Any]) -> Change:
        state = raw.get("state") or {}
        status, cuts = state.get("status") or {}, state.get("cuts") or {}
        events = raw.get("events") or ()
        self.known(name for part in (status, state.get("clocks") or {}) for name in part)
        self.known(name for block in cuts.get("blocks") or () for name in block)
        for one in status.values():
            signal_number(one.get("signal", "kill"))
            if one["is"] not in (DOWN, PAUSED):
                raise ValueError(f"a status is {DOWN!r} or {PAUSED!r}, not {one['is']!r}")
        for event in events:
            self.known(event["nodes"])
            if event["do"] not in ("restart", "start"):
                raise ValueError(f"there is no event {event['do']!r}")
            signal_number(event.get("signal", "kill"))
        prepared = self._prepare(cuts) if self._cuts else None
        return Change(generation, float(raw["at"]), str(raw.get("key", "")), state, events, prepared)

    def _prepare(self, cuts: Mapping[str, Any]) -> Prepared:
        assert self._cuts
        addresses = {name: node.place.address for name, node in self._nodes.all.items()}
        try:
            return self._cuts.prepare(cuts.get("blocks") or (), cuts.get("cut") or (), addresses)
        except IndexError:
            raise ValueError("a cut names a block that is not listed") from None

    def known(self, names: Iterable[str]) -> None:
        """Raises LookupError for a name that is no node's."""
        for name in names:
            if name not in self._nodes.all:
                raise LookupError(f"there is no node {name!r}")

    # --- beginning

    def _set_moment(self) -> None:
        if self._moment:
            self._moment.cancel()
        at = self._schedule.next_at
        self._moment = self._loop.at(at, self._due) if at is not None else None

    def _due(self) -> None:
        while change := self._schedule.due(now()):
            self._begin(change, _nobody)
        self._set_moment()

    def _begin(self, change: Change, done: Callable[[list[str]], None]) -> None:
        """Make a change: cuts, then processes, then clocks, then what is started."""
        began = now()
        since = change.at if change.at > 0 else began
        problems = self._begin_cuts(change)
        status = {
            name: Want(s["is"], s.get("signal", "kill"), bool(s.get("wipe")))
            for name, s in (change.state.get("status") or {}).items()
        }
        self._nodes.want(status, since)
        for event in change.events:
            if event["do"] == "restart":
                how = event.get("signal", "kill")
                self._nodes.restart(event["nodes"], how, bool(event.get("wipe")), since)
        self._state = change.state
        self._end_lapses(status)
        finish = partial(self._begun, change, began, problems, done)
        self._clocks.want(change.state.get("clocks") or {}, self._nodes.all, finish)
        for event in change.events:
            if event["do"] == "start":
                for name in event["nodes"]:
                    self._nodes.start(name, "first")

    def _begun(
        self,
        change: Change,
        began: float,
        problems: list[str],
        done: Callable[[list[str]], None],
        more: list[str],
    ) -> None:
        problems = problems + more
        times = {"at": round(began, 6), "done": round(now(), 6), "asked": change.at}
        self._emit("began", **times, generation=change.generation, key=change.key, problems=problems)
        done(problems)

    def _begin_cuts(self, change: Change) -> list[str]:
        wanted, held = change.state.get("cuts") or {}, self._state.get("cuts") or {}
        if wanted == held:
            return []
        if self._cuts is None:
            return [f"cuts: {self._no_cuts}"]
        instant = now()
        self._look_at_cuts(instant)
        try:
            self._cuts.commit(change.prepared or self._prepare(wanted), instant)
        except OSError as problem:
            return [f"cuts: {problem}"]
        self._lapsed[_CUTS].end_all(instant)
        self._lapsed[_CUTS].trust(now())
        return []

    # --- looking after what we set

    def _tick(self) -> None:
        instant = now()
        self._loop.at(instant + _TICK_S, self._tick)
        coming = self._schedule.next_at
        if coming is not None and coming - instant < _READY_AHEAD_S:
            return  # nothing comes before a moment of the timeline
        if self._lease.ran_out(_boot_time()):
            self.heal("lease", lambda left: self._emit("lease", left=left))
        self._look_at_cuts(instant)
        if instant >= self._next_look:
            self._look_at_processes()
            self._next_look = instant + max(_LOOK_EVERY_S, (now() - instant) / _LOOK_SHARE)

    def _look_at_cuts(self, instant: float) -> None:
        if self._cuts is None or not self._cuts.cutting:
            return
        try:
            missing = self._cuts.check()
        except OSError as problem:
            missing = f"the cuts cannot be read back: {problem}"
        self._lapsed[_CUTS].see({None: missing} if missing else {}, instant)

    def _look_at_processes(self) -> None:
        instant = now()
        watched = [
            n
            for n in self._nodes.all.values()
            if n.want.status in (DOWN, PAUSED) and n.task is None and not n.starting
        ]
        found = self._nodes.members(watched) if watched else {}
        gone: dict[str, dict[str | None, str]] = {DOWN: {}, PAUSED: {}}
        for node in watched:
            members = found[node.name]
            bad = [m for m in members if node.want.status == DOWN or not m.stopped]
            if bad:
                who = ", ".join(f"{m.comm} ({m.pid})" for m in bad)
                gone[node.want.status][node.name] = f"running: {who}"
        for what, named in gone.items():
            floor: dict[str | None, float] = {name: self._nodes[name].settled_at for name in named if name}
            self._lapsed[what].see(named, instant, floor)

    def _end_lapses(self, status: Mapping[str, Want]) -> None:
        """What is no longer wanted cannot be missing."""
        instant = now()
        for what in (DOWN, PAUSED):
            still = [name for name, want in status.items() if want.status == what]
            self._lapsed[what].end_all(instant, but=still)
        if not self._state.get(_CUTS):
            self._lapsed[_CUTS].end_all(instant)


def _nobody(problems: list[str]) -> None:
    """For changes that nobody waits for."""


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _make_cuts() -> tuple[Cuts | None, str]:
    try:
        return Cuts(), ""
    except OSError as problem:
        return None, f"this kernel does not offer nf_tables ({problem})"
