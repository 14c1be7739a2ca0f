"""What the tests share: one service, and one server for each stack."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import STACKS, Server, Service, Stack, serving


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.end()


@pytest.fixture
def own_service() -> Iterator[Service]:
    """A service that a test may break."""
    service = Service()
    yield service
    service.end()


@pytest.fixture(scope="session", params=STACKS, ids=lambda stack: stack.name)
def server(
    request: pytest.FixtureRequest, service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    stack: Stack = request.param
    log = tmp_path_factory.mktemp("log") / stack.name
    with serving(stack, log, service) as server:
        yield server


@pytest.fixture(params=STACKS, ids=lambda stack: stack.name)
def stack(request: pytest.FixtureRequest) -> Stack:
    """For tests that need a server of their own."""
    stack: Stack = request.param
    return stack


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"
