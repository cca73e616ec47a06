"""The keeper process: the single place of all ptrace. It serves requests, and the stops of what it traces,
and sleeps else.

Requests are handled one at a time; each node has a ``Follower`` with a tracer thread of its own, because
only the end of that thread lets the node's processes go unnoticed (stops.py). The main thread waits for
the stops of all of them. When its client or parent is gone, or on SIGTERM, it restores everything and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from .follow import Follower
from .line import Line
from .measure import Mirror, asks_vdso, leave_open
from .refusal import Gone, Refusal
from .stops import WALL, Tracer, status_field
from .target import Target, available

_ROUNDS = 100
_LOOKS, _TRIES, _LOOK_AGAIN_S = 60, 12, 0.001
_NEAR_NS = 1_000_000


@dataclass
class Node:
    """What the keeper knows of a node; ``inode`` is that of its network namespace, 0 while unknown."""

    inode: int = 0
    follower: Follower | None = None
    tracer: Tracer | None = None


class Service:
    """Requests in, results out; see ``client.Keeper`` for what they mean."""

    def __init__(self) -> None:
        self.able, self.why = available()
        self._mirror = Mirror() if self.able else None
        self._nodes: dict[str, Node] = {}
        self._census: dict[int, list[int]] = {}
        self._glanced = 0.0
        self._home = _namespace(os.getpid())
        self._never = {os.getpid(), os.getppid(), self._mirror.pid if self._mirror else 0}

    # -- requests

    def set(self, node: str, inode: int, line: Line | None) -> dict[str, Any]:
        """Bring all processes of the node under the line, or restore them."""
        known = self._nodes.setdefault(node, Node())
        known.inode = inode
        if line is None:
            return self._release(known)
        if inode == self._home:
            raise Refusal(f"{node} shares the agent's own network namespace, and cannot be told from it")
        follower, tracer = self._following(known, line)
        problems = tracer.call(partial(_each, follower.processes, partial(follower.update, line=line)))
        for attempt in range(_ROUNDS):
            found = self._members(inode, lately=attempt == 0)
            fresh = [p for p in found if p not in follower.processes and p not in problems]
            if attempt and not fresh:
                break
            for pid in fresh:
                problems.update(tracer.call(partial(_each, [pid], follower.take)))
            self.pump()
        else:
            problems[0] = f"new processes kept appearing for {_ROUNDS} rounds"
        return self._seen(follower, line, problems)

    def adopt(self, node: str, pid: int, line: Line) -> dict[str, Any]:
        """Trace and patch one process, which waits before its exec."""
        known = self._nodes.setdefault(node, Node())
        where = _namespace(pid)
        known.inode = known.inode or (where if where != self._home else 0)
        follower, tracer = self._following(known, line)
        problems = tracer.call(partial(_each, [pid], follower.take))
        if pid not in follower.processes and not problems:
            problems[pid] = "it has ended"
        return self._seen(follower, line, problems, only=pid)

    def measure(self, node: str, inode: int) -> list[dict[str, Any]]:
        """What each process of the node sees now."""
        known = self._nodes.get(node, Node())
        follower = known.follower
        pids = sorted({*self._members(inode or known.inode), *(follower.processes if follower else ())})
        return self._settled(pids, follower.line if follower else None)

    def close(self) -> dict[str, Any]:
        """Restore everything."""
        problems, pids = [], []
        for known in self._nodes.values():
            result = self._release(known)
            problems += result["problems"]
            pids += result["pids"]
        return {"pids": pids, "offset_ns": [], "problems": problems, "restored": not problems}

    def end(self) -> None:
        """Restore everything, and end the mirror."""
        self.close()
        if self._mirror:
            self._mirror.end()

    # -- stops

    def pump(self) -> None:
        """Answer every stop that is there."""
        while True:
            try:
                tid, status = os.waitpid(-1, WALL | os.WNOHANG)
            except ChildProcessError:
                return
            if tid == 0:
                return
            node = self._owner(tid)
            if node and node.follower and node.tracer:
                node.tracer.call(partial(node.follower.answer, tid, status))

    def _owner(self, tid: int) -> Node | None:
        for node in self._nodes.values():
            if node.follower and node.follower.traces(tid):
                return node
        tracer = status_field(tid, "TracerPid")
        return next((n for n in self._nodes.values() if n.tracer and str(n.tracer.tid) == tracer), None)

    # -- parts

    def _following(self, known: Node, line: Line) -> tuple[Follower, Tracer]:
        if not self.able:
            raise Refusal(self.why)
        if known.follower is None or known.tracer is None:
            known.follower, known.tracer = Follower(line), Tracer()
        known.follower.line = line
        return known.follower, known.tracer

    def _members(self, inode: int, *, lately: bool = False) -> list[int]:
        """Processes whose network namespace has this inode; ``lately``: a glance 0.1 s ago will do."""
        if not lately or time.monotonic() - self._glanced > 0.1:
            self._census.clear()
            for name in os.listdir("/proc"):
                if name.isdigit() and (where := _namespace(int(name))):
                    self._census.setdefault(where, []).append(int(name))
            self._glanced = time.monotonic()
        return [p for p in self._census.get(inode, ()) if p not in self._never]

    def _seen(
        self, follower: Follower, line: Line, problems: dict[int, str], only: int | None = None
    ) -> dict[str, Any]:
        pids = [p for p in follower.processes if only in (None, p)]
        rows = self._settled(pids, line)
        for row in rows:
            if not row["covered"]:
                problems.setdefault(row["pid"], row["why"])
        for pid, text in follower.refused.items():
            if only in (None, pid):
                problems.setdefault(pid, text)
        return {
            "pids": pids,
            "offset_ns": [[r["pid"], r["offset_ns"]] for r in rows if r["offset_ns"] is not None],
            "expected_ns": [[r["pid"], r["expected_ns"]] for r in rows if r["offset_ns"] is not None],
            "problems": [_named(pid, text) for pid, text in problems.items()],
            "restored": False,
        }

    def _settled(self, pids: Iterable[int], line: Line | None) -> list[dict[str, Any]]:
        """What the processes see, once they may go on: one amid its exec or fork waits for us and sees
        nothing until its stop is answered. Of those that stay as they are not many are waited for.
        """
        rows, looks = [], _LOOKS
        for pid in pids:
            row, tries = self._measure(pid, line), _TRIES
            while row and line and not _as_asked(row) and tries and looks:
                tries, looks = tries - 1, looks - 1
                time.sleep(_LOOK_AGAIN_S)
                self.pump()
                row = self._measure(pid, line)
            if row:
                rows.append(row)
        return rows

    def _measure(self, pid: int, line: Line | None) -> dict[str, Any] | None:
        row: dict[str, Any] = {"pid": pid, "offset_ns": None, "error_ns": None, "covered": False, "why": ""}
        try:
            if self._mirror is None:
                raise Refusal(self.why)
            with Target(pid) as target:
                target.check()
                reading = self._mirror.read(target.image())
        except Gone:
            return None
        except Refusal as e:
            return row | {"why": str(e), "expected_ns": None}
        row |= {"offset_ns": reading.offset_ns, "error_ns": reading.error_ns, "covered": True}
        row["expected_ns"] = line.error(reading.at_ns) if line else 0
        if not asks_vdso(pid):
            row |= {"offset_ns": 0, "covered": False}
            row["why"] = "its program never asks the vDSO, so it reads the true clock from the kernel"
        return row

    def _release(self, known: Node) -> dict[str, Any]:
        done: set[int] = set()
        problems: dict[int, str] = {}
        for _ in range(_ROUNDS):
            victims = [p for p in self._patched(known) if p not in problems]
            if not victims:
                break
            if known.follower is None or known.tracer is None:
                known.follower, known.tracer = Follower(None), Tracer()
            follower = known.follower
            follower.line = None
            problems.update(known.tracer.call(partial(_each, victims, follower.restore)))
            done.update(victims)
            self.pump()
        else:
            problems[0] = f"patched processes kept appearing for {_ROUNDS} rounds"
        if known.follower and known.tracer:
            known.tracer.call(known.follower.close)
            known.tracer.end()
        known.follower = known.tracer = None
        for pid in done - problems.keys():
            with contextlib.suppress(Gone, Refusal), Target(pid) as target:
                if not target.untouched():
                    problems[pid] = "its vDSO is not as the kernel made it"
        texts = [_named(pid, text) for pid, text in problems.items()]
        return {"pids": sorted(done), "offset_ns": [], "problems": texts, "restored": not problems}

    def _patched(self, known: Node) -> Iterator[int]:
        if not self.able:
            return
        for pid in {*self._members(known.inode), *(known.follower.processes if known.follower else ())}:
            with contextlib.suppress(Gone, Refusal), Target(pid) as target:
                if target.patched():
                    yield pid


def _as_asked(row: dict[str, Any]) -> bool:
    if not row["covered"]:
        return False
    return bool(abs(row["offset_ns"] - row["expected_ns"]) <= row["error_ns"] + _NEAR_NS)


def _each(pids: Iterable[int], act: Callable[[int], None]) -> dict[int, str]:
    """Do it for each process; what was refused, by pid. Those that have ended are none of our business."""
    problems = {}
    for pid in list(pids):
        try:
            act(pid)
        except Refusal as e:
            problems[pid] = str(e)
        except (Gone, ProcessLookupError):
            pass
        except OSError as e:
            problems[pid] = f"the kernel refused: {e.strerror}"
    return problems


def _named(pid: int, text: str) -> str:
    name = status_field(pid, "Name") if pid else ""
    return f"process {pid} ({name}): {text}" if name else f"process {pid}: {text}" if pid else text


def _namespace(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return 0


# -- the process


def run(requests: socket.socket, parent: int) -> None:
    """Serve until the other end, or process ``parent`` (a pidfd), is gone; then restore everything."""
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)  # the client's standard input and output are its own protocol
    os.dup2(null, 1)
    leave_open(requests.fileno(), parent)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Every process that is followed takes a descriptor.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    service = Service()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    pending = b""
    try:
        while not ending:
            ready, _, _ = select.select([requests.fileno(), wake, parent], [], [])
            if wake in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake, 4096)
            service.pump()
            if requests.fileno() in ready:
                data = requests.recv(1 << 16)
                pending += data
                while b"\n" in pending:
                    row, _, pending = pending.partition(b"\n")
                    requests.sendall(json.dumps(_serve(service, row)).encode() + b"\n")
                if not data:
                    break
            elif parent in ready:
                break
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        service.end()


def _serve(service: Service, row: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(row)
        line = Line.read(asked["line"]) if asked.get("line") is not None else None
        node, inode = asked.get("node", ""), asked.get("inode", 0)
        start = time.monotonic()
        match asked["do"]:
            case "set":
                result: Any = service.set(node, inode, line)
            case "adopt":
                result = service.adopt(node, asked["pid"], line or Line())
            case "measure":
                result = service.measure(node, inode)
            case "close":
                result = service.close()
            case other:
                raise Refusal(f"the keeper does not know {other!r}")
        if isinstance(result, dict):
            result["took_s"] = time.monotonic() - start
        return {"ok": result}
    except Refusal as e:
        return {"error": str(e)}
    except Exception as e:  # a fault of ours: the keeper must live on, others' clocks depend on it
        return {"error": f"the keeper failed: {type(e).__name__}: {e}"}
