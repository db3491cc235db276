#!/usr/bin/env python3
"""Prints a report on a Gatehouse server: users, storage, failed logins, quota.

    GATEHOUSE_API_KEY=... python3 examples/admin_report.py [--csv report.csv]

The key is an admin's, with the scope admin. GATEHOUSE_URL names the server, unless it is http://localhost:8000.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from gatehouse_client import GatehouseClient, GatehouseError
from gatehouse_client.models import AdminUser

TOP = 10


class Table(NamedTuple):
    """The first column of the rows says what the numbers in the others are about."""

    title: str
    columns: list[str]
    rows: list[list[str | int | float | None]]


def users_by_role(users: list[AdminUser]) -> Table:
    rows = []
    for role in sorted({user.role for user in users}):
        own = [user for user in users if user.role == role]
        active = sum(user.is_active for user in own)
        rows.append([role, len(own), active, len(own) - active, sum(not user.is_verified for user in own)])
    return Table('Users', ['role', 'users', 'active', 'disabled', 'unverified'], rows)


def storage_by_user(users: list[AdminUser]) -> Table:
    # Without a quota of their own, users have the server's.
    largest = sorted(users, key=lambda user: user.stats.total_storage_used, reverse=True)[:TOP]
    rows = []
    for user in largest:
        used = user.stats.total_storage_used
        use = round(100 * used / user.quota, 2) if user.quota else None
        rows.append([user.username, user.stats.total_uploads, used, user.quota, use])
    return Table(f'Storage, the {TOP} largest', ['user', 'files', 'bytes', 'own quota', '% of it'], rows)


def failed_logins(client: GatehouseClient, users: list[AdminUser]) -> Table:
    now = datetime.now(timezone.utc)
    names = {user.id: user.username for user in users}
    failures: Counter[str] = Counter()
    addresses: dict[str, set[str | None]] = {}
    for entry in client.admin.audit_log.iterate(action='login.failed', from_=now - timedelta(days=1), to=now):
        # A name that nobody has is not kept.
        name = names.get(entry.target_id or '', '(no such user)')
        failures[name] += 1
        addresses.setdefault(name, set()).add(entry.ip_address)
    rows = [[name, count, len(addresses[name])] for name, count in failures.most_common()]
    return Table('Failed logins of the last day', ['user', 'failures', 'addresses'], rows)


def quota_use(client: GatehouseClient) -> Table:
    storage = client.admin.stats().storage
    row = ['everything', storage.used, storage.quota, storage.usage_percentage]
    return Table('Quota', ['storage', 'bytes', 'quota', '% of it'], [row])


def make_report(client: GatehouseClient) -> list[Table]:
    users = list(client.admin.users.iterate(sort_by='created_at', sort_order='asc'))
    return [users_by_role(users), storage_by_user(users), failed_logins(client, users), quota_use(client)]


def show(table: Table) -> str:
    cells = [table.columns] + [['-' if value is None else str(value) for value in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        '  '.join([name.ljust(widths[0]), *(value.rjust(width) for value, width in zip(values, widths[1:]))])
        for name, *values in cells
    ]
    return '\n'.join([table.title, '-' * len(lines[0]), *lines])


def write_csv(tables: list[Table], path: str) -> None:
    """One number a line, so that reports can be put one after the other."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['table', 'name', 'measure', 'value'])
        for table in tables:
            for name, *values in table.rows:
                writer.writerows([table.title, name, *pair] for pair in zip(table.columns[1:], values))


def main() -> None:
    parser = argparse.ArgumentParser(description='Reports on a Gatehouse server: users, storage, failed logins, quota.')
    parser.add_argument('--csv', metavar='FILE', help='write the numbers to this file, too')
    arguments = parser.parse_args()
    key = os.environ.get('GATEHOUSE_API_KEY')
    if not key:
        parser.error('GATEHOUSE_API_KEY is not set: make a key with the scope admin')
    with GatehouseClient(base_url=os.environ.get('GATEHOUSE_URL', 'http://localhost:8000'), api_key=key) as client:
        tables = make_report(client)
    print('\n\n'.join(map(show, tables)))
    if arguments.csv:
        write_csv(tables, arguments.csv)


if __name__ == '__main__':
    try:
        main()
    except (GatehouseError, OSError) as error:
        sys.exit(f'admin_report.py: {error}')
