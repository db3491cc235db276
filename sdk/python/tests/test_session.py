"""Tokens: renewed in time, once for all, over threads, tasks and processes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

import gatehouse_client as g
from counted import REFUSED, TICKET, Counted, pair
from document import DOCUMENT, example
from gatehouse_client._async import auth as async_auth
from gatehouse_client._shared.expiry import is_due, now_ms
from gatehouse_client._sync import auth as sync_auth
from support import PASSWORD, RESET, STALL, Script, Server, answer, eventually, fault, new_name

LIVE_LONG = 2**45


def stored(expires_at: int = LIVE_LONG, **named: Any) -> g.MemoryTokens:
    storage = g.MemoryTokens()
    storage.save(g.Tokens('a0', 'r0', expires_at, **named))
    return storage


def seen(script: Script) -> list[tuple[str, str | None]]:
    return [(path.rpartition('/')[2], headers.get('authorization')) for _, path, headers, _ in script.requests]


def test_tokens_are_renewed_before_they_end(make: Any) -> None:
    storage = stored(now_ms() + 1000)
    with Script(pair(1), TICKET) as script:
        make(script.url, tokens=storage).broadcasting.create_stream_ticket()
        assert seen(script) == [('refresh', None), ('ticket', 'Bearer a1')]
        assert json.loads(script.requests[0][3]) == {'refresh_token': 'r0'}
    kept = storage.load()
    assert kept is not None
    assert (kept.access_token, kept.refresh_token, kept.expires_in) == ('a1', 'r1', 900)
    assert abs(kept.expires_at - now_ms() - 900_000) < 60_000


def test_when_it_is_time() -> None:
    def due(left: float, expires_in: int | None = None) -> bool:
        return is_due(g.Tokens('a', 'r', now_ms() + round(left * 1000), expires_in))

    assert [due(29), due(40)] == [True, False]
    assert [due(29, 900), due(40, 900)] == [True, False]
    assert [due(9, 50), due(12, 50)] == [True, False]


def test_and_once_after_a_refusal(make: Any) -> None:
    storage = stored()
    with Script(REFUSED, pair(1), TICKET) as script:
        make(script.url, tokens=storage).broadcasting.create_stream_ticket()
        assert seen(script) == [('ticket', 'Bearer a0'), ('refresh', None), ('ticket', 'Bearer a1')]
    with Script(REFUSED, pair(2), REFUSED) as script:
        with pytest.raises(g.AuthenticationError) as caught:
            make(script.url, tokens=storage).broadcasting.create_stream_ticket()
        assert (len(script.requests), caught.value.code) == (3, 'invalid_token')


def test_a_wrong_code_is_no_reason_to_renew(make: Any) -> None:
    with Script(fault(401, 'wrong_code')) as script:
        with pytest.raises(g.AuthenticationError):
            make(script.url, tokens=stored()).auth.mfa.confirm(code='000000')
        assert len(script.requests) == 1


def test_a_session_that_has_ended(make: Any) -> None:
    storage = stored()
    ended: list[bool] = []
    with Script(REFUSED, fault(401, 'invalid_refresh_token'), fault(401, 'not_authenticated')) as script:
        client = make(script.url, tokens=storage, on_session_end=lambda: ended.append(True))
        with pytest.raises(g.AuthenticationError) as caught:
            client.users.me()
        assert caught.value.code == 'invalid_refresh_token'
        assert (storage.load(), ended) == (None, [True])
        with pytest.raises(g.AuthenticationError):
            client.users.me()
        assert ended == [True]


def test_who_is_told_of_the_end_can_sign_in_again() -> None:
    user = example(DOCUMENT['components']['schemas']['UserResponse'])
    signed_in = answer(200, json.loads(pair(1)[2]) | {'user': user})
    with Script(REFUSED, fault(401, 'invalid_refresh_token'), signed_in, TICKET) as script:
        client = g.GatehouseClient(
            script.url,
            tokens=stored(),
            on_session_end=lambda: client.auth.login(username='ann', password=PASSWORD),
        )
        with client:
            with pytest.raises(g.AuthenticationError):
                client.broadcasting.create_stream_ticket()
            assert client.broadcasting.create_stream_ticket().ticket == 't'


@pytest.mark.parametrize('failure', [RESET, fault(503, 'service_unavailable')], ids=['reset', '503'])
def test_a_renewal_that_fails_keeps_the_tokens(make: Any, failure: Any) -> None:
    storage = stored(now_ms())
    with Script(failure, pair(1), TICKET) as script:
        client = make(script.url, tokens=storage, max_retries=0)
        with pytest.raises(g.GatehouseError):
            client.broadcasting.create_stream_ticket()
        kept = storage.load()
        assert kept is not None and kept.refresh_token == 'r0'
        client.broadcasting.create_stream_ticket()


def test_tokens_that_somebody_else_has_renewed_are_taken(make: Any) -> None:
    storage = stored()

    def refuse(handler: Any) -> None:
        storage.save(g.Tokens('a9', 'r9', LIVE_LONG))
        handler.respond(*REFUSED)

    with Script(refuse, TICKET) as script:
        make(script.url, tokens=storage).broadcasting.create_stream_ticket()
        assert seen(script) == [('ticket', 'Bearer a0'), ('ticket', 'Bearer a9')]


def test_a_form_goes_again_after_a_renewal_if_it_can(make: Any) -> None:
    with Script(REFUSED, pair(1), fault(415, 'file_type_not_allowed')) as script:
        with pytest.raises(g.GatehouseError) as caught:
            make(script.url, tokens=stored()).uploads.create(file=b'abc')
        assert caught.value.code == 'file_type_not_allowed'
        assert b'\r\n\r\nabc\r\n' in script.requests[2][3]


def all_at_once_in_threads(url: str, storage: g.TokenStorage) -> list[Any]:
    with g.GatehouseClient(url, tokens=storage) as client, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def call(_: int) -> Any:
            barrier.wait()
            try:
                return client.broadcasting.create_stream_ticket().ticket
            except g.GatehouseError as error:
                return error.code

        return list(pool.map(call, range(8)))


def all_at_once_in_tasks(url: str, storage: g.TokenStorage) -> list[Any]:
    async def main() -> list[Any]:
        async with g.AsyncGatehouseClient(url, tokens=storage) as client:

            async def call() -> Any:
                try:
                    return (await client.broadcasting.create_stream_ticket()).ticket
                except g.GatehouseError as error:
                    return error.code

            return await asyncio.gather(*(call() for _ in range(8)))

    return asyncio.run(main())


@pytest.mark.parametrize('all_at_once', [all_at_once_in_threads, all_at_once_in_tasks])
@pytest.mark.parametrize('expires_at', [0, LIVE_LONG], ids=['due', 'refused'])
def test_many_calls_make_one_renewal(all_at_once: Callable[..., list[Any]], expires_at: int) -> None:
    server = Counted()
    with Script(server) as script:
        assert all_at_once(script.url, stored(expires_at)) == ['t'] * 8
    assert server.refreshed == 1


@pytest.mark.parametrize('all_at_once', [all_at_once_in_threads, all_at_once_in_tasks])
def test_and_share_its_failure(all_at_once: Callable[..., list[Any]]) -> None:
    server = Counted(failing=True)
    with Script(server) as script:
        assert all_at_once(script.url, stored(0)) == ['internal_error'] * 8
    assert server.refreshed == 1


def test_a_task_that_is_cancelled_holds_nobody_up() -> None:
    async def main() -> None:
        with Script(Counted()) as script:
            async with g.AsyncGatehouseClient(script.url, tokens=stored(0)) as client:
                first = asyncio.create_task(client.broadcasting.create_stream_ticket())
                second = asyncio.create_task(client.broadcasting.create_stream_ticket())
                await asyncio.sleep(0.1)
                first.cancel()
                assert (await second).ticket == 't'
                with pytest.raises(asyncio.CancelledError):
                    await first

    asyncio.run(main())


def test_a_renewal_is_finished_whatever_becomes_of_the_call() -> None:
    storage = stored(0)
    asked = threading.Event()

    def refresh(handler: Any) -> None:
        asked.set()
        Counted()(handler)

    async def main(script: Script) -> None:
        async with g.AsyncGatehouseClient(script.url, tokens=storage) as client:
            call = asyncio.create_task(client.broadcasting.create_stream_ticket())
            await asyncio.to_thread(asked.wait, 10)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        kept = storage.load()
        assert kept is not None and kept.refresh_token == 'r1'

    with Script(refresh) as script:
        asyncio.run(main(script))
        assert [path for path, _ in seen(script)] == ['refresh']


def test_and_what_waits_for_it_in_vain_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    asked = threading.Event()

    def refuse(handler: Any) -> None:
        asked.set()
        time.sleep(0.1)
        handler.respond(*fault(401, 'invalid_refresh_token'))

    async def main(script: Script) -> list[bool]:
        ended: list[bool] = []
        client = g.AsyncGatehouseClient(script.url, tokens=stored(0), on_session_end=lambda: ended.append(True))
        with anyio.CancelScope() as scope:
            async with client, anyio.create_task_group() as tasks:
                tasks.start_soon(client.broadcasting.create_stream_ticket)
                await asyncio.to_thread(asked.wait, 10)
                scope.cancel()
        return ended

    with Script(refuse) as script:
        assert asyncio.run(main(script)) == [True]
    assert not caplog.records


@pytest.mark.parametrize('lost', [RESET, STALL])
def test_a_renewal_whose_answer_is_lost_is_repeated(make: Any, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for auth in (async_auth, sync_auth):
        assert auth.REFRESH_TIMEOUT < 10
        monkeypatch.setattr(auth, 'REFRESH_TIMEOUT', 0.2)
    with Script(lost, pair(1), TICKET) as script:
        assert make(script.url, tokens=stored(0)).broadcasting.create_stream_ticket().ticket == 't'
        assert [path for path, _ in seen(script)] == ['refresh', 'refresh', 'ticket']
        assert script.requests[0][3] == script.requests[1][3]


def test_a_real_session_goes_on_and_on(make: Any, hasty_server: Server) -> None:
    storage = g.MemoryTokens()
    client = make(hasty_server.url, tokens=storage)
    name = new_name()
    client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
    client.auth.login(username=name, password=PASSWORD)
    used = {storage.load().access_token}  # type: ignore[union-attr]

    def call() -> bool:
        assert client.users.me().username == name
        used.add(storage.load().access_token)  # type: ignore[union-attr]
        return len(used) >= 3

    eventually(call)
    client.auth.refresh()
    assert storage.load().access_token not in used  # type: ignore[union-attr]


def test_eight_threads_of_a_real_session(hasty_server: Server) -> None:
    name = new_name()
    with g.GatehouseClient(hasty_server.url) as client, ThreadPoolExecutor(8) as pool:
        client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
        client.auth.login(username=name, password=PASSWORD)
        end = time.monotonic() + 6

        def call(_: int) -> int:
            calls = 0
            while time.monotonic() < end:
                assert client.users.me().username == name
                calls += 1
            return calls

        assert min(pool.map(call, range(8))) > 0
