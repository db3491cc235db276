"""Waiting, locks and threads of the asyncio client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx

T = TypeVar('T')

HttpClient = httpx.AsyncClient
Transport = httpx.AsyncBaseTransport
Lock = anyio.Lock
Bytes = AsyncIterator[bytes]

sleep = anyio.sleep


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Runs what reads or writes files, so that the loop goes on meanwhile."""
    return await anyio.to_thread.run_sync(function, *args)


class shielded:
    """What is within it is finished, also when the task is cancelled; `seconds` are the most it may take."""

    def __init__(self, seconds: float) -> None:
        self._scope = anyio.CancelScope(shield=True, deadline=anyio.current_time() + seconds)

    async def __aenter__(self) -> None:
        self._scope.__enter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return bool(self._scope.__exit__(kind, error, trace))
