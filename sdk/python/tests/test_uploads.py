"""Uploads against a real server, also over connections that break."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from gatehouse_client import GatehouseConnectionError, GatehouseError, NotFoundError, ValidationError
from gatehouse_client._shared.sources import Source
from support import RESET, Script, answer, fault

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


@pytest.mark.parametrize('resumable', [False, True])
def test_the_same_file_object_again(make: Any, resumable: bool) -> None:
    begun = [answer(201, None, Location='/x/u-1')] if resumable else []
    full = fault(507, 'quota_exceeded')
    with Script(*begun, full, *([answer(204)] if resumable else []), *begun, full) as script:
        uploads = make(script.url, api_key='gh_key').uploads
        file = io.BytesIO(b'skipped,sent')
        file.seek(8)
        for _ in range(2):
            with pytest.raises(GatehouseError):
                uploads.create(file=file, filename='a.txt', resumable=resumable)
            assert file.tell() == 8
        sent = [body for method, _, _, body in script.requests if b'sent' in body]
        assert len(sent) == 2


def test_a_file_object_that_was_closed_meanwhile(make: Any) -> None:
    file = io.BytesIO(b'x')
    with Script(fault(507, 'quota_exceeded')) as script, pytest.raises(GatehouseError):
        make(script.url, api_key='gh_key').uploads.create(file=file, on_progress=lambda *_: file.close())


def test_what_a_compressed_file_is_said_to_be() -> None:
    types = {
        'backup.tar.gz': 'application/gzip',
        'data.csv.gz': 'application/gzip',
        'log.txt.xz': 'application/x-xz',
        'log.txt.bz2': 'application/x-bzip2',
        'data.csv': 'text/csv',
        'what': 'application/octet-stream',
    }
    assert {name: Source(b'', name, None).content_type for name in types} == types


def test_a_temporary_file_of_text() -> None:
    for opened in (tempfile.NamedTemporaryFile('w+'), tempfile.SpooledTemporaryFile(mode='w+')):
        with opened as file, pytest.raises(TypeError, match="mode 'rb'"):
            Source(file, None, None)  # type: ignore[arg-type]
    with tempfile.SpooledTemporaryFile() as spooled:
        spooled.write(b'abc')
        spooled.seek(0)
        assert Source(spooled, None, None).read() == b'abc'  # type: ignore[arg-type]


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
