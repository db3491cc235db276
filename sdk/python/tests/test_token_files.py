"""Tokens in a file, for programs that are started again and again."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import gatehouse_client as g
from counted import Counted
from support import PASSWORD, ROOT, Script, Server, fault, new_name


def test_a_file_of_tokens(tmp_path: Path) -> None:
    path = tmp_path / 'below' / 'tokens.json'
    storage = g.FileTokens(path)
    assert storage.load() is None
    storage.save(None)
    tokens = g.Tokens('a0', 'r0', 123, 900)
    storage.save(tokens)
    assert storage.load() == g.FileTokens(str(path)).load() == tokens
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ['tokens.json']
    cannot_be_sent = json.dumps({'access_token': 'a\n', 'refresh_token': 'r', 'expires_at': 1})
    for nonsense in ('', '{', '[]', '{"access_token": 1}', cannot_be_sent):
        path.write_text(nonsense)
        assert storage.load() is None
    storage.save(None)
    assert not path.exists()
    assert repr(storage) == f"FileTokens('{path}')"
    assert isinstance(storage, g.TokenStorage)


def test_the_lock_of_a_file(tmp_path: Path) -> None:
    one, other = (g.FileTokens(tmp_path / 'tokens.json') for _ in range(2))
    assert one.try_lock()
    assert not one.try_lock() and not other.try_lock()
    one.unlock()
    one.unlock()
    assert other.try_lock()
    other.unlock()


def test_whose_tokens_they_are(tmp_path: Path) -> None:
    path = tmp_path / 'tokens.json'
    storage = g.FileTokens(path)
    with Script(fault(401, 'not_authenticated')) as ours, Script(fault(401, 'invalid_token')) as others:
        g.FileTokens(path, origin=ours.url + '/below').save(g.Tokens('a0', 'r0', 2**45))
        for script in (others, ours):
            with g.GatehouseClient(script.url, tokens=storage) as client:
                client.auth.logout()
                with pytest.raises(g.AuthenticationError):
                    client.users.me()
            assert path.exists() == (script is others)
        assert ['authorization' in headers for _, _, headers, _ in others.requests] == [False]
        assert 'authorization' in ours.requests[0][2] or b'r0' in ours.requests[0][3]


def test_one_address_is_written_in_several_ways(tmp_path: Path) -> None:
    path = tmp_path / 'tokens.json'
    g.FileTokens(path, origin='https://Example.com').save(g.Tokens('a0', 'r0', 1))
    assert g.FileTokens(path, origin='HTTPS://example.com:443/').load() is not None
    for other in ('http://example.com', 'https://example.com:8443', 'https://example.org'):
        assert g.FileTokens(path, origin=other).load() is None


def test_a_file_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    g.FileTokens('~/tokens.json').save(g.Tokens('a0', 'r0', 1))
    assert (tmp_path / 'tokens.json').exists()


def test_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', none)
    storage = g.FileTokens(tmp_path / 'tokens.json')
    for _ in range(2):
        assert storage.try_lock()
        storage.unlock()


PROCESS = """
import sys, time
from gatehouse_client import FileTokens, GatehouseClient
url, path, seconds = sys.argv[1:]
with GatehouseClient(url, tokens=FileTokens(path)) as client:
    print('ready', flush=True)
    sys.stdin.readline()
    end = time.monotonic() + float(seconds)
    calls = 0
    while True:
        client.broadcasting.create_stream_ticket()
        calls += 1
        if time.monotonic() > end:
            break
print(calls)
"""


def two_processes(url: str, path: Path, seconds: float) -> list[int]:
    environment = os.environ | {'PYTHONPATH': str(ROOT / 'sdk' / 'python' / 'src')}
    processes = [
        subprocess.Popen(
            [sys.executable, '-c', PROCESS, url, str(path), str(seconds)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == 'ready\n'
    for process in processes:
        assert process.stdin is not None
        process.stdin.write('go\n')
        process.stdin.flush()
    calls = [int(process.communicate()[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return calls


def test_two_processes_make_one_renewal(tmp_path: Path) -> None:
    path = tmp_path / 'tokens.json'
    server = Counted()
    with Script(server) as script:
        g.FileTokens(path, origin=script.url).save(g.Tokens('a0', 'r0', 0))
        assert two_processes(script.url, path, 0) == [1, 1]
    assert server.refreshed == 1


def test_two_processes_share_a_real_session(hasty_server: Server, tmp_path: Path) -> None:
    path = tmp_path / 'tokens.json'
    name = new_name()
    with g.GatehouseClient(hasty_server.url, tokens=g.FileTokens(path)) as client:
        client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
        client.auth.login(username=name, password=PASSWORD)
        assert min(two_processes(hasty_server.url, path, 6)) > 0
        # The session is the same one yet.
        assert client.users.me().username == name
        assert client.auth.sessions.list().total == 1
