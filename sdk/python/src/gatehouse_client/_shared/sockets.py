"""python-socketio for threads and for asyncio.

Both halves are written by hand, with the same surface, because the library's two clients differ: the one for threads
handles each packet in a thread of its own, in whatever order these run, and leaves threads behind that keep a program
from ending; the other one leaves an aiohttp session behind.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..live import ConnectionLost
from .wire import EVENTS, NAMESPACE, Link, Settle

LIBRARIES = ('socketio', 'engineio')
REASON_LENGTH = 300

# What the library logs has the token in it, and its errors are told to the caller: nothing of it goes to the logs.
_silent = logging.Logger('gatehouse_client.socketio', logging.CRITICAL + 1)


class Socket(Link):
    """A link by `socketio.Client`. Events and answers come one after the other, in the thread that reads."""

    @staticmethod
    def require() -> None:
        """Raises ImportError when something is missing."""
        try:
            import requests  # noqa: F401
            import socketio  # noqa: F401
            import websocket  # noqa: F401
        except ImportError as error:
            raise _missing(error, 'client', 'python3-socketio python3-requests python3-websocket') from None

    def open(self, base_url: str, token: str, transports: Sequence[str], patience: float | None) -> None:
        """Sends the first bytes. Whether the server lets it in, `on_change` is called for."""
        import socketio

        self._emitting = threading.Lock()
        options = {} if patience is None else {'request_timeout': patience}
        self._client = client = socketio.Client(
            reconnection=False, handle_sigint=False, logger=_silent, engineio_logger=_silent, **options
        )
        _put_in_order(client.eio)
        _listen(self, client)
        origin, path = _address(base_url)
        try:
            client.connect(
                origin,
                auth={'token': token},
                transports=list(transports),
                namespaces=[NAMESPACE],
                socketio_path=path,
                wait=False,
            )
        except Exception as error:
            self.over(_lost(error))
            return
        threading.Thread(target=self._watch, daemon=True, name='gatehouse-socket').start()

    def ask(self, event: str, payload: dict[str, Any], settle: Settle) -> None:
        """Sends an event. The answer comes in the thread that reads, before what follows it."""
        settled = self.expect(settle)
        if settled is None:
            return settle(None)
        try:
            # The library numbers its events, and is not made for two threads that do so at once.
            with self._emitting:
                self._client.emit(event, payload, namespace=NAMESPACE, callback=settled)
        except Exception as error:
            self.over(_lost(error))

    def close(self) -> None:
        """Ends it, wherever it is."""
        self.over(None)
        client = getattr(self, '_client', None)
        if client is None:
            return
        try:
            # The library says goodbye and waits for the answer, behind the thread that reads: for ever on a dead line.
            if client.eio.ws is not None:
                client.eio.ws.abort()
            client.disconnect()
        except Exception:
            # It is gone already.
            pass

    def _watch(self) -> None:
        try:
            self._client.eio.wait()
        finally:
            self.over(ConnectionLost('the connection has broken'))
            # The library leaves it open where the other side has broken it; nobody reads from it any more.
            if self._client.eio.ws is not None:
                self._client.eio.ws.shutdown()


class AsyncSocket(Link):
    """A link by `socketio.AsyncClient`. Events and answers come one after the other, in tasks that do not wait."""

    @staticmethod
    def require() -> None:
        """Raises ImportError when something is missing."""
        try:
            import aiohttp  # noqa: F401
            import socketio  # noqa: F401
        except ImportError as error:
            raise _missing(error, 'asyncio_client', 'python3-socketio python3-aiohttp') from None

    async def open(self, base_url: str, token: str, transports: Sequence[str], patience: float | None) -> None:
        """Sends the first bytes. Whether the server lets it in, `on_change` is called for."""
        import aiohttp
        import socketio

        # Proxies of the environment count, as for the other calls.
        self._http = aiohttp.ClientSession(trust_env=True)
        options = {} if patience is None else {'request_timeout': patience}
        self._client = client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=_silent,
            engineio_logger=_silent,
            http_session=self._http,
            **options,
        )
        _listen(self, client)
        origin, path = _address(base_url)
        try:
            opening = client.connect(
                origin,
                auth={'token': token},
                transports=list(transports),
                namespaces=[NAMESPACE],
                socketio_path=path,
                wait=False,
            )
            # Its own limit is not for all that may hang.
            await asyncio.wait_for(opening, patience)
        except Exception as error:
            self.over(_lost(error))
            return
        self._watching = asyncio.ensure_future(self._watch())

    async def ask(self, event: str, payload: dict[str, Any], settle: Settle) -> None:
        """Sends an event. The answer comes before what follows it."""
        settled = self.expect(settle)
        if settled is None:
            return settle(None)
        try:
            await self._client.emit(event, payload, namespace=NAMESPACE, callback=settled)
        except Exception as error:
            self.over(_lost(error))

    async def close(self) -> None:
        """Ends it, wherever it is."""
        self.over(None)
        if hasattr(self, '_http'):
            try:
                await asyncio.wait_for(self._client.disconnect(), 1)
            except Exception:
                # It is gone already, or does not take the goodbye.
                pass
            watching = getattr(self, '_watching', None)
            if watching is not None:
                watching.cancel()
            await self._http.close()

    async def _watch(self) -> None:
        try:
            await self._client.eio.wait()
        finally:
            self.over(ConnectionLost('the connection has broken'))


def _listen(link: Link, client: Any) -> None:
    def on(name: str, function: Callable[..., None]) -> None:
        client.on(name, function, namespace=NAMESPACE)

    # Not `connect`: until the welcome the server may still refuse.
    on('connected', lambda _: link.welcome())
    on('connect_error', lambda body=None: link.refused(body))
    on('session:ended', link.session_ended)
    on('disconnect', lambda *_: link.over(ConnectionLost('the server has closed the connection')))
    for name in EVENTS:
        on(name, lambda payload, name=name: link.take(name, payload))


def _put_in_order(engine: Any) -> None:
    """The library starts a thread for each packet, and they overtake each other. Here the thread that reads handles
    them; what it calls does not wait. Other threads of the library do not keep the program from ending."""

    def start(target: Callable[..., Any], *args: Any, **named: Any) -> Any:
        if target == engine.handlers.get('message'):
            target(*args, **named)
            return None
        thread = threading.Thread(target=target, args=args, kwargs=named, daemon=True, name='gatehouse-socket')
        thread.start()
        return thread

    engine.start_background_task = start


def _address(base_url: str) -> tuple[str, str]:
    parts = urlsplit(base_url)
    return f'{parts.scheme}://{parts.netloc}', f'{parts.path}/socket.io'.strip('/')


def _lost(error: Exception) -> ConnectionLost:
    reason: BaseException = error
    while type(reason).__module__.partition('.')[0] in LIBRARIES and reason.__context__ is not None:
        # "Connection error", says the library, whatever it was.
        reason = reason.__context__
    # Its text may quote an address, but no token: that goes in the body.
    text = str(reason).partition('\n')[0][:REASON_LENGTH]
    lost = ConnectionLost(f'no connection: {text or type(reason).__name__}')
    lost.__cause__ = reason
    return lost


def _missing(error: ImportError, extra: str, packages: str) -> ImportError:
    return ImportError(
        f"live connections need python-socketio with what it needs ({error.name} is missing): "
        f"pip install './sdk/python[socketio]' in a checkout of Gatehouse, or pip install 'python-socketio[{extra}]' "
        f"(Debian: apt install {packages})"
    )
