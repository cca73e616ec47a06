"""Work by hand on a live network: what the control socket's requests do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from faults.fault import ChoiceError
from runner.engine.conductor import LEAD_S
from runner.networks.link import LinkError
from runner.plan.make import PlanError, make
from runner.plan.model import Plan, Trial
from runner.scenario import load

if TYPE_CHECKING:
    from runner.engine.live import Live

Reply = Callable[[Mapping[str, Any]], None]


class Refused(Exception):
    """A request that cannot be done; the message is for people."""


class Hand:
    """Answers requests, each with one reply."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def take(self, message: Mapping[str, Any], reply: Reply) -> None:
        """Do what is asked. Never raises for what a request can cause."""
        try:
            do = {
                "status": self._status,
                "exec": self._exec,
                "wait": self._wait,
                "inject": self._inject,
                "down": self._down,
            }
            known = do.get(str(message.get("do")))
            if known is None:
                raise Refused(f"there is no request '{message.get('do')}'")
            known(message, reply)
        except LinkError as error:
            reply({"error": str(error)})
        except (Refused, ChoiceError, PlanError) as error:
            reply({"error": str(error), "refused": True})

    def _status(self, message: Mapping[str, Any], reply: Reply) -> None:
        live = self._live
        names = [n.name for n in live.driver.nodes]
        members = live.driver.link.request("members", nodes=names)
        nodes = {
            n.name: {"address": n.address, "pids": [m["pid"] for m in members[n.name]]}
            for n in live.driver.nodes
        }
        reply({"nodes": nodes, "state": live.conductor.model.describe(), "agent": live.driver.agent_pid})

    def _exec(self, message: Mapping[str, Any], reply: Reply) -> None:
        fields = {
            k: message[k] for k in ("node", "argv", "stdin", "stdout", "stderr", "env", "cwd") if k in message
        }
        if not fields.get("argv"):
            raise Refused("nothing to execute")
        started = self._live.driver.link.request("exec", **fields)
        self._live.waiting[started["pid"]] = []
        reply({"pid": started["pid"]})

    def _wait(self, message: Mapping[str, Any], reply: Reply) -> None:
        pid = message.get("pid")
        if pid in self._live.codes:
            reply({"code": self._live.codes[pid]})
        elif pid in self._live.waiting:
            self._live.waiting[pid].append(reply)
        else:
            raise Refused(f"no command with pid {pid} was started here")

    def _inject(self, message: Mapping[str, Any], reply: Reply) -> None:
        live = self._live
        if live.clock.zero is None:
            raise Refused("the network is not in its steady state yet")
        plan = live.conductor.plan
        number = 1 + sum(t.step.startswith("injected") for t in plan.trials)
        trial = self._planned(dict(message.get("step") or {}), number, message.get("seed"), plan)
        live.go_on_with(replace(plan, trials=(*plan.trials, trial)))
        live.conductor.send_ahead()
        reply({"trial": trial.name, "targets": list(trial.chosen.targets), "ends_s": trial.end_s})

    def _planned(self, step: dict[str, Any], number: int, seed: int | None, plan: Plan) -> Trial:
        step = {"at": "0s", **step}
        step["name"] = f"injected-{number}"
        document = {
            "seatrial": 1,
            "name": "injected",
            "network": plan.scenario.resolved["network"],
            "limits": {"lose_quorum": True, "hit": "100%"},
            "timeline": [step],
        }
        loaded = load(document, file="the step")
        if loaded.scenario is None:
            raise Refused("; ".join(p.message for p in loaded.problems))
        made = make(loaded.scenario, plan.nodes, seed if seed is not None else plan.seed)
        if not made.trials:
            raise Refused("a step injected by hand begins now: it takes no 'when' and no 'where'")
        return _later(made.trials[0], self._live.clock.timeline() + 2 * LEAD_S)

    def _down(self, message: Mapping[str, Any], reply: Reply) -> None:
        self._live.ask_to_end("taken down by hand")
        reply({})


def _later(trial: Trial, by: float) -> Trial:
    def moved(at: float | None) -> float | None:
        return None if at is None else at + by

    spans = tuple(replace(s, start_s=s.start_s + by, end_s=moved(s.end_s)) for s in trial.spans)
    return replace(trial, start_s=trial.start_s + by, end_s=moved(trial.end_s), spans=spans)
