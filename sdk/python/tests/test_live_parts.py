"""The parts of live reading that know nothing of connections."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gatehouse_client import (
    AuthenticationError,
    ConnectionLost,
    GatehouseConnectionError,
    GatehouseError,
    MessageReceived,
    PermissionDeniedError,
    Position,
    RateLimitError,
    SessionEnded,
    Subscribed,
    SubscriptionEnded,
    Tokens,
)
from gatehouse_client._shared.inbox import Inbox, Standing
from gatehouse_client._shared.reading import Reading, SequenceSkipped
from gatehouse_client._shared.recovery import Recovery, end_of_session, renewal_time
from gatehouse_client._shared.wire import Link


def message(sequence: int | None, epoch: str = 'e-1') -> dict[str, Any]:
    return {
        'id': f'm-{sequence}',
        'channel': 'news',
        'sequence': sequence,
        'epoch': epoch,
        'event': 'e',
        'data': None,
        'sender_id': None,
        'created_at': '2026-01-01T00:00:00.000Z',
    }


def answer(sequence: int, **others: Any) -> dict[str, Any]:
    return {'ok': True, 'channel': 'news', 'epoch': 'e-1', 'sequence': sequence, 'recovered': True, **others}


def sequences(inbox: Inbox) -> list[int | None]:
    """Handles what waits."""
    handled = []
    while (event := inbox.next()) is not None:
        inbox.done(event)
        if isinstance(event, MessageReceived):
            handled.append(event.message.sequence)
    return handled


def test_a_reading_goes_on_after_what_was_received_and_tells_what_was_handled() -> None:
    reading = Reading('news', None, None)
    assert (reading.position, reading.resume()) == (None, {'channel': 'news'})
    (subscribed,) = reading.subscribed(answer(7))
    assert isinstance(subscribed, Subscribed) and subscribed.position == Position(7, 'e-1')
    event = reading.take('message', message(8))
    assert event is not None
    assert reading.position == Position(7, 'e-1')
    assert reading.resume() == {'channel': 'news', 'after': 8, 'epoch': 'e-1'}
    reading.handled(event)
    assert reading.position == Position(8, 'e-1')
    assert reading.take('message', message(8)) is None
    assert reading.take('message', message(None)) is not None
    assert reading.take('event of tomorrow', {}) is None
    with pytest.raises(SequenceSkipped):
        reading.take('message', message(10))
    assert reading.resume()['after'] == 8


def test_an_inbox_asks_again_for_what_was_skipped() -> None:
    inbox = Inbox(Reading('news', 0, None), 100)
    assert inbox.wants(time.monotonic())
    assert inbox.ask() == {'channel': 'news', 'after': 0}
    inbox.take('message', message(1))
    inbox.answered(answer(3))
    for number in (1, 3, 2):
        inbox.take('message', message(number))
    assert (inbox.standing, inbox.must_leave) == (Standing.WANTED, False)
    assert inbox.wants(time.monotonic() + 60)
    assert inbox.ask()['after'] == 1
    # What was on its way is no part of the new subscription.
    inbox.take('message', message(2))
    inbox.answered(answer(3))
    for number in (2, 3):
        inbox.take('message', message(number))
    assert sequences(inbox) == [1, 2, 3]


def test_an_inbox_that_is_full_leaves_the_channel_until_it_is_half_empty() -> None:
    inbox = Inbox(Reading('news', 0, None), 4)
    inbox.ask()
    inbox.answered(answer(9))
    for number in range(1, 10):
        inbox.take('message', message(number))
    assert (inbox.standing, inbox.must_leave) == (Standing.PAUSED, True)
    inbox.detached()
    for _ in range(2):
        event = inbox.next()
        assert event is not None and inbox.standing is Standing.PAUSED
        inbox.done(event)
    assert inbox.wants(time.monotonic())
    assert inbox.ask()['after'] == 3
    inbox.answered(answer(9))
    inbox.take('message', message(4))
    assert sequences(inbox) == [2, 3, 4]


def test_what_has_come_is_handled_after_the_end_unless_it_is_stopped() -> None:
    inbox = Inbox(Reading('news', 0, None), 4)
    inbox.ask()
    inbox.answered(answer(1))
    inbox.take('message', message(1))
    inbox.take('unsubscribed', {'reason': 'membership_removed'})
    assert isinstance(inbox.ended, SubscriptionEnded) and not inbox.is_finished
    assert sequences(inbox) == [1] and inbox.is_finished
    inbox.stop()
    assert inbox.ended.reason == 'membership_removed'


def test_a_refusal_that_passes_is_asked_again() -> None:
    inbox = Inbox(Reading('news', None, None), 4)
    inbox.ask()
    inbox.refused(RateLimitError('', status=429, code='rate_limited'), True)
    assert not inbox.wants(time.monotonic()) and inbox.wants(time.monotonic() + 10)
    inbox.ask()
    inbox.refused(PermissionDeniedError('', status=403, code='channel_forbidden'), False)
    assert isinstance(inbox.ended, PermissionDeniedError)


def test_reasons_by_which_a_session_ends() -> None:
    for reason in ('logged_out', 'account_disabled', 'account_deleted', 'api_key_revoked'):
        error = end_of_session(reason, False)
        assert isinstance(error, SessionEnded) and error.reason == error.code == reason
    passing = ('role_changed', 'token_expired', 'rate_limited', 'slow_reader', 'subscription_failed', 'of_tomorrow')
    for reason in passing:
        assert isinstance(end_of_session(reason, False), ConnectionLost)
    # Somebody has signed in anew.
    assert isinstance(end_of_session('logged_out', True), ConnectionLost)
    assert isinstance(end_of_session('account_disabled', True), SessionEnded)


def test_pauses_grow_until_a_connection_has_lasted() -> None:
    recovery = Recovery()
    assert recovery.pause_after(ConnectionLost('', 'token_expired')) == 0
    pauses = [recovery.pause_after(GatehouseConnectionError('')) or 0 for _ in range(8)]
    assert pauses[0] < 1.1 and 4 <= pauses[-1] <= 8
    # A token that is refused again and again is no reason to hurry.
    assert (recovery.pause_after(ConnectionLost('', 'token_expired')) or 0) >= 4
    recovery.lasted(1)
    assert (recovery.pause_after(GatehouseConnectionError('')) or 0) >= 4
    recovery.lasted(60)
    assert recovery.pause_after(ConnectionLost('', 'role_changed')) == 0
    assert recovery.pause_after(ConnectionLost('', 'rate_limited')) == 10
    assert recovery.pause_after(RateLimitError('', status=429, code='rate_limited', retry_after=33)) == 33
    for kind in (AuthenticationError, PermissionDeniedError):
        assert recovery.pause_after(kind('', status=403)) is None
    assert recovery.pause_after(SessionEnded('logged_out')) is None
    assert recovery.pause_after(GatehouseError('', status=500)) is not None


def test_the_servers_retry_counts() -> None:
    recovery = Recovery()
    recovery.retry = 2.0
    assert 1 <= (recovery.pause_after(GatehouseConnectionError('')) or 0) <= 2


def test_tokens_are_renewed_well_before_the_end() -> None:
    now = time.time()
    long = renewal_time(Tokens('a', 'r', round((now + 900) * 1000), 900))
    assert long == pytest.approx(now + 840, abs=1)
    brief = renewal_time(Tokens('a', 'r', round((now + 5) * 1000), 5))
    assert brief == pytest.approx(now + 3, abs=0.5)
    # Never at once: a clock that is wrong would make it a race.
    assert renewal_time(Tokens('a', 'r', 0, 5)) > now


def test_each_answer_is_settled_once() -> None:
    changes, answers = [], []
    link = Link(lambda name, payload: None, lambda: changes.append(1))
    link.welcome()
    settled, lost = link.expect(answers.append), link.expect(answers.append)
    assert settled is not None and lost is not None
    settled({'ok': True})
    settled({'ok': False})
    link.over(None)
    link.over(None)
    lost({'ok': True})
    assert answers == [{'ok': True}, None]
    assert len(changes) == 2
    assert link.expect(answers.append) is None
