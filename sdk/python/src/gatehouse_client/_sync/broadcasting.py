# Generated from _async/broadcasting.py by scripts/generate.py: do not edit.
"""Messages in channels."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from .._shared.calls import Call, path
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..models import Authorised, ChannelMessage, History, Stats, StreamTicket
from .channels import Channels
from .event_stream import EventStream
from .resource import Resource
from .socket import Connection
from .transport import Transport


class Broadcasting(Resource):
    """`client.broadcasting`: messages in channels. Keys need `broadcast:read` or `broadcast:write`."""

    def __init__(self, api: Transport) -> None:
        super().__init__(api)
        self.channels = Channels(api)

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
        """Publishes any JSON, at most 64 KiB. When this returns, the message is on disk.

        A message without an `idempotency_key` gets a random one, so that sending it again after a lost answer does
        not publish it twice. With `durable=False` it goes to those who are connected now, is kept nowhere, and is
        sent once. Raises PermissionDeniedError (`publish_forbidden`), ConflictError (`idempotency_conflict`).
        """
        if idempotency_key is NOT_GIVEN and durable is not False:
            idempotency_key = str(uuid.uuid4())
        body = given(channel=channel, event=event, data=data, idempotency_key=idempotency_key, durable=durable)
        repeatable = idempotency_key is not NOT_GIVEN
        call = Call('POST', path('/broadcasting/messages'), body=body, repeatable=repeatable, timeout=timeout)
        return self._api.json(call, ChannelMessage.from_dict)

    def history(
        self,
        channel: str,
        *,
        after: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> History:
        """What follows the sequence `after` (0: all that is kept), at most `limit` messages (50; up to 500)."""
        query = {'channel': channel, 'after': after, 'limit': limit}
        call = Call('GET', path('/broadcasting/messages'), query=query, timeout=timeout)
        return self._api.json(call, History.from_dict)

    def stats(self, *, timeout: Timeout = NOT_GIVEN) -> Stats:
        """Connections by node, and the fullest channels. For admins."""
        return self._api.json(Call('GET', path('/broadcasting/stats'), timeout=timeout), Stats.from_dict)

    def authorize(
        self,
        *,
        channel_name: str,
        socket_id: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Authorised:
        """Returns when the caller may read the channel; else it raises PermissionDeniedError."""
        body = given(channel_name=channel_name, socket_id=socket_id)
        call = Call('POST', path('/broadcasting/auth'), body=body, timeout=timeout)
        return self._api.json(call, Authorised.from_dict)

    def create_stream_ticket(self, *, timeout: Timeout = NOT_GIVEN) -> StreamTicket:
        """A ticket that opens event streams in browsers, for a minute. Not for API keys."""
        call = Call('POST', path('/broadcasting/stream/ticket'), timeout=timeout)
        return self._api.json(call, StreamTicket.from_dict)

    def stream(self, channel: str, *, after: int | None = None, epoch: str | None = None) -> EventStream:
        """The events of a channel as they happen, over any number of broken connections. See EventStream.

        Args:
            after: Begin with what follows this sequence (0: with everything that is kept). Without it: with what is
                published from now on.
            epoch: The epoch that `after` belongs to.
        """
        return EventStream(self._api, channel, after, epoch)

    def connect(self, *, transports: Sequence[str] | None = None) -> Connection:
        """A live connection for any number of channels, which also publishes. See Connection.

        It needs python-socketio: `pip install './sdk/python[socketio]'`. Raises ImportError without it.

        Args:
            transports: `('websocket',)` unless it is given. `('polling', 'websocket')` begins with long polling, for
                networks that let no WebSocket through; before several nodes that needs sticky sessions.
        """
        return Connection(self._api, transports)
