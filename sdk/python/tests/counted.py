"""A server that counts renewals."""

from __future__ import annotations

import time
from typing import Any

from support import answer, fault


def pair(number: int, expires_in: int = 900) -> Any:
    """New tokens, as the server gives them."""
    body = {'access_token': f'a{number}', 'refresh_token': f'r{number}', 'token_type': 'bearer'}
    return answer(200, body | {'expires_in': expires_in})


TICKET = answer(201, {'ticket': 't', 'expires_in': 60})
REFUSED = fault(401, 'invalid_token')


class Counted:
    """A server that takes one access token, hands out the next one slowly, and counts."""

    def __init__(self, failing: bool = False) -> None:
        self.good = 'Bearer a1'
        self.refreshed = 0
        self._failing = failing

    def __call__(self, handler: Any) -> None:
        if handler.path.endswith('/refresh'):
            self.refreshed += 1
            time.sleep(0.3)
            handler.respond(*(fault(500, 'internal_error') if self._failing else pair(1)))
        elif handler.headers.get('authorization') == self.good:
            handler.respond(*TICKET)
        else:
            handler.respond(*REFUSED)
