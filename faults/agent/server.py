"""The agent itself: reads requests, answers each once, and passes on what is the eye's.

What a request means for the kernel is done by the modules it names; here they are tied together.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from faults.agent.changes import Stale
from faults.agent.clocks import Clocks, Keeper
from faults.agent.facts import capabilities
from faults.agent.lab import Lab
from faults.agent.loop import Loop, now
from faults.agent.members import Foreign
from faults.agent.node import Node, read_env, read_spec
from faults.agent.nodes import Nodes
from faults.agent.programs import Command, execute
from faults.agent.spawn import Stdio
from faults.agent.spawner import Spawner
from faults.agent.timeline import Timeline
from faults.agent.wire import LineReader, LineWriter, encode

VERSION = 1
_SWITCH = "@switch"
_FOR_EYE = (b'"eye":true}', b'"eye": true}')
"""How a line ends that is surely the eye's; others are looked into."""
_OWN_REPLIES = (b'{"id":0,', b'{"id": 0,')
"""How the eye answers what the agent told it by itself (id 0)."""


class Refused(Exception):
    """A request that cannot be done; ``kind`` is the protocol's (refused, missing, failed)."""

    def __init__(self, text: str, kind: str = "refused") -> None:
        super().__init__(text)
        self.kind = kind


class Reply:
    """The one reply to a request, whenever it comes."""

    def __init__(self, out: LineWriter, number: Any) -> None:
        self._out = out
        self._number = number
        self._open = True

    def ok(self, result: Any) -> None:
        """Answer with a result."""
        self._send({"ok": result})

    def error(self, text: str, kind: str = "failed") -> None:
        """Answer that it could not be done."""
        self._send({"error": text, "kind": kind})

    def either(self, result: Any, error: object) -> None:
        """Answer with the error if there is one."""
        if error is None:
            self.ok(result)
        else:
            self.error(str(error))

    def _send(self, rest: dict[str, Any]) -> None:
        if self._open:
            self._open = False
            self._out.write(encode({"id": self._number, **rest}))


