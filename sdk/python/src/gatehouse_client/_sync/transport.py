# Generated from _async/transport.py by scripts/generate.py: do not edit.
"""Sends calls: with credentials, time-outs, retries and one error model."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from .._shared import sync_runtime as runtime
from .._shared.calls import Call, Credentials, error_of, query_of
from .._shared.connection import Settings, explain, no_auth, shown, timeouts
from .._shared.not_given import NOT_GIVEN
from .._shared.retry import Attempts
from ..errors import GatehouseError, InvalidAnswerError
from ..tokens import Tokens
from .session import TokenSession

T = TypeVar('T')

_TOKEN_REFUSED = frozenset({'invalid_token', 'not_authenticated'})


class Transport:
    """What the resources send their calls through."""

    def __init__(self, settings: Settings, connections: Callable[[], runtime.HttpClient]) -> None:
        self.settings = settings
        self.session: TokenSession
        self._connections = connections
        self._http = connections()
        self._process = os.getpid()
        self._inherited: list[runtime.HttpClient] = []

    def json(self, call: Call, read: Callable[[dict[str, Any]], T]) -> T:
        """Sends it and makes something of the JSON of the answer."""
        response = self.send(call)
        try:
            return read(response.json())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if response.status_code >= 400:
                raise error_of(response.status_code, response.headers, response.text) from None
            raise InvalidAnswerError(
                f'the answer is not what Gatehouse sends ({type(error).__name__}): is base_url right?',
                status=response.status_code,
                code='invalid_answer',
                body=response.text,
            ) from None

    def nothing(self, call: Call) -> None:
        """Sends it; the answer has no content worth reading."""
        self.send(call)

    def text(self, call: Call) -> str:
        """Sends it and gives the text of the answer."""
        return (self.send(call)).text

    def send(self, call: Call) -> httpx.Response:
        """Sends it and reads the whole answer."""
        response = self._perform(call, False)
        if response.status_code < 300 or response.status_code >= 400:
            return response
        raise error_of(response.status_code, response.headers, response.text)

    def open(self, call: Call) -> httpx.Response:
        """Sends it and reads the headers of the answer. Whoever calls this closes the response."""
        return self._perform(call, True)

    def _perform(self, call: Call, stream: bool) -> httpx.Response:
        attempts = Attempts(call, self.settings.max_retries)
        is_renewed = False
        while True:
            headers, tokens = self._credentials(call)
            try:
                response = self.attempt(call, headers, stream)
                if response.status_code < 400 or response.status_code in call.accepted:
                    return response
                error = error_of(response.status_code, response.headers, self._body(response))
            except GatehouseError as failure:
                error, response = failure, None
            if tokens is not None and not is_renewed and self._is_refused(error, call):
                is_renewed = True
                if self.session.renew(tokens) is not None:
                    continue
            if response is not None and attempts.is_done(error):
                return response
            delay = attempts.delay_after(error)
            if delay is None:
                raise error
            runtime.sleep(delay)

    def attempt(self, call: Call, headers: dict[str, str], stream: bool) -> httpx.Response:
        """Sends it once; an answer from 400 on is an answer here."""
        content, own_headers = call.payload()
        http = self._own_http()
        request = http.build_request(
            call.method,
            self.settings.url(call.path),
            params=query_of(call.query) or None,
            content=content,
            headers={**own_headers, **headers},
            timeout=timeouts(self.settings, call),
        )
        try:
            response = http.send(request, auth=no_auth, stream=stream, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise explain(error, self.settings) from shown(error)
        if call.patient and call.timeout is NOT_GIVEN:
            # The headers came in time; the bytes may take as long as they need.
            request.extensions.get('timeout', {})['read'] = None
        return response

    def _credentials(self, call: Call) -> tuple[dict[str, str], Tokens | None]:
        if call.credentials is Credentials.NONE:
            return {}, None
        return self.session.headers()

    def _is_refused(self, error: GatehouseError, call: Call) -> bool:
        """Whether newer tokens would help. Bytes that are gone cannot be sent with them."""
        return error.status == 401 and error.code in _TOKEN_REFUSED and call.rewindable

    def _body(self, response: httpx.Response) -> str:
        try:
            response.read()
        except httpx.HTTPError as error:
            raise explain(error, self.settings) from error
        finally:
            response.close()
        return response.text

    def _own_http(self) -> runtime.HttpClient:
        """After a fork the connections are the parent's: the child opens its own, and leaves those alone."""
        if os.getpid() != self._process:
            self._inherited.append(self._http)
            self._http, self._process = self._connections(), os.getpid()
        return self._http

    def close(self) -> None:
        """Closes the connections."""
        self.session.finish()
        self._own_http().close()
