"""Scenario text to validated values: YAML with positions, schema, every problem at once."""

from runner.scenario.loading import Loaded, load
from runner.scenario.problems import Problem

__all__ = ["Loaded", "Problem", "load"]
