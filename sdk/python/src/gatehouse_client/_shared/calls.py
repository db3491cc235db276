"""A request before it is sent, and what its answer means."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import quote

from .. import errors
from .not_given import NOT_GIVEN, Timeout

API = '/api/v1'
Id = str | uuid.UUID

_SUBCLASSES: dict[int, type[errors.GatehouseError]] = {
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.ValidationError,
    429: errors.RateLimitError,
}
_REPEATABLE = frozenset({'GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH'})


class Credentials(Enum):
    """Whose credentials a call carries."""

    CALLER = 'the API key or the tokens, when there are any'
    NONE = 'none'


@dataclass(frozen=True)
class Call:
    """A request before it is sent.

    Attributes:
        path: Below `base_url`, or a whole URL for links that the server made.
        body: Sent as JSON unless it is NOT_GIVEN.
        content: Makes the bytes or the iterator of bytes that is sent instead of JSON; called for each attempt.
        rewindable: Whether `content` can be called again.
        repeatable: Whether it may be sent again without harm; by the method unless it is said.
        accepted: Statuses from 400 on that are an answer, not an error.
        patient: Whether only connecting and the headers of the answer are timed (`timeout`).
    """

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = NOT_GIVEN
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Callable[[], Any] | None = field(default=None, repr=False)
    rewindable: bool = True
    credentials: Credentials = Credentials.CALLER
    repeatable: bool | None = None
    accepted: frozenset[int] = frozenset()
    timeout: Timeout = NOT_GIVEN
    patient: bool = False

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again when its answer is lost."""
        return self.method in _REPEATABLE if self.repeatable is None else self.repeatable

    def payload(self) -> tuple[Any, dict[str, str]]:
        """The body and the headers of one attempt."""
        headers = {'Accept': 'application/json', **self.headers}
        if self.content is not None:
            return self.content(), headers
        if self.body is NOT_GIVEN:
            return None, headers
        text = json.dumps(self.body, ensure_ascii=False, separators=(',', ':'), allow_nan=False, default=_encode)
        # Half a character, as os.listdir() may give it, is no text.
        return text.encode('utf-8'), {'Content-Type': 'application/json', **headers}

    def __repr__(self) -> str:
        return f'Call({self.method} {self.path.partition("?")[0]})'


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    raise TypeError(f'{type(value).__name__} cannot be sent as JSON')


def timestamp(value: datetime) -> str:
    """As the API writes times. A time without a zone is local time, as everywhere in Python."""
    return value.astimezone(timezone.utc).isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def path(template: str, **parts: Id) -> str:
    """A path below /api/v1; each part is escaped whole."""
    for name, value in parts.items():
        if not isinstance(value, (str, uuid.UUID)) or value in ('', '.', '..'):
            raise ValueError(f'{name} has to be a name, not {value!r}')
    return API + template.format_map({name: quote(str(value), safe='') for name, value in parts.items()})


def query_of(values: Mapping[str, Any]) -> dict[str, str]:
    """The parameters that were given, as text; None is as good as not given."""
    return {name: _query_text(value) for name, value in values.items() if value is not None and value is not NOT_GIVEN}


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return timestamp(value) if isinstance(value, datetime) else str(value)


def error_of(status: int, headers: Mapping[str, str], text: str) -> errors.GatehouseError:
    """The error that an answer stands for."""
    kind = _SUBCLASSES.get(status, errors.GatehouseError)
    retry_after = parse_retry_after(headers.get('retry-after'))
    try:
        body = json.loads(text)
    except ValueError:
        body = text
    if not isinstance(body, dict) or not isinstance(body.get('error_code'), str):
        message = f'the server answered {status}' + ('' if status >= 400 else ', which is no answer of Gatehouse')
        request_id = headers.get('x-request-id')
        return kind(
            message, status=status, code=f'http_{status}', request_id=request_id, retry_after=retry_after, body=body
        )
    fields = body.get('field_errors')
    return kind(
        _sentence(body.get('detail', body['error_code'])),
        status=status,
        code=body['error_code'],
        field_errors=fields if isinstance(fields, dict) else None,
        request_id=body.get('request_id') or headers.get('x-request-id'),
        retry_after=retry_after,
        body=body,
    )


def _sentence(detail: Any) -> str:
    """`detail` is a sentence, or a list of what is wrong with the shape of the request."""
    if not isinstance(detail, list):
        return str(detail)
    faults = (fault for fault in detail if isinstance(fault, dict))
    return '; '.join(f'{_place(fault.get("loc"))}: {fault.get("msg")}' for fault in faults)


def _place(location: Any) -> str:
    if not isinstance(location, list):
        return 'request'
    # The first part says where: body, query, path.
    return '.'.join(str(part) for part in location[1:]) or str(location[0] if location else 'request')


def parse_retry_after(value: str | None) -> float | None:
    """Seconds; the header may also hold a date."""
    if value is None:
        return None
    if re.fullmatch(r'\d{1,9}', value.strip()):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (date.astimezone(timezone.utc) - datetime.now(timezone.utc)).total_seconds())
