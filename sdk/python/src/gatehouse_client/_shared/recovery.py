"""What is done when a live connection is over: whether it comes back, and when."""

from __future__ import annotations

import random
import time

from ..errors import GatehouseConnectionError, GatehouseError, GatehouseTimeoutError
from ..live import ConnectionLost, SessionEnded
from ..tokens import Tokens

SILENCE = 45.0
"""Seconds without a byte after which an event stream is taken for dead: the server sends something every 15."""
GOOD = 2.0
"""A connection that lasted so many seconds was a good one: the next attempt is made soon."""
DEFAULT_RETRY = 0.5
LONGEST_PAUSE = 8.0
RATE_LIMIT_PAUSE = 10.0
"""The server counts in windows of ten seconds."""
REFUSED_PAUSE = 5.0
RENEWAL_MARGIN = 60.0
RENEWAL_SHARE = 0.4

_FINAL = frozenset({'account_disabled', 'account_deleted', 'api_key_revoked', 'logged_out'})
_AT_ONCE = frozenset({'token_expired', 'role_changed'})


def renewal_time(tokens: Tokens) -> float:
    """When to renew the tokens of a live connection, by `time.time()`.

    Earlier than those of other calls, which are sent again when they were too late: the server counts whole seconds.
    """
    margin = RENEWAL_MARGIN if tokens.expires_in is None else min(RENEWAL_MARGIN, RENEWAL_SHARE * tokens.expires_in)
    return max(tokens.expires_at / 1000 - margin, time.time() + 0.5)


def is_passing(error: GatehouseError) -> bool:
    """Whether it may go better later."""
    is_lost = isinstance(error, (GatehouseConnectionError, GatehouseTimeoutError))
    return is_lost or error.status == 429 or error.status >= 500


def end_of_session(reason: str, is_superseded: bool) -> GatehouseError:
    """The error for a `session:ended`.

    Args:
        is_superseded: Whether the client has got other tokens since, so that another session is there to go on with.
    """
    if reason in _FINAL and not (reason == 'logged_out' and is_superseded):
        return SessionEnded(reason)
    return ConnectionLost(f'the server has ended the connection: {reason}', reason)


class Recovery:
    """Says when to connect again: later and later, until a connection has lasted."""

    def __init__(self) -> None:
        self.retry = DEFAULT_RETRY
        self.failures = 0

    def lasted(self, seconds: float) -> None:
        """There was a connection for so long."""
        if seconds >= GOOD:
            self.failures = 0

    def pause_after(self, error: GatehouseError) -> float | None:
        """Seconds to wait; None when the error is final."""
        if not is_passing(error):
            return None
        reason = error.reason if isinstance(error, ConnectionLost) else None
        longest = min(LONGEST_PAUSE, self.retry * 2.0 ** min(self.failures, 10))
        pause = longest * random.uniform(0.5, 1.0)
        if reason in _AT_ONCE and self.failures == 0:
            pause = 0.0
        elif reason == 'rate_limited':
            pause = max(pause, RATE_LIMIT_PAUSE)
        elif error.status == 429 and error.retry_after is None:
            pause = max(pause, REFUSED_PAUSE)
        self.failures += 1
        return pause if error.retry_after is None else max(pause, error.retry_after)
