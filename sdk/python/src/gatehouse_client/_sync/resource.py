# Generated from _async/resource.py by scripts/generate.py: do not edit.
"""What the groups of methods have in common."""

from __future__ import annotations

from collections.abc import Iterator, Callable
from typing import TypeVar

from ..pages import Page
from .transport import Transport

T = TypeVar('T')

PAGE_SIZE = 100


class Resource:
    """A group of methods of the client."""

    def __init__(self, api: Transport) -> None:
        self._api = api

    def __repr__(self) -> str:
        return f'<{type(self).__name__} of {self._api.settings.origin}>'


def all_pages(fetch: Callable[[int], Page[T]]) -> Iterator[T]:
    """The items of all pages; a page is fetched when its first item is wanted."""
    number = 1
    while True:
        page = fetch(number)
        for item in page.items:
            yield item
        if number >= page.pages:
            return
        number += 1
