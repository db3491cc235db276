# Generated from _async/download.py by scripts/generate.py: do not edit.
"""The bytes of a file, as they come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from urllib.parse import urljoin

import httpx

from .._shared import sync_runtime as runtime
from .._shared.calls import Call, Credentials, error_of
from .._shared.connection import explain, shown
from .._shared.downloads import Check, PartFile, filename_of, is_all, size_in
from ..errors import InvalidAnswerError
from .transport import Transport

_REDIRECTS = 5


class Download:
    """The bytes of a file. A context manager: the request is sent when it is entered.

        with client.uploads.download(id) as download:
            for chunk in download.iter_bytes():
                ...

    `read` and `save` also work without `with`. The bytes can be had once; when all of them came, they are compared
    with the hash that the server knows (InvalidAnswerError `checksum_mismatch`).
    """

    def __init__(self, api: Transport, call: Call) -> None:
        self._api = api
        self._call = replace(call, headers={'Accept': '*/*', 'Accept-Encoding': 'identity', **call.headers})
        self._response: httpx.Response | None = None
        self._taken = False

    @property
    def status(self) -> int:
        """200 for all of the file, 206 for a part of it."""
        return self._opened().status_code

    @property
    def content_type(self) -> str:
        """The type of the file."""
        return str(self._opened().headers.get('content-type', 'application/octet-stream'))

    @property
    def size(self) -> int | None:
        """How many bytes come; None when the server does not know, as of an export."""
        return size_in(self._opened().headers)

    @property
    def filename(self) -> str | None:
        """The name that the file came with. Look at it before you use it as a path."""
        return filename_of(self._opened().headers.get('content-disposition'))

    @property
    def etag(self) -> str | None:
        """Names this version of the bytes, with its quotes: `"sha256:…"`."""
        etag: str | None = self._opened().headers.get('etag')
        return etag

    def iter_bytes(self) -> Iterator[bytes]:
        """The bytes in pieces, as they come. Raises GatehouseConnectionError when they end too early."""
        response = self._opened()
        if self._taken:
            raise RuntimeError('the bytes of this download were read before: ask for another one')
        self._taken = True
        check = Check(response.status_code, response.headers)
        try:
            for chunk in response.iter_bytes():
                check.update(chunk)
                yield chunk
        except httpx.HTTPError as error:
            raise explain(error, self._api.settings) from shown(error)
        check.finish()

    def read(self) -> bytes:
        """All bytes at once, in memory."""
        if self._response is None:
            with self:
                return self.read()
        chunks = []
        for chunk in self.iter_bytes():
            chunks.append(chunk)
        return b''.join(chunks)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the bytes to a file. It appears when it is whole, and takes the place of one that is there."""
        if self._response is None:
            with self:
                return self.save(path)
        target = Path(path)
        part = PartFile(target)
        try:
            for chunk in self.iter_bytes():
                runtime.in_thread(part.write, chunk)
            runtime.in_thread(part.keep)
        except BaseException:
            part.discard()
            raise
        return target

    def close(self) -> None:
        """Ends the download, wherever it is."""
        if self._response is not None:
            self._response.close()

    def __enter__(self) -> Download:
        if self._response is not None:
            raise RuntimeError('this download was opened before: ask for another one')
        self._response = self._follow(self._call)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {"not opened" if self._response is None else self._response.status_code}>'

    def _opened(self) -> httpx.Response:
        if self._response is None:
            raise RuntimeError('the download is not open: use it with `with`')
        return self._response

    def _follow(self, call: Call) -> httpx.Response:
        """Files in S3 are fetched there. Credentials of ours do not go there: the new address has its own."""
        response = self._api.open(call)
        for _ in range(_REDIRECTS):
            location = response.headers.get('location')
            if location is None or not 300 <= response.status_code < 400:
                break
            response.close()
            target = urljoin(str(response.url), location)
            response = self._api.open(replace(call, path=target, query={}, credentials=Credentials.NONE))
        if response.status_code == 206:
            return response
        if response.status_code == 200 and is_all(call.headers.get('Range'), size_in(response.headers)):
            return response
        response.close()
        if response.status_code == 200:
            raise InvalidAnswerError(
                'a part was asked for, and the whole file came', status=200, code='invalid_answer'
            )
        if response.status_code < 300:
            raise InvalidAnswerError('the answer is no file', status=response.status_code, code='invalid_answer')
        raise error_of(response.status_code, response.headers, '')
