"""`broadcasting.connect()` against started servers, in both clients."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gatehouse_client import (
    AsyncGatehouseClient,
    AuthenticationError,
    ConnectionLost,
    Gap,
    GatehouseClient,
    GatehouseConnectionError,
    GatehouseError,
    PermissionDeniedError,
    Position,
    SessionEnded,
    SubscriptionEnded,
    ValidationError,
)
from gatehouse_client._shared import wire
from gatehouse_client.models import ChannelMessage
from live_server import Collected, LiveServer, Publisher, SocketReader, Way, admin_of, new_channel, new_user, signed_in
from support import PASSWORD, Blocking, eventually

pytest_plugins = ['live_fixtures']

Make = Callable[..., Any]

pytest.importorskip('socketio', reason='python-socketio is not installed')


@pytest.fixture(autouse=True)
def libraries(request: pytest.FixtureRequest) -> None:
    """Skips what cannot run here, and says so."""
    parameters = getattr(request.node, 'callspec', None)
    kind = None if parameters is None else parameters.params.get('make')
    for name in ('aiohttp',) if kind == 'async' else ('requests', 'websocket'):
        pytest.importorskip(name, reason=f'{name} is not installed')


def test_what_is_kept_comes_first_and_then_what_happens(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    sent = [live_admin.broadcasting.publish(channel=channel, event='e', data={'n': n}) for n in range(60)]
    client, _ = signed_in(make, live_server)
    with SocketReader(client, channel, after=1) as reader:
        assert reader.messages(59) == sent[1:]
        live = live_admin.broadcasting.publish(channel=channel, event='live')
        volatile = live_admin.broadcasting.publish(channel=channel, event='typing', durable=False)
        assert reader.messages(2) == [live, volatile]
        eventually(lambda: reader.subscription.position == Position(61, live.epoch))
        assert reader.connection.state == 'connected'
        reader.subscription.unsubscribe()
        eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)
        # It may be read again, and others beside it.
        again, other = Collected(), Collected()
        reader.connection.subscribe(channel, again, after=60)
        with pytest.raises(ValueError):
            reader.connection.subscribe(channel, again)
        second_channel = new_channel()
        reader.connection.subscribe(second_channel, other)
        assert again.next() == live
        assert other.is_empty()
        sent_there = live_admin.broadcasting.publish(channel=second_channel, event='e')
        assert other.next() == sent_there
    assert reader.connection.state == 'closed'
    assert reader.connection.wait() is True
    with pytest.raises(GatehouseConnectionError):
        reader.connection.subscribe(channel, again)


def test_it_publishes(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    live_admin.broadcasting.channels.update(channel, publish_policy='members')
    client, user_id = signed_in(make, live_server)
    with SocketReader(client, channel) as reader:
        published = reader.connection.publish(channel=channel, event='e', data={'ключ': [1, None]})
        assert (published.sequence, published.sender_id, published.data) == (1, user_id, {'ключ': [1, None]})
        assert reader.messages(1) == [published]
        once = [reader.connection.publish(channel=channel, event='e', idempotency_key='k').id for _ in range(2)]
        assert once[0] == once[1]
        volatile = reader.connection.publish(channel=channel, event='typing', durable=False)
        assert volatile.sequence is None
        assert [message.id for message in reader.messages(2)] == [once[0], volatile.id]
        with pytest.raises(PermissionDeniedError) as refused:
            reader.connection.publish(channel=new_channel(), event='e')
        assert refused.value.code == 'publish_forbidden'
        with pytest.raises(ValidationError):
            reader.connection.publish(channel='not a name', event='e')


def test_no_message_is_missing_and_none_comes_twice_when_the_server_is_killed(
    make: Make, mortal_server: LiveServer
) -> None:
    channel, count = new_channel(), 240
    publisher_client = admin_of(mortal_server)
    client, _ = signed_in(make, mortal_server)
    with SocketReader(client, channel, after=0) as reader:
        publisher = Publisher(publisher_client, channel, count)
        for kill_at in (40, 110, 180):
            publisher.wait_for(kill_at)
            mortal_server.kill()
            mortal_server.start()
        received = reader.messages(count)
        assert [message.data for message in received] == list(range(1, count + 1))
        assert [message.sequence for message in received] == list(range(1, count + 1))
        last = publisher_client.broadcasting.publish(channel=channel, event='last')
        assert reader.messages(1) == [last]
        assert reader.subscription.ended is None


def test_what_is_published_while_the_server_is_away_is_published_once(make: Make, mortal_server: LiveServer) -> None:
    channel = new_channel()
    admin = admin_of(mortal_server)
    admin.broadcasting.channels.update(channel, publish_policy='members')
    client, _ = signed_in(make, mortal_server)
    with SocketReader(client, channel) as reader:
        mortal_server.kill()
        reader.states.until(lambda state: state == 'reconnecting')
        with pytest.raises(GatehouseConnectionError):
            reader.connection.publish(channel=channel, event='typing', durable=False)
        back = threading.Thread(target=mortal_server.start)
        back.start()
        published = reader.connection.publish(channel=channel, event='e', timeout=60)
        back.join()
        assert reader.messages(1) == [published]
        assert admin.broadcasting.history(channel).last_sequence == 1


def test_a_handler_that_fails_is_called_again(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    client, _ = signed_in(make, live_server)
    calls, errors = Collected(), Collected()
    failures = [ValueError('first'), ValueError('second')]

    def handle(message: ChannelMessage) -> None:
        calls(message.sequence)
        if message.sequence == 1 and failures:
            raise failures.pop(0)

    with client.broadcasting.connect() as connection:
        subscription = connection.subscribe(channel, handle, on_error=errors)
        for _ in range(2):
            live_admin.broadcasting.publish(channel=channel, event='e')
        assert calls.take(4) == [1, 1, 1, 2]
        told = errors.take(2)
        assert [str(error) for error, _ in told] == ['first', 'second']
        assert told[0][1].message.sequence == 1
        eventually(lambda: subscription.position.sequence == 2)


def test_a_slow_handler_is_not_buried(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    name, _ = new_user(live_server)
    go_on, begun, handled = threading.Event(), Collected(), Collected()

    def handle(message: ChannelMessage) -> None:
        begun(message.sequence)
        assert go_on.wait(60)
        handled(message.sequence)

    # In a thread of its own where the loop would stand still.
    client = make(live_server.url)
    client.auth.login(username=name, password=PASSWORD)
    handler: Any = handle
    if isinstance(client, Blocking):

        async def handler(message: ChannelMessage) -> None:
            await asyncio.get_running_loop().run_in_executor(None, handle, message)

    with client.broadcasting.connect() as connection:
        subscription = connection.subscribe(channel, handler, queue_limit=10)
        for _ in range(100):
            live_admin.broadcasting.publish(channel=channel, event='e')
        assert begun.next() == 1
        # So many wait, and no more: the channel has been left.
        eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)
        target = subscription._target if isinstance(subscription, Blocking) else subscription
        assert len(target._inbox._events) == 10
        assert subscription.position.sequence == 0
        go_on.set()
        assert handled.take(100) == list(range(1, 101))


def test_a_gap_is_told_and_what_is_kept_follows(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    for n in range(5):
        live_admin.broadcasting.publish(channel=channel, event='e', data=n)
    live_admin.broadcasting.channels.update(channel, retention_count=2)
    eventually(lambda: live_admin.broadcasting.history(channel).first_sequence == 4)
    client, _ = signed_in(make, live_server)
    with SocketReader(client, channel, after=1) as reader:
        gap = reader.gaps.next()
        assert gap == Gap(channel, first_sequence=4, epoch=gap.epoch, after=Position(1, None))
        assert [message.sequence for message in reader.messages(2)] == [4, 5]
        eventually(lambda: reader.subscription.position == Position(5, gap.epoch))


def test_tokens_are_renewed_over_several_lifetimes(make: Make, brief_server: LiveServer) -> None:
    channel, admin = new_channel(), admin_of(brief_server)
    client, _ = signed_in(make, brief_server)
    with SocketReader(client, channel) as reader:
        assert reader.states.next() == 'connected'
        end = time.monotonic() + 3.2 * 12
        number = 0
        while time.monotonic() < end:
            number += 1
            sent = admin.broadcasting.publish(channel=channel, event='e', data=number)
            assert reader.messages(1) == [sent]
            # Over the lifetimes of several tokens: time itself is what is tested.
            time.sleep(0.2)
        # The connection that it began with is there still.
        assert reader.states.is_empty()


def test_a_token_that_the_server_does_not_take_is_renewed(make: Make, brief_server: LiveServer) -> None:
    client, _ = signed_in(make, brief_server)
    target = client._target if isinstance(client, Blocking) else client
    session = target._api.session
    # As after the clock of this machine was set: the token has expired, and nobody here knows.
    tokens = session.stored()
    time.sleep(13)
    session._storage.save(type(tokens)(tokens.access_token, tokens.refresh_token, tokens.expires_at + 60_000, 60))
    with SocketReader(client, new_channel()) as reader:
        assert reader.connection.state == 'connected'


def test_logging_out_ends_it(make: Make, live_server: LiveServer) -> None:
    client, _ = signed_in(make, live_server)
    with SocketReader(client, new_channel()) as reader:
        client.auth.logout()
        error = reader.ended.next()
        assert isinstance(error, SessionEnded)
        assert error.reason == 'logged_out'
        with pytest.raises(SessionEnded):
            reader.connection.wait(30)
        assert reader.connection.state == 'closed'
        assert reader.connection.error is error
        with pytest.raises(SessionEnded):
            reader.connection.publish(channel='news', event='e')


def test_another_session_goes_on(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    name, _ = new_user(live_server)
    client, elsewhere = make(live_server.url), GatehouseClient(live_server.url)
    client.auth.login(username=name, password=PASSWORD)
    session = client.auth.sessions.list().items[0]
    with SocketReader(client, channel) as reader:
        reader.connected()
        client.auth.login(username=name, password=PASSWORD)
        elsewhere.auth.login(username=name, password=PASSWORD)
        elsewhere.auth.sessions.end(session.id)
        reader.connected()
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]
    elsewhere.close()


def test_a_disabled_account_ends_it(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    client, user_id = signed_in(make, live_server)
    with SocketReader(client, new_channel()) as reader:
        live_admin.admin.users.update(user_id, is_active=False)
        assert reader.ended.next().reason == 'account_disabled'


def test_another_role_connects_again(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    client, user_id = signed_in(make, live_server)
    with SocketReader(client, channel) as reader:
        reader.connected()
        live_admin.admin.users.update(user_id, role='admin')
        reader.states.until(lambda state: state == 'reconnecting')
        reader.connected()
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]


def test_too_many_events_wait_and_connect_again(make: Make, strict_server: LiveServer) -> None:
    channel, admin = new_channel(), admin_of(strict_server)
    client, _ = signed_in(make, strict_server)
    with SocketReader(client, channel) as reader:
        reader.connected()
        refusals: list[int] = []
        while 0 not in refusals:
            with pytest.raises(GatehouseError) as refused:
                reader.connection.publish(channel=channel, event='e', durable=False, timeout=10)
            refusals.append(refused.value.status)
        # First it may not, then it has been too much, then the connection is gone.
        assert refusals[0] == 403 and 429 in refusals and len(refusals) < 30
        reader.states.until(lambda state: state == 'reconnecting')
        reader.connected()
        sent = admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]


def test_a_removed_member_is_told_and_the_others_go_on(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel, other_channel = new_channel('private'), new_channel()
    client, user_id = signed_in(make, live_server)
    with pytest.raises(PermissionDeniedError):
        SocketReader(client, channel)
    live_admin.broadcasting.channels.members.add(channel, user_id)
    with SocketReader(client, channel) as reader:
        other = Collected()
        reader.connection.subscribe(other_channel, other)
        live_admin.broadcasting.channels.members.remove(channel, user_id)
        error = reader.ended.next()
        assert isinstance(error, SubscriptionEnded) and error.reason == 'membership_removed'
        assert reader.subscription.ended is error
        sent = live_admin.broadcasting.publish(channel=other_channel, event='e')
        assert other.next() == sent
        # Let in again, the channel may be subscribed to again.
        live_admin.broadcasting.channels.members.add(channel, user_id)
        again = Collected()
        reader.connection.subscribe(channel, again)
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert again.next() == sent


def test_presence(make: Make, live_server: LiveServer) -> None:
    channel = new_channel('presence')
    first, first_id = signed_in(make, live_server)
    second, second_id = signed_in(make, live_server)
    with SocketReader(first, channel) as reader:
        assert [member.id for member in reader.subscription.members] == [first_id]
        with SocketReader(second, channel) as other:
            assert reader.joined.next().id == second_id
            assert {member.id for member in other.subscription.members} == {first_id, second_id}
            assert {member.id for member in reader.subscription.members} == {first_id, second_id}
        assert reader.left.next().id == second_id
        assert [member.id for member in reader.subscription.members] == [first_id]


def test_by_an_api_key_until_it_is_revoked(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    owner, _ = signed_in(make, live_server)
    key = owner.users.api_keys.create(name='reader', scopes=['broadcast:read'])
    with SocketReader(make(live_server.url, api_key=key.key), channel) as reader:
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]
        with pytest.raises(PermissionDeniedError) as refused:
            reader.connection.publish(channel=channel, event='e')
        assert refused.value.code == 'insufficient_scope'
        owner.users.api_keys.delete(key.id)
        assert reader.ended.next().reason == 'api_key_revoked'


def test_a_way_that_stalls_is_left(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, 'ANSWER_PATIENCE', 2.0)
    channel = new_channel()
    live_admin.broadcasting.channels.update(channel, publish_policy='members')
    with Way(live_server.url) as way:
        client, _ = signed_in(make, live_server, way.url)
        with SocketReader(client, channel) as reader:
            first = live_admin.broadcasting.publish(channel=channel, event='e')
            assert reader.messages(1) == [first]
            way.stall()
            missed = live_admin.broadcasting.publish(channel=channel, event='missed')
            # What is not answered tells that nobody listens.
            published = reader.connection.publish(channel=channel, event='mine', timeout=60)
            assert reader.messages(2) == [missed, published]


def test_it_is_closed_while_the_server_is_away(make: Make, live_server: LiveServer) -> None:
    name, _ = new_user(live_server)
    with Way(live_server.url) as way:
        client = make(way.url)
        client.auth.login(username=name, password=PASSWORD)
        reader = SocketReader(client, new_channel())
        reader.connected()
    for connection in way.opened:
        connection.close_both()
    reader.states.until(lambda state: state == 'reconnecting')
    reader.connection.close()
    assert reader.connection.state == 'closed'
    assert reader.connection.error is None
    assert reader.ended.is_empty()


def test_by_long_polling(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    client, _ = signed_in(make, live_server)
    with client.broadcasting.connect(transports=['polling']) as connection:
        received = Collected()
        connection.subscribe(channel, received, after=0)
        sent = [live_admin.broadcasting.publish(channel=channel, event='e', data=n) for n in range(30)]
        assert received.take(30) == sent


def test_what_is_refused_is_raised(make: Make, live_server: LiveServer) -> None:
    with pytest.raises(AuthenticationError):
        make(live_server.url).broadcasting.connect().open()
    with pytest.raises(AuthenticationError):
        make(live_server.url, api_key='gh_nonsense').broadcasting.connect().open()
    client, _ = signed_in(make, live_server)
    with SocketReader(client, new_channel()) as reader:
        with pytest.raises(ValidationError):
            reader.connection.subscribe('not a name', print)
        assert 'connected' in repr(reader.connection)


def test_nobody_there_is_told_the_first_time(make: Make, live_server: LiveServer) -> None:
    with Way(live_server.url) as way:
        url = way.url
    client = make(url, api_key='gh_x', max_retries=1)
    with pytest.raises(ConnectionLost, match='refused|Connect call failed'):
        client.broadcasting.connect().open()


def test_a_subscription_that_was_cancelled_is_none(live_server: LiveServer) -> None:
    pytest.importorskip('aiohttp', reason='aiohttp is not installed')
    name, _ = new_user(live_server)

    async def run(way: Way) -> None:
        async with AsyncGatehouseClient(way.url) as client:
            await client.auth.login(username=name, password=PASSWORD)
            async with client.broadcasting.connect() as live:
                way.stall()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(live.subscribe('news', print), 0.2)
                assert live._subscriptions == {}

    with Way(live_server.url) as way:
        asyncio.run(run(way))


def test_asynchronous_handlers_are_awaited_one_after_the_other(
    live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    pytest.importorskip('aiohttp', reason='aiohttp is not installed')
    channel = new_channel()
    name, _ = new_user(live_server)
    for n in range(20):
        live_admin.broadcasting.publish(channel=channel, event='e', data=n)

    async def run() -> list[Any]:
        steps: list[Any] = []
        done = asyncio.Event()

        async def handle(message: ChannelMessage) -> None:
            steps.append(('begun', message.data))
            await asyncio.sleep(0)
            steps.append(('done', message.data))
            if message.data == 19:
                done.set()

        async with AsyncGatehouseClient(live_server.url) as client:
            await client.auth.login(username=name, password=PASSWORD)
            async with client.broadcasting.connect() as live:
                await live.subscribe(channel, handle, after=0)
                await asyncio.wait_for(done.wait(), 30)
                # Closing it from a handler is allowed, too.
                closed = asyncio.Event()

                async def leave(_: ChannelMessage) -> None:
                    await live.aclose()
                    closed.set()

                await live.subscribe(new_channel(), leave)
        return steps

    steps = asyncio.run(run())
    assert steps == [(step, n) for n in range(20) for step in ('begun', 'done')]


def test_a_handler_may_close_the_connection(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    client, _ = signed_in(make, live_server)
    connection = client.broadcasting.connect()
    target = connection._target if isinstance(connection, Blocking) else connection
    received = Collected()
    if isinstance(connection, Blocking):

        async def handle(message: ChannelMessage) -> None:
            await target.aclose()
            received(message)

    else:

        def handle(message: ChannelMessage) -> None:
            target.close()
            received(message)

    with connection:
        connection.subscribe(channel, handle)
        sent = [live_admin.broadcasting.publish(channel=channel, event='e') for _ in range(2)]
        assert connection.wait(30) is True
        assert received.next() == sent[0]
    assert received.is_empty()


def test_a_handler_to_be_awaited_is_refused_without_a_loop(live_server: LiveServer) -> None:
    async def handle(_: ChannelMessage) -> None:
        pass

    with GatehouseClient(live_server.url) as client, pytest.raises(TypeError):
        client.broadcasting.connect().subscribe('news', handle)


PROGRAM = """
import sys
from gatehouse_client import GatehouseClient
client = GatehouseClient(sys.argv[1], api_key=sys.argv[2])
live = client.broadcasting.connect()
live.subscribe(sys.argv[3], lambda message: None)
print('reading', flush=True)
"""


def test_a_program_that_forgets_to_close_it_ends_all_the_same(
    live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    key = live_admin.users.api_keys.create(name=new_channel(), scopes=['broadcast:read'])
    ran = subprocess.run(
        [sys.executable, '-c', PROGRAM, live_server.url, key.key, new_channel()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, 'reading\n', '')


@pytest.mark.parametrize('kind, lacks', [('sync', 'websocket'), ('async', 'aiohttp'), ('sync', 'socketio')])
def test_a_missing_library_is_named(kind: str, lacks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, lacks, None)
    make: Any = GatehouseClient if kind == 'sync' else AsyncGatehouseClient
    client = make('http://localhost:1')
    with pytest.raises(ImportError, match=rf"{lacks} is missing.*'\./sdk/python\[socketio\]'"):
        client.broadcasting.connect()
