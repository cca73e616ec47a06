"""An agent for each test that asks for one, ended whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from agent_client import Agent
from witness import Lab, started_as


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Agent() as started:
        yield started


@pytest.fixture
def lab(agent: Agent) -> Iterator[Lab]:
    """Six running nodes."""
    made = Lab(agent, 6)
    yield made
    made.close()


@pytest.fixture(params=["root", "nobody"])
def anyones(request: pytest.FixtureRequest) -> Iterator[Agent]:
    """An agent of root, and one of an ordinary user."""
    with started_as(request.param) as started:
        yield started
