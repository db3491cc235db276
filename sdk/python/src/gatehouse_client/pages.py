"""Pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar('T')


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; iterating over it gives its items.

    Attributes:
        items: What is on this page.
        total: How many there are on all pages.
        page: Which page this is, from 1.
        size: How many a page has at most.
        pages: How many pages there are.
        skip: How many come before this page.
        limit: The same as size.
    """

    items: list[T]
    total: int
    page: int
    size: int
    pages: int
    skip: int
    limit: int

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def reader(cls, item: Callable[[dict[str, Any]], T]) -> Callable[[dict[str, Any]], Page[T]]:
        """A function that makes a page of the body of an answer; `item` makes each of its items."""

        def read(body: dict[str, Any]) -> Page[T]:
            counts = {name: body[name] for name in ('total', 'page', 'size', 'pages', 'skip', 'limit')}
            return Page(items=[item(each) for each in body['items']], **counts)

        return read
