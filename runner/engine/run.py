"""One run of a scenario: network up, steady state, timeline, healed, judged. It always ends healed.

The main thread does everything; the agent's events arrive through a queue. Moments are the agent's, so
nothing here needs to be on time: changes are sent ahead, and what happened is told by reports and
observation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from faults.fault import Chosen
from runner.engine.live import Live
from runner.engine.stop import Stop
from runner.judge.judge import judge
from runner.networks.base import NetworkError
from runner.networks.link import LinkError
from runner.networks.local import describe_nodes
from runner.plan.make import PlanError, make
from runner.plan.model import Plan
from runner.plan.picture import as_json
from runner.records.directory import RunDirectory
from runner.records.journal import Reader
from runner.records.verdict import Verdict
from runner.scenario.model import Scenario

Keep = Literal["never", "always", "on_violation"]
Listener = Callable[[Mapping[str, Any]], None]

BAD_INPUT = 2
NOT_HEALED = 5


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``directory`` is None where nothing was started (bad input, a refused plan)."""

    exit_code: int
    message: str = ""
    directory: Path | None = None
    verdict: Verdict | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """How to run: the seed (None: the scenario's, else drawn), the lease, how long at most, and what to
    keep up afterwards.
    """

    seed: int | None = None
    choices: Mapping[str, Chosen] | None = None
    lease_s: float = 5.0
    keep: Keep = "never"
    timeout_s: float | None = None


def plan_of(scenario: Scenario, options: Options) -> Plan:
    """The plan that a run would follow. Raises PlanError."""
    seed = options.seed if options.seed is not None else scenario.seed
    if seed is None:
        seed = random.SystemRandom().randrange(1, 2**31)
    return make(scenario, describe_nodes(scenario.network), seed, choices=options.choices)


def run_scenario(
    scenario: Scenario,
    *,
    out: Path,
    options: Options = Options(),
    listener: Listener | None = None,
    stop: Stop | None = None,
) -> Outcome:
    """Run and judge. Nothing is raised for what a user or a network can cause; the outcome says it.

    ``listener`` gets every journal event as it is written, in this thread.
    """
    try:
        plan = plan_of(scenario, options)
    except PlanError as error:
        return Outcome(BAD_INPUT, "the plan is refused", problems=tuple(map(str, error.problems)))
    directory = RunDirectory.create(out, scenario.name)
    directory.write_scenario(scenario)
    directory.write_plan(as_json(plan))
    with stop or Stop() as stopping, Live(plan, directory, options.lease_s, listener, stopping) as live:
        try:
            live.bring_up()
            live.follow_timeline(options.timeout_s)
        except (NetworkError, LinkError) as error:
            live.end("error", str(error))
        except BaseException as error:
            live.end("error", f"internal error: {error!r}")
            live.finish(live.heal() + live.take_down(), kept=False)
            raise
        left = live.heal()
        kept = _is_kept(options.keep, scenario, directory) and not stopping.asked
        if not kept:
            left += live.take_down()
        live.finish(left, kept=kept)
        verdict = judge(scenario, Reader(directory.journal).events())
        directory.write_verdict(verdict)
        if kept:
            live.write("kept", verdict=verdict.verdict, reasons=list(verdict.reasons))
            live.stay()
            left += live.take_down()
    code = NOT_HEALED if left else verdict.exit_code
    return Outcome(code, live.why or "; ".join(left), directory.path, verdict)


def _is_kept(keep: Keep, scenario: Scenario, directory: RunDirectory) -> bool:
    if keep == "on_violation":
        return judge(scenario, Reader(directory.journal).events()).verdict == "violated"
    return keep == "always"
