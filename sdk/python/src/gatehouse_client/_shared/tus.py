"""What the tus 1.0 protocol wants to be said, and how long it is tried."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from ..errors import GatehouseError, GatehouseTimeoutError
from .retry import LONGEST_WAIT, backoff, is_passing

VERSION = {'Tus-Resumable': '1.0.0'}
CHUNK_TYPE = 'application/offset+octet-stream'

PIECE = 16 * 1024 * 1024
"""One request carries so much at most, so that no request outlives its access token by far."""

PATIENCE = 4
"""So many times `max_retries` attempts may fail one after another: a server that is started anew takes seconds."""


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
    """Counts the failures since the last byte that got through."""

    max_retries: int
    failures: int = 0

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
        if self.failures >= PATIENCE * self.max_retries:
            return None
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            return None
        delay = max(backoff(self.failures), error.retry_after or 0.0)
        self.failures += 1
        return delay
