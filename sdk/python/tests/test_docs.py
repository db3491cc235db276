"""The guide and the docstrings."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gatehouse_client
from support import ADMIN, Server

PROJECT = Path(__file__).resolve().parent.parent
README = (PROJECT / 'README.md').read_text('utf-8')
TEXT_WIDTH = 120


def modules() -> Iterator[Any]:
    yield gatehouse_client
    for found in pkgutil.walk_packages(gatehouse_client.__path__, 'gatehouse_client.'):
        with contextlib.suppress(ModuleNotFoundError):
            # What only an extra brings is not always there.
            yield importlib.import_module(found.name)


def test_everything_public_has_a_docstring() -> None:
    missing = []
    for module in modules():
        missing += [] if module.__doc__ else [module.__name__]
        for name, value in vars(module).items():
            if name.startswith('_') or getattr(value, '__module__', None) != module.__name__:
                continue
            if inspect.isfunction(value) and not value.__doc__:
                missing.append(f'{module.__name__}.{name}')
            if not inspect.isclass(value):
                continue
            missing += [] if value.__doc__ else [f'{module.__name__}.{name}']
            for member, definition in vars(value).items():
                is_method = inspect.isfunction(definition) or isinstance(definition, (property, classmethod))
                function = definition.__func__ if isinstance(definition, classmethod) else definition
                if is_method and not member.startswith('_') and not function.__doc__:
                    missing.append(f'{module.__name__}.{name}.{member}')
    assert missing == []


def test_what_is_exported_is_there() -> None:
    assert all(hasattr(gatehouse_client, name) for name in gatehouse_client.__all__)


def test_the_version_is_that_of_the_package() -> None:
    said = re.search(r'^version = "(.*)"$', (PROJECT / 'pyproject.toml').read_text(), re.MULTILINE)
    assert said and said[1] == gatehouse_client.__version__


@pytest.mark.skipif(shutil.which('mypy') is None, reason='there is no mypy')
def test_the_types_hold(tmp_path: Path) -> None:
    command = ['mypy', '--cache-dir', str(tmp_path)]
    said = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout


BLOCK = re.compile(r'```(\w+)\n(.*?)```(?:\n\n```text\n(.*?)```)?', re.DOTALL)


def test_the_examples_of_the_guide_print_what_it_says(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, as somebody would type them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('ADMIN_PASSWORD', ADMIN['password'])
    names: dict[str, Any] = {'__name__': 'guide'}
    run = 0
    for kind, code, expected in BLOCK.findall(README):
        if kind != 'python':
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace('http://localhost:8000', server.url), 'README.md', 'exec'), names)
        assert printed.getvalue().replace(server.url, 'http://localhost:8000') == expected, code
        run += 1
    # It waits for a server that goes on, as its reader does.
    names['client'].close()
    assert run == README.count('```python') >= 8


def test_nothing_is_left_behind_by_the_guide() -> None:
    """The examples are of this version."""
    assert f'gatehouse_client-{gatehouse_client.__version__}-py3-none-any.whl' in README


def test_lines_are_not_too_long() -> None:
    files = [*PROJECT.rglob('*.py'), PROJECT / 'README.md']
    long = [
        f'{path.relative_to(PROJECT)}:{number}'
        for path in files
        for number, line in enumerate(path.read_text('utf-8').splitlines(), 1)
        if len(line) > TEXT_WIDTH and path.name != 'README.md'
    ]
    assert long == []


def test_the_program_runs_where_the_extra_is_not() -> None:
    code = "import sys; sys.modules['socketio'] = None; import gatehouse_client; print(gatehouse_client.__version__)"
    environment = os.environ | {'PYTHONPATH': str(PROJECT / 'src')}
    said = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == f'{gatehouse_client.__version__}\n'
