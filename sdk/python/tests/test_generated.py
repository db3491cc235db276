"""What is made by scripts/generate.py is as it would be made now."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from generate import behind, generated
from generate_models import ALIASES, alias_values, is_model
from generate_sync import sync_of

from document import DOCUMENT, example
from gatehouse_client import Page, models

PROJECT = Path(__file__).resolve().parent.parent
SCHEMAS = DOCUMENT['components']['schemas']
MODELS = [name for name in SCHEMAS if is_model(name)]


def test_nothing_is_behind() -> None:
    assert behind(generated()) == []


def test_the_script_says_what_is_behind(tmp_path: Path) -> None:
    copy = tmp_path / 'sdk' / 'python'
    for folder in ('scripts', 'src'):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(PROJECT.parent.parent / 'openapi.json', tmp_path)

    def run(*arguments: str) -> Any:
        command = [sys.executable, str(copy / 'scripts' / 'generate.py'), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run('--check').returncode == 0
    package = copy / 'src' / 'gatehouse_client'
    (package / 'models.py').write_text('# changed')
    (package / '_sync' / 'stray.py').write_text('')
    said = run('--check')
    assert said.returncode == 1
    assert [line.split()[0] for line in said.stdout.splitlines()] == [
        'src/gatehouse_client/models.py',
        'src/gatehouse_client/_sync/stray.py',
    ]
    assert run().returncode == 0 and run('--check').returncode == 0


def test_async_becomes_sync() -> None:
    source = '''
from collections.abc import Awaitable, Callable
class AsyncThing:
    """Await it: `await thing.read()`, `async with AsyncThing()`; an asynchronous thing."""
    async def read(self, fetch: Callable[[int], Awaitable[list[int]]]) -> AsyncIterator[int]:
        async with self as thing:  # async with AsyncThing
            return [x async for x in await fetch(await self._async_name)]
    async def __aenter__(self): await self.aclose()
'''
    assert sync_of(source, 'x.py').splitlines()[2:] == [
        'from collections.abc import Callable',
        'class Thing:',
        '    """Await it: `thing.read()`, `with Thing()`; an asynchronous thing."""',
        '    def read(self, fetch: Callable[[int], list[int]]) -> Iterator[int]:',
        '        with self as thing:  # with Thing',
        '            return [x for x in fetch(self._async_name)]',
        '    def __enter__(self): self.close()',
    ]


@pytest.mark.parametrize('name', MODELS)
def test_a_model_has_what_the_schema_has(name: str) -> None:
    model = getattr(models, name.removesuffix('Response'))
    schema = SCHEMAS[name]
    assert {field.name for field in dataclasses.fields(model)} == schema['properties'].keys()
    body = example(schema)
    made = model.from_dict(body | {'of_a_later_version': 1})
    hints = typing.get_type_hints(model)
    for field, value in body.items():
        if 'datetime' in str(hints[field]):
            assert getattr(made, field) == datetime.fromisoformat(value.replace('Z', '+00:00'))
        elif isinstance(value, (str, int, float)):
            assert getattr(made, field) == value
    required = set(schema.get('required', []))
    for field in schema['properties']:
        without = {name: value for name, value in body.items() if name != field}
        if field in required:
            with pytest.raises(KeyError):
                model.from_dict(without)
        else:
            assert getattr(model.from_dict(without), field) is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, next(iter(body)), 1)
    assert not hasattr(made, '__dict__')


def test_words_that_are_new_pass() -> None:
    body = example(SCHEMAS['UserResponse']) | {'role': 'captain'}
    assert models.User.from_dict(body).role == 'captain'


@pytest.mark.parametrize('alias', ALIASES)
def test_the_words_of_arguments(alias: str) -> None:
    assert [*typing.get_args(getattr(models, alias))] == alias_values(alias, DOCUMENT)


@pytest.mark.parametrize('name', [name for name in SCHEMAS if name.endswith('Page')])
def test_every_page_is_a_page(name: str) -> None:
    assert {field.name for field in dataclasses.fields(Page)} == SCHEMAS[name]['properties'].keys()
