"""`broadcasting.stream()` against started servers, in both clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from gatehouse_client import (
    AsyncGatehouseClient,
    AuthenticationError,
    Gap,
    GatehouseClient,
    GatehouseConnectionError,
    InvalidAnswerError,
    NotFoundError,
    PermissionDeniedError,
    Position,
    SessionEnded,
    SubscriptionEnded,
    ValidationError,
)
from gatehouse_client._shared import recovery
from live_server import LiveServer, Publisher, StreamReader, Way, admin_of, new_channel, new_user, signed_in
from support import PASSWORD, STALL, Script, answer, eventually, fault

pytest_plugins = ['live_fixtures']

Make = Callable[..., Any]


def test_what_is_kept_comes_first_and_then_what_happens(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    publish = live_admin.broadcasting.publish
    sent = [publish(channel=channel, event='e', data={'n': n, 'text': 'żółć'}) for n in (1, 2, 3)]
    client, _ = signed_in(make, live_server)
    with StreamReader(client, channel, after=1) as reader:
        subscribed = reader.subscribed()
        assert subscribed.position == Position(1, sent[0].epoch)
        assert (subscribed.recovered, subscribed.members) == (True, None)
        assert reader.messages(2) == sent[1:]
        live = live_admin.broadcasting.publish(channel=channel, event='live', data=None)
        volatile = live_admin.broadcasting.publish(channel=channel, event='typing', durable=False)
        assert reader.messages(2) == [live, volatile]
        assert reader.stream.position == Position(4, sent[0].epoch)


def test_without_a_position_it_begins_now(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    live_admin.broadcasting.publish(channel=channel, event='before')
    client, _ = signed_in(make, live_server)
    with StreamReader(client, channel) as reader:
        assert reader.subscribed().position.sequence == 1
        after = live_admin.broadcasting.publish(channel=channel, event='after')
        assert reader.messages(1) == [after]


def test_leaving_the_loop_closes_the_connection(live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    with GatehouseClient(live_server.url) as client:
        name, _ = new_user(live_server)
        client.auth.login(username=name, password=PASSWORD)
        for event in client.broadcasting.stream(channel):
            assert live_admin.broadcasting.channels.get(channel).subscribers == 1
            break
        eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)
        with client.broadcasting.stream(channel) as stream:
            assert next(stream).type == 'subscribed'
            for _ in range(2):
                # Within `with`, a loop that is left may be gone on with.
                sent = live_admin.broadcasting.publish(channel=channel, event='e')
                for event in stream:
                    assert event.message == sent
                    break
        eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)
        assert list(stream) == []


def test_a_task_that_is_cancelled_or_leaves_the_loop_closes_the_connection(
    live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    name, _ = new_user(live_server)

    async def run() -> None:
        async with AsyncGatehouseClient(live_server.url) as client:
            await client.auth.login(username=name, password=PASSWORD)
            subscribed = asyncio.Event()

            async def read() -> None:
                async for _ in client.broadcasting.stream(channel):
                    subscribed.set()

            task = asyncio.ensure_future(read())
            await asyncio.wait_for(subscribed.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(nobody_reads)
            async for event in client.broadcasting.stream(channel):
                assert event.type == 'subscribed'
                break
            await asyncio.to_thread(nobody_reads)

    def nobody_reads() -> None:
        eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)

    asyncio.run(run())


def test_it_is_closed_while_it_waits(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    client, _ = signed_in(make, live_server)
    reader = StreamReader(client, channel)
    reader.subscribed()
    reader.close()
    assert reader.ended.next() is None
    eventually(lambda: live_admin.broadcasting.channels.get(channel).subscribers == 0)


def test_no_message_is_missing_and_none_comes_twice_when_the_server_is_killed(
    make: Make, mortal_server: LiveServer
) -> None:
    channel, count = new_channel(), 240
    publisher_client = admin_of(mortal_server)
    client, _ = signed_in(make, mortal_server)
    with StreamReader(client, channel, after=0) as reader:
        reader.subscribed()
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


def test_a_gap_is_told_and_what_is_kept_follows(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient
) -> None:
    channel = new_channel()
    for n in range(5):
        live_admin.broadcasting.publish(channel=channel, event='e', data=n)
    live_admin.broadcasting.channels.update(channel, retention_count=2)
    eventually(lambda: live_admin.broadcasting.history(channel).first_sequence == 4)
    client, _ = signed_in(make, live_server)
    with StreamReader(client, channel, after=1) as reader:
        gap = reader.events.next()
        epoch = reader.subscribed().position.epoch
        assert gap == Gap(channel, first_sequence=4, epoch=epoch, after=Position(1, None))
        assert [message.sequence for message in reader.messages(2)] == [4, 5]


def test_another_epoch_is_a_gap(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    live_admin.broadcasting.publish(channel=channel, event='e')
    other = '7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b'
    client, _ = signed_in(make, live_server)
    with StreamReader(client, channel, after=1, epoch=other) as reader:
        gap = reader.events.next()
        assert (gap.type, gap.after, gap.first_sequence) == ('gap', Position(1, other), 1)
        assert reader.messages(1)[0].sequence == 1


def test_tokens_are_renewed_over_several_lifetimes(make: Make, brief_server: LiveServer) -> None:
    channel, live_admin = new_channel(), admin_of(brief_server)
    client, _ = signed_in(make, brief_server)
    with StreamReader(client, channel) as reader:
        epoch = reader.subscribed().position.epoch
        for number in range(1, 4):
            # A stream ends with its token; this is the next one.
            sent = live_admin.broadcasting.publish(channel=channel, event='e', data=number)
            assert reader.messages(1) == [sent]
            assert reader.subscribed().position == Position(number, epoch)


def test_logging_out_ends_it(make: Make, live_server: LiveServer) -> None:
    client, _ = signed_in(make, live_server)
    with StreamReader(client, new_channel()) as reader:
        reader.subscribed()
        client.auth.logout()
        error = reader.ended.next()
        assert isinstance(error, SessionEnded)
        assert error.reason == 'logged_out'


def test_a_disabled_account_ends_it(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    client, user_id = signed_in(make, live_server)
    with StreamReader(client, new_channel()) as reader:
        reader.subscribed()
        live_admin.admin.users.update(user_id, is_active=False)
        assert reader.ended.next().reason == 'account_disabled'


def test_another_role_connects_again(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    client, user_id = signed_in(make, live_server)
    with StreamReader(client, channel) as reader:
        reader.subscribed()
        live_admin.admin.users.update(user_id, role='admin')
        reader.subscribed()
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]


def test_a_removed_member_is_told(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel('private')
    client, user_id = signed_in(make, live_server)
    with StreamReader(client, channel) as refused:
        assert isinstance(refused.ended.next(), PermissionDeniedError)
    live_admin.broadcasting.channels.members.add(channel, user_id)
    with StreamReader(client, channel) as reader:
        reader.subscribed()
        live_admin.broadcasting.channels.members.remove(channel, user_id)
        error = reader.ended.next()
        assert isinstance(error, SubscriptionEnded) and not isinstance(error, SessionEnded)
        assert error.reason == 'membership_removed'


def test_presence(make: Make, live_server: LiveServer) -> None:
    channel = new_channel('presence')
    first, first_id = signed_in(make, live_server)
    second, second_id = signed_in(make, live_server)
    with StreamReader(first, channel) as reader:
        assert [member.id for member in reader.subscribed().members] == [first_id]
        with StreamReader(second, channel) as other:
            assert {member.id for member in other.subscribed().members} == {first_id, second_id}
            joined = reader.events.next()
            assert (joined.type, joined.channel, joined.user.id) == ('presence:joined', channel, second_id)
        left = reader.events.next()
        assert (left.type, left.user.id) == ('presence:left', second_id)


def test_by_an_api_key_until_it_is_revoked(make: Make, live_server: LiveServer, live_admin: GatehouseClient) -> None:
    channel = new_channel()
    owner, _ = signed_in(make, live_server)
    key = owner.users.api_keys.create(name='reader', scopes=['broadcast:read'])
    with StreamReader(make(live_server.url, api_key=key.key), channel) as reader:
        reader.subscribed()
        sent = live_admin.broadcasting.publish(channel=channel, event='e')
        assert reader.messages(1) == [sent]
        owner.users.api_keys.delete(key.id)
        assert reader.ended.next().reason == 'api_key_revoked'


def test_a_way_that_stalls_is_left(
    make: Make, live_server: LiveServer, live_admin: GatehouseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, 'SILENCE', 3.0)
    channel = new_channel()
    name, _ = new_user(live_server)
    with Way(live_server.url) as way:
        client = make(way.url)
        client.auth.login(username=name, password=PASSWORD)
        with StreamReader(client, channel) as reader:
            reader.subscribed()
            first = live_admin.broadcasting.publish(channel=channel, event='e')
            assert reader.messages(1) == [first]
            way.stall()
            missed = [live_admin.broadcasting.publish(channel=channel, event='e', data=n) for n in range(3)]
            assert reader.messages(3) == missed


def test_what_is_refused_is_raised(make: Make, live_server: LiveServer) -> None:
    client, _ = signed_in(make, live_server)
    for reader_client, channel, kind in (
        (client, 'not a name', ValidationError),
        (client, 'private-user.7d1f8b0e-6a44-4d0e-9a6b-2f5c1d3e4a5b', PermissionDeniedError),
        (make(live_server.url), 'news', AuthenticationError),
    ):
        with StreamReader(reader_client, channel) as reader:
            assert isinstance(reader.ended.next(), kind)


def test_nobody_there_is_told_the_first_time(make: Make) -> None:
    with Script(answer(200, {})) as script:
        url = script.url
    with StreamReader(make(url, max_retries=1), 'news') as reader:
        assert isinstance(reader.ended.next(), GatehouseConnectionError)


SUBSCRIBED = {'channel': 'news', 'epoch': 'e-1', 'sequence': 7, 'recovered': True}


def message(sequence: int) -> dict[str, Any]:
    """A message as the server sends it."""
    return {
        'id': f'm-{sequence}',
        'channel': 'news',
        'sequence': sequence,
        'epoch': 'e-1',
        'event': 'e',
        'data': None,
        'sender_id': None,
        'created_at': '2026-01-01T00:00:00.000Z',
    }


def stream_of(*events: tuple[str, dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
    """A stream that ends after these events."""
    text = 'retry: 20\n\n' + ''.join(f'event: {name}\ndata: {json.dumps(data)}\n\n' for name, data in events)
    return 200, {'Content-Type': 'text/event-stream; charset=utf-8'}, text.encode()


def test_it_resumes_by_last_event_id_and_epoch_and_repeats_nothing(make: Make) -> None:
    with Script(
        stream_of(('subscribed', SUBSCRIBED), ('message', message(8)), ('message', message(9))),
        fault(503, 'service_unavailable'),
        fault(429, 'rate_limited', retry_after='0'),
        (502, {'Content-Type': 'text/html'}, b'<h1>Bad gateway</h1>'),
        stream_of(('subscribed', SUBSCRIBED), ('message', message(9)), ('message', message(10)), ('other', {})),
        stream_of(('subscribed', SUBSCRIBED), ('message', message(12))),
        stream_of(('subscribed', SUBSCRIBED), ('message', message(11)), ('message', message(12))),
        stream_of(('session:ended', {'reason': 'token_expired'})),
        stream_of(('session:ended', {'reason': 'reason_of_tomorrow'})),
        stream_of(('session:ended', {'reason': 'account_deleted'}), ('message', message(13))),
    ) as script:
        with StreamReader(make(script.url, api_key='key'), 'news', after=7) as reader:
            assert [each.sequence for each in reader.messages(5)] == [8, 9, 10, 11, 12]
            assert reader.ended.next().reason == 'account_deleted'
            assert reader.stream.position == Position(12, 'e-1')
        asked = [(path.partition('?')[2], headers.get('last-event-id')) for _, path, headers, _ in script.requests]
    assert asked[0] == ('channel=news&after=7', None)
    assert asked[1:5] == [('channel=news&epoch=e-1', '9')] * 4
    assert asked[5:7] == [('channel=news&epoch=e-1', '10')] * 2
    assert asked[7:] == [('channel=news&epoch=e-1', '12')] * 3


def test_a_refusal_later_on_is_raised_after_what_has_come(make: Make) -> None:
    with Script(
        stream_of(('subscribed', SUBSCRIBED), ('message', message(8))), fault(404, 'not_found')
    ) as script, StreamReader(make(script.url, api_key='key'), 'news', after=7) as reader:
        assert reader.messages(1)[0].sequence == 8
        assert isinstance(reader.ended.next(), NotFoundError)


def test_something_else_at_the_address_is_no_stream(make: Make) -> None:
    with Script(answer(200, {'hello': 'world'})) as script:
        with StreamReader(make(script.url, api_key='key'), 'news') as reader:
            assert isinstance(reader.ended.next(), InvalidAnswerError)


def test_closing_does_not_wait_for_the_next_attempt(make: Make) -> None:
    with Script(stream_of(('subscribed', SUBSCRIBED)), fault(503, 'service_unavailable', retry_after='50')) as script:
        reader = StreamReader(make(script.url, api_key='key'), 'news')
        eventually(lambda: len(script.requests) == 2)
        reader.close()
        assert reader.ended.next() is None


def test_closing_gives_up_an_attempt_to_connect() -> None:
    """With asyncio; a thread that waits for a connection cannot be woken."""

    async def run(url: str, is_asked: Callable[[], bool]) -> None:
        async with AsyncGatehouseClient(url, api_key='key') as client:
            stream = client.broadcasting.stream('news')
            reading = asyncio.ensure_future(stream.__anext__())
            while not is_asked():
                await asyncio.sleep(0.01)
            await stream.aclose()
            done, _ = await asyncio.wait({reading}, timeout=10)
            assert done and isinstance(reading.exception(), StopAsyncIteration)

    with Script(STALL) as script:
        asyncio.run(run(script.url, lambda: bool(script.requests)))
