"""Uploads in pieces, over connections that break, and their memory."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from cutter import Cutter
from gatehouse_client import (
    AsyncGatehouseClient,
    GatehouseClient,
    GatehouseConnectionError,
    GatehouseError,
    InvalidAnswerError,
)
from gatehouse_client._shared import tus
from support import PASSWORD, RESET, ROOT, STALL, Script, Server, answer, fault, new_name

MIB = 1024 * 1024


def text_of(size: int) -> bytes:
    """So many bytes that are text and nowhere the same."""
    return os.urandom(size // 2).hex().encode()


def hash_of(content: bytes) -> str:
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def test_progress_and_the_size_from_which_it_is_sent_in_pieces(make: Any, server: Server, client: Any) -> None:
    content = text_of(9 * MIB)
    told: list[tuple[int, int]] = []
    file = client.uploads.create(
        file=io.BytesIO(content), filename='a.txt', on_progress=lambda sent, total: told.append((sent, total))
    )
    assert file.file_hash == hash_of(content)
    assert told == sorted(told) and told[-1] == (len(content), len(content)) and len(told) > 9


def test_goes_on_where_the_connection_broke(make: Any, server: Server) -> None:
    content = text_of(40 * MIB)
    name = sign_up_at(make, server)
    with Cutter(server.url, 1 * MIB, 6 * MIB) as cutter:
        client = make(cutter.url)
        client.auth.login(username=name, password=PASSWORD)
        told: list[int] = []
        file = client.uploads.create(
            file=io.BytesIO(content), filename='a.txt', on_progress=lambda sent, total: told.append(sent)
        )
        assert cutter.breaks == 2
    assert (file.file_hash, file.file_size) == (hash_of(content), len(content))
    # It did not begin anew.
    assert told[-1] == len(content) and told.count(min(told)) <= 2


def sign_up_at(make: Any, server: Server) -> str:
    name = new_name()
    make(server.url).auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
    return name


UPLOAD = '/api/v1/uploads/resumable/u-1'
CREATED = answer(201, None, Location='https://elsewhere.example.com/x/u-1')
WHOLE = {
    'id': 'u-1',
    'filename': 'a.txt',
    'original_filename': 'a.txt',
    'content_type': 'text/plain',
    'file_size': 4,
    'file_hash': 'sha256:' + '0' * 64,
    'description': None,
    'upload_date': '2026-01-01T00:00:00.000Z',
    'updated_at': '2026-01-01T00:00:00.000Z',
    'user_id': 'me',
    'of_a_later_version': True,
}


def at(offset: int) -> Any:
    return answer(200, None, Upload_Offset=str(offset))


def test_asks_for_the_offset_after_a_failure(make: Any) -> None:
    done = answer(204, None, Upload_Offset='4')
    busy, elsewhere = fault(503, 'service_unavailable'), fault(409, 'upload_offset_conflict')
    with Script(CREATED, RESET, busy, at(2), elsewhere, at(2), done, answer(200, WHOLE)) as script:
        client = make(script.url, api_key='gh_key')
        assert client.uploads.create(file=b'abcd', filename='a.txt', resumable=True).id == 'u-1'
        sent = [(method, path, headers.get('upload-offset'), body) for method, path, headers, body in script.requests]
        assert sent == [
            ('POST', '/api/v1/uploads/resumable', None, b''),
            ('PATCH', UPLOAD, '0', b'abcd'),
            ('HEAD', UPLOAD, None, b''),
            ('HEAD', UPLOAD, None, b''),
            ('PATCH', UPLOAD, '2', b'cd'),
            ('HEAD', UPLOAD, None, b''),
            ('PATCH', UPLOAD, '2', b'cd'),
            ('GET', '/api/v1/uploads/u-1', None, b''),
        ]
        assert {headers['x-api-key'] for _, _, headers, _ in script.requests} == {'gh_key'}
        assert script.requests[0][2]['upload-metadata'] == 'filename YS50eHQ=,filetype dGV4dC9wbGFpbg=='


def test_a_connection_that_stands_still_is_a_broken_one(make: Any) -> None:
    done = answer(204, None, Upload_Offset='4')
    with Script(CREATED, STALL, at(0), done, answer(200, WHOLE)) as script:
        client = make(script.url, api_key='gh_key')
        assert client.uploads.create(file=b'abcd', resumable=True, timeout=5).id == 'u-1'
        assert [request[0] for request in script.requests] == ['POST', 'PATCH', 'HEAD', 'PATCH', 'GET']


def with_asyncio(upload: Any) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(upload(), 0.3)

    asyncio.run(main())


def with_anyio(upload: Any) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.3) as scope:
            await upload()
        assert scope.cancel_called

    anyio.run(main)


@pytest.mark.parametrize('cancel', [with_asyncio, with_anyio])
def test_a_task_that_is_cancelled_gives_up(cancel: Any) -> None:
    with Script(CREATED, STALL, answer(204, None)) as script:

        async def upload() -> None:
            async with AsyncGatehouseClient(script.url, api_key='gh_key') as client:
                await client.uploads.create(file=b'abcd', resumable=True)

        cancel(upload)
        assert [request[0] for request in script.requests] == ['POST', 'PATCH', 'DELETE']


def test_gives_up_what_cannot_be_finished(make: Any) -> None:
    with Script(CREATED, fault(507, 'quota_exceeded'), answer(204)) as script:
        with pytest.raises(GatehouseError) as full:
            make(script.url, api_key='gh_key').uploads.create(file=b'abcd', resumable=True)
        assert full.value.code == 'quota_exceeded'
        assert [request[0] for request in script.requests] == ['POST', 'PATCH', 'DELETE']


def test_gives_up_when_nothing_gets_through(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tus, 'PATIENCE', 0.5)
    with Script(CREATED, RESET) as script:
        with pytest.raises(GatehouseConnectionError):
            make(script.url, api_key='gh_key').uploads.create(file=b'abcd', resumable=True)
        methods = [request[0] for request in script.requests]
        assert methods[:2] == ['POST', 'PATCH'] and methods[-1] == 'DELETE' and 'HEAD' in methods


def test_it_is_tried_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(tus.time, 'monotonic', lambda: now)
    endurance, lost = tus.Endurance(2), GatehouseConnectionError('lost')
    for _ in range(2):
        # The first piece may have taken long itself.
        now, began, pauses = now + 500, now + 500, []
        while (delay := endurance.delay_after(lost)) is not None:
            pauses.append(delay)
            now += delay
        assert now - began >= 60 and pauses[0] <= 0.25 and 4 <= pauses[-1] <= 8
        endurance.progressed()
    assert tus.Endurance(0).delay_after(lost) is None


@pytest.mark.parametrize('said', [{}, {'Upload_Offset': 'x'}, {'Upload_Offset': '-1'}, {'Upload_Offset': '5'}])
def test_an_offset_that_makes_no_sense(make: Any, said: dict[str, str]) -> None:
    for answers in ((RESET, answer(200, None, **said)), (answer(204, None, **said),)):
        with Script(CREATED, *answers, answer(204)) as script:
            with pytest.raises(InvalidAnswerError, match='Upload-Offset'):
                make(script.url, api_key='gh_key').uploads.create(file=b'abcd', resumable=True)
            assert script.requests[-1][0] == 'DELETE'


def test_a_largest_size_that_makes_no_sense(make: Any) -> None:
    with Script(answer(204, None, Tus_Max_Size='much')) as script:
        with pytest.raises(InvalidAnswerError, match='Tus-Max-Size'):
            make(script.url).uploads.resumable_limits()


def test_what_the_server_takes_in_pieces(make: Any, server: Server) -> None:
    limits = make(server.url).uploads.resumable_limits()
    assert (limits.version, limits.max_size) == ('1.0.0', 512 * MIB)
    assert 'creation' in limits.extensions and 'sha256' in limits.checksum_algorithms


MEMORY = """
import asyncio, pathlib, resource, sys
from gatehouse_client import AsyncGatehouseClient, GatehouseClient
kind, url, name, password, path, resumable = sys.argv[1:]
file = {'file': pathlib.Path(path), 'resumable': resumable == 'True'}
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def with_threads():
    with GatehouseClient(url) as client:
        client.auth.login(username=name, password=password)
        client.uploads.create(file=b'warm', filename='warm.txt')
        before = peak()
        made = client.uploads.create(**file)
        client.uploads.download(made.id).save(path + '.copy')
        client.uploads.delete(made.id)
        return peak() - before, made.file_hash

