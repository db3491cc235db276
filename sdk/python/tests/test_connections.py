"""The connections of a client: how many there are, and whose."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import pytest

import gatehouse_client as g
from support import Script, answer

LIVE = answer(200, {'status': 'alive'})


def begin(handler: Any) -> None:
    """The beginning of a file whose rest does not come."""
    handler.send_response(200)
    handler.send_header('Content-Length', '2')
    handler.end_headers()
    handler.wfile.write(b'1')
    handler.wfile.flush()
    handler.server.released.wait(30)
    handler.close_connection = True


def test_many_open_downloads_do_not_stop_the_next_call(make: Any) -> None:
    with Script(*[begin] * 110, LIVE) as script, ExitStack() as opened:
        script._server.released = script.released  # type: ignore[attr-defined]
        client = make(script.url, api_key='gh_key', timeout=10)
        for _ in range(110):
            opened.enter_context(client.uploads.download('f'))
        client.health.live()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork here')
def test_a_child_has_connections_of_its_own() -> None:
    peers: list[int] = []

    def note(handler: Any) -> None:
        peers.append(handler.client_address[1])
        handler.respond(*LIVE)

    with Script(note) as script, g.GatehouseClient(script.url) as client:
        client.health.live()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                client.health.live()
                client.health.live()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        client.health.live()
    assert peers == [peers[0], peers[1], peers[1], peers[0]] and peers[0] != peers[1]
