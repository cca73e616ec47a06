"""Who a node is connected to: dialling, greeting, judging the other clock, keeping at most eight alive.

Every node prefers the same kind of neighbours (fixed distances on a ring of all nodes), so both ends of a
link want it, the graph is the same again after every heal, and substitutes taken during a cut give way to the
neighbours that come back. A silent connection is closed after ``DEAD_S`` and dialled anew: TCP's own back-off
after a cut must not delay recovery.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from runner.devnet.config import Config
from runner.devnet.events import Action, Close, Dial, Log, Now, Send, Store
from runner.devnet.frames import Frame, Hello

PING_S = 1.0
DEAD_S = 3.0
DIAL_S = 1.0
BACKOFF_S = (0.2, 0.4, 0.8, 1.5)
LEARNT_MAX = 4096


@dataclass
class Link:
    """One connection. ``offset`` is the other clock against ours in seconds, once measured."""

    id: int
    name: str | None
    outbound: bool
    opened: float
    heard: float
    greeted: bool = False
    up: bool = False
    connected: bool = False
    pinged: float = -1e9
    pongs: list[float] = field(default_factory=list)
    offset: float | None = None
    told: int = 0
    version: int = -1
    has: dict[str, None] = field(default_factory=dict)
    known: dict[tuple[Any, ...], tuple[int, int]] = field(default_factory=dict)
    head: tuple[int, str] | None = None
    told_head: str = ""
    wanted: int | None = None


class Peering:
    """The part of the core that keeps the links. Subclasses add what is sent over them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.links: dict[int, Link] = {}
        self.addresses: dict[str, str] = {}
        self.learnt: list[str] = []
        self.retry: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        self.refused: set[str] = set()
        self.out: list[Action] = []
        self._next_link = 0
        self._order: list[str] = []
        self._rng = random.Random(config.name)
        self._started: float | None = None
        self._lonely_since: float | None = None

    # -- what is wanted --

    @cached_property
    def _distances(self) -> dict[int, int]:
        """How far down the list of wishes a distance on the ring stands.

        The first four make a graph of short paths.
        """
        count = len(self.config.names)
        half = max(1, count // 2)
        first = [1, *(max(1, round(count ** (step / 4))) for step in (1, 2, 3))]
        rest = list(range(1, half + 1))
        random.Random(count).shuffle(rest)
        order = [at for at in dict.fromkeys([*first, *rest]) if at <= half]
        return {distance: place for place, distance in enumerate(order)}

    def preference(self, name: str) -> tuple[int, int]:
        """Smaller is better; both ends of a pair agree on the first number."""
        names = self.config.names
        count, other = len(names), names.index(name)
        apart = abs(other - self.config.number)
        return (self._distances.get(min(apart, count - apart), count), other)

    @cached_property
    def preferences(self) -> dict[str, tuple[int, int]]:
        """``preference`` of every other node."""
        return {name: self.preference(name) for name in self.config.names if name != self.config.name}

    def wanted(self) -> list[str]:
        """The known nodes, best first."""
        if len(self._order) != len(self.addresses):
            self._order = sorted(self.addresses, key=self.preferences.__getitem__)
        return self._order

    def ups(self) -> list[Link]:
        """The links over which messages go."""
        return [link for link in self.links.values() if link.up]

    def linked(self) -> dict[str, Link]:
        """Named links, dialling ones included."""
        return {link.name: link for link in self.links.values() if link.name is not None}

    # -- addresses --

    def learn(self, peers: dict[str, str], *, store: bool = True) -> None:
        """Takes in addresses of nodes of this network."""
        fresh = {
            name: address
            for name, address in peers.items()
            if name in self.preferences
            and self.addresses.get(name) != address
            and len(self.learnt) < LEARNT_MAX
        }
        if not fresh:
            return
        self.addresses.update(fresh)
        self.learnt += fresh
        if store:
            self.out.append(Store(["p", fresh]))

    # -- the life of a link --

    def dial(self, name: str, now: Now) -> None:
        """Begins a connection."""
        self._next_link -= 1
        link = Link(self._next_link, name, outbound=True, opened=now.mono, heard=now.mono)
        self.links[link.id] = link
        self.out.append(Dial(link.id, self.addresses[name]))

    def on_dialled(self, link: Link, now: Now) -> None:
        """Our connection stands: greet."""
        link.connected = True
        link.heard = now.mono
        self._greet(link, now)

    def on_accepted(self, number: int, now: Now) -> None:
        """Somebody connected: wait for the greeting."""
        waiting = sum(1 for link in self.links.values() if link.name is None)
        if waiting >= 4 * self.config.max_peers:
            self.out.append(Close(number))
            return
        self.links[number] = Link(
            number, None, outbound=False, opened=now.mono, heard=now.mono, connected=True
        )

    def _greet(self, link: Link, now: Now) -> None:
        config = self.config
        link.pinged = now.mono
        hello = Hello(config.name, self.network, config.address)
        self.out.append(Send(link.id, Frame(hello=hello, ping=now.mono)))

    network = ""

    def on_hello(self, link: Link, hello: Hello, now: Now) -> bool:
        """The other end said who it is. False if the link was given up."""
        if hello.network != self.network or hello.name not in self.preferences:
            return self.refuse(link, hello.name, "it is not of this network", now)
        if link.outbound and hello.name != link.name:
            return self.refuse(link, hello.name, "somebody else answered", now)
        twin = self.linked().get(hello.name)
        if twin is not None and twin is not link:
            if self._keeps(twin, link, now):
                self.drop(link, now, quiet=True)
                return False
            self.drop(twin, now, quiet=True)
        if not link.outbound and not self.room_for(hello.name, now):
            self.out.append(Send(link.id, Frame(full=True, peers=self.addresses)))
            self.drop(link, now, quiet=True)
            return False
        link.name, link.greeted = hello.name, True
        self.learn({hello.name: hello.address})
        if not link.outbound:
            self._greet(link, now)
        return True

    def _keeps(self, old: Link, new: Link, now: Now) -> bool:
        """Which of two links to one node stays.

        When both are young the ends dialled each other: the one that the first node dialled stays. Otherwise
        the other end has lost the old one, and the new one stays.
        """
        if not old.connected and not new.outbound:
            return False
        if now.mono - old.opened > DIAL_S:
            return False
        other = new.name or old.name
        ours_first = other is not None and self.config.number < self.config.names.index(other)
        return old.outbound == ours_first

    def room_for(self, name: str, now: Now) -> bool:
        """Whether another neighbour fits in; one that we like less makes room."""
        held = [link for link in self.links.values() if link.greeted and link.name is not None]
        if len(held) < self.config.max_peers:
            return True
        worst = max(held, key=lambda link: self.preferences[link.name or ""])
        if self.preferences[worst.name or ""] <= self.preferences[name]:
            return False
        self.drop(worst, now, why="a better neighbour is back")
        return True

    def refuse(self, link: Link, name: str, why: str, now: Now) -> bool:
        """Gives a link up for a reason that is said once until the two get on again."""
        if name not in self.refused:
            self.refused.add(name)
            self.out.append(Log(f"refused peer {name}: {why}"))
        self.drop(link, now, quiet=True)
        return False

    def drop(self, link: Link, now: Now, *, why: str = "", quiet: bool = False) -> None:
        """Closes a link ourselves."""
        self.out.append(Close(link.id))
        self.on_closed(link, now, why=why, quiet=quiet)

    def on_closed(
        self, link: Link, now: Now, *, why: str = "the connection ended", quiet: bool = False
    ) -> None:
        """A link is gone, whoever closed it; it is dialled again soon."""
        self.links.pop(link.id, None)
        if link.name is None:
            return
        if link.up:
            self.failures[link.name] = 0
            self.out.append(Log(f"peer {link.name} down: {why or 'closed'} ({len(self.ups())} left)"))
        self.retry[link.name] = now.mono + self.backoff(link.name)

    def backoff(self, name: str) -> float:
        """Seconds until the next attempt; short, so that a heal is noticed.

        The first node of a pair is quicker.
        """
        failures = self.failures.get(name, 0)
        self.failures[name] = failures + 1
        base = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
        later = 0.3 if self.config.number > self.config.names.index(name) else 0.0
        return base * (0.75 + 0.5 * self._rng.random()) + later

    # -- the other clock --

    def on_pong(self, link: Link, pong: tuple[float, float], now: Now) -> None:
        """Judges the other clock by a round trip; the link is up when it is right."""
        echo, wall = pong
        trip = now.mono - echo
        if not 0 <= trip <= DEAD_S * 2 or link.name is None:
            return
        link.offset = wall + trip / 2 - now.wall
        if self.clock_is_off(link.offset, trip):
            which = "ahead of" if link.offset > 0 else "behind"
            self.refuse(link, link.name, f"its clock is {abs(link.offset):.2f} s {which} ours", now)
            return
        if not link.up and link.greeted:
            link.up = True
            self.failures[link.name] = 0
            self.refused.discard(link.name)
            self.out.append(Log(f"peer {link.name} up ({len(self.ups())} in all)"))
            self.on_up(link, now)

    def clock_is_off(self, offset: float, trip: float) -> bool:
        """Whether a clock differs beyond the tolerance and beyond what the round trip leaves open."""
        return abs(offset) - trip / 2 > self.config.tolerance_s

    def on_up(self, link: Link, now: Now) -> None:
        """A link has come up."""

    # -- time --

    def tend(self, now: Now) -> None:
        """Closes what is silent, dials what is missing."""
        if self._started is None:
            self._started = now.mono
            for name in self.addresses:
                later = 0.7 if self.config.number > self.config.names.index(name) else 0.0
                self.retry.setdefault(name, now.mono + later)
        for link in list(self.links.values()):
            if link.id not in self.links:
                continue
            if not link.connected and now.mono - link.opened > DIAL_S:
                self.drop(link, now, quiet=True)
            elif self.is_dead(link, now):
                self.drop(link, now, why=f"silent for {now.mono - link.heard:.1f} s")
        for name in self.missing(now):
            if self.retry.get(name, 0.0) <= now.mono:
                self.dial(name, now)
        while len(ups := self.ups()) > self.config.max_peers:
            worst = max(ups, key=lambda link: self.preferences[link.name or ""])
            self.drop(worst, now, why="a better neighbour is back")

    def is_dead(self, link: Link, now: Now) -> bool:
        """Whether a link has been silent too long, or has not come up in time."""
        return now.mono - link.heard > DEAD_S or (not link.up and now.mono - link.opened > DEAD_S)

    def missing(self, now: Now) -> list[str]:
        """Whom to dial: the neighbours we want most, and substitutes when one of those stays away."""
        linked, order = self.linked(), self.wanted()
        first = order[: self.config.max_peers]
        missing = [name for name in first if name not in linked]
        down = sum(1 for name in first if name not in linked or not linked[name].up)
        if not down:
            self._lonely_since = None
            return missing
        if self._lonely_since is None:
            self._lonely_since = now.mono
        if now.mono - self._lonely_since > 2 * DIAL_S:
            substitutes = order[self.config.max_peers :]
            down -= sum(1 for name in substitutes if name in linked)
            free = [
                name for name in substitutes if name not in linked and self.retry.get(name, 0.0) <= now.mono
            ]
            missing += free[: max(0, down)]
        return missing
