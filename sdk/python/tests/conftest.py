"""A server for the whole run, and clients of both kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from gatehouse_client import AsyncGatehouseClient, GatehouseClient
from support import ADMIN, PASSWORD, Blocking, Server, new_name

Make = Callable[..., Any]


@pytest.fixture(scope='session')
def server() -> Iterator[Server]:
    """One for all tests that need nothing special."""
    server = Server(MAX_FILE_SIZE=str(512 * 1024 * 1024), METRICS_TOKEN='for-metrics-only-1234')
    yield server
    server.remove()


@pytest.fixture(scope='session')
def hasty_server() -> Iterator[Server]:
    """One whose access tokens are good for five seconds."""
    server = Server(JWT_ACCESS_TTL='5')
    yield server
    server.remove()


@pytest.fixture(params=['sync', 'async'])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes clients of one kind, all of which are used in the same way."""
    made: list[Any] = []
    if request.param == 'sync':

        def make_sync(*args: Any, **named: Any) -> Any:
            made.append(GatehouseClient(*args, **named))
            return made[-1]

        yield make_sync
        for client in made:
            client.close()
        return
    with start_blocking_portal() as portal:

        async def build(args: Any, named: Any) -> AsyncGatehouseClient:
            return AsyncGatehouseClient(*args, **named)

        def make_async(*args: Any, **named: Any) -> Any:
            made.append(Blocking(portal.call(build, args, named), portal))
            return made[-1]

        yield make_async
        for client in made:
            client.close()


@pytest.fixture
def client(make: Make, server: Server) -> Any:
    """Signed in as a new user."""
    return sign_up(make(server.url))


@pytest.fixture
def admin(make: Make, server: Server) -> Any:
    """Signed in as the admin."""
    admin = make(server.url)
    admin.auth.login(**ADMIN)
    return admin


def sign_up(client: Any) -> Any:
    """Signs the client in as a new user."""
    name = new_name()
    client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
    client.auth.login(username=name, password=PASSWORD)
    return client
