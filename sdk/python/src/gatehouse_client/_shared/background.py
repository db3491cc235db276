"""Waiting and working beside the caller, in tasks and in threads, with the same names: one is made from the other."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine
from typing import Any


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
        if self._task is asyncio.current_task():
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
        """Calls it, and waits for what it is waiting for."""
        result = self._function(*args)
        if inspect.isawaitable(result):
            await result


class Handler:
    """What a caller wants to be called with something."""

    def __init__(self, function: Callable[..., object]) -> None:
        if inspect.iscoroutinefunction(function):
            raise TypeError('a handler that has to be awaited is for AsyncGatehouseClient')
        self._function = function

    def call(self, *args: Any) -> None:
        """Calls it."""
        self._function(*args)
