"""Accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

from .._shared.calls import Call, path
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..models import ApiKey, NewApiKey, PublicUser, Scope, User
from ..pages import Page
from .download import AsyncDownload
from .resource import PAGE_SIZE, AsyncResource, all_pages
from .transport import AsyncTransport


def _user(body: dict[str, Any]) -> User | PublicUser:
    """Who may see the whole account gets the whole account."""
    return User.from_dict(body) if 'role' in body else PublicUser.from_dict(body)


class AsyncApiKeys(AsyncResource):
    """`client.users.api_keys`: the keys of the account. No key manages keys: sign in for it."""

    async def create(
        self,
        *,
        name: str,
        scopes: Sequence[Scope] | NotGiven = NOT_GIVEN,
        expires_at: datetime | None | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> NewApiKey:
        """Makes a key; its `key` is told this once. Without `scopes` it may do all but `admin`."""
        body = given(name=name, scopes=scopes, expires_at=expires_at)
        call = Call('POST', path('/users/me/api-keys'), body=body, timeout=timeout)
        return await self._api.json(call, NewApiKey.from_dict)

    async def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[ApiKey]:
        """One page of the keys, without the keys themselves."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit}
        call = Call('GET', path('/users/me/api-keys'), query=query, timeout=timeout)
        return await self._api.json(call, Page.reader(ApiKey.from_dict))

    def iterate(self, *, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN) -> AsyncIterator[ApiKey]:
        """All keys, fetched by pages."""
        return all_pages(lambda page: self.list(page=page, size=size, timeout=timeout))

    async def delete(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Revokes a key, at once."""
        await self._api.nothing(Call('DELETE', path('/users/me/api-keys/{id}', id=id), timeout=timeout))


class AsyncUsers(AsyncResource):
    """`client.users`: the own account and those of others. Keys need `users:read` or `users:write`."""

    def __init__(self, api: AsyncTransport) -> None:
        super().__init__(api)
        self.api_keys = AsyncApiKeys(api)

    async def create(
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
        """Makes an account, as `auth.register` does; only admins make admins (`is_superuser`)."""
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
        return await self._api.json(Call('POST', path('/users'), body=body, timeout=timeout), User.from_dict)

    async def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[User | PublicUser]:
        """One page of the accounts: for admins `User`s, for others the active ones as `PublicUser`s."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit, 'search': search}
        return await self._api.json(Call('GET', path('/users'), query=query, timeout=timeout), Page.reader(_user))

    def iterate(
        self, *, search: str | None = None, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN
    ) -> AsyncIterator[User | PublicUser]:
        """All accounts, fetched by pages."""
        return all_pages(lambda page: self.list(page=page, size=size, search=search, timeout=timeout))

    async def get(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> User | PublicUser:
        """An account: a `User` for its owner and admins, a `PublicUser` for others."""
        return await self._api.json(Call('GET', path('/users/{id}', id=id), timeout=timeout), _user)

    async def update(
        self,
        id: str,
        *,
        email: str | NotGiven = NOT_GIVEN,
        username: str | NotGiven = NOT_GIVEN,
        full_name: str | None | NotGiven = NOT_GIVEN,
        first_name: str | None | NotGiven = NOT_GIVEN,
        last_name: str | None | NotGiven = NOT_GIVEN,
        bio: str | None | NotGiven = NOT_GIVEN,
        phone_number: str | None | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> User:
        """Changes what is given of an account; None clears. For its owner and admins."""
        body = given(
            email=email,
            username=username,
            full_name=full_name,
            first_name=first_name,
            last_name=last_name,
            bio=bio,
            phone_number=phone_number,
        )
        return await self._update('/users/{id}', {'id': id}, body, timeout)

    async def delete(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Deletes an account with all it has. For its owner and admins; ConflictError for the last admin."""
        await self._api.nothing(Call('DELETE', path('/users/{id}', id=id), timeout=timeout))

    async def me(self, *, timeout: Timeout = NOT_GIVEN) -> User:
        """The own account."""
        return await self._api.json(Call('GET', path('/users/me'), timeout=timeout), User.from_dict)

    async def update_me(
        self,
        *,
        email: str | NotGiven = NOT_GIVEN,
        username: str | NotGiven = NOT_GIVEN,
        full_name: str | None | NotGiven = NOT_GIVEN,
        first_name: str | None | NotGiven = NOT_GIVEN,
        last_name: str | None | NotGiven = NOT_GIVEN,
        bio: str | None | NotGiven = NOT_GIVEN,
        phone_number: str | None | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> User:
        """Changes what is given of the own account; None clears. A new address has to be confirmed."""
        body = given(
            email=email,
            username=username,
            full_name=full_name,
            first_name=first_name,
            last_name=last_name,
            bio=bio,
            phone_number=phone_number,
        )
        return await self._update('/users/me', {}, body, timeout)

    async def delete_me(self, *, password: str, timeout: Timeout = NOT_GIVEN) -> None:
        """Deletes the own account with its files, and forgets the tokens. Not for API keys."""
        await self._api.nothing(Call('DELETE', path('/users/me'), body={'password': password}, timeout=timeout))
        await self._api.session.store(None)

    def export_me(self, *, timeout: Timeout = NOT_GIVEN) -> AsyncDownload:
        """All that is kept about the account, as a ZIP file. Not for API keys.

        Raises ConflictError, when it is opened, while another export is under way.
        """
        call = Call('GET', path('/users/me/export'), timeout=timeout, patient=True)
        return AsyncDownload(self._api, call)

    async def _update(
        self, template: str, parts: dict[str, str], body: dict[str, Any], timeout: Timeout
    ) -> User:
        call = Call('PATCH', path(template, **parts), body=body, timeout=timeout)
        return await self._api.json(call, User.from_dict)
