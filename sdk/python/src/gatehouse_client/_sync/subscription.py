# Generated from _async/subscription.py by scripts/generate.py: do not edit.
"""A channel that is read by a connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from .._shared.background import Bell, Handler, Task
from .._shared.inbox import Inbox
from .._shared.recovery import LONGEST_PAUSE
from .._shared.retry import backoff
from ..errors import GatehouseError
from ..live import Gap, MessageReceived, Position, PresenceJoined, PresenceLeft, StreamEvent
from ..models import Member

logger = logging.getLogger('gatehouse_client')


class Subscription:
    """A channel that is read by a connection, over any number of breaks. `connection.subscribe` makes it.

    Its handlers are called one after the other, in the order of the channel.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: dict[type, Handler],
        on_error: Handler | None,
        on_ended: Handler | None,
        leave: Callable[[Subscription], None],
        failed: Callable[[GatehouseError], None],
        wake: Callable[[], None],
    ) -> None:
        self._inbox = inbox
        self._handlers = handlers
        self._on_error = on_error
        self._on_ended = on_ended
        self._leave = leave
        self._failed = failed
        self._wake = wake
        self._bell = Bell()
        self._first_answer = Bell()
        self._task: Task | None = None

    @property
    def channel(self) -> str:
        """The name of the channel."""
        return self._inbox.reading.channel

    @property
    def position(self) -> Position | None:
        """After the last message that was handled. Keep it, and give it as `after` and `epoch` to go on from there."""
        return self._inbox.reading.position

    @property
    def members(self) -> list[Member]:
        """Who is present, in a presence channel; at most 1,000 users."""
        return list(self._inbox.members.values())

    @property
    def ended(self) -> GatehouseError | None:
        """Why it has ended; None as long as it has not: the server has ended it, or a handler with `sys.exit`."""
        return self._inbox.ended

    def unsubscribe(self) -> None:
        """Ends it. A handler that is at work ends its work, what waits is not handled."""
        self._leave(self)

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self.channel}>'

    def _start(self) -> None:
        self._task = Task(self._work)

    def _changed(self) -> None:
        """The connection has brought something."""
        self._bell.ring()
        if self._inbox.has_been_active or self._inbox.ended is not None:
            self._first_answer.ring()

    def _stop(self) -> None:
        """Nothing more is handled. It does not wait."""
        self._inbox.stop()
        self._bell.ring()
        self._first_answer.ring()

    def _join(self, seconds: float) -> None:
        """Waits for a handler that is at work."""
        if self._task is not None:
            self._task.join(seconds)

    def _work(self) -> None:
        inbox = self._inbox
        try:
            self._handle_all()
        except (asyncio.CancelledError, GeneratorExit):
            # It was cancelled itself.
            raise
        except BaseException as error:
            logger.error('a handler of %s has ended its subscription', self.channel, exc_info=error)
            ended = GatehouseError(
                f'a handler of {self.channel} has ended with {type(error).__name__}', code='handler_ended'
            )
            ended.__cause__ = error
            inbox.end(ended)
            self._failed(ended)
            self._leave(self)
            if self._on_ended is not None:
                self._tell_end(ended)
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                raise
            return
        if inbox.ended is not None and not inbox.is_stopped and inbox.has_been_active:
            self._tell_end(inbox.ended)

    def _handle_all(self) -> None:
        inbox = self._inbox
        while True:
            event = inbox.next()
            if event is not None:
                if self._handle(event):
                    inbox.done(event)
                    # It may have room again.
                    self._wake()
            elif inbox.is_finished:
                break
            else:
                self._bell.wait()

    def _handle(self, event: StreamEvent) -> bool:
        """Tries until it has worked, or nothing is to be handled any more."""
        failures = 0
        while not self._inbox.is_stopped:
            try:
                self._call(event)
                return True
            except Exception as error:
                self._tell_error(error, event)
            failures += 1
            end = time.monotonic() + max(0.05, min(backoff(failures), LONGEST_PAUSE))
            while not self._inbox.is_stopped and time.monotonic() < end:
                self._bell.wait(end - time.monotonic())
        return False

    def _call(self, event: StreamEvent) -> None:
        handler = self._handlers.get(type(event))
        if handler is None:
            if isinstance(event, Gap):
                logger.warning('%s: messages before %d are not kept any more', self.channel, event.first_sequence)
        elif isinstance(event, MessageReceived):
            handler.call(event.message)
        elif isinstance(event, (PresenceJoined, PresenceLeft)):
            handler.call(event.user)
        else:
            handler.call(event)

    def _tell_error(self, error: Exception, event: StreamEvent) -> None:
        if self._on_error is None:
            logger.error('a handler of %s has failed, and is called again', self.channel, exc_info=error)
            return
        try:
            self._on_error.call(error, event)
        except Exception:
            logger.exception('the on_error of %s has failed', self.channel)

    def _tell_end(self, error: GatehouseError) -> None:
        if self._on_ended is None:
            logger.warning('%s is not read any more: %s', self.channel, error)
            return
        try:
            self._on_ended.call(error)
        except Exception:
            logger.exception('the on_ended of %s has failed', self.channel)
