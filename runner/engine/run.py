"""One run of a scenario: network up, steady state, timeline, healed, judged. It always ends healed.

The main thread does everything; the agent's events arrive through a queue. Moments are the agent's, so nothing here needs to
be on time: changes are sent ahead, and what happened is told by reports and observation.
"""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from faults.fault import Chosen

import runner
from runner.engine.clock import RunClock
from runner.engine.conductor import Conductor
from runner.engine.sampler import Sampler
from runner.engine.stop import Stop
from runner.engine.triggers import Triggers
from runner.engine.windows import closes_at
from runner.engine.witness import SWEEP_OVER, Witness, reach_of
from runner.judge.live import Watch
from runner.judge.verdict import judge
from runner.networks.base import NetworkError
from runner.networks.link import LinkError
from runner.networks.local import LocalDriver
from runner.observers.observer import Observer, catalogue, from_mapping
from runner.plan.make import make
from runner.plan.model import Plan
from runner.records.directory import RunDirectory
from runner.records.journal import Writer
from runner.records.verdict import Verdict
from runner.scenario.model import Scenario
