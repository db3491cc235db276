"""Where a client keeps the tokens of its session."""

from __future__ import annotations

import copy
import json
import os
import re
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable
from urllib.parse import urlsplit

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session.

    Attributes:
        access_token: Goes with each request.
        refresh_token: Gets the next pair.
        expires_at: When the access token expires, in milliseconds since 1970 by the clock of this machine.
        expires_in: How long it was good for when it came, in seconds, if that is known.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: int
    expires_in: int | None = None


@runtime_checkable
class TokenStorage(Protocol):
    """Keeps tokens. Both methods are quick: the asyncio client calls them in its loop, before each request.

    A storage that several processes share may also have `try_lock() -> bool` and `unlock() -> None`. The lock is
    held while tokens are refreshed, so that one process does it for all.
    """

    def load(self) -> Tokens | None:
        """The tokens, or None when nobody is signed in."""

    def save(self, tokens: Tokens | None) -> None:
        """Keeps the tokens; None forgets them."""


class MemoryTokens:
    """Keeps tokens as long as the program runs."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def load(self) -> Tokens | None:
        """The tokens, or None when nobody is signed in."""
        return self._tokens

    def save(self, tokens: Tokens | None) -> None:
        """Keeps the tokens; None forgets them."""
        self._tokens = tokens

    def __repr__(self) -> str:
        return 'MemoryTokens()'


class FileTokens:
    """Keeps tokens in a file that only this user can read (0600), for command-line programs.

    Several processes may share the file. Beside it lies `<name>.lock`, by which one of them refreshes at a time
    (where the system has `flock`).

    The file also says whose tokens they are. A client of another server takes them for none, and its refusals leave
    them there; when it signs in itself, its tokens take their place.

    Args:
        path: `~` is the home directory.
        origin: The server, like `http://localhost:8000`, for programs that save tokens themselves: a client says it
            for its own.
    """

    def __init__(self, path: str | os.PathLike[str], *, origin: str | None = None) -> None:
        self.path = Path(path).expanduser()
        self.origin = None if origin is None else origin_of(origin)
        self._lock_file: int | None = None
        self._guard = threading.Lock()

    def load(self) -> Tokens | None:
        """The tokens, or None when there is no file, or none of ours in it."""
        try:
            value = json.loads(self.path.read_text('utf-8'))
        except (FileNotFoundError, ValueError):
            return None
        if self.origin is not None and isinstance(value, dict) and value.get('origin') != self.origin:
            return None
        return _parse(value)

    def save(self, tokens: Tokens | None) -> None:
        """Replaces the file in one step; None removes it."""
        if tokens is None:
            if self.origin is None or self.load() is not None:
                self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # mkstemp makes it 0600.
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f'.{self.path.name}.')
        try:
            with os.fdopen(handle, 'w', encoding='utf-8') as file:
                json.dump(asdict(tokens) | {'origin': self.origin}, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def try_lock(self) -> bool:
        """Takes the lock between processes, unless somebody has it."""
        if fcntl is None:
            return True
        with self._guard:
            if self._lock_file is not None:
                return False
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(f'{self.path}.lock', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                return False
            except OSError:
                # There are no locks here, as on some network drives. Two that refresh at once get the same tokens.
                os.close(handle)
                return True
            self._lock_file = handle
            return True

    def unlock(self) -> None:
        """Gives the lock back."""
        with self._guard:
            if self._lock_file is not None:
                # Closing releases it.
                os.close(self._lock_file)
                self._lock_file = None

    def for_origin(self, origin: str) -> FileTokens:
        """The same file, for the tokens of one server."""
        bound = copy.copy(self)
        bound.origin, bound._lock_file, bound._guard = origin_of(origin), None, threading.Lock()
        return bound

    def __repr__(self) -> str:
        return f'FileTokens({str(self.path)!r})'


def storage_for(origin: str, storage: TokenStorage) -> TokenStorage:
    """The storage for the tokens of one server; those that are not ours keep what they are given."""
    return storage.for_origin(origin) if isinstance(storage, FileTokens) else storage


def origin_of(url: str) -> str:
    """The scheme, the host and the port of an address; a port that goes without saying is left out."""
    parts = urlsplit(url)
    port = '' if parts.port in (None, {'http': 80, 'https': 443}.get(parts.scheme)) else f':{parts.port}'
    host = parts.hostname or ''
    return f'{parts.scheme}://{f"[{host}]" if ":" in host else host}{port}'


def _parse(value: Any) -> Tokens | None:
    if not isinstance(value, dict):
        return None
    access, refresh, expires_at = value.get('access_token'), value.get('refresh_token'), value.get('expires_at')
    if not (_is_token(access) and _is_token(refresh) and isinstance(expires_at, (int, float))):
        return None
    expires_in = value.get('expires_in')
    return Tokens(access, refresh, int(expires_at), expires_in if isinstance(expires_in, int) else None)


def _is_token(value: Any) -> TypeGuard[str]:
    # httpx would show what cannot be a header.
    return isinstance(value, str) and re.fullmatch('[!-~]+', value) is not None
