"""Client for Gatehouse: accounts, files and live messages.

    from gatehouse_client import GatehouseClient

    client = GatehouseClient(base_url='http://localhost:8000', api_key='…')
    with open('document.pdf', 'rb') as f:
        result = client.uploads.create(file=f, description='Important document')

`AsyncGatehouseClient` is the same for asyncio.
"""

from __future__ import annotations

from . import models
from ._async.client import AsyncGatehouseClient
from ._async.download import AsyncDownload
from ._async.event_stream import AsyncEventStream
from ._async.socket import AsyncConnection
from ._async.subscription import AsyncSubscription
from ._shared.connection import VERSION as __version__
from ._shared.not_given import NOT_GIVEN, NotGiven
from ._shared.tus import ResumableLimits
from ._sync.client import GatehouseClient
from ._sync.download import Download
from ._sync.event_stream import EventStream
from ._sync.socket import Connection
from ._sync.subscription import Subscription
from .errors import (
    AuthenticationError,
    ConflictError,
    GatehouseConnectionError,
    GatehouseError,
    GatehouseTimeoutError,
    InvalidAnswerError,
    MfaRequiredError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ValidationError,
)
from .live import (
    ConnectionLost,
    ConnectionState,
    Gap,
    MessageReceived,
    Position,
    PresenceJoined,
    PresenceLeft,
    SessionEnded,
    StreamEvent,
    Subscribed,
    SubscriptionEnded,
)
from .pages import Page
from .tokens import FileTokens, MemoryTokens, Tokens, TokenStorage

__all__ = [
    'NOT_GIVEN',
    'AsyncConnection',
    'AsyncDownload',
    'AsyncEventStream',
    'AsyncGatehouseClient',
    'AsyncSubscription',
    'AuthenticationError',
    'ConflictError',
    'Connection',
    'ConnectionLost',
    'ConnectionState',
    'Download',
    'EventStream',
    'FileTokens',
    'Gap',
    'GatehouseClient',
    'GatehouseConnectionError',
    'GatehouseError',
    'GatehouseTimeoutError',
    'InvalidAnswerError',
    'MemoryTokens',
    'MessageReceived',
    'MfaRequiredError',
    'NotFoundError',
    'NotGiven',
    'Page',
    'PermissionDeniedError',
    'Position',
    'PresenceJoined',
    'PresenceLeft',
    'RateLimitError',
    'ResumableLimits',
    'SessionEnded',
    'StreamEvent',
    'Subscribed',
    'Subscription',
    'SubscriptionEnded',
    'TokenStorage',
    'Tokens',
    'ValidationError',
    '__version__',
    'models',
]
