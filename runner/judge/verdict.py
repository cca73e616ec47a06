"""Judging by the name of what it gives: the verdict on a run."""

from runner.judge.judge import judge

__all__ = ["judge"]
