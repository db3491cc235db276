"""Waiting, locks and threads of the asyncio client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
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


class Errands:
    """What is finished, also when the task that waits for it is cancelled. Each has a task of its own."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    async def run(self, function: Callable[[], Awaitable[T]]) -> T:
        """Runs it to its end."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            # Trio: there, a shield is enough.
            with anyio.CancelScope(shield=True):
                return await function()
        task: asyncio.Future[T] = asyncio.ensure_future(function())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def finish(self, seconds: float) -> None:
        """Waits until all are through; those that take longer are cancelled."""
        if not self._tasks:
            return
        here = {task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()}
        # One of them may be what closes the client.
        here.discard(asyncio.current_task())  # type: ignore[arg-type]
        if not here:
            return
        with anyio.CancelScope(shield=True):
            _, late = await asyncio.wait(here, timeout=seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _done(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Looked at: nobody may be left to see the error, and asyncio would complain.
            task.exception()
