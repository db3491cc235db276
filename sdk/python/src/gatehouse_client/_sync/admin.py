# Generated from _async/admin.py by scripts/generate.py: do not edit.
"""What admins do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .._shared.calls import Call, path
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from ..models import AdminUser, AuditAction, AuditEntry, File, FileSort, Role, Session, SortOrder, Statistics, UserSort
from ..pages import Page
from .resource import PAGE_SIZE, Resource, all_pages
from .transport import Transport


class AdminSessions(Resource):
    """`client.admin.users.sessions`: where a user is signed in."""

    def list(
        self,
        id: str,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[Session]:
        """One page of the sessions of the user `id`."""
        query = {'page': page, 'size': size, 'skip': skip, 'limit': limit}
        call = Call('GET', path('/admin/users/{id}/sessions', id=id), query=query, timeout=timeout)
        return self._api.json(call, Page.reader(Session.from_dict))

    def iterate(self, id: str, *, size: int = PAGE_SIZE, timeout: Timeout = NOT_GIVEN) -> Iterator[Session]:
        """All sessions of the user `id`, fetched by pages."""
        return all_pages(lambda page: self.list(id, page=page, size=size, timeout=timeout))

    def end(self, id: str, session_id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Ends one session of the user `id`."""
        where = path('/admin/users/{id}/sessions/{session_id}', id=id, session_id=session_id)
        self._api.nothing(Call('DELETE', where, timeout=timeout))


class AdminUsers(Resource):
    """`client.admin.users`: all accounts."""

    def __init__(self, api: Transport) -> None:
        super().__init__(api)
        self.sessions = AdminSessions(api)

    def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        role: Role | None = None,
        active: bool | None = None,
        sort_by: UserSort | None = None,
        sort_order: SortOrder | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[AdminUser]:
        """One page of the accounts, the newest first unless it is said."""
        query = {
            'page': page,
            'size': size,
            'skip': skip,
            'limit': limit,
            'search': search,
            'role': role,
            'active': active,
            'sort_by': sort_by,
            'sort_order': sort_order,
        }
        call = Call('GET', path('/admin/users'), query=query, timeout=timeout)
        return self._api.json(call, Page.reader(AdminUser.from_dict))

    def iterate(
        self,
        *,
        search: str | None = None,
        role: Role | None = None,
        active: bool | None = None,
        sort_by: UserSort | None = None,
        sort_order: SortOrder | None = None,
        size: int = PAGE_SIZE,
        timeout: Timeout = NOT_GIVEN,
    ) -> Iterator[AdminUser]:
        """All accounts, fetched by pages."""
        return all_pages(
            lambda page: self.list(
                page=page,
                size=size,
                search=search,
                role=role,
                active=active,
                sort_by=sort_by,
                sort_order=sort_order,
                timeout=timeout,
            )
        )

    def get(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> AdminUser:
        """An account."""
        return self._api.json(Call('GET', path('/admin/users/{id}', id=id), timeout=timeout), AdminUser.from_dict)

    def update(
        self,
        id: str,
        *,
        role: Role | NotGiven = NOT_GIVEN,
        is_active: bool | NotGiven = NOT_GIVEN,
        quota: int | None | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> AdminUser:
        """Changes role, standing or quota (bytes; None: what the server gives everybody).

        Raises ConflictError when no active admin would be left.
        """
        body = given(role=role, is_active=is_active, quota=quota)
        call = Call('PATCH', path('/admin/users/{id}', id=id), body=body, timeout=timeout)
        return self._api.json(call, AdminUser.from_dict)

    def delete(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Deletes an account with all it has."""
        self._api.nothing(Call('DELETE', path('/admin/users/{id}', id=id), timeout=timeout))

    def revoke_sessions(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Signs a user out everywhere."""
        self._api.nothing(Call('POST', path('/admin/users/{id}/revoke-sessions', id=id), timeout=timeout))

    def reset_mfa(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Turns the second factor of a user off, who has lost it. Not for API keys."""
        self._api.nothing(Call('DELETE', path('/admin/users/{id}/mfa', id=id), timeout=timeout))


class AdminUploads(Resource):
    """`client.admin.uploads`: the files of all users."""

    def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        content_type: str | None = None,
        sort_by: FileSort | None = None,
        sort_order: SortOrder | None = None,
        user_id: str | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[File]:
        """One page of the files; `content_type` is exact or like `image/*`."""
        query = {
            'page': page,
            'size': size,
            'skip': skip,
            'limit': limit,
            'search': search,
            'content_type': content_type,
            'sort_by': sort_by,
            'sort_order': sort_order,
            'user_id': user_id,
        }
        call = Call('GET', path('/admin/uploads'), query=query, timeout=timeout)
        return self._api.json(call, Page.reader(File.from_dict))

    def iterate(
        self,
        *,
        search: str | None = None,
        content_type: str | None = None,
        sort_by: FileSort | None = None,
        sort_order: SortOrder | None = None,
        user_id: str | None = None,
        size: int = PAGE_SIZE,
        timeout: Timeout = NOT_GIVEN,
    ) -> Iterator[File]:
        """All files, fetched by pages."""
        return all_pages(
            lambda page: self.list(
                page=page,
                size=size,
                search=search,
                content_type=content_type,
                sort_by=sort_by,
                sort_order=sort_order,
                user_id=user_id,
                timeout=timeout,
            )
        )

    def delete(self, id: str, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Deletes somebody's file."""
        self._api.nothing(Call('DELETE', path('/admin/uploads/{id}', id=id), timeout=timeout))


class AuditLog(Resource):
    """`client.admin.audit_log`: who did what."""

    def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        actor_id: str | None = None,
        action: AuditAction | None = None,
        target_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[AuditEntry]:
        """One page of the log, the newest first. `from` is a word of Python: it is `from_` here."""
        query = {
            'page': page,
            'size': size,
            'skip': skip,
            'limit': limit,
            'actor_id': actor_id,
            'action': action,
            'target_id': target_id,
            'from': from_,
            'to': to,
        }
        call = Call('GET', path('/admin/audit-log'), query=query, timeout=timeout)
        return self._api.json(call, Page.reader(AuditEntry.from_dict))

    def iterate(
        self,
        *,
        actor_id: str | None = None,
        action: AuditAction | None = None,
        target_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        size: int = PAGE_SIZE,
        timeout: Timeout = NOT_GIVEN,
    ) -> Iterator[AuditEntry]:
        """The whole log, fetched by pages. Give `to`, so that what is logged meanwhile does not move the pages."""
        return all_pages(
            lambda page: self.list(
                page=page,
                size=size,
                actor_id=actor_id,
                action=action,
                target_id=target_id,
                from_=from_,
                to=to,
                timeout=timeout,
            )
        )


class Admin(Resource):
    """`client.admin`: for admins. Keys need the scope `admin`."""

    def __init__(self, api: Transport) -> None:
        super().__init__(api)
        self.users = AdminUsers(api)
        self.uploads = AdminUploads(api)
        self.audit_log = AuditLog(api)

    def stats(self, *, timeout: Timeout = NOT_GIVEN) -> Statistics:
        """Users, files and storage in numbers."""
        return self._api.json(Call('GET', path('/admin/stats'), timeout=timeout), Statistics.from_dict)