async def with_tasks():
    async with AsyncGatehouseClient(url) as client:
        await client.auth.login(username=name, password=password)
        await client.uploads.create(file=b'warm', filename='warm.txt')
        before = peak()
        made = await client.uploads.create(**file)
        await client.uploads.download(made.id).save(path + '.copy')
        await client.uploads.delete(made.id)
        return peak() - before, made.file_hash

grown, file_hash = with_threads() if kind == 'sync' else asyncio.run(with_tasks())
print(grown, file_hash)
"""


@pytest.mark.parametrize(('kind', 'resumable'), [('sync', False), ('async', True)])
def test_memory_does_not_grow_with_the_file(server: Server, tmp_path: Path, kind: str, resumable: bool) -> None:
    name = new_name()
    with GatehouseClient(server.url) as client:
        client.auth.register(email=f'{name}@example.com', username=name, password=PASSWORD)
    path = tmp_path / 'large.txt'
    digest = hashlib.sha256()
    block = text_of(MIB)
    with path.open('wb') as f:
        for _ in range(300):
            f.write(block)
            digest.update(block)
    # A process of its own: the peak is that of nothing else.
    environment = os.environ | {'PYTHONPATH': str(ROOT / 'sdk' / 'python' / 'src')}
    said = subprocess.run(
        [sys.executable, '-c', MEMORY, kind, server.url, name, PASSWORD, str(path), str(resumable)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stderr == ''
    grown, file_hash = said.stdout.split()
    assert file_hash == f'sha256:{digest.hexdigest()}'
    assert int(grown) < 32
    copy = path.with_name('large.txt.copy')
    assert copy.stat().st_size == path.stat().st_size
    copy.unlink()
    path.unlink()
