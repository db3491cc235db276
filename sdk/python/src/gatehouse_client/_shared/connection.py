"""The settings of a client, and what httpx needs to be told."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from ..errors import GatehouseConnectionError, GatehouseError, GatehouseTimeoutError
from ..tokens import origin_of
from .calls import API, Call
from .not_given import NotGiven

VERSION = '0.1.0'
USER_AGENT = f'gatehouse-client/{VERSION} Python/{platform.python_version()}'

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRIES = 2
DEFAULT_RESUMABLE_ABOVE = 8 * 1024 * 1024

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
"""As many connections as there are calls under way: a hundred downloads do not stop the next call."""

no_auth = httpx.Auth()
"""Says that credentials are ours to set: httpx would take some from ~/.netrc."""


@dataclass(frozen=True)
class Settings:
    """What a client was made with."""

    base_url: str
    timeout: float | None = DEFAULT_TIMEOUT
    max_retries: int = DEFAULT_RETRIES
    resumable_above: int = DEFAULT_RESUMABLE_ABOVE
    origin: str = field(init=False, default='')

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ('http', 'https') or not parts.hostname:
            raise ValueError('base_url has to be like http://localhost:8000')
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError('base_url has to be without a user, a query and a fragment')
        if self.max_retries < 0 or self.resumable_above < 0:
            raise ValueError('max_retries and resumable_above cannot be negative')
        # The examples of the API's own pages begin with it.
        object.__setattr__(self, 'base_url', self.base_url.rstrip('/').removesuffix(API).rstrip('/'))
        object.__setattr__(self, 'origin', origin_of(self.base_url))

    def url(self, path: str) -> str:
        """The whole address of a path; an address that is whole stays as it is."""
        return path if re.match(r'https?://', path, re.IGNORECASE) else self.base_url + path


def check_api_key(key: str | None) -> str | None:
    """Refuses what cannot be a header, without repeating it: httpx would show it."""
    if key is not None and not re.fullmatch(r'[!-~]+', key):
        raise ValueError('api_key has to be printable ASCII without spaces or line ends')
    return key


def timeouts(settings: Settings, call: Call) -> httpx.Timeout:
    """Uploads and downloads take as long as they need, unless the call says otherwise."""
    if not isinstance(call.timeout, NotGiven):
        return httpx.Timeout(call.timeout)
    if call.content is not None:
        return httpx.Timeout(None, connect=settings.timeout)
    return httpx.Timeout(settings.timeout)


def explain(error: Exception, settings: Settings) -> GatehouseError:
    """The error of ours for one of httpx."""
    if isinstance(error, httpx.TimeoutException):
        return GatehouseTimeoutError(f'{settings.origin} did not answer in time ({type(error).__name__})')
    if shown(error) is None:
        return GatehouseConnectionError(f'the request could not be sent ({type(error).__name__})')
    reason = str(error) or type(error).__name__
    return GatehouseConnectionError(f'no answer from {settings.origin}: {reason}')


def shown(error: Exception) -> Exception | None:
    """The cause that a traceback may show: not one whose text may quote a header or an address."""
    return None if isinstance(error, (httpx.LocalProtocolError, httpx.InvalidURL)) else error
