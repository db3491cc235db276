# Generated from _async/health.py by scripts/generate.py: do not edit.
"""Whether the server works."""

from __future__ import annotations

from .._shared.calls import Call, Credentials, path
from .._shared.not_given import NOT_GIVEN, Timeout
from ..models import Health, Liveness
from .resource import Resource


class HealthChecks(Resource):
    """`client.health`: for watching the server. No credentials are sent."""

    def live(self, *, timeout: Timeout = NOT_GIVEN) -> Liveness:
        """Answers when the server runs, whatever its database does."""
        call = Call('GET', '/health', credentials=Credentials.NONE, timeout=timeout)
        return self._api.json(call, Liveness.from_dict)

    def status(self, *, timeout: Timeout = NOT_GIVEN) -> Health:
        """How database and storage are. A server that is unhealthy says so in the answer; it is not an error."""
        call = Call(
            'GET',
            path('/health'),
            credentials=Credentials.NONE,
            accepted=frozenset({503}),
            timeout=timeout,
        )
        return self._api.json(call, Health.from_dict)

    def metrics(self, *, token: str | None = None, timeout: Timeout = NOT_GIVEN) -> str:
        """The metrics in the text format of Prometheus; `token` is the server's METRICS_TOKEN, if it has one."""
        headers = {'Accept': 'text/plain'} | ({} if token is None else {'Authorization': f'Bearer {token}'})
        call = Call('GET', '/metrics', headers=headers, credentials=Credentials.NONE, timeout=timeout)
        return self._api.text(call)
