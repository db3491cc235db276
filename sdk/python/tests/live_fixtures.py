"""Servers for the tests of live messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gatehouse_client import GatehouseClient
from live_server import LiveServer, admin_of, opened


@pytest.fixture(scope='session')
def live_server() -> Iterator[LiveServer]:
    """One that stays up."""
    server = LiveServer()
    yield server
    server.remove()


@pytest.fixture(scope='session')
def shared_mortal_server() -> Iterator[LiveServer]:
    """See mortal_server."""
    server = LiveServer()
    yield server
    server.remove()


@pytest.fixture
def mortal_server(shared_mortal_server: LiveServer) -> Iterator[LiveServer]:
    """One that may be killed."""
    yield shared_mortal_server
    shared_mortal_server.revive()


@pytest.fixture(scope='session')
def strict_server() -> Iterator[LiveServer]:
    """One that takes few events of a socket."""
    server = LiveServer(SOCKET_EVENT_RATE='3/10')
    yield server
    server.remove()


@pytest.fixture(scope='session')
def brief_server() -> Iterator[LiveServer]:
    """One whose access tokens are good for twelve seconds."""
    server = LiveServer(JWT_ACCESS_TTL='12')
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def close_what_was_opened() -> Iterator[None]:
    """Closes the clients that a test has made of `admin_of`."""
    yield
    while opened:
        opened.pop().close()


@pytest.fixture
def live_admin(live_server: LiveServer) -> GatehouseClient:
    """Somebody who may publish anywhere, apart from the client that is tested."""
    return admin_of(live_server)
