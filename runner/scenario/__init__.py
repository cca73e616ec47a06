"""Scenario text to validated values: YAML with positions, schema, every problem at once."""
