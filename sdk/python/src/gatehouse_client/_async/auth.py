"""Signing up, in and out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from .._shared.calls import Call, Credentials, path
from .._shared.expiry import tokens_of
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..errors import AuthenticationError, MfaRequiredError
from ..models import Login, Message, Session, User
from ..pages import Page
from .mfa import AsyncMfa
from .resource import PAGE_SIZE, AsyncResource, all_pages
from .transport import AsyncTransport

REFRESH_TIMEOUT = 8.0
"""Seconds: so that a repetition comes within the ten."""


class AsyncSessions(AsyncResource):
    """`client.auth.sessions`: where the account is signed in. Not for API keys."""

    async def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[Session]:
        """One page of the sessions, by `page` and `size` or by `skip` and `limit`."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit}
        call = Call('GET', path('/auth/sessions'), query=query, timeout=timeout)
        return await self._api.json(call, Page.reader(Session.from_dict))

    def iterate(self, *, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN) -> AsyncIterator[Session]:
        """All sessions, fetched by pages."""
        return all_pages(lambda page: self.list(page=page, size=size, timeout=timeout))

    async def end(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Signs a device out. Raises NotFoundError when there is no such session."""
        await self._api.nothing(Call('DELETE', path('/auth/sessions/{id}', id=id), timeout=timeout))


class AsyncAuth(AsyncResource):
    """`client.auth`: signing up, in and out, passwords and addresses."""

    def __init__(self, api: AsyncTransport) -> None:
        super().__init__(api)
        self.mfa = AsyncMfa(api)
        self.sessions = AsyncSessions(api)

    async def register(
        self,
        *,
        email: str,
        password: str,
        username: str | NotGiven = NOT_GIVEN,
        full_name: str | None | NotGiven = NOT_GIVEN,
        first_name: str | None | NotGiven = NOT_GIVEN,
        last_name: str | None | NotGiven = NOT_GIVEN,
        confirm_password: str | NotGiven = NOT_GIVEN,
        is_superuser: bool | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> User:
        """Makes an account; it does not sign in.

        Raises ConflictError when the address or the name is taken, ValidationError when the password is too weak.
        """
        body = given(
            email=email,
            password=password,
            username=username,
            full_name=full_name,
            first_name=first_name,
            last_name=last_name,
            confirm_password=confirm_password,
            is_superuser=is_superuser,
        )
        return await self._api.json(Call('POST', path('/auth/register'), body=body, timeout=timeout), User.from_dict)

    async def login(
        self,
        *,
        password: str,
        email: str | NotGiven = NOT_GIVEN,
        username: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Login:
        """Signs in by address or name, and keeps the tokens for the calls that follow.

        Raises AuthenticationError when name or password is wrong, MfaRequiredError when a second factor is asked
        for, RateLimitError after too many failures. A client with an API key does not sign in: ValueError.
        """
        self._api.session.require_tokens()
        body = given(email=email, username=username, password=password)
        call = Call('POST', path('/auth/login'), body=body, credentials=Credentials.NONE, timeout=timeout)
        login = await self._api.json(call, _login_or_challenge)
        if isinstance(login, MfaRequiredError):
            raise login
        await self._api.session.store(tokens_of(login.access_token, login.refresh_token, login.expires_in))
        return login

    async def refresh(self) -> None:
        """Renews the tokens now. The client does so by itself when it is time; many at once do it once.

        Raises AuthenticationError when nobody is signed in or the session has ended.
        """
        self._api.session.require_tokens()
        tokens = self._api.session.stored()
        if tokens is None or await self._api.session.renew(tokens) is None:
            raise AuthenticationError('nobody is signed in', status=401, code='not_authenticated')

    async def logout(self, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Ends the session and forgets its tokens, also when the server has ended it already."""
        self._api.session.require_tokens()
        tokens = self._api.session.stored()
        if tokens is None:
            return
        body = {'refresh_token': tokens.refresh_token}
        await self._log_out(Call('POST', path('/auth/logout'), body=body, timeout=timeout))

    async def logout_all(self, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Ends all sessions of the account, this one too, and forgets the tokens."""
        self._api.session.require_tokens()
        await self._log_out(Call('POST', path('/auth/logout-all'), timeout=timeout))

    async def _log_out(self, call: Call) -> None:
        try:
            await self._api.nothing(call)
        except AuthenticationError:
            pass
        await self._api.session.store(None)

    async def change_password(
        self,
        *,
        current_password: str,
        new_password: str,
        confirm_password: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Message:
        """Changes the own password; the other sessions end. When the current one is wrong: `wrong_password` (400)."""
        body = given(current_password=current_password, new_password=new_password, confirm_password=confirm_password)
        call = Call('POST', path('/auth/change-password'), body=body, timeout=timeout)
        return await self._api.json(call, Message.from_dict)

    async def forgot_password(self, *, email: str, timeout: Timeout = NOT_GIVEN) -> Message:
        """Has a link for a new password mailed, if there is an account with the address; the answer does not tell."""
        return await self._public('/auth/forgot-password', {'email': email}, timeout)

    async def reset_password(
        self,
        *,
        token: str,
        new_password: str,
        confirm_password: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Message:
        """Sets a new password with the token of the mail. All sessions of the account end."""
        body = given(token=token, new_password=new_password, confirm_password=confirm_password)
        return await self._public('/auth/reset-password', body, timeout)

    async def verify_email(self, *, token: str, timeout: Timeout = NOT_GIVEN) -> Message:
        """Confirms an address with the token of the mail."""
        return await self._public('/auth/verify-email', {'token': token}, timeout)

    async def resend_verification(
        self, *, email: str | NotGiven = NOT_GIVEN, timeout: Timeout = NOT_GIVEN
    ) -> Message:
        """Has the mail that confirms an address sent again; without `email`, that of the signed-in account."""
        call = Call('POST', path('/auth/resend-verification'), body=given(email=email), timeout=timeout)
        return await self._api.json(call, Message.from_dict)

    async def undo_email_change(self, *, token: str, timeout: Timeout = NOT_GIVEN) -> Message:
        """Gives an account its former address back, with the token of the mail that went there."""
        return await self._public('/auth/undo-email-change', {'token': token}, timeout)

    async def _public(self, template: str, body: dict[str, Any], timeout: Timeout) -> Message:
        call = Call('POST', path(template), body=body, credentials=Credentials.NONE, timeout=timeout)
        return await self._api.json(call, Message.from_dict)


def _login_or_challenge(body: dict[str, Any]) -> Login | MfaRequiredError:
    if body.get('mfa_required'):
        return MfaRequiredError(body['mfa_token'], body['expires_in'])
    return Login.from_dict(body)


def refresh_call(refresh_token: str, timeout: float | None) -> Call:
    """The call that renews tokens. For ten seconds the server answers a repetition with the same tokens."""
    return Call(
        'POST',
        path('/auth/refresh'),
        body={'refresh_token': refresh_token},
        credentials=Credentials.NONE,
        repeatable=True,
        timeout=REFRESH_TIMEOUT if timeout is None else min(timeout, REFRESH_TIMEOUT),
    )
