"""A simulated network that drives the same core: virtual time, one heap of events, everything from one seed.

Frames pass through the real encoding. Links behave like TCP: in order, held back while either direction is
cut, delivered after the heal if both ends still keep the connection.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runner.devnet.bugs import build
from runner.devnet.config import Config
from runner.devnet.core import Core
from runner.devnet.events import (
    Accepted,
    Action,
    Close,
    Closed,
    Dial,
    Dialled,
    Event,
    Log,
    Now,
    Received,
    Store,
    Tick,
)
from runner.devnet.frames import Splitter, encode

GENESIS = 1_700_000_000.0
Clock = Callable[[float], float]


@dataclass
class Machine:
    """A simulated host: the disk and the clock outlive the process."""

    config: Config
    core: Core | None = None
    disk: list[list[Any]] = field(default_factory=list)
    clock: Clock = staticmethod(lambda _: 0.0)
    life: int = 0
    paused: bool = False
    inbox: list[Event] = field(default_factory=list)
    links: dict[int, tuple[Wire, int]] = field(default_factory=dict)
    accepted: int = 0
    next_tick: float = 0.0
    last_tick: float = -1.0
    crashed: str | None = None
    final: str = ""
    log: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Wire:
    """A connection; side 0 dialled. ``link`` is each side's number, None once that side has let go."""

    ends: tuple[str, str]
    link: list[int | None]
    standing: bool = False
    last: list[float] = field(default_factory=lambda: [0.0, 0.0])
    held: list[tuple[int, bytes | None]] = field(default_factory=list)
    splitters: list[Splitter] = field(default_factory=lambda: [Splitter(), Splitter()])


