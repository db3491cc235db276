"""Uploads that go on where they broke off (tus 1.0)."""

from __future__ import annotations

from collections.abc import Mapping

from .._shared import async_runtime as runtime
from .._shared.calls import Call, path
from .._shared.not_given import Timeout
from .._shared.sources import Meter, Progress, Source
from .._shared.tus import CHUNK_TYPE, PIECE, VERSION, Endurance, metadata, number_of
from ..errors import GatehouseError, InvalidAnswerError
from .transport import AsyncTransport

_GIVE_UP_SECONDS = 5.0


class AsyncResumableUpload:
    """One upload, in pieces. After a failure that may pass it asks the server how far it is, and goes on there."""

    def __init__(
        self, api: AsyncTransport, source: Source, size: int, on_progress: Progress | None, timeout: Timeout
    ) -> None:
        self._api = api
        self._source = source
        self._size = size
        self._on_progress = on_progress
        self._timeout = timeout

    async def run(self, description: str | None) -> str:
        """Sends the file, and gives the id that it then has. When that fails for good, the server may forget it."""
        id = await self._create(description)
        try:
            await self._send_all(id)
        except BaseException:
            await self._give_up(id)
            raise
        return id

    async def _create(self, description: str | None) -> str:
        source = self._source
        headers = VERSION | {
            'Upload-Length': str(self._size),
            'Upload-Metadata': metadata(source.name, source.content_type, description),
        }
        response = await self._api.send(
            Call('POST', path('/uploads/resumable'), headers=headers, timeout=self._timeout)
        )
        # Only its last part: whatever the address is behind a proxy, credentials go nowhere else.
        id: str = response.headers.get('location', '').rstrip('/').rpartition('/')[2]
        if not id:
            raise InvalidAnswerError(
                'the server did not say where to send the file', status=response.status_code, code='invalid_answer'
            )
        return id

    async def _send_all(self, id: str) -> None:
        endurance = Endurance(self._api.settings.max_retries)
        offset: int | None = 0
        reached = 0
        # An empty file is whole when it is begun.
        while offset is None or offset < self._size:
            try:
                if offset is None:
                    offset = await self._ask_offset(id)
                else:
                    offset = await self._send_piece(id, offset)
            except GatehouseError as error:
                delay = endurance.delay_after(error)
                if delay is None:
                    raise
                offset = None
                await runtime.sleep(delay)
            if offset is not None and offset > reached:
                reached = offset
                endurance.progressed()

    async def _send_piece(self, id: str, offset: int) -> int:
        length = min(PIECE, self._size - offset)
        headers = VERSION | {
            'Content-Type': CHUNK_TYPE,
            'Content-Length': str(length),
            'Upload-Offset': str(offset),
        }
        response = await self._api.send(
            Call(
                'PATCH',
                path('/uploads/resumable/{id}', id=id),
                headers=headers,
                content=lambda: self._bytes(offset, length),
                repeatable=False,
                timeout=self._timeout,
            )
        )
        return self._offset_in(response.headers)

    async def _bytes(self, offset: int, length: int) -> runtime.Bytes:
        self._source.rewind(offset)
        meter = Meter(length, self._on_progress, offset, self._size)
        while size := meter.next_size():
            chunk = meter.read(await runtime.in_thread(self._source.read, size))
            yield chunk
            meter.sent(chunk)

    async def _ask_offset(self, id: str) -> int:
        response = await self._api.send(
            Call('HEAD', path('/uploads/resumable/{id}', id=id), headers=VERSION, repeatable=False)
        )
        return self._offset_in(response.headers)

    def _offset_in(self, headers: Mapping[str, str]) -> int:
        return number_of('Upload-Offset', headers.get('upload-offset'), self._size)

    async def _give_up(self, id: str) -> None:
        """Frees what the server has reserved, if it can be reached; it would do so itself, later."""
        call = Call(
            'DELETE',
            path('/uploads/resumable/{id}', id=id),
            headers=VERSION,
            repeatable=False,
            timeout=_GIVE_UP_SECONDS,
        )
        try:
            async with runtime.shielded(_GIVE_UP_SECONDS):
                await self._api.nothing(call)
        except Exception:  # noqa: BLE001 - what ended the upload is what the caller has to see
            pass
