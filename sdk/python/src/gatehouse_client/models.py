# Generated from openapi.json by scripts/generate.py: do not edit.
"""What the server answers. Fields that this version does not know are ignored; words of a list may be new ones.

Times are `datetime` with a zone, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


def _time(value: Any) -> Any:
    # Python 3.10 does not read Z.
    return None if value is None else datetime.fromisoformat(value.replace('Z', '+00:00'))


Role = Literal['user', 'admin']


Scope = Literal[
    'users:read',
    'users:write',
    'uploads:read',
    'uploads:write',
    'broadcast:read',
    'broadcast:write',
    'admin',
]


AuditAction = Literal[
    'login.succeeded',
    'login.failed',
    'session.refresh_reused',
    'session.ended',
    'session.all_ended',
    'session.all_revoked',
    'user.registered',
    'user.created',
    'user.deleted',
    'user.role_changed',
    'user.disabled',
    'user.enabled',
    'user.quota_changed',
    'user.exported',
    'password.changed',
    'password.reset_requested',
    'password.reset',
    'email.changed',
    'email.change_undone',
    'email.verified',
    'api_key.created',
    'api_key.revoked',
    'api_key.refused',
    'mfa.enabled',
    'mfa.disabled',
    'mfa.recovery_codes_renewed',
    'mfa.recovery_code_used',
    'file.deleted',
    'channel.member_added',
    'channel.member_removed',
]


PublishPolicy = Literal['admins', 'members']


FileSort = Literal['upload_date', 'filename', 'file_size']


UserSort = Literal['created_at', 'username', 'email', 'last_login']


SortOrder = Literal['asc', 'desc']


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What users tell about themselves."""

    first_name: str | None
    last_name: str | None
    bio: str | None
    phone_number: str | None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Profile:
        """Makes one of the JSON of an answer."""
        return cls(
            first_name=body['first_name'],
            last_name=body['last_name'],
            bio=body['bio'],
            phone_number=body['phone_number'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStats:
    """What the files of a user come to.

    Attributes:
        total_storage_used: Bytes
    """

    total_uploads: int
    total_storage_used: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> UserStats:
        """Makes one of the JSON of an answer."""
        return cls(
            total_uploads=body['total_uploads'],
            total_storage_used=body['total_storage_used'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminUser:
    """An account, as admins see it.

    Attributes:
        is_superuser: Whether the role is admin
        quota: Bytes that the files may take; `null` is `USER_QUOTA`
        has_second_factor: Whether signing in asks for a code
    """

    id: str
    email: str
    username: str
    full_name: str | None
    role: str
    is_active: bool
    is_superuser: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime
    last_login: datetime | None
    profile: Profile
    stats: UserStats
    quota: int | None
    has_second_factor: bool

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> AdminUser:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            email=body['email'],
            username=body['username'],
            full_name=body['full_name'],
            role=body['role'],
            is_active=body['is_active'],
            is_superuser=body['is_superuser'],
            is_verified=body['is_verified'],
            created_at=_time(body['created_at']),
            updated_at=_time(body['updated_at']),
            last_login=_time(body['last_login']),
            profile=Profile.from_dict(body['profile']),
            stats=UserStats.from_dict(body['stats']),
            quota=body['quota'],
            has_second_factor=body['has_second_factor'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key, without the key itself.

    Attributes:
        prefix: How the key begins
        last_used_at: To within a minute
    """

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> ApiKey:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            name=body['name'],
            prefix=body['prefix'],
            scopes=body['scopes'],
            created_at=_time(body['created_at']),
            expires_at=_time(body['expires_at']),
            last_used_at=_time(body['last_used_at']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One line of the audit log.

    Attributes:
        actor_id: Who did it, if somebody was signed in; the account may be gone
    """

    id: str
    created_at: datetime
    actor_id: str | None
    action: str
    target_type: str | None
    target_id: str | None
    ip_address: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> AuditEntry:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            created_at=_time(body['created_at']),
            actor_id=body['actor_id'],
            action=body['action'],
            target_type=body['target_type'],
            target_id=body['target_id'],
            ip_address=body['ip_address'],
            user_agent=body['user_agent'],
            request_id=body['request_id'],
            details=body['details'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorised:
    """That a channel may be read."""

    channel: str
    allowed: bool

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Authorised:
        """Makes one of the JSON of an answer."""
        return cls(
            channel=body['channel'],
            allowed=body['allowed'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDeleteFailure:
    """A file that was not deleted, and why."""

    id: str
    error_code: str

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> BulkDeleteFailure:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            error_code=body['error_code'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkDelete:
    """What became of the files of one `uploads.bulk_delete`."""

    deleted: list[str]
    failed: list[BulkDeleteFailure]

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> BulkDelete:
        """Makes one of the JSON of an answer."""
        return cls(
            deleted=body['deleted'],
            failed=[BulkDeleteFailure.from_dict(each) for each in body['failed']],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelMessage:
    """A message of a channel.

    Attributes:
        sequence: Its place in the channel, without gaps; null for messages that are not durable
        epoch: Changes when sequences start anew, as after a restored backup
        data: Any JSON, at most 64 KiB
        sender_id: null: one of Gatehouse's own events
    """

    id: str
    channel: str
    sequence: int | None
    epoch: str
    event: str
    data: Any
    sender_id: str | None
    created_at: datetime

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> ChannelMessage:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            channel=body['channel'],
            sequence=body['sequence'],
            epoch=body['epoch'],
            event=body['event'],
            data=body['data'],
            sender_id=body['sender_id'],
            created_at=_time(body['created_at']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody in a channel."""

    id: str
    username: str
    full_name: str | None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Member:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            username=body['username'],
            full_name=body['full_name'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A channel, its settings and who is there.

    Attributes:
        subscribers: Connections that are subscribed, on all nodes
        sequence: Of the last message; 0 before the first
        first_sequence: Of the earliest message that is kept
        publish_policy: members: whoever may read it
        retention_seconds: Messages are kept for so long
        retention_count: So many messages are kept
        members: Presence channels: who is there, at most 1,000 of them
    """

    name: str
    kind: str
    subscribers: int
    sequence: int
    first_sequence: int
    epoch: str
    publish_policy: str
    retention_seconds: int
    retention_count: int
    members: list[Member] | None = None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Channel:
        """Makes one of the JSON of an answer."""
        return cls(
            name=body['name'],
            kind=body['kind'],
            subscribers=body['subscribers'],
            sequence=body['sequence'],
            first_sequence=body['first_sequence'],
            epoch=body['epoch'],
            publish_policy=body['publish_policy'],
            retention_seconds=body['retention_seconds'],
            retention_count=body['retention_count'],
            members=None if body.get('members') is None else [Member.from_dict(each) for each in body['members']],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStats:
    """How many read a channel."""

    channel: str
    subscribers: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> ChannelStats:
        """Makes one of the JSON of an answer."""
        return cls(
            channel=body['channel'],
            subscribers=body['subscribers'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file; its bytes come from `uploads.download`.

    Attributes:
        filename: What the owner calls it; can be changed
        original_filename: The name it came with, and downloads as
        file_size: Bytes
        user_id: The owner
    """

    id: str
    filename: str
    original_filename: str
    content_type: str
    file_size: int
    file_hash: str
    description: str | None
    upload_date: datetime
    updated_at: datetime
    user_id: str

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> File:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            filename=body['filename'],
            original_filename=body['original_filename'],
            content_type=body['content_type'],
            file_size=body['file_size'],
            file_hash=body['file_hash'],
            description=body['description'],
            upload_date=_time(body['upload_date']),
            updated_at=_time(body['updated_at']),
            user_id=body['user_id'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatistics:
    """The files of all users in numbers.

    Attributes:
        total_size: Bytes of all files
        uploads_this_month: Of the files that are there, those that came in this month (UTC)
    """

    total: int
    total_size: int
    uploads_this_month: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> FileStatistics:
        """Makes one of the JSON of an answer."""
        return cls(
            total=body['total'],
            total_size=body['total_size'],
            uploads_this_month=body['uploads_this_month'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the parts of the server work.

    Attributes:
        uptime_seconds: How long this process has run
    """

    status: str
    database: str
    storage: str
    uptime_seconds: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Health:
        """Makes one of the JSON of an answer."""
        return cls(
            status=body['status'],
            database=body['database'],
            storage=body['storage'],
            uptime_seconds=body['uptime_seconds'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Messages of a channel that are kept.

    Attributes:
        first_sequence: Of the earliest message that is kept; past the last when none is
    """

    items: list[ChannelMessage]
    channel: str
    epoch: str
    first_sequence: int
    last_sequence: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> History:
        """Makes one of the JSON of an answer."""
        return cls(
            items=[ChannelMessage.from_dict(each) for each in body['items']],
            channel=body['channel'],
            epoch=body['epoch'],
            first_sequence=body['first_sequence'],
            last_sequence=body['last_sequence'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """That the server runs."""

    status: str

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Liveness:
        """Makes one of the JSON of an answer."""
        return cls(
            status=body['status'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account, as its owner and admins see it.

    Attributes:
        is_superuser: Whether the role is admin
    """

    id: str
    email: str
    username: str
    full_name: str | None
    role: str
    is_active: bool
    is_superuser: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime
    last_login: datetime | None
    profile: Profile
    stats: UserStats

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> User:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            email=body['email'],
            username=body['username'],
            full_name=body['full_name'],
            role=body['role'],
            is_active=body['is_active'],
            is_superuser=body['is_superuser'],
            is_verified=body['is_verified'],
            created_at=_time(body['created_at']),
            updated_at=_time(body['updated_at']),
            last_login=_time(body['last_login']),
            profile=Profile.from_dict(body['profile']),
            stats=UserStats.from_dict(body['stats']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The tokens of a new session, and whose it is.

    Attributes:
        expires_in: Seconds until the access token expires
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_type: str
    expires_in: int
    user: User

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Login:
        """Makes one of the JSON of an answer."""
        return cls(
            access_token=body['access_token'],
            refresh_token=body['refresh_token'],
            token_type=body['token_type'],
            expires_in=body['expires_in'],
            user=User.from_dict(body['user']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A sentence that says what was done."""

    message: str

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Message:
        """Makes one of the JSON of an answer."""
        return cls(
            message=body['message'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaSetup:
    """What an authenticator app needs to know.

    Attributes:
        secret: For typing into the app, base 32
        qr_svg: The URI as a QR code
    """

    secret: str = field(repr=False)
    otpauth_uri: str = field(repr=False)
    qr_svg: str = field(repr=False)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> MfaSetup:
        """Makes one of the JSON of an answer."""
        return cls(
            secret=body['secret'],
            otpauth_uri=body['otpauth_uri'],
            qr_svg=body['qr_svg'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MfaStatus:
    """Whether an account has a second factor.

    Attributes:
        enabled: Whether signing in asks for a code
        required: Whether the settings of this server ask the account for a second factor
    """

    enabled: bool
    required: bool
    recovery_codes_left: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> MfaStatus:
        """Makes one of the JSON of an answer."""
        return cls(
            enabled=body['enabled'],
            required=body['required'],
            recovery_codes_left=body['recovery_codes_left'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """An API key that was just made: the only time that the key itself is shown.

    Attributes:
        prefix: How the key begins
        last_used_at: To within a minute
        key: Shown this once
    """

    id: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    key: str = field(repr=False)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> NewApiKey:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            name=body['name'],
            prefix=body['prefix'],
            scopes=body['scopes'],
            created_at=_time(body['created_at']),
            expires_at=_time(body['expires_at']),
            last_used_at=_time(body['last_used_at']),
            key=body['key'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStats:
    """One process of the server."""

    id: str
    name: str
    connections: int
    started_at: datetime

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> NodeStats:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            name=body['name'],
            connections=body['connections'],
            started_at=_time(body['started_at']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicProfile:
    """What other users see of a profile."""

    first_name: str | None
    last_name: str | None
    bio: str | None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> PublicProfile:
        """Makes one of the JSON of an answer."""
        return cls(
            first_name=body['first_name'],
            last_name=body['last_name'],
            bio=body['bio'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicUser:
    """An account, as other users see it.

    Attributes:
        email: Only when DIRECTORY_SHOWS_EMAIL=true
    """

    id: str
    username: str
    full_name: str | None
    is_active: bool
    is_verified: bool
    created_at: datetime
    last_login: datetime | None
    profile: PublicProfile
    email: str | None = None

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> PublicUser:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            username=body['username'],
            full_name=body['full_name'],
            is_active=body['is_active'],
            is_verified=body['is_verified'],
            created_at=_time(body['created_at']),
            last_login=_time(body['last_login']),
            profile=PublicProfile.from_dict(body['profile']),
            email=body.get('email'),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodes:
    """Codes for signing in without the authenticator app.

    Attributes:
        recovery_codes: Shown this once; each is good once
    """

    recovery_codes: list[str] = field(repr=False)

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> RecoveryCodes:
        """Makes one of the JSON of an answer."""
        return cls(
            recovery_codes=body['recovery_codes'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A sign-in that has not ended.

    Attributes:
        last_used_at: The login or its last refresh
        is_current: Whether it is the session of this request
    """

    id: str
    created_at: datetime
    last_used_at: datetime
    ip_address: str
    user_agent: str | None
    is_current: bool

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Session:
        """Makes one of the JSON of an answer."""
        return cls(
            id=body['id'],
            created_at=_time(body['created_at']),
            last_used_at=_time(body['last_used_at']),
            ip_address=body['ip_address'],
            user_agent=body['user_agent'],
            is_current=body['is_current'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedUrl:
    """A link that downloads a file for whoever has it."""

    url: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> SignedUrl:
        """Makes one of the JSON of an answer."""
        return cls(
            url=body['url'],
            expires_at=_time(body['expires_at']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UserStatistics:
    """The accounts in numbers.

    Attributes:
        new_this_month: Of those who are there, who came in this month (UTC)
    """

    total: int
    active: int
    new_this_month: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> UserStatistics:
        """Makes one of the JSON of an answer."""
        return cls(
            total=body['total'],
            active=body['active'],
            new_this_month=body['new_this_month'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStatistics:
    """How full the storage is.

    Attributes:
        used: Bytes that count against the quota: of all files, and what uploads under way reserve
        quota: `STORAGE_QUOTA`
        usage_percentage: With two decimals
    """

    used: int
    quota: int
    usage_percentage: float

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> StorageStatistics:
        """Makes one of the JSON of an answer."""
        return cls(
            used=body['used'],
            quota=body['quota'],
            usage_percentage=body['usage_percentage'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The whole installation in numbers."""

    users: UserStatistics
    files: FileStatistics
    storage: StorageStatistics

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Statistics:
        """Makes one of the JSON of an answer."""
        return cls(
            users=UserStatistics.from_dict(body['users']),
            files=FileStatistics.from_dict(body['files']),
            storage=StorageStatistics.from_dict(body['storage']),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Who is connected.

    Attributes:
        connections: Sockets and event streams
        channels: The 100 channels with the most subscribers
        occupied_channels: Channels that somebody is subscribed to
    """

    connections: int
    nodes: list[NodeStats]
    channels: list[ChannelStats]
    occupied_channels: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> Stats:
        """Makes one of the JSON of an answer."""
        return cls(
            connections=body['connections'],
            nodes=[NodeStats.from_dict(each) for each in body['nodes']],
            channels=[ChannelStats.from_dict(each) for each in body['channels']],
            occupied_channels=body['occupied_channels'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTicket:
    """What opens event streams where no header can be sent.

    Attributes:
        expires_in: Seconds in which the ticket opens streams
    """

    ticket: str = field(repr=False)
    expires_in: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> StreamTicket:
        """Makes one of the JSON of an answer."""
        return cls(
            ticket=body['ticket'],
            expires_in=body['expires_in'],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPair:
    """New tokens of a session.

    Attributes:
        expires_in: Seconds until the access token expires
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    token_type: str
    expires_in: int

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> TokenPair:
        """Makes one of the JSON of an answer."""
        return cls(
            access_token=body['access_token'],
            refresh_token=body['refresh_token'],
            token_type=body['token_type'],
            expires_in=body['expires_in'],
        )