class Simulation:
    """Nodes v1…vN. Times are seconds since the start; genesis is at 1 s.

    ``conflicts`` (two blocks said to be final at one height) and ``backs`` (a finalized height that fell)
    fill by themselves.
    """

    def __init__(
        self,
        count: int,
        *,
        layer_s: float = 0.5,
        seed: int = 0,
        bugs: Mapping[str, Sequence[str]] | Sequence[str] = (),
        stakes: Sequence[float] | None = None,
        peers: Callable[[str], Iterable[str]] | None = None,
    ) -> None:
        self.rng = random.Random(seed)
        self.t = 0.0
        self.delay_s = (0.001, 0.02)
        self.names = [f"v{place + 1}" for place in range(count)]
        self.cuts: set[tuple[str, str]] = set()
        self.wires: list[Wire] = []
        self.final: dict[int, dict[str, set[str]]] = {}
        self.conflicts: list[str] = []
        self.backs: list[str] = []
        self._seen: dict[str, int] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        addresses = {name: f"10.0.0.{place + 1}" for place, name in enumerate(self.names)}
        shares = dict(zip(self.names, stakes or [1.0] * count, strict=True))
        self.machines: dict[str, Machine] = {}
        for name in self.names:
            known = set(self.names if peers is None else peers(name)) - {name}
            own = bugs.get(name, ()) if isinstance(bugs, Mapping) else bugs
            config = Config(
                name=name,
                address=addresses[name],
                peers={other: addresses[other] for other in self.names if other in known},
                stakes=shares,
                genesis=GENESIS + 1.0,
                layer_s=layer_s,
                data="",
                bugs=tuple(own),
            )
            self.machines[name] = Machine(config)
        self._at = {address: name for name, address in addresses.items()}

    # -- what a test does --

    def start(self, *names: str) -> None:
        """Starts processes from their disks; without names, all."""
        for name in names or self.names:
            machine = self.machines[name]
            machine.life += 1
            machine.crashed, machine.paused = None, False
            machine.core = build(machine.config)(machine.config, [list(record) for record in machine.disk])
            self._look(name)
            self._schedule_tick(machine, self.t + self.rng.random() * 0.02)

    def kill(self, *names: str, wipe: bool = False) -> None:
        """Ends processes as SIGKILL does."""
        for name in names:
            machine = self.machines[name]
            machine.core = None
            machine.life += 1
            machine.inbox.clear()
            for link in list(machine.links):
                self._let_go(machine, link)
            if wipe:
                machine.disk.clear()
                self._seen.pop(name, None)

    def pause(self, *names: str) -> None:
        """Stops processes; what comes in waits."""
        for name in names:
            self.machines[name].paused = True

    def resume(self, *names: str) -> None:
        """Lets stopped processes go on."""
        for name in names:
            machine = self.machines[name]
            machine.paused = False
            waiting, machine.inbox = machine.inbox, []
            for event in waiting:
                self._deliver(machine, event)
            self._schedule_tick(machine, self.t)

    def clock(self, name: str, offset: float | Clock) -> None:
        """Sets a node's clock off by seconds, or by a function of the time."""
        self.machines[name].clock = offset if callable(offset) else (lambda _: offset)

    def cut(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Replaces the set of directed pairs that nothing passes."""
        self.cuts = set(pairs)
        for wire in list(self.wires):
            if wire.held and not self._severed(wire):
                held, wire.held = wire.held, []
                for side, data in held:
                    self._transmit(wire, side, data)

    def partition(self, *sides: Sequence[str]) -> None:
        """Cuts all sides from each other; nodes on several sides see all of those."""
        together = {(a, b) for side in sides for a in side for b in side}
        self.cut((a, b) for a in self.names for b in self.names if a != b and (a, b) not in together)

    def heal(self) -> None:
        """Ends all cuts."""
        self.cut(())

    def run(self, until: float) -> None:
        """Lets virtual time pass."""
        while self._heap and self._heap[0][0] <= until:
            self.t, _, action = heapq.heappop(self._heap)
            action()
        self.t = until

    def now(self, name: str) -> Now:
        """The instant as a node sees it."""
        return Now(GENESIS + self.t + self.machines[name].clock(self.t), 1000.0 + self.t)

    def facts(self, name: str) -> dict[str, Any]:
        """What the status API would say; empty if the node is down."""
        core = self.machines[name].core
        return core.facts(self.now(name)) if core is not None else {}

    def edges(self) -> set[frozenset[str]]:
        """Pairs that both ends hold to be up."""
        held = {
            name: {link.name for link in machine.core.ups()} if machine.core else set()
            for name, machine in self.machines.items()
        }
        return {frozenset((a, b)) for a in held for b in held[a] if b is not None and a in held[b]}

    # -- time --

    def _later(self, t: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(t, self.t), next(self._order), action))

    def _schedule_tick(self, machine: Machine, t: float) -> None:
        machine.next_tick = t
        life = machine.life
        self._later(t, lambda: self._tick(machine, life, t))

    def _tick(self, machine: Machine, life: int, t: float) -> None:
        if machine.life != life or machine.next_tick != t or machine.core is None or machine.paused:
            return
        self._handle(machine, Tick())
        if machine.core is not None:
            machine.last_tick = self.t
            self._schedule_tick(machine, self.t + machine.core.due_s(self.now(machine.config.name)))

    def _deliver(self, machine: Machine, event: Event) -> None:
        if machine.core is None:
            return
        if machine.paused:
            machine.inbox.append(event)
            return
        self._handle(machine, event)
        soon = max(self.t, machine.last_tick + machine.config.layer_s / 20)
        if soon < machine.next_tick:
            self._schedule_tick(machine, soon)

    def _handle(self, machine: Machine, event: Event) -> None:
        core, name = machine.core, machine.config.name
        if core is None:
            return
        try:
            actions = core.handle(self.now(name), event)
        except Exception as why:  # a crash is a finding of the simulation, not its end
            machine.log.append((self.t, f"crashed: {why!r}"))
            self.kill(name)
            machine.crashed = repr(why)
            return
        for action in actions:
            self._act(machine, action)
        if core.ledger.finalized.hash != machine.final:
            machine.final = core.ledger.finalized.hash
            self._look(name)

    def _look(self, name: str) -> None:
        """Holds what a node says is final against all that was ever said to be."""
        facts = self.facts_or_nothing(name)
        if not facts:
            return
        for height, block in facts["recent"]:
            said = self.final.setdefault(height, {})
            said.setdefault(block, set()).add(name)
            if len(said) > 1:
                self.conflicts.append(f"{self.t:.2f} {name} height {height}: {sorted(said)}")
        height = facts["finalized"][0]
        if height < self._seen.get(name, 0):
            self.backs.append(f"{self.t:.2f} {name}: {self._seen[name]} → {height}")
        self._seen[name] = height

    def facts_or_nothing(self, name: str) -> dict[str, Any]:
        """As ``facts``; empty also for a node that leaves the question unanswered."""
        try:
            return self.facts(name)
        except Exception:
            return {}

    # -- what a core wants --

    def _act(self, machine: Machine, action: Action) -> None:
        if isinstance(action, Store):
            machine.disk.append(action.record)
        elif isinstance(action, Log):
            machine.log.append((self.t, action.text))
        elif isinstance(action, Close):
            self._let_go(machine, action.link)
        elif isinstance(action, Dial):
            self._dial(machine, action)
        elif action.link in machine.links:
            wire, side = machine.links[action.link]
            self._transmit(wire, side, encode(action.frame))

    def _severed(self, wire: Wire) -> bool:
        a, b = wire.ends
        return (a, b) in self.cuts or (b, a) in self.cuts

    def _dial(self, machine: Machine, action: Dial) -> None:
        name = self._at[action.address]
        wire = Wire((machine.config.name, name), [action.link, None])
        machine.links[action.link] = (wire, 0)
        self.wires.append(wire)
        self._later(self.t + self._delay(), lambda: self._answer(machine, wire, machine.life))

    def _answer(self, machine: Machine, wire: Wire, life: int) -> None:
        link = wire.link[0]
        if link is None or machine.life != life or self._severed(wire):
            return  # lost on the way: the dialler gives up by itself
        other = self.machines[wire.ends[1]]
        if other.core is None:
            self._let_go(machine, link)
            self._deliver(machine, Closed(link))
            return
        other.accepted += 1
        wire.standing, wire.link[1] = True, other.accepted
        other.links[other.accepted] = (wire, 1)
        self._deliver(other, Accepted(other.accepted))
        self._deliver(machine, Dialled(link))

    def _delay(self) -> float:
        return self.rng.uniform(*self.delay_s)

    def _transmit(self, wire: Wire, side: int, data: bytes | None) -> None:
        if self._severed(wire) or wire.held:
            wire.held.append((side, data))
            return
        at = max(wire.last[side], self.t + self._delay())
        wire.last[side] = at
        self._later(at, lambda: self._arrive(wire, side, data))

    def _arrive(self, wire: Wire, side: int, data: bytes | None) -> None:
        if self._severed(wire):
            wire.held.append((side, data))
            return
        there = 1 - side
        link = wire.link[there]
        if link is None:
            return
        machine = self.machines[wire.ends[there]]
        if data is None:
            self._let_go(machine, link, tell=False)
            self._deliver(machine, Closed(link))
            return
        for frame in wire.splitters[there].feed(data):
            self._deliver(machine, Received(link, frame))

    def _let_go(self, machine: Machine, link: int, *, tell: bool = True) -> None:
        wire, side = machine.links.pop(link, (None, 0))
        if wire is None:
            return
        wire.link[side] = None
        if tell and wire.standing:
            self._transmit(wire, side, None)
        if wire.link == [None, None] and wire in self.wires:
            self.wires.remove(wire)
