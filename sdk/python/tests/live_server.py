"""Servers that are killed, ways that stall, and readers of both kinds that are used in the same way."""

from __future__ import annotations

import queue
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gatehouse_client import GatehouseClient, GatehouseError
from support import ADMIN, PASSWORD, Blocking, Server, new_name

PATIENCE = 60.0

opened: list[GatehouseClient] = []
"""Closed after the test."""


class LiveServer(Server):
    """A server that is killed without a warning, and started again with the same data on the same port."""

    def kill(self) -> None:
        """As a machine does that loses its power."""
        self.stop(signal.SIGKILL)

    def revive(self) -> None:
        """Starts it, if a test has left it dead."""
        if self._process.poll() is not None:
            self.start()


def admin_of(server: Server) -> GatehouseClient:
    """Somebody who may publish anywhere, apart from the client that is tested."""
    admin = GatehouseClient(server.url)
    opened.append(admin)
    admin.auth.login(**ADMIN)
    return admin


def new_user(server: Server) -> tuple[str, str]:
    """The name and the id of somebody new, whose password is PASSWORD."""
    name = new_name()
    with GatehouseClient(server.url) as client:
        client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
        return name, client.auth.login(username=name, password=PASSWORD).user.id


def signed_in(make: Callable[..., Any], server: Server, url: str | None = None) -> tuple[Any, str]:
    """A client of somebody new, and the user's id."""
    name, user_id = new_user(server)
    client = make(url or server.url)
    client.auth.login(username=name, password=PASSWORD)
    return client, user_id


def new_channel(kind: str = 'news') -> str:
    """A channel that nobody has used."""
    return f'{kind}-{new_name()}'


class Collected:
    """What handlers were called with, in order."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue()

    def __call__(self, *args: Any) -> None:
        self._queue.put(args[0] if len(args) == 1 else args)

    def next(self) -> Any:
        """The next one, which comes in a moment."""
        return self._queue.get(timeout=PATIENCE)

    def take(self, count: int) -> list[Any]:
        """The next ones."""
        return [self.next() for _ in range(count)]

    def until(self, wanted: Callable[[Any], bool]) -> Any:
        """The first that is wanted; those before it are dropped."""
        while not wanted(item := self.next()):
            pass
        return item

    def is_empty(self) -> bool:
        """Whether nothing more has come."""
        return self._queue.empty()


class StreamReader:
    """An event stream that is read beside the test, by a thread or by a task in the thread of a portal."""

    def __init__(self, client: Any, channel: str, **options: Any) -> None:
        self.events = Collected()
        self.ended = Collected()
        self._portal = client._portal if isinstance(client, Blocking) else None
        target = client._target if isinstance(client, Blocking) else client
        self.stream = target.broadcasting.stream(channel, **options)
        if self._portal is None:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        else:
            self._future = self._portal.start_task_soon(self._read_async)

    def subscribed(self) -> Any:
        """The next time that the server lets it in."""
        return self.events.until(lambda event: event.type == 'subscribed')

    def messages(self, count: int) -> list[Any]:
        """The next messages."""
        return [self.events.until(lambda event: event.type == 'message').message for _ in range(count)]

    def close(self) -> None:
        """Ends it from outside, while it waits for bytes, and waits for the end of the iteration."""
        if self._portal is None:
            self.stream.close()
            self._thread.join(10)
            assert not self._thread.is_alive()
        else:
            self._portal.call(self.stream.aclose)
            self._future.result(10)

    def __enter__(self) -> StreamReader:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _read(self) -> None:
        try:
            with self.stream:
                for event in self.stream:
                    self.events(event)
            self.ended(None)
        except GatehouseError as error:
            self.ended(error)

    async def _read_async(self) -> None:
        try:
            async with self.stream:
                async for event in self.stream:
                    self.events(event)
            self.ended(None)
        except GatehouseError as error:
            self.ended(error)


class SocketReader:
    """The same by a live connection."""

    def __init__(self, client: Any, channel: str, **options: Any) -> None:
        self.handled = Collected()
        self.joined = Collected()
        self.left = Collected()
        self.gaps = Collected()
        self.ended = Collected()
        self.states = Collected()
        self.connection = client.broadcasting.connect()
        self.connection.on_state(self.states)
        try:
            self.connection.open()
            self.subscription = self.connection.subscribe(
                channel,
                self.handled,
                on_joined=self.joined,
                on_left=self.left,
                on_gap=self.gaps,
                on_ended=self.ended,
                **options,
            )
        except BaseException:
            self.connection.close()
            raise

    def messages(self, count: int) -> list[Any]:
        """The next messages."""
        return self.handled.take(count)

    def connected(self) -> None:
        """Waits until it is connected the next time."""
        self.states.until(lambda state: state == 'connected')

    def __enter__(self) -> SocketReader:
        return self

    def __exit__(self, *_: Any) -> None:
        self.connection.close()


class Pair(NamedTuple):
    """The two ends of a connection by a way."""

    client: socket.socket
    server: socket.socket

    def close_both(self) -> None:
        """Breaks it."""
        for end in self:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Way:
    """A way to a server that stalls when it is told to: bytes are taken, and brought nowhere."""

    def __init__(self, url: str) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or '', target.port or 80)
        self._listener = socket.create_server(('127.0.0.1', 0))
        self._stalled: list[threading.Event] = []
        self._now = threading.Event()
        self.opened: list[Pair] = []
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """What goes through it now is stuck for ever. Later connections are not."""
        self._now.set()
        self._now = threading.Event()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            stalled = self._now
            self.opened.append(Pair(client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._carry, args=(source, sink, stalled), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket, stalled: threading.Event) -> None:
        try:
            with source:
                while data := source.recv(65536):
                    if not stalled.is_set():
                        sink.sendall(data)
                if not stalled.is_set():
                    sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def __enter__(self) -> Way:
        return self

    def __exit__(self, *_: Any) -> None:
        # The thread that accepts would keep it open.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pair in self.opened:
            pair.close_both()


class Publisher:
    """Publishes numbered messages until each is acknowledged, however often the server is killed meanwhile."""

    def __init__(self, client: GatehouseClient, channel: str, count: int) -> None:
        self._client = client
        self._channel = channel
        self._count = count
        self._acknowledged = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def wait_for(self, count: int) -> None:
        """Waits until so many are acknowledged."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._acknowledged >= count, PATIENCE)

    def _publish(self) -> None:
        for number in range(1, self._count + 1):
            while True:
                try:
                    self._client.broadcasting.publish(
                        channel=self._channel, event='numbered', data=number, idempotency_key=f'n-{number}'
                    )
                    break
                except GatehouseError:
                    # The server is away; how long is not this one's business.
                    time.sleep(0.1)
            with self._changed:
                self._acknowledged = number
                self._changed.notify_all()
