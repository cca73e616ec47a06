"""A live network under a run: the driver, the journal, and the loop that takes events and keeps
everything going.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal

import runner
from faults.fault import NodeInfo
from faults.fields import Duration
from runner.engine.clock import RunClock
from runner.engine.conductor import Conductor
from runner.engine.control import ControlServer
from runner.engine.hand import Hand
from runner.engine.sampler import Sampler
from runner.engine.stop import Stop
from runner.engine.triggers import Triggers
from runner.engine.windows import closes_at
from runner.engine.witness import SWEEP_OVER, Witness, reach_of
from runner.judge.live import Watch
from runner.networks.link import LinkError
from runner.networks.local import LocalDriver
from runner.observers.observer import Observer, catalogue, from_mapping
from runner.plan.model import Plan, Trial
from runner.records.directory import RunDirectory
from runner.records.journal import Writer
from runner.scenario.model import Scenario

TICK_S = 0.05
DEFAULT_EVERY_S = 0.5
BLIND_S = 60.0
HEAL_WITHIN_S = 5.0
LAST_LOOK_S = 0.6
PASSED_ON = ("started", "exited", "down", "paused", "resumed", "clock", "lapsed", "lease", "problem")
INSTANTS = ("at", "from", "to", "since")


def observer_of(scenario: Scenario) -> Observer | None:
    """How the scenario's network is asked for facts; None where only the kernel is looked at."""
    observe = scenario.network.observe
    if observe.http is not None:
        port = next(iter(observe.ports.values()), 80)
        return from_mapping(observe.http, port, observe.facts)
    if observe.use is not None:
        return catalogue()[observe.use]
    return catalogue()["devnet"] if any(g.use == "devnet" for g in scenario.network.groups) else None


class _Interrupted(Exception):
    """A signal came while the network was being started."""


