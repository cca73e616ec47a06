"""Runs a plan on a network and always ends healed."""
