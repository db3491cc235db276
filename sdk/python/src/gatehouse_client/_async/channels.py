"""Channels and their members."""

from __future__ import annotations

from collections.abc import AsyncIterator

from .._shared.calls import Call, path
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..models import Channel, Member, PublishPolicy
from ..pages import Page
from .resource import PAGE_SIZE, AsyncResource, all_pages
from .transport import AsyncTransport


class AsyncMembers(AsyncResource):
    """`client.broadcasting.channels.members`: who may read a `private-<name>` channel. For admins."""

    async def list(
        self,
        name: str,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[Member]:
        """One page of the members of the channel `name`."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit}
        call = Call('GET', path('/broadcasting/channels/{name}/members', name=name), query=query, timeout=timeout)
        return await self._api.json(call, Page.reader(Member.from_dict))

    def iterate(self, name: str, *, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN) -> AsyncIterator[Member]:
        """All members of the channel `name`, fetched by pages."""
        return all_pages(lambda page: self.list(name, page=page, size=size, timeout=timeout))

    async def add(self, name: str, user_id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Lets a user read the channel `name`."""
        await self._api.nothing(Call('PUT', _member(name, user_id), timeout=timeout))

    async def remove(self, name: str, user_id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Takes that back; open subscriptions end."""
        await self._api.nothing(Call('DELETE', _member(name, user_id), timeout=timeout))


class AsyncChannels(AsyncResource):
    """`client.broadcasting.channels`: the channels that the caller may read."""

    def __init__(self, api: AsyncTransport) -> None:
        super().__init__(api)
        self.members = AsyncMembers(api)

    async def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[Channel]:
        """One page of the channels."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit}
        call = Call('GET', path('/broadcasting/channels'), query=query, timeout=timeout)
        return await self._api.json(call, Page.reader(Channel.from_dict))

    def iterate(self, *, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN) -> AsyncIterator[Channel]:
        """All channels, fetched by pages."""
        return all_pages(lambda page: self.list(page=page, size=size, timeout=timeout))

    async def get(self, name: str, *, timeout: Timeout = NOT_GIVEN) -> Channel:
        """A channel; one that nobody has used is an empty one."""
        call = Call('GET', path('/broadcasting/channels/{name}', name=name), timeout=timeout)
        return await self._api.json(call, Channel.from_dict)

    async def update(
        self,
        name: str,
        *,
        publish_policy: PublishPolicy | NotGiven = NOT_GIVEN,
        retention_seconds: int | None | NotGiven = NOT_GIVEN,
        retention_count: int | None | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> Channel:
        """Changes the settings that are given; None goes back to the server's own. For admins."""
        body = given(
            publish_policy=publish_policy, retention_seconds=retention_seconds, retention_count=retention_count
        )
        call = Call('PUT', path('/broadcasting/channels/{name}', name=name), body=body, timeout=timeout)
        return await self._api.json(call, Channel.from_dict)


def _member(name: str, user_id: str) -> str:
    return path('/broadcasting/channels/{name}/members/{user_id}', name=name, user_id=user_id)
