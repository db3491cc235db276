"""Waiting and working beside the caller, in tasks and in threads, with the same names: one is made from the other."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ..live import ConnectionLost

T = TypeVar('T')

_callers: dict[asyncio.Task[Any], asyncio.Task[Any] | None] = {}
"""Who waits for a handler's task."""
CANCELLED = 'what the handler has waited for was cancelled'
NOT_AWAITED = 'a handler that has to be awaited is for AsyncGatehouseClient'


class AsyncBell:
    """Wakes one task that waits. It remembers being rung."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wakes it, or keeps it from waiting the next time."""
        self._event.set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is rung, or for so long; tells whether it was rung."""
        try:
            await asyncio.wait_for(self._event.wait(), None if seconds is None else max(0.0, seconds))
        except asyncio.TimeoutError:
            return False
        self._event.clear()
        return True


class Bell:
    """Wakes one thread that waits. It remembers being rung."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def ring(self) -> None:
        """Wakes it, or keeps it from waiting the next time."""
        self._event.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until it is rung, or for so long; tells whether it was rung."""
        if not self._event.wait(None if seconds is None else max(0.0, seconds)):
            return False
        self._event.clear()
        return True


class AsyncTask:
    """A task that runs beside the caller's."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._task = asyncio.ensure_future(work())

    async def join(self, seconds: float) -> None:
        """Waits for its end, unless it is the caller's own; after so many seconds it is cancelled."""
        current = asyncio.current_task()
        if current is not None and self._task in (current, _callers.get(current)):
            return
        _, late = await asyncio.wait({self._task}, timeout=seconds)
        if late:
            self._task.cancel()


class Task:
    """A thread beside the caller's. It does not keep the program from ending."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, daemon=True, name='gatehouse')
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits for its end, unless it is the caller's own, for so many seconds at most."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)


class AsyncHandler:
    """What a caller wants to be called with something."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    async def call(self, *args: Any) -> None:
        """Calls it, and waits for what it is waiting for.

        Raises RuntimeError when something that it has awaited was cancelled: a CancelledError
        is the caller's own end.
        """
        try:
            result = self._function(*args)
        except asyncio.CancelledError as error:
            raise RuntimeError(CANCELLED) from error
        if not inspect.isawaitable(result):
            return
        # Only a task of its own tells whose end a CancelledError is.
        working = asyncio.ensure_future(_ended(result))
        _callers[working] = asyncio.current_task()
        try:
            await _outlive(working)
        finally:
            del _callers[working]
        if working.cancelled():
            raise RuntimeError(CANCELLED)
        working.result()


class Handler:
    """What a caller wants to be called with something."""

    def __init__(self, function: Callable[..., object]) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError(NOT_AWAITED)
        self._function = function

    def call(self, *args: Any) -> None:
        """Calls it. Raises TypeError when it is one that has to be awaited after all."""
        try:
            result = self._function(*args)
        except asyncio.CancelledError as error:
            raise RuntimeError(CANCELLED) from error
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(NOT_AWAITED)


class AsyncAttempt:
    """Something that takes long, and that somebody else may give up."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    async def run(
        self, work: Callable[..., Coroutine[Any, Any, T]], discard: Callable[[T], Awaitable[None]], *args: Any
    ) -> T:
        """Does it. Raises ConnectionLost when it was given up; what comes too late is discarded."""
        task: asyncio.Task[T] = asyncio.ensure_future(work(*args))
        self._task = task
        try:
            await _outlive(task)
        except BaseException:
            if not task.cancelled() and task.exception() is None:
                await discard(task.result())
            raise
        finally:
            self._task = None
        if task.cancelled():
            raise ConnectionLost('the attempt to connect was given up')
        return task.result()

    def give_up(self) -> None:
        """Ends it, if it is under way."""
        if self._task is not None:
            self._task.cancel()


class Attempt:
    """Something that takes long. A thread that waits for it cannot be woken."""

    def run(self, work: Callable[..., T], discard: Callable[[T], None], *args: Any) -> T:
        """Does it."""
        del discard
        return work(*args)

    def give_up(self) -> None:
        """It ends by itself."""


async def _ended(result: Awaitable[Any]) -> None:
    await result


async def _outlive(task: asyncio.Task[Any]) -> None:
    """Waits for its end, and takes it along when the caller is cancelled."""
    try:
        await asyncio.wait({task})
    except BaseException:
        task.cancel()
        await asyncio.wait({task})
        raise
