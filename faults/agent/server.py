"""The agent itself: requests answered, changes begun at their moment, the lease kept, and what was lost reported.

It ties the other modules together and touches the kernel only through them.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from faults.agent.changes import Change, Lease, Schedule, Stale
from faults.agent.clocks import Clocks, Keeper
from faults.agent.cuts import Cuts
from faults.agent.facts import capabilities
from faults.agent.lab import Lab
from faults.agent.lapses import Lapses
from faults.agent.loop import Loop, Timer, now
from faults.agent.members import Foreign
from faults.agent.nodes import DOWN, PAUSED, Node, Nodes, Spec, Want, signal_number
from faults.agent.programs import Command, execute
from faults.agent.spawn import Stdio
from faults.agent.spawner import Spawner
from faults.agent.wire import LineReader, LineWriter, encode

VERSION = 1
_TICK_S = 0.1
_LOOK_EVERY_S = 0.25
_LOOK_SHARE = 0.02
"""At most this share of a core goes into looking for processes that should not run."""
_FIRST_LEASE_S = 5.0
"""The lease that conditions get where nobody has asked for one."""
_READY_AHEAD_S = 0.05
_SWITCH = "@switch"


class Refused(Exception):
    """A request that cannot be done as asked; ``kind`` is the protocol's."""

    def __init__(self, text: str, kind: str = "refused") -> None:
        super().__init__(text)
        self.kind = kind


