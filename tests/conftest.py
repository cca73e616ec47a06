"""Lets every test import from ``tests``, wherever it lies."""
