"""What the eye can be asked to do: each request of the protocol, its fields checked, and its one reply."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any

from faults.agent.eye.beats import Beats
from faults.agent.eye.fetch import Fetcher, Outcome, question
from faults.agent.eye.link import Link
from faults.agent.eye.loop import Loop
from faults.agent.eye.namespaces import Nodes, Refused
from faults.agent.eye.observe import Observer, Wanted
from faults.agent.eye.probe import probe
from faults.agent.eye.sockets import Sockets, Table, crossing
from faults.agent.eye.sweep import WAIT_S, Sweeper
from faults.agent.eye.tail import Tail

FETCH_TIMEOUT_S = 1.0


class Request:
    """One request: its fields, and the reply that it gets exactly once."""

    def __init__(self, link: Link, number: Any, fields: dict[str, Any]) -> None:
        self._link, self._number, self.fields = link, number, fields

    def ok(self, result: Any) -> None:
        """It was done, with this result."""
        self._link.send({"id": self._number, "ok": result})

    def failed(self, error: Exception) -> None:
        """It was not done."""
        kind = error.kind if isinstance(error, Refused) else "failed"
        text = str(error) if isinstance(error, Refused | OSError) else f"{type(error).__name__}: {error}"
        self._link.send({"id": self._number, "error": text, "kind": kind})

    def seconds(self, name: str, default: float, *, most: float = 3600) -> float:
        """A length of time among the fields. Raises Refused."""
        value = self.fields.get(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= most:
            raise Refused(f"{name!r} must be between 0.01 and {most:g} seconds")
        return float(value)


class Eye:
    """Everything that observes, wired to one link."""

    def __init__(self, loop: Loop, connection: socket.socket) -> None:
        self._loop = loop
        self._link = Link(loop, connection, self._take, loop.stop)
        emit = self._link.send
        self._nodes = Nodes()
        self._beats = Beats(loop, self._nodes, emit)
        self._sweeper = Sweeper(loop, self._nodes)
        self._sockets = Sockets(self._nodes)
        self._fetcher = Fetcher(loop, self._nodes)
        self._observer = Observer(
            loop,
            self._nodes,
            self._fetcher,
            self._sockets,
            self._sweeper,
            emit,
            lambda: self._link.behind,
        )
        self._tail = Tail(loop, emit)
        self._known: dict[str, Callable[[Request], None]] = {
            "nodes": self._do_nodes,
            "watch": self._do_watch,
            "sweep": self._do_sweep,
            "sockets": self._do_sockets,
            "streams": self._do_streams,
            "fetch": self._do_fetch,
            "observe": self._do_observe,
            "probe": self._do_probe,
            "tail": self._do_tail,
        }

    def close(self) -> None:
        """Give everything back."""
        self._observer.observe(None)
        for part in (self._beats, self._tail, self._fetcher, self._sweeper, self._sockets, self._nodes):
            part.close()

    def _take(self, line: bytes) -> None:
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            self._link.send(
                {"event": "problem", "at": monotonic(), "text": "a request that is not a JSON object"}
            )
            return
        request = Request(self._link, fields.get("id"), fields)
        name = fields.get("do")
        call = self._known.get(name) if isinstance(name, str) else None
        try:
            if call is None:
                raise Refused(f"the eye does not know how to do {name!r}")
            call(request)
        except Refused as error:
            request.failed(error)
        except OSError as error:
            request.failed(Refused(f"{name}: {error.strerror or error}", "failed"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            missing = f"the field {error} is missing" if isinstance(error, KeyError) else str(error)
            request.failed(Refused(f"{name}: {missing}"))

    def _do_nodes(self, request: Request) -> None:
        self._nodes.put(request.fields["nodes"])
        request.ok({})

    def _do_watch(self, request: Request) -> None:
        pairs = [(str(a), str(b)) for a, b in request.fields["pairs"]]
        request.ok({"pairs": self._beats.watch(pairs, float(request.fields.get("hz") or 20))})

    def _do_sweep(self, request: Request) -> None:
        self._sweeper.sweep(
            request.fields.get("nodes"),
            lambda swept: request.ok(swept.describe()),
            request.failed,
            wait_s=request.seconds("wait", WAIT_S, most=10),
        )

    def _do_sockets(self, request: Request) -> None:
        since = request.fields.get("since")
        since = None if since is None else float(since)
        self._tabled(request, request.fields.get("nodes"), lambda table: table.graph(since))

    def _do_streams(self, request: Request) -> None:
        of = request.fields["of"]
        pairs = crossing(of["blocks"], of["cut"])
        names = list({a for a, _ in pairs} | {b for _, b in pairs})
        self._tabled(request, names, lambda table: {"at": table.at, "streams": table.streams(pairs)})

    def _tabled(
        self, request: Request, names: list[str] | None, result: Callable[[Table], dict[str, Any]]
    ) -> None:
        self._loop.task(self._sockets.table(names), lambda table: request.ok(result(table)), request.failed)

    def _do_fetch(self, request: Request) -> None:
        gets = {str(g["key"]): question(g) for g in request.fields["gets"]}

        def done(outcomes: dict[str, Outcome]) -> None:
            request.ok({key: outcome.describe() for key, outcome in outcomes.items()})

        self._fetcher.fetch(gets, request.seconds("timeout", FETCH_TIMEOUT_S), done)

    def _do_observe(self, request: Request) -> None:
        fields = request.fields
        if fields.get("every") is None:
            self._observer.observe(None)
        else:
            self._observer.observe(
                Wanted(
                    every=request.seconds("every", 1.0),
                    questions={
                        str(g.get("key") or g["node"]): question(g) for g in fields.get("fetch") or ()
                    },
                    sockets=bool(fields.get("sockets")),
                    sweep=bool(fields.get("sweep")),
                    timeout=request.seconds("timeout", FETCH_TIMEOUT_S),
                )
            )
        request.ok({})

    def _do_probe(self, request: Request) -> None:
        fields = request.fields
        if fields.get("kind", "tcp") != "tcp":
            raise Refused(f"probe: {fields['kind']!r} is not a kind of probe; there is 'tcp'")
        to = str(fields["to"])
        if any(n.name == to for n in self._nodes):
            to = self._nodes.get(to).address
        timeout = request.seconds("timeout", FETCH_TIMEOUT_S)
        node = self._nodes.get(str(fields["node"]))
        probe(self._loop, self._nodes, node, (to, int(fields["port"])), timeout, request.ok)

    def _do_tail(self, request: Request) -> None:
        fields = request.fields
        self._tail.follow(fields["files"], fields["patterns"], from_end=fields.get("from") == "end")
        request.ok({})
