"""What live channels bring: the events of `broadcasting.stream()`, and what handlers of a connection get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

from .errors import GatehouseConnectionError, GatehouseError
from .models import ChannelMessage, Member

ConnectionState = Literal['connecting', 'connected', 'reconnecting', 'closed']
"""`connecting` until it has been connected for the first time, `reconnecting` whenever it has been lost since."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a channel has been read. Keep it, and give it as `after` and `epoch` to go on from there.

    Attributes:
        sequence: Of the last message that was handled.
        epoch: The count that the sequence belongs to. It changes when a server's sequences begin anew.
    """

    sequence: int
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The server has let the reader in. It comes again after each break.

    Attributes:
        position: Where the reading goes on from.
        recovered: False when some messages are missing: a `Gap` has come before this.
        members: Who is present, in a presence channel; None in others.
    """

    channel: str
    position: Position
    recovered: bool
    members: tuple[Member, ...] | None
    type: Literal['subscribed'] = 'subscribed'


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message of the channel.

    Attributes:
        message: The message; its `sequence` is None when it was not durable.
    """

    message: ChannelMessage
    type: Literal['message'] = 'message'


@dataclass(frozen=True, slots=True)
class Gap:
    """Some messages after the position are not kept any more, or belong to another count. What is kept follows.

    Fetch what the program has to know from elsewhere: a state, not the messages.

    Attributes:
        first_sequence: What is kept goes on from here.
        epoch: The count that it belongs to.
        after: How far the channel had been read.
    """

    channel: str
    first_sequence: int
    epoch: str
    after: Position | None
    type: Literal['gap'] = 'gap'


@dataclass(frozen=True, slots=True)
class PresenceJoined:
    """Somebody has come to a presence channel."""

    channel: str
    user: Member
    type: Literal['presence:joined'] = 'presence:joined'


@dataclass(frozen=True, slots=True)
class PresenceLeft:
    """Somebody has left a presence channel."""

    channel: str
    user: Member
    type: Literal['presence:left'] = 'presence:left'


StreamEvent = Union[Subscribed, MessageReceived, Gap, PresenceJoined, PresenceLeft]
"""What an event stream brings; `type` tells them apart, as `isinstance` does."""


class ConnectionLost(GatehouseConnectionError):
    """A live connection could not be made, the server has ended it, or it broke. The message says why.

    Attributes:
        reason: The server's, if it gave one, such as `role_changed`.
    """

    def __init__(self, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class SubscriptionEnded(GatehouseError):
    """The server has ended the reading of a channel.

    Attributes:
        reason: `membership_removed`: the channel may not be read any more. Servers to come may have other reasons.
    """

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(message or f'the server has ended the subscription: {reason}', code=reason)
        self.reason = reason


class SessionEnded(SubscriptionEnded):
    """The server has ended the session, so the reading is over.

    Attributes:
        reason: `logged_out`: sign in again; `account_disabled`, `account_deleted`; `api_key_revoked`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason, f'the server has ended the session: {reason}')
