"""Uploads against a real server, also over connections that break."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest

from gatehouse_client import AsyncGatehouseClient, GatehouseConnectionError, GatehouseError, NotFoundError, ValidationError
from support import PASSWORD, RESET, ROOT, STALL, Cutter, Script, Server, answer, fault, new_name

MIB = 1024 * 1024


def text_of(size: int) -> bytes:
    """So many bytes that are text and nowhere the same."""
    return os.urandom(size // 2).hex().encode()


def hash_of(content: bytes) -> str:
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def test_a_file(client: Any, tmp_path: Path) -> None:
    path = tmp_path / 'Übersicht "1".txt'
    path.write_bytes(b'one two')
    with path.open('rb') as f:
        file = client.uploads.create(file=f, description='Important document')
        assert not f.closed
    assert (file.filename, file.content_type, file.file_size) == ('Übersicht "1".txt', 'text/plain', 7)
    assert (file.description, file.file_hash) == ('Important document', hash_of(b'one two'))
    assert client.uploads.get(file.id) == file
    changed = client.uploads.update(file.id, description=None, filename='new.txt')
    assert (changed.description, changed.filename, changed.original_filename) == (None, 'new.txt', file.filename)
    assert client.uploads.update(file.id, filename='newer.txt').description is None
    client.uploads.delete(file.id)
    with pytest.raises(NotFoundError):
        client.uploads.get(file.id)


@pytest.mark.parametrize('resumable', [False, True])
def test_what_can_be_a_file(client: Any, tmp_path: Path, resumable: bool) -> None:
    path = tmp_path / 'a.csv'
    path.write_bytes(b'a,b\n1,2\n')
    half_read = io.BytesIO(b'skipped,sent')
    half_read.seek(8)
    for given, named, expected in (
        (b'bytes', {}, ('file', b'bytes')),
        (bytearray(b'more'), {'filename': 'x.txt'}, ('x.txt', b'more')),
        (memoryview(b'view'), {'filename': 'x.txt', 'content_type': 'text/plain'}, ('x.txt', b'view')),
        (path, {}, ('a.csv', b'a,b\n1,2\n')),
        (half_read, {'filename': 'half.txt'}, ('half.txt', b'sent')),
        (b'', {'filename': 'empty.txt'}, ('empty.txt', b'')),
    ):
        named = {'content_type': 'text/plain'} | named if given == b'bytes' else named
        file = client.uploads.create(file=given, resumable=resumable, **named)
        assert (file.filename, client.uploads.download(file.id).read()) == expected


def test_what_cannot_be_a_file(client: Any, tmp_path: Path) -> None:
    path = tmp_path / 'a.txt'
    path.write_text('text')
    with path.open('r') as text, pytest.raises(TypeError, match="mode 'rb'"):
        client.uploads.create(file=text)
    with pytest.raises(TypeError, match='pathlib'):
        client.uploads.create(file=str(path))
    with pytest.raises(TypeError, match='int'):
        client.uploads.create(file=1)
    with pytest.raises(FileNotFoundError):
        client.uploads.create(file=tmp_path / 'none.txt')
    with pytest.raises(ValueError, match='content_type'):
        client.uploads.create(file=b'x', content_type='text/plain\r\nX: y')


def test_a_pipe_is_sent_in_chunks(client: Any) -> None:
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, 'wb') as pipe:
            for _ in range(40):
                pipe.write(b'x' * 10_000)

    threading.Thread(target=write).start()
    told: list[Any] = []
    with os.fdopen(reader, 'rb') as pipe:
        with pytest.raises(ValueError, match='no size'):
            client.uploads.create(file=pipe, resumable=True)
        file = client.uploads.create(
            file=pipe, filename='piped.txt', on_progress=lambda sent, total: told.append((sent, total))
        )
    assert file.file_hash == hash_of(b'x' * 400_000)
    assert told[-1] == (400_000, None)


@pytest.mark.parametrize('resumable', [False, True])
def test_what_the_server_refuses(client: Any, resumable: bool) -> None:
    with pytest.raises(GatehouseError) as kind:
        client.uploads.create(file=b'MZ' + bytes(100), filename='a.exe', resumable=resumable)
    assert (kind.value.code, kind.value.status) == ('file_type_not_allowed', 415)
    with pytest.raises(GatehouseError) as long:
        client.uploads.create(file=b'x', filename='a.txt', description='d' * 1001, resumable=resumable)
    assert long.value.status == 422


def test_a_file_that_is_too_large_is_not_sent(client: Any, tmp_path: Path) -> None:
    path = tmp_path / 'large.txt'
    with path.open('wb') as f:
        f.truncate(2 * 1024 * MIB)
    told: list[int] = []
    with pytest.raises(GatehouseError) as large:
        client.uploads.create(file=path, on_progress=lambda sent, total: told.append(sent))
    assert (large.value.code, told) == ('file_too_large', [])


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
    with Script(
        CREATED, RESET, fault(503, 'service_unavailable'), at(2), fault(409, 'upload_offset_conflict'), at(2), done,
        answer(200, WHOLE),
    ) as script:
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
        assert client.uploads.create(file=b'abcd', resumable=True, timeout=0.3).id == 'u-1'
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


def test_gives_up_when_nothing_gets_through(make: Any) -> None:
    with Script(CREATED, RESET) as script:
        with pytest.raises(GatehouseConnectionError):
            make(script.url, api_key='gh_key', max_retries=1).uploads.create(file=b'abcd', resumable=True)
        methods = [request[0] for request in script.requests]
        assert methods[:2] == ['POST', 'PATCH'] and methods[-1] == 'DELETE' and methods.count('HEAD') == 4


def test_a_callback_that_fails_ends_the_upload(client: Any) -> None:
    def fail(sent: int, total: int | None) -> None:
        raise RuntimeError('stop')

    for resumable in (True, False):
        with pytest.raises(RuntimeError, match='stop'):
            client.uploads.create(file=text_of(MIB), filename='a.txt', resumable=resumable, on_progress=fail)
    assert client.uploads.list().total == 0


def test_a_form_is_sent_once(make: Any) -> None:
    with Script(RESET) as script:
        with pytest.raises(GatehouseConnectionError):
            make(script.url, api_key='gh_key').uploads.create(file=b'abcd')
        assert len(script.requests) == 1


def test_lists(client: Any) -> None:
    for name in ('b.txt', 'a.txt', 'c.md'):
        client.uploads.create(file=b'# ' + name.encode(), filename=name, description=f'about {name}')
    page = client.uploads.list(sort_by='filename', sort_order='asc', page=1, size=2)
    assert ([file.filename for file in page], page.total, page.pages) == (['a.txt', 'b.txt'], 3, 2)
    assert [file.filename for file in client.uploads.list(skip=2, limit=5, sort_by='filename', sort_order='asc')] == [
        'c.md'
    ]
    everything = client.uploads.iterate(sort_by='filename', sort_order='asc', size=1)
    assert [file.filename for file in everything] == ['a.txt', 'b.txt', 'c.md']
    assert [file.filename for file in client.uploads.iterate(search='about b')] == ['b.txt']
    assert client.uploads.list(content_type='image/*').items == []
    with pytest.raises(ValidationError):
        client.uploads.list(page=1, skip=1)
    ids = [file.id for file in client.uploads.iterate()]
    outcome = client.uploads.bulk_delete([*ids, 'none'])
    assert sorted(outcome.deleted) == sorted(ids)
    assert [(failure.id, failure.error_code) for failure in outcome.failed] == [('none', 'file_not_found')]


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
def test_memory_does_not_grow_with_the_file(
    server: Server, tmp_path: Path, kind: str, resumable: bool
) -> None:
    from gatehouse_client import GatehouseClient

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
