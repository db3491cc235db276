# Generated from _async/socket.py by scripts/generate.py: do not edit.
"""A live connection to a server, over Socket.IO."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from .._shared.background import Bell, Handler, Task
from .._shared.connection import DEFAULT_TIMEOUT
from .._shared.inbox import Inbox, Standing
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from .._shared.reading import Reading
from .._shared.recovery import Recovery, end_of_session, is_passing, renewal_time
from .._shared.retry import backoff
from .._shared.sockets import Socket
from .._shared.wire import TRANSPORTS, error_in, outgoing
from ..errors import AuthenticationError, GatehouseConnectionError, GatehouseError, GatehouseTimeoutError
from ..live import ConnectionLost, ConnectionState, Gap, MessageReceived, PresenceJoined, PresenceLeft
from ..models import ChannelMessage, Member
from ..tokens import Tokens
from .subscription import Subscription
from .transport import Transport

logger = logging.getLogger('gatehouse_client')

QUEUE_LIMIT = 1000
CLOSING_PATIENCE = 10.0
"""Seconds for a handler that is at work to end its work."""
LEAVING_PATIENCE = 2.0
"""Seconds for an attempt to connect that is under way; nobody waits for it any more."""
RENEWAL_PAUSE = 5.0


class Connection:
    """A live connection of the signed-in user, or of the API key. `client.broadcasting.connect` makes it.

        with client.broadcasting.connect() as live:
            live.subscribe('news', lambda message: print(message.data), after=41)
            live.wait()

    `with` connects, and fails as other calls do. From then on it comes back by itself after restarts of the server,
    lost networks and expired tokens, and renews its token before that expires. It closes for good when the server has
    ended the session (SessionEnded), when the session cannot be renewed (AuthenticationError), and by `close`.
    """

    def __init__(self, api: Transport, transports: Sequence[str] | None) -> None:
        Socket.require()
        self._api = api
        self._transports = tuple(transports or TRANSPORTS)
        self._bell = Bell()
        self._subscriptions: dict[str, Subscription] = {}
        self._ended: list[Subscription] = []
        self._waiting: set[Bell] = set()
        self._listeners: list[Callable[[ConnectionState], object]] = []
        self._state: ConnectionState = 'connecting'
        self._socket: Socket | None = None
        self._tokens: Tokens | None = None
        self._renew_at: float | None = None
        self._recovery = Recovery()
        self._failure: GatehouseError | None = None
        self._broken: GatehouseError | None = None
        self._is_closing = False
        # Never held while something is awaited; the client for threads needs it.
        self._starting = threading.Lock()
        self._task: Task | None = None

    @property
    def state(self) -> ConnectionState:
        """`connecting`, `connected`, `reconnecting` or `closed`."""
        return self._state

    @property
    def error(self) -> GatehouseError | None:
        """Why it is closed; None when it is not, and after `close`."""
        return self._failure

    def on_state(self, listener: Callable[[ConnectionState], object]) -> None:
        """Has a function called with each new state. It must not wait for anything."""
        self._listeners.append(listener)

    def open(self) -> None:
        """Connects, and returns when the server has let it in. `with` and the first `subscribe` do the same.

        Raises what other calls do; ConnectionError and the like after as many attempts as the client makes.
        """
        with self._starting:
            if self._task is None and not self._is_closing:
                self._task = Task(self._run)
        self._until(lambda: self._state != 'connecting', None)
        self._check_open()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it is closed, at most `timeout` seconds, and tells whether it is.

        Raises SessionEnded, AuthenticationError or whatever has closed it, unless that was `close`; and GatehouseError
        (`handler_ended`) when a handler has ended its subscription, as `sys.exit` does in a thread.
        """
        self._until(lambda: self._state == 'closed' or self._broken is not None, timeout)
        error = self._failure or self._broken
        if error is not None:
            raise error
        return self._state == 'closed'

    def subscribe(
        self,
        channel: str,
        handler: Callable[[ChannelMessage], object],
        *,
        after: int | None = None,
        epoch: str | None = None,
        on_joined: Callable[[Member], object] | None = None,
        on_left: Callable[[Member], object] | None = None,
        on_gap: Callable[[Gap], object] | None = None,
        on_error: Callable[[Exception, Any], object] | None = None,
        on_ended: Callable[[GatehouseError], object] | None = None,
        queue_limit: int = QUEUE_LIMIT,
        timeout: Timeout = NOT_GIVEN,
    ) -> Subscription:
        """Reads a channel, and returns when the server has taken the subscription. A key needs `broadcast:read`.

        Args:
            handler: Called with each message, one after the other. When it raises, it is called again with the same
                message after a while, until it has worked: each message is handled at least once, and in order.
            after: Begin with what follows this sequence (0: with everything that is kept). Without it: with what is
                published from now on.
            epoch: The epoch that `after` belongs to.
            on_joined: Called with whoever comes to a presence channel.
            on_left: Called with whoever leaves it.
            on_gap: Called when messages are missing because they are not kept any more; what is kept follows.
            on_error: Called with what a handler has raised, and with the event. Without it, that is logged.
            on_ended: Called when the server has ended the subscription, with SubscriptionEnded, SessionEnded or
                PermissionDeniedError. Without it, that is logged.
            queue_limit: How many events may wait for the handler. When there are more, the channel is left, and read
                on from there when the handler has caught up; messages that are not durable are missed meanwhile.
            timeout: Seconds to wait for the server's answer.

        Raises PermissionDeniedError, ValidationError; ValueError when the channel is subscribed already. One that is
        cancelled leaves no subscription behind.
        """
        handlers = {
            kind: Handler(function)
            for kind, function in (
                (MessageReceived, handler),
                (PresenceJoined, on_joined),
                (PresenceLeft, on_left),
                (Gap, on_gap),
            )
            if function is not None
        }
        failing = None if on_error is None else Handler(on_error)
        ending = None if on_ended is None else Handler(on_ended)
        inbox = Inbox(Reading(channel, after, epoch), queue_limit)
        self.open()
        subscription = Subscription(
            inbox, handlers, failing, ending, self._unsubscribe, self._handler_ended, self._bell.ring
        )
        former = self._subscriptions.get(channel)
        if former is not None and former._inbox.standing is Standing.ENDED:
            self._keep(former)
            del self._subscriptions[channel]
        if self._subscriptions.setdefault(channel, subscription) is not subscription:
            raise ValueError(f'the connection is subscribed to {channel} already')
        try:
            subscription._start()
            self._bell.ring()
            if self._is_closing:
                inbox.end(self._closed())
            elif not subscription._first_answer.wait(self._patience(timeout)):
                late = GatehouseTimeoutError(f'the subscription to {channel} was not answered in time')
                inbox.end(inbox.refusal or late)
        except BaseException:
            # Cancelled or interrupted: the caller has no subscription to end.
            self._keep(subscription)
            self._leave(subscription)
            raise
        error = inbox.ended
        if not inbox.has_been_active:
            self._unsubscribe(subscription)
            raise self._closed() if error is None else error
        return subscription

    def publish(
        self,
        *,
        channel: str,
        event: str,
        data: Any = NOT_GIVEN,
        idempotency_key: str | NotGiven = NOT_GIVEN,
        durable: bool | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> ChannelMessage:
        """Publishes any JSON, at most 64 KiB. When this returns, the message is on disk. A key needs `broadcast:write`.

        A durable message waits for a connection, and is sent again when the answer is lost, under a key that keeps it
        from being published twice; `timeout` is for all attempts. With `durable=False` it fails when there is no
        connection. Raises PermissionDeniedError (`publish_forbidden`), ConflictError (`idempotency_conflict`);
        TypeError and ValueError at once when `data` is no JSON.
        """
        if idempotency_key is NOT_GIVEN and durable is not False:
            idempotency_key = str(uuid.uuid4())
        is_keyed = idempotency_key is not NOT_GIVEN
        body = given(channel=channel, event=event, data=data, idempotency_key=idempotency_key, durable=durable)
        body = outgoing(body)
        patience = self._patience(timeout)
        end = None if patience is None else time.monotonic() + patience
        failures = 0
        while True:
            error, answer = self._try('publish', body, is_keyed, end)
            if error is None:
                return ChannelMessage.from_dict(answer)
            if not is_keyed or not is_passing(error) or self._is_closing:
                raise error
            failures += 1
            pause = backoff(failures)
            if end is not None and time.monotonic() + pause >= end:
                raise error
            self._until(lambda: self._is_closing, pause)

    def close(self) -> None:
        """Ends the connection and its subscriptions. Handlers that are at work have ten seconds to end their work."""
        with self._starting:
            self._is_closing = True
        self._bell.ring()
        if self._task is None:
            return self._become('closed')
        subscriptions = [*self._subscriptions.values(), *self._ended]
        for subscription in subscriptions:
            subscription._stop()
        end = time.monotonic() + CLOSING_PATIENCE
        self._task.join(LEAVING_PATIENCE)
        self._become('closed')
        for subscription in subscriptions:
            subscription._join(max(0.0, end - time.monotonic()))
        self._subscriptions.clear()

    def __enter__(self) -> Connection:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} to {self._api.settings.origin}, {self._state}>'

    def _run(self) -> None:
        """Connects, looks after the connection, and connects again, until it is not to be."""
        try:
            while not self._is_closing:
                try:
                    error = self._live()
                except GatehouseError as failure:
                    error = failure
                if self._is_closing:
                    break
                is_first = self._state == 'connecting'
                if is_first and is_passing(error) and self._recovery.failures >= self._api.settings.max_retries:
                    self._failure = error
                    break
                pause = self._recovery.pause_after(error)
                if pause is None:
                    self._failure = error
                    break
                self._become('connecting' if is_first else 'reconnecting')
                end = time.monotonic() + pause
                while not self._is_closing and time.monotonic() < end:
                    self._bell.wait(end - time.monotonic())
        except Exception as error:
            # A storage of tokens that cannot be read, say.
            logger.exception('the live connection has failed')
            self._failure = GatehouseError(f'the live connection has failed: {error}', code='failed')
        finally:
            self._is_closing = True
            if self._failure is not None:
                for subscription in list(self._subscriptions.values()):
                    subscription._inbox.end(self._failure)
                    subscription._changed()
            self._become('closed')

    def _live(self) -> GatehouseError:
        """One connection from beginning to end; what ended it."""
        socket = self._connect()
        self._socket = socket
        self._become('connected')
        try:
            while not socket.is_over and not self._is_closing:
                self._subscribe_due(socket)
                self._renew_when_due(socket)
                deadline = socket.next_deadline()
                if deadline is not None and time.monotonic() >= deadline:
                    socket.over(ConnectionLost('the server does not answer'))
                    break
                self._bell.wait(self._seconds_to_next(deadline))
        finally:
            self._socket = None
            self._recovery.lasted(socket.lasted)
            for subscription in list(self._subscriptions.values()):
                subscription._inbox.detached()
            socket.close()
        if socket.ended_by is not None:
            return end_of_session(socket.ended_by, self._is_superseded())
        return socket.error or ConnectionLost('the connection has ended')

    def _connect(self) -> Socket:
        session = self._api.session
        is_renewed = False
        while True:
            self._tokens = session.tokens()
            token = session.api_key if self._tokens is None else self._tokens.access_token
            if token is None:
                raise AuthenticationError('nobody is signed in', status=401, code='not_authenticated')
            socket = self._open_socket(token)
            if not socket.is_over:
                self._renew_at = None if self._tokens is None else renewal_time(self._tokens)
                return socket
            error = socket.error or ConnectionLost('the connection has ended')
            if socket.ended_by is not None:
                raise end_of_session(socket.ended_by, self._is_superseded())
            if error.status != 401 or is_renewed or self._tokens is None:
                raise error
            is_renewed = True
            session.renew(self._tokens)

    def _open_socket(self, token: str) -> Socket:
        settings = self._api.settings
        socket = Socket(self._take, self._bell.ring)
        patience = DEFAULT_TIMEOUT if settings.timeout is None else settings.timeout
        end = time.monotonic() + patience
        try:
            socket.open(settings.base_url, token, self._transports, patience)
            while not socket.is_welcome and not socket.is_over and not self._is_closing and time.monotonic() < end:
                self._bell.wait(end - time.monotonic())
        except BaseException:
            socket.close()
            raise
        if not socket.is_welcome or self._is_closing:
            socket.over(ConnectionLost('the server has not let the connection in'))
        if socket.is_over:
            socket.close()
        return socket

    def _subscribe_due(self, socket: Socket) -> None:
        now = time.monotonic()
        for subscription in list(self._subscriptions.values()):
            inbox = subscription._inbox
            if inbox.must_leave:
                inbox.must_leave = False
                socket.ask('unsubscribe', {'channel': subscription.channel}, _ignore)
            if inbox.wants(now):
                socket.ask('subscribe', inbox.ask(), self._answering(subscription))

    def _answering(self, subscription: Subscription) -> Callable[[dict[str, Any] | None], None]:
        def answered(answer: dict[str, Any] | None) -> None:
            # Without an answer the connection is over, and the next one asks again.
            if answer is not None:
                error = error_in(answer)
                if error is None:
                    subscription._inbox.answered(answer)
                else:
                    # 401: the session's end is on its way.
                    subscription._inbox.refused(error, is_passing(error) or error.status == 401)
                subscription._changed()
                self._bell.ring()

        return answered

    def _take(self, name: str, payload: dict[str, Any]) -> None:
        """What the connection brings, in its thread."""
        subscription = self._subscriptions.get(str(payload.get('channel')))
        if subscription is not None:
            subscription._inbox.take(name, payload)
            subscription._changed()
            if subscription._inbox.standing is not Standing.ACTIVE:
                self._bell.ring()

    def _renew_when_due(self, socket: Socket) -> None:
        """Shows the server newer tokens, before those that the connection was opened with expire."""
        if self._renew_at is None or time.time() < self._renew_at:
            return
        session, known = self._api.session, self._tokens
        try:
            tokens = session.stored()
            if tokens is not None and known is not None and tokens.access_token == known.access_token:
                tokens = session.renew(tokens)
        except AuthenticationError:
            raise
        except GatehouseError:
            self._renew_at = time.time() + RENEWAL_PAUSE
            return
        if tokens is None:
            # Signed out: the server says so in a moment.
            self._renew_at = None
            return
        self._tokens, self._renew_at = tokens, renewal_time(tokens)
        if known is None or known.access_token != tokens.access_token:
            socket.ask('authenticate', {'token': tokens.access_token}, _ignore)

    def _seconds_to_next(self, deadline: float | None) -> float | None:
        now = time.monotonic()
        times = [] if deadline is None else [deadline - now]
        inboxes = [subscription._inbox for subscription in list(self._subscriptions.values())]
        times += [inbox.due - now for inbox in inboxes if inbox.standing is Standing.WANTED]
        if self._renew_at is not None:
            times.append(self._renew_at - time.time())
        return max(0.0, min(times)) if times else None

    def _try(
        self, event: str, body: dict[str, Any], is_patient: bool, end: float | None
    ) -> tuple[GatehouseError | None, dict[str, Any]]:
        """Sends an event by the connection that there is, or by the next one."""
        self.open()
        if is_patient:
            left = None if end is None else end - time.monotonic()
            self._until(lambda: self._socket is not None or self._is_closing, left)
        socket = self._socket
        if socket is None:
            return self._closed() if self._is_closing else GatehouseConnectionError('there is no connection'), {}
        box: list[dict[str, Any] | None] = []
        bell = Bell()

        def settled(answer: dict[str, Any] | None) -> None:
            box.append(answer)
            bell.ring()

        socket.ask(event, body, settled)
        self._bell.ring()
        if not bell.wait(None if end is None else end - time.monotonic()):
            return GatehouseTimeoutError(f'{event} was not answered in time'), {}
        answer = box[0]
        if answer is None:
            return ConnectionLost('the connection broke before the answer'), {}
        return error_in(answer), answer

    def _keep(self, former: Subscription) -> None:
        """A handler of it may be at work still."""
        self._ended = [each for each in self._ended if not each._inbox.is_finished] + [former]

    def _handler_ended(self, error: GatehouseError) -> None:
        self._broken = self._broken or error
        for bell in list(self._waiting):
            bell.ring()

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._leave(subscription)
        subscription._join(CLOSING_PATIENCE)

    def _leave(self, subscription: Subscription) -> None:
        subscription._stop()
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
            if self._socket is not None:
                self._socket.ask('unsubscribe', {'channel': subscription.channel}, _ignore)

    def _until(self, condition: Callable[[], bool], seconds: float | None) -> None:
        """Waits until it holds, as far as the state of the connection decides, for so long at most."""
        end = None if seconds is None else time.monotonic() + seconds
        bell = Bell()
        self._waiting.add(bell)
        try:
            while not condition():
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return
                bell.wait(left)
        finally:
            self._waiting.discard(bell)

    def _become(self, state: ConnectionState) -> None:
        is_new, self._state = state != self._state, state
        for bell in list(self._waiting):
            bell.ring()
        for listener in list(self._listeners) if is_new else ():
            try:
                listener(state)
            except Exception:
                logger.exception('a listener of the state has failed')

    def _check_open(self) -> None:
        if self._is_closing:
            raise self._closed()

    def _closed(self) -> GatehouseError:
        return self._failure or GatehouseConnectionError('the connection is closed')

    def _patience(self, timeout: Timeout) -> float | None:
        return self._api.settings.timeout if isinstance(timeout, NotGiven) else timeout

    def _is_superseded(self) -> bool:
        current = self._api.session.stored()
        return current is not None and (self._tokens is None or current.access_token != self._tokens.access_token)


def _ignore(answer: dict[str, Any] | None) -> None:
    """What is refused here is told by the end of the connection."""
    del answer
