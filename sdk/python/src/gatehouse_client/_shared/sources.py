"""What is uploaded: bytes, a path, or an open file."""

from __future__ import annotations

import io
import mimetypes
import os
import threading
from collections.abc import Callable
from pathlib import PurePath
from typing import BinaryIO

FileInput = bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO
Progress = Callable[[int, int | None], object]
"""Called with the bytes that were sent and the bytes there are, or None when nobody knows how many there are."""

CHUNK = 256 * 1024
_COMPRESSED = {'gzip': 'application/gzip', 'xz': 'application/x-xz', 'bzip2': 'application/x-bzip2'}


class Source:
    """The bytes of an upload, from where the file object stood.

    Attributes:
        name: What the file is called.
        content_type: What it is said to be.
        size: How many bytes there are; None for what tells no size, such as a pipe.
        can_rewind: Whether the bytes can be read again.
    """

    def __init__(self, file: FileInput, filename: str | None, content_type: str | None) -> None:
        self._owned = isinstance(file, (bytes, bytearray, memoryview, os.PathLike))
        self._guard = threading.Lock()
        self._is_over = False
        self._file = _open(file)
        try:
            self.can_rewind = _can_seek(self._file)
            self._start = self._file.tell() if self.can_rewind else 0
            self.size = self._file.seek(0, os.SEEK_END) - self._start if self.can_rewind else None
            self.rewind(0)
        except BaseException:
            self.close()
            raise
        self.name = filename if filename is not None else _name_of(file)
        self.content_type = content_type or _type_of(self.name)

    def rewind(self, offset: int) -> None:
        """Goes to an offset from the start; does nothing where that cannot be done."""
        if self.can_rewind:
            self._file.seek(self._start + offset)

    def read(self, size: int = CHUNK) -> bytes:
        """The next bytes, at most so many; none at the end."""
        with self._guard:
            return b'' if self._is_over else self._file.read(size) or b''

    def failed(self) -> None:
        """Goes back to the start, for good: the caller may upload the same file object again. This never fails."""
        with self._guard:
            # A thread may be about to read for an upload that was cancelled.
            self._is_over = True
            try:
                self.rewind(0)
            except (OSError, ValueError):
                pass  # Somebody has closed it.

    def close(self) -> None:
        """Closes what was opened here; the file object of the caller stays open."""
        if self._owned:
            self._file.close()


def _open(file: FileInput) -> BinaryIO:
    if isinstance(file, (bytes, bytearray, memoryview)):
        return io.BytesIO(file)
    if isinstance(file, os.PathLike):
        return open(file, 'rb')
    if isinstance(file, str):
        raise TypeError('file is a str: give pathlib.Path(…) for a path, or bytes')
    if not callable(getattr(file, 'read', None)):
        raise TypeError(f'file has to be bytes, a path or a binary file object, not {type(file).__name__}')
    # Those of tempfile are no io.TextIOBase.
    if isinstance(file, io.TextIOBase) or isinstance(file.read(0), str):
        raise TypeError("file was opened as text: open it with mode 'rb'")
    return file


def _type_of(name: str) -> str:
    """What is guessed from the name: of a compressed file how it was compressed, not what is in it."""
    inner, encoding = mimetypes.guess_type(name)
    guessed = inner if encoding is None else _COMPRESSED.get(encoding)
    return guessed or 'application/octet-stream'


def _can_seek(file: BinaryIO) -> bool:
    try:
        return file.seekable()
    except AttributeError:
        return False


def _name_of(file: FileInput) -> str:
    name = os.fspath(file) if isinstance(file, os.PathLike) else getattr(file, 'name', None)
    # sys.stdin.buffer is called <stdin>, a pipe has a number.
    return PurePath(name).name if isinstance(name, str) and not name.startswith('<') else 'file'


class Meter:
    """Counts the bytes of one attempt, and sees to it that there are as many as were announced."""

    def __init__(self, size: int | None, on_progress: Progress | None, done: int = 0, total: int | None = None) -> None:
        self.left = size
        self._on_progress = on_progress
        self._sent = done
        self._total = size if total is None else total

    def next_size(self) -> int:
        """How much to read now; 0 when all was read."""
        return CHUNK if self.left is None else min(CHUNK, self.left)

    def read(self, chunk: bytes) -> bytes:
        """Takes note of what was read, which may be nothing at the end of a file of unknown size."""
        if self.left is not None:
            if not chunk and self.left:
                raise ValueError('the file has become shorter while it was sent')
            self.left -= len(chunk)
        return chunk

    def sent(self, chunk: bytes) -> None:
        """Tells the caller."""
        self._sent += len(chunk)
        if self._on_progress is not None:
            self._on_progress(self._sent, self._total)
