"""What waits for the handlers of a subscription, and whether the server is to send more."""

from __future__ import annotations

import threading
import time
from collections import deque
from enum import Enum
from typing import Any

from ..errors import GatehouseError
from ..live import PresenceJoined, PresenceLeft, StreamEvent, Subscribed, SubscriptionEnded
from ..models import Member
from .reading import Reading, SequenceSkipped
from .recovery import REFUSED_PAUSE
from .retry import backoff


class Standing(Enum):
    """Where a subscription stands with the server."""

    WANTED = 'to be asked for, when it is due'
    ASKED = 'asked for'
    ACTIVE = 'the server sends what happens'
    PAUSED = 'given up until the handler has caught up'
    ENDED = 'over'


class Inbox:
    """Takes what the connection brings, in order, and hands it to a handler, in order.

    The connection's thread and the handler's meet here. When more than `limit` events wait, the rest is dropped and
    the channel left; when the handler has caught up, it is read on after the last event that was kept.
    """

    def __init__(self, reading: Reading, limit: int) -> None:
        if limit < 1:
            raise ValueError('queue_limit has to be 1 or more')
        self.reading = reading
        self.limit = limit
        self.standing = Standing.WANTED
        self.due = 0.0
        self.ended: GatehouseError | None = None
        self.refusal: GatehouseError | None = None
        self.members: dict[str, Member] = {}
        self.has_been_active = False
        self.is_stopped = False
        self.must_leave = False
        self._refusals = 0
        self._lock = threading.RLock()
        self._events: deque[StreamEvent] = deque()

    def wants(self, now: float) -> bool:
        """Whether to subscribe now."""
        return self.standing is Standing.WANTED and now >= self.due

    def ask(self) -> dict[str, Any]:
        """What to ask for. From now on an answer is expected."""
        with self._lock:
            self.standing = Standing.ASKED
            return self.reading.resume()

    def answered(self, answer: dict[str, Any]) -> None:
        """The server has taken the subscription."""
        with self._lock:
            if self.standing is not Standing.ASKED:
                return
            self.standing = Standing.ACTIVE
            self.has_been_active = True
            self._refusals = 0
            for event in self.reading.subscribed(answer):
                if isinstance(event, Subscribed):
                    self.members = {member.id: member for member in event.members or ()}
                self._events.append(event)

    def refused(self, error: GatehouseError, is_passing: bool) -> None:
        """The server has not taken it: it is asked again later, or not any more."""
        with self._lock:
            if self.standing is not Standing.ASKED:
                return
            self.refusal = error
            if not is_passing:
                return self.end(error)
            self._again(REFUSED_PAUSE if error.status == 429 else backoff(self._refusals + 1))

    def detached(self) -> None:
        """The connection is gone. The next one is asked at once."""
        with self._lock:
            if self.standing in (Standing.ASKED, Standing.ACTIVE):
                self.standing, self.due = Standing.WANTED, 0.0
            self.must_leave = False

    def take(self, name: str, payload: dict[str, Any]) -> None:
        """An event of the channel."""
        with self._lock:
            if self.standing is not Standing.ACTIVE:
                return
            if name == 'unsubscribed':
                return self.end(SubscriptionEnded(str(payload.get('reason'))))
            if len(self._events) >= self.limit:
                self.standing = Standing.PAUSED
                self.must_leave = True
                return
            try:
                event = self.reading.take(name, payload)
            except (SequenceSkipped, KeyError, TypeError, ValueError):
                # The way here has lost or damaged something: from the last good message on.
                return self._again(backoff(self._refusals + 1))
            if isinstance(event, PresenceJoined):
                self.members[event.user.id] = event.user
            elif isinstance(event, PresenceLeft):
                self.members.pop(event.user.id, None)
            if event is not None:
                self._events.append(event)

    def next(self) -> StreamEvent | None:
        """The event to be handled now."""
        with self._lock:
            return None if self.is_stopped or not self._events else self._events[0]

    def done(self, event: StreamEvent) -> None:
        """It was handled."""
        with self._lock:
            self._events.popleft()
            self.reading.handled(event)
            if self.standing is Standing.PAUSED and len(self._events) <= self.limit // 2:
                self.standing, self.due = Standing.WANTED, 0.0

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to do."""
        with self._lock:
            return self.is_stopped or (self.standing is Standing.ENDED and not self._events)

    def end(self, error: GatehouseError | None) -> None:
        """The server does not send any more. What has come is handled still."""
        with self._lock:
            if self.standing is not Standing.ENDED:
                self.standing = Standing.ENDED
                self.ended = error

    def stop(self) -> None:
        """Nothing more is handled."""
        with self._lock:
            self.is_stopped = True
            self.end(None)

    def _again(self, pause: float) -> None:
        self._refusals += 1
        self.standing, self.due = Standing.WANTED, time.monotonic() + pause
