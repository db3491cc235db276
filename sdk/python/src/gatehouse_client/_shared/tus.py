"""What the tus 1.0 protocol wants to be said, and how long it is tried."""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass

from ..errors import GatehouseError, GatehouseTimeoutError, InvalidAnswerError
from .retry import LONGEST_WAIT, is_passing, steady_backoff

VERSION = {'Tus-Resumable': '1.0.0'}
CHUNK_TYPE = 'application/offset+octet-stream'

PIECE = 16 * 1024 * 1024
"""One request carries so much at most, so that no request outlives its access token by far."""

PATIENCE = 60.0
"""For so many seconds nothing may get through: a server that is moved to another machine takes a while."""


@dataclass(frozen=True)
class ResumableLimits:
    """What the server can, as `uploads.resumable_limits` answers.

    Attributes:
        version: Of the protocol.
        extensions: Such as `creation` and `checksum`.
        max_size: The largest file in bytes, or None when the server does not say.
        checksum_algorithms: Such as `sha256`.
    """

    version: str
    extensions: list[str]
    max_size: int | None
    checksum_algorithms: list[str]


def number_of(name: str, value: str | None, most: int | None = None) -> int:
    """The number in a header of the server."""
    if value is None or not re.fullmatch('[0-9]{1,18}', value) or (most is not None and int(value) > most):
        raise InvalidAnswerError(f'the answer has no {name} that makes sense', code='invalid_answer')
    return int(value)


def metadata(name: str, content_type: str, description: str | None) -> str:
    """The header Upload-Metadata."""
    values = {'filename': name, 'filetype': content_type, 'description': description}
    return ','.join(
        f'{key} {base64.b64encode(value.encode("utf-8", "replace")).decode()}'
        for key, value in values.items()
        if value is not None
    )


@dataclass
class Endurance:
    """Looks at the clock since the first failure after the last byte that got through."""

    max_retries: int
    failures: int = 0
    failing_since: float = 0.0

    def progressed(self) -> None:
        """Something got through."""
        self.failures = 0

    def delay_after(self, error: GatehouseError) -> float | None:
        """Seconds to wait before the offset is asked for; None when the upload is to be given up."""
        passing = is_passing(error) or isinstance(error, GatehouseTimeoutError)
        passing = passing or (error.status >= 500 and error.status not in (501, 507))
        # 408: it stalled; 409: the offset is another one; 423: the request before is still being written.
        if not passing and error.status not in (408, 409, 423):
            return None
        now = time.monotonic()
        if self.failures == 0:
            self.failing_since = now
        if self.max_retries == 0 or now - self.failing_since >= PATIENCE:
            return None
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            return None
        delay = max(steady_backoff(self.failures), error.retry_after or 0.0)
        self.failures += 1
        return delay
