"""What goes over a socket, before and after: whatever python-socketio does with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from ..errors import GatehouseError
from ..live import ConnectionLost
from .calls import Call, error_of

NAMESPACE = '/broadcasting'
EVENTS = ('message', 'presence:joined', 'presence:left', 'unsubscribed')
TRANSPORTS = ('websocket',)

ANSWER_PATIENCE = 20.0
"""A server that lives answers an event sooner, with an error if need be."""

Settle = Callable[[dict[str, Any] | None], None]
"""Called once: with the acknowledgement, or with None when the connection is over."""


DATA_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 250_000
"""A larger event is no event for the server: it closes the connection."""


def outgoing(body: dict[str, Any]) -> dict[str, Any]:
    """A message as a call over HTTP sends it, so that only JSON gets to the library.

    Raises TypeError and ValueError as that does, and what the server would say to what is too large: here it would
    close the connection, and the next one again.
    """
    text, _ = Call('POST', '', body=body).payload()
    sent: dict[str, Any] = json.loads(text, parse_float=_number)
    if len(json.dumps(sent.get('data'), ensure_ascii=False, separators=(',', ':')).encode()) > DATA_BYTES_MAX:
        raise _too_large('message_too_large', f'data is larger than {DATA_BYTES_MAX} bytes', 'data')
    if len(json.dumps(sent)) > BODY_BYTES_MAX:
        raise _too_large('body_too_large', 'The request body is too large')
    return sent


def _number(text: str) -> float:
    # 1.0 is 1 to the server, and so shorter.
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _too_large(code: str, message: str, field: str | None = None) -> GatehouseError:
    return GatehouseError(message, status=413, code=code, field_errors=None if field is None else {field: [message]})


def refusal(body: Any, message: Any = None) -> GatehouseError:
    """The error of a refused event, or of a refused connection."""
    if isinstance(body, dict) and isinstance(body.get('code'), int):
        return error_of(body['code'], {}, json.dumps(body))
    return ConnectionLost('the server has refused the connection' + (f': {message}' if message else ''))


def error_in(answer: dict[str, Any]) -> GatehouseError | None:
    """The error of an acknowledgement, if it is one."""
    return None if answer.get('ok') is True else refusal(answer.get('error'))


class Link:
    """One connection, from its opening to its end; the next one is another link. Both kinds of sockets have one.

    Its methods are called by whatever thread the library is in. `on_change` wakes whoever looks after the link.
    """

    def __init__(self, on_event: Callable[[str, dict[str, Any]], None], on_change: Callable[[], None]) -> None:
        self._on_event = on_event
        self._on_change = on_change
        self._lock = threading.Lock()
        self._pending: dict[int, tuple[float, Settle]] = {}
        self._numbers = 0
        self._up_since: float | None = None
        self._lasted = 0.0
        self.is_welcome = False
        self.is_over = False
        self.ended_by: str | None = None
        self.error: GatehouseError | None = None

    @property
    def lasted(self) -> float:
        """For how many seconds it has been up."""
        return self._lasted if self._up_since is None else time.monotonic() - self._up_since

    def welcome(self) -> None:
        """The server has let it in."""
        self._up_since = time.monotonic()
        self.is_welcome = True
        self._on_change()

    def take(self, name: str, payload: Any) -> None:
        """An event of the server."""
        if not self.is_over and isinstance(payload, dict):
            self._on_event(name, payload)

    def refused(self, body: Any) -> None:
        """The server has not let it in; the body says why."""
        data, message = (body.get('data'), body.get('message')) if isinstance(body, dict) else (None, body)
        self.over(refusal(data, message))

    def session_ended(self, payload: Any) -> None:
        """The server says goodbye."""
        reason = payload.get('reason') if isinstance(payload, dict) else None
        self.ended_by = str(reason)
        self.over(None)

    def over(self, error: GatehouseError | None) -> None:
        """It has ended. Only the first call counts."""
        with self._lock:
            if self.is_over:
                return
            self.is_over = True
            self.error = error
            self._lasted, self._up_since = self.lasted, None
            pending, self._pending = list(self._pending.values()), {}
        for _, settle in pending:
            settle(None)
        self._on_change()

    def expect(self, settle: Settle) -> Callable[[dict[str, Any]], None] | None:
        """What is to be called with the acknowledgement of an event; None when nobody will be there to send one."""
        with self._lock:
            if self.is_over:
                return None
            self._numbers += 1
            number = self._numbers
            self._pending[number] = (time.monotonic() + ANSWER_PATIENCE, settle)

        def settled(answer: Any = None) -> None:
            with self._lock:
                expected = self._pending.pop(number, None)
            if expected is not None:
                settle(answer if isinstance(answer, dict) else {})

        return settled

    def next_deadline(self) -> float | None:
        """When an answer is overdue that has not come yet."""
        with self._lock:
            return min((deadline for deadline, _ in self._pending.values()), default=None)
