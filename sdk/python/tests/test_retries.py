"""What is sent again, when, and what is not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gatehouse_client import (
    GatehouseConnectionError,
    GatehouseError,
    GatehouseTimeoutError,
    NotFoundError,
    RateLimitError,
)
from gatehouse_client._shared import retry
from support import RESET, STALL, Script, answer, fault

LIVE = answer(200, {'status': 'ok'})
GONE = fault(404, 'file_not_found')
BUSY = fault(503, 'service_unavailable')
PASSING = [RESET, BUSY, fault(429, 'rate_limited'), (502, {}, b''), (504, {}, b'')]
MESSAGE = {
    'id': 'm',
    'channel': 'news',
    'sequence': 1,
    'epoch': 'e',
    'event': 'x',
    'data': None,
    'sender_id': None,
    'created_at': '2026-01-01T00:00:00.000Z',
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arithmetic has a test of its own."""
    monkeypatch.setattr(retry, 'FIRST_DELAY', 0.01)


@pytest.mark.parametrize('failure', PASSING, ids=['reset', '503', '429', '502', '504'])
def test_what_may_pass_is_tried_again(make: Any, failure: Any) -> None:
    with Script(failure, failure, LIVE) as script:
        assert make(script.url).health.live().status == 'ok'
        assert len(script.requests) == 3
    with Script(failure) as script:
        with pytest.raises(GatehouseError):
            make(script.url).health.live()
        assert len(script.requests) == 3
    with Script(failure) as script:
        with pytest.raises(GatehouseError):
            make(script.url, max_retries=0).health.live()
        assert len(script.requests) == 1


@pytest.mark.parametrize('failure', [fault(500, 'internal_error'), fault(400, 'malformed_request'), STALL])
def test_what_stays_wrong_is_not(make: Any, failure: Any) -> None:
    with Script(failure) as script:
        with pytest.raises(GatehouseError) as caught:
            make(script.url, timeout=0.3 if failure == STALL else 30).health.live()
        assert len(script.requests) == 1
        assert isinstance(caught.value, GatehouseTimeoutError) == (failure == STALL)


CALLS = {
    'PATCH': (lambda client: client.uploads.update('f', filename='x'), 3),
    'PUT': (lambda client: client.broadcasting.channels.members.add('private-x', 'u'), 3),
    'DELETE': (lambda client: client.uploads.delete('f'), 3),
    'POST': (lambda client: client.uploads.bulk_delete(['f']), 1),
    'POST of a keyed message': (
        lambda client: client.broadcasting.publish(channel='c', event='e', idempotency_key='k'),
        3,
    ),
    'POST of a message': (lambda client: client.broadcasting.publish(channel='c', event='e'), 3),
    'POST of a volatile message': (
        lambda client: client.broadcasting.publish(channel='c', event='e', durable=False),
        1,
    ),
}


@pytest.mark.parametrize('name', CALLS)
@pytest.mark.parametrize('failure', [RESET, BUSY], ids=['reset', '503'])
def test_only_what_does_no_harm_twice(make: Any, name: str, failure: Any) -> None:
    call, times = CALLS[name]
    with Script(failure) as script:
        with pytest.raises(GatehouseError):
            call(make(script.url, api_key='gh_key'))
        assert len(script.requests) == times
        assert {request[0] for request in script.requests} == {name.partition(' ')[0]}
        # A message has the same key each time.
        assert len({request[3] for request in script.requests}) == 1


def test_the_key_of_a_message(make: Any) -> None:
    with Script(answer(201, MESSAGE)) as script:
        client = make(script.url, api_key='gh_key')
        for _ in range(2):
            client.broadcasting.publish(channel='news', event='x')
        client.broadcasting.publish(channel='news', event='x', durable=False)
        first, second, volatile = (request[3] for request in script.requests)
        assert b'idempotency_key' in first and b'idempotency_key' in second and first != second
        assert b'idempotency_key' not in volatile


def test_the_server_says_when(make: Any) -> None:
    with Script(fault(429, 'rate_limited', retry_after='1'), LIVE) as script:
        start = time.monotonic()
        make(script.url).health.live()
        assert time.monotonic() - start >= 1
    with Script(fault(429, 'rate_limited', retry_after='61')) as script:
        with pytest.raises(RateLimitError) as caught:
            make(script.url).health.live()
        assert (len(script.requests), caught.value.retry_after) == (1, 61.0)


def test_a_deletion_whose_answer_was_lost(make: Any) -> None:
    for lost in (RESET, (502, {}, b''), (504, {}, b'')):
        with Script(lost, GONE) as script:
            make(script.url, api_key='gh_key').uploads.delete('f')
            assert len(script.requests) == 2
    # Nothing was lost: it was not there.
    for first in (BUSY, GONE):
        with Script(first, GONE) as script, pytest.raises(NotFoundError):
            make(script.url, api_key='gh_key').uploads.delete('f')


def test_a_server_that_is_unhealthy_is_no_error(make: Any) -> None:
    unhealthy = {'status': 'unhealthy', 'database': 'unhealthy', 'storage': 'healthy', 'uptime_seconds': 1}
    with Script(answer(503, unhealthy)) as script:
        assert make(script.url).health.status().database == 'unhealthy'
        assert len(script.requests) == 1
    with Script((503, {}, b'<h1>Down</h1>')) as script:
        with pytest.raises(GatehouseError) as caught:
            make(script.url).health.status()
        assert caught.value.code == 'http_503'


def test_nobody_listens(make: Any) -> None:
    with Script(LIVE) as script:
        url = script.url
    with pytest.raises(GatehouseConnectionError):
        make(url).health.live()


def test_the_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, 'FIRST_DELAY', 0.25)
    for failures, longest in ((0, 0.25), (1, 0.5), (4, 4.0), (5, 8.0), (9, 8.0), (5000, 8.0)):
        delays = [retry.backoff(failures) for _ in range(200)]
        assert 0 <= min(delays) < longest / 2 < max(delays) <= longest
