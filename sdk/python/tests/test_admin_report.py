"""examples/admin_report.py, as it is started by hand, on a server whose numbers are known."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gatehouse_client
from gatehouse_client import AuthenticationError, GatehouseClient
from live_server import LiveServer, admin_of, new_user
from support import PASSWORD, ROOT

EXAMPLE = ROOT / 'examples' / 'admin_report.py'


@pytest.fixture(scope='module')
def known_server() -> Iterator[LiveServer]:
    server = LiveServer(USER_QUOTA='500000', STORAGE_QUOTA='1000000')
    yield server
    server.remove()


def report(server: LiveServer, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLE), *arguments],
        env={
            'PATH': os.environ.get('PATH', ''),
            'PYTHONPATH': str(Path(gatehouse_client.__file__).parents[1]),
            'PYTHONIOENCODING': 'utf-8',
            'GATEHOUSE_URL': server.url,
            'GATEHOUSE_API_KEY': key,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_numbers_are_those_of_the_server(known_server: LiveServer, tmp_path: Path) -> None:
    admin = admin_of(known_server)
    names = [new_user(known_server) for _ in range(3)]
    (ann, ann_id), (bob, bob_id), (_, carol_id) = names
    for name, sizes in ((ann, (1000, 500)), (bob, (2000,))):
        with GatehouseClient(known_server.url) as client:
            client.auth.login(username=name, password=PASSWORD)
            for size in sizes:
                client.uploads.create(file=b'x' * size, filename='note.txt')
    admin.admin.users.update(bob_id, quota=8000)
    admin.admin.users.update(carol_id, is_active=False)
    for name in (ann, ann, 'nobody_at_all'):
        with GatehouseClient(known_server.url) as client, pytest.raises(AuthenticationError):
            client.auth.login(username=name, password='Wrong-Password-1')
    key = admin.users.api_keys.create(name='report', scopes=['admin']).key

    file = tmp_path / 'report.csv'
    ran = report(known_server, key, '--csv', str(file))
    assert (ran.returncode, ran.stderr) == (0, '')
    tables = {part.splitlines()[0]: part.splitlines()[2:] for part in ran.stdout.strip().split('\n\n')}
    cells = {title: [line.split() for line in lines] for title, lines in tables.items()}
    verified = sum(not user.is_verified for user in admin.admin.users.iterate(role='user'))
    assert cells['Users'][1:] == [
        ['admin', '1', '1', '0', cells['Users'][1][-1]],
        ['user', '3', '2', '1', str(verified)],
    ]
    largest = cells['Storage, the 10 largest'][1:]
    assert largest[:2] == [[bob, '1', '2000', '8000', '25.0'], [ann, '2', '1500', '-', '-']]
    assert len(largest) == 4
    assert cells['Failed logins of the last day'][1] == [ann, '2', '1']
    assert cells['Failed logins of the last day'][2][-2:] == ['1', '1']
    assert cells['Quota'][1] == ['everything', '3500', '1000000', '0.35']

    rows = list(csv.reader(file.read_text('utf-8').splitlines()))
    assert rows[0] == ['table', 'name', 'measure', 'value']
    assert ['Users', 'user', 'disabled', '1'] in rows
    assert ['Storage, the 10 largest', bob, 'bytes', '2000'] in rows
    assert ['Storage, the 10 largest', ann, 'own quota', ''] in rows
    assert ['Quota', 'everything', '% of it', '0.35'] in rows


def test_a_key_that_may_not_is_told_in_one_line(known_server: LiveServer) -> None:
    key = admin_of(known_server).users.api_keys.create(name='reader', scopes=['broadcast:read']).key
    ran = report(known_server, key)
    assert ran.returncode == 1
    assert ran.stdout == ''
    assert ran.stderr.startswith('admin_report.py: ') and ran.stderr.count('\n') == 1
    assert key not in ran.stderr


def test_without_a_key_it_says_what_is_missing(known_server: LiveServer) -> None:
    ran = report(known_server, '')
    assert ran.returncode == 2
    assert 'GATEHOUSE_API_KEY is not set' in ran.stderr
