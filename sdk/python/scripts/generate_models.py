"""The classes of what the API answers, made from its document."""

from __future__ import annotations

import keyword
import re
import textwrap
from typing import Any

Schema = dict[str, Any]

SUMMARIES = {
    'AdminUser': 'An account, as admins see it.',
    'ApiKey': 'An API key, without the key itself.',
    'AuditEntry': 'One line of the audit log.',
    'Authorised': 'That a channel may be read.',
    'BulkDelete': 'What became of the files of one `uploads.bulk_delete`.',
    'BulkDeleteFailure': 'A file that was not deleted, and why.',
    'Channel': 'A channel, its settings and who is there.',
    'ChannelMessage': 'A message of a channel.',
    'ChannelStats': 'How many read a channel.',
    'File': 'A file; its bytes come from `uploads.download`.',
    'FileStatistics': 'The files of all users in numbers.',
    'Health': 'Whether the parts of the server work.',
    'History': 'Messages of a channel that are kept.',
    'Liveness': 'That the server runs.',
    'Login': 'The tokens of a new session, and whose it is.',
    'Member': 'Somebody in a channel.',
    'Message': 'A sentence that says what was done.',
    'MfaSetup': 'What an authenticator app needs to know.',
    'MfaStatus': 'Whether an account has a second factor.',
    'NewApiKey': 'An API key that was just made: the only time that the key itself is shown.',
    'NodeStats': 'One process of the server.',
    'Profile': 'What users tell about themselves.',
    'PublicProfile': 'What other users see of a profile.',
    'PublicUser': 'An account, as other users see it.',
    'RecoveryCodes': 'Codes for signing in without the authenticator app.',
    'Session': 'A sign-in that has not ended.',
    'SignedUrl': 'A link that downloads a file for whoever has it.',
    'Statistics': 'The whole installation in numbers.',
    'Stats': 'Who is connected.',
    'StorageStatistics': 'How full the storage is.',
    'StreamTicket': 'What opens event streams where no header can be sent.',
    'TokenPair': 'New tokens of a session.',
    'User': 'An account, as its owner and admins see it.',
    'UserStatistics': 'The accounts in numbers.',
    'UserStats': 'What the files of a user come to.',
}

SECRETS = frozenset(
    'access_token refresh_token key secret otpauth_uri qr_svg recovery_codes ticket mfa_token signature'.split()
    + ['SignedUrl.url']
)
"""Fields that a `repr` leaves out."""

ALIASES = {
    'Role': ('schema', 'Role'),
    'Scope': ('schema', 'Scope'),
    'AuditAction': ('schema', 'AuditAction'),
    'PublishPolicy': ('field', 'UpdateChannelDto', 'publish_policy'),
    'FileSort': ('query', 'get_uploads', 'sort_by'),
    'UserSort': ('query', 'get_admin_users', 'sort_by'),
    'SortOrder': ('query', 'get_uploads', 'sort_order'),
}
"""The types of arguments that take one of a few words."""

HEAD = '''# Generated from openapi.json by scripts/generate.py: do not edit.
"""What the server answers. Fields that this version does not know are ignored; words of a list may be new ones.

Times are `datetime` with a zone, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal


def _time(value: Any) -> Any:
    # Python 3.10 does not read Z.
    return None if value is None else datetime.fromisoformat(value.replace('Z', '+00:00'))
'''


def models_of(document: Schema) -> str:
    """The text of models.py."""
    schemas: dict[str, Schema] = document['components']['schemas']
    names = {name: name[: -len('Response')] for name in schemas if is_model(name)}
    parts = [HEAD, *(_alias(alias, document) for alias in ALIASES)]
    parts += [_class(name, schemas, names) for name in _ordered(names, schemas)]
    return '\n\n'.join(part.strip('\n') + '\n' for part in parts)


def is_model(name: str) -> bool:
    """Pages are `Page`, errors are exceptions, and what is sent is arguments."""
    return name.endswith('Response') and not re.match('Error|ShapeFault|ValidationError|MfaRequired', name)


def alias_values(alias: str, document: Schema) -> list[str]:
    """The words of one of the aliases."""
    kind, *where = ALIASES[alias]
    schemas = document['components']['schemas']
    if kind == 'schema':
        return list(schemas[where[0]]['enum'])
    if kind == 'field':
        return list(schemas[where[0]]['properties'][where[1]]['enum'])
    operations = (operation for path in document['paths'].values() for operation in path.values())
    operation = next(each for each in operations if each['operationId'] == where[0])
    return list(next(each for each in operation['parameters'] if each['name'] == where[1])['schema']['enum'])


