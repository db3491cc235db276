"""Waiting, locks and threads of the client for threads: what async_runtime is to the other one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

T = TypeVar('T')

HttpClient = httpx.Client
Transport = httpx.BaseTransport
Lock = threading.Lock
Bytes = Iterator[bytes]

sleep = time.sleep


def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Runs it here: the thread of the caller may wait."""
    return function(*args)


class shielded:
    """Nobody cancels a thread."""

    def __init__(self, seconds: float) -> None:
        del seconds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        pass


class Errands:
    """Nobody cancels a thread."""

    def run(self, function: Callable[[], T]) -> T:
        """Runs it here."""
        return function()

    def finish(self, seconds: float) -> None:
        """Nothing is left behind."""
