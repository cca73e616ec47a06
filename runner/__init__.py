"""Seatrial's runner: from a scenario file to a verdict with reasons."""

__version__ = "0.1.0"
