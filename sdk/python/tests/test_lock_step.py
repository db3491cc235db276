"""Every operation of the document has a method, which sends what the document says and reads what it says."""

from __future__ import annotations

import inspect
import io
import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from document import OPERATIONS, TABLE, Operation, example
from gatehouse_client import GatehouseError, MemoryTokens, Tokens, models
from gatehouse_client._async import client as async_client
from gatehouse_client._sync import client as sync_client

STREAM = 'get_broadcasting_stream'
"""It is a stream of events: its own tests say what it sends."""
BY_HAND = {
    STREAM,
    'post_uploads',
    'post_uploads_resumable',
    'head_uploads_resumable_id',
    'patch_uploads_resumable_id',
    'delete_uploads_resumable_id',
    'get_uploads_id_signed',
    'post_auth_logout',
    'post_auth_refresh',
    'get_metrics',
}
COVERED = [id for id in OPERATIONS if id in TABLE['operations']]


class Recorder:
    """Answers as the document says, and remembers what was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.failing: str | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        operation = operation_of(request)
        if operation.id == self.failing:
            self.failing = None
            return httpx.Response(503, json={'error_code': 'service_unavailable', 'detail': 'x'})
        status, body = operation.success()
        headers = {'Location': '/api/v1/uploads/resumable/u-1', 'Upload-Offset': '0'}
        if operation.id.startswith('patch_uploads_resumable'):
            headers['Upload-Offset'] = str(int(request.headers['upload-offset']) + len(request.content))
        return httpx.Response(status, headers=headers, json=body) if body else httpx.Response(status, headers=headers)


def operation_of(request: httpx.Request) -> Operation:
    path = request.url.raw_path.decode().partition('?')[0]
    found = [each for each in OPERATIONS.values() if each.matches(request.method, path)]
    # /users/me is also a /users/{id}.
    return min(found, key=lambda operation: operation.template.count('{'))


def snake(name: str) -> str:
    return re.sub('[A-Z]', lambda match: '_' + match[0].lower(), name)


def method_of(client: Any, id: str) -> Any:
    target = client
    for part in TABLE['operations'][id].split('.'):
        target = getattr(target, snake(part))
    return target


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def client(make: Any, recorder: Recorder) -> Any:
    tokens = MemoryTokens()
    tokens.save(Tokens('access', 'refresh', 2**50))
    return make('http://example.test', tokens=tokens, transport=httpx.MockTransport(recorder))


def test_the_table_has_all_operations_and_no_others() -> None:
    assert {*TABLE['operations']} | {*TABLE['sameAs']} == {*OPERATIONS}
    assert not {*TABLE['operations']} & {*TABLE['sameAs']}
    assert {*TABLE['sameAs'].values()} <= {*TABLE['operations']}


@pytest.mark.parametrize('kind', [sync_client.GatehouseClient, async_client.AsyncGatehouseClient])
@pytest.mark.parametrize('id', COVERED)
def test_every_operation_has_a_method(id: str, kind: Any) -> None:
    method = method_of(kind('http://example.test'), id)
    assert callable(method) and inspect.getdoc(method)


@pytest.mark.parametrize('alias', TABLE['sameAs'])
def test_an_alias_is_of_the_same_shape(alias: str) -> None:
    one, other = OPERATIONS[alias], OPERATIONS[TABLE['sameAs'][alias]]
    for where in ('path', 'query'):
        assert one.parameters(where).keys() == other.parameters(where).keys()
    assert one.fields.keys() == other.fields.keys()
    assert one.success()[1] == other.success()[1]


def python_value(name: str, schema: dict[str, Any]) -> Any:
    value = example(schema)
    is_time = schema.get('format') == 'date-time'
    return datetime.fromisoformat(value.replace('Z', '+00:00')) if is_time else value


def arguments_of(method: Any, operation: Operation) -> dict[str, Any]:
    """A value for each parameter that the document knows; there must be no other parameters."""
    known = {name: f'an {name}' for name in operation.parameters('path')}
    known |= {name: python_value(name, schema) for name, schema in operation.parameters('query').items()}
    known |= {name: python_value(name, schema) for name, schema in operation.fields.items()}
    names = inspect.signature(method).parameters.keys() - {'timeout', 'range', 'args', 'named'}
    # `from` is a word of Python.
    by_name = {f'{name}_' if name == 'from' else name: value for name, value in known.items()}
    assert names == by_name.keys()
    return by_name


@pytest.mark.parametrize('id', [id for id in COVERED if id not in BY_HAND])
def test_it_sends_what_the_document_says(id: str, client: Any, recorder: Recorder) -> None:
    operation = OPERATIONS[id]
    signed = method_of(sync_client.GatehouseClient('http://example.test'), id)
    answer = method_of(client, id)(**arguments_of(signed, operation))
    if hasattr(answer, 'save'):
        answer.read()
    assert len(recorder.requests) == 1
    check(recorder.requests[0], operation)
    sent = recorder.requests[0]
    assert parse_qs(sent.url.query.decode()).keys() == operation.parameters('query').keys()
    assert (json.loads(sent.content).keys() if sent.content else set()) == operation.fields.keys()
    for name in operation.parameters('path'):
        assert f'an%20{name}' in sent.url.raw_path.decode()


def check(request: httpx.Request, operation: Operation) -> None:
    assert operation_of(request) is operation
    assert ('authorization' in request.headers) == operation.takes_credentials
    # What the document asks for in headers is there.
    assert {name for name in operation.parameters('header') if name.lower() not in request.headers} <= {
        'Upload-Checksum',
        'Last-Event-ID',
    }


def test_a_form(client: Any, recorder: Recorder) -> None:
    file = client.uploads.create(file=b'abc', filename='a.txt', description='d')
    assert isinstance(file, models.File)
    (request,) = recorder.requests
    check(request, OPERATIONS['post_uploads'])
    names = re.findall(rb'form-data; name="(\w+)"', request.content)
    assert sorted(names) == [b'description', b'file']


def test_pieces(client: Any, recorder: Recorder) -> None:
    recorder.failing = 'patch_uploads_resumable_id'
    client.uploads.create(file=io.BytesIO(b'abc'), filename='a.txt', description='d', resumable=True)
    sent = [operation_of(request) for request in recorder.requests]
    part = '_uploads_resumable_id'
    assert [operation.id for operation in sent] == [
        'post_uploads_resumable',
        f'patch{part}',
        f'head{part}',
        f'patch{part}',
        'get_uploads_id',
    ]
    for request, operation in zip(recorder.requests, sent):
        check(request, operation)


def test_giving_up(make: Any, recorder: Recorder) -> None:
    client = make(
        'http://example.test', api_key='gh_key', max_retries=0, transport=httpx.MockTransport(recorder)
    )
    recorder.failing = 'patch_uploads_resumable_id'
    with pytest.raises(GatehouseError):
        client.uploads.create(file=b'abc', resumable=True)
    assert operation_of(recorder.requests[-1]).id == 'delete_uploads_resumable_id'


def test_signed_links(client: Any, recorder: Recorder) -> None:
    client.uploads.download_signed('http://example.test/api/v1/uploads/f/signed?expires=1&signature=s').read()
    check(recorder.requests[0], OPERATIONS['get_uploads_id_signed'])


def test_the_session(client: Any, recorder: Recorder) -> None:
    client.auth.refresh()
    client.auth.logout()
    for request, id in zip(recorder.requests, ('post_auth_refresh', 'post_auth_logout'), strict=True):
        check(request, OPERATIONS[id])
        assert json.loads(request.content).keys() == OPERATIONS[id].fields.keys()


def test_metrics(client: Any, recorder: Recorder) -> None:
    client.health.metrics()
    check(recorder.requests[0], OPERATIONS['get_metrics'])


LISTS = [id for id in COVERED if TABLE['operations'][id].endswith('.list')]


@pytest.mark.parametrize('id', LISTS)
def test_every_list_can_be_iterated_over(id: str, client: Any, recorder: Recorder) -> None:
    operation = OPERATIONS[id]
    path = TABLE['operations'][id].removesuffix('.list')
    target: Any = client
    plain: Any = sync_client.GatehouseClient('http://example.test')
    for part in path.split('.'):
        target, plain = getattr(target, snake(part)), getattr(plain, snake(part))
    # All that narrows the list down narrows it down here, too.
    left = inspect.signature(plain.list).parameters.keys() - inspect.signature(plain.iterate).parameters.keys()
    assert left == {'page', 'skip', 'limit'}
    arguments = {name: f'an {name}' for name in operation.parameters('path')}
    items = [*target.iterate(size=3, **arguments)]
    # The document's example has 7 pages of one.
    assert len(items) == len(recorder.requests) == 7
    asked = [parse_qs(request.url.query.decode()) for request in recorder.requests]
    assert [each['page'] for each in asked] == [[str(number)] for number in range(1, 8)]
    assert {each['size'][0] for each in asked} == {'3'}


def test_a_default_is_what_the_document_has_as_default() -> None:
    """Nothing is sent that was not given."""
    recorder = Recorder()
    client = sync_client.GatehouseClient('http://example.test', transport=httpx.MockTransport(recorder))
    client.uploads.list()
    client.admin.audit_log.list()
    client.users.update_me()
    client.uploads.create_signed_url('f')
    assert [request.url.query for request in recorder.requests] == [b''] * 4
    assert [request.content for request in recorder.requests] == [b'', b'', b'{}', b'{}']
