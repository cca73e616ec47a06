"""Lets every test import from ``tests``, and skips what needs root where there is none."""

import os

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    if os.geteuid() != 0 and item.get_closest_marker("root"):
        pytest.skip("needs root")
