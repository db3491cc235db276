"""What the tests need: a started server, servers that fail, and one way to use both clients."""

from __future__ import annotations

import base64
import email
import hashlib
import hmac
import inspect
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[3]
CLI = Path(os.environ.get('GATEHOUSE_CLI', ROOT / 'dist' / 'src' / 'cli.js'))
ADMIN = {'email': 'admin@example.com', 'password': 'Correct-Horse-1'}
PASSWORD = 'SecurePass123!'

_numbers = itertools.count(1)


def new_name() -> str:
    """A username that nobody has."""
    return f'user_{os.getpid()}_{next(_numbers)}'


def eventually(read: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true value."""
    end = time.monotonic() + seconds
    while not (value := read()):
        if time.monotonic() > end:
            raise AssertionError('waited in vain')
        time.sleep(0.05)
    return value


class Server:
    """Gatehouse as users start it, with a database and files of its own."""

    def __init__(self, **environment: str) -> None:
        self.data = tempfile.mkdtemp(prefix='gatehouse-python-')
        # As root the database runs as another user, who must get there.
        os.chmod(self.data, 0o711)
        self._environment = {
            'PATH': os.environ.get('PATH', ''),
            'HOME': os.environ.get('HOME', '/'),
            'HOST': '127.0.0.1',
            'DATA_DIR': self.data,
            'BCRYPT_COST': '10',
            'RATE_LIMIT_ENABLED': 'false',
            'ADMIN_EMAIL': ADMIN['email'],
            'ADMIN_PASSWORD': ADMIN['password'],
        } | environment
        try:
            self.start('0')
        except BaseException:
            shutil.rmtree(self.data, ignore_errors=True)
            raise

    def start(self, port: str | None = None) -> None:
        """Starts it, on the port that it had before unless another is said."""
        port = port if port is not None else str(urlsplit(self.url).port)
        self._log = open(os.path.join(tempfile.gettempdir(), f'{os.path.basename(self.data)}.log'), 'w+')
        self._process = subprocess.Popen(
            ['node', str(CLI), 'start'],
            env=self._environment | {'PORT': port},
            cwd=tempfile.gettempdir(),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        try:
            self.url = eventually(self._address, 90).replace('localhost', '127.0.0.1')
        except BaseException:
            self.stop()
            raise

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        """Ends the process; the data stay."""
        self._process.send_signal(with_signal)
        self._process.wait(60)
        self._log.close()
        os.unlink(self._log.name)

    def remove(self) -> None:
        """Ends it for good."""
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)

    def _address(self) -> str | None:
        said = Path(self._log.name).read_text('utf-8', 'replace')
        if self._process.poll() is not None:
            raise RuntimeError(f'the server has ended:\n{said}')
        match = re.search(r'listening on (http:\S+)', said)
        return match[1] if match else None

    def mails_to(self, address: str) -> list[Message]:
        """What was mailed to somebody, the earliest first."""
        folder = Path(self.data) / 'outbox'
        mails = [email.message_from_bytes(file.read_bytes()) for file in sorted(folder.glob('*.eml'))]
        return [mail for mail in mails if address in mail['to']]

    def token_mailed_to(self, address: str, page: str) -> str:
        """The token in the newest link to a page such as `verify`."""

        def find() -> str | None:
            for mail in reversed(self.mails_to(address)):
                text = next(part for part in mail.walk() if part.get_content_type() == 'text/plain')
                body = text.get_payload(decode=True).decode()
                match = re.search(rf'/account/{page}\S*?token=([\w.-]+)', body)
                if match:
                    return match[1]
            return None

        return eventually(find)


class Blocking:
    """The asyncio client, used like the other one: every test is for both."""

    def __init__(self, target: Any, portal: Any) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, 'aclose' if name == 'close' else name)
        if inspect.iscoroutinefunction(value):
            return lambda *args, **named: self._wrap(self._portal.call(partial(value, *args, **named)))
        if inspect.isroutine(value):
            return lambda *args, **named: self._wrap(value(*args, **named))
        return self._wrap(value)

    def __enter__(self) -> Blocking:
        self._portal.call(self._target.__aenter__)
        return self

    def __exit__(self, *error: Any) -> None:
        self._portal.call(self._target.__aexit__, *error)

    def __repr__(self) -> str:
        return repr(self._target)

    def _wrap(self, value: Any) -> Any:
        if hasattr(value, '__anext__'):
            return self._items(value)
        return Blocking(value, self._portal) if '._async.' in type(value).__module__ else value

    def _items(self, iterator: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._portal.call(iterator.__anext__)
            except StopAsyncIteration:
                return


Answer = tuple[int, dict[str, str], bytes]
RESET = 'reset'
"""The connection breaks before the answer."""
STALL = 'stall'
"""No answer comes."""


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    """An answer as JSON; `retry_after='1'` is the header Retry-After."""
    fields = {name.replace('_', '-'): value for name, value in headers.items()}
    return status, {'Content-Type': 'application/json', **fields}, json.dumps(body).encode()


def fault(status: int, code: str, **headers: str) -> Answer:
    """An error as Gatehouse sends it."""
    body = {'detail': 'It went wrong', 'status': 'error', 'code': status, 'error_code': code, 'request_id': 'r-1'}
    return answer(status, body, **headers)


class Script:
    """A server that answers what it was told, in order, and then the last one for ever."""

    def __init__(self, *answers: Answer | str | Callable[[Any], None]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get('content-length', 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                script.requests.append((self.command, self.path, headers, body))
                next_answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
                if next_answer == STALL:
                    script.released.wait(30)
                    self.close_connection = True
                elif next_answer == RESET:
                    reset(self.connection)
                    self.close_connection = True
                elif callable(next_answer):
                    next_answer(self)
                else:
                    self.respond(*next_answer)

            def respond(self, status: int, fields: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                if status != 204 and 'Content-Length' not in fields:
                    self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                if self.command != 'HEAD' and status != 204:
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: Any) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def reset(connection: socket.socket) -> None:
    """Breaks a connection, as when the other side has died."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    connection.close()


def totp(secret: str, at: float) -> str:
    """The code of an authenticator app (RFC 6238)."""
    key = base64.b32decode(secret + '=' * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack('>Q', int(at // 30)), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f'{(struct.unpack(">I", digest[start:start + 4])[0] & 0x7FFFFFFF) % 10**6:06}'
