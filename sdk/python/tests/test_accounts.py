"""Signing up, in and out; accounts, keys, the second factor."""

from __future__ import annotations

import time
import zipfile
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest

from gatehouse_client import (
    AuthenticationError,
    ConflictError,
    GatehouseError,
    MemoryTokens,
    MfaRequiredError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
    models,
)
from support import PASSWORD, Server, new_name, totp


def test_signing_up_in_and_out(make: Any, server: Server) -> None:
    tokens = MemoryTokens()
    client = make(server.url, tokens=tokens)
    name = new_name()
    user = client.auth.register(
        email=f'{name}@example.com', username=name, password=PASSWORD, confirm_password=PASSWORD, full_name='Ann Lee'
    )
    assert isinstance(user, models.User)
    assert (user.username, user.full_name, user.role, user.last_login) == (name, 'Ann Lee', 'user', None)
    assert user.created_at.tzinfo is not None
    assert abs(datetime.now(timezone.utc) - user.created_at) < timedelta(minutes=5)
    with pytest.raises(AuthenticationError) as refused:
        client.users.me()
    assert refused.value.code == 'not_authenticated'
    with pytest.raises(AuthenticationError) as wrong:
        client.auth.login(username=name, password='Wrong-Password-1')
    assert wrong.value.code == 'login_failed'
    login = client.auth.login(email=user.email, password=PASSWORD)
    assert login.user.id == user.id
    assert client.users.me().username == name
    assert [session.is_current for session in client.auth.sessions.list().items] == [True]
    kept = tokens.load()
    assert kept is not None and kept.access_token == login.access_token
    client.auth.logout()
    assert tokens.load() is None
    # It has ended at the server, too.
    tokens.save(kept)
    with pytest.raises(AuthenticationError) as ended:
        client.users.me()
    assert ended.value.code == 'invalid_refresh_token'


def test_logout_of_a_session_that_has_ended(make: Any, server: Server, client: Any) -> None:
    tokens = MemoryTokens()
    other = make(server.url, tokens=tokens)
    other.auth.login(username=client.users.me().username, password=PASSWORD)
    ended = next(session for session in client.auth.sessions.iterate(size=1) if not session.is_current)
    client.auth.sessions.end(ended.id)
    other.auth.logout()
    assert tokens.load() is None
    # Nobody is signed in: nothing to do.
    other.auth.logout()
    with pytest.raises(NotFoundError):
        client.auth.sessions.end(ended.id)


def test_logging_out_everywhere(make: Any, server: Server, client: Any) -> None:
    other = make(server.url)
    other.auth.login(username=client.users.me().username, password=PASSWORD)
    client.auth.logout_all()
    with pytest.raises(AuthenticationError):
        other.users.me()
    with pytest.raises(AuthenticationError) as nobody:
        client.auth.refresh()
    assert nobody.value.code == 'not_authenticated'


def test_changing_the_password(client: Any) -> None:
    with pytest.raises(GatehouseError) as wrong:
        client.auth.change_password(current_password='Wrong-Password-1', new_password='Another-Pass-1')
    assert (wrong.value.code, wrong.value.status) == ('wrong_password', 400)
    with pytest.raises(ValidationError) as weak:
        client.auth.change_password(current_password=PASSWORD, new_password='alllowercase')
    assert weak.value.field_errors.keys() == {'new_password'}
    done = client.auth.change_password(
        current_password=PASSWORD, new_password='Another-Pass-1', confirm_password='Another-Pass-1'
    )
    assert done.message == 'Password changed successfully'
    assert client.users.me().is_active


def test_what_goes_by_mail(make: Any, server: Server, client: Any) -> None:
    me = client.users.me()
    anybody = make(server.url)
    assert not me.is_verified
    client.auth.resend_verification()
    anybody.auth.resend_verification(email=me.email)
    anybody.auth.verify_email(token=server.token_mailed_to(me.email, 'verify'))
    assert client.users.me().is_verified
    assert anybody.auth.forgot_password(email=me.email).message
    anybody.auth.reset_password(token=server.token_mailed_to(me.email, 'reset'), new_password='Another-Pass-1')
    anybody.auth.login(username=me.username, password='Another-Pass-1')
    changed = anybody.users.update_me(email=f'new-{me.email}')
    assert not changed.is_verified
    undone = anybody.auth.undo_email_change(token=server.token_mailed_to(me.email, 'undo'))
    assert undone.message
    with pytest.raises(GatehouseError) as used:
        anybody.auth.verify_email(token='no-such-token')
    assert used.value.code == 'invalid_one_time_token'