class Server:
    """One agent. ``eye`` is our end of a stream to the eye, or None."""

    def __init__(
        self, *, rootless: bool, keeper: Keeper | None, no_keeper: str, eye: int | None, no_eye: str
    ) -> None:
        self._rootless = rootless
        self.loop = Loop()
        self._out = LineWriter(self.loop, 1, self.loop.stop)
        self._foreign = Foreign()
        self._lab = Lab()
        self._cuts, self._no_cuts = _make_cuts()
        self._clocks = Clocks(keeper, no_keeper, self.emit)
        self._spawners: dict[str, Spawner] = {}
        self._nodes = Nodes(self.loop, self.emit, self._foreign, self._clocks, self._spawners)
        self._schedule = Schedule()
        self._lease = Lease()
        self._moment: Timer | None = None
        self._state: Mapping[str, Any] = {}
        self._lapsed = {what: Lapses(what, self.emit) for what in ("cuts", PAUSED, DOWN)}
        self._next_look = 0.0
        self._eye, self._no_eye = None, no_eye
        self._has_keeper = keeper is not None
        if eye is not None:
            self._eye = LineWriter(self.loop, eye, partial(self._eye_ended, eye))
            LineReader(self.loop, eye, self._from_eye, partial(self._eye_ended, eye))
        LineReader(self.loop, 0, self._line, self.loop.stop)
        self.loop.after(_TICK_S, self._tick)

    def run(self) -> None:
        """Serve until ``bye`` or the end of the input."""
        self.loop.run()
        self._out.drain()

    def emit(self, event: str, **fields: Any) -> None:
        """Send an event."""
        self._out.write(encode({"event": event, "at": round(now(), 6), **fields}))

    # --- requests

    def _line(self, line: bytes) -> None:
        if line.endswith((b'"eye":true}', b'"eye": true}')) and self._eye:
            self._eye.write(line)
            return
        try:
            request = json.loads(line)
            number, do = request["id"], request["do"]
        except (ValueError, KeyError, TypeError):
            self.emit("problem", text="a line that is no request was ignored")
            return
        if request.get("eye") is True:
            self._to_eye(number, line)
            return
        self._answer(number, do, request)

    def _answer(self, number: Any, do: str, request: dict[str, Any]) -> None:
        handler: Callable[..., Any] | None = getattr(self, f"_do_{str(do).replace('-', '_')}", None)
        later = _Later(self, number)
        try:
            if handler is None:
                raise Refused(f"there is no request {do!r}", "missing")
            result = handler(request, later)
            if result is not None:
                later.ok(result)
        except Refused as problem:
            later.error(str(problem), problem.kind)
        except Stale as problem:
            later.error(str(problem), "refused")
        except (KeyError, TypeError, ValueError) as problem:
            missing = f"{problem} is missing" if isinstance(problem, KeyError) else str(problem)
            later.error(f"{do}: {missing}", "refused")
        except OSError as problem:
            later.error(f"{do}: {problem.strerror or problem}", "failed")

    def _do_hello(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "now": now(),
            "wall_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
            "capabilities": capabilities(
                keeper=self._has_keeper, eye=self._eye is not None, cuts=self._cuts is not None
            ),
            "rootless": self._rootless,
        }

    def _do_create(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        specs = [spec_of(n) for n in request["nodes"]]
        known = set(self._nodes.all)
        for spec in specs:
            if spec.name in known:
                raise Refused(f"there is a node {spec.name} already")
            known.add(spec.name)
        for spec, place in zip(specs, self._lab.add(len(specs)), strict=True):
            self._nodes.all[spec.name] = Node(spec, place)
        self._tell_eye()
        return {"addresses": {s.name: self._nodes[s.name].place.address for s in specs}}

    def _do_describe(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        """Replace what is known of nodes (their command lines, once addresses are known); holds from the next start."""
        specs = [spec_of(n) for n in request["nodes"]]
        self._known(s.name for s in specs)
        for spec in specs:
            self._nodes[spec.name].spec = spec
        return {}

    def _do_spawner(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        name = request["name"]
        if name in self._spawners:
            raise Refused(f"there is a spawner {name} already")
        spawner = Spawner(self.loop, self.emit, name, exited=self._nodes.exited, lost=self._spawner_lost)
        try:
            spawner.start(request["argv"], _env(request), request.get("cwd"), request.get("log"))
        except OSError as problem:
            raise Refused(str(problem), "failed") from None
        self._spawners[name] = spawner
        return {"pid": spawner.pid}

    def _spawner_lost(self, name: str) -> None:
        self._spawners.pop(name, None)
        self._nodes.orphan(name)
        self.emit("problem", text=f"the spawner {name} has ended; its nodes cannot be started again")

    def _do_command(self, request: dict[str, Any], later: _Later) -> None:
        Command(self.loop, self._foreign, later.either).run(
            request["argv"],
            env=_env(request),
            cwd=request.get("cwd"),
            namespace=self._namespace(request.get("node")),
            log=request.get("log"),
            timeout=float(request.get("timeout") or 0),
        )

    def _do_exec(self, request: dict[str, Any], later: _Later) -> None:
        execute(
            self.loop,
            self._foreign,
            self.emit,
            request["argv"],
            env=_env(request),
            cwd=request.get("cwd"),
            stdio=Stdio(request.get("stdin"), request.get("stdout"), request.get("stderr")),
            namespace=self._namespace(request.get("node")),
            answer=later.either,
        )

    def _do_start(self, request: dict[str, Any], later: _Later) -> dict[str, Any] | None:
        names = list(dict.fromkeys(request["nodes"]))
        self._known(names)
        left = set(names)
        pids: dict[str, int] = {}
        errors: dict[str, str] = {}

        def started(name: str, pid: int | None, error: str | None) -> None:
            left.discard(name)
            if error is not None:
                errors[name] = error
            elif pid is not None:
                pids[name] = pid
            if not left:
                later.ok({"pids": pids, "errors": errors})

        for name in names:
            self._nodes.start(name, "first", started)
        return None if names else {"pids": {}, "errors": {}}

    def _do_stop(self, request: dict[str, Any], later: _Later) -> None:
        names = list(dict.fromkeys(request.get("nodes") or self._nodes.all))
        self._known(names)
        within = float(request.get("within", 5.0))
        self._nodes.stop(names, request.get("signal", "term"), within, lambda: later.ok({}))

    def _do_members(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        names = request.get("nodes") or list(self._nodes.all)
        self._known(names)
        found = self._nodes.members(self._nodes[n] for n in names)
        return {
            name: [{"pid": m.pid, "state": m.state, "comm": m.comm} for m in who]
            for name, who in found.items()
        }

    def _do_clock(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        names = list(request.get("nodes") or self._nodes.all)
        self._known(names)
        try:
            return self._clocks.measure(names)
        except RuntimeError as problem:
            raise Refused(str(problem), "failed") from None

    def _do_renew(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        return {"until": self._renew(float(request["lease"]))}

    def _do_reconcile(self, request: dict[str, Any], later: _Later) -> dict[str, Any]:
        generation = int(request["generation"])
        self._schedule.check(generation)
        changes = [self._read_change(generation, c) for c in request["changes"]]
        self._schedule.replace(generation, changes)
        if changes and not self._lease.held:
            self._renew(_FIRST_LEASE_S)
        later.ok({"generation": generation})
        self._set_moment()
        return None  # type: ignore[return-value]

    def _do_bye(self, request: dict[str, Any], later: _Later) -> None:
        self._schedule.clear()
        left = list(self._begin(Change(self._schedule.generation, now(), "bye", {}, ())))

        def ended() -> None:
            for spawner in list(self._spawners.values()):
                spawner.close()
            self._clocks.close()
            if self._cuts:
                with contextlib.suppress(OSError):
                    self._cuts.remove()
            later.ok({"left": left})
            self.loop.stop()

        self._nodes.stop(list(self._nodes.all), "kill", 0.0, ended)

    # --- changes

    def _read_change(self, generation: int, raw: Mapping[str, Any]) -> Change:
        state = raw.get("state") or {}
        self._known(state.get("status") or ())
        self._known(state.get("clocks") or ())
        for status in (state.get("status") or {}).values():
            signal_number(status.get("signal", "kill"))
        cuts = state.get("cuts") or {}
        for block in cuts.get("blocks") or ():
            self._known(block)
        events = raw.get("events") or ()
        for event in events:
            self._known(event["nodes"])
            if event["do"] not in ("restart", "start"):
                raise Refused(f"there is no event {event['do']!r}")
            signal_number(event.get("signal", "kill"))
        prepared = self._prepare(cuts) if self._cuts else None
        return Change(generation, float(raw["at"]), str(raw.get("key", "")), state, events, prepared)

    def _prepare(self, cuts: Mapping[str, Any]) -> Any:
        assert self._cuts
        addresses = {name: node.place.address for name, node in self._nodes.all.items()}
        try:
            return self._cuts.prepare(cuts.get("blocks") or (), cuts.get("cut") or (), addresses)
        except IndexError:
            raise Refused("a cut names a block that is not listed") from None

    def _set_moment(self) -> None:
        if self._moment:
            self._moment.cancel()
        at = self._schedule.next_at
        self._moment = self.loop.at(at, self._due) if at is not None else None

    def _due(self) -> None:
        while change := self._schedule.due(now()):
            self._begin(change)
        self._set_moment()

    def _begin(self, change: Change) -> list[str]:
        """Make a change: cuts, then processes, then clocks, then what is started. Returns the problems in words."""
        began = now()
        problems = self._begin_cuts(change)
        status = {
            name: Want(s["is"], s.get("signal", "kill"), bool(s.get("wipe")))
            for name, s in (change.state.get("status") or {}).items()
        }
        self._nodes.want(status, max(change.at, 0.0))
        for event in change.events:
            if event["do"] == "restart":
                self._nodes.restart(
                    event["nodes"], event.get("signal", "kill"), bool(event.get("wipe")), change.at
                )
        problems += self._clocks.want(change.state.get("clocks") or {}, self._nodes)
        for event in change.events:
            if event["do"] == "start":
                for name in event["nodes"]:
                    self._nodes.start(name, "first")
        self._state = change.state
        self.emit(
            "began",
            **{"at": began, "done": now(), "asked": change.at, "generation": change.generation},
            key=change.key,
            problems=problems,
        )
        self._forget_lapses(change.state)
        return problems

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
        self._lapsed["cuts"].end_all(instant)
        self._lapsed["cuts"].trust(now())
        return []

    # --- the lease

    def _renew(self, seconds: float) -> float:
        if not 0 < seconds <= 3600:
            raise Refused("a lease lasts up to an hour")
        instant = now()
        self._lease.renew(seconds, _boot_time())
        if self._cuts:
            try:
                since = self._cuts.renew(seconds, instant)
            except FileNotFoundError:
                since = None  # our table is gone, which the next look reports
            if since is not None and self._cuts.cutting:
                self._lapsed["cuts"].report("nobody renewed the lease in time", since, instant)
        return instant + seconds

    def _lease_ran_out(self) -> None:
        self._schedule.clear()
        self._set_moment()
        left = self._begin(Change(self._schedule.generation, now(), "lease", {}, ()))
        self.emit("lease", left=left)

    # --- looking after what we set

    def _tick(self) -> None:
        instant = now()
        self.loop.at(instant + _TICK_S, self._tick)
        if self._schedule.next_at is not None and self._schedule.next_at - instant < _READY_AHEAD_S:
            return  # nothing comes before a moment of the timeline
        if self._lease.ran_out(_boot_time()):
            self._lease_ran_out()
        self._look_at_cuts(instant)
        if instant >= self._next_look:
            self._look_at_processes()
            took = now() - instant
            self._next_look = instant + max(_LOOK_EVERY_S, took / _LOOK_SHARE)

    def _look_at_cuts(self, instant: float) -> None:
        if self._cuts is None or not self._cuts.cutting:
            return
        try:
            missing = self._cuts.check()
        except OSError as problem:
            missing = f"the cuts cannot be read back: {problem}"
        self._lapsed["cuts"].see({None: missing} if missing else {}, instant)

    def _look_at_processes(self) -> None:
        settled = [n for n in self._nodes.all.values() if n.task is None and not n.starting]
        watched = [n for n in settled if n.want.status in (DOWN, PAUSED)]
        if not watched:
            return
        instant = now()
        found = self._nodes.members(watched)
        gone: dict[str, dict[str | None, str]] = {DOWN: {}, PAUSED: {}}
        for node in watched:
            bad = [
                f"{m.comm} ({m.pid})" for m in found[node.name] if node.want.status == DOWN or not m.stopped
            ]
            if bad:
                gone[node.want.status][node.name] = f"running: {', '.join(bad)}"
        for what, named in gone.items():
            self._lapsed[what].see(named, instant)

    def _forget_lapses(self, state: Mapping[str, Any]) -> None:
        status = state.get("status") or {}
        instant = now()
        for what in (DOWN, PAUSED):
            for node in self._nodes.all:
                if status.get(node, {}).get("is") != what:
                    self._lapsed[what].end(node, instant)
        if not state.get("cuts"):
            self._lapsed["cuts"].end_all(instant)

    # --- the eye

    def _to_eye(self, number: Any, line: bytes) -> None:
        if self._eye:
            self._eye.write(line)
        else:
            _Later(self, number).error(f"there is no eye: {self._no_eye}", "missing")

    def _from_eye(self, line: bytes) -> None:
        if not line.startswith((b'{"id":0,', b'{"id": 0,')):  # the reply to what we told it ourselves
            self._out.write(line)

    def _tell_eye(self) -> None:
        if self._eye is None:
            return
        us = os.getpid()
        nodes = [
            {"name": n.name, "address": n.place.address, "ns": f"/proc/{us}/fd/{n.place.namespace}"}
            for n in self._nodes.all.values()
        ]
        self._eye.write(encode({"id": 0, "eye": True, "do": "nodes", "nodes": nodes}))

    def _eye_ended(self, fd: int) -> None:
        if self._eye is not None:
            self._eye, self._no_eye = None, "it has ended"
            self.loop.forget(fd)
            self.emit("problem", text="the eye has ended: nothing is observed any more")

    # --- small things

    def reply(self, line: Mapping[str, Any]) -> None:
        """Send a reply."""
        self._out.write(encode(dict(line)))

    def _known(self, names: Any) -> None:
        for name in names:
            if name not in self._nodes.all:
                raise Refused(f"there is no node {name!r}", "missing")

    def _namespace(self, node: str | None) -> int | None:
        if node is None or node == _SWITCH:
            return None
        self._known([node])
        return self._nodes[node].place.namespace


class _Later:
    """The one reply to a request, whenever it comes."""

    def __init__(self, server: Server, number: Any) -> None:
        self._server = server
        self._number = number
        self._open = True

    def ok(self, result: Any) -> None:
        self._reply({"ok": result})

    def error(self, text: str, kind: str) -> None:
        self._reply({"error": text, "kind": kind})

    def either(self, result: Any, error: str | None) -> None:
        if error is None:
            self.ok(result)
        else:
            self.error(error, "failed")

    def _reply(self, rest: dict[str, Any]) -> None:
        if self._open:
            self._open = False
            self._server.reply({"id": self._number, **rest})


def spec_of(raw: Mapping[str, Any]) -> Spec:
    """A node of the protocol read; raises Refused in words."""
    name = raw["name"]
    run: Sequence[str] = raw.get("run") or ()
    spawner = raw.get("spawner")
    restarts = raw.get("restarts") or "never"
    if not isinstance(name, str) or not name or name.startswith("@"):
        raise Refused(f"{name!r} is no name for a node")
    if restarts not in ("never", "always"):
        raise Refused(f"{name}: restarts is 'never' or 'always', not {restarts!r}")
    return Spec(
        name=name,
        run=tuple(map(str, run)),
        env=_env(raw),
        cwd=raw.get("cwd"),
        log=raw.get("log"),
        restarts=restarts,
        data=raw.get("data"),
        spawner=spawner,
        config=raw.get("config") or {},
    )


def _env(raw: Mapping[str, Any]) -> dict[str, str]:
    """The environment of a program: as given, with a PATH where none was given."""
    given = {str(k): str(v) for k, v in (raw.get("env") or {}).items()}
    return {"PATH": os.environ.get("PATH", os.defpath), **given}


def _boot_time() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _make_cuts() -> tuple[Cuts | None, str]:
    try:
        return Cuts(), ""
    except OSError as problem:
        return None, f"this kernel does not offer nf_tables ({problem})"
