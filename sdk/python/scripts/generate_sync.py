"""The client for threads, made from the one for asyncio: the same without `async` and `await`."""

from __future__ import annotations

import io
import re
import tokenize

HEADER = '# Generated from _async/{name} by scripts/generate.py: do not edit.\n'

NAMES = {
    '__aenter__': '__enter__',
    '__aexit__': '__exit__',
    '__aiter__': '__iter__',
    '__anext__': '__next__',
    'StopAsyncIteration': 'StopIteration',
    'AsyncExitStack': 'ExitStack',
    'asynccontextmanager': 'contextmanager',
    'aclose': 'close',
    'aread': 'read',
    'aiter_raw': 'iter_raw',
    'aiter_bytes': 'iter_bytes',
    'aiter_lines': 'iter_lines',
    'aiter_text': 'iter_text',
    'async_runtime': 'sync_runtime',
    '_async': '_sync',
}
"""Names that are not found by leaving out `Async` at the beginning."""

Edit = tuple[int, int, str]


def sync_of(source: str, name: str) -> str:
    """The text of the generated module."""
    edits = _edits(source)
    text = source
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    text = re.sub(r'^(from collections\.abc import .*?)\bAwaitable, ', r'\1', text, flags=re.MULTILINE)
    return HEADER.format(name=name) + text


def _edits(source: str) -> list[Edit]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits: list[Edit] = []
    for index, token in enumerate(tokens):
        start = starts[token.start[0] - 1] + token.start[1]
        end = starts[token.end[0] - 1] + token.end[1]
        if token.string in ('async', 'await'):
            # With the space after it.
            following = tokens[index + 1]
            edits.append((start, starts[following.start[0] - 1] + following.start[1], ''))
        elif token.string == 'Awaitable' and tokens[index + 1].string == '[':
            closing = _closing(tokens, index + 1)
            position = starts[closing.start[0] - 1] + closing.start[1]
            edits += [(start, end + 1, ''), (position, position + 1, '')]
        elif token.type == tokenize.NAME:
            edits.append((start, end, _name(token.string)))
        elif token.type in (tokenize.STRING, tokenize.COMMENT):
            edits.append((start, end, _prose(token.string)))
    return edits


def _closing(tokens: list[tokenize.TokenInfo], index: int) -> tokenize.TokenInfo:
    """The bracket that closes the one at the index."""
    depth = 0
    for token in tokens[index:]:
        depth += {'[': 1, ']': -1}.get(token.string, 0)
        if depth == 0:
            return token
    raise ValueError('a bracket is not closed')


def _name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    return re.sub(r'^(_?)Async(?=[A-Z])', r'\1', name)


def _prose(text: str) -> str:
    """Examples in docstrings, and names in text."""
    text = re.sub(r'\bawait ', '', text)
    text = re.sub(r'\basync (?=(with|for|def)\b)', '', text)
    return re.sub(r'\b\w+\b', lambda match: _name(match.group()), text)
