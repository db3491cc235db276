"""The error model: what an answer means, and what is never shown."""

from __future__ import annotations

import copy
import pickle
import traceback
import uuid
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

import gatehouse_client as g
from gatehouse_client._shared.recovery import ConnectionLost
from support import RESET, STALL, Script, answer, fault

CLASSES = {
    400: g.GatehouseError,
    401: g.AuthenticationError,
    403: g.PermissionDeniedError,
    404: g.NotFoundError,
    409: g.ConflictError,
    413: g.GatehouseError,
    422: g.ValidationError,
    429: g.RateLimitError,
    500: g.GatehouseError,
}


def failure_of(make: Any, said: Any, **named: Any) -> g.GatehouseError:
    with Script(said) as script:
        client = make(script.url, api_key='gh_secret', max_retries=0, **named)
        with pytest.raises(g.GatehouseError) as caught:
            client.uploads.get('f')
        return caught.value


@pytest.mark.parametrize('status', CLASSES)
def test_each_status_has_its_class(make: Any, status: int) -> None:
    error = failure_of(make, fault(status, 'some_code', retry_after='7'))
    assert type(error) is CLASSES[status]
    assert (error.status, error.code, error.message, error.request_id) == (status, 'some_code', 'It went wrong', 'r-1')
    assert (str(error), error.retry_after, error.field_errors) == ('It went wrong', 7.0, {})
    assert error.body['error_code'] == 'some_code'
    said = f"'It went wrong', status={status}, code='some_code', request_id='r-1'"
    assert repr(error) == f'{CLASSES[status].__name__}({said})'


def test_a_list_of_faults_becomes_a_sentence(make: Any) -> None:
    body = {
        'detail': [
            {'loc': ['body', 'email'], 'msg': 'field required', 'type': 't'},
            {'loc': ['body', 'ids', 0], 'msg': 'wrong', 'type': 't'},
            {'loc': ['query'], 'msg': 'unknown', 'type': 't'},
        ],
        'error_code': 'validation_error',
        'field_errors': {'email': ['field required']},
        'request_id': 'r-2',
    }
    error = failure_of(make, answer(422, body))
    assert error.message == 'email: field required; ids.0: wrong; query: unknown'
    assert error.field_errors == {'email': ['field required']}


def test_an_answer_of_somebody_else(make: Any) -> None:
    error = failure_of(make, (502, {'Content-Type': 'text/html', 'X-Request-Id': 'p-1'}, b'<h1>Bad gateway</h1>'))
    assert (error.code, error.body, error.request_id) == ('http_502', '<h1>Bad gateway</h1>', 'p-1')
    assert failure_of(make, answer(404, ['no', 'object'])).code == 'http_404'
    for said in ((200, {}, b'<h1>Welcome</h1>'), answer(200, {'id': 'x'}), answer(200, None), answer(200, [])):
        error = failure_of(make, said)
        assert (type(error), error.code, error.status) == (g.InvalidAnswerError, 'invalid_answer', 200)
        assert 'base_url' in error.message


@pytest.mark.parametrize(
    'error',
    [
        g.ValidationError('No', status=422, code='c', field_errors={'a': ['b']}, request_id='r', body={'x': 1}),
        g.MfaRequiredError('token', 300),
        g.GatehouseConnectionError('lost'),
        g.GatehouseTimeoutError('late'),
        g.SessionEnded('logged_out'),
        g.SubscriptionEnded('membership_removed'),
        ConnectionLost('lost', 'token_expired'),
    ],
    ids=repr,
)
def test_errors_go_to_other_processes(error: g.GatehouseError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), vars(error))


def test_when_to_ask_again(make: Any) -> None:
    later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=100), usegmt=True)
    error = failure_of(make, fault(429, 'rate_limited', retry_after=later))
    assert error.retry_after is not None and 90 < error.retry_after <= 100
    assert failure_of(make, fault(429, 'rate_limited', retry_after='soon')).retry_after is None
    assert failure_of(make, fault(429, 'rate_limited')).retry_after is None


def test_no_answer(make: Any) -> None:
    broken = failure_of(make, RESET)
    assert isinstance(broken, g.GatehouseConnectionError)
    assert (broken.status, broken.code) == (0, 'connection_failed')
    assert broken.__cause__ is not None
    late = failure_of(make, STALL, timeout=0.2)
    assert isinstance(late, g.GatehouseTimeoutError)
    assert (late.status, late.code) == (0, 'timed_out')


def test_the_time_out_of_one_call(make: Any) -> None:
    with Script(STALL) as script:
        client = make(script.url)
        with pytest.raises(g.GatehouseTimeoutError):
            client.health.live(timeout=0.2)
        assert len(script.requests) == 1


SECRET = '-'.join(['hush', 'hush'])


def test_secrets_are_not_shown(make: Any) -> None:
    tokens = g.Tokens(f'access-{SECRET}', f'refresh-{SECRET}', 2**50)
    storage = g.MemoryTokens()
    storage.save(tokens)
    passwords = {'current_password': SECRET, 'new_password': SECRET}
    for said in (fault(500, 'internal_error'), RESET, (200, {}, b'nonsense')):
        with Script(said) as script:
            for client in (make(script.url, api_key=f'gh_{SECRET}'), make(script.url, tokens=storage)):
                with pytest.raises(g.GatehouseError) as caught:
                    client.auth.change_password(**passwords)
                shown = ''.join(traceback.format_exception(caught.value))
                assert SECRET not in shown + repr(caught.value) + repr(client) + repr(client.auth)
    assert SECRET not in repr(tokens) + repr(storage)


def test_an_api_key_that_cannot_be_a_header_is_not_repeated() -> None:
    for key in ('gh_secret\n', '', 'gh secret', 'gh_sécret'):
        with pytest.raises(ValueError) as caught:
            g.GatehouseClient('http://localhost:8000', api_key=key)
        assert 'secret' not in str(caught.value) and caught.value.__cause__ is None


def test_what_no_client_can_be_made_with() -> None:
    for url in ('localhost:8000', 'ftp://localhost', '/api', 'http://ann:secret@localhost', 'http://localhost?a=b'):
        with pytest.raises(ValueError) as caught:
            g.GatehouseClient(url)
        assert 'secret' not in str(caught.value)
    with pytest.raises(ValueError, match='either'):
        g.GatehouseClient('http://localhost', api_key='gh_key', tokens=g.MemoryTokens())
    with pytest.raises(ValueError, match='negative'):
        g.GatehouseClient('http://localhost', max_retries=-1)


@pytest.mark.parametrize('end', ['/api/v1', '/api/v1/', '/'])
def test_the_address_of_the_api_is_that_of_the_server(make: Any, end: str) -> None:
    with Script(fault(404, 'file_not_found')) as script:
        with pytest.raises(g.NotFoundError):
            make(script.url + end).uploads.get('f')
        assert script.requests[0][1] == '/api/v1/uploads/f'


def test_a_name_cannot_lead_elsewhere(make: Any) -> None:
    with Script(fault(404, 'file_not_found')) as script:
        client = make(script.url + '/below/', api_key='gh_key')
        with pytest.raises(g.NotFoundError):
            client.uploads.get('../users/me?x#y')
        assert script.requests[0][1] == '/below/api/v1/uploads/..%2Fusers%2Fme%3Fx%23y'
        with pytest.raises(g.NotFoundError):
            client.uploads.get(uuid.UUID(int=1))
        assert script.requests[1][1] == '/below/api/v1/uploads/00000000-0000-0000-0000-000000000001'
        for name in ('', '.', '..', None):
            with pytest.raises(ValueError, match='id has to be'):
                client.uploads.get(name)
