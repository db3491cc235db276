"""How far a channel has been read, and what its events mean. Nothing here knows how they come."""

from __future__ import annotations

import threading
from typing import Any

from ..live import Gap, MessageReceived, Position, PresenceJoined, PresenceLeft, StreamEvent, Subscribed
from ..models import ChannelMessage, Member


class SequenceSkipped(Exception):
    """A message has come before the one that it follows. The server does not do that; the way here may."""


class Reading:
    """The reading of one channel, over any number of connections.

    What was received is known from what was handled: after a break, the reading goes on after the first, because what
    has not been handled yet is still here; a program that is started again goes on after the second.
    """

    def __init__(self, channel: str, after: int | None, epoch: str | None) -> None:
        self.channel = channel
        self._lock = threading.Lock()
        self._received = None if after is None else Position(after, epoch)
        self._handled = self._received

    @property
    def received(self) -> Position | None:
        """After the last message that came; None before the first answer of the server."""
        return self._received

    @property
    def position(self) -> Position | None:
        """After the last message that was handled."""
        return self._handled

    def resume(self) -> dict[str, Any]:
        """What a subscription that goes on from here asks for."""
        request: dict[str, Any] = {'channel': self.channel}
        received = self._received
        if received is not None:
            request['after'] = received.sequence
            if received.epoch is not None:
                request['epoch'] = received.epoch
        return request

    def subscribed(self, answer: dict[str, Any]) -> list[StreamEvent]:
        """What the answer to a subscription means."""
        events: list[StreamEvent] = []
        with self._lock:
            before, epoch = self._received, str(answer['epoch'])
            if not answer['recovered']:
                first = int(answer['first_sequence'])
                self._received = Position(first - 1, epoch)
                events.append(Gap(self.channel, first, epoch, before))
            else:
                self._received = Position(int(answer['sequence']) if before is None else before.sequence, epoch)
                if self._handled is None:
                    self._handled = self._received
            members = answer.get('members')
            present = None if members is None else tuple(Member.from_dict(each) for each in members)
            events.append(Subscribed(self.channel, self._received, bool(answer['recovered']), present))
        return events

    def take(self, name: str, payload: dict[str, Any]) -> StreamEvent | None:
        """What an event means; None when it has come before, or when nobody here knows its name.

        Raises SequenceSkipped.
        """
        if name == 'message':
            return self._message(ChannelMessage.from_dict(payload))
        if name == 'presence:joined':
            return PresenceJoined(self.channel, Member.from_dict(payload['user']))
        if name == 'presence:left':
            return PresenceLeft(self.channel, Member.from_dict(payload['user']))
        return None

    def handled(self, event: StreamEvent) -> None:
        """The event has been dealt with."""
        if isinstance(event, MessageReceived):
            if event.message.sequence is not None:
                self._handled = Position(event.message.sequence, event.message.epoch)
        elif isinstance(event, Gap):
            self._handled = Position(event.first_sequence - 1, event.epoch)
        elif isinstance(event, Subscribed):
            self._handled = event.position

    def _message(self, message: ChannelMessage) -> MessageReceived | None:
        with self._lock:
            if message.sequence is not None:
                last = 0 if self._received is None else self._received.sequence
                if message.sequence <= last:
                    return None
                if message.sequence > last + 1:
                    raise SequenceSkipped
                self._received = Position(message.sequence, message.epoch)
        return MessageReceived(message)
