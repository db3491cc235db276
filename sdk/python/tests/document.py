"""The API's document, and examples made of it."""

from __future__ import annotations

import json
import re
from typing import Any

from support import ROOT

DOCUMENT: dict[str, Any] = json.loads((ROOT / 'openapi.json').read_text('utf-8'))
TABLE: dict[str, dict[str, str]] = json.loads((ROOT / 'sdk' / 'operations.json').read_text('utf-8'))
JSON = 'application/json'


class Operation:
    """One operation of the document."""

    def __init__(self, method: str, template: str, description: dict[str, Any]) -> None:
        self.id: str = description['operationId']
        self.method = method.upper()
        self.template = template
        self._description = description

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is one of this operation."""
        pattern = re.sub(r'\\\{\w+\\\}', '[^/]+', re.escape(self.template))
        return method == self.method and re.fullmatch(pattern, path) is not None

    def parameters(self, where: str) -> dict[str, dict[str, Any]]:
        """The schemas of the parameters in `path`, `query` or `header`."""
        found = [each for each in self._description.get('parameters', []) if each['in'] == where]
        return {each['name']: each['schema'] for each in found}

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The schemas of what may be in the body."""
        content = self._description.get('requestBody', {}).get('content', {})
        return dict(resolve(content[JSON]['schema'])['properties']) if JSON in content else {}

    @property
    def takes_credentials(self) -> bool:
        """Whether anybody can be signed in here."""
        return bool(self._description['security'])

    def success(self) -> tuple[int, Any]:
        """The status of its success, and an example of the answer; None for no JSON."""
        status = min(int(code) for code in self._description['responses'] if code.startswith('2'))
        response = self._description['responses'][str(status)]
        schema = response.get('content', {}).get(JSON, {}).get('schema')
        return status, None if schema is None else example(schema)


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema that a reference leads to."""
    return DOCUMENT['components']['schemas'][schema['$ref'].rsplit('/', 1)[1]] if '$ref' in schema else schema


def example(schema: dict[str, Any]) -> Any:
    """A value that the schema allows, with everything in it."""
    schema = resolve(schema)
    for choice in ('oneOf', 'anyOf', 'allOf'):
        if choice in schema:
            return example(schema[choice][0])
    if 'enum' in schema:
        return schema['enum'][0]
    kind = schema.get('type')
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == 'object':
        return {name: example(each) for name, each in schema.get('properties', {}).items()}
    if kind == 'array':
        return [example(schema['items'])]
    if schema.get('format') == 'date-time':
        return '2026-01-02T03:04:05.678Z'
    return {'integer': 7, 'number': 1.5, 'boolean': True}.get(str(kind), 'text')


OPERATIONS = {
    description['operationId']: Operation(method, template, description)
    for template, methods in DOCUMENT['paths'].items()
    for method, description in methods.items()
}
