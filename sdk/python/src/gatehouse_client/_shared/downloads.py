"""What the headers of a download say, and the checks of its bytes."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from ..errors import InvalidAnswerError


def range_header(first: int, last: int | None) -> str:
    """`(0, 99)`: the first hundred bytes; `(100, None)`: all but them; `(-100, None)`: the last hundred."""
    if first < 0 and last is None:
        return f'bytes={first}'
    if first < 0 or (last is not None and last < first):
        raise ValueError('range has to be (first, last), (first, None) or (-length, None)')
    return f'bytes={first}-{"" if last is None else last}'


def is_all(asked: str | None, size: int | None) -> bool:
    """Whether the whole file, of so many bytes, is what a range asked for. `asked` is the header."""
    if asked is None:
        return True
    first, _, last = asked.removeprefix('bytes=').partition('-')
    if size is None:
        return (first, last) == ('0', '')
    if not first:
        return int(last) >= size
    return int(first) == 0 and (not last or int(last) >= size - 1)


def filename_of(disposition: str | None) -> str | None:
    """The name in Content-Disposition (RFC 6266)."""
    if disposition is None:
        return None
    extended = re.search(r"filename\*\s*=\s*UTF-8''([^;\s]+)", disposition, re.IGNORECASE)
    if extended:
        return unquote(extended[1])
    quoted = re.search(r'filename\s*=\s*"((?:[^"\\]|\\.)*)"', disposition, re.IGNORECASE)
    if quoted:
        return re.sub(r'\\(.)', r'\1', quoted[1])
    plain = re.search(r'filename\s*=\s*([^;\s]+)', disposition, re.IGNORECASE)
    return plain[1] if plain else None


def size_in(headers: Mapping[str, str]) -> int | None:
    """How many bytes come, if the headers say it."""
    length = headers.get('content-length')
    # A proxy may have compressed them.
    return None if length is None or 'content-encoding' in headers else int(length)


class Check:
    """Compares the bytes with the hash that the server knows, when all of them came."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        match = re.fullmatch(r'"?sha256:([0-9a-f]{64})"?', headers.get('etag', ''))
        self._expected = match[1] if match and status == 200 else None
        self._hash = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        if self._expected is not None:
            self._hash.update(chunk)

    def finish(self) -> None:
        """Fails when the bytes are others."""
        if self._expected is not None and self._hash.hexdigest() != self._expected:
            raise InvalidAnswerError(
                'the bytes that came are not those of the file', status=200, code='checksum_mismatch'
            )


class PartFile:
    """A file under another name until it is whole; then it takes the place of the one that is meant."""

    def __init__(self, target: Path) -> None:
        self._target = target
        # Without the name of the target, which may be as long as names can be.
        self._path = target.with_name(f'.{secrets.token_hex(8)}.part')
        # Unlike tempfile's, with the rights that the user's other files have.
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, 'O_BINARY', 0), 0o666)
        self._file: BinaryIO = os.fdopen(handle, 'wb')

    def write(self, chunk: bytes) -> None:
        """Adds bytes."""
        self._file.write(chunk)

    def keep(self) -> None:
        """It is whole."""
        self._file.close()
        os.replace(self._path, self._target)

    def discard(self) -> None:
        """It is not; this never fails."""
        try:
            self._file.close()
        finally:
            self._path.unlink(missing_ok=True)
