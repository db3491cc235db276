"""Downloads: whole, in part, to a file, and over other origins."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gatehouse_client import (
    GatehouseConnectionError,
    GatehouseError,
    GatehouseTimeoutError,
    InvalidAnswerError,
    NotFoundError,
    PermissionDeniedError,
)
from support import Script, Server, answer, reset

CONTENT = b'0123456789' * 1000
ETAG = f'"sha256:{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture
def file(client: Any) -> Any:
    """A file of the client."""
    return client.uploads.create(file=CONTENT, filename='Zahlen 1½.txt')


def test_what_is_known_before_the_bytes_come(client: Any, file: Any) -> None:
    download = client.uploads.download(file.id)
    with pytest.raises(RuntimeError, match='not open'):
        download.size
    with download:
        assert (download.status, download.size, download.content_type) == (200, 10_000, 'text/plain')
        assert (download.filename, download.etag) == ('Zahlen 1½.txt', ETAG)
        assert b''.join(download.iter_bytes()) == CONTENT
        with pytest.raises(RuntimeError, match='read before'):
            download.read()
    with pytest.raises(RuntimeError, match='opened before'), download:
        pass


def test_parts(client: Any, file: Any) -> None:
    for wanted, expected in (
        ((0, 9), CONTENT[:10]),
        ((9_990, None), CONTENT[-10:]),
        ((-5, None), CONTENT[-5:]),
    ):
        with client.uploads.download(file.id, range=wanted) as download:
            assert (download.status, download.read()) == (206, expected)
    with pytest.raises(GatehouseError) as outside:
        client.uploads.download(file.id, range=(20_000, None)).read()
    assert (outside.value.status, outside.value.code) == (416, 'range_not_satisfiable')
    for wrong in ((5, 1), (-5, 1)):
        with pytest.raises(ValueError, match='range'):
            client.uploads.download(file.id, range=wrong)


def test_to_a_file(client: Any, file: Any, tmp_path: Path) -> None:
    target = tmp_path / 'copy.txt'
    target.write_text('before')
    umask = os.umask(0o027)
    try:
        assert client.uploads.download(file.id).save(target) == target
        with client.uploads.download(file.id) as download:
            download.save(str(tmp_path / 'another.txt'))
    finally:
        os.umask(umask)
    assert target.read_bytes() == (tmp_path / 'another.txt').read_bytes() == CONTENT
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert sorted(os.listdir(tmp_path)) == ['another.txt', 'copy.txt']
    with pytest.raises(FileNotFoundError):
        client.uploads.download(file.id).save(tmp_path / 'none' / 'copy.txt')
    with pytest.raises(NotFoundError):
        client.uploads.download('none').save(target)
    assert target.read_bytes() == CONTENT


def whole(content: bytes, **headers: str) -> Any:
    fields = {'Content-Type': 'text/plain'} | {name.replace('_', '-'): value for name, value in headers.items()}
    return 200, fields, content


def test_a_part_that_is_answered_with_the_whole(make: Any) -> None:
    with Script(whole(CONTENT)) as script:
        uploads = make(script.url, api_key='gh_key').uploads
        for all_of_it in ((0, None), (0, 9_999), (0, 20_000), (-10_000, None)):
            assert uploads.download('f', range=all_of_it).read() == CONTENT
        for part in ((0, 9_998), (1, None), (-9_999, None)):
            with pytest.raises(InvalidAnswerError, match='the whole file came'):
                uploads.download('f', range=part).read()


def test_a_name_as_long_as_names_can_be(make: Any, tmp_path: Path) -> None:
    target = tmp_path / ('文' * 85)
    with Script(whole(CONTENT)) as script:
        make(script.url, api_key='gh_key').uploads.download('f').save(target)
    assert target.read_bytes() == CONTENT and os.listdir(tmp_path) == [target.name]


def test_bytes_that_a_proxy_has_compressed(make: Any) -> None:
    with Script(whole(gzip.compress(CONTENT), ETag=ETAG, Content_Encoding='gzip')) as script:
        with make(script.url, api_key='gh_key').uploads.download('f') as download:
            assert (download.size, download.read()) == (None, CONTENT)
        assert script.requests[0][2]['accept-encoding'] == 'identity'


def test_damaged_bytes_are_noticed(make: Any, tmp_path: Path) -> None:
    target = tmp_path / 'copy.txt'
    with Script(whole(b'others', ETag=ETAG)) as script:
        client = make(script.url, api_key='gh_key')
        for attempt in (lambda: client.uploads.download('f').save(target), client.uploads.download('f').read):
            with pytest.raises(InvalidAnswerError) as damaged:
                attempt()
            assert damaged.value.code == 'checksum_mismatch'
    assert os.listdir(tmp_path) == []


def test_a_download_that_ends_too_early_leaves_no_file(make: Any, tmp_path: Path) -> None:
    def half(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header('Content-Length', '1000')
        handler.end_headers()
        handler.wfile.write(b'x' * 500)
        handler.wfile.flush()
        reset(handler.connection)
        handler.close_connection = True

    with Script(half) as script:
        client = make(script.url, api_key='gh_key')
        with pytest.raises(GatehouseConnectionError):
            client.uploads.download('f').save(tmp_path / 'copy.txt')
    assert os.listdir(tmp_path) == []


def test_the_time_out_is_for_the_beginning_unless_it_is_given(make: Any) -> None:
    def slow(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header('Content-Length', '2')
        handler.end_headers()
        handler.wfile.write(b'1')
        handler.wfile.flush()
        time.sleep(6)
        handler.wfile.write(b'2')

    with Script(slow) as script:
        client = make(script.url, api_key='gh_key', timeout=5)
        assert client.uploads.download('f').read() == b'12'
        with pytest.raises(GatehouseTimeoutError):
            client.uploads.download('f', timeout=0.3).read()


def test_credentials_do_not_go_to_other_origins(make: Any) -> None:
    with Script(whole(CONTENT)) as storage:
        elsewhere = f'{storage.url}/bucket/key?signature=abc'
        with Script(answer(302, None, Location=elsewhere)) as script:
            for named in ({'api_key': 'gh_key'}, {}):
                client = make(script.url, **named)
                assert client.uploads.download('f').read() == CONTENT
        assert [(path, headers.get('x-api-key')) for _, path, headers, _ in storage.requests] == [
            ('/bucket/key?signature=abc', None)
        ] * 2
        assert all('authorization' not in headers for _, _, headers, _ in storage.requests)
        assert script.requests[0][2]['x-api-key'] == 'gh_key'


def test_redirects_do_not_go_round_for_ever(make: Any) -> None:
    with Script(answer(302, None, Location='/again')) as script:
        with pytest.raises(GatehouseError) as endless:
            make(script.url, api_key='gh_key').uploads.download('f').read()
        assert endless.value.code == 'http_302'
        # Whatever is asked for after a redirect, it is asked for without credentials.
        assert [headers.get('x-api-key') for _, _, headers, _ in script.requests[:2]] == ['gh_key', None]
        with pytest.raises(GatehouseError) as moved:
            make(script.url, api_key='gh_key').users.me()
        assert moved.value.code == 'http_302'


def test_signed_links(make: Any, server: Server, client: Any, file: Any) -> None:
    link = client.uploads.create_signed_url(file.id, expires_in=60)
    assert 'signature' in link.url and 'signature' not in repr(link)
    anybody = make(server.url)
    assert anybody.uploads.download_signed(link.url).read() == CONTENT
    with pytest.raises(PermissionDeniedError) as altered:
        anybody.uploads.download_signed(link.url + '0').read()
    assert altered.value.code == 'link_invalid'
    with Script(whole(CONTENT)) as script:
        keyed = make(script.url, api_key='gh_key')
        assert keyed.uploads.download_signed('/api/v1/uploads/f/signed?expires=1&signature=s').read() == CONTENT
        method, path, headers, _ = script.requests[0]
        assert path == '/api/v1/uploads/f/signed?expires=1&signature=s'
        assert 'x-api-key' not in headers and 'authorization' not in headers


def test_nothing_of_the_netrc_file_is_sent(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / 'netrc'
    netrc.write_text('machine 127.0.0.1 login ann password secret\n')
    monkeypatch.setenv('NETRC', str(netrc))
    with Script(whole(CONTENT)) as script:
        make(script.url, api_key='gh_key').uploads.download('f').read()
        assert 'authorization' not in script.requests[0][2]
