"""The written run as fixtures, fresh for every test."""

import pytest
from written_run import failed, judged, written


@pytest.fixture
def run():
    return written()


@pytest.fixture
def held():
    return judged()


@pytest.fixture
def violated():
    return failed()
