"""A network that fails."""

from __future__ import annotations

import socket
import threading
from typing import Any
from urllib.parse import urlsplit

from support import reset


class Cutter:
    """A way to a server on which connections break after so many bytes from the client, each number once."""

    def __init__(self, url: str, *cuts: int) -> None:
        target = urlsplit(url)
        self._target = (target.hostname or '', target.port or 80)
        self._cuts = list(cuts)
        self.breaks = 0
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self._listener.getsockname()[1]}'
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._carry, args=(client, server), daemon=True).start()
            threading.Thread(target=self._carry_back, args=(server, client), daemon=True).start()

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        carried = 0
        try:
            while data := client.recv(65536):
                server.sendall(data)
                carried += len(data)
                # The limit is of the first connection that carries so much: what goes before it is small.
                if self._cuts and carried >= self._cuts[0]:
                    self._cuts.pop(0)
                    self.breaks += 1
                    reset(client)
                    break
        except OSError:
            pass
        server.close()

    def _carry_back(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: Any) -> None:
        self._listener.close()