def test_the_second_factor(make: Any, server: Server, client: Any) -> None:
    assert not client.auth.mfa.status().enabled
    setup = client.auth.mfa.setup(password=PASSWORD)
    codes = client.auth.mfa.confirm(code=totp(setup.secret, time.time())).recovery_codes
    status = client.auth.mfa.status()
    assert (status.enabled, status.recovery_codes_left) == (True, len(codes))
    assert setup.secret not in repr(setup)

    other = make(server.url)
    name = client.users.me().username
    with pytest.raises(MfaRequiredError) as challenge:
        other.auth.login(username=name, password=PASSWORD)
    assert challenge.value.expires_in > 0
    assert challenge.value.mfa_token not in repr(challenge.value) + str(challenge.value)
    with pytest.raises(AuthenticationError) as wrong:
        other.auth.mfa.verify(mfa_token=challenge.value.mfa_token, code='000000')
    assert wrong.value.code == 'wrong_code'
    other.auth.mfa.verify(mfa_token=challenge.value.mfa_token, recovery_code=codes[0])
    assert other.users.me().username == name

    renewed = client.auth.mfa.renew_recovery_codes(password=PASSWORD, recovery_code=codes[1]).recovery_codes
    assert renewed != codes
    client.auth.mfa.disable(password=PASSWORD, code=renewed[0])
    assert not client.auth.mfa.status().enabled


def test_the_own_account(client: Any) -> None:
    me = client.users.update_me(bio='Writes', full_name='Ann Lee', phone_number='+1234567890')
    assert (me.profile.bio, me.full_name, me.profile.phone_number) == ('Writes', 'Ann Lee', '+1234567890')
    # What is not given stays; None clears.
    me = client.users.update_me(bio=None, username=new_name())
    assert (me.profile.bio, me.full_name) == (None, 'Ann Lee')
    assert client.users.update(me.id, first_name='Ann').profile.first_name == 'Ann'
    with client.users.export_me() as export:
        assert export.content_type == 'application/zip'
        assert export.filename and export.filename.endswith('.zip')
        archive = zipfile.ZipFile(BytesIO(export.read()))
    assert archive.testzip() is None and archive.namelist()
    with pytest.raises(GatehouseError) as wrong:
        client.users.delete_me(password='Wrong-Password-1')
    assert wrong.value.code == 'wrong_password'
    client.users.delete_me(password=PASSWORD)
    with pytest.raises(AuthenticationError) as gone:
        client.users.me()
    assert gone.value.code == 'not_authenticated'


def test_other_accounts(make: Any, server: Server, client: Any, admin: Any) -> None:
    me = client.users.me()
    seen = client.users.get(admin.users.me().id)
    assert isinstance(seen, models.PublicUser) and seen.email is None
    assert isinstance(client.users.get(me.id), models.User)
    found = client.users.list(search=me.username)
    assert (found.total, found.items[0].id, len(found)) == (1, me.id, 1)
    assert isinstance(found.items[0], models.PublicUser)
    assert isinstance(admin.users.list(search=me.username).items[0], models.User)
    assert me.id in [user.id for user in client.users.iterate(search=me.username, size=1)]
    assert len(client.users.list(skip=0, limit=1)) == 1
    name = new_name()
    made = admin.users.create(email=f'{name}@example.com', username=name, password=PASSWORD, is_superuser=True)
    assert made.is_superuser
    with pytest.raises(ConflictError) as taken:
        client.users.create(email=f'{name}@example.com', password=PASSWORD)
    assert (taken.value.code, [*taken.value.field_errors]) == ('email_taken', ['email'])
    with pytest.raises(PermissionDeniedError):
        client.users.update(made.id, bio='not mine')
    admin.users.delete(made.id)
    with pytest.raises(NotFoundError) as gone:
        admin.users.get(made.id)
    assert gone.value.code == 'user_not_found'


def test_api_keys(make: Any, server: Server, client: Any) -> None:
    ends = datetime.now(timezone.utc) + timedelta(days=1)
    key = client.users.api_keys.create(name='reader', scopes=['users:read'], expires_at=ends)
    assert key.expires_at is not None and abs(key.expires_at - ends) < timedelta(seconds=1)
    assert key.key.startswith(key.prefix) and key.key not in repr(key)
    by_key = make(server.url, api_key=key.key)
    assert by_key.users.me().id == client.users.me().id
    assert key.key not in repr(by_key) + repr(by_key.users)
    with pytest.raises(PermissionDeniedError) as scope:
        by_key.uploads.list()
    assert scope.value.code == 'insufficient_scope'
    for sign_in in (
        lambda: by_key.auth.login(username='ann', password=PASSWORD),
        lambda: by_key.auth.mfa.verify(mfa_token='t', code='123456'),
        by_key.auth.refresh,
        by_key.auth.logout,
    ):
        with pytest.raises(ValueError, match='API key'):
            sign_in()
    assert [each.name for each in client.users.api_keys.list()] == ['reader']
    assert [each.id for each in client.users.api_keys.iterate(size=1)] == [key.id]
    client.users.api_keys.delete(key.id)
    with pytest.raises(AuthenticationError):
        by_key.users.me()
    assert client.users.api_keys.create(name='no end', expires_at=None).expires_at is None
