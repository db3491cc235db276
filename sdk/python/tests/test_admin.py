"""What admins do, channels and health."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from gatehouse_client import (
    AuthenticationError,
    ConflictError,
    GatehouseError,
    NotFoundError,
    PermissionDeniedError,
    models,
)
from support import PASSWORD, Server, new_name


def test_users(make: Any, server: Server, client: Any, admin: Any) -> None:
    me = client.users.me()
    listed = admin.admin.users.list(
        search=me.username, role='user', active=True, sort_by='username', sort_order='asc', page=1, size=5
    )
    assert [user.id for user in listed] == [me.id]
    assert isinstance(listed.items[0], models.AdminUser)
    assert [user.id for user in admin.admin.users.iterate(search=me.username, size=1)] == [me.id]
    assert admin.admin.users.get(me.id).quota is None
    assert admin.admin.users.update(me.id, quota=1000).quota == 1000
    assert admin.admin.users.update(me.id, quota=None).quota is None
    assert admin.admin.users.update(me.id, role='admin').is_superuser
    assert client.admin.users.get(me.id).role == 'admin'
    admin.admin.users.update(me.id, role='user', is_active=True)
    with pytest.raises(PermissionDeniedError):
        client.admin.users.get(me.id)
    with pytest.raises(GatehouseError):
        admin.admin.users.reset_mfa(me.id)
    admin.admin.users.delete(me.id)
    with pytest.raises(NotFoundError):
        admin.admin.users.get(me.id)


def test_sessions(make: Any, server: Server, client: Any, admin: Any) -> None:
    me = client.users.me()
    other = make(server.url)
    other.auth.login(username=me.username, password=PASSWORD)
    sessions = [*admin.admin.users.sessions.iterate(me.id, size=1)]
    assert len(sessions) == admin.admin.users.sessions.list(me.id).total == 2
    admin.admin.users.sessions.end(me.id, sessions[0].id)
    admin.admin.users.revoke_sessions(me.id)
    assert admin.admin.users.sessions.list(me.id).items == []
    with pytest.raises(AuthenticationError):
        client.users.me()


def test_files(client: Any, admin: Any) -> None:
    me = client.users.me()
    file = client.uploads.create(file=b'theirs', filename='theirs.txt')
    found = admin.admin.uploads.list(user_id=me.id, content_type='text/*', sort_by='filename', search='theirs')
    assert [each.id for each in found] == [file.id]
    assert [each.id for each in admin.admin.uploads.iterate(user_id=me.id, size=1)] == [file.id]
    admin.admin.uploads.delete(file.id)
    with pytest.raises(NotFoundError):
        client.uploads.get(file.id)


def test_the_log(client: Any, admin: Any) -> None:
    me = client.users.me()
    start = datetime.now(timezone.utc) - timedelta(hours=1)
    entries = admin.admin.audit_log.list(actor_id=me.id, action='login.succeeded', from_=start, size=10)
    assert [entry.action for entry in entries] == ['login.succeeded']
    assert isinstance(entries.items[0].details, dict)
    about = [*admin.admin.audit_log.iterate(target_id=me.id, to=datetime.now(timezone.utc), size=1)]
    assert {'user.registered'} <= {entry.action for entry in about}
    assert admin.admin.audit_log.list(to=start, target_id=me.id).items == []


def test_numbers(admin: Any) -> None:
    statistics = admin.admin.stats()
    assert statistics.users.total >= 1
    assert isinstance(statistics.storage.usage_percentage, (int, float))
    stats = admin.broadcasting.stats()
    assert stats.connections >= 0 and len(stats.nodes) == 1


def test_messages(client: Any, admin: Any) -> None:
    channel = f'news-{new_name()}'
    first = admin.broadcasting.publish(channel=channel, event='greeting', data={'text': 'Hello'})
    assert (first.sequence, first.data, first.event) == (1, {'text': 'Hello'}, 'greeting')
    again = {'channel': channel, 'event': 'paid', 'data': [1], 'idempotency_key': 'order-1'}
    second = admin.broadcasting.publish(**again)
    assert admin.broadcasting.publish(**again).id == second.id
    with pytest.raises(ConflictError) as other:
        admin.broadcasting.publish(**{**again, 'data': [2]})
    assert other.value.code == 'idempotency_conflict'
    assert admin.broadcasting.publish(channel=channel, event='typing', durable=False).sequence is None
    with pytest.raises(PermissionDeniedError):
        client.broadcasting.publish(channel=channel, event='not mine')
    history = client.broadcasting.history(channel, after=1, limit=10)
    assert [message.id for message in history.items] == [second.id]
    assert (history.first_sequence, history.last_sequence) == (1, 2)
    assert client.broadcasting.authorize(channel_name=channel, socket_id='s').allowed
    with pytest.raises(PermissionDeniedError):
        client.broadcasting.authorize(channel_name='private-role.admin')
    assert client.broadcasting.create_stream_ticket().ticket


def test_channels(client: Any, admin: Any) -> None:
    me = client.users.me()
    name = f'private-{new_name()}'
    admin.broadcasting.channels.members.add(name, me.id)
    assert [member.id for member in admin.broadcasting.channels.members.list(name)] == [me.id]
    assert [member.id for member in admin.broadcasting.channels.members.iterate(name, size=1)] == [me.id]
    changed = admin.broadcasting.channels.update(name, publish_policy='members', retention_count=5)
    assert (changed.publish_policy, changed.retention_count, changed.kind) == ('members', 5, 'private')
    assert admin.broadcasting.channels.update(name, retention_count=None).retention_count > 5
    assert client.broadcasting.publish(channel=name, event='hello').data is None
    assert client.broadcasting.channels.get(name).sequence == 1
    assert name in [channel.name for channel in client.broadcasting.channels.iterate(size=1)]
    assert client.broadcasting.channels.list(page=1, size=100).total >= 1
    admin.broadcasting.channels.members.remove(name, me.id)
    with pytest.raises(PermissionDeniedError):
        client.broadcasting.channels.get(name)


def test_health(make: Any, server: Server) -> None:
    client = make(server.url)
    assert client.health.live().status == 'ok'
    assert client.health.status().status == 'healthy'
    assert 'gatehouse_http_requests_total' in client.health.metrics(token='for-metrics-only-1234')
    with pytest.raises(AuthenticationError):
        client.health.metrics()
