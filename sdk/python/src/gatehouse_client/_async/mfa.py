"""The second factor."""

from __future__ import annotations

from .._shared.calls import Call, Credentials, path
from .._shared.expiry import tokens_of
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..models import Login, MfaSetup, MfaStatus, RecoveryCodes
from .resource import AsyncResource


class AsyncMfa(AsyncResource):
    """`client.auth.mfa`: the second factor of the account. Not for API keys."""

    async def status(self, *, timeout: Timeout = NOT_GIVEN) -> MfaStatus:
        """Whether the account has a second factor."""
        return await self._api.json(Call('GET', path('/auth/mfa'), timeout=timeout), MfaStatus.from_dict)

    async def setup(self, *, password: str, timeout: Timeout = NOT_GIVEN) -> MfaSetup:
        """Begins: the answer is for the authenticator app, `confirm` ends it. ConflictError when there is one."""
        call = Call('POST', path('/auth/mfa/setup'), body={'password': password}, timeout=timeout)
        return await self._api.json(call, MfaSetup.from_dict)

    async def confirm(self, *, code: str, timeout: Timeout = NOT_GIVEN) -> RecoveryCodes:
        """Turns the second factor on, with a code of the app. The recovery codes are told this once."""
        call = Call('POST', path('/auth/mfa/confirm'), body={'code': code}, timeout=timeout)
        return await self._api.json(call, RecoveryCodes.from_dict)

    async def renew_recovery_codes(
        self,
        *,
        password: str,
        code: str | NotGiven = NOT_GIVEN,
        recovery_code: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> RecoveryCodes:
        """Makes new recovery codes; the old ones are void."""
        body = given(password=password, code=code, recovery_code=recovery_code)
        call = Call('POST', path('/auth/mfa/recovery-codes'), body=body, timeout=timeout)
        return await self._api.json(call, RecoveryCodes.from_dict)

    async def disable(
        self,
        *,
        password: str,
        code: str | NotGiven = NOT_GIVEN,
        recovery_code: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> None:
        """Turns the second factor off."""
        body = given(password=password, code=code, recovery_code=recovery_code)
        await self._api.nothing(Call('POST', path('/auth/mfa/disable'), body=body, timeout=timeout))

    async def verify(
        self,
        *,
        mfa_token: str,
        code: str | NotGiven = NOT_GIVEN,
        recovery_code: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Login:
        """Ends a login that raised MfaRequiredError, by its `mfa_token`, and keeps the tokens.

        Raises AuthenticationError when the code is wrong (`wrong_code`) or the login too old (`invalid_mfa_token`).
        """
        self._api.session.require_tokens()
        body = given(mfa_token=mfa_token, code=code, recovery_code=recovery_code)
        call = Call('POST', path('/auth/mfa/verify'), body=body, credentials=Credentials.NONE, timeout=timeout)
        login = await self._api.json(call, Login.from_dict)
        await self._api.session.store(tokens_of(login.access_token, login.refresh_token, login.expires_in))
        return login
