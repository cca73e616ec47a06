"""The repeated sample: what all nodes answer and what the kernel says of their connections, at a steady rate.

Rounds begin on a schedule that does not drift. A sample leaves when everything is in, or shortly before the
next round; a node that has not answered by then is not yet judged: its answer belongs to a later sample, or
it becomes a time-out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from faults.agent.eye.fetch import Exchange, Fetcher, Outcome, Question
from faults.agent.eye.loop import Loop, Timer
from faults.agent.eye.namespaces import Nodes
from faults.agent.eye.sockets import Sockets, Table, shape
from faults.agent.eye.sweep import Sweeper

SWEPT_NODES = 16
"""Up to so many nodes a sweep is made with every sample."""
_CLOSE = 0.9  # of the interval, after which a sample leaves without the rest


@dataclass(frozen=True)
class Wanted:
    """What to observe: a round every ``every`` seconds, with these questions by key.

    ``timeout`` (s) for one answer.
    """

    every: float
    questions: Mapping[str, Question]
    sockets: bool = False
    sweep: bool = False
    timeout: float = 1.0


class _Target:
    """One question that is asked again and again, and what has been told of its answers."""

    __slots__ = ("body", "exchange", "key", "outcome", "question")

    def __init__(self, key: str, question: Question) -> None:
        self.key, self.question = key, question
        self.exchange: Exchange | None = None
        self.outcome: Outcome | None = None  # not told yet
        self.body: bytes | None = None  # told last


class Observer:
    """Calls ``emit`` with ``sample`` events and none while ``behind`` says that nobody takes them."""

    def __init__(
        self,
        loop: Loop,
        nodes: Nodes,
        fetcher: Fetcher,
        sockets: Sockets,
        sweeper: Sweeper,
        emit: Callable[[dict[str, Any]], None],
        behind: Callable[[], bool],
    ) -> None:
        self._loop, self._nodes, self._fetcher = loop, nodes, fetcher
        self._sockets, self._sweeper = sockets, sweeper
        self._emit, self._behind = emit, behind
        self._wanted: Wanted | None = None
        self._targets: Sequence[_Target] = ()
        self._round = 0
        self._began = 0.0
        self._left = 0  # parts of this round that are not in yet
        self._timers: list[Timer] = []
        self._graph: dict[str, Any] | None = None  # read in this round
        self._shape: tuple[Any, ...] | None = None  # told last
        self._reach: dict[str, Any] | None = None  # told last
        self._sweeping = False

    def observe(self, wanted: Wanted | None) -> None:
        """Observe this from now on instead of what was observed before; None: nothing.

        The first sample is complete.
        """
        for timer in self._timers:
            timer.cancel()
        for target in self._targets:
            if target.exchange is not None:
                target.exchange.done = None
        self._wanted = wanted
        self._targets = [_Target(k, q) for k, q in wanted.questions.items()] if wanted else ()
        self._shape = self._reach = self._graph = None
        self._round += 1
        if wanted is not None:
            self._timers = [self._loop.at(monotonic(), lambda: self._begin(monotonic()))]

    def _begin(self, due: float) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        self._round += 1
        this = self._round
        self._began = now = monotonic()
        following = due + wanted.every
        if following < now:  # rounds that were slept over are not made up for
            following += ((now - following) // wanted.every + 1) * wanted.every
        self._timers = [
            self._loop.at(following, lambda: self._begin(following)),
            self._loop.at(now + _CLOSE * (following - now), lambda: self._close(this)),
        ]
        self._graph = None
        self._left = 1 + len(self._targets)
        if wanted.sweep and len(self._nodes) <= SWEPT_NODES:
            self._sweep(this)
        if wanted.sockets:
            # The tables come first: while they are read no answer can be taken, and it would be stamped late.
            self._loop.task(
                self._sockets.table(None),
                lambda table: self._tabled(this, table),
                lambda error: self._untabled(this, error),
            )
        else:
            self._ask(this)

    def _tabled(self, this: int, table: Table) -> None:
        if this == self._round:
            self._graph = table.graph()
            self._ask(this)

    def _untabled(self, this: int, error: Exception) -> None:
        self._emit({"event": "problem", "at": monotonic(), "text": f"sockets: {error}"})
        if this == self._round:
            self._ask(this)

    def _sweep(self, this: int) -> None:
        if self._sweeping:
            return
        self._sweeping = True
        self._left += 1

        def end(problem: str | None) -> None:
            self._sweeping = False
            if problem is not None:
                self._emit({"event": "problem", "at": monotonic(), "text": f"sweep: {problem}"})
            self._in(this)

        self._sweeper.sweep(None, lambda _: end(None), lambda error: end(str(error)))

    def _ask(self, this: int) -> None:
        for target in self._targets:
            if target.exchange is None:
                target.exchange = self._fetcher.ask(target.question, self._settled(this, target))
                if target.outcome is not None:  # refused on the spot, before we had the exchange in hand
                    target.exchange = None
            else:
                target.exchange.done = self._settled(this, target)
        self._in(this)

    def _settled(self, this: int, target: _Target) -> Callable[[Outcome], None]:
        def settle(outcome: Outcome) -> None:
            target.exchange, target.outcome = None, outcome
            self._in(this)

        return settle

    def _in(self, this: int) -> None:
        if this == self._round and self._left:
            self._left -= 1
            if not self._left:
                self._close(this)

    def _close(self, this: int) -> None:
        """Tell what is new; answers that came while nobody listens are told when somebody does."""
        wanted = self._wanted
        if this != self._round or wanted is None:
            return
        self._timers[-1].cancel()
        self._left = 0
        now = monotonic()
        for target in self._targets:
            if target.exchange is not None and now - target.exchange.asked >= wanted.timeout:
                target.exchange.expire()
        if self._behind():
            return
        answers: dict[str, bool | str] = {}
        bodies: dict[str, str] = {}
        stamps: dict[str, float] = {}
        for target in self._targets:
            outcome, target.outcome = target.outcome, None
            if outcome is None:
                continue
            answers[target.key] = _answers(outcome)
            if outcome.status and outcome.body != target.body:
                target.body = outcome.body
                bodies[target.key] = outcome.body.decode("utf-8", "replace")
                stamps[target.key] = outcome.at
        self._emit(
            {
                "event": "sample",
                "at": self._began,
                "took_s": now - self._began,
                "answers": answers,
                "bodies": bodies,
                "stamps": stamps,
                "sockets": self._changed_graph(),
                "reach": self._changed_reach(),
            }
        )

    def _changed_graph(self) -> dict[str, Any] | None:
        if self._graph is None:
            return None
        now = shape(self._graph)
        if now == self._shape:
            return None
        self._shape = now
        return self._graph

    def _changed_reach(self) -> dict[str, Any] | None:
        swept = self._sweeper.latest
        if swept is None or swept.reach == self._reach:
            return None
        self._reach = swept.reach
        return swept.reach


def _answers(outcome: Outcome) -> bool | str:
    if outcome.status == 0:
        return outcome.why
    return True if 200 <= outcome.status < 300 else f"status {outcome.status}"
