"""What the groups of methods have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from ..pages import Page
from .transport import AsyncTransport

T = TypeVar('T')

PAGE_SIZE = 100


class AsyncResource:
    """A group of methods of the client."""

    def __init__(self, api: AsyncTransport) -> None:
        self._api = api

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self._api.settings.origin}>'


async def all_pages(fetch: Callable[[int], Awaitable[Page[T]]]) -> AsyncIterator[T]:
    """The items of all pages; a page is fetched when its first item is wanted."""
    number = 1
    while True:
        page = await fetch(number)
        for item in page.items:
            yield item
        if number >= page.pages:
            return
        number += 1