class Live:
    """Everything that is alive during a run. As a context manager it takes the network away at the end,
    whatever happened.
    """

    def __init__(
        self,
        plan: Plan,
        directory: RunDirectory,
        lease_s: float,
        listener: Callable[[Mapping[str, Any]], None] | None,
        stop: Stop,
    ) -> None:
        self._scenario = plan.scenario
        self._directory = directory
        self._lease_s = lease_s
        self._listener = listener
        self._stop = stop
        self._plan = plan
        self._names = tuple(n.name for n in plan.nodes)
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        self.clock = RunClock()
        self._journal = Writer(directory.journal)
        self.driver = LocalDriver(self._scenario.network, folder=self._scenario.folder)
        self._watch = Watch(self._scenario)
        self._observer = observer_of(self._scenario)
        self._sampler = Sampler(self._names, self._observer)
        self.conductor: Conductor
        self._witness: Witness
        self._triggers = Triggers(self.clock, self._watch, self.write, self._genesis)
        self._runs: dict[str, bool] = {}
        """Whose process is alive, of the nodes that were started at all."""
        self._renewed = float("-inf")
        self._seen = 0.0
        """When the last sample came."""
        self._ended = False
        self._gone = False
        self._control: ControlServer | None = None
        self.waiting: dict[int, list[Callable[[Mapping[str, Any]], None]]] = {}
        """Commands started by hand that run: pid → who waits for their end."""
        self.codes: dict[int, int] = {}
        self._why = ("error", "ended early")

    def __enter__(self) -> Live:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_down()
        self._journal.close()

    def write(self, event: str, *, t: float | None = None, **fields: Any) -> None:
        """Journal an event, and let everybody who follows the run see it."""
        now = self.clock.now() if t is None else t
        record = {"t": round(now, 6), "wall": self.clock.wall(now), "event": event, **fields}
        self._journal.write(record)
        self._watch.feed(record)
        if self._listener is not None:
            self._listener(record)

    # -- up to the steady state

    def bring_up(self) -> None:
        """Start the network and the observation. Raises NetworkError, LinkError."""
        try:
            self.driver.open(self._directory.path, on_event=self._events.put)
        finally:
            self._write_header(self.driver.nodes)
        link = self.driver.link
        self.conductor = Conductor(self._plan, link, self.clock, lease_s=self._lease_s, write=self.write)
        self._witness = Witness(link, self.clock, self._names, self._plan.seed, self.write)
        self.conductor.on_begun.append(
            lambda change, at: self._witness.begun(change, self.conductor.plan, self.conductor.next_at())
        )
        self._renew()
        try:
            self.driver.start(lambda text: self.write("progress", text=text), self._meanwhile)
        except _Interrupted:
            self.end("interrupt", self._stop.why)
            return
        self._observe()
        self._witness.watch(self._plan)
        self._control = ControlServer(self._directory.path, self._events.put)

    def _meanwhile(self) -> None:
        """What goes on while the network starts; a signal does not have to wait for the last node."""
        if self._stop.asked:
            raise _Interrupted
        self._take_events(0)
        self._keep_up()

    def _write_header(self, nodes: Any) -> None:
        s = self._scenario
        self.write(
            "run",
            schema=0,
            seatrial=runner.__version__,
            run=self._directory.path.name,
            scenario={"name": s.name, "sha256": s.sha256},
            seed=self._plan.seed,
            nodes=[_node(n) for n in nodes],
            quorum=s.network.quorum,
            units=dict(s.network.units),
            versions={"seatrial": runner.__version__},
        )

    def _observe(self) -> None:
        observe = self._scenario.network.observe
        every = observe.every.seconds() if observe.every else DEFAULT_EVERY_S
        o = self._observer
        gets = [{"node": n, "port": o.port, "path": o.path} for n in self._names] if o else []
        self.driver.link.request(
            "observe", eye=True, every=every, fetch=gets, sockets=True, sweep=len(self._names) <= SWEEP_OVER
        )
        patterns = {name: {"match": regex} for name, regex in self._watch.patterns().items()}
        if patterns:
            files = {n: str(self.driver.log_of(n)) for n in self._names}
            self.driver.link.request("tail", eye=True, files=files, patterns=patterns)

    # -- the timeline

    def follow_timeline(self, timeout_s: float | None) -> None:
        """Wait for the steady state, follow the plan to the close of the last window. Journals why it
        ended.
        """
        limit = timeout_s or self._limit("time")
        blind = self._limit("blind") or BLIND_S
        self._seen = self.clock.now()
        while not self._ended:
            self._take_events(TICK_S)
            self._keep_up()
            now = self.clock.now()
            if self._stop.asked:
                self.end("interrupt", self._stop.why)
            elif self._gone:
                self.end("error", "the agent ended unexpectedly; see logs/agent.log in the run directory")
            elif limit is not None and now > limit:
                self.end("timeout", f"the run took longer than {limit:g} s")
            elif now - self._seen > blind:
                self.end("abort", f"nothing could be observed for {blind:g} s")
            elif self.clock.zero is None:
                self._look_for_steady(now)
            else:
                self._go_on()

    def _limit(self, name: Literal["time", "blind"]) -> float | None:
        """A limit of the scenario in seconds."""
        limit: Duration | None = getattr(self._scenario.limits, name)
        return None if limit is None else limit.seconds(self._scenario.network.units)

    def _keep_up(self) -> None:
        if self.clock.now() - self._renewed > self._lease_s / 4:
            self._renew()

    def _renew(self) -> None:
        self._renewed = self.clock.now()
        self.driver.link.request("renew", lease=self._lease_s)

    def _look_for_steady(self, now: float) -> None:
        self._refuse_dead()
        state = self._watch.steady(now)
        if self._ended:
            return
        if state.reached:
            self.clock.zero = now
            self.write("steady", t=now, zero=now, learnt=state.learnt)
            for trial in self._plan.trials:
                self._write_step(trial)
        elif state.failed:
            self.end("abort", f"the steady state was not reached: {state.reason}")

    def _go_on(self) -> None:
        self._witness.do_due()
        self.conductor.send_ahead()
        closes = closes_at(self.conductor.plan, self._scenario.expect)
        if closes is not None and self.clock.timeline() >= closes:
            self.end("plan", "")

    def _after_sample(self) -> None:
        if self.clock.zero is None:
            return
        found = self._triggers.look(self.conductor.plan)
        if found.abort or found.unmet:
            self.end("abort", found.abort or found.unmet)
        elif found.plan is not None:
            self.go_on_with(found.plan)

    def go_on_with(self, plan: Plan) -> None:
        """Follow another plan from now on; trials that are new or changed are journalled."""
        before = {t.name: t for t in self.conductor.plan.trials}
        self.conductor.set_plan(plan)
        for trial in plan.trials:
            if before.get(trial.name) != trial:
                self._write_step(trial)
        self._witness.watch(plan)

    def _write_step(self, trial: Trial) -> None:
        zero = self.clock.zero or 0.0
        self.write(
            "step",
            step=trial.step,
            trial=trial.name,
            kind=trial.kind,
            targets=list(trial.chosen.targets),
            sides={k: list(v) for k, v in trial.chosen.sides.items()},
            draws={k: dict(v) for k, v in trial.chosen.draws.items()},
            claims=sorted(trial.fault.claims()),
            start=trial.start_s + zero,
            end=None if trial.end_s is None else trial.end_s + zero,
            spans=[
                [s.start_s + zero, None if s.end_s is None else s.end_s + zero, _units(s.units)]
                for s in trial.spans
            ],
            permanent=trial.permanent,
        )

    # -- events

    def _take_events(self, wait_s: float) -> None:
        try:
            event = self._events.get(block=wait_s > 0, timeout=wait_s)
            while True:
                self._take(event)
                event = self._events.get_nowait()
        except queue.Empty:
            pass

    def _take(self, event: Mapping[str, Any]) -> None:
        name = event["event"]
        if name == "sample":
            self._sample(event)
        elif name == "beat":
            self._witness.beat(event)
        elif name == "began":
            self.conductor.began(event)
        elif name == "line":
            self.write(
                "log",
                t=self._time(event["at"]),
                node=event["node"],
                pattern=event["pattern"],
                text=event["text"],
            )
        elif name == "gone":
            self._gone = True
        elif name == "exec-exit":
            self.codes[event["pid"]] = event["code"]
            for reply in self.waiting.pop(event["pid"], ()):
                reply({"code": event["code"]})
        elif name == "control":
            Hand(self).take(event["message"], event["reply"])
        elif name in PASSED_ON:
            if name in ("started", "exited"):
                self._runs[event["node"]] = name == "started"
            fields = {
                k: self._time(v) if k in INSTANTS and v is not None else v
                for k, v in event.items()
                if k != "event"
            }
            t = fields.pop("at", None)
            self.write(name, t=t, **fields)
            if name == "lease":
                self.end(
                    "lease", f"nothing was heard of the runner for {self._lease_s:g} s, so that all healed"
                )

    def _refuse_dead(self) -> None:
        """A node that ends before there is a steady state ends the run: nothing after it would mean much."""
        gone = [n for n, runs in self._runs.items() if not runs]
        gone = [n for n in gone if self.driver.group_of(n).restarts != "always"]
        if gone:
            members = self.driver.link.request("members", nodes=gone)
            for node in (n for n in gone if not members[n]):
                log = self.driver.log_of(node)
                self.end("error", f"{node} ended by itself before the steady state; see {log}")

    def _sample(self, event: Mapping[str, Any]) -> None:
        model = self.conductor.model
        reach = None if len(self._names) <= SWEEP_OVER else reach_of(model, self._witness.beats)
        hello = self.driver.link.hello
        behind = hello["wall_ns"] / 1e9 - hello["now"]
        self._seen = self.clock.now()
        fields = self._sampler.take(event, self._time(event["at"]), lambda at: at + behind, reach, self._runs)
        self.write("sample", t=self._time(event["at"]), **fields)
        self._after_sample()

    def _genesis(self) -> float | None:
        """When protocol time began on the run's clock; None where the network does not tell."""
        at = self.driver.genesis_at
        return None if at is None else self._time(at)

    def _time(self, at: float) -> float:
        return round(self.clock.from_agent(at, self.driver.link.offset_s), 6)

    # -- the end

    def end(self, why: str, detail: str) -> None:
        """Note why the run is over; the first reason stays."""
        if not self._ended:
            self._ended = True
            self._why = (why, detail)

    def ask_to_end(self, why: str) -> None:
        """End as if a signal had come."""
        self._stop.ask(why)

    @property
    def why(self) -> str:
        """Why it ended before its time, in words; empty where it ran to its end."""
        return self._why[1]

    def heal(self) -> list[str]:
        """Make the network healthy again; what could not be undone, in words."""
        self.write("heal", why=self._why[0])
        if not hasattr(self, "conductor") or self._gone:
            return []
        try:
            return self._heal_and_watch()
        except LinkError as error:
            return [] if self._gone else [str(error)]

    def _heal_and_watch(self) -> list[str]:
        key = self.conductor.heal()
        until = self.clock.now() + HEAL_WITHIN_S
        while not self.conductor.has_begun(key):
            if self._gone or self._stop.urgent:
                return []
            if self.clock.now() > until:
                return [f"the agent did not report a healthy network within {HEAL_WITHIN_S:g} s"]
            self._take_events(TICK_S)
            self._keep_up()
        until = self.clock.now() + LAST_LOOK_S
        while self.clock.now() < until and not self._gone and not self._stop.urgent:
            self._take_events(TICK_S)
            self._keep_up()
        return []

    def take_down(self) -> list[str]:
        """End the network and everything that was made for it; what is left, in words."""
        if self._control is not None:
            self._control.close()
            self._control = None
        return self.driver.close()

    def finish(self, left: list[str], *, kept: bool) -> None:
        """Journal how the run ended."""
        self.write("healed", left=left)
        self.write("end", why=self._why[0], detail=self._why[1], kept=kept)

    def stay(self) -> None:
        """Keep the network up until the next signal, ``seatrial down`` or the agent's end."""
        asked = self._stop.asked
        while self._stop.asked == asked and not self._gone:
            self._take_events(TICK_S)
            self._keep_up()
            self.conductor.send_ahead()
            self._witness.do_due()


def _node(node: NodeInfo) -> dict[str, Any]:
    return {
        "name": node.name,
        "group": node.group,
        "index": node.index,
        "zone": node.zone,
        "host": node.host,
        "stake": node.stake,
        "labels": dict(node.labels),
        "address": node.address,
    }


def _units(units: Any) -> Any:
    return None if units is None else sorted(list(u) if isinstance(u, tuple) else u for u in units)
