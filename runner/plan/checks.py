"""What is wrong or doubtful with a plan before anything is touched: refusals (errors) and warnings."""

from __future__ import annotations

from runner.plan.model import Plan, Problem


def refusals(plan: Plan) -> list[Problem]:
    """Why this plan must not be run."""
    return []


def warnings(plan: Plan) -> list[str]:
    """What the author should know before running it."""
    return []
