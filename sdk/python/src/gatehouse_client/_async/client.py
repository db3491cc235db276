"""The client itself."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from .._shared import async_runtime as runtime
from .._shared.connection import (
    DEFAULT_RESUMABLE_ABOVE,
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    LIMITS,
    USER_AGENT,
    Settings,
    check_api_key,
)
from ..errors import GatehouseTimeoutError
from ..models import TokenPair
from ..tokens import MemoryTokens, TokenStorage, storage_for
from .admin import AsyncAdmin
from .auth import AsyncAuth, refresh_call
from .broadcasting import AsyncBroadcasting
from .health import AsyncHealthChecks
from .session import AsyncTokenSession
from .transport import AsyncTransport
from .uploads import AsyncUploads
from .users import AsyncUsers


class AsyncGatehouseClient:
    """A client of one Gatehouse server.

        async with AsyncGatehouseClient(base_url='http://localhost:8000', api_key='…') as client:
            me = await client.users.me()

    It may be used by many at once. Close it, or use it with `with`, when it is not needed any more.

    Args:
        base_url: Where the server is, without `/api/v1`.
        api_key: Calls are made with this key. Without one, `auth.login` signs in.
        tokens: Where the tokens of the session are kept; in memory unless it is given. `FileTokens` keeps them in a
            file. Not together with an API key.
        timeout: Seconds to wait for a connection, or for the next bytes of an answer. Uploads and downloads are not
            timed once they run. None waits for ever.
        max_retries: How many more times a call is sent that may be sent again, after 429, 502, 503, 504 or a broken
            connection.
        resumable_above: Files larger than this, in bytes, are uploaded in pieces.
        on_session_end: Called when the server refuses to renew the session: somebody has to sign in again. With asyncio
            it may be `async`.
        transport: What httpx sends requests through, for tests and special networks.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        tokens: TokenStorage | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        max_retries: int = DEFAULT_RETRIES,
        resumable_above: int = DEFAULT_RESUMABLE_ABOVE,
        on_session_end: Callable[[], object] | None = None,
        transport: runtime.Transport | None = None,
    ) -> None:
        if api_key is not None and tokens is not None:
            raise ValueError('give either api_key or tokens')
        settings = Settings(base_url, timeout, max_retries, resumable_above)

        def connections() -> runtime.HttpClient:
            return runtime.HttpClient(transport=transport, headers={'User-Agent': USER_AGENT}, limits=LIMITS)

        self._api = AsyncTransport(settings, connections)
        storage = storage_for(settings.origin, MemoryTokens() if tokens is None else tokens)
        self._api.session = AsyncTokenSession(storage, check_api_key(api_key), self._refresh, on_session_end)
        self.auth = AsyncAuth(self._api)
        self.users = AsyncUsers(self._api)
        self.uploads = AsyncUploads(self._api)
        self.admin = AsyncAdmin(self._api)
        self.broadcasting = AsyncBroadcasting(self._api)
        self.health = AsyncHealthChecks(self._api)

    async def aclose(self) -> None:
        """Closes the connections. The session stays: `auth.logout` ends it."""
        await self._api.aclose()

    async def __aenter__(self) -> AsyncGatehouseClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        how = 'tokens' if self._api.session.api_key is None else 'an API key'
        return f'<{type(self).__name__} of {self._api.settings.origin} with {how}>'

    async def _refresh(self, refresh_token: str) -> TokenPair:
        call = refresh_call(refresh_token, self._api.settings.timeout)
        try:
            return await self._api.json(call, TokenPair.from_dict)
        except GatehouseTimeoutError:
            if self._api.settings.max_retries == 0:
                raise
            return await self._api.json(call, TokenPair.from_dict)
