# Generated from _async/event_stream.py by scripts/generate.py: do not edit.
"""The messages of one channel as an iterator, over Server-Sent Events."""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType

import httpx

from .._shared import recovery
from .._shared.background import Attempt, Bell
from .._shared.calls import Call, error_of, path
from .._shared.connection import explain, shown
from .._shared.reading import Reading, SequenceSkipped
from .._shared.recovery import Recovery, end_of_session, is_passing
from .._shared.sse import EventParser, ServerSentEvent
from ..errors import GatehouseError, InvalidAnswerError
from ..live import ConnectionLost, Position, StreamEvent, SubscriptionEnded
from ..tokens import Tokens
from .transport import Transport


class EventStream:
    """The events of a channel, as they happen. Iterate over it; `with` closes it, and so does leaving the loop.

        with client.broadcasting.stream('news', after=41) as stream:
            for event in stream:
                if event.type == 'message':
                    print(event.message.sequence, event.message.data)

    A connection that breaks is made again, and goes on after the last message: none is missing, and none comes twice.
    What is not kept any more is told by a `Gap`. The first connection fails as other calls do; later ones are tried
    until the server is back.

    The iteration raises SessionEnded when the server has ended the session, SubscriptionEnded when the channel may not
    be read any more, AuthenticationError when the session cannot be renewed, and PermissionDeniedError, NotFoundError
    or ValidationError when the server refuses the channel.
    """

    def __init__(self, api: Transport, channel: str, after: int | None, epoch: str | None) -> None:
        self._api = api
        self._reading = Reading(channel, after, epoch)
        self._recovery = Recovery()
        self._bell = Bell()
        self._attempt = Attempt()
        self._parser = EventParser()
        self._events: deque[StreamEvent] = deque()
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] | None = None
        self._used: Tokens | None = None
        self._opened_at: float | None = None
        self._failure: GatehouseError | None = None
        self._has_been_open = False
        self._is_closed = False
        self._is_kept = False

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._reading.channel

    @property
    def position(self) -> Position | None:
        """After the last event that the iteration has brought; None before the first one, unless `after` was given.

        Keep it when the event is handled, and give it as `after` and `epoch` to go on from there.
        """
        return self._reading.position

    def close(self) -> None:
        """Ends it, wherever it is; the connection is closed at once. The iteration stops.

        In the client for threads, a thread that waits for a connection to be made goes on waiting for that, at most for
        the `timeout` of the client.
        """
        self._is_closed = True
        self._bell.ring()
        self._attempt.give_up()
        response = self._response
        if response is not None:
            _wake_reader(response)
            self._leave()

    def __next__(self) -> StreamEvent:
        while not self._is_closed:
            if self._events:
                event = self._events.popleft()
                self._reading.handled(event)
                return event
            if self._failure is not None:
                self._is_closed = True
                raise self._failure
            self._receive()
        raise StopIteration

    def __iter__(self) -> Iterator[StreamEvent]:
        try:
            while True:
                try:
                    event = self.__next__()
                except StopIteration:
                    return
                yield event
        finally:
            if not self._is_kept:
                self.close()

    def __enter__(self) -> EventStream:
        self._is_kept = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.channel}>'

    def _receive(self) -> None:
        """Takes what comes next, or connects when there is no connection."""
        try:
            if self._chunks is None:
                return self._connect()
            try:
                chunk = self._chunks.__next__()
            except StopIteration:
                raise ConnectionLost('the server has closed the stream') from None
            except httpx.HTTPError as error:
                raise explain(error, self._api.settings) from shown(error)
            for event in self._parser.feed(chunk):
                self._take(event)
            if self._parser.retry is not None:
                self._recovery.retry = self._parser.retry / 1000
        except GatehouseError as error:
            self._leave()
            if not self._is_closed:
                self._recover(error)
        except BaseException as error:
            # Somebody else has closed it, while this was reading.
            if self._is_closed and isinstance(error, Exception):
                return
            self._leave()
            raise

    def _connect(self) -> None:
        session, reading = self._api.session, self._reading
        query = reading.resume()
        headers = {'Accept': 'text/event-stream', 'Accept-Encoding': 'identity', 'Cache-Control': 'no-store'}
        if self._has_been_open and 'after' in query:
            headers['Last-Event-ID'] = str(query.pop('after'))
        call = Call('GET', path('/broadcasting/stream'), query=query, headers=headers, repeatable=False)
        response = self._attempt.run(self._api.open, _discard, call)
        self._used = session.stored()
        self._response = response
        self._parser = EventParser()
        self._opened_at = time.monotonic()
        if response.status_code != 200 or not _is_event_stream(response):
            if response.status_code >= 300:
                raise error_of(response.status_code, response.headers, '')
            raise InvalidAnswerError(
                'the answer is no event stream: is base_url right?', status=response.status_code, code='invalid_answer'
            )
        self._has_been_open = True
        response.request.extensions.get('timeout', {})['read'] = recovery.SILENCE
        self._chunks = response.iter_bytes().__iter__()
        if self._is_closed:
            self._leave()

    def _take(self, event: ServerSentEvent) -> None:
        # What came after a failure does not count any more.
        if self._failure is not None:
            return
        try:
            payload = json.loads(event.data)
            if event.event == 'subscribed':
                self._events.extend(self._reading.subscribed(payload))
            elif event.event == 'session:ended':
                raise end_of_session(str(payload['reason']), self._is_superseded())
            elif event.event == 'unsubscribed':
                raise SubscriptionEnded(str(payload['reason']))
            else:
                taken = self._reading.take(event.event, payload)
                if taken is not None:
                    self._events.append(taken)
        except SequenceSkipped:
            raise ConnectionLost('the stream has skipped a message') from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConnectionLost(f'the stream has brought what is no event ({type(error).__name__})') from None

    def _recover(self, error: GatehouseError) -> None:
        if self._opened_at is not None:
            self._recovery.lasted(time.monotonic() - self._opened_at)
            self._opened_at = None
        retries = self._api.settings.max_retries
        if not self._has_been_open and is_passing(error) and self._recovery.failures >= retries:
            self._failure = error
            return
        pause = self._recovery.pause_after(error)
        if pause is None:
            # What has come before it is brought first.
            self._failure = error
            return
        end = time.monotonic() + pause
        while not self._is_closed and time.monotonic() < end:
            self._bell.wait(end - time.monotonic())

    def _is_superseded(self) -> bool:
        current = self._api.session.stored()
        return current is not None and (self._used is None or current.access_token != self._used.access_token)

    def _leave(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            try:
                response.close()
            except Exception as error:
                # It was closed under the eyes of whoever was reading, and is gone either way.
                if not self._is_closed:
                    raise ConnectionLost(f'the stream could not be closed ({type(error).__name__})') from None


def _discard(response: httpx.Response) -> None:
    response.close()


def _is_event_stream(response: httpx.Response) -> bool:
    return str(response.headers.get('content-type', '')).partition(';')[0].strip().lower() == 'text/event-stream'


def _wake_reader(response: httpx.Response) -> None:
    """Closing a socket does not wake a thread that reads from it; this does."""
    stream = response.extensions.get('network_stream')
    raw = None if stream is None else stream.get_extra_info('socket')
    try:
        if raw is not None:
            raw.shutdown(socket.SHUT_RDWR)
    except (OSError, ValueError):
        pass
