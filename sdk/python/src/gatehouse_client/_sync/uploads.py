# Generated from _async/uploads.py by scripts/generate.py: do not edit.
"""Files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urljoin

from .._shared import sync_runtime as runtime
from .._shared.calls import Call, Credentials, Id, path
from .._shared.downloads import range_header
from .._shared.multipart import Frame, frame
from .._shared.not_given import NOT_GIVEN, NotGiven, Timeout, given
from .._shared.sources import FileInput, Meter, Progress, Source
from .._shared.tus import VERSION, ResumableLimits, number_of
from ..models import BulkDelete, File, FileSort, SignedUrl, SortOrder
from ..pages import Page
from .download import Download
from .resource import PAGE_SIZE, Resource, all_pages
from .resumable import ResumableUpload


class Uploads(Resource):
    """`client.uploads`: the files of the account. Keys need `uploads:read` or `uploads:write`."""

    def create(
        self,
        *,
        file: FileInput,
        description: str | None = None,
        filename: str | None = None,
        content_type: str | None = None,
        on_progress: Progress | None = None,
        resumable: bool | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> File:
        """Uploads bytes, a path (`pathlib.Path`) or a file that was opened with mode 'rb', from where it stands.

        The name is that of the file unless `filename` says another, the type is guessed from it unless
        `content_type` does. The file is read as it is sent, and not kept in memory. After a failure a file object
        stands where it stood, if it can be rewound.

        Above 8 MiB (`resumable_above`), or with `resumable=True`, it is sent in pieces and goes on after a broken
        connection. Below, it is sent once. What cannot be rewound and tells no size, such as a pipe, is sent once
        whatever its length.

        Args:
            on_progress: Called with the bytes sent and the bytes in all (None when unknown).
            timeout: Seconds that a connection may stand still; none unless it is given.

        Raises GatehouseError with the codes `file_too_large`, `file_type_not_allowed`, `file_type_mismatch`,
        `quota_exceeded`.
        """
        source = runtime.in_thread(Source, file, filename, content_type)
        try:
            if resumable and source.size is None:
                raise ValueError('a file that tells no size cannot be sent in pieces')
            if resumable is None:
                resumable = source.size is not None and source.size > self._api.settings.resumable_above
            if resumable and source.size is not None:
                upload = ResumableUpload(self._api, source, source.size, on_progress, timeout)
                return self.get(upload.run(description))
            return self._send_form(source, description, on_progress, timeout)
        except BaseException:
            source.failed()
            raise
        finally:
            source.close()

    def list(
        self,
        *,
        page: int | None = None,
        size: int | None = None,
        skip: int | None = None,
        limit: int | None = None,
        search: str | None = None,
        content_type: str | None = None,
        sort_by: FileSort | None = None,
        sort_order: SortOrder | None = None,
        timeout: Timeout = NOT_GIVEN,
    ) -> Page[File]:
        """One page of the files, the newest first unless it is said; `content_type` is exact or like `image/*`."""
        query = {
            'page': page,
            'size': size,
            'skip': skip,
            'limit': limit,
            'search': search,
            'content_type': content_type,
            'sort_by': sort_by,
            'sort_order': sort_order,
        }
        call = Call('GET', path('/uploads'), query=query, timeout=timeout)
        return self._api.json(call, Page.reader(File.from_dict))

    def iterate(
        self,
        *,
        search: str | None = None,
        content_type: str | None = None,
        sort_by: FileSort | None = None,
        sort_order: SortOrder | None = None,
        size: int = PAGE_SIZE,
        timeout: Timeout = NOT_GIVEN,
    ) -> Iterator[File]:
        """All files, fetched by pages. Do not delete while you iterate: the pages would move."""
        return all_pages(
            lambda page: self.list(
                page=page,
                size=size,
                search=search,
                content_type=content_type,
                sort_by=sort_by,
                sort_order=sort_order,
                timeout=timeout,
            )
        )

    def get(self, id: Id, *, timeout: Timeout = NOT_GIVEN) -> File:
        """What is known about a file."""
        return self._api.json(Call('GET', path('/uploads/{id}', id=id), timeout=timeout), File.from_dict)

    def update(
        self,
        id: Id,
        *,
        description: str | None | NotGiven = NOT_GIVEN,
        filename: str | NotGiven = NOT_GIVEN,
        timeout: Timeout = NOT_GIVEN,
    ) -> File:
        """Changes what is given; None clears the description. The download keeps its original name."""
        body = given(description=description, filename=filename)
        call = Call('PATCH', path('/uploads/{id}', id=id), body=body, timeout=timeout)
        return self._api.json(call, File.from_dict)

    def delete(self, id: Id, *, timeout: Timeout = NOT_GIVEN) -> None:
        """Deletes a file."""
        self._api.nothing(Call('DELETE', path('/uploads/{id}', id=id), timeout=timeout))

    def bulk_delete(self, ids: Sequence[Id], *, timeout: Timeout = NOT_GIVEN) -> BulkDelete:
        """Deletes up to 100 files; the answer says which were deleted and which were not."""
        call = Call('POST', path('/uploads/bulk-delete'), body={'ids': [str(id) for id in ids]}, timeout=timeout)
        return self._api.json(call, BulkDelete.from_dict)

    def download(
        self, id: Id, *, range: tuple[int, int | None] | None = None, timeout: Timeout = NOT_GIVEN
    ) -> Download:
        """The bytes of a file, or a part of them: `range=(0, 99)` is the first hundred, `(-100, None)` the last.

        The request is sent when the download is entered or read. The client's `timeout` is for its beginning; one
        that is given here is for each wait.
        """
        call = Call(
            'GET',
            path('/uploads/{id}/download', id=id),
            headers={} if range is None else {'Range': range_header(*range)},
            timeout=timeout,
            patient=True,
        )
        return Download(self._api, call)

    def create_signed_url(
        self, id: Id, *, expires_in: int | NotGiven = NOT_GIVEN, timeout: Timeout = NOT_GIVEN
    ) -> SignedUrl:
        """A link that downloads the file for whoever has it, for `expires_in` seconds (60 to 604800; 3600)."""
        body = given(expires_in=expires_in)
        call = Call('POST', path('/uploads/{id}/signed-url', id=id), body=body, timeout=timeout)
        return self._api.json(call, SignedUrl.from_dict)

    def download_signed(self, url: str, *, timeout: Timeout = NOT_GIVEN) -> Download:
        """The bytes behind a signed link. No credentials are sent, wherever it leads."""
        call = Call(
            'GET',
            urljoin(self._api.settings.base_url + '/', url),
            credentials=Credentials.NONE,
            timeout=timeout,
            patient=True,
        )
        return Download(self._api, call)

    def resumable_limits(self, *, timeout: Timeout = NOT_GIVEN) -> ResumableLimits:
        """What the server takes in pieces."""
        call = Call(
            'OPTIONS', path('/uploads/resumable'), headers=VERSION, credentials=Credentials.NONE, timeout=timeout
        )
        headers = (self._api.send(call)).headers
        max_size = headers.get('tus-max-size')
        return ResumableLimits(
            version=headers.get('tus-version', '1.0.0'),
            extensions=_words(headers.get('tus-extension', '')),
            max_size=None if max_size is None else number_of('Tus-Max-Size', max_size),
            checksum_algorithms=_words(headers.get('tus-checksum-algorithm', '')),
        )

    def _send_form(
        self, source: Source, description: str | None, on_progress: Progress | None, timeout: Timeout
    ) -> File:
        form = frame(source.name, source.content_type, description)
        call = Call(
            'POST',
            path('/uploads'),
            headers=form.headers(source.size),
            content=lambda: _form_bytes(form, source, on_progress),
            rewindable=source.can_rewind,
            timeout=timeout,
        )
        return self._api.json(call, File.from_dict)


def _form_bytes(form: Frame, source: Source, on_progress: Progress | None) -> runtime.Bytes:
    yield form.before
    source.rewind(0)
    meter = Meter(source.size, on_progress)
    while size := meter.next_size():
        chunk = meter.read(runtime.in_thread(source.read, size))
        if not chunk:
            break
        yield chunk
        meter.sent(chunk)
    yield form.after


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(',') if word.strip()]
