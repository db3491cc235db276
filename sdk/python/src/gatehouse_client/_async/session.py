"""The tokens of the client, and their renewal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .._shared import async_runtime as runtime
from .._shared.background import AsyncHandler
from .._shared.expiry import is_due, tokens_of
from ..errors import AuthenticationError, GatehouseError
from ..models import TokenPair
from ..tokens import Tokens, TokenStorage

_LOCK_POLL = 0.05
_LOCK_PATIENCE = 60.0
_FINISH_PATIENCE = 10.0

Refresh = Callable[[str], Awaitable[TokenPair]]


class AsyncTokenSession:
    """Who the client is: by tokens, which it renews, or by an API key, which it does not.

    However many calls are under way, one refresh is made for all of them.
    """

    def __init__(
        self,
        storage: TokenStorage,
        api_key: str | None,
        refresh: Refresh,
        on_end: Callable[[], object] | None,
    ) -> None:
        self._storage = storage
        self._api_key = api_key
        self._refresh = refresh
        self._on_end = None if on_end is None else AsyncHandler(on_end)
        self._lock = runtime.Lock()
        self._errands = runtime.Errands()
        self._attempts = 0
        self._failure: GatehouseError | None = None

    @property
    def api_key(self) -> str | None:
        """The API key, if the client has one."""
        return self._api_key

    def require_tokens(self) -> None:
        """Fails where an API key and tokens would get in each other's way."""
        if self._api_key is not None:
            raise ValueError('this client has an API key: make one without api_key to sign in')

    def stored(self) -> Tokens | None:
        """What is stored, fresh or not."""
        return None if self._api_key is not None else self._storage.load()

    async def tokens(self) -> Tokens | None:
        """Tokens that are good for a while yet, or None when nobody is signed in."""
        tokens = self.stored()
        if tokens is None or not is_due(tokens):
            return tokens
        return await self.renew(tokens)

    async def headers(self) -> tuple[dict[str, str], Tokens | None]:
        """The headers that say who calls, and the tokens that they were made of."""
        if self._api_key is not None:
            return {'X-API-Key': self._api_key}, None
        tokens = await self.tokens()
        return ({} if tokens is None else {'Authorization': f'Bearer {tokens.access_token}'}), tokens

    async def renew(self, used: Tokens) -> Tokens | None:
        """Newer tokens than `used`. Whoever finds that somebody else has got some takes those.

        Once begun it is finished, whatever becomes of the caller: the server has a new refresh token by then, which
        must not get lost.
        """
        seen = self._attempts
        return await self._errands.run(lambda: self._renew(used, seen))

    async def finish(self) -> None:
        """Waits for a renewal that nobody else waits for any more. It needs the connections yet."""
        await self._errands.finish(_FINISH_PATIENCE)

    async def _renew(self, used: Tokens, seen: int) -> Tokens | None:
        has_ended = False
        try:
            async with self._lock:
                if self._attempts != seen and self._failure is not None:
                    # It was tried while this call waited, and failed.
                    raise self._failure
                locked = await self._lock_storage()
                try:
                    return await self._renew_locked(used)
                except AuthenticationError:
                    has_ended = True
                    raise
                finally:
                    if locked:
                        self._storage.unlock()  # type: ignore[attr-defined]
        finally:
            # Without the lock: it may well sign in again.
            if has_ended and self._on_end is not None:
                await self._on_end.call()

    async def store(self, tokens: Tokens | None) -> None:
        """Keeps the tokens of a login, or forgets them; not in the middle of a refresh."""
        async with self._lock:
            self._failure = None
            self._storage.save(tokens)

    async def _renew_locked(self, used: Tokens) -> Tokens | None:
        current = self._storage.load()
        if current is None or (current.access_token != used.access_token and not is_due(current)):
            return current
        try:
            pair = await self._refresh(current.refresh_token)
        except AuthenticationError as error:
            self._failed(error)
            self._storage.save(None)
            raise
        except GatehouseError as error:
            self._failed(error)
            raise
        tokens = tokens_of(pair.access_token, pair.refresh_token, pair.expires_in)
        self._storage.save(tokens)
        self._attempts += 1
        self._failure = None
        return tokens

    def _failed(self, error: GatehouseError) -> None:
        self._attempts += 1
        self._failure = error

    async def _lock_storage(self) -> bool:
        """Takes the lock between processes, if the storage has one. Who waits too long goes without: the server
        gives both the same tokens when they ask within its grace window."""
        try_lock = getattr(self._storage, 'try_lock', None)
        if try_lock is None:
            return False
        waited = 0.0
        while not try_lock():
            if waited >= _LOCK_PATIENCE:
                return False
            await runtime.sleep(_LOCK_POLL)
            waited += _LOCK_POLL
        return True