def _alias(alias: str, document: Schema) -> str:
    one_line = f'{alias} = Literal[{", ".join(map(repr, alias_values(alias, document)))}]'
    if len(one_line) <= 120:
        return one_line
    return f'{alias} = Literal[\n' + ''.join(f'    {value!r},\n' for value in alias_values(alias, document)) + ']'


def _ordered(names: dict[str, str], schemas: dict[str, Schema]) -> list[str]:
    """Classes after those that they contain."""
    done: list[str] = []

    def add(name: str) -> None:
        if name in done:
            return
        for used in re.findall(r'#/components/schemas/(\w+)', str(schemas[name])):
            if used in names:
                add(used)
        done.append(name)

    for name in sorted(names):
        add(name)
    return done


def _class(name: str, schemas: dict[str, Schema], names: dict[str, str]) -> str:
    schema, title = schemas[name], names[name]
    required = set(schema.get('required', []))
    fields = sorted(schema['properties'].items(), key=lambda item: item[0] not in required)
    lines = ['@dataclass(frozen=True, slots=True, kw_only=True)', f'class {title}:']
    lines += _docstring(title, fields)
    readings = []
    for field_name, field_schema in fields:
        if keyword.iskeyword(field_name):
            raise ValueError(f'{name}.{field_name} cannot be an attribute')
        annotation, reading = _type(field_schema, schemas, names)
        optional = field_name not in required
        lines.append(f'    {field_name}: {_declaration(annotation, optional, _is_secret(title, field_name))}')
        readings.append((field_name, _reading(field_name, reading, optional)))
    lines += ['', '    @classmethod', f'    def from_dict(cls, body: dict[str, Any]) -> {title}:']
    lines += ['        """Makes one of the JSON of an answer."""', '        return cls(']
    lines += [f'            {field_name}={reading},' for field_name, reading in readings] + ['        )']
    return '\n'.join(lines)


def _docstring(title: str, fields: list[tuple[str, Schema]]) -> list[str]:
    summary = SUMMARIES.get(title, f'`{title}Response` of the API.')
    described = [(name, schema['description']) for name, schema in fields if 'description' in schema]
    if not described:
        return [f'    """{summary}"""', '']
    lines = [f'    """{summary}', '', '    Attributes:']
    for name, text in described:
        lines += textwrap.wrap(f'{name}: {text}', 114, initial_indent=' ' * 8, subsequent_indent=' ' * 12)
    return [*lines, '    """', '']


def _is_secret(title: str, field_name: str) -> bool:
    return field_name in SECRETS or f'{title}.{field_name}' in SECRETS


def _declaration(annotation: str, optional: bool, secret: bool) -> str:
    if optional and 'None' not in annotation and annotation != 'Any':
        annotation += ' | None'
    options = (['default=None'] if optional else []) + (['repr=False'] if secret else [])
    if not options:
        return annotation
    return f'{annotation} = None' if options == ['default=None'] else f'{annotation} = field({", ".join(options)})'


def _reading(name: str, reading: str, optional: bool) -> str:
    if not optional:
        return reading.format(value=f'body[{name!r}]')
    if reading == '{value}':
        return f'body.get({name!r})'
    return f'None if body.get({name!r}) is None else {reading.format(value=f"body[{name!r}]")}'


def _type(schema: Schema, schemas: dict[str, Schema], names: dict[str, str]) -> tuple[str, str]:
    """The annotation, and how it is read from JSON."""
    if 'allOf' in schema:
        return _type(schema['allOf'][0], schemas, names)
    if '$ref' in schema:
        target = schema['$ref'].rsplit('/', 1)[1]
        if target in names:
            return names[target], names[target] + '.from_dict({value})'
        return _type(schemas[target], schemas, names)
    kinds = schema.get('type')
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or [])
    nullable = ' | None' if 'null' in kinds else ''
    kind = next((each for each in kinds if each != 'null'), None)
    if kind == 'string' and schema.get('format') == 'date-time':
        return f'datetime{nullable}', '_time({value})'
    if kind == 'array':
        annotation, reading = _type(schema['items'], schemas, names)
        inner = '{value}' if reading == '{value}' else '[' + reading.format(value='each') + ' for each in {value}]'
        return f'list[{annotation}]{nullable}', inner
    plain = {'string': 'str', 'integer': 'int', 'number': 'float', 'boolean': 'bool', 'object': 'dict[str, Any]'}
    return (plain[kind] + nullable if kind else 'Any'), '{value}'
