"""Scenario, nodes and seed to a timeline of model changes, with predictions. Touches nothing."""
