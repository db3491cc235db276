"""Handlers that fail in ways of their own, and what is told about it: without a server."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gatehouse_client import (
    AsyncGatehouseClient,
    AuthenticationError,
    GatehouseClient,
    GatehouseError,
    MemoryTokens,
    MessageReceived,
    Tokens,
)
from gatehouse_client._async.subscription import AsyncSubscription
from gatehouse_client._shared.background import AsyncHandler, Handler
from gatehouse_client._shared.inbox import Inbox
from gatehouse_client._shared.reading import Reading
from gatehouse_client._shared.wire import DATA_BYTES_MAX, outgoing
from gatehouse_client._sync import socket as sync_socket
from gatehouse_client._sync.subscription import Subscription
from live_server import Collected
from support import Script, fault
from test_live_parts import answer, message

Handle = Callable[..., object]


def full_inbox() -> Inbox:
    """Two messages wait in it."""
    inbox = Inbox(Reading('news', 0, None), 10)
    inbox.ask()
    inbox.answered(answer(2))
    for number in (1, 2):
        inbox.take('message', message(number))
    return inbox


async def cancelled_elsewhere() -> None:
    """Waits for what somebody cancels."""
    work = asyncio.ensure_future(asyncio.Event().wait())
    asyncio.get_running_loop().call_soon(work.cancel)
    await work


def test_what_was_cancelled_elsewhere_is_a_failure_of_the_handler() -> None:
    calls, told = [], []

    async def run() -> None:
        done = asyncio.Event()

        async def handle(event: Any) -> None:
            calls.append(event.sequence)
            if len(calls) == 1:
                await cancelled_elsewhere()
            if event.sequence == 2:
                done.set()

        async def leave(_: AsyncSubscription) -> None:
            raise AssertionError('it goes on')

        subscription = AsyncSubscription(
            full_inbox(),
            {MessageReceived: AsyncHandler(handle)},
            AsyncHandler(lambda error, event: told.append(error)),
            None,
            leave,
            told.append,
            lambda: None,
        )
        subscription._start()
        await asyncio.wait_for(done.wait(), 10)
        subscription._stop()
        await subscription._join(10)

    asyncio.run(run())
    assert calls == [1, 1, 2]
    assert [type(error) for error in told] == [RuntimeError]


def test_a_handler_is_cancelled_with_its_caller() -> None:
    ends = []

    async def handle() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append('handler')
            raise

    async def run() -> None:
        caller = asyncio.ensure_future(AsyncHandler(handle).call())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

    asyncio.run(run())
    assert ends == ['handler']


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_a_handler_that_exits_ends_its_subscription_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    left, failed, ended = Collected(), Collected(), Collected()
    subscription = Subscription(
        full_inbox(),
        {MessageReceived: Handler(lambda event: sys.exit(1))},
        None,
        Handler(ended),
        left,
        failed,
        lambda: None,
    )
    with caplog.at_level(logging.ERROR, 'gatehouse_client'):
        subscription._start()
        error = ended.next()
    assert (type(error), error.code) == (GatehouseError, 'handler_ended')
    assert 'SystemExit' in str(error) and isinstance(error.__cause__, SystemExit)
    assert failed.next() is error and subscription.ended is error
    assert left.next() is subscription
    assert 'has ended its subscription' in caplog.text


def test_waiting_tells_of_a_handler_that_has_ended() -> None:
    pytest.importorskip('socketio')
    with GatehouseClient('http://localhost:1', api_key='gh_x') as client:
        connection = client.broadcasting.connect()
        error = GatehouseError('it has exited', code='handler_ended')
        connection._handler_ended(error)
        with pytest.raises(GatehouseError) as raised:
            connection.wait(10)
        assert raised.value is error


def test_a_coroutine_is_told_where_nobody_awaits_it() -> None:
    async def handle() -> None:
        pass

    with pytest.raises(TypeError, match='AsyncGatehouseClient'):
        Handler(lambda: handle()).call()


def test_a_queue_without_room_is_refused() -> None:
    pytest.importorskip('socketio')
    with GatehouseClient('http://localhost:1', api_key='gh_x') as client, pytest.raises(ValueError, match='queue'):
        client.broadcasting.connect().subscribe('news', print, queue_limit=0)


def test_who_is_told_of_the_end_of_a_session_is_awaited() -> None:
    told = []

    async def tell() -> None:
        await asyncio.sleep(0)
        told.append(True)

    async def run(url: str) -> None:
        tokens = MemoryTokens()
        tokens.save(Tokens('a', 'r', 0))
        async with AsyncGatehouseClient(url, tokens=tokens, on_session_end=tell) as client:
            with pytest.raises(AuthenticationError):
                await client.users.me()

    with Script(fault(401, 'invalid_refresh_token')) as script:
        asyncio.run(run(script.url))
    assert told == [True]
    with pytest.raises(TypeError):
        GatehouseClient('http://localhost:1', on_session_end=tell)


def test_what_is_no_json_is_refused_before_it_is_sent() -> None:
    circular: list[Any] = []
    circular.append(circular)
    for data, kind in (({1}, TypeError), (b'', TypeError), (float('nan'), ValueError), (circular, ValueError)):
        with pytest.raises(kind):
            outgoing({'channel': 'news', 'event': 'e', 'data': data})
    pytest.importorskip('socketio')
    with GatehouseClient('http://localhost:1', api_key='gh_x') as client, pytest.raises(TypeError):
        client.broadcasting.connect().publish(channel='news', event='e', data={1})


def test_what_is_too_large_is_refused_as_the_server_does() -> None:
    body = {'channel': 'news', 'event': 'e'}
    fits = 'é' * (DATA_BYTES_MAX // 2 - 1)
    assert outgoing({**body, 'data': fits}) == {**body, 'data': fits}
    with pytest.raises(GatehouseError) as refused:
        outgoing({**body, 'data': fits + 'e'})
    assert (refused.value.status, refused.value.code) == (413, 'message_too_large')
    assert list(refused.value.field_errors) == ['data']
    # To the server these are twenty thousand times `1`.
    assert outgoing({**body, 'data': [1.0] * 20_000})['data'] == [1] * 20_000
    with pytest.raises(GatehouseError) as refused:
        outgoing({**body, 'event': 'e' * 300_000})
    assert (refused.value.status, refused.value.code) == (413, 'body_too_large')


def test_threads_that_use_it_first_open_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('socketio')
    tasks, both = [], threading.Barrier(2)

    class Task:
        """Made while the other thread looks, if that can be."""

        def __init__(self, work: Callable[[], None]) -> None:
            tasks.append(work)
            try:
                both.wait(0.2)
            except threading.BrokenBarrierError:
                pass

        def join(self, seconds: float) -> None:
            """It has not begun."""

    monkeypatch.setattr(sync_socket, 'Task', Task)
    with GatehouseClient('http://localhost:1', api_key='gh_x') as client:
        connection = client.broadcasting.connect()
        threads = [threading.Thread(target=opening, args=(connection,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        connection.close()
        for thread in threads:
            thread.join(10)
        assert len(tasks) <= 1


def opening(connection: Any) -> None:
    """It is closed before it is open."""
    with pytest.raises(GatehouseError):
        connection.open()


def test_closing_stops_all_before_it_waits_for_one_and_for_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('socketio')
    steps: list[tuple[str, float]] = []

    class Slow:
        """A subscription whose handler is at work for as long as it is waited for."""

        def _stop(self) -> None:
            steps.append(('stop', 0))

        def _join(self, seconds: float) -> None:
            steps.append(('join', seconds))
            now[0] += seconds

        def join(self, seconds: float) -> None:
            """The connection's own thread ends at once."""

    now = [100.0]
    monkeypatch.setattr(sync_socket.time, 'monotonic', lambda: now[0])
    with GatehouseClient('http://localhost:1', api_key='gh_x') as client:
        connection: Any = client.broadcasting.connect()
        connection._task = Slow()
        connection._subscriptions = {str(number): Slow() for number in range(3)}
        connection.close()
    assert [step for step, _ in steps] == ['stop'] * 3 + ['join'] * 3
    assert sum(seconds for _, seconds in steps) == sync_socket.CLOSING_PATIENCE