class Server:
    """One agent. ``eye`` is our end of a stream to the eye, or None."""

    def __init__(
        self, *, rootless: bool, keeper: Keeper | None, no_keeper: str, eye: int | None, no_eye: str
    ) -> None:
        self._rootless = rootless
        self._has_keeper = keeper is not None
        self._loop = Loop()
        self._out = LineWriter(self._loop, 1, self._loop.stop)
        self._foreign = Foreign()
        self._lab = Lab()
        self._clocks = Clocks(self._loop, keeper, no_keeper, self.emit)
        self._spawners: dict[str, Spawner] = {}
        self._nodes = Nodes(self._loop, self.emit, self._foreign, self._clocks, self._spawners)
        self._timeline = Timeline(self._loop, self.emit, self._nodes, self._clocks)
        self._said_bye = False
        self._eye: LineWriter | None = None
        self._no_eye = no_eye
        if eye is not None:
            self._eye = LineWriter(self._loop, eye, self._eye_ended)
            LineReader(self._loop, eye, self._from_eye, self._eye_ended)
        LineReader(self._loop, 0, self._line, self._loop.stop)

    def run(self) -> None:
        """Serve until ``bye`` or the end of the input."""
        self._loop.run()
        if self._said_bye:
            self._out.drain()

    def emit(self, event: str, **fields: Any) -> None:
        """Send an event."""
        self._out.write(encode({"event": event, "at": round(now(), 6), **fields}))

    # --- the way of a request

    def _line(self, line: bytes) -> None:
        if line.endswith(_FOR_EYE) and self._eye:
            self._eye.write(line)
            return
        try:
            request = json.loads(line)
            reply, do = Reply(self._out, request["id"]), str(request["do"])
        except (ValueError, KeyError, TypeError):
            self.emit("problem", text="a line that is no request was ignored")
            return
        if request.get("eye") is not True:
            self._answer(do, request, reply)
        elif self._eye:
            self._eye.write(line)
        else:
            reply.error(f"there is no eye: {self._no_eye}", "missing")

    def _answer(self, do: str, request: Mapping[str, Any], reply: Reply) -> None:
        handler: Callable[..., Any] | None = getattr(self, f"_do_{do}", None)
        try:
            if handler is None:
                raise Refused(f"there is no request {do!r}", "missing")
            result = handler(request, reply)
            if result is not None:
                reply.ok(result)
        except Refused as problem:
            reply.error(str(problem), problem.kind)
        except KeyError as problem:
            reply.error(f"{do}: {problem} is missing", "refused")
        except LookupError as problem:
            reply.error(str(problem), "missing")
        except Stale as problem:
            reply.error(str(problem), "refused")
        except (TypeError, ValueError, AttributeError) as problem:
            reply.error(f"{do}: {problem}", "refused")
        except OSError as problem:
            reply.error(f"{do}: {problem.strerror or problem}", "failed")

    # --- requests: a handler returns the result, or None where the reply comes later

    def _do_hello(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        can = capabilities(keeper=self._has_keeper, eye=self._eye is not None, cuts=self._timeline.can_cut)
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "now": now(),
            "wall_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
            "capabilities": can,
            "rootless": self._rootless,
        }

    def _do_create(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        specs = [read_spec(n) for n in request["nodes"]]
        known = set(self._nodes.all)
        for spec in specs:
            if spec.name in known:
                raise Refused(f"there are two nodes {spec.name!r}")
            known.add(spec.name)
        for spec, place in zip(specs, self._lab.add(len(specs)), strict=True):
            self._nodes.all[spec.name] = Node(spec, place)
        self._tell_eye()
        return {"addresses": {s.name: self._nodes[s.name].place.address for s in specs}}

    def _do_describe(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        """NODEs again, once their addresses are known; holds from their next start on."""
        specs = [read_spec(n) for n in request["nodes"]]
        self._timeline.known(s.name for s in specs)
        for spec in specs:
            self._nodes[spec.name].spec = spec
        return {}

    def _do_spawner(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        name = str(request["name"])
        if name in self._spawners:
            raise Refused(f"there is a spawner {name!r} already")
        lost = self._spawner_lost
        spawner = Spawner(self._loop, self.emit, name, exited=self._nodes.exited, lost=lost)
        try:
            spawner.start(request["argv"], read_env(request), request.get("cwd"), request.get("log"))
        except OSError as problem:
            raise Refused(str(problem), "failed") from None
        self._spawners[name] = spawner
        return {"pid": spawner.pid}

    def _spawner_lost(self, name: str) -> None:
        self._spawners.pop(name, None)
        self._nodes.orphan(name)
        self.emit("problem", text=f"the spawner {name} has ended: its nodes cannot be started again")

    def _do_command(self, request: Mapping[str, Any], reply: Reply) -> None:
        Command(self._loop, self._foreign, reply.either).run(
            request["argv"],
            env=read_env(request),
            cwd=request.get("cwd"),
            namespace=self._namespace(request.get("node")),
            log=request.get("log"),
            timeout=float(request.get("timeout") or 0),
        )

    def _do_exec(self, request: Mapping[str, Any], reply: Reply) -> None:
        execute(
            self._loop,
            self._foreign,
            self.emit,
            request["argv"],
            env=read_env(request),
            cwd=request.get("cwd"),
            stdio=Stdio(request.get("stdin"), request.get("stdout"), request.get("stderr")),
            namespace=self._namespace(request.get("node")),
            answer=reply.either,
        )

    def _do_start(self, request: Mapping[str, Any], reply: Reply) -> None:
        names = self._named(request)
        left = set(names)
        result: dict[str, dict[str, Any]] = {"pids": {}, "errors": {}}

        def started(name: str, pid: int | None, error: str | None) -> None:
            left.discard(name)
            if error is not None:
                result["errors"][name] = error
            elif pid is not None:
                result["pids"][name] = pid
            if not left:
                reply.ok(result)

        for name in names:
            self._nodes.start(name, "first", started)
        if not names:
            reply.ok(result)

    def _do_stop(self, request: Mapping[str, Any], reply: Reply) -> None:
        names = self._named(request)
        within = float(request.get("within", 5.0))
        self._nodes.stop(names, request.get("signal", "term"), within, partial(reply.ok, {}))

    def _do_members(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        found = self._nodes.members(self._nodes[n] for n in self._named(request))
        return {
            name: [{"pid": m.pid, "state": m.state, "comm": m.comm} for m in who]
            for name, who in found.items()
        }

    def _do_clock(self, request: Mapping[str, Any], reply: Reply) -> None:
        self._clocks.measure([self._nodes[n] for n in self._named(request)], reply.either)

    def _do_renew(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        return {"until": self._timeline.renew(float(request["lease"]))}

    def _do_reconcile(self, request: Mapping[str, Any], reply: Reply) -> dict[str, Any]:
        generation = int(request["generation"])
        self._timeline.reconcile(generation, request["changes"])
        return {"generation": generation}

    def _do_bye(self, request: Mapping[str, Any], reply: Reply) -> None:
        def healed(left: list[str]) -> None:
            self._nodes.stop(list(self._nodes.all), "kill", 0.0, partial(ended, left))

        def ended(left: list[str]) -> None:
            for spawner in list(self._spawners.values()):
                spawner.close()
            self._clocks.close()
            self._timeline.close()
            self._said_bye = True
            reply.ok({"left": left})
            self._loop.stop()

        self._timeline.heal("bye", healed)

    def _named(self, request: Mapping[str, Any]) -> list[str]:
        """The nodes a request names, each once; all where it names none."""
        given: Iterable[str] | None = request.get("nodes")
        names = list(self._nodes.all if given is None else dict.fromkeys(given))
        self._timeline.known(names)
        return names

    def _namespace(self, node: str | None) -> int | None:
        if node is None or node == _SWITCH:
            return None
        self._timeline.known([node])
        return self._nodes[node].place.namespace

    # --- the eye

    def _from_eye(self, line: bytes) -> None:
        if not line.startswith(_OWN_REPLIES):
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

    def _eye_ended(self) -> None:
        if self._eye is not None:
            self._eye, self._no_eye = None, "it has ended"
            self.emit("problem", text="the eye has ended: nothing is observed any more")
