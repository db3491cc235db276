"""How long tokens are used."""

from __future__ import annotations

import time

from ..tokens import Tokens

MARGIN = 30.0
SHARE = 0.2


def now_ms() -> int:
    """The clock of this machine, in milliseconds since 1970."""
    return round(time.time() * 1000)


def tokens_of(access_token: str, refresh_token: str, expires_in: int) -> Tokens:
    """Tokens that the server has just given out."""
    return Tokens(access_token, refresh_token, now_ms() + expires_in * 1000, expires_in)


def is_due(tokens: Tokens) -> bool:
    """Whether to refresh them: 30 seconds before the end, or a fifth of the lifetime, whichever is less."""
    margin = MARGIN if tokens.expires_in is None else min(MARGIN, SHARE * tokens.expires_in)
    return now_ms() >= tokens.expires_at - margin * 1000
