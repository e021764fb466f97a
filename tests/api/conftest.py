"""A server that the tests of this folder share, and names that nobody else has."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_serving import PASS, ROLE, Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("up"), "--no-cloud")
    yield served
    assert served.stop() == 0


@pytest.fixture(scope="session")
def states(served: Served) -> Any:
    """A client of Step Functions."""
    return served.client()


@pytest.fixture
def name() -> str:
    return f"n-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def create(states: Any) -> Callable[..., str]:
    """Creates a state machine and gives its ARN."""

    def create(definition: str = PASS, **more: Any) -> str:
        given = {"name": f"n-{uuid.uuid4().hex[:12]}", "roleArn": ROLE, **more}
        return states.create_state_machine(definition=definition, **given)["stateMachineArn"]

    return create
