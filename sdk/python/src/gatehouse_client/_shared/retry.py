"""When a failed call is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..errors import GatehouseConnectionError, GatehouseError
from .calls import Call

FIRST_DELAY = 0.25
LONGEST_DELAY = 8.0
LONGEST_WAIT = 60.0
"""A server that wants to be left alone for longer is not waited for."""

_PASSING = frozenset({429, 502, 503, 504})
_LOST = frozenset({502, 504})


def backoff(failures: int) -> float:
    """Seconds before the next attempt: anything up to 0.25 · 2ⁿ, so that clients do not come back all at once."""
    return random.uniform(0, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 30)))


def steady_backoff(failures: int) -> float:
    """As `backoff`, but never less than half of it: for what goes on for long."""
    longest = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures, 30))
    return random.uniform(longest / 2, longest)


def is_passing(error: GatehouseError) -> bool:
    """Whether it may go better in a moment."""
    return isinstance(error, GatehouseConnectionError) or error.status in _PASSING


def is_lost(error: GatehouseError) -> bool:
    """Whether the request may have been carried out all the same."""
    return isinstance(error, GatehouseConnectionError) or error.status in _LOST


@dataclass
class Attempts:
    """Counts the attempts of one call."""

    call: Call
    max_retries: int
    failures: int = 0
    answer_lost: bool = False

    def delay_after(self, error: GatehouseError) -> float | None:
        """Seconds to wait before it is sent again; None when the error is final."""
        self.answer_lost = self.answer_lost or is_lost(error)
        if not self.call.may_repeat or not is_passing(error) or self.failures >= self.max_retries:
            return None
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            return None
        delay = backoff(self.failures) if error.retry_after is None else error.retry_after
        self.failures += 1
        return delay

    def is_done(self, error: GatehouseError) -> bool:
        """Whether the error says that an earlier attempt, whose answer was lost, did its work."""
        return self.call.method == 'DELETE' and error.status == 404 and self.answer_lost
