"""What goes wrong: one class for all, and subclasses for what programs catch."""

from __future__ import annotations

from typing import Any, Mapping


class GatehouseError(Exception):
    """A call failed.

    Attributes:
        message: A sentence for people.
        status: The HTTP status; 0 when no answer came.
        code: The stable name for programs (`error_code`), such as `file_not_found`. `http_<status>` when the
            answer is not Gatehouse's but, say, a proxy's.
        field_errors: What is wrong with which field, as `{'email': ['…']}`.
        request_id: Names the request in the server's log.
        retry_after: Seconds after which the server wants to be asked again, or None.
        body: The whole answer: a dict when it was JSON, else text.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        code: str = 'unknown',
        field_errors: Mapping[str, list[str]] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.field_errors: dict[str, list[str]] = dict(field_errors or {})
        self.request_id = request_id
        self.retry_after = retry_after
        self.body = body

    def __repr__(self) -> str:
        named = '' if self.request_id is None else f', request_id={self.request_id!r}'
        return f'{type(self).__name__}({self.message!r}, status={self.status}, code={self.code!r}{named})'

    def __reduce__(self) -> tuple[Any, ...]:
        # The subclasses are made with arguments of their own, which are not those of Exception.
        return _revive, (type(self), self.args), self.__dict__


def _revive(kind: type[GatehouseError], args: tuple[Any, ...]) -> GatehouseError:
    """An error out of a pickle; its attributes are set afterwards."""
    return kind.__new__(kind, *args)


class AuthenticationError(GatehouseError):
    """401: nobody is signed in, the session has ended, or a password is wrong."""


class PermissionDeniedError(GatehouseError):
    """403: signed in, but not allowed, or not with this API key (`insufficient_scope`)."""


class NotFoundError(GatehouseError):
    """404: there is no such thing, or it is somebody else's."""


class ConflictError(GatehouseError):
    """409: it does not go with what is there, such as an address that is taken."""


class ValidationError(GatehouseError):
    """422: a field is missing or wrong; `field_errors` says which."""


class RateLimitError(GatehouseError):
    """429: too many requests; `retry_after` says when to go on."""


class MfaRequiredError(GatehouseError):
    """The password was right, and a second factor is asked for: go on with `auth.mfa.verify`.

    Attributes:
        mfa_token: What `auth.mfa.verify` takes.
        expires_in: Seconds until it expires.
    """

    def __init__(self, mfa_token: str, expires_in: int) -> None:
        super().__init__('a second factor is required: auth.mfa.verify()', status=200, code='mfa_required')
        self.mfa_token = mfa_token
        self.expires_in = expires_in


class GatehouseConnectionError(GatehouseError):
    """No answer came: the server could not be reached, or the connection broke. `__cause__` has the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code='connection_failed')


class GatehouseTimeoutError(GatehouseError):
    """No answer came in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, code='timed_out')


class InvalidAnswerError(GatehouseError):
    """The answer is not what Gatehouse sends: `base_url` leads elsewhere, or the bytes of a file were damaged."""
