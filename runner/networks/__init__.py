"""Drivers: where nodes live and how to reach the agent of their host."""
