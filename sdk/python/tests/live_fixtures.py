"""Servers for the tests of live messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gatehouse_client import GatehouseClient
from live_server import LiveServer, admin_of


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
    """One whose access tokens are good for five seconds."""
    server = LiveServer(JWT_ACCESS_TTL='5')
    yield server
    server.remove()


@pytest.fixture
def live_admin(live_server: LiveServer) -> Iterator[GatehouseClient]:
    """Somebody who may publish anywhere, apart from the client that is tested."""
    with admin_of(live_server) as admin:
        yield admin
